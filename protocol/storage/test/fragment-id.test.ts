import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fragmentIdOf, fragmentIdOfPieces, PIECE_BYTES, pieceCount, pieceHashes, verifyPieces } from '@cumulus/storage'
import fc from 'fast-check'

const anyFragment = fc.tuple(fc.integer({ min: 1, max: 4 * PIECE_BYTES }), fc.nat(255)).map(([length, salt]) => {
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8) + salt) & 0xff
  return bytes
})

describe('a fragment id', () => {
  it('is the root over the hashes of 64 KiB pieces', () => {
    fc.assert(
      fc.property(anyFragment, (fragment) => {
        const hashes = pieceHashes(fragment)
        assert.equal(hashes.length, 32 * pieceCount(fragment.length))
        assert.deepEqual(fragmentIdOfPieces(hashes), fragmentIdOf(fragment))
      }),
      { numRuns: 30 },
    )
  })
  it('verifies any run of whole pieces, and no other bytes', () => {
    fc.assert(
      fc.property(anyFragment, fc.nat(), fc.nat(), (fragment, a, b) => {
        const hashes = pieceHashes(fragment)
        const first = a % pieceCount(fragment.length)
        const last = first + (b % (pieceCount(fragment.length) - first))
        const run = fragment.slice(first * PIECE_BYTES, (last + 1) * PIECE_BYTES)
        assert.ok(verifyPieces(hashes, first, run))
        run[(a * 7919 + b) % run.length]! ^= 4
        assert.ok(!verifyPieces(hashes, first, run))
      }),
      { numRuns: 50 },
    )
  })
  it('refuses runs past the end', () => {
    const fragment = new Uint8Array(2 * PIECE_BYTES)
    assert.ok(!verifyPieces(pieceHashes(fragment), 1, fragment))
    assert.ok(!verifyPieces(pieceHashes(fragment), -1, fragment))
  })
})
