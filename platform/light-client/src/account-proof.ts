import { equalBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash/keccak256'
import type { Address } from '@cumulus/types'
import { anyBytes, integer, list, record } from './answer.ts'
import { bytesInteger, decodeRlp } from './rlp.ts'
import { SdkError } from './sdk-error.ts'
import { EMPTY_ROOT, valueInTrie } from './trie-proof.ts'

/** What is true of an account in a state. */
export interface ProvenAccount {
  readonly address: Address
  /** Whether there is anything at this address. */
  readonly exists: boolean
  readonly nonce: bigint
  readonly balance: bigint
  readonly codeHash: Uint8Array
  readonly storageRoot: Uint8Array
  /** By slot, as asked for. */
  readonly storage: ReadonlyMap<bigint, bigint>
}

const NODES_MAX = 65
const NODE_BYTES_MAX = 1_024
const NO_CODE = Uint8Array.fromHex('c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470')

/**
 * What an answer of `eth_getProof` proves against a state root. Nothing that it merely claims is returned.
 *
 * @throws SdkError BAD_ANSWER, BAD_PROOF
 */
export function verifyAccountProof(
  stateRoot: Uint8Array,
  address: Address,
  slots: readonly bigint[],
  answer: unknown,
): ProvenAccount {
  const { accountProof, storageProof } = record(answer, 'proof')
  const stored = valueInTrie(stateRoot, keccak256(addressBytes(address)), nodes(accountProof, 'accountProof'))
  const account = stored
    ? decodeAccount(stored)
    : { nonce: 0n, balance: 0n, codeHash: NO_CODE, storageRoot: EMPTY_ROOT }
  const proofs = new Map<bigint, Uint8Array[]>()
  for (const [index, entry] of list(storageProof, slots.length, 'storageProof').entries()) {
    const { key, proof } = record(entry, `storageProof[${index}]`)
    proofs.set(integer(key, 'key'), nodes(proof, `storageProof[${index}].proof`))
  }
  const storage = new Map<bigint, bigint>()
  for (const slot of slots) {
    const proof = proofs.get(slot)
    if (!proof) throw new SdkError('BAD_ANSWER', `there is no proof of slot ${slot}`)
    const value = valueInTrie(account.storageRoot, keccak256(word(slot)), proof)
    storage.set(slot, value ? storedInteger(value) : 0n)
  }
  return { address, exists: stored !== undefined, ...account, storage }
}

function decodeAccount(bytes: Uint8Array) {
  const fields = decodeRlp(bytes)
  if (fields instanceof Uint8Array || fields.length !== 4) throw new SdkError('BAD_PROOF', 'no account')
  const [nonce, balance, storageRoot, codeHash] = fields
  if (
    !(nonce instanceof Uint8Array && balance instanceof Uint8Array) ||
    !(storageRoot instanceof Uint8Array && storageRoot.length === 32) ||
    !(codeHash instanceof Uint8Array && codeHash.length === 32)
  ) {
    throw new SdkError('BAD_PROOF', 'no account')
  }
  return {
    nonce: bytesInteger(nonce),
    balance: bytesInteger(balance),
    codeHash: codeHash.slice(),
    storageRoot: storageRoot.slice(),
  }
}

function storedInteger(bytes: Uint8Array): bigint {
  const value = decodeRlp(bytes)
  if (!(value instanceof Uint8Array) || value.length > 32) throw new SdkError('BAD_PROOF', 'no word of storage')
  return bytesInteger(value)
}

function nodes(value: unknown, name: string): Uint8Array[] {
  return list(value, NODES_MAX, name).map((node, index) => anyBytes(node, NODE_BYTES_MAX, `${name}[${index}]`))
}

function addressBytes(address: Address): Uint8Array {
  if (!/^0x[0-9a-fA-F]{40}$/.test(address)) throw new TypeError(`${address} is no address`)
  return Uint8Array.fromHex(address.slice(2))
}

function word(slot: bigint): Uint8Array {
  if (slot < 0n || slot >= 1n << 256n) throw new RangeError(`${slot} is no slot`)
  return Uint8Array.fromHex(slot.toString(16).padStart(64, '0'))
}

/** Whether code is that of a proven account. */
export function isCodeOf(account: Pick<ProvenAccount, 'codeHash'>, code: Uint8Array): boolean {
  return equalBytes(keccak256(code), account.codeHash)
}
