import { LmdbLedgerStore } from '../src/index.ts'
import { batchNumber, openChain } from './kill-chain.ts'

// Executes blocks, and says so of each that is stored, until one cannot be; then it says why, and ends if nothing is left unheard.
const [dir] = process.argv.slice(2)
const ledger = await openChain(new LmdbLedgerStore(dir!))
for (;;) {
  try {
    const { header } = await ledger.execute(await batchNumber(ledger.head.number + 1n))
    process.stdout.write(`${header.number}\n`)
  } catch (error) {
    const { code, cause } = error as { code: string; cause: { code: string } }
    process.stdout.write(`${code} ${cause.code} at ${ledger.head.number}\n`)
    break
  }
}
