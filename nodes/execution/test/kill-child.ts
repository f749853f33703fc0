import { LmdbLedgerStore } from '../src/index.ts'
import { batchNumber, openChain } from './kill-chain.ts'

// Executes blocks as fast as it can, and says so of each that is stored, until it is killed.
const [dir] = process.argv.slice(2)
const ledger = await openChain(new LmdbLedgerStore(dir!))
for (;;) {
  const { header } = await ledger.execute(await batchNumber(ledger.head.number + 1n))
  process.stdout.write(`${header.number}\n`)
}
