import assert from 'node:assert/strict'
import type { LedgerStore, LedgerWrite } from '../state/ledger-store.ts'
import { decodeRlp, encodeRlp } from '../trie/rlp.ts'
import { decodeHeader, encodeHeader, type HashedHeader } from './header.ts'
import { META, u64Key } from './keys.ts'
import { decodeReceipts, encodeReceipts, type Receipt } from './receipt.ts'
import { decodeTransaction, type Transaction } from './transaction.ts'

export interface StoredBlock {
  readonly header: HashedHeader
  readonly transactions: readonly Transaction[]
  /** One for each transaction; behind them, where module hooks logged, one of type `HOOK_RECEIPT_TYPE`. */
  readonly receipts: readonly Receipt[]
}

/** Where a transaction stands. */
export interface TransactionPlace {
  readonly transaction: Transaction
  readonly receipt: Receipt
  readonly header: HashedHeader
  readonly index: number
  /** Position of its first log among all of the block. */
  readonly firstLogIndex: number
}

/** The blocks of the chain, as they were stored. */
export class BlockStore {
  readonly #store: LedgerStore

  constructor(store: LedgerStore) {
    this.#store = store
  }

  /** The last block, or undefined in an empty store. */
  head(): HashedHeader | undefined {
    const key = this.#store.get('meta', META.head)?.slice()
    if (key === undefined) return undefined
    const header = this.#store.get('header', key)
    assert(header !== undefined, 'the head of the chain is lost')
    return decodeHeader(header)
  }

  /** By number or hash. */
  header(at: bigint | Uint8Array): HashedHeader | undefined {
    const key = this.#key(at)
    const rlp = key && this.#store.get('header', key)
    return rlp && decodeHeader(rlp)
  }

  /** By number or hash. */
  block(at: bigint | Uint8Array): StoredBlock | undefined {
    const header = this.header(at)
    return header && { header, ...this.content(header.number) }
  }

  transaction(hash: Uint8Array): TransactionPlace | undefined {
    const place = this.place(hash)
    if (place === undefined) return undefined
    const { number, index } = place
    const { transactions, receipts } = this.content(number)
    const firstLogIndex = receipts.slice(0, index).reduce((count, { logs }) => count + logs.length, 0)
    return {
      transaction: transactions[index]!,
      receipt: receipts[index]!,
      header: this.header(number)!,
      index,
      firstLogIndex,
    }
  }

  /** Where a transaction stands, without decoding what the block holds. */
  place(hash: Uint8Array): { number: bigint; index: number } | undefined {
    const place = this.#store.get('transaction', hash)
    if (place === undefined) return undefined
    const view = new DataView(place.buffer, place.byteOffset, place.byteLength)
    return { number: view.getBigUint64(0), index: view.getUint32(8) }
  }

  /** As they were signed. */
  rawTransactions(number: bigint): Uint8Array[] {
    const body = this.#store.get('body', u64Key(number))?.slice()
    assert(body !== undefined, `block ${number} is lost`)
    return decodeRlp(body) as Uint8Array[]
  }

  receipts(number: bigint): Receipt[] {
    const stored = this.#store.get('receipts', u64Key(number))?.slice()
    assert(stored !== undefined, `block ${number} is lost`)
    return decodeReceipts(stored)
  }

  content(number: bigint): { transactions: Transaction[]; receipts: Receipt[] } {
    const receipts = this.receipts(number)
    const transactions = this.rawTransactions(number).map((raw, i) => decodeTransaction(raw, receipts[i]!.sender))
    return { transactions, receipts }
  }

  #key(at: bigint | Uint8Array): Uint8Array | undefined {
    if (at instanceof Uint8Array) return this.#store.get('number', at)?.slice()
    return at >= 0n && at < 1n << 64n ? u64Key(at) : undefined
  }
}

/** Everything that is stored of a block but the state; it becomes the head. */
export function blockWrites(
  header: HashedHeader,
  transactions: readonly Transaction[],
  receipts: readonly Receipt[],
): LedgerWrite[] {
  const key = u64Key(header.number)
  const writes: LedgerWrite[] = [
    { table: 'header', key, value: encodeHeader(header) },
    { table: 'body', key, value: encodeRlp(transactions.map((tx) => tx.raw)) },
    { table: 'receipts', key, value: encodeReceipts(receipts) },
    { table: 'number', key: header.hash, value: key },
    { table: 'meta', key: META.head, value: key },
  ]
  transactions.forEach((tx, index) => {
    const place = new Uint8Array(12)
    place.set(key)
    place[8] = index >>> 24
    place[9] = index >>> 16
    place[10] = index >>> 8
    place[11] = index
    writes.push({ table: 'transaction', key: tx.hash, value: place })
  })
  return writes
}
