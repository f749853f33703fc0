import { equalBytes } from '@cumulus/bytes'

/**
 * Everything the ledger keeps, as tables of byte strings. Numbers in keys are u64, big-endian, so that they sort.
 *
 * | table | key | value |
 * |---|---|---|
 * | `meta` | name in UTF-8 | `head`: block number u64; `genesis`: hash of block 0; `mark`: the orderer's note |
 * | `account` | address 20 | RLP [nonce, balance, storage root, code hash], the leaf of the state trie |
 * | `slot` | address 20 ‖ slot 32 | value without leading zeros |
 * | `code` | keccak256 of the code | code |
 * | `node` | 0x00 ‖ path, or 0x01 ‖ address 20 ‖ path; one nibble per byte | RLP of the trie node at that path |
 * | `header` | number u64 | RLP of the header |
 * | `body` | number u64 | RLP list of raw transactions |
 * | `receipts` | number u64 | RLP list, see `chain/receipt.ts` |
 * | `number` | block hash | number u64 |
 * | `transaction` | transaction hash | block number u64 ‖ index u32 |
 */
export type LedgerTable =
  | 'meta'
  | 'account'
  | 'slot'
  | 'code'
  | 'node'
  | 'header'
  | 'body'
  | 'receipts'
  | 'number'
  | 'transaction'

export const LEDGER_TABLES: readonly LedgerTable[] = [
  'meta',
  'account',
  'slot',
  'code',
  'node',
  'header',
  'body',
  'receipts',
  'number',
  'transaction',
]

/** One change; `undefined` removes the key, which need not be there. */
export interface LedgerWrite {
  readonly table: LedgerTable
  readonly key: Uint8Array
  readonly value: Uint8Array | undefined
}

/** What the ledger needs from a disk. Synchronous: execution cannot wait in the middle of a read. */
export interface LedgerStore {
  /** The value, or undefined. Never changed by the ledger; need not outlive the next `write`. */
  get(table: LedgerTable, key: Uint8Array): Uint8Array | undefined
  /**
   * Applies all of `batch`, in order, or nothing of it; durable when it returns. A later write to the same key wins.
   * The ledger does not touch the batch or its arrays afterwards.
   */
  write(batch: readonly LedgerWrite[]): void
}

/**
 * The same store, answering with plain arrays. Databases like to answer with a `Buffer`, whose `slice` shares memory
 * where that of a `Uint8Array` copies: what the ledger means to keep would change under its hands.
 */
export function plainStore(store: LedgerStore): LedgerStore {
  return {
    get: (table, key) => {
      const value = store.get(table, key)
      if (value === undefined || value.constructor === Uint8Array) return value
      return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    },
    write: (batch) => store.write(batch),
  }
}

/** A store for tests, and for chains that may be forgotten. */
export class MemoryLedgerStore implements LedgerStore {
  readonly #tables = new Map<LedgerTable, Map<string, Uint8Array>>(LEDGER_TABLES.map((table) => [table, new Map()]))

  get(table: LedgerTable, key: Uint8Array): Uint8Array | undefined {
    return this.#tables.get(table)!.get(key.toHex())
  }

  write(batch: readonly LedgerWrite[]): void {
    for (const { table, key, value } of batch) {
      if (value === undefined) this.#tables.get(table)!.delete(key.toHex())
      else this.#tables.get(table)!.set(key.toHex(), value.slice())
    }
  }

  /** Number of keys in a table. */
  count(table: LedgerTable): number {
    return this.#tables.get(table)!.size
  }

  /** A copy that goes its own way. */
  clone(): MemoryLedgerStore {
    const copy = new MemoryLedgerStore()
    for (const [table, rows] of this.#tables) copy.#tables.set(table, new Map(rows))
    return copy
  }

  /** Whether both hold the same. */
  equals(other: MemoryLedgerStore): boolean {
    return LEDGER_TABLES.every((table) => {
      const [mine, theirs] = [this.#tables.get(table)!, other.#tables.get(table)!]
      if (mine.size !== theirs.size) return false
      for (const [key, value] of mine) {
        const counterpart = theirs.get(key)
        if (counterpart === undefined || !equalBytes(value, counterpart)) return false
      }
      return true
    })
  }
}
