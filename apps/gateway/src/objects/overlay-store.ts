import { equalBytes } from '@cumulus/bytes'
import { Deferred, type Logger, sleep } from '@cumulus/service'
import type { Database, Table as DatabaseTable } from '@cumulus/store'
import type { IndexStore, Table } from './index-store.ts'

/** A value, or null where the key is deleted. Keys are bytes as a string of char codes 0 to 255, so that they compare as bytes do. */
type Changes = Map<string, Uint8Array | null>

/** So often changes go to the database. Longer = fewer syncs on the disk that the pack log needs; the log covers the gap. */
const FLUSH_MS = 50
/** Above this many bytes of changes not written yet, new ones are refused: the disk is full or broken. */
const OVERLAY_BYTES_MAX = 48 * 2 ** 20

/**
 * An index whose transactions are visible at once and reach LMDB in the background, many in one commit. What LMDB holds
 * is always the state after some transaction, never between two. Durability comes from the pack log; `flushed` is
 * asked for before a log is dropped.
 */
export class OverlayStore implements IndexStore {
  readonly #database: Database
  readonly #log: Logger
  readonly #tables = new Map<string, OverlayTable>()
  #overlayBytes = 0
  #flushing: Promise<void> | undefined
  /** Resolved by who waits for a flush. */
  #hurry = new Deferred()
  #closed = false
  #failure: unknown

  constructor(database: Database, log: Logger) {
    this.#database = database
    this.#log = log
  }

  table(name: string): Table {
    let table = this.#tables.get(name)
    if (!table) this.#tables.set(name, (table = new OverlayTable(this.#database.table(name))))
    return table
  }

  transact<Result>(work: () => Result): Result {
    if (this.#closed) throw new Error('the index is closed')
    if (this.#overlayBytes > OVERLAY_BYTES_MAX) throw new Error('the index cannot be written', { cause: this.#failure })
    for (const table of this.#tables.values()) table.begin()
    try {
      const result = work()
      for (const table of this.#tables.values()) this.#overlayBytes += table.commit()
      this.#flushing ??= this.#flush()
      return result
    } catch (error) {
      for (const table of this.#tables.values()) table.abort()
      throw error
    }
  }

  async flushed(): Promise<void> {
    // The flush under way may have begun before the last change: wait for the one after it as well.
    for (let i = 0; i < 2; i++) {
      if (!this.#flushing && !this.#isDirty()) return
      this.#hurry.resolve()
      await (this.#flushing ??= this.#flush())
    }
  }

  async close(): Promise<void> {
    await this.flushed()
    this.#closed = true
    await this.#database.close()
  }

  #isDirty(): boolean {
    for (const table of this.#tables.values()) if (table.current.size > 0) return true
    return false
  }

  /** Until it works: nothing may be forgotten, and nothing else can be done. */
  async #flush(): Promise<void> {
    await Promise.race([sleep(FLUSH_MS), this.#hurry.promise])
    this.#hurry = new Deferred()
    for (const table of this.#tables.values()) table.freeze()
    const bytes = this.#overlayBytes
    for (let waitMs = 100; ; waitMs = Math.min(5_000, waitMs * 2)) {
      try {
        await this.#database.write((batch) => {
          for (const table of this.#tables.values()) {
            for (const [key, value] of table.frozen) {
              if (value) batch.put(table.target, toBytes(key), value)
              else batch.delete(table.target, toBytes(key))
            }
          }
        })
        break
      } catch (error) {
        this.#failure = error
        this.#log.error('index not written', { error })
        if (this.#closed || (error as { code?: string }).code === 'CLOSED') throw error
        await sleep(waitMs)
      }
    }
    for (const table of this.#tables.values()) table.thaw()
    this.#overlayBytes -= bytes
    this.#flushing = this.#isDirty() ? this.#flush() : undefined
  }
}

class OverlayTable implements Table {
  readonly target: DatabaseTable
  /** Committed, not handed to the database yet. */
  current: Changes = new Map()
  /** Being written by the database. */
  frozen: Changes = new Map()
  /** Of the transaction at hand. */
  #open: Changes | undefined

  constructor(target: DatabaseTable) {
    this.target = target
  }

  begin(): void {
    this.#open = new Map()
  }

  commit(): number {
    let bytes = 0
    for (const [key, value] of this.#open!) {
      this.current.set(key, value)
      bytes += key.length + (value?.length ?? 0)
    }
    this.#open = undefined
    return bytes
  }

  abort(): void {
    this.#open = undefined
  }

  freeze(): void {
    this.frozen = this.current
    this.current = new Map()
  }

  thaw(): void {
    this.frozen = new Map()
  }

  get(key: Uint8Array): Uint8Array | undefined {
    if (this.#open?.size || this.current.size || this.frozen.size) {
      const name = toName(key)
      let value = this.#open?.get(name)
      if (value === undefined) value = this.current.get(name)
      if (value === undefined) value = this.frozen.get(name)
      if (value !== undefined) return value ?? undefined
    }
    const stored = this.target.get(key)
    // Without Buffer's methods: its `slice` is no copy.
    return stored && new Uint8Array(stored.buffer, stored.byteOffset, stored.length)
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#changes().set(toName(key), value)
  }

  delete(key: Uint8Array): void {
    this.#changes().set(toName(key), null)
  }

  *range(start: Uint8Array, end?: Uint8Array): Iterable<{ key: Uint8Array; value: Uint8Array }> {
    const overlay = this.#overlayRange(start, end)
    let at = 0
    const stored = this.target.range({ ...(start.length > 0 ? { gte: start } : {}), ...(end ? { lt: end } : {}) })
    for (const entry of stored) {
      const name = toName(entry.key)
      while (at < overlay.length && overlay[at]!.name < name) {
        const { key, value } = overlay[at++]!
        if (value) yield { key, value }
      }
      const over = overlay[at]
      if (over && equalBytes(over.key, entry.key)) {
        at++
        if (over.value) yield { key: over.key, value: over.value }
      } else yield entry
    }
    for (; at < overlay.length; at++) {
      const { key, value } = overlay[at]!
      if (value) yield { key, value }
    }
  }

  #overlayRange(start: Uint8Array, end?: Uint8Array): { name: string; key: Uint8Array; value: Uint8Array | null }[] {
    const low = toName(start)
    const high = end && toName(end)
    const merged: Changes = new Map()
    for (const changes of [this.frozen, this.current, this.#open]) {
      if (!changes) continue
      for (const [name, value] of changes) {
        if (name >= low && (high === undefined || name < high)) merged.set(name, value)
      }
    }
    return [...merged.keys()].sort(compareNames).map((name) => ({ name, key: toBytes(name), value: merged.get(name)! }))
  }

  #changes(): Changes {
    if (!this.#open) throw new Error('writes belong in a transaction')
    return this.#open
  }
}

function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function toName(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')
}

function toBytes(name: string): Uint8Array {
  return Buffer.from(name, 'latin1')
}
