import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type LedgerStore, MemoryLedgerStore } from '@cumulus/ledger'
import { LmdbLedgerStore } from '../src/index.ts'
import { batchNumber, CELLS, KEPT_BLOCKS, openChain } from './kill-chain.ts'

/** Rows of a block at which the process is killed, evenly from the first to the last. Every one: set it to a large number. */
const SAMPLES = Number(process.env['CUMULUS_KILL_SAMPLES'] ?? 8)

describe('a process that is killed between two rows of a block', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'cumulus-killed-at-row-'))
  })
  after(() => rm(dir, { recursive: true }))

  const die = async (rows: number): Promise<void> => {
    const script = new URL('./kill-at-row-child.ts', import.meta.url).pathname
    const child = spawn(process.execPath, ['--conditions=@cumulus/source', script, dir, String(rows)], {
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
    assert.deepEqual([code, signal], [null, 'SIGKILL'])
  }

  it('leaves the block before, whichever row it was; the whole block once it is written', async () => {
    const memory = new MemoryLedgerStore()
    let rows = 0
    const counting: LedgerStore = {
      get: (table, key) => memory.get(table, key),
      keys: (...range) => memory.keys(...range),
      write(batch) {
        rows = batch.length
        memory.write(batch)
      },
    }
    // Past the first blocks, so that old state is pruned in the same write.
    const reference = await openChain(counting)
    const lmdb = new LmdbLedgerStore(dir)
    const chain = await openChain(lmdb)
    for (let n = 1n; n <= BigInt(KEPT_BLOCKS) + 2n; n++) {
      for (const ledger of [reference, chain]) await ledger.execute(await batchNumber(n))
    }
    await lmdb.close()
    const before = reference.head
    const slots = Array.from({ length: 23 }, (_, slot) => BigInt(slot))
    const cellsBefore = await reference.prove(CELLS, slots)
    await reference.execute(await batchNumber(before.number + 1n))
    assert.ok(rows > 20, `${rows} rows`)

    const count = Math.min(SAMPLES, rows + 1)
    const places = new Set(Array.from({ length: count }, (_, i) => Math.round((i * rows) / (count - 1))))
    for (const place of places) {
      await die(place)
      const store = new LmdbLedgerStore(dir)
      const ledger = await openChain(store)
      assert.deepEqual(ledger.head, before, `killed at row ${place} of ${rows}`)
      assert.deepEqual(await ledger.prove(CELLS, slots), cellsBefore)
      await store.close()
    }

    await die(rows + 1)
    const store = new LmdbLedgerStore(dir)
    const ledger = await openChain(store)
    assert.deepEqual(ledger.head, reference.head)
    assert.deepEqual(await ledger.prove(CELLS, slots), await reference.prove(CELLS, slots))
    assert.deepEqual(await ledger.prove(CELLS, slots, before.number), cellsBefore)
    assert.equal(ledger.oldestState, reference.oldestState)
    await store.close()
  })
})
