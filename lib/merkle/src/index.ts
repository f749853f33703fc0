export { type MerkleProof, merkleProof, merkleRoot, verifyMerkleProof } from './merkle-tree.ts'
