import { equalBytes } from '@cumulus/bytes'

/**
 * Everything the ledger keeps, as tables of byte strings. Numbers in keys are u64, big-endian, so that they sort.
 *
 * | table | key | value |
 * |---|---|---|
 * | `meta` | name in UTF-8 | `head`: block number u64; `genesis`: hash of block 0; `genesis-inputs`: digest of what it was made from, see `genesis.ts`; `mark`: the orderer's note |
 * | `account` | address 20 | RLP [nonce, balance, storage root, code hash], the leaf of the state trie |
 * | `slot` | address 20 ‖ slot 32 | value without leading zeros |
 * | `code` | keccak256 of the code | code |
 * | `node` | 0x00 ‖ path, or 0x01 ‖ address 20 ‖ path; one nibble per byte | RLP of the trie node at that path |
 * | `header` | number u64 | RLP of the header |
 * | `body` | number u64 | RLP list of raw transactions |
 * | `receipts` | number u64 | RLP list, see `chain/receipt.ts` |
 * | `number` | block hash | number u64 |
 * | `transaction` | transaction hash | block number u64 ‖ index u32 |
 * | `old` | 0x00 ‖ address 20 ‖ block u64, or 0x01 ‖ address 20 ‖ slot 32 ‖ block u64 | what block `block` replaced in `account` or `slot`; empty = nothing was there |
 * | `oldNode` | block u64 ‖ key in `node` | the node that the block replaced |
 * | `changes` | block u64 ‖ chunk u32 | chunk 0: bytes u64 of all these rows of the block; others: keys in `old`, see `history.ts` |
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
  | 'old'
  | 'oldNode'
  | 'changes'

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
  'old',
  'oldNode',
  'changes',
]

/** One change; `undefined` removes the key, which need not be there. */
export interface LedgerWrite {
  readonly table: LedgerTable
  readonly key: Uint8Array
  readonly value: Uint8Array | undefined
}

/** A change of the state, with what it replaces where that is known without asking the store. */
export interface StateWrite extends LedgerWrite {
  /** Empty: nothing is there. */
  readonly before?: Uint8Array | undefined
}

/** What the ledger needs from a disk. Synchronous: execution cannot wait in the middle of a read. */
export interface LedgerStore {
  /** The value, or undefined. Never changed by the ledger; need not outlive the next `write`. */
  get(table: LedgerTable, key: Uint8Array): Uint8Array | undefined
  /** Keys of a table in the order of their bytes, from `from` on and before `before`, `limit` of them at most. */
  keys(table: LedgerTable, from: Uint8Array, before: Uint8Array, limit: number): Uint8Array[]
  /**
   * Applies all of `batch`, in order, or nothing of it; durable when it returns. A later write to the same key wins.
   * The ledger does not touch the batch or its arrays afterwards.
   */
  write(batch: readonly LedgerWrite[]): void
  /**
   * As `write`, but the thread goes on while the disk works. Once all of it is durable, `done` is called; until it is, reads
   * answer as before, and from then on as after. One at a time. A store without it is written to by `write`.
   */
  writeAside?(batch: readonly LedgerWrite[], done: () => void): Promise<void>
}

/**
 * The same store, answering with plain arrays. Databases like to answer with a `Buffer`, whose `slice` shares memory
 * where that of a `Uint8Array` copies: what the ledger means to keep would change under its hands.
 */
export function plainStore(store: LedgerStore): Required<LedgerStore> {
  return {
    get: (table, key) => {
      const value = store.get(table, key)
      return value && plain(value)
    },
    keys: (table, from, before, limit) => store.keys(table, from, before, limit).map(plain),
    write: (batch) => store.write(batch),
    writeAside: async (batch, done) => {
      if (store.writeAside) return store.writeAside(batch, done)
      store.write(batch)
      done()
    },
  }
}

function plain(value: Uint8Array): Uint8Array {
  if (value.constructor === Uint8Array) return value
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
}

/** A store for tests, and for chains that may be forgotten. */
export class MemoryLedgerStore implements LedgerStore {
  readonly #tables = new Map<LedgerTable, Map<string, Uint8Array>>(LEDGER_TABLES.map((table) => [table, new Map()]))
  /** Keys in order, of tables that were asked for them: what was there the last time, and what has come since. */
  readonly #order = new Map<LedgerTable, { sorted: string[]; added: string[] }>()

  get(table: LedgerTable, key: Uint8Array): Uint8Array | undefined {
    return this.#tables.get(table)!.get(key.toHex())
  }

  keys(table: LedgerTable, from: Uint8Array, before: Uint8Array, limit: number): Uint8Array[] {
    const rows = this.#tables.get(table)!
    const sorted = this.#sorted(table)
    const end = before.toHex()
    const found: Uint8Array[] = []
    for (let i = lowerBound(sorted, from.toHex()); i < sorted.length && found.length < limit; i++) {
      if (sorted[i]! >= end) break
      // What was removed since the last sorting is still in the list.
      if (rows.has(sorted[i]!)) found.push(Uint8Array.fromHex(sorted[i]!))
    }
    return found
  }

  write(batch: readonly LedgerWrite[]): void {
    for (const { table, key, value } of batch) {
      const rows = this.#tables.get(table)!
      const name = key.toHex()
      if (value === undefined) rows.delete(name)
      else {
        const order = this.#order.get(table)
        if (order && !rows.has(name)) order.added.push(name)
        rows.set(name, value.slice())
      }
    }
  }

  #sorted(table: LedgerTable): string[] {
    const rows = this.#tables.get(table)!
    const order = this.#order.get(table)
    if (order?.added.length === 0) return order.sorted
    // A key removed and added again may stand in both lists: once is enough.
    const sorted = order
      ? [...new Set([...order.sorted, ...order.added])].filter((key) => rows.has(key)).sort()
      : [...rows.keys()].sort()
    this.#order.set(table, { sorted, added: [] })
    return sorted
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

/** Index of the first item that is not below `key`. */
function lowerBound(sorted: readonly string[], key: string): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (sorted[middle]! < key) low = middle + 1
    else high = middle
  }
  return low
}
