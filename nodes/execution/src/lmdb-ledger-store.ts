import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { LEDGER_TABLES, type LedgerStore, type LedgerTable, type LedgerWrite } from '@cumulus/ledger'
import { type Database, open, type RootDatabase, type Transaction } from 'lmdb'
import { ExecutionError } from './execution-error.ts'

/** Tables hold bytes only: no codec of lmdb-js is involved. */
const TABLE_OPTIONS = { encoding: 'binary', keyEncoding: 'binary' } as const

/**
 * The ledger's tables in one LMDB file. A write is one LMDB transaction, flushed by fdatasync before `write` returns, or
 * `writeAside` is done: after a kill or a power cut there is all of it or nothing.
 */
export class LmdbLedgerStore implements LedgerStore {
  readonly #root: RootDatabase<Uint8Array, Uint8Array>
  readonly #tables: ReadonlyMap<LedgerTable, Database<Uint8Array, Uint8Array>>
  /** The tables before a write that is under way. */
  #before: Transaction | undefined
  #lastWriteMs = 0

  /**
   * @param dir folder of the chain, made if it is missing
   * @throws ExecutionError STORE_FAILED
   */
  constructor(dir: string) {
    try {
      mkdirSync(dir, { recursive: true })
      this.#root = open({
        path: `${dir}/chain.lmdb`,
        // The default flushes after the commit returned: a receipt could be seen that a power cut takes back.
        overlappingSync: false,
        // Writes come one by one; of a batch that fails LMDB would keep a promise to itself, and reject it unheard.
        eventTurnBatching: false,
        // Address space, not disk. LMDB grows it by itself, which stalls readers for a moment.
        mapSize: 16 * 2 ** 30,
        maxDbs: LEDGER_TABLES.length,
        ...TABLE_OPTIONS,
      })
      this.#tables = new Map(LEDGER_TABLES.map((name) => [name, this.#root.openDB({ name, ...TABLE_OPTIONS })]))
    } catch (cause) {
      throw new ExecutionError('STORE_FAILED', `cannot open the chain in ${dir}`, { dir }, { cause })
    }
  }

  /** How long the last `writeAside` took. */
  get lastWriteMs(): number {
    return this.#lastWriteMs
  }

  get(table: LedgerTable, key: Uint8Array): Uint8Array | undefined {
    const rows = this.#tables.get(table)!
    return this.#before ? rows.get(key, { transaction: this.#before }) : rows.getBinary(key)
  }

  keys(table: LedgerTable, from: Uint8Array, before: Uint8Array, limit: number): Uint8Array[] {
    // Nothing is written while the range is read, so it needs no snapshot of its own.
    const snapshot = this.#before ? { transaction: this.#before } : { snapshot: false }
    return [...this.#tables.get(table)!.getKeys({ start: from, end: before, limit, ...snapshot })]
  }

  /**
   * The tables as they are now, whatever is written later, until it is closed. LMDB uses no page again that this may
   * read: the file grows meanwhile, so close it soon.
   */
  readSnapshot(): Pick<LedgerStore, 'get' | 'keys'> & { close(): void } {
    const transaction = this.#root.useReadTransaction()
    return {
      get: (table, key) => this.#tables.get(table)!.get(key, { transaction }),
      keys: (table, from, before, limit) => [
        ...this.#tables.get(table)!.getKeys({ start: from, end: before, limit, transaction }),
      ],
      close: () => transaction.done(),
    }
  }

  write(batch: readonly LedgerWrite[]): void {
    try {
      this.#root.transactionSync(() => this.#put(batch))
    } catch (cause) {
      throw failedWrite(batch, cause)
    }
  }

  /** Rows are put in this thread; LMDB writes and flushes them in another one. */
  async writeAside(batch: readonly LedgerWrite[], done: () => void): Promise<void> {
    assert(this.#before === undefined, 'one write at a time')
    // LMDB shows what is on the disk as soon as it is, which may be before this thread hears of it.
    const startMs = performance.now()
    const before = this.#root.useReadTransaction()
    this.#before = before
    try {
      // A child: the rows that were put before one that fails would stay in a plain one.
      await this.#root.childTransaction(() => this.#put(batch))
    } catch (cause) {
      throw failedWrite(batch, await reasonOf(cause))
    } finally {
      this.#before = undefined
      before.done()
    }
    this.#lastWriteMs = performance.now() - startMs
    done()
  }

  #put(batch: readonly LedgerWrite[]): void {
    for (const { table, key, value } of batch) {
      const rows = this.#tables.get(table)!
      if (value === undefined) rows.removeSync(key)
      else rows.putSync(key, value)
    }
  }

  async close(): Promise<void> {
    await this.#root.close()
  }
}

function failedWrite({ length: writes }: readonly LedgerWrite[], cause: unknown): ExecutionError {
  return new ExecutionError('STORE_FAILED', 'cannot write the chain', { writes }, { cause })
}

/** Of a commit that failed LMDB tells the reason apart, by a promise that somebody has to take. */
async function reasonOf(error: unknown): Promise<unknown> {
  try {
    await (error as { commitError?: Promise<never> }).commitError
    return error
  } catch (reason) {
    return reason
  }
}
