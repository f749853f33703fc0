import assert from 'node:assert/strict'
import { createCipheriv } from 'node:crypto'
import { equalBytes } from '@cumulus/bytes'
import { blake3 } from '@cumulus/hash'
import { fragmentIdOfPieces, pieceHashes } from '@cumulus/storage'
import type { FragmentContent, FragmentKey } from '../../src/index.ts'

/** Bytes that depend on nothing but `seed`. */
export function seededBytes(seed: number, length: number): Uint8Array {
  const iv = new Uint8Array(16)
  new DataView(iv.buffer).setUint32(0, seed)
  return new Uint8Array(createCipheriv('aes-128-ctr', new Uint8Array(16), iv).update(new Uint8Array(length)))
}

/** The fragment that a test expects at `key` for `seed`. */
export function fragmentOf(seed: number, length: number): FragmentContent {
  const bytes = seededBytes(seed, length)
  const hashes = pieceHashes(bytes)
  const descriptor = seededBytes(seed + 1_000_000, 428)
  return {
    bytes,
    fragmentId: fragmentIdOfPieces(hashes),
    segmentRoot: blake3(descriptor),
    descriptor,
    pieceHashes: hashes,
  }
}

export function keyOf(stripe: number, group = 1, seat = 3): FragmentKey {
  return { group, stripe, seat }
}

/** As `assert.deepEqual`, without printing a megabyte. */
export function assertSameBytes(actual: Uint8Array, expected: Uint8Array): void {
  assert.equal(actual.length, expected.length)
  assert.ok(equalBytes(actual, expected), 'other bytes')
}
