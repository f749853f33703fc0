import { DecodeError, equalBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import type { LedgerStore } from '../state/ledger-store.ts'
import { decodeRlp } from '../trie/rlp.ts'
import { type BlockHeader, decodeHeader, encodeHeader, type HashedHeader } from './header.ts'
import { indexedRoot } from './receipt.ts'

/** A chain block as it lies in the store, and as it travels between nodes. */
export interface RawBlock {
  /** RLP of the header; its keccak256 is the hash of the block. */
  readonly header: Uint8Array
  /** RLP list of raw transactions, in the order in which they were executed. */
  readonly body: Uint8Array
}

/** A block of the store without decoding it, or undefined if it is not kept. */
export function readRawBlock(store: LedgerStore, number: bigint): RawBlock | undefined {
  const key = new Uint8Array(8)
  new DataView(key.buffer).setBigUint64(0, number)
  const [header, body] = [store.get('header', key), store.get('body', key)]
  return header && body && { header: header.slice(), body: body.slice() }
}

/**
 * A header that came from a stranger. Only the one encoding that hashes to its own hash is taken.
 *
 * @throws DecodeError
 */
export function decodeForeignHeader(rlp: Uint8Array): HashedHeader {
  const header = decodeHeader(rlp)
  if (!Number.isSafeInteger(header.timestampMs)) throw new DecodeError('no time in ms', 0)
  if (!equalBytes(keccak256(rlp), header.hash)) throw new DecodeError('a header in another than its one form', 0)
  return header
}

/**
 * The raw transactions of a body that came from a stranger, if it is the one that the header names.
 *
 * @throws DecodeError
 */
export function decodeForeignBody(header: HashedHeader, body: Uint8Array): Uint8Array[] {
  const list = decodeRlp(body)
  if (list instanceof Uint8Array || !list.every((item) => item instanceof Uint8Array)) {
    throw new DecodeError('a body is a list of transactions', 0)
  }
  const raws = list as Uint8Array[]
  if (!equalBytes(indexedRoot(raws), header.transactionsRoot)) {
    throw new DecodeError(`not the transactions of block ${header.number}`, 0)
  }
  return raws
}

/**
 * Executing a block gave another one than the network agreed on. Its fields say where they differ; nothing was stored.
 * One of the two executions is wrong, and no node can know which: this one stops.
 */
export class BlockMismatch extends Error {
  readonly code = 'BLOCK_MISMATCH'
  readonly expected: HashedHeader
  readonly computed: HashedHeader
  /** Names of the header fields that differ. */
  readonly fields: readonly string[]

  constructor(expected: HashedHeader, computed: HashedHeader) {
    const fields = (Object.keys(expected) as (keyof BlockHeader)[]).filter(
      (field) => plain(expected[field]) !== plain(computed[field]),
    )
    super(`block ${expected.number} differs from the agreed one in ${fields.join(', ')}`)
    this.name = 'BlockMismatch'
    this.expected = expected
    this.computed = computed
    this.fields = fields
  }

  /** For the file that an operator sends to whoever looks for the cause. */
  toJSON(): object {
    const shown = (header: HashedHeader) => ({
      ...Object.fromEntries(Object.entries(header).map(([field, value]) => [field, plain(value)])),
      rlp: encodeHeader(header).toHex(),
    })
    return { fields: this.fields, expected: shown(this.expected), computed: shown(this.computed) }
  }
}

/** @throws BlockMismatch */
export function requireSameBlock(expected: HashedHeader | undefined, computed: HashedHeader): void {
  if (expected !== undefined && !equalBytes(expected.hash, computed.hash)) throw new BlockMismatch(expected, computed)
}

function plain(value: unknown): string {
  return value instanceof Uint8Array ? value.toHex() : String(value)
}
