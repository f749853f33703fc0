import assert from 'node:assert/strict'
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { SlabStore, type SlabStoreInit } from '../src/index.ts'
import { FailingFiles } from './support/failing-files.ts'
import { assertSameBytes, fragmentOf, keyOf, seededBytes } from './support/fragments.ts'
import { inTemporaryFolder } from './support/temporary-folder.ts'

const init: SlabStoreInit = { units: 8, unitBytes: 4096, indexBytes: 2 ** 20, keepFreeBytes: 0, bufferCount: 2 }
/** Slabs of three cells. */
const smallSlabs: SlabStoreInit = { ...init, slabBytesMax: 3 * 4096 }
/** Cells of several pieces, fragments below 8 KiB in LMDB. */
const bigCells: SlabStoreInit = { ...init, unitBytes: 2 ** 20, indexBytes: 2 ** 22 }

function inStore<Value>(storeInit: SlabStoreInit, use: (store: SlabStore, folder: string) => Promise<Value>) {
  return inTemporaryFolder(async (folder) => {
    const store = await SlabStore.open(folder, storeInit)
    try {
      return await use(store, folder)
    } finally {
      await store.close()
    }
  })
}

async function readAll(store: SlabStore, stripe: number): Promise<Uint8Array> {
  const range = await store.read(keyOf(stripe))
  const bytes = range.bytes.slice()
  range.release()
  return bytes
}

describe('a slab store', () => {
  it('behaves as a map with so many places, over restarts; no cell is free and used', async () => {
    const anyStripe = fc.integer({ min: 0, max: 10 })
    const anyStep = fc.oneof(
      { weight: 6, arbitrary: fc.record({ put: anyStripe, seed: fc.integer({ min: 1, max: 3 }) }) },
      { weight: 4, arbitrary: fc.record({ remove: anyStripe }) },
      { weight: 1, arbitrary: fc.record({ commit: anyStripe }) },
      { weight: 1, arbitrary: fc.constant('fill' as const) },
      { weight: 1, arbitrary: fc.constant('restart' as const) },
    )
    const lengthOf = (seed: number): number => (seed === 3 ? 16 : seed === 2 ? 4096 : 4000)
    // 16 bytes are kept in LMDB, the rest in cells.
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { maxLength: 40 }), fc.boolean(), (steps, direct) =>
        inTemporaryFolder(async (folder) => {
          const options = { ...smallSlabs, direct }
          let store = await SlabStore.open(folder, options)
          const model = new Map<number, number>()
          for (const step of steps) {
            if (step === 'restart') {
              await store.close()
              store = await SlabStore.open(folder, options)
            } else if (step === 'fill') {
              await store.fillOne()
            } else if ('put' in step) {
              const { put: stripe, seed } = step
              const known = model.get(stripe)
              const put = store.put(keyOf(stripe), fragmentOf(stripe * 10 + seed, lengthOf(seed)))
              if (known !== undefined && known !== seed) await assert.rejects(put, { code: 'FRAGMENT_EXISTS' })
              else if (known !== undefined) assert.equal(await put, 'present')
              else if (model.size === init.units) await assert.rejects(put, { code: 'NO_SPACE' })
              else {
                assert.equal(await put, 'stored')
                model.set(stripe, seed)
              }
            } else if ('remove' in step) {
              assert.equal(await store.delete(keyOf(step.remove)), model.delete(step.remove))
            } else {
              await store.markCommitted(keyOf(step.commit))
              assert.notEqual(store.info(keyOf(step.commit))?.committed, false)
            }
            store.assertConsistent()
          }
          assert.deepEqual(
            [...store.keys()].map(({ stripe }) => stripe),
            [...model.keys()].sort((a, b) => a - b),
          )
          assert.equal(store.status.usedUnits, model.size)
          for (const [stripe, seed] of model) {
            assertSameBytes(await readAll(store, stripe), seededBytes(stripe * 10 + seed, lengthOf(seed)))
          }
          await store.close()
        }),
      ),
      { numRuns: 20 },
    )
  })

  it('reads any range of a fragment of several pieces, from cells and from LMDB', async () => {
    await inStore(bigCells, async (store) => {
      for (const [stripe, length] of [
        [1, 2 ** 20],
        [2, 300_000],
        [3, 5000],
      ] as const) {
        const content = fragmentOf(stripe, length)
        await store.put(keyOf(stripe), content)
        await fc.assert(
          fc.asyncProperty(fc.nat(length - 1), fc.nat(length), fc.boolean(), async (offset, wanted, verify) => {
            const range = await store.read(keyOf(stripe), { offset, length: Math.min(wanted, length - offset), verify })
            const end = wanted === 0 ? length : Math.min(offset + wanted, length)
            assertSameBytes(range.bytes, content.bytes.subarray(offset, end))
            range.release()
          }),
          { numRuns: 25 },
        )
        await assert.rejects(store.read(keyOf(stripe), { offset: length }), { code: 'OUT_OF_RANGE' })
        await assert.rejects(store.read(keyOf(stripe), { offset: 1, length }), { code: 'OUT_OF_RANGE' })
      }
      assert.equal(store.pool.freeCount, 2)
    })
  })

  it('keeps descriptor, ids and hashes, and whether the chain knows the stripe', async () => {
    await inStore(init, async (store) => {
      const { bytes, ...rest } = fragmentOf(5, 4096)
      await store.put(keyOf(5), { bytes, ...rest })
      assert.deepEqual([...store.pendingKeys()], [keyOf(5)])
      assert.equal(await store.markCommitted(keyOf(5)), true)
      assert.equal(await store.markCommitted(keyOf(5)), false)
      assert.deepEqual([...store.pendingKeys()], [])
      const info = store.info(keyOf(5))!
      assert.deepEqual([info.length, info.committed, info.corrupt], [4096, true, false])
      for (const [name, value] of Object.entries(rest)) {
        assert.deepEqual(new Uint8Array(info[name as keyof typeof rest]), new Uint8Array(value), name)
      }
      await assert.rejects(store.read(keyOf(6)), { code: 'NOT_FOUND' })
    })
  })

  it('stores once what is put twice at the same time', async () => {
    await inStore(init, async (store) => {
      const puts = Array.from({ length: 5 }, () => store.put(keyOf(1), fragmentOf(1, 4096)))
      assert.deepEqual((await Promise.all(puts)).sort(), ['present', 'present', 'present', 'present', 'stored'])
      assert.equal(store.status.usedUnits, 1)
    })
  })

  it('does not free a cell while it is read', async () => {
    await inStore({ ...bigCells, units: 1 }, async (store) => {
      await store.put(keyOf(1), fragmentOf(1, 2 ** 20))
      const reads = Array.from({ length: 4 }, () => readAll(store, 1))
      const rewritten = store.delete(keyOf(1)).then(async () => {
        // Retried until the last reader has let go of the only cell.
        for (;;) {
          const result = await store
            .put(keyOf(2), fragmentOf(2, 2 ** 20))
            .catch((error: { code: string }) => error.code)
          if (result !== 'NO_SPACE') return result
          await new Promise((resolve) => setImmediate(resolve))
        }
      })
      for (const bytes of await Promise.all(reads)) assertSameBytes(bytes, seededBytes(1, 2 ** 20))
      assert.equal(await rewritten, 'stored')
      assertSameBytes(await readAll(store, 2), seededBytes(2, 2 ** 20))
      store.assertConsistent()
    })
  })

  it('never answers bytes that changed on the disk, and takes the fragment again', async () => {
    for (const storeInit of [bigCells, { ...bigCells, direct: false }]) {
      await inStore(storeInit, async (store, folder) => {
        await store.put(keyOf(1), fragmentOf(1, 2 ** 20))
        await store.put(keyOf(2), fragmentOf(2, 2 ** 20))
        const { cell } = store.info(keyOf(1))!
        const file = await open(join(folder, 'slabs', 'slab-00000'), 'r+')
        await file.write(new Uint8Array([0x55, 0xaa]), 0, 2, cell! * 2 ** 20 + 300_000)
        await file.close()
        // Pieces that are whole are still answered; the damaged one never is.
        const whole = await store.read(keyOf(1), { offset: 0, length: 65_536 })
        assertSameBytes(whole.bytes, seededBytes(1, 2 ** 20).subarray(0, 65_536))
        whole.release()
        await assert.rejects(store.read(keyOf(1), { offset: 300_001, length: 1 }), { code: 'FRAGMENT_CORRUPT' })
        assert.deepEqual([...store.corruptKeys()], [keyOf(1)])
        await assert.rejects(store.read(keyOf(1)), { code: 'FRAGMENT_CORRUPT' })
        assertSameBytes(await readAll(store, 2), seededBytes(2, 2 ** 20))
        await assert.rejects(store.put(keyOf(1), fragmentOf(9, 2 ** 20)), { code: 'FRAGMENT_EXISTS' })
        assert.equal(await store.put(keyOf(1), fragmentOf(1, 2 ** 20)), 'stored')
        assertSameBytes(await readAll(store, 1), seededBytes(1, 2 ** 20))
        assert.equal(store.status.usedUnits, 2)
        store.assertConsistent()
        assert.equal(store.pool.freeCount, 2)
      })
    }
  })

  it('mends a fragment even when all cells are used', async () => {
    await inStore({ ...init, units: 1 }, async (store) => {
      await store.put(keyOf(1), fragmentOf(1, 4096))
      await store.markCorrupt(keyOf(1))
      await assert.rejects(readAll(store, 1), { code: 'FRAGMENT_CORRUPT' })
      assert.equal(await store.put(keyOf(1), fragmentOf(1, 4096)), 'stored')
      assertSameBytes(await readAll(store, 1), seededBytes(1, 4096))
      store.assertConsistent()
    })
  })

  it('fills idle cells with bytes of its own, and knows after a restart which are written', async () => {
    await inTemporaryFolder(async (folder) => {
      const options = { ...smallSlabs, idleKey: new Uint8Array(32).fill(7) }
      let store = await SlabStore.open(folder, options)
      await store.put(keyOf(1), fragmentOf(1, 4096))
      for (let i = 0; i < 4; i++) assert.equal(await store.fillOne(), true)
      assert.equal(store.status.writtenCells, 5)
      await store.close()
      store = await SlabStore.open(folder, options)
      assert.equal(store.status.writtenCells, 5)
      while (await store.fillOne());
      assert.equal(store.status.writtenCells, 8)
      assertSameBytes(await readAll(store, 1), seededBytes(1, 4096))
      await store.close()
      let blocks = 0
      const cells = new Set<string>()
      for (const name of ['slab-00000', 'slab-00001', 'slab-00002']) {
        const file = await open(join(folder, 'slabs', name))
        const bytes = await file.readFile()
        blocks += (await file.stat()).blocks
        await file.close()
        for (let at = 0; at < bytes.length; at += 4096) cells.add(bytes.subarray(at, at + 4096).toHex())
      }
      assert.equal(cells.size, 8)
      assert.ok(blocks * 512 >= 8 * 4096, 'every cell has its blocks')
    })
  })

  it('never takes more disk than its cells', async () => {
    await inStore(smallSlabs, async (store, folder) => {
      for (let stripe = 0; stripe < 8; stripe++) await store.put(keyOf(stripe), fragmentOf(stripe, 4096))
      await assert.rejects(store.put(keyOf(8), fragmentOf(8, 4096)), { code: 'NO_SPACE' })
      await assert.rejects(store.put(keyOf(9), fragmentOf(9, 16)), { code: 'NO_SPACE' })
      let bytes = 0
      for (const name of ['slab-00000', 'slab-00001', 'slab-00002'])
        bytes += (await stat(join(folder, 'slabs', name))).size
      assert.equal(bytes, 8 * 4096)
    })
  })

  it('grows, but does not shrink or change its cells', async () => {
    await inTemporaryFolder(async (folder) => {
      const store = await SlabStore.open(folder, smallSlabs)
      for (let stripe = 0; stripe < 8; stripe++) await store.put(keyOf(stripe), fragmentOf(stripe, 4096))
      await store.close()
      await assert.rejects(SlabStore.open(folder, { ...smallSlabs, units: 7 }), { code: 'WRONG_GEOMETRY' })
      await assert.rejects(SlabStore.open(folder, { ...smallSlabs, unitBytes: 8192 }), { code: 'WRONG_GEOMETRY' })
      const grown = await SlabStore.open(folder, { ...smallSlabs, units: 12 })
      await grown.put(keyOf(8), fragmentOf(8, 4096))
      for (let stripe = 0; stripe <= 8; stripe++)
        assertSameBytes(await readAll(grown, stripe), seededBytes(stripe, 4096))
      assert.equal(grown.status.freeUnits, 3)
      await grown.close()
    })
  })
})

describe('a slab store on a failing disk', () => {
  it('refuses before the disk is full, unless it overwrites what is there', async () => {
    const files = new FailingFiles()
    await inStore({ ...init, files, keepFreeBytes: 2 ** 30 }, async (store) => {
      files.free = 2 ** 30 + 4096 * 4 // enough for the index, or for a cell, not for both
      await store.fillOne()
      await store.put(keyOf(1), fragmentOf(1, 4096))
      files.free = 2 ** 30
      await assert.rejects(store.put(keyOf(2), fragmentOf(2, 4096)), { code: 'DISK_FULL' })
      await assert.rejects(store.fillOne(), { code: 'DISK_FULL' })
      assert.equal(store.status.usedUnits, 1)
      store.assertConsistent()
    })
  })

  for (const call of ['write', 'sync'] as const) {
    it(`keeps nothing of a put whose ${call} failed, and loses nothing else`, async () => {
      const files = new FailingFiles()
      await inStore({ ...smallSlabs, files }, async (store) => {
        await store.put(keyOf(1), fragmentOf(1, 4096))
        files.fail = (kind, path) =>
          kind === call && path.includes('slab-') ? { code: 'ENOSPC', after: 4096 } : undefined
        await assert.rejects(store.put(keyOf(2), fragmentOf(2, 4096)), { code: 'DISK_FULL' })
        await assert.rejects(store.fillOne(), { code: 'DISK_FULL' })
        files.fail = () => undefined
        store.assertConsistent()
        assert.equal(store.info(keyOf(2)), undefined)
        assertSameBytes(await readAll(store, 1), seededBytes(1, 4096))
        assert.equal(await store.put(keyOf(2), fragmentOf(2, 4096)), 'stored')
        assertSameBytes(await readAll(store, 2), seededBytes(2, 4096))
      })
    })
  }

  it('calls a fragment that cannot be read corrupt', async () => {
    const files = new FailingFiles()
    await inStore({ ...init, files }, async (store) => {
      await store.put(keyOf(1), fragmentOf(1, 4096))
      files.fail = (kind) => (kind === 'read' ? { code: 'EIO' } : undefined)
      await assert.rejects(readAll(store, 1), { code: 'FRAGMENT_CORRUPT' })
      files.fail = () => undefined
      await store.put(keyOf(1), fragmentOf(1, 4096))
      assertSameBytes(await readAll(store, 1), seededBytes(1, 4096))
    })
  })

  it('keeps tags beside a fragment once they have passed, unconfirmed at first, and lets them go with it', async () => {
    await inStore(init, async (store) => {
      const key = keyOf(1)
      const tags = seededBytes(7, 5184)
      assert.equal(await store.offerTags(key, tags), false)
      assert.equal(store.offeredTags(key), undefined)
      await store.put(key, fragmentOf(1, 4096))
      assert.equal(await store.offerTags(key, tags), true)
      assertSameBytes(store.offeredTags(key)!, tags)
      assert.deepEqual([store.getTags(key), [...store.offeredKeys()]], [undefined, [key]])
      assert.equal(await store.adoptTags(key, tags, tags), true)
      assertSameBytes(store.getTags(key)!, tags)
      assert.deepEqual([[...store.unconfirmedKeys()], [...store.offeredKeys()]], [[key], []])
      assert.equal(store.isConfirmed(key), false)
      assert.equal(await store.markConfirmed(key, tags, true), true)
      assert.equal(store.isConfirmed(key), true)
      assert.deepEqual([[...store.unconfirmedKeys()], store.status.taggedFragments], [[], 1])
      await store.markConfirmed(key, tags, false)
      assert.equal(store.status.unconfirmedTags, 1)
      await store.offerTags(key, seededBytes(8, 5184))
      await store.delete(key)
      assert.deepEqual([store.getTags(key), store.offeredTags(key)], [undefined, undefined])
      const { taggedFragments, unconfirmedTags, offeredTags } = store.status
      assert.deepEqual([taggedFragments, unconfirmedTags, offeredTags], [0, 0, 0])
      // Nothing to confirm where nothing is.
      assert.equal(await store.markConfirmed(key, tags, false), false)
      assert.equal(store.isConfirmed(key), false)
      assert.equal(store.status.unconfirmedTags, 0)
    })
  })

  it('changes nothing of tags that are others than the caller has seen', async () => {
    await inStore(init, async (store) => {
      const key = keyOf(1)
      const [first, second, third] = [seededBytes(1, 96), seededBytes(2, 96), seededBytes(3, 96)]
      await store.put(key, fragmentOf(1, 4096))
      await store.offerTags(key, first)
      await store.offerTags(key, second)
      assert.equal(await store.adoptTags(key, first, first), false)
      assert.equal(await store.refuseTags(key, first), false)
      assert.equal(await store.adoptTags(key, second, second), true)
      // New offers leave alone what is kept, and say nothing of whether it is confirmed.
      await store.markConfirmed(key, second, true)
      await store.offerTags(key, third)
      assert.deepEqual([store.isConfirmed(key), [...store.unconfirmedKeys()]], [true, []])
      assertSameBytes(store.getTags(key)!, second)
      assert.equal(await store.markConfirmed(key, third, false), false)
      assert.equal(await store.dropTags(key, third), false)
      assert.equal(store.isConfirmed(key), true)
      assert.equal(await store.refuseTags(key, third), true)
      assertSameBytes(store.getTags(key)!, second)
      assert.equal(await store.dropTags(key, second), true)
      assert.equal(store.getTags(key), undefined)
    })
  })

  it('writes through the page cache where O_DIRECT is refused', async () => {
    const files = new FailingFiles()
    files.fail = (kind, path) => (kind === 'open' && path.endsWith('probe') ? { code: 'EINVAL' } : undefined)
    await inStore({ ...bigCells, files }, async (store) => {
      assert.equal(store.direct, false)
      await store.put(keyOf(1), fragmentOf(1, 2 ** 20))
      assertSameBytes(await readAll(store, 1), seededBytes(1, 2 ** 20))
    })
  })
})
