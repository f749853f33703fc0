import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  ByteReader,
  ByteWriter,
  bytesToHex,
  compareBytes,
  concatBytes,
  DecodeError,
  equalBytes,
  hexToBytes,
} from '@cumulus/bytes'
import fc from 'fast-check'

const anyBytes = fc.uint8Array({ maxLength: 64 })

describe('hex', () => {
  it('comes back as it went', () => {
    fc.assert(fc.property(anyBytes, (bytes) => assert.deepEqual(hexToBytes(bytesToHex(bytes)), bytes)))
  })
  it('refuses what is not hex', () => {
    for (const text of ['0x1', 'zz', '0x0g', ' 00']) assert.throws(() => hexToBytes(text), DecodeError)
  })
})

describe('byte strings', () => {
  it('are ordered as Buffer.compare orders them', () => {
    fc.assert(
      fc.property(anyBytes, anyBytes, (a, b) => assert.equal(Math.sign(compareBytes(a, b)), Buffer.compare(a, b))),
    )
  })
  it('are equal exactly if their order is zero', () => {
    fc.assert(fc.property(anyBytes, anyBytes, (a, b) => assert.equal(equalBytes(a, b), compareBytes(a, b) === 0)))
  })
  it('join to a whole that starts with the first part', () => {
    fc.assert(
      fc.property(anyBytes, anyBytes, (a, b) => {
        const whole = concatBytes(a, b)
        assert.deepEqual([whole.subarray(0, a.length), whole.subarray(a.length)], [a, b])
      }),
    )
  })
})

describe('a reader', () => {
  it('reads what a writer wrote', () => {
    fc.assert(
      fc.property(
        fc.nat(0xff),
        fc.nat(0xffff),
        fc.bigInt(0n, 2n ** 64n - 1n),
        anyBytes,
        fc.string(),
        (a, b, c, d, e) => {
          const reader = new ByteReader(new ByteWriter(1).u8(a).u16(b).u32(b).u64(c).prefixed(d).text(e).finish())
          assert.deepEqual([reader.u8(), reader.u16(), reader.u32(), reader.u64()], [a, b, b, c])
          assert.deepEqual(reader.prefixed(64), d)
          assert.equal(reader.text(1 << 10), e.toWellFormed())
          reader.end()
        },
      ),
    )
  })
  it('keeps a byte order mark at the beginning of a text: it is part of a name', () => {
    for (const text of ['\ufeff', '\ufeffname', 'na\ufeffme']) {
      assert.equal(new ByteReader(new ByteWriter().text(text).finish()).text(100), text)
    }
  })
  it('says where bytes ran out, whatever is cut off', () => {
    const whole = new ByteWriter().u32(7).prefixed(new Uint8Array(20)).finish()
    for (let length = 0; length < whole.length; length++) {
      const reader = new ByteReader(whole.subarray(0, length))
      assert.throws(() => [reader.u32(), reader.prefixed(20)], DecodeError)
    }
  })
  it('refuses a length over the limit before it looks for the bytes', () => {
    const reader = new ByteReader(new ByteWriter().u32(0xffff_ffff).finish())
    assert.throws(() => reader.prefixed(1_000), /over the limit of 1000/)
  })
  it('refuses bytes nobody asked for', () => {
    const reader = new ByteReader(new Uint8Array(3))
    reader.u16()
    assert.throws(() => reader.end(), /1 bytes too many/)
  })
  it('refuses text that is not UTF-8, and lengths above 2^53', () => {
    assert.throws(
      () => new ByteReader(new ByteWriter().prefixed(new Uint8Array([0xff])).finish()).text(10),
      DecodeError,
    )
    assert.throws(() => new ByteReader(new ByteWriter().u64(2n ** 60n).finish()).u53(), DecodeError)
  })
})

describe('a writer', () => {
  it('refuses numbers that do not fit', () => {
    const writer = new ByteWriter()
    for (const wrong of [() => writer.u8(256), () => writer.u16(-1), () => writer.u32(1.5), () => writer.u64(-1n)]) {
      assert.throws(wrong, RangeError)
    }
  })
})
