import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { compareBytes, utf8Encode } from '@cumulus/bytes'
import fc from 'fast-check'
import { Database } from '../src/index.ts'
import { inTemporaryFolder } from './support/temporary-folder.ts'

const anyKey = fc.uint8Array({ minLength: 1, maxLength: 6 })
const anyValue = fc.uint8Array({ maxLength: 40 })

describe('a database', () => {
  it('behaves as a sorted map, over commits and reopening', async () => {
    const anyStep = fc.oneof(
      { weight: 6, arbitrary: fc.record({ put: anyKey, value: anyValue }) },
      { weight: 3, arbitrary: fc.record({ remove: anyKey }) },
      { weight: 1, arbitrary: fc.constant('reopen' as const) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { maxLength: 40 }), anyKey, anyKey, (steps, from, to) =>
        inTemporaryFolder(async (folder) => {
          let database = await Database.open(folder)
          let table = database.table('t')
          const model = new Map<string, { key: Uint8Array; value: Uint8Array }>()
          for (const step of steps) {
            if (step === 'reopen') {
              await database.close()
              database = await Database.open(folder)
              table = database.table('t')
            } else if ('put' in step) {
              await table.put(step.put, step.value)
              model.set(step.put.toHex(), { key: step.put, value: step.value })
            } else {
              await table.delete(step.remove)
              model.delete(step.remove.toHex())
            }
          }
          const sorted = [...model.values()].sort((a, b) => compareBytes(a.key, b.key))
          const plain = (entries: Iterable<{ key: Uint8Array; value: Uint8Array }>) =>
            [...entries].map(({ key, value }) => [key.toHex(), value.toHex()])
          assert.deepEqual(plain(table.range()), plain(sorted))
          assert.equal(table.count, sorted.length)
          for (const { key, value } of sorted) assert.deepEqual(new Uint8Array(table.get(key)!), value)
          const above = sorted.filter(({ key }) => compareBytes(key, from) >= 0 && compareBytes(key, to) < 0)
          assert.deepEqual(plain(table.range({ gte: from, lt: to })), plain(above))
          assert.deepEqual(plain(table.range({ gte: from, lt: to, reverse: true })), plain(above.reverse()))
          const after = sorted.filter(({ key }) => compareBytes(key, from) > 0)
          assert.deepEqual(plain(table.range({ gt: from, limit: 3 })), plain(after.slice(0, 3)))
          assert.deepEqual(plain(table.range({ gt: from, reverse: true })), plain(after.reverse()))
          await database.close()
        }),
      ),
      { numRuns: 15 },
    )
  })

  it('walks a range longer than one page, in both directions, without a gap', async () => {
    await inTemporaryFolder(async (folder) => {
      const database = await Database.open(folder)
      const table = database.table('t')
      const keys = Array.from({ length: 1000 }, (_, i) => new Uint8Array([i >> 8, i & 255]))
      await database.write((batch) => {
        for (const key of keys) batch.put(table, key, key)
      })
      assert.deepEqual(
        [...table.range()].map(({ key }) => key.toHex()),
        keys.map((key) => key.toHex()),
      )
      assert.deepEqual(
        [...table.range({ reverse: true, limit: 700 })].map(({ key }) => key.toHex()),
        keys
          .reverse()
          .slice(0, 700)
          .map((key) => key.toHex()),
      )
      await database.close()
    })
  })

  it('writes a batch over several tables all or not at all', async () => {
    await inTemporaryFolder(async (folder) => {
      const database = await Database.open(folder)
      const [a, b] = [database.table('a'), database.table('b')]
      const key = utf8Encode('k')
      await database.write((batch) => {
        batch.put(a, key, utf8Encode('1'))
        batch.put(b, key, utf8Encode('2'))
      })
      assert.deepEqual([a.get(key)?.length, b.get(key)?.length], [1, 1])
      const broken = database.write((batch) => {
        batch.put(a, key, utf8Encode('changed'))
        batch.put(b, key, 'not bytes' as unknown as Uint8Array)
        batch.put(b, key, { length: 3 } as unknown as Uint8Array)
      })
      await assert.rejects(broken, { code: 'COMMIT_FAILED' })
      assert.deepEqual(new Uint8Array(a.get(key)!), utf8Encode('1'))
      await a.put(key, utf8Encode('later')) // and it goes on working
      assert.equal(a.get(key)?.length, 5)
      await database.close()
    })
  })

  it('commits the writes of many callers together', async () => {
    await inTemporaryFolder(async (folder) => {
      const database = await Database.open(folder)
      const table = database.table('t')
      await Promise.all(
        Array.from({ length: 500 }, (_, i) => table.put(new Uint8Array([1, i >> 8, i & 255]), new Uint8Array(8))),
      )
      assert.equal(table.count, 500)
      assert.ok(database.commitCount < 50, `${database.commitCount} commits`)
      await database.close()
    })
  })

  it('hands out values that no later call changes', async () => {
    await inTemporaryFolder(async (folder) => {
      const database = await Database.open(folder)
      const table = database.table('t')
      for (let i = 1; i < 50; i++) await table.put(new Uint8Array([i]), new Uint8Array(i * 3000).fill(i))
      const values = [...table.range()].map(({ value }) => value)
      const read = Array.from({ length: 49 }, (_, i) => table.get(new Uint8Array([i + 1]))!)
      await table.put(new Uint8Array([1]), new Uint8Array(100_000))
      for (const [i, value] of [...values.entries(), ...read.entries()]) {
        assert.ok(value.length === (i + 1) * 3000 && value.every((byte) => byte === i + 1))
      }
      await database.close()
    })
  })

  it('refuses to grow past its limit, and lets deletions make room again', async () => {
    await inTemporaryFolder(async (folder) => {
      const limitBytes = 2 ** 20
      const database = await Database.open(folder, { limitBytes })
      const table = database.table('t')
      let count = 0
      const fill = async () => {
        for (;;) await table.put(new Uint8Array([count++ >> 8, count & 255, 7]), new Uint8Array(5000))
      }
      for (let round = 0; round < 6; round++) {
        await assert.rejects(fill, { code: 'DATABASE_FULL' })
        assert.ok(database.fileBytes <= limitBytes, `${database.fileBytes} bytes in round ${round}`)
        const keys = [...table.range()].map(({ key }) => key)
        assert.ok(keys.length > 50)
        await database.write((batch) => {
          for (const key of keys) batch.delete(table, key)
        })
      }
      await database.close()
    })
  })

  it('refuses keys that LMDB cannot keep, and writes after its end', async () => {
    await inTemporaryFolder(async (folder) => {
      const database = await Database.open(folder)
      const table = database.table('t')
      assert.throws(() => table.put(new Uint8Array(0), new Uint8Array(1)), RangeError)
      assert.throws(() => table.put(new Uint8Array(1901), new Uint8Array(1)), RangeError)
      await table.put(new Uint8Array(1900), new Uint8Array(1))
      await database.close()
      await assert.rejects(table.put(new Uint8Array(1), new Uint8Array(1)), { code: 'CLOSED' })
    })
  })
})
