import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { after, afterEach, before, describe, it } from 'node:test'
import { crc32 } from 'node:zlib'
import { createLogger } from '@cumulus/service'
import { encodeChunks } from './aws-chunked.ts'
import { errorCode, type Fixture, MAIN, rawExchange, startFixture } from './s3-fixture.ts'
import { type SignInit, signedHead } from './sign-request.ts'

const SIGNED_CHUNKS = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'
const UNSIGNED_TRAILER = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER'
const ANSWERED = /<\/Error>|HTTP\/1\.1 2\d\d [\s\S]*\r\n\r\n/

describe('bad input', () => {
  let s3: Fixture
  const body = 'a body of some bytes'
  const length = { 'content-length': String(body.length) }

  before(async () => {
    s3 = await startFixture({
      limits: { headersTimeoutMs: 300, idleMs: 200, drainMs: 300, xmlBytes: 4096, headerBytes: 8192, putBytes: 1000 },
    })
    await s3.objects.createBucket(MAIN.owner, 'bucket', { region: 'us-east-1' })
  })
  after(() => s3.close())
  afterEach(async () => {
    const { items } = await s3.objects.listObjects('bucket', { prefix: '', delimiter: '', after: '', limit: 10 })
    assert.deepEqual(items, [], 'nothing was written')
  })

  /** Sends a signed PUT and expects this error. */
  function refused(
    what: string,
    init: Omit<SignInit, 'path'> & { path?: string; sent?: string | Buffer },
    status: number,
    code: string,
  ): void {
    it(`refuses ${what}`, async () => {
      const { head } = signedHead({ method: 'PUT', path: '/bucket/key', ...init })
      const answer = await rawExchange(s3.port, [head, init.sent ?? init.body ?? ''], ANSWERED)
      assert.equal(errorCode(answer), code, answer)
      assert.ok(answer.startsWith(`HTTP/1.1 ${status} `), answer)
      assert.match(answer, /\r\nx-amz-request-id: [0-9A-F]{16}\r\n/)
      assert.match(answer, /<RequestId>[0-9A-F]{16}<\/RequestId>/)
    })
  }

  describe('in a signature', () => {
    refused('a wrong secret', { body, headers: length, secretKey: 'guess' }, 403, 'SignatureDoesNotMatch')
    refused(
      'a clock that is behind',
      { body, headers: length, nowMs: Date.now() - 16 * 60_000 },
      403,
      'RequestTimeTooSkewed',
    )
    refused(
      'a clock that is ahead',
      { body, headers: length, nowMs: Date.now() + 16 * 60_000 },
      403,
      'RequestTimeTooSkewed',
    )
    refused(
      'a payload that is not the signed one',
      { body, headers: length, sent: body.toUpperCase() },
      400,
      'XAmzContentSHA256Mismatch',
    )
    refused('a payload hash that is none', { body, headers: length, payloadHash: 'nonsense' }, 400, 'InvalidArgument')

    it('refuses who does not sign', async () => {
      const answer = await rawExchange(s3.port, 'GET /bucket HTTP/1.1\r\nHost: localhost\r\n\r\n', ANSWERED)
      assert.equal(errorCode(answer), 'AccessDenied')
    })
  })

  describe('in a body', () => {
    const md5 = createHash('md5').update('other').digest('base64')
    refused('a wrong Content-MD5', { body, headers: { ...length, 'content-md5': md5 } }, 400, 'BadDigest')
    refused(
      'a Content-MD5 that is none',
      { body, headers: { ...length, 'content-md5': 'bm90IG1kNQ==' } },
      400,
      'InvalidDigest',
    )
    for (const [name, value] of Object.entries({
      crc32: 'AAAAAA==',
      crc32c: 'AAAAAA==',
      crc64nvme: 'AAAAAAAAAAA=',
      sha1: `${'A'.repeat(27)}=`,
      sha256: `${'A'.repeat(43)}=`,
    })) {
      const headers = { ...length, [`x-amz-checksum-${name}`]: value }
      refused(`a wrong ${name}`, { body, headers }, 400, 'BadDigest')
      refused(
        `a ${name} of another length`,
        { body, headers: { ...headers, [`x-amz-checksum-${name}`]: 'AAA=' } },
        400,
        'InvalidRequest',
      )
    }
    refused(
      'two checksums',
      { body, headers: { ...length, 'x-amz-checksum-crc32': 'AAAAAA==', 'x-amz-checksum-crc32c': 'AAAAAA==' } },
      400,
      'InvalidRequest',
    )
    refused(
      'a checksum algorithm without its checksum',
      { body, headers: { ...length, 'x-amz-sdk-checksum-algorithm': 'CRC32' } },
      400,
      'InvalidRequest',
    )
    refused('no length', { payloadHash: 'UNSIGNED-PAYLOAD', headers: {} }, 411, 'MissingContentLength')
    refused(
      'chunks of HTTP without a length',
      { payloadHash: 'UNSIGNED-PAYLOAD', headers: { 'transfer-encoding': 'chunked' }, sent: '3\r\nabc\r\n0\r\n\r\n' },
      411,
      'MissingContentLength',
    )
    refused(
      'more than a PUT may hold',
      { payloadHash: 'UNSIGNED-PAYLOAD', headers: { 'content-length': '1001' } },
      400,
      'EntityTooLarge',
    )

    it('writes nothing when the client leaves within the body', async () => {
      const { head } = signedHead({
        method: 'PUT',
        path: '/bucket/key',
        headers: { 'content-length': '100' },
        payloadHash: 'UNSIGNED-PAYLOAD',
      })
      const socket = connect(s3.port, '127.0.0.1')
      await new Promise((resolve) => socket.write(`${head}half`, resolve))
      socket.destroy()
      await new Promise((resolve) => socket.once('close', resolve))
    })
  })

  describe('in aws-chunked encoding', () => {
    const chunked = (size: number, payloadHash = SIGNED_CHUNKS, headers = {}) =>
      signedHead({
        method: 'PUT',
        path: '/bucket/key',
        payloadHash,
        headers: { 'x-amz-decoded-content-length': String(size), 'content-encoding': 'aws-chunked', ...headers },
      })
    const withLength = (head: string, sent: Buffer) =>
      head.replace('\r\n\r\n', `\r\ncontent-length: ${sent.length}\r\n\r\n`)
    const data = [Buffer.from('first chunk'), Buffer.from('second chunk')]
    const size = 23
    const crc = { 'x-amz-checksum-crc32': Buffer.from([0, 0, 0, 1]).toString('base64') }
    const trailer = { 'x-amz-trailer': 'x-amz-checksum-crc32' }

    async function answerTo(head: string, sent: Buffer): Promise<string | undefined> {
      return errorCode(await rawExchange(s3.port, [withLength(head, sent), sent], ANSWERED))
    }

    it('refuses a bad chunk signature', async () => {
      const { head, seed } = chunked(size)
      const sent = encodeChunks(data, { seed })
      sent.write('X', sent.indexOf('second'))
      assert.equal(await answerTo(head, sent), 'SignatureDoesNotMatch')
    })

    it('refuses an encoding that is cut short', async () => {
      const { head, seed } = chunked(size)
      const sent = encodeChunks(data, { seed })
      assert.equal(await answerTo(head, sent.subarray(0, sent.length - 90)), 'IncompleteBody')
    })

    it('refuses more data than declared, and less', async () => {
      const over = chunked(size - 1)
      assert.equal(await answerTo(over.head, encodeChunks(data, { seed: over.seed })), 'IncompleteBody')
      const under = chunked(size + 1)
      assert.equal(await answerTo(under.head, encodeChunks(data, { seed: under.seed })), 'IncompleteBody')
    })

    it('refuses bytes after the last chunk', async () => {
      const { head, seed } = chunked(size)
      assert.equal(
        await answerTo(head, Buffer.concat([encodeChunks(data, { seed }), Buffer.from('more')])),
        'InvalidRequest',
      )
    })

    it('refuses a line without end', async () => {
      const { head } = chunked(size)
      assert.equal(await answerTo(head, Buffer.alloc(3000, '0')), 'InvalidRequest')
    })

    it('refuses a wrong checksum in a trailer, signed or not', async () => {
      const unsigned = chunked(size, UNSIGNED_TRAILER, trailer)
      assert.equal(await answerTo(unsigned.head, encodeChunks(data, { trailers: crc })), 'BadDigest')
      const signed = chunked(size, `${SIGNED_CHUNKS}-TRAILER`, trailer)
      assert.equal(await answerTo(signed.head, encodeChunks(data, { seed: signed.seed, trailers: crc })), 'BadDigest')
    })

    it('refuses a trailer that was announced and does not come, or is no checksum', async () => {
      const { head } = chunked(size, UNSIGNED_TRAILER, trailer)
      assert.equal(await answerTo(head, encodeChunks(data)), 'MalformedTrailerError')
      assert.equal(
        await answerTo(head, encodeChunks(data, { trailers: { 'x-amz-checksum-crc32': 'AAA=' } })),
        'InvalidRequest',
      )
    })

    it('refuses a missing decoded length', async () => {
      const { head } = signedHead({ method: 'PUT', path: '/bucket/key', payloadHash: SIGNED_CHUNKS })
      assert.equal(await answerTo(head, encodeChunks(data)), 'MissingContentLength')
    })

    it('takes signed chunks with signed trailers when all of it is right', async () => {
      const value = Buffer.alloc(4)
      value.writeUInt32BE(crc32(Buffer.concat(data)))
      const trailers = { 'x-amz-checksum-crc32': value.toString('base64') }
      const { head, seed } = chunked(size, `${SIGNED_CHUNKS}-TRAILER`, trailer)
      const sent = encodeChunks(data, { seed, trailers })
      const answer = await rawExchange(s3.port, [withLength(head, sent), sent], ANSWERED)
      assert.match(answer, /^HTTP\/1\.1 200 /)
      const info = await s3.objects.headObject('bucket', 'key')
      assert.equal(info.checksum?.value, value.toString('base64'))
      assert.equal(info.metadata['content-encoding'], undefined)
      await s3.objects.deleteObject('bucket', 'key', {})
    })
  })

  describe('in names', () => {
    const key = (text: string) => `/bucket/${encodeURIComponent(text)}`
    refused('a key of 1,025 bytes', { path: key('k'.repeat(1025)), body, headers: length }, 400, 'KeyTooLongError')
    refused(
      'a key of 1,025 bytes in 513 letters',
      { path: key(`${'ü'.repeat(512)}k`), body, headers: length },
      400,
      'KeyTooLongError',
    )
    refused('NUL in a key', { path: key('a\0b'), body, headers: length }, 400, 'InvalidArgument')
    refused('a key that is not UTF-8', { path: '/bucket/%FF', body, headers: length }, 400, 'InvalidURI')
    refused('an escape that is none', { path: '/bucket/%zz', body, headers: length }, 400, 'InvalidURI')
    refused('a bucket that climbs', { path: '/../key', body, headers: length }, 400, 'InvalidBucketName')
    refused('two sub-resources', { method: 'GET', path: '/bucket', query: 'acl=&cors=' }, 400, 'InvalidRequest')
    refused(
      'a sub-resource nobody knows',
      { method: 'PUT', path: '/bucket', query: 'lifecycle=' },
      501,
      'NotImplemented',
    )
    refused('a method nobody knows', { method: 'PATCH', path: '/bucket/key' }, 405, 'MethodNotAllowed')
    refused(
      'encryption with keys of the client',
      { headers: { ...length, 'x-amz-server-side-encryption-customer-algorithm': 'AES256' }, body },
      501,
      'NotImplemented',
    )
    refused(
      'a public ACL',
      { headers: { ...length, 'x-amz-acl': 'public-read' }, body },
      400,
      'AccessControlListNotSupported',
    )
    refused(
      'a storage class nobody knows',
      { headers: { ...length, 'x-amz-storage-class': 'TAPE' }, body },
      400,
      'InvalidStorageClass',
    )

    it('stores a key of 1,024 bytes, `..` and control characters as they are', async () => {
      for (const name of ['k'.repeat(1024), '../../etc/passwd', '..', 'a/./b//c', '\u0001\u001f\u007f\r\n']) {
        // The client may or may not encode dots and slashes; neither is a path to us.
        const path = `/bucket/${encodeURIComponent(name).replaceAll('%2F', '/')}`
        const { head } = signedHead({ method: 'PUT', path, body, headers: length })
        assert.match(await rawExchange(s3.port, head + body, ANSWERED), /^HTTP\/1\.1 200 /)
        assert.equal((await s3.objects.headObject('bucket', name)).key, name)
        const list = signedHead({ path: '/bucket' }).head
        const listed = await rawExchange(s3.port, list, /<\/ListBucketResult>/)
        assert.ok(listed.includes('<Contents><Key>'))
        // biome-ignore lint/suspicious/noControlCharactersInRegex: none of them may come raw
        assert.doesNotMatch(listed.split('\r\n\r\n')[1]!, /[\u0000-\u0009\u000b-\u001f]/)
        await s3.objects.deleteObject('bucket', name, {})
      }
    })
  })

  describe('in XML', () => {
    const remove = (xml: string | Buffer): Parameters<typeof refused>[1] => ({
      method: 'POST',
      path: '/bucket',
      query: 'delete=',
      body: xml,
      headers: { 'content-length': String(Buffer.byteLength(xml)) },
    })
    refused('what is not well formed', remove('<Delete><Object><Key>a</Object></Delete>'), 400, 'MalformedXML')
    refused('another root', remove('<Remove><Object><Key>a</Key></Object></Remove>'), 400, 'MalformedXML')
    refused('no object', remove('<Delete></Delete>'), 400, 'MalformedXML')
    refused('an object without a key', remove('<Delete><Object/></Delete>'), 400, 'MalformedXML')
    refused(
      'two keys in one object',
      remove('<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>'),
      400,
      'MalformedXML',
    )
    refused(
      'what is not UTF-8',
      remove(Buffer.from('<Delete><Object><Key>\xff</Key></Object></Delete>', 'latin1')),
      400,
      'MalformedXML',
    )
    refused(
      'an entity nobody declared',
      remove('<Delete><Object><Key>&bomb;</Key></Object></Delete>'),
      400,
      'MalformedXML',
    )
    refused(
      'a bomb of entities',
      remove(
        '<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><Delete><Object><Key>&b;&b;</Key></Object></Delete>',
      ),
      400,
      'MalformedXML',
    )
    refused(
      'an entity from a file',
      remove('<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&x;</Key></Object></Delete>'),
      400,
      'MalformedXML',
    )
    refused(
      'a document that is too deep',
      remove(`${'<Delete>'.repeat(200)}${'</Delete>'.repeat(200)}`),
      400,
      'MalformedXML',
    )
    refused('a document that is too long', remove(`<Delete>${' '.repeat(5000)}</Delete>`), 400, 'EntityTooLarge')
    refused(
      'a body without protection',
      { ...remove('<Delete/>'), payloadHash: 'UNSIGNED-PAYLOAD' },
      400,
      'InvalidRequest',
    )

    it('reads references, CDATA and comments as XML has them', async () => {
      for (const key of ['a&b', '\u0001', 'x<y>', ' spaced ']) {
        await put(key)
      }
      const xml =
        '<?xml version="1.0"?><!-- c --><x:Delete xmlns:x="http://s3.amazonaws.com/doc/2006-03-01/"><x:Object><x:Key>a&amp;b</x:Key></x:Object><x:Object><x:Key>&#x1;</x:Key></x:Object><x:Object><x:Key>x&lt;y&gt;</x:Key></x:Object><x:Object><x:Key> spaced </x:Key></x:Object></x:Delete>'
      const { head } = signedHead({ ...remove(xml), path: '/bucket' })
      const answer = await rawExchange(s3.port, head + xml, /<\/DeleteResult>/)
      assert.equal(answer.match(/<Deleted>/g)?.length, 4, answer)
    })
  })

  describe('below HTTP', () => {
    it('answers headers that are too long', async () => {
      const answer = await rawExchange(
        s3.port,
        `GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ${'x'.repeat(9000)}\r\n\r\n`,
      )
      assert.equal(errorCode(answer), 'RequestHeaderSectionTooLarge')
      assert.match(answer, /^HTTP\/1\.1 400 /)
    })

    it('answers what is not HTTP', async () => {
      assert.equal(errorCode(await rawExchange(s3.port, 'hello, is this S3?\r\n\r\n')), 'BadRequest')
      const both =
        'PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc'
      assert.equal(errorCode(await rawExchange(s3.port, both)), 'BadRequest')
    })

    it('ends a header that comes a letter at a time', async () => {
      assert.equal(errorCode(await rawExchange(s3.port, 'GET / HTTP/1.1\r\nHost: loc')), 'RequestTimeout')
    })

    it('ends a body that does not come', async () => {
      const { head } = signedHead({
        method: 'PUT',
        path: '/bucket/key',
        payloadHash: 'UNSIGNED-PAYLOAD',
        headers: { 'content-length': '100' },
      })
      assert.equal(errorCode(await rawExchange(s3.port, `${head}half`)), 'RequestTimeout')
    })

    it('ends a body that drips', async () => {
      const { head } = signedHead({
        method: 'PUT',
        path: '/bucket/key',
        payloadHash: 'UNSIGNED-PAYLOAD',
        headers: { 'content-length': '1000' },
      })
      const socket = connect(s3.port, '127.0.0.1')
      let answer = ''
      socket.on('data', (chunk) => (answer += chunk))
      socket.on('error', () => {})
      socket.write(head)
      const drip = setInterval(() => socket.write('.'), 20)
      await new Promise((resolve) => socket.once('close', resolve))
      clearInterval(drip)
      assert.equal(errorCode(answer), 'RequestTimeout')
    })

    it('ends a client that does not take its answer', async () => {
      const bytes = Buffer.alloc(16 * 2 ** 20)
      const digest = { etag: createHash('md5').update(bytes).digest('hex') }
      const content = {
        body: (async function* () {
          yield bytes
        })(),
        size: bytes.length,
        digest: () => digest,
      }
      const signal = new AbortController().signal
      await s3.objects.putObject({ bucket: 'bucket', key: 'big' }, content, { metadata: {}, owner: MAIN.owner, signal })
      const socket = connect(s3.port, '127.0.0.1')
      socket.pause()
      socket.on('error', () => {})
      socket.write(signedHead({ path: '/bucket/big' }).head)
      while (!/_in_flight_requests 1/.test(await s3.metrics.metrics())) await nextTurn()
      while (!/_in_flight_requests 0/.test(await s3.metrics.metrics())) await nextTurn()
      assert.match(await s3.metrics.metrics(), /requests_total\{operation="GetObject",status="499"\} 1/)
      socket.destroy()
      await s3.objects.deleteObject('bucket', 'big', {})
    })

    it('says no before the body is sent to who asks first', async () => {
      const headers = { 'content-length': '1000', expect: '100-continue' }
      const init = { method: 'PUT', path: '/bucket/key', payloadHash: 'UNSIGNED-PAYLOAD', headers }
      const denied = await rawExchange(s3.port, signedHead({ ...init, secretKey: 'guess' }).head, ANSWERED)
      assert.equal(errorCode(denied), 'SignatureDoesNotMatch')
      const large = await rawExchange(
        s3.port,
        signedHead({ ...init, headers: { ...headers, 'content-length': '1001' } }).head,
        ANSWERED,
      )
      assert.equal(errorCode(large), 'EntityTooLarge')
      const absent = await rawExchange(s3.port, signedHead({ ...init, path: '/no-bucket/key' }).head, ANSWERED)
      assert.equal(errorCode(absent), 'NoSuchBucket')
      for (const answer of [denied, large, absent]) assert.doesNotMatch(answer, /100 Continue/)
      const welcome = await rawExchange(s3.port, signedHead(init).head, /\r\n\r\n/)
      assert.match(welcome, /^HTTP\/1\.1 100 Continue\r\n/)
    })

    it('lets a client that sends all of a large body see why it is refused', async () => {
      const size = 900_000
      const { head } = signedHead({
        method: 'PUT',
        path: '/bucket/key',
        payloadHash: 'UNSIGNED-PAYLOAD',
        headers: { 'content-length': String(size) },
      })
      const answer = await rawExchange(s3.port, [head, Buffer.alloc(size)])
      assert.equal(errorCode(answer), 'EntityTooLarge')
      assert.match(answer, /\r\nConnection: close\r\n/)
    })
  })

  async function put(key: string): Promise<void> {
    const bytes = Buffer.from(key)
    const content = {
      body: (async function* () {
        yield bytes
      })(),
      size: bytes.length,
      digest: () => ({ etag: 'e' }),
    }
    await s3.objects.putObject({ bucket: 'bucket', key }, content, {
      metadata: {},
      owner: MAIN.owner,
      signal: new AbortController().signal,
    })
  }
})

describe('a front end', () => {
  it('answers SlowDown when it has too much to do, and says when to come back', async () => {
    const s3 = await startFixture({ limits: { requestsInFlight: 1, idleMs: 5_000 } })
    await s3.objects.createBucket(MAIN.owner, 'bucket', { region: 'us-east-1' })
    const { head } = signedHead({
      method: 'PUT',
      path: '/bucket/key',
      payloadHash: 'UNSIGNED-PAYLOAD',
      headers: { 'content-length': '100' },
    })
    const socket = connect(s3.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(head)
    while (!/_in_flight_requests 1/.test(await s3.metrics.metrics())) await nextTurn()
    const answer = await rawExchange(s3.port, signedHead({ path: '/' }).head, ANSWERED)
    assert.match(answer, /^HTTP\/1\.1 503 /)
    assert.equal(errorCode(answer), 'SlowDown')
    assert.match(answer, /\r\nRetry-After: 1\r\n/)
    socket.destroy()
    await s3.close()
  })

  it('never ends a wrong body as if it were right', async () => {
    const damages: [string, (chunks: AsyncIterable<Uint8Array>) => AsyncGenerator<Uint8Array>][] = [
      [
        'short',
        async function* (chunks) {
          let n = 0
          for await (const chunk of chunks) if (n++ !== 1) yield chunk
        },
      ],
      [
        'long',
        async function* (chunks) {
          for await (const chunk of chunks) {
            yield chunk
            yield chunk
          }
        },
      ],
      [
        'failing',
        async function* (chunks) {
          for await (const chunk of chunks) {
            yield chunk
            throw new Error('a fragment is gone')
          }
        },
      ],
    ]
    for (const [name, damage] of damages) {
      const errors: string[] = []
      const s3 = await startFixture({
        log: { ...createLogger({ name: 's3-test' }), error: (message) => errors.push(message) },
        layer: (memory) =>
          new Proxy(memory, {
            get(target, name) {
              if (name !== 'getObject') {
                const value = Reflect.get(target, name)
                return typeof value === 'function' ? value.bind(target) : value
              }
              return async (bucket: string, key: string) => {
                const reader = await target.getObject(bucket, key)
                return {
                  ...reader,
                  read: (range: { start: number; end: number }, signal: AbortSignal) =>
                    damage(reader.read(range, signal)),
                }
              }
            },
          }),
      })
      await s3.objects.createBucket(MAIN.owner, 'bucket', { region: 'us-east-1' })
      const bytes = Buffer.alloc(200_000, 'x')
      const content = {
        body: (async function* () {
          yield bytes
        })(),
        size: bytes.length,
        digest: () => ({ etag: 'e' }),
      }
      await s3.objects.putObject({ bucket: 'bucket', key: 'key' }, content, {
        metadata: {},
        owner: MAIN.owner,
        signal: new AbortController().signal,
      })
      const answer = await rawExchange(s3.port, signedHead({ path: '/bucket/key' }).head)
      await s3.close()
      // Where not even the header had left, the client sees a lost connection.
      const [head, sent] = answer.split('\r\n\r\n')
      if (answer !== '') assert.match(head!, /\r\nContent-Length: 200000(\r\n|$)/)
      assert.ok((sent ?? '').length < 200_000, `the client sees that the ${name} body is not whole`)
      assert.deepEqual(errors, ['s3 request failed'])
    }
  })

  it('finishes what is under way when it closes, and takes nothing new', async () => {
    const s3 = await startFixture({ limits: { closeGraceMs: 5_000 } })
    await s3.objects.createBucket(MAIN.owner, 'bucket', { region: 'us-east-1' })
    const { head } = signedHead({
      method: 'PUT',
      path: '/bucket/key',
      payloadHash: 'UNSIGNED-PAYLOAD',
      headers: { 'content-length': '4' },
    })
    const socket = connect(s3.port, '127.0.0.1')
    let answer = ''
    socket.on('data', (chunk) => (answer += chunk))
    socket.write(head)
    while (!/_in_flight_requests 1/.test(await s3.metrics.metrics())) await nextTurn()
    const closed = s3.server.close()
    await assert.rejects(rawExchange(s3.port, head), { code: 'ECONNREFUSED' })
    const ended = new Promise((resolve) => socket.once('close', resolve))
    socket.write('last')
    await Promise.all([closed, ended])
    assert.match(answer, /^HTTP\/1\.1 200 /)
    assert.equal((await s3.objects.headObject('bucket', 'key')).size, 4)
    s3.client.destroy()
  })

  it('cuts off who does not finish in time when it closes', async () => {
    const s3 = await startFixture({ limits: { closeGraceMs: 50 } })
    await s3.objects.createBucket(MAIN.owner, 'bucket', { region: 'us-east-1' })
    const { head } = signedHead({
      method: 'PUT',
      path: '/bucket/key',
      payloadHash: 'UNSIGNED-PAYLOAD',
      headers: { 'content-length': '4' },
    })
    const socket = connect(s3.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(head)
    while (!/_in_flight_requests 1/.test(await s3.metrics.metrics())) await nextTurn()
    await s3.close()
    await assert.rejects(s3.objects.headObject('bucket', 'key'), { code: 'NoSuchKey' })
  })
})

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 2))
}
