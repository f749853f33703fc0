import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { ChunkSeed } from '../../src/s3/authenticate.ts'
import { ChunkDecoder } from '../../src/s3/chunk-decoder.ts'
import { S3Error } from '../../src/s3/s3-error.ts'
import { encodeChunks, SEED } from './aws-chunked.ts'

const CRC = 'x-amz-checksum-crc32'
const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { maxLength: 6 })
/** Where to cut an encoding into pieces, as fractions of its length. */
const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 20 })

describe('the aws-chunked decoder', () => {
  for (const signed of [false, true]) {
    for (const trailing of [false, true]) {
      const seed = signed ? SEED : undefined
      const trailers = trailing ? { [CRC]: 'AAAAAA==' } : undefined
      const name = `${signed ? 'signed' : 'unsigned'} chunks${trailing ? ' with trailers' : ''}`

      it(`gives back ${name}, however they are cut`, () => {
        fc.assert(
          fc.property(chunks, cuts, (data, at) => {
            const { body, decoder } = decode(encodeChunks(data, { seed, trailers }), total(data), at, seed, trailing)
            assert.deepEqual(body, Buffer.concat(data))
            assert.deepEqual(Object.fromEntries(decoder.trailers), trailers ?? {})
          }),
        )
      })

      it(`refuses ${name} cut short anywhere`, () => {
        fc.assert(
          fc.property(chunks, fc.nat(), cuts, (data, cut, at) => {
            const whole = encodeChunks(data, { seed, trailers })
            const short = whole.subarray(0, cut % whole.length)
            assert.throws(() => decode(short, total(data), at, seed, trailing), S3Error)
          }),
        )
      })

      it(`never gives other bytes for ${name} with a byte changed${signed ? ', and refuses them' : ''}`, () => {
        fc.assert(
          fc.property(chunks, fc.nat(), fc.integer({ min: 1, max: 255 }), (data, position, flip) => {
            const bent = encodeChunks(data, { seed, trailers })
            bent[position % bent.length]! ^= flip
            try {
              const { body, decoder } = decode(bent, total(data), [], seed, trailing)
              // What is not signed can differ in content, never in size; signed chunks differ in nothing but letter case of sizes, and line ends.
              assert.equal(body.length, total(data))
              if (signed) {
                assert.deepEqual(body, Buffer.concat(data))
                assert.deepEqual(Object.fromEntries(decoder.trailers), trailers ?? {})
              }
            } catch (error) {
              if (!(error instanceof S3Error)) throw error
            }
          }),
          { numRuns: 500 },
        )
      })
    }
  }

  it('never copies data', () => {
    const piece = encodeChunks([Buffer.from('hello')])
    const decoder = new ChunkDecoder(5, undefined, undefined)
    decoder.push(piece)
    assert.equal(decoder.read()!.buffer, piece.buffer)
  })

  // Values of https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html: 65 KiB of "a", secret of the AWS examples.
  it('accepts the signatures of the example in the S3 API reference', () => {
    let key: Buffer = Buffer.from('AWS4wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY')
    for (const step of ['20130524', 'us-east-1', 's3', 'aws4_request'])
      key = createHmac('sha256', key).update(step).digest()
    const signature = '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9'
    const seed: ChunkSeed = { ...SEED, key, signature }
    const body = Buffer.concat([
      Buffer.from('10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n'),
      Buffer.alloc(65536, 'a'),
      Buffer.from('\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n'),
      Buffer.alloc(1024, 'a'),
      Buffer.from('\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n'),
    ])
    assert.deepEqual(decode(body, 66560, [0.3, 0.7], seed, false).body, Buffer.alloc(66560, 'a'))
  })

  it('accepts trailers as minio-go ends them', () => {
    const { decoder } = decode(Buffer.from(`3\r\nabc\r\n0\r\n${CRC}:NSRBwg==\n\r\n\r\n`), 3, [0.5], undefined, true)
    assert.equal(decoder.trailers.get(CRC), 'NSRBwg==')
  })

  const refused: [string, string, string][] = [
    ['more data than was declared', '4\r\nabcd\r\n0\r\n\r\n', 'IncompleteBody'],
    ['less data than was declared', '2\r\nab\r\n0\r\n\r\n', 'IncompleteBody'],
    ['a chunk longer than its size', '2\r\nabc\r\n0\r\n\r\n', 'InvalidRequest'],
    ['a size that is no number', 'x\r\nabc\r\n0\r\n\r\n', 'InvalidRequest'],
    ['a negative size', '-3\r\nabc\r\n0\r\n\r\n', 'InvalidRequest'],
    ['a size that overflows', 'ffffffffffffffffffff\r\nabc\r\n0\r\n\r\n', 'InvalidRequest'],
    ['an endless size line', '0'.repeat(5000), 'InvalidRequest'],
    ['bytes after the last chunk', '3\r\nabc\r\n0\r\n\r\nmore', 'InvalidRequest'],
    ['a line end without carriage return', '3\nabc\n0\n\n', 'InvalidRequest'],
    ['no end', '3\r\nabc\r\n', 'IncompleteBody'],
    ['a trailer nobody announced', '3\r\nabc\r\n0\r\nx-amz-evil:1\r\n\r\n', 'MalformedTrailerError'],
    ['a trailer twice', `3\r\nabc\r\n0\r\n${CRC}:a\r\n${CRC}:b\r\n\r\n`, 'MalformedTrailerError'],
    ['an announced trailer that does not come', '3\r\nabc\r\n0\r\n\r\n', 'MalformedTrailerError'],
    ['an endless trailer', `3\r\nabc\r\n0\r\n${CRC}:${'a'.repeat(2000)}`, 'InvalidRequest'],
  ]
  for (const [what, text, code] of refused) {
    it(`refuses ${what}`, () => {
      const trailing = what.includes('trailer')
      assert.throws(() => decode(Buffer.from(text), 3, [], undefined, trailing), { code })
      assert.throws(
        () =>
          decode(
            Buffer.from(text),
            3,
            Array.from({ length: 40 }, (_, i) => i / 40),
            undefined,
            trailing,
          ),
        { code },
      )
    })
  }

  it('refuses a chunk whose signature is not the one of its place', () => {
    const [a, b] = [Buffer.from('aaaa'), Buffer.from('bbbb')]
    const text = encodeChunks([a, b], { seed: SEED }).toString('latin1')
    const lines = text.split('\r\n')
    // Both chunks with their own signatures, in the wrong order.
    const swapped = [lines[2], lines[3], lines[0], lines[1], ...lines.slice(4)].join('\r\n')
    assert.throws(() => decode(Buffer.from(swapped), 8, [], SEED, false), { code: 'SignatureDoesNotMatch' })
    assert.throws(() => decode(Buffer.from(text.replace('aaaa', 'aaab')), 8, [], SEED, false), {
      code: 'SignatureDoesNotMatch',
    })
  })

  it('refuses signed trailers that were changed, or left unsigned', () => {
    const text = encodeChunks([], { seed: SEED, trailers: { [CRC]: 'AAAAAA==' } }).toString('latin1')
    assert.throws(() => decode(Buffer.from(text.replace('AAAAAA==', 'AAAAAB==')), 0, [], SEED, true), {
      code: 'SignatureDoesNotMatch',
    })
    assert.throws(() => decode(Buffer.from(text.replace(/x-amz-trailer-signature.*\r\n/, '')), 0, [], SEED, true), {
      code: 'IncompleteBody',
    })
  })
})

function decode(encoded: Buffer, size: number, at: readonly number[], seed: ChunkSeed | undefined, trailing: boolean) {
  const decoder = new ChunkDecoder(size, seed, trailing ? new Set([CRC]) : undefined)
  const body: Buffer[] = []
  const positions = [
    0,
    ...at.map((fraction) => Math.floor(fraction * encoded.length)).sort((a, b) => a - b),
    encoded.length,
  ]
  for (let i = 1; i < positions.length; i++) {
    decoder.push(encoded.subarray(positions[i - 1], positions[i]))
    for (let data = decoder.read(); data !== undefined; data = decoder.read()) body.push(data)
  }
  decoder.finish()
  return { body: Buffer.concat(body), decoder }
}

function total(data: readonly Uint8Array[]): number {
  return data.reduce((sum, { length }) => sum + length, 0)
}
