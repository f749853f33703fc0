import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { combineCrcs } from '../../src/s3/checksum/combine-crc.ts'
import { crc32c } from '../../src/s3/checksum/crc32c.ts'
import { checksumRequest, multipartDigest, multipartETag } from '../../src/s3/checksum/multipart-digest.ts'
import { CHECKSUM_ALGORITHMS, CHECKSUM_BYTES, createChecksum } from '../../src/s3/checksum/running-checksum.ts'

const NINE = Buffer.from('123456789')
const CRCS = ['CRC32', 'CRC32C', 'CRC64NVME'] as const

describe('a checksum', () => {
  // https://reveng.sourceforge.io/crc-catalogue/all.htm: "check"; FIPS 180-4 by coreutils.
  const published = {
    CRC32: 'cbf43926',
    CRC32C: 'e3069283',
    CRC64NVME: 'ae8b14860a799888',
    SHA1: 'f7c3bc1d808e04732adf679965ccc34ca7ae3441',
    SHA256: '15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225',
  }
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    it(`${algorithm} of "123456789" is the published one, in ${CHECKSUM_BYTES[algorithm]} bytes`, () => {
      assert.equal(checksumOf(algorithm, [NINE]).toString('hex'), published[algorithm])
      assert.equal(checksumOf(algorithm, []).length, CHECKSUM_BYTES[algorithm])
    })

    it(`${algorithm} does not depend on how the bytes are cut`, () => {
      fc.assert(
        fc.property(fc.array(fc.uint8Array({ maxLength: 70 }), { maxLength: 8 }), (pieces) => {
          assert.deepEqual(checksumOf(algorithm, pieces), checksumOf(algorithm, [Buffer.concat(pieces)]))
        }),
      )
    })
  }

  it('CRC-32C by slices equals the bit-by-bit definition', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (data) => assert.equal(crc32c(data), naiveCrc32c(data))))
  })

  it('CRC-32C of the vectors of RFC 3720, B.4', () => {
    assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa)
    assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43)
    assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e)
  })

  it('CRC-64/NVME by slices equals the bit-by-bit definition', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (data) => {
        assert.equal(checksumOf('CRC64NVME', [data]).readBigUInt64BE(), naiveCrc64Nvme(data))
      }),
    )
  })

  for (const algorithm of CRCS) {
    it(`${algorithm} of a whole follows from those of its parts`, () => {
      fc.assert(
        fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 }), (parts) => {
          const values = parts.map((part) => ({ value: checksumOf(algorithm, [part]), size: part.length }))
          assert.deepEqual(combineCrcs(algorithm, values), checksumOf(algorithm, parts))
        }),
      )
    })
  }

  it('CRC32 of 8 GiB of zeros is combined from that of its 8 MiB parts', () => {
    const part = new Uint8Array(8 * 2 ** 20)
    const value = checksumOf('CRC32', [part])
    const half = combineCrcs('CRC32', Array(512).fill({ value, size: part.length }))
    const whole = combineCrcs('CRC32', Array(1024).fill({ value, size: part.length }))
    const doubled = combineCrcs('CRC32', Array(2).fill({ value: half, size: 512 * part.length }))
    assert.deepEqual(doubled, whole)
    assert.equal(
      combineCrcs('CRC32', Array(2).fill({ value, size: part.length })).readUInt32BE(),
      crc32(part, crc32(part)),
    )
  })
})

describe('the digest of a multipart object', () => {
  const parts = ['one', 'two', 'three'].map((text) => ({
    bytes: Buffer.from(text),
    size: text.length,
    etag: createHash('md5').update(text).digest('hex'),
  }))

  it('has the MD5 of the MD5s and the number of parts for an ETag', () => {
    const md5s = Buffer.concat(parts.map(({ etag }) => Buffer.from(etag, 'hex')))
    assert.equal(multipartETag(parts.map(({ etag }) => etag)), `${createHash('md5').update(md5s).digest('hex')}-3`)
  })

  it('combines CRCs to that of the whole, and digests digests to a composite', () => {
    for (const type of ['FULL_OBJECT', 'COMPOSITE'] as const) {
      const request = { algorithm: 'CRC32C', type } as const
      const digested = parts.map((part) => ({
        ...part,
        checksum: { ...request, value: checksumOf('CRC32C', [part.bytes]).toString('base64') },
      }))
      const raw = digested.map(({ checksum }) => Buffer.from(checksum.value, 'base64'))
      const expected =
        type === 'FULL_OBJECT'
          ? checksumOf(
              'CRC32C',
              parts.map(({ bytes }) => bytes),
            ).toString('base64')
          : `${checksumOf('CRC32C', raw).toString('base64')}-3`
      assert.equal(multipartDigest(digested, request).checksum?.value, expected)
    }
  })

  it('has no checksum if a part lacks it', () => {
    assert.equal(multipartDigest(parts, { algorithm: 'SHA1', type: 'COMPOSITE' }).checksum, undefined)
  })

  it('knows which kinds S3 allows', () => {
    assert.equal(checksumRequest('CRC64NVME', undefined).type, 'FULL_OBJECT')
    assert.equal(checksumRequest('CRC32', undefined).type, 'COMPOSITE')
    assert.throws(() => checksumRequest('SHA256', 'FULL_OBJECT'), { code: 'InvalidRequest' })
    assert.throws(() => checksumRequest('CRC64NVME', 'COMPOSITE'), { code: 'InvalidRequest' })
    assert.throws(() => checksumRequest('CRC32', 'PARTIAL'), { code: 'InvalidRequest' })
  })
})

function checksumOf(algorithm: Parameters<typeof createChecksum>[0], pieces: readonly Uint8Array[]): Buffer {
  const checksum = createChecksum(algorithm)
  for (const piece of pieces) checksum.update(piece)
  return checksum.digest()
}

function naiveCrc32c(data: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of data) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  return (crc ^ 0xffffffff) >>> 0
}

function naiveCrc64Nvme(data: Uint8Array): bigint {
  const ones = 0xffffffffffffffffn
  let crc = ones
  for (const byte of data) {
    crc ^= BigInt(byte)
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ 0x9a6c9329ac4bc9b5n : crc >> 1n
  }
  return crc ^ ones
}
