import { concatBytes, equalBytes, utf8Encode } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import { LedgerError } from '../ledger-error.ts'
import type { LedgerStore, LedgerWrite, StateWrite } from './ledger-store.ts'
import type { StateReader } from './state-reader.ts'

/** How far back the state can be asked for. */
export interface HistoryLimits {
  /** Chain blocks, at least 1. */
  readonly blocks: number
  /** Keys and values of all that is kept for it. The last block is kept whatever its size. */
  readonly bytes: number
}

export const HISTORY_LIMITS: HistoryLimits = { blocks: 1_024, bytes: 2 ** 30 }

const STATE = utf8Encode('history')
const [ACCOUNT, SLOT] = [Uint8Array.of(0), Uint8Array.of(1)]
const NOTHING = new Uint8Array(0)
/** Keys in one row of `changes`: about 60 kB, and what one step of pruning removes at least. */
const CHUNK_KEYS = 1_000
/** Rows removed with a block: more than it adds, so that what is out of date does not pile up. */
const PRUNED_PER_ADDED = 4

/**
 * What each of the last blocks replaced, so that the state can be read as it was.
 *
 * Accounts and slots lie under key ‖ block: what a key was after block h is in its first row with a block above h, one
 * look-up however deep h lies, or else in the table of today. Trie nodes lie under block ‖ key instead. There are five
 * times as many of them, so it counts that a block's rows are written next to each other and go in one piece; whoever
 * proves something looks for a node block by block, unless that of today has the hash its parent names, as most have.
 *
 *     meta `history`   first block with rows u64 ‖ oldest height that can be asked for u64 ‖ bytes u64
 *     changes chunk n  count × (length u8 ‖ key in `old` without the block)
 */
export class History {
  readonly #store: LedgerStore
  readonly #limits: HistoryLimits
  #head: bigint
  /** Below it there are no rows; up to `#oldest` they are on their way out. */
  #first: bigint
  #oldest: bigint
  /** Of the blocks above `#oldest`. */
  #bytes: bigint

  /** @throws RangeError for limits that make no sense */
  constructor(store: LedgerStore, head: bigint, limits: Partial<HistoryLimits> = {}) {
    this.#store = store
    this.#limits = { ...HISTORY_LIMITS, ...limits }
    for (const [name, least] of [
      ['blocks', 1],
      ['bytes', 0],
    ] as const) {
      const limit = this.#limits[name]
      if (!Number.isSafeInteger(limit) || limit < least) throw new RangeError(`a history of ${limit} ${name}`)
    }
    this.#head = head
    const stored = store.get('meta', STATE)
    const [first, oldest, bytes] = stored ? readU64s(stored) : [head + 1n, head, 0n]
    this.#first = first!
    this.#oldest = oldest!
    this.#bytes = bytes!
  }

  /** The first block whose state can still be read. */
  get oldest(): bigint {
    return this.#oldest
  }

  get bytes(): bigint {
    return this.#bytes
  }

  /**
   * What must be written with block `number` so that the blocks before it can be read: what it replaces, and what is no
   * longer kept. Takes effect with `advance`, once it is stored.
   *
   * @param writes of the block to `account`, `slot` and `node`
   */
  record(number: bigint, writes: readonly StateWrite[]): { writes: LedgerWrite[]; advance: () => void } {
    const rows: LedgerWrite[] = []
    const keys: Uint8Array[] = []
    const block = u64(number)
    for (const { table, key, before: known } of writes) {
      if (table !== 'account' && table !== 'slot' && table !== 'node') continue
      const before = known ?? this.#store.get(table, key)?.slice() ?? NOTHING
      if (table === 'node') {
        // Only what a root of before leads to is ever looked for: no row says that there was no node.
        if (before.length > 0) rows.push({ table: 'oldNode', key: concatBytes(block, key), value: before })
        continue
      }
      const name = concatBytes(table === 'account' ? ACCOUNT : SLOT, key)
      rows.push({ table: 'old', key: concatBytes(name, block), value: before })
      keys.push(name)
    }
    for (let i = 0; i < keys.length; i += CHUNK_KEYS) {
      const value = encodeKeys(keys.slice(i, i + CHUNK_KEYS))
      rows.push({ table: 'changes', key: concatBytes(block, u32(i / CHUNK_KEYS + 1)), value })
    }
    let bytes = 0
    for (const { key, value } of rows) bytes += key.length + value!.length
    rows.push({ table: 'changes', key: concatBytes(block, u32(0)), value: u64(BigInt(bytes)) })

    let [first, oldest, total] = [this.#first, this.#oldest, this.#bytes + BigInt(bytes)]
    const isOver = () => number - oldest > BigInt(this.#limits.blocks) || total > BigInt(this.#limits.bytes)
    while (oldest + 1n < number && isOver()) {
      oldest++
      total -= this.#sizeOf(oldest)
    }
    let budget = Math.max(PRUNED_PER_ADDED * rows.length, CHUNK_KEYS)
    while (first <= oldest && budget > 0) {
      const removed = this.#prune(first, budget)
      for (const row of removed.rows) rows.push(row)
      budget -= removed.rows.length
      if (!removed.isWhole) break
      first++
    }
    rows.push({ table: 'meta', key: STATE, value: concatBytes(u64(first), u64(oldest), u64(total)) })
    const advance = () => {
      this.#head = number
      this.#first = first
      this.#oldest = oldest
      this.#bytes = total
    }
    return { writes: rows, advance }
  }

  /**
   * The state after block `at`, for as long as it is kept: each read looks.
   *
   * @throws LedgerError HISTORIC_STATE
   */
  reader(at: bigint): StateReader {
    const store = this.#store
    this.#require(at)
    return {
      get: (table, key) => {
        this.#require(at)
        if (table !== 'code' && at < this.#head) {
          const name = concatBytes(table === 'account' ? ACCOUNT : SLOT, key)
          const [row] = store.keys('old', concatBytes(name, u64(at + 1n)), concatBytes(name, u64(LAST)), 1)
          if (row !== undefined) {
            const before = store.get('old', row)
            return before === undefined || before.length === 0 ? undefined : before
          }
        }
        return store.get(table, key)
      },
      node: (key, hash) => {
        this.#require(at)
        const today = store.get('node', key)
        if (at === this.#head || (today && equalBytes(keccak256(today), hash))) return today
        for (let number = at + 1n; number <= this.#head; number++) {
          const before = store.get('oldNode', concatBytes(u64(number), key))
          if (before !== undefined) return before
        }
        // Asked for anew: a store may answer in memory that it uses again.
        return store.get('node', key)
      },
    }
  }

  #require(at: bigint): void {
    if (at >= this.#oldest && at <= this.#head) return
    throw new LedgerError(
      'HISTORIC_STATE',
      `the state of block ${at} is no longer kept: the oldest is that of block ${this.#oldest}`,
      { number: at, oldest: this.#oldest, head: this.#head },
    )
  }

  #sizeOf(number: bigint): bigint {
    const stored = this.#store.get('changes', concatBytes(u64(number), u32(0)))
    return stored ? readU64s(stored)[0]! : 0n
  }

  /** Removes rows of block `number`, at most `budget` and one chunk. */
  #prune(number: bigint, budget: number): { rows: LedgerWrite[]; isWhole: boolean } {
    const rows: LedgerWrite[] = []
    const [from, before] = [u64(number), u64(number + 1n)]
    const nodes = this.#store.keys('oldNode', from, before, budget)
    for (const key of nodes) rows.push({ table: 'oldNode', key, value: undefined })
    if (rows.length === budget) return { rows, isWhole: false }
    // Chunk 0 sorts first and goes last: it stands for the block.
    const size = concatBytes(from, u32(0))
    for (const key of this.#store.keys('changes', concatBytes(from, u32(1)), before, budget)) {
      if (rows.length >= budget) return { rows, isWhole: false }
      for (const name of decodeKeys(this.#store.get('changes', key)!)) {
        rows.push({ table: 'old', key: concatBytes(name, from), value: undefined })
      }
      rows.push({ table: 'changes', key, value: undefined })
    }
    rows.push({ table: 'changes', key: size, value: undefined })
    return { rows, isWhole: true }
  }
}

/** Above every block number. */
const LAST = (1n << 64n) - 1n

function encodeKeys(keys: readonly Uint8Array[]): Uint8Array {
  return concatBytes(...keys.flatMap((key) => [Uint8Array.of(key.length), key]))
}

function decodeKeys(bytes: Uint8Array): Uint8Array[] {
  const keys: Uint8Array[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + bytes[at]!
    keys.push(bytes.slice(at + 1, end))
    at = end
  }
  return keys
}

function u64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, value)
  return bytes
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}

function readU64s(bytes: Uint8Array): bigint[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: bytes.length / 8 }, (_, i) => view.getBigUint64(8 * i))
}
