import { verifyMerkleProof } from '@ethereumjs/mpt'
import { fromRlp, type Hex, hexToBytes, toRlp } from 'viem'
import { keccak256 } from 'viem/utils'

/** What `eth_getProof` answers. */
export interface Proof {
  readonly balance: Hex
  readonly nonce: Hex
  readonly codeHash: Hex
  readonly storageHash: Hex
  readonly accountProof: readonly Hex[]
  readonly storageProof: readonly { readonly key: Hex; readonly value: Hex; readonly proof: readonly Hex[] }[]
}

/**
 * Checks an EIP-1186 proof against a state root with somebody else's trie: the account is what the proof says it is, and
 * so is each of its slots. Throws otherwise.
 */
export async function verifyProof(address: Hex, proof: Proof, stateRoot: Hex): Promise<void> {
  const account = await proven(stateRoot, address, proof.accountProof)
  const claimed = toRlp([integer(proof.nonce), integer(proof.balance), proof.storageHash, proof.codeHash])
  const isEmpty = BigInt(proof.nonce) === 0n && BigInt(proof.balance) === 0n && account === null
  if (!isEmpty && account !== claimed) throw new Error(`the account is ${account}, not ${claimed}`)
  for (const { key, value, proof: nodes } of proof.storageProof) {
    const slot = `0x${BigInt(key).toString(16).padStart(64, '0')}` as Hex
    const rlp = await proven(proof.storageHash, slot, nodes)
    const found = rlp === null ? 0n : BigInt(fromRlp(rlp, 'hex') as Hex)
    if (found !== BigInt(value)) throw new Error(`slot ${key} holds ${found}, not ${value}`)
  }
}

/** Root of a trie that holds nothing: keccak256(rlp('')). */
const EMPTY_ROOT = '0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421'

async function proven(root: Hex, key: Hex, nodes: readonly Hex[]): Promise<Hex | null> {
  if (root === EMPTY_ROOT && nodes.length === 0) return null
  const value = await verifyMerkleProof(
    hexToBytes(keccak256(key)),
    nodes.map((node) => hexToBytes(node)),
    {
      root: hexToBytes(root),
    },
  )
  return value === null ? null : `0x${value.toHex()}`
}

/** RLP has integers without leading zeros, and zero as nothing. */
function integer(quantity: Hex): Hex {
  const digits = BigInt(quantity).toString(16)
  return digits === '0' ? '0x' : `0x${digits.length % 2 ? '0' : ''}${digits}`
}
