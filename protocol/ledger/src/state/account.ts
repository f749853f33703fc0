import { DecodeError } from '@cumulus/bytes'
import { bytesToInteger, decodeRlp, encodeRlp } from '../trie/rlp.ts'
import { EMPTY_ROOT } from '../trie/trie.ts'

/** keccak256 of nothing: the code hash of an account without code. */
export const EMPTY_CODE_HASH = Uint8Array.fromHex('c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470')

/** What the state trie binds for an address (yellow paper, section 4.1). */
export interface Account {
  readonly nonce: bigint
  readonly balance: bigint
  readonly storageRoot: Uint8Array
  readonly codeHash: Uint8Array
}

export const EMPTY_ACCOUNT: Account = {
  nonce: 0n,
  balance: 0n,
  storageRoot: EMPTY_ROOT,
  codeHash: EMPTY_CODE_HASH,
}

export function encodeAccount(account: Account): Uint8Array {
  return encodeRlp([account.nonce, account.balance, account.storageRoot, account.codeHash])
}

export function decodeAccount(rlp: Uint8Array): Account {
  const fields = decodeRlp(rlp)
  if (fields instanceof Uint8Array || fields.length !== 4) throw new DecodeError('an account is a list of 4', 0)
  const [nonce, balance, storageRoot, codeHash] = fields as Uint8Array[]
  return {
    nonce: bytesToInteger(nonce!),
    balance: bytesToInteger(balance!),
    storageRoot: storageRoot!.slice(),
    codeHash: codeHash!.slice(),
  }
}
