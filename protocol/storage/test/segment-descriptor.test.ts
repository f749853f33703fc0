import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DecodeError } from '@cumulus/bytes'
import {
  decodeDescriptor,
  encodeDescriptor,
  fragmentLength,
  type SegmentDescriptor,
  segmentRoot,
} from '@cumulus/storage'
import fc from 'fast-check'

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
const anyDescriptor: fc.Arbitrary<SegmentDescriptor> = fc.integer({ min: 1, max: 16 }).chain((n) =>
  fc.record(
    {
      classId: fc.nat(255),
      codec: fc.nat(255),
      dataCount: fc.integer({ min: 1, max: n }),
      length: fc.nat(0xffff_ffff),
      journalDigest: bytes32,
      fragmentIds: fc.array(bytes32, { minLength: n, maxLength: n }),
    },
    { noNullPrototype: true },
  ),
)

describe('a segment descriptor', () => {
  it('is decoded from what it was encoded to', () => {
    fc.assert(fc.property(anyDescriptor, (d) => assert.deepEqual(decodeDescriptor(encodeDescriptor(d)), d)))
  })
  it('is refused when cut, lengthened or of another version', () => {
    fc.assert(
      fc.property(anyDescriptor, fc.nat(), (descriptor, salt) => {
        const bytes = encodeDescriptor(descriptor)
        assert.throws(() => decodeDescriptor(bytes.subarray(0, salt % bytes.length)), DecodeError)
        assert.throws(() => decodeDescriptor(new Uint8Array([...bytes, 0])), DecodeError)
        bytes[0] = 2
        assert.throws(() => decodeDescriptor(bytes), /unknown version 2/)
      }),
    )
  })
  it('has another root as soon as one bit of it differs', () => {
    fc.assert(
      fc.property(anyDescriptor, fc.nat(), (descriptor, salt) => {
        const bytes = encodeDescriptor(descriptor)
        const root = segmentRoot(descriptor)
        bytes[salt % bytes.length]! ^= 1 << (salt % 8)
        let other: SegmentDescriptor
        try {
          other = decodeDescriptor(bytes)
        } catch {
          return
        }
        assert.notDeepEqual(segmentRoot(other), root)
      }),
    )
  })
})

describe('a fragment', () => {
  it('is a k-th of its segment in whole pages, and at least one page', () => {
    assert.equal(fragmentLength(32 * 2 ** 20, 4), 8 * 2 ** 20)
    assert.equal(fragmentLength(0, 4), 4096)
    fc.assert(
      fc.property(fc.nat(64 * 2 ** 20), fc.integer({ min: 1, max: 16 }), (length, k) => {
        const each = fragmentLength(length, k)
        assert.equal(each % 4096, 0)
        assert.ok(each * k >= length && (each - 4096) * k < Math.max(length, 1))
      }),
    )
  })
})
