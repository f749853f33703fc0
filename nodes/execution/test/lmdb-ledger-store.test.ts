import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { LEDGER_TABLES, type LedgerStore, type LedgerWrite, MemoryLedgerStore } from '@cumulus/ledger'
import fc from 'fast-check'
import { FolderLock } from '../src/folder-lock.ts'
import { LmdbLedgerStore } from '../src/lmdb-ledger-store.ts'

const anyKey = fc.uint8Array({ minLength: 1, maxLength: 3 }).map((key) => key.map((byte) => byte % 4))
const anyWrite: fc.Arbitrary<LedgerWrite> = fc.record({
  table: fc.constantFrom(...LEDGER_TABLES),
  key: anyKey,
  value: fc.option(fc.uint8Array({ maxLength: 40 }), { nil: undefined }),
})

/** Ranges of keys: from, before, limit. */
const ranges: [number[], number[], number][] = [
  [[0], [255], 100],
  [[1], [2], 100],
  [[1, 1], [3], 2],
  [[2], [1], 100],
  [[0, 0], [0, 1], 0],
]

describe('the LMDB store of the ledger', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'cumulus-ledger-'))
  })
  after(() => rm(dir, { recursive: true }))

  it('holds what the memory store holds, also after it was opened anew', async () => {
    let run = 0
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(anyWrite, { maxLength: 12 }), { maxLength: 4 }), async (batches) => {
        const folder = join(dir, `${run++}`)
        const [lmdb, memory] = [new LmdbLedgerStore(folder), new MemoryLedgerStore()]
        for (const [i, batch] of batches.entries()) {
          if (i % 2 === 0) lmdb.write(batch)
          else await lmdb.writeAside(batch, () => {})
          memory.write(batch)
        }
        await lmdb.close()
        const again = new LmdbLedgerStore(folder)
        for (const { table, key } of batches.flat()) {
          const [stored, expected] = [again.get(table, key), memory.get(table, key)]
          assert.deepEqual(stored && Uint8Array.from(stored), expected)
        }
        for (const table of LEDGER_TABLES) {
          for (const [from, before, limit] of ranges) {
            const keys = again.keys(table, Uint8Array.from(from), Uint8Array.from(before), limit)
            assert.deepEqual(
              keys.map((key) => Uint8Array.from(key)),
              memory.keys(table, Uint8Array.from(from), Uint8Array.from(before), limit),
            )
          }
        }
        await again.close()
      }),
      { numRuns: 12 },
    )
  })

  it('applies nothing of a batch that fails in the middle', async () => {
    const store = new LmdbLedgerStore(join(dir, 'atomic'))
    const [key, value] = [Uint8Array.of(1), Uint8Array.of(2)]
    const tooLong = new Uint8Array(5_000)
    assert.throws(
      () =>
        store.write([
          { table: 'code', key, value },
          { table: 'code', key: tooLong, value },
        ]),
      { code: 'STORE_FAILED' },
    )
    assert.equal(store.get('code', key), undefined)
    store.write([{ table: 'code', key, value }])
    assert.deepEqual(Uint8Array.from(store.get('code', key)!), value)
    await store.close()
  })

  it('answers as before while it writes aside, and from the call on as after, to readers of either kind', async () => {
    const store = new LmdbLedgerStore(join(dir, 'aside'))
    const key = Uint8Array.of(1)
    const [start, end] = [Uint8Array.of(0), Uint8Array.of(9)]
    const rowOf = (reader: Pick<LedgerStore, 'get' | 'keys'>) => [
      reader.get('slot', key)?.[0],
      reader.keys('slot', start, end, 10).length,
    ]
    let stored = 0
    for (let block = 1; block <= 20; block++) {
      const writes: LedgerWrite[] = [
        { table: 'slot', key, value: Uint8Array.of(block) },
        { table: 'slot', key: Uint8Array.of(2 + (block % 2)), value: undefined },
        { table: 'slot', key: Uint8Array.of(3 - (block % 2)), value: Uint8Array.of(1) },
      ]
      let [isDone, reads] = [false, 0]
      const done = () => {
        assert.equal(stored, block - 1)
        stored = block
        assert.deepEqual(rowOf(store), [block, 2])
      }
      const before = stored === 0 ? [undefined, 0] : [stored, 2]
      const writing = store.writeAside(writes, done).then(() => {
        isDone = true
      })
      while (!isDone) {
        const expected = stored === block ? [block, 2] : before
        assert.deepEqual(rowOf(store), expected)
        const snapshot = store.readSnapshot()
        snapshot.close()
        reads++
        await setImmediate()
      }
      await writing
      assert.ok(reads > 0)
      assert.deepEqual(rowOf(store), [block, 2])
      const snapshot = store.readSnapshot()
      assert.deepEqual(rowOf(snapshot), [block, 2])
      snapshot.close()
    }
    await store.close()
  })

  it('writes nothing of a batch that fails in the middle aside, and goes on', async () => {
    const store = new LmdbLedgerStore(join(dir, 'atomic-aside'))
    const [key, value] = [Uint8Array.of(1), Uint8Array.of(2)]
    const batch: LedgerWrite[] = [
      { table: 'code', key, value },
      { table: 'code', key: new Uint8Array(5_000), value },
    ]
    await assert.rejects(
      store.writeAside(batch, () => assert.fail('it is not done')),
      { code: 'STORE_FAILED' },
    )
    assert.equal(store.get('code', key), undefined)
    await store.writeAside(batch.slice(0, 1), () => {})
    assert.deepEqual(Uint8Array.from(store.get('code', key)!), value)
    await store.close()
    const again = new LmdbLedgerStore(join(dir, 'atomic-aside'))
    assert.deepEqual(Uint8Array.from(again.get('code', key)!), value)
    await again.close()
  })

  it('gives values that later reads and writes leave alone', async () => {
    const store = new LmdbLedgerStore(join(dir, 'values'))
    const key = (byte: number) => Uint8Array.of(byte)
    store.write([1, 2].map((byte) => ({ table: 'slot', key: key(byte), value: new Uint8Array(8).fill(byte) })))
    const first = store.get('slot', key(1))!
    store.get('slot', key(2))
    store.write([{ table: 'slot', key: key(1), value: new Uint8Array(8).fill(9) }])
    assert.deepEqual(Uint8Array.from(first), new Uint8Array(8).fill(1))
    await store.close()
  })

  it('says so when its folder cannot be used', async () => {
    await writeFile(join(dir, 'file'), 'no folder')
    assert.throws(() => new LmdbLedgerStore(join(dir, 'file')), { code: 'STORE_FAILED' })
  })
})

describe('the lock of a folder', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'cumulus-lock-'))
  })
  after(() => rm(dir, { recursive: true }))

  it('lets nobody in twice, until it is released', () => {
    const lock = new FolderLock(dir)
    assert.throws(() => new FolderLock(dir), { code: 'FOLDER_IN_USE' })
    lock.release()
    new FolderLock(dir).release()
  })

  it('of a process that is gone, or is not that process any more, is taken over', async () => {
    for (const left of ['{"pid":2147483646,"started":null}', `{"pid":${process.pid},"started":"12"}`, '{"pid', '']) {
      await writeFile(join(dir, 'LOCK'), left)
      new FolderLock(dir).release()
    }
  })
})
