import { concatBytes, equalBytes } from '@cumulus/bytes'
import { blake3, HASH_BYTES } from '@cumulus/hash'

/**
 * A binary Merkle tree over 32-byte leaf hashes, BLAKE3 inside. A node is H(0x01 ‖ left ‖ right); a node without a
 * sibling moves up unchanged, so that no leaf is doubled (CVE-2012-2459). Leaves are hashed by the caller with
 * another first byte or another length, so that no leaf passes for a node.
 */

/** Sibling hashes from the leaf to the root, those that exist. */
export type MerkleProof = readonly Uint8Array[]

const NODE_PREFIX = new Uint8Array([1])

/** Root over `leaves` (at least one, 32 bytes each). One leaf is its own root. */
export function merkleRoot(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 0) throw new RangeError('a Merkle tree has at least one leaf')
  let level = leaves
  while (level.length > 1) level = nextLevel(level)
  return level[0]!
}

/** Proof that `leaves[index]` is under `merkleRoot(leaves)`. */
export function merkleProof(leaves: readonly Uint8Array[], index: number): MerkleProof {
  if (!Number.isInteger(index) || index < 0 || index >= leaves.length) {
    throw new RangeError(`leaf ${index} is outside 0..${leaves.length - 1}`)
  }
  const siblings: Uint8Array[] = []
  let level = leaves
  let position = index
  while (level.length > 1) {
    const sibling = level[position ^ 1]
    if (sibling) siblings.push(sibling)
    level = nextLevel(level)
    position >>= 1
  }
  return siblings
}

/** Whether `leaf` stands at `index` of the `leafCount` leaves under `root`. */
export function verifyMerkleProof(
  root: Uint8Array,
  leaf: Uint8Array,
  index: number,
  leafCount: number,
  proof: MerkleProof,
): boolean {
  if (!Number.isInteger(index) || index < 0 || index >= leafCount || leaf.length !== HASH_BYTES) return false
  let node = leaf
  let position = index
  let width = leafCount
  let used = 0
  while (width > 1) {
    if ((position ^ 1) < width) {
      const sibling = proof[used++]
      if (sibling?.length !== HASH_BYTES) return false
      node = position & 1 ? parent(sibling, node) : parent(node, sibling)
    }
    position >>= 1
    width = (width + 1) >> 1
  }
  return used === proof.length && equalBytes(node, root)
}

function nextLevel(level: readonly Uint8Array[]): Uint8Array[] {
  const above: Uint8Array[] = []
  for (let i = 0; i < level.length; i += 2) {
    const right = level[i + 1]
    above.push(right ? parent(level[i]!, right) : level[i]!)
  }
  return above
}

function parent(left: Uint8Array, right: Uint8Array): Uint8Array {
  return blake3(concatBytes(NODE_PREFIX, left, right))
}
