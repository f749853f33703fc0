import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { MemoryLedgerStore } from '@cumulus/ledger'
import { LmdbLedgerStore } from '../src/index.ts'
import { batchNumber, openChain } from './kill-chain.ts'

const run = promisify(execFile)
/** The file of the chain may grow to this, in KiB. */
const ROOM = 700

describe('a store without room', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'cumulus-full-'))
  })
  after(() => rm(dir, { recursive: true }))

  it('halts the ledger, keeps the last whole block, and goes on from there when there is room', async () => {
    const script = new URL('./full-disk-child.ts', import.meta.url).pathname
    // A write beyond the limit fails, as one to a full disk does.
    const shell = `trap '' XFSZ; ulimit -f ${ROOM}; exec "$0" --conditions=@cumulus/source "$1" "$2"`
    const { stdout } = await run('bash', ['-c', shell, process.execPath, script, dir])
    const said = stdout.trim().split('\n')
    const last = said.at(-2)!
    assert.equal(said.at(-1), `HALT STORE_FAILED at ${last}`)

    const reference = await openChain(new MemoryLedgerStore())
    while (reference.head.number < BigInt(last)) {
      await reference.execute(await batchNumber(reference.head.number + 1n))
    }
    const store = new LmdbLedgerStore(dir)
    const ledger = await openChain(store)
    assert.deepEqual(ledger.head, reference.head)
    const next = await batchNumber(ledger.head.number + 1n)
    assert.deepEqual((await ledger.execute(next)).header, (await reference.execute(next)).header)
    await store.close()
  })
})
