import type { LedgerStore, LedgerWrite } from '@cumulus/ledger'
import { LmdbLedgerStore } from '../src/index.ts'
import { batchNumber, openChain } from './kill-chain.ts'

/** Rows that go through, then the process is killed in the middle of LMDB's transaction. */
class DyingBatch extends Array<LedgerWrite> {
  static rows = 0
  override *[Symbol.iterator](): ArrayIterator<LedgerWrite> {
    for (let i = 0; i < this.length; i++) {
      if (i === DyingBatch.rows) process.kill(process.pid, 'SIGKILL')
      yield this[i]!
    }
    // Behind the last row, before the transaction ends.
    if (DyingBatch.rows === this.length) process.kill(process.pid, 'SIGKILL')
    return undefined
  }
}

// Executes the next block and dies at a row of it; or behind its write, if that has fewer.
const [dir, rows] = process.argv.slice(2)
DyingBatch.rows = Number(rows)
const lmdb = new LmdbLedgerStore(dir!)
let isOpen = false
const store: LedgerStore = {
  get: (table, key) => lmdb.get(table, key),
  keys: (...range) => lmdb.keys(...range),
  write(batch) {
    lmdb.write(isOpen ? DyingBatch.from(batch) : batch)
    if (isOpen) process.kill(process.pid, 'SIGKILL')
  },
}
const ledger = await openChain(store)
isOpen = true
await ledger.execute(await batchNumber(ledger.head.number + 1n))
