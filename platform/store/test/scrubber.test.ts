import assert from 'node:assert/strict'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { createLogger } from '@cumulus/service'
import { fillIdleCells, Scrubber, SlabStore, type SlabStoreInit } from '../src/index.ts'
import { assertSameBytes, fragmentOf, keyOf, seededBytes } from './support/fragments.ts'
import { inTemporaryFolder } from './support/temporary-folder.ts'

const log = createLogger({ name: 'test', write: () => undefined })
const init: SlabStoreInit = { units: 20, unitBytes: 65_536, indexBytes: 2 ** 21, keepFreeBytes: 0 }
const fast = { bytesPerSecond: 1e12 }

describe('the scrubber', () => {
  it('finds one flipped bit among many fragments, and nothing else', async () => {
    await inTemporaryFolder(async (folder) => {
      const store = await SlabStore.open(folder, init)
      for (let stripe = 0; stripe < 12; stripe++) {
        await store.put(keyOf(stripe), fragmentOf(stripe, stripe % 3 === 0 ? 100 : 65_536))
      }
      const scrubber = new Scrubber({ store, log }, fast)
      const { signal } = new AbortController()
      const clean = await scrubber.pass({ signal })
      assert.deepEqual([clean.fragments, clean.corrupt], [12, []])
      assert.equal(clean.bytes, 4 * 100 + 8 * 65_536)

      const position = store.info(keyOf(5))!.cell! * 65_536 + 40_000
      const file = await open(join(folder, 'slabs', 'slab-00000'), 'r+')
      const byte = new Uint8Array(1)
      await file.read(byte, 0, 1, position)
      byte[0]! ^= 4
      await file.write(byte, 0, 1, position)
      await file.close()
      const found: unknown[] = []
      const report = await new Scrubber({ store, log }, { ...fast, onCorrupt: (key) => found.push(key) }).pass({
        signal,
      })
      assert.deepEqual([report.fragments, report.corrupt, found], [12, [keyOf(5)], [keyOf(5)]])
      await assert.rejects(store.read(keyOf(5)), { code: 'FRAGMENT_CORRUPT' })

      await store.put(keyOf(5), fragmentOf(5, 65_536))
      assert.deepEqual((await scrubber.pass({ signal })).corrupt, [])
      await store.close()
    })
  })

  it('goes on where an interrupted pass stood', async () => {
    await inTemporaryFolder(async (folder) => {
      const store = await SlabStore.open(folder, init)
      for (let stripe = 0; stripe < 10; stripe++) await store.put(keyOf(stripe), fragmentOf(stripe, 100))
      await store.setScrubCursor(keyOf(6))
      const { signal } = new AbortController()
      const scrubber = new Scrubber({ store, log }, fast)
      assert.equal((await scrubber.pass({ signal })).fragments, 3)
      assert.equal((await scrubber.pass({ signal })).fragments, 10)
      const aborted = AbortSignal.abort(new Error('enough'))
      await assert.rejects(scrubber.pass({ signal: aborted }), /enough/)
      await scrubber.run({ signal: aborted })
      await store.close()
    })
  })
})

describe('the filler of idle cells', () => {
  it('writes all of them beside the work, and stops when asked', async () => {
    await inTemporaryFolder(async (folder) => {
      const store = await SlabStore.open(folder, init)
      await fillIdleCells(store, { log, unitBytes: 65_536 }, { signal: AbortSignal.abort(), ...fast })
      assert.equal(store.status.writtenCells, 0)
      const { signal } = new AbortController()
      const filling = fillIdleCells(store, { log, unitBytes: 65_536 }, { signal, bytesPerSecond: 20e6 })
      for (let stripe = 0; stripe < 10; stripe++) await store.put(keyOf(stripe), fragmentOf(stripe, 65_536))
      await filling
      assert.equal(store.status.writtenCells, 20)
      for (let stripe = 0; stripe < 10; stripe++) {
        const range = await store.read(keyOf(stripe))
        assertSameBytes(range.bytes, seededBytes(stripe, 65_536))
        range.release()
      }
      store.assertConsistent()
      await store.close()
    })
  })
})
