import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { merkleProof, merkleRoot, verifyMerkleProof } from '@cumulus/merkle'
import fc from 'fast-check'

const leaf = fc.uint8Array({ minLength: 32, maxLength: 32 })
const tree = fc
  .array(leaf, { minLength: 1, maxLength: 40 })
  .chain((leaves) => fc.record({ leaves: fc.constant(leaves), index: fc.nat(leaves.length - 1) }))

describe('a Merkle tree', () => {
  it('proves each of its leaves', () => {
    fc.assert(
      fc.property(tree, ({ leaves, index }) => {
        const proof = merkleProof(leaves, index)
        assert.ok(verifyMerkleProof(merkleRoot(leaves), leaves[index]!, index, leaves.length, proof))
        assert.ok(proof.length <= Math.ceil(Math.log2(leaves.length)))
      }),
    )
  })
  it('proves no other leaf, place, count or path', () => {
    fc.assert(
      fc.property(tree, fc.nat(), leaf, ({ leaves, index }, salt, other) => {
        const root = merkleRoot(leaves)
        const proof = merkleProof(leaves, index)
        const own = leaves[index]!
        fc.pre(Buffer.compare(own, other) !== 0)
        assert.ok(!verifyMerkleProof(root, other, index, leaves.length, proof))
        const elsewhere = salt % leaves.length
        if (Buffer.compare(leaves[elsewhere]!, own) !== 0) {
          assert.ok(!verifyMerkleProof(root, own, elsewhere, leaves.length, proof))
        }
        assert.ok(!verifyMerkleProof(root, own, index, leaves.length, [...proof, other]))
        assert.ok(!verifyMerkleProof(root, own, leaves.length, leaves.length, proof))
        if (proof.length > 0) assert.ok(!verifyMerkleProof(root, own, index, leaves.length, proof.slice(1)))
      }),
    )
  })
  it('has another root when a last leaf is doubled', () => {
    const leaves = [1, 2, 3].map((value) => new Uint8Array(32).fill(value))
    assert.notDeepEqual(merkleRoot(leaves), merkleRoot([...leaves, leaves[2]!]))
  })
  it('has at least one leaf', () => {
    assert.throws(() => merkleRoot([]), RangeError)
    assert.throws(() => merkleProof([new Uint8Array(32)], 1), RangeError)
  })
})
