import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DecodeError } from '@cumulus/bytes'
import { RLP } from '@ethereumjs/rlp'
import fc from 'fast-check'
import { bytesToInteger, decodeRlp, encodeRlp, integerToBytes, type Rlp } from '../../src/trie/rlp.ts'

const { item } = fc.letrec<{ item: Rlp }>((tie) => ({
  item: fc.oneof(
    { depthSize: 'small', maxDepth: 6 },
    fc.oneof(fc.uint8Array({ maxLength: 70 }), fc.uint8Array({ minLength: 250, maxLength: 300 })),
    fc.array(tie('item'), { maxLength: 6 }),
  ),
}))

describe('RLP', () => {
  it('is what @ethereumjs/rlp writes, and reads back', () => {
    fc.assert(
      fc.property(item, (value) => {
        const bytes = encodeRlp(value)
        assert.equal(bytes.toHex(), RLP.encode(value as Uint8Array).toHex())
        assert.deepEqual(decodeRlp(bytes), value)
      }),
    )
  })

  it('has one form for a value: what decodes encodes to the same bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        let value: Rlp
        try {
          value = decodeRlp(bytes)
        } catch (error) {
          assert.ok(error instanceof DecodeError)
          return
        }
        assert.equal(encodeRlp(value).toHex(), bytes.toHex())
      }),
      { numRuns: 1000 },
    )
  })

  for (const [why, hex] of [
    ['nothing', ''],
    ['bytes behind', '8000'],
    ['a small byte with a header', '8101'],
    ['a long length for a short string', `b801${'00'}`],
    ['a length with leading zeros', `b90040${'00'.repeat(64)}`],
    ['a string that is cut off', '83aabb'],
    ['an item that leaves its list', 'c183'],
    ['a length near 2^64', 'ffffffffffffffffff'],
    ['lists nested too deep', nested(40)],
  ] as const) {
    it(`refuses ${why}`, () => {
      assert.throws(() => decodeRlp(Uint8Array.fromHex(hex)), DecodeError)
    })
  }

  it('writes integers without leading zeros', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 256n) - 1n }), (value) => {
        const bytes = integerToBytes(value)
        assert.notEqual(bytes[0], 0)
        assert.equal(bytesToInteger(bytes), value)
      }),
    )
    assert.throws(() => integerToBytes(-1n), RangeError)
  })
})

/** `depth` empty lists in each other. */
function nested(depth: number): string {
  let item: Rlp = []
  for (let i = 0; i < depth; i++) item = [item]
  return encodeRlp(item).toHex()
}
