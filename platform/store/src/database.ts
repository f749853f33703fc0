import { mkdir, statfs } from 'node:fs/promises'
import { type Database as LmdbDatabase, open, type RootDatabase } from 'lmdb'
import { StoreError } from './store-error.ts'

export interface DatabaseInit {
  /**
   * Most bytes of data. LMDB's own map size is no limit (it grows by itself), so this one is kept here: writes that
   * add are refused once pages in use pass five eighths of it. The rest is for copy-on-write and for free pages that do
   * not lie side by side. Default: none.
   */
  readonly limitBytes?: number
  /** Address space to begin with, no disk. Growing it later stalls readers for a moment. Default 16 GiB. */
  readonly mapBytes?: number
  /** Tables that may be opened. Default 32. */
  readonly tablesMax?: number
  /** Bytes of writes that may wait for their commit. Default 64 MiB. */
  readonly waitingBytesMax?: number
}

/** Changes that become durable together or not at all. Later ones win. */
export interface WriteBatch {
  put(table: Table, key: Uint8Array, value: Uint8Array): void
  delete(table: Table, key: Uint8Array): void
}

export interface RangeQuery {
  /** Keys from this one on. */
  readonly gte?: Uint8Array
  /** Keys after this one. */
  readonly gt?: Uint8Array
  /** Keys before this one. */
  readonly lt?: Uint8Array
  /** From the last key down. */
  readonly reverse?: boolean
  readonly limit?: number
}

interface Change {
  readonly table: Table
  readonly key: Uint8Array
  /** undefined = delete */
  readonly value: Uint8Array | undefined
}

interface Waiting {
  readonly changes: Change[]
  readonly bytes: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** LMDB's own limit is 1,978 for pages of 4 KiB. */
const KEY_BYTES_MAX = 1900
/** So many changes at most in one commit: bounds its dirty pages. */
const CHANGES_PER_COMMIT = 8192
const RANGE_PAGE_COUNT = 128

/**
 * Durable tables of bytes over LMDB. Writes of all callers are collected while the last commit is under way and then
 * committed together: each `write` is atomic, and resolves when it is synced to disk. Reads are synchronous and see
 * what is committed. One process per folder.
 */
export class Database {
  readonly folder: string
  readonly #root: RootDatabase<Buffer, Uint8Array>
  readonly #tables = new Map<string, Table>()
  readonly #limitBytes: number
  readonly #waitingBytesMax: number
  #waiting: Waiting[] = []
  #waitingBytes = 0
  #pump: Promise<void> | undefined
  #closed = false
  /** Commits so far, for metrics: writes per commit tell how well grouping works. */
  commitCount = 0

  private constructor(folder: string, root: RootDatabase<Buffer, Uint8Array>, init: DatabaseInit) {
    this.folder = folder
    this.#root = root
    this.#limitBytes = init.limitBytes ?? Number.POSITIVE_INFINITY
    this.#waitingBytesMax = init.waitingBytesMax ?? 64 * 2 ** 20
  }

  /** Opens the database in `folder`, making both if needed. */
  static async open(folder: string, init: DatabaseInit = {}): Promise<Database> {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const root = open<Buffer, Uint8Array>({
      path: folder,
      noSubdir: false, // or a dot in the folder's name makes it a file name
      maxDbs: init.tablesMax ?? 32,
      mapSize: init.mapBytes ?? (init.limitBytes ? Math.max(64 * 2 ** 20, 4 * init.limitBytes) : 16 * 2 ** 30),
      encoding: 'binary',
      keyEncoding: 'binary',
      overlappingSync: false, // a commit that resolved is on disk: data, fdatasync, then the root page with O_DSYNC
      eventTurnBatching: false, // we batch; its hidden promise would be an unhandled rejection when a commit fails
    })
    return new Database(folder, root, init)
  }

  /** The table of this name, made if there is none. */
  table(name: string): Table {
    let table = this.#tables.get(name)
    if (!table) {
      table = new Table(
        this,
        this.#root.openDB<Buffer, Uint8Array>({ name, encoding: 'binary', keyEncoding: 'binary' }),
      )
      this.#tables.set(name, table)
    }
    return table
  }

  /**
   * Collects changes from `fill` and makes them durable, all or none. Keys and values must not change until it
   * resolves. Changes of one call are seen by later reads as soon as it resolves.
   *
   * @throws StoreError DATABASE_FULL | DATABASE_BUSY | DISK_FULL | COMMIT_FAILED | CLOSED; nothing of it was written
   */
  write(fill: (batch: WriteBatch) => void): Promise<void> {
    const changes: Change[] = []
    let bytes = 0
    let adds = false
    fill({
      put: (table, key, value) => {
        checkKey(key)
        changes.push({ table, key, value })
        bytes += footprint(key, value)
        adds = true
      },
      delete: (table, key) => {
        checkKey(key)
        changes.push({ table, key, value: undefined })
      },
    })
    if (changes.length === 0) return Promise.resolve()
    if (this.#closed) return Promise.reject(new StoreError('CLOSED', 'the database is closed'))
    if (this.#waitingBytes + bytes > this.#waitingBytesMax) {
      return Promise.reject(
        new StoreError('DATABASE_BUSY', 'too much waits to be written', { waitingBytes: this.#waitingBytes }),
      )
    }
    if (adds && this.#limitBytes !== Number.POSITIVE_INFINITY) {
      const usedBytes = this.usedBytes + this.#waitingBytes
      if (usedBytes + bytes > this.#limitBytes * 0.625) {
        const details = { usedBytes, limitBytes: this.#limitBytes }
        return Promise.reject(new StoreError('DATABASE_FULL', 'the index has reached its limit', details))
      }
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ changes, bytes, resolve, reject })
      this.#waitingBytes += bytes
      this.#pump ??= this.#commitAll()
    })
  }

  /** Bytes of pages that hold data, by LMDB's own count. */
  get usedBytes(): number {
    let bytes = pageBytes(this.#root.getStats())
    for (const table of this.#tables.values()) bytes += pageBytes(table.stats)
    return bytes
  }

  /** Size of the file: pages in use, and free ones that later commits will use. */
  get fileBytes(): number {
    const { lastPageNumber, pageSize } = this.#root.getStats() as { lastPageNumber: number; pageSize: number }
    return (lastPageNumber + 1) * pageSize
  }

  /** Waits for writes under way, then closes. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#pump
    await this.#root.close()
  }

  async #commitAll(): Promise<void> {
    // Callers of this turn of the event loop come along.
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      const group = this.#nextGroup()
      let bytes = 0
      for (const waiting of group) bytes += waiting.bytes
      try {
        await this.#commit(group)
        for (const waiting of group) waiting.resolve()
      } catch (error) {
        for (const waiting of group) waiting.reject(error)
      } finally {
        this.#waitingBytes -= bytes
      }
    }
    this.#pump = undefined
  }

  #nextGroup(): Waiting[] {
    let count = 0
    let changes = 0
    while (count < this.#waiting.length && (count === 0 || changes < CHANGES_PER_COMMIT)) {
      changes += this.#waiting[count++]!.changes.length
    }
    return this.#waiting.splice(0, count)
  }

  async #commit(group: readonly Waiting[]): Promise<void> {
    try {
      // A child transaction: a throw in the middle undoes what came before it, which a plain one would commit.
      await this.#root.childTransaction(() => {
        for (const { changes } of group) {
          for (const { table, key, value } of changes) {
            if (value) table.putNow(key, value)
            else table.deleteNow(key)
          }
        }
      })
      this.commitCount++
    } catch (error) {
      // The reason travels in a promise of its own, which nobody else will ever look at.
      const cause = await Promise.resolve((error as { commitError?: Promise<unknown> }).commitError).then(
        () => error,
        (reason: unknown) => reason,
      )
      const { bavail, bsize } = await statfs(this.folder)
      const full = bavail * bsize < 2 ** 20 // LMDB answers a short write with EIO
      throw new StoreError(
        full ? 'DISK_FULL' : 'COMMIT_FAILED',
        `cannot commit to ${this.folder}`,
        { freeBytes: bavail * bsize },
        { cause },
      )
    }
  }
}

/** Keys in the order of their bytes, each with one value. Made by `Database.table`. */
export class Table {
  readonly #database: Database
  readonly #lmdb: LmdbDatabase<Buffer, Uint8Array>

  constructor(database: Database, lmdb: LmdbDatabase<Buffer, Uint8Array>) {
    this.#database = database
    this.#lmdb = lmdb
  }

  /** A copy of the value: the caller's to keep. */
  get(key: Uint8Array): Uint8Array | undefined {
    return this.#lmdb.getBinary(key)
  }

  has(key: Uint8Array): boolean {
    return this.#lmdb.doesExist(key)
  }

  put(key: Uint8Array, value: Uint8Array): Promise<void> {
    return this.#database.write((batch) => batch.put(this, key, value))
  }

  delete(key: Uint8Array): Promise<void> {
    return this.#database.write((batch) => batch.delete(this, key))
  }

  /**
   * Entries in order. Read in pages of 128: the caller may wait between items, and then sees later changes ahead
   * of it, but no entry twice.
   */
  *range(query: RangeQuery = {}): Generator<{ key: Uint8Array; value: Uint8Array }> {
    let rest = query.limit ?? Number.POSITIVE_INFINITY
    let from = query
    while (rest > 0) {
      const page = [...this.#lmdb.getRange({ ...boundsOf(from), limit: Math.min(rest, RANGE_PAGE_COUNT) })] as {
        key: Uint8Array
        value: Uint8Array
      }[]
      yield* page
      if (page.length < RANGE_PAGE_COUNT) return
      rest -= page.length
      const last = page[page.length - 1]!.key
      from = query.reverse ? { ...query, lt: last } : { lt: query.lt, gt: last }
    }
  }

  /** Number of entries. O(1). */
  get count(): number {
    return (this.stats as { entryCount: number }).entryCount
  }

  /** For `Database` only. */
  get stats(): object {
    return this.#lmdb.getStats()
  }

  /** For `Database` only, inside a transaction. */
  putNow(key: Uint8Array, value: Uint8Array): void {
    this.#lmdb.put(key, value as Buffer)
  }

  /** For `Database` only, inside a transaction. */
  deleteNow(key: Uint8Array): void {
    this.#lmdb.remove(key)
  }
}

function boundsOf(query: RangeQuery): object {
  const low = query.gt ?? query.gte
  if (query.reverse) {
    return {
      reverse: true,
      ...(query.lt ? { start: query.lt, exclusiveStart: true } : {}),
      ...(low ? { end: low, inclusiveEnd: query.gt === undefined } : {}),
    }
  }
  return {
    ...(low ? { start: low, exclusiveStart: query.gt !== undefined } : {}),
    ...(query.lt ? { end: query.lt } : {}),
  }
}

function checkKey(key: Uint8Array): void {
  if (key.length === 0 || key.length > KEY_BYTES_MAX) {
    throw new RangeError(`a key has 1 to ${KEY_BYTES_MAX} bytes, not ${key.length}`)
  }
}

/** Bytes of pages that an entry needs: whole ones where it does not fit half a page. */
function footprint(key: Uint8Array, value: Uint8Array): number {
  const bytes = 16 + key.length + value.length
  return bytes > 2000 ? Math.ceil(bytes / 4096) * 4096 + 64 : bytes
}

interface LmdbStats {
  readonly pageSize: number
  readonly treeBranchPageCount: number
  readonly treeLeafPageCount: number
  readonly overflowPages: number
}

function pageBytes(stats: object): number {
  const { pageSize, treeBranchPageCount, treeLeafPageCount, overflowPages } = stats as LmdbStats
  return pageSize * (treeBranchPageCount + treeLeafPageCount + overflowPages)
}
