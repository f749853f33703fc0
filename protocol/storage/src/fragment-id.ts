import { equalBytes } from '@cumulus/bytes'
import { blake3, HASH_BYTES } from '@cumulus/hash'
import { merkleRoot } from '@cumulus/merkle'

/** A fragment is verified in pieces of this size: the smallest range that is read from a miner. */
export const PIECE_BYTES = 64 * 2 ** 10

export function pieceCount(fragmentBytes: number): number {
  return Math.max(1, Math.ceil(fragmentBytes / PIECE_BYTES))
}

/**
 * BLAKE3 of every 64 KiB piece of a fragment, one after the other: 32 bytes each, 4 KiB for a full fragment of 8 MiB.
 * The last piece is as short as it is. Costs one pass over the fragment.
 */
export function pieceHashes(fragment: Uint8Array): Uint8Array {
  const count = pieceCount(fragment.length)
  const hashes = new Uint8Array(count * HASH_BYTES)
  for (let i = 0; i < count; i++) {
    hashes.set(blake3(fragment.subarray(i * PIECE_BYTES, (i + 1) * PIECE_BYTES)), i * HASH_BYTES)
  }
  return hashes
}

/**
 * The fragment id: Merkle root over the piece hashes. Two fragments of equal length have equal ids only if they are
 * equal; the length itself is bound by the segment descriptor, which fixes the shape of the tree.
 */
export function fragmentIdOfPieces(hashes: Uint8Array): Uint8Array {
  if (hashes.length === 0 || hashes.length % HASH_BYTES !== 0) throw new RangeError('piece hashes are 32 bytes each')
  const leaves: Uint8Array[] = []
  for (let at = 0; at < hashes.length; at += HASH_BYTES) leaves.push(hashes.subarray(at, at + HASH_BYTES))
  return merkleRoot(leaves)
}

export function fragmentIdOf(fragment: Uint8Array): Uint8Array {
  return fragmentIdOfPieces(pieceHashes(fragment))
}

/**
 * Whether `bytes` are the pieces of a fragment from piece `firstPiece` on, by its list of piece hashes.
 *
 * @param hashes the whole list, already checked against the fragment id
 */
export function verifyPieces(hashes: Uint8Array, firstPiece: number, bytes: Uint8Array): boolean {
  const count = pieceCount(bytes.length)
  if (firstPiece < 0 || (firstPiece + count) * HASH_BYTES > hashes.length) return false
  for (let i = 0; i < count; i++) {
    const at = (firstPiece + i) * HASH_BYTES
    const piece = bytes.subarray(i * PIECE_BYTES, (i + 1) * PIECE_BYTES)
    if (!equalBytes(blake3(piece), hashes.subarray(at, at + HASH_BYTES))) return false
  }
  return true
}
