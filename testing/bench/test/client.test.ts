import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { inFlight, ObjectClient } from '../src/object-client.ts'
import { Pattern } from '../src/pattern.ts'
import { signedHeaders } from '../src/sign.ts'

async function serve(t: TestContext, handle: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(handle).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = new ObjectClient({ host: '127.0.0.1', port, signal: t.signal })
  t.after(() => {
    client.close()
    server.closeAllConnections()
    server.close()
  })
  return client
}

describe('a signature', () => {
  // Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, GET Bucket Lifecycle
  it('is the one in the documentation of Amazon S3', () => {
    const headers = signedHeaders(
      {
        method: 'GET',
        host: 'examplebucket.s3.amazonaws.com',
        path: '/',
        query: 'lifecycle=',
        payloadHash: createHash('sha256').digest('hex'),
        date: new Date('2013-05-24T00:00:00Z'),
      },
      {
        accessKey: 'AKIAIOSFODNN7EXAMPLE',
        secretKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
        region: 'us-east-1',
      },
    )
    assert.equal(headers['x-amz-date'], '20130524T000000Z')
    assert.match(
      headers['authorization']!,
      /Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543$/,
    )
  })
})

describe('a pattern', () => {
  it('is the same in any pieces, and different for another seed', () => {
    const pattern = new Pattern(3, 2_500_000)
    const whole = Buffer.concat([...pattern.pieces()])
    assert.equal(whole.length, 2_500_000)
    assert.deepEqual(Buffer.concat([...pattern.pieces(64_000)]), whole)
    assert.equal(pattern.digest('md5'), createHash('md5').update(whole).digest('hex'))
    assert.notEqual(new Pattern(4, 2_500_000).digest('md5'), pattern.digest('md5'))
  })

  it('finds one wrong bit, a missing byte, and one too many', () => {
    const pattern = new Pattern(3, 1_100_000)
    const good = Buffer.concat([...pattern.pieces()])
    const judge = (bytes: Buffer) => () => {
      const verifier = pattern.verifier('it')
      for (let at = 0; at < bytes.length; at += 65_536) verifier.take(bytes.subarray(at, at + 65_536))
      verifier.end()
    }
    judge(good)()
    const flipped = Buffer.from(good)
    flipped[1_099_999]! ^= 1
    assert.throws(judge(flipped), { code: 'WRONG_BYTES' })
    assert.throws(judge(good.subarray(1)), { code: 'WRONG_BYTES' })
    assert.throws(judge(good.subarray(0, -1)), { code: 'WRONG_BYTES' })
    assert.throws(judge(Buffer.concat([good, good.subarray(0, 1)])), { code: 'WRONG_BYTES' })
  })
})

describe('the client', () => {
  it('puts and gets objects of any size over connections it keeps', async (t) => {
    const kept = new Map<string, Buffer>()
    const ports = new Set<number>()
    const client = await serve(t, async (request, response) => {
      ports.add(request.socket.remotePort!)
      if (request.method === 'PUT') {
        const chunks: Buffer[] = []
        for await (const chunk of request) chunks.push(chunk)
        kept.set(request.url!, Buffer.concat(chunks))
        response.writeHead(200, { etag: '"e-tag"', 'content-length': 0 }).end()
      } else {
        const body = kept.get(request.url!)!
        response.writeHead(200, { 'content-length': body.length }).end(body)
      }
    })
    for (const bytes of [0, 1, 4096, 3_000_001]) {
      const pattern = new Pattern(bytes, bytes)
      assert.equal(await client.put(client.head('PUT', `/${bytes}`, { bytes }), pattern), 'e-tag')
      await client.get(client.head('GET', `/${bytes}`), pattern)
    }
    assert.equal(ports.size, 1)
    await assert.rejects(client.get(client.head('GET', '/4096'), new Pattern(9, 4096)), { code: 'WRONG_BYTES' })
  })

  it('tells what a server refuses, even before the body is sent', async (t) => {
    const client = await serve(t, (_, response) => {
      response.writeHead(403, { 'content-length': 9, connection: 'close' }).end('forbidden')
    })
    const pattern = new Pattern(1, 50_000_000)
    await assert.rejects(client.put(client.head('PUT', '/a', { bytes: pattern.bytes }), pattern), (error: Error) => {
      const { code } = error as Error & { code: string }
      // A server that closes at once may reset the connection before its answer is read.
      return code === 'REFUSED' ? error.message.includes('403: forbidden') : code === 'BROKEN_ANSWER'
    })
    await assert.rejects(client.call(client.head('GET', '/a')), { code: 'REFUSED', message: 'status 403: forbidden' })
  })

  it('fails when the server breaks off, or does not speak HTTP', async (t) => {
    const answers = [
      'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive!',
      'SSH-2.0-OpenSSH_9\r\n\r\n',
      'HTTP/1.1 200 OK\r\n\r\n',
    ]
    const server = createTcpServer((socket) => socket.once('data', () => socket.end(answers.shift() ?? ''))).listen(
      0,
      '127.0.0.1',
    )
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const client = new ObjectClient({ host: '127.0.0.1', port, signal: t.signal })
    t.after(() => {
      client.close()
      server.close()
    })
    for (let i = 0; i < 3; i++) await assert.rejects(client.call(client.head('GET', '/')), { code: 'BROKEN_ANSWER' })
  })
})

describe('requests in flight', () => {
  it('are at most as many as asked for, and each is made once', async () => {
    let running = 0
    let most = 0
    const seen: number[] = []
    await inFlight(20, 4, async (i) => {
      most = Math.max(most, ++running)
      await new Promise(setImmediate)
      seen.push(i)
      running--
    })
    assert.equal(most, 4)
    assert.deepEqual(
      seen.toSorted((a, b) => a - b),
      [...Array(20).keys()],
    )
  })

  it('stop at the first error', async () => {
    let begun = 0
    await assert.rejects(
      inFlight(1_000, 2, async () => {
        begun++
        throw new Error('no')
      }),
      /no/,
    )
    assert.equal(begun, 2)
  })
})
