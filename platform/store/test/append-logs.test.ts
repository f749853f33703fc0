import assert from 'node:assert/strict'
import { appendFile, open, readdir, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { AppendLogs, type AppendLogsInit } from '../src/index.ts'
import { FailingFiles } from './support/failing-files.ts'
import { assertSameBytes, seededBytes } from './support/fragments.ts'
import { inTemporaryFolder } from './support/temporary-folder.ts'

const init: AppendLogsInit = { bytesMax: 2 ** 22, keepFreeBytes: 0 }
const context = { territory: 7n, note: new Uint8Array([1, 2, 3]) }
const idOf = (n: number): Uint8Array => new Uint8Array(32).fill(n)

function inLogs<Value>(logsInit: AppendLogsInit, use: (logs: AppendLogs, folder: string) => Promise<Value>) {
  return inTemporaryFolder(async (folder) => {
    const logs = await AppendLogs.open(folder, logsInit)
    try {
      return await use(logs, folder)
    } finally {
      await logs.close()
    }
  })
}

async function onlyFile(folder: string): Promise<string> {
  const names = await readdir(folder)
  assert.equal(names.length, 1)
  return join(folder, names[0]!)
}

describe('append logs', () => {
  it('behave as byte strings that only grow, over restarts', async () => {
    const anyStep = fc.oneof(
      { weight: 8, arbitrary: fc.record({ log: fc.nat(2), back: fc.nat(40), length: fc.nat(600), wrong: fc.nat(9) }) },
      { weight: 1, arbitrary: fc.record({ drop: fc.nat(2) }) },
      { weight: 1, arbitrary: fc.constant('restart' as const) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { maxLength: 30 }), (steps) =>
        inTemporaryFolder(async (folder) => {
          let logs = await AppendLogs.open(folder, init)
          const lengths = [-1, -1, -1] // -1 = no such log
          const contents = [0, 1, 2].map((seed) => seededBytes(seed, 20_000))
          for (const step of steps) {
            if (step === 'restart') {
              await logs.close()
              logs = await AppendLogs.open(folder, init)
            } else if ('drop' in step) {
              assert.equal(await logs.drop(idOf(step.drop)), lengths[step.drop] !== -1)
              lengths[step.drop] = -1
            } else {
              const known = Math.max(0, lengths[step.log]!)
              const position = Math.max(0, known - step.back)
              const bytes = contents[step.log]!.slice(position, position + step.length)
              if (step.wrong === 0 && bytes.length > 0 && position < known) {
                bytes[0]! ^= 1
                await assert.rejects(logs.append(idOf(step.log), context, position, bytes), { code: 'LOG_CONFLICT' })
              } else {
                const length = Math.max(known, position + bytes.length)
                assert.equal(await logs.append(idOf(step.log), context, position, bytes), length)
                lengths[step.log] = length
              }
            }
          }
          for (const [i, length] of lengths.entries()) {
            assert.equal(logs.info(idOf(i))?.bytes ?? -1, length)
            if (length >= 0) assertSameBytes(await logs.read(idOf(i), 0, 20_000), contents[i]!.subarray(0, length))
          }
          assert.deepEqual(
            logs
              .list(7n)
              .map(({ logId }) => logId[0])
              .sort(),
            [0, 1, 2].filter((i) => lengths[i] !== -1),
          )
          let bytes = 0
          for (const name of await readdir(folder)) bytes += (await stat(join(folder, name))).size
          assert.equal(logs.status.bytes, bytes)
          await logs.close()
        }),
      ),
      { numRuns: 30 },
    )
  })

  it('take many appends to one log at once, in the order of their positions', async () => {
    await inLogs(init, async (logs) => {
      const whole = seededBytes(1, 1_000_000)
      const appends: Promise<number>[] = []
      for (let at = 0; at < whole.length; at += 4000) {
        appends.push(logs.append(idOf(1), context, at, whole.subarray(at, at + 4000)))
      }
      const lengths = await Promise.all(appends)
      assert.deepEqual(
        lengths,
        [...lengths].sort((a, b) => a - b),
      )
      await fc.assert(
        fc.asyncProperty(fc.nat(whole.length), fc.nat(whole.length), async (offset, length) => {
          assertSameBytes(await logs.read(idOf(1), offset, length), whole.subarray(offset, offset + length))
        }),
        { numRuns: 20 },
      )
    })
  })

  it('refuse gaps, other territories and unknown logs', async () => {
    await inLogs(init, async (logs) => {
      await assert.rejects(logs.append(idOf(1), context, 1, new Uint8Array(1)), { code: 'LOG_GAP' })
      await logs.append(idOf(1), context, 0, new Uint8Array(10))
      await assert.rejects(logs.append(idOf(1), context, 11, new Uint8Array(1)), {
        code: 'LOG_GAP',
        details: { position: 11, length: 10 },
      })
      const other = { territory: 8n, note: context.note }
      await assert.rejects(logs.append(idOf(1), other, 10, new Uint8Array(1)), { code: 'LOG_CONFLICT' })
      await assert.rejects(logs.read(idOf(2), 0, 1), { code: 'LOG_NOT_FOUND' })
      await assert.rejects(logs.read(idOf(1), 11, 1), { code: 'OUT_OF_RANGE' })
      assert.deepEqual([logs.list(8n).length, logs.list().length], [0, 1])
    })
  })

  it('never take more than their share of the disk', async () => {
    await inLogs({ bytesMax: 10_000, logsMax: 3, keepFreeBytes: 0 }, async (logs, folder) => {
      let position = 0
      await assert.rejects(
        async () => {
          for (;;) position = await logs.append(idOf(1), context, position, new Uint8Array(700))
        },
        { code: 'LOG_SPACE_FULL' },
      )
      assert.ok(position >= 9_100)
      assert.ok((await stat(await onlyFile(folder))).size <= 10_000)
      await logs.drop(idOf(1))
      for (let i = 1; i <= 3; i++) await logs.append(idOf(i), context, 0, new Uint8Array(1))
      await assert.rejects(logs.append(idOf(4), context, 0, new Uint8Array(1)), { code: 'LOG_SPACE_FULL' })
    })
  })

  it('are cut at a torn record, and keep all before it', async () => {
    await inTemporaryFolder(async (folder) => {
      const whole = seededBytes(3, 3000)
      let logs = await AppendLogs.open(folder, init)
      for (const at of [0, 1000, 2000]) await logs.append(idOf(1), context, at, whole.subarray(at, at + 1000))
      await logs.close()
      const path = await onlyFile(folder)
      const { size } = await stat(path)
      const damage: [string, () => Promise<unknown>, number][] = [
        ['garbage after the end', () => appendFile(path, seededBytes(9, 500)), 3000],
        ['a record that claims much', () => appendFile(path, new Uint8Array(16).fill(255)), 3000],
        ['the last byte missing', () => truncate(path, size - 1), 2000],
        ['half a header', () => truncate(path, size - 1016 - 1016 + 7), 1000],
      ]
      for (const [name, harm, length] of damage) {
        await harm()
        logs = await AppendLogs.open(folder, init)
        assert.equal(logs.info(idOf(1))!.bytes, length, name)
        assertSameBytes(await logs.read(idOf(1), 0, 4000), whole.subarray(0, length))
        await logs.append(idOf(1), context, length, whole.subarray(length, length + 1))
        await logs.close()
        await truncate(path, size - 1016 * ((3000 - length) / 1000))
      }
    })
  })

  it('forget a log whose header was never finished', async () => {
    await inTemporaryFolder(async (folder) => {
      await (await open(join(folder, `${'ab'.repeat(32)}.log`), 'w')).close()
      const logs = await AppendLogs.open(folder, init)
      assert.deepEqual([logs.list(), await readdir(folder)], [[], []])
      await logs.close()
    })
  })

  it('say so when a record was damaged on the disk after it was written', async () => {
    await inLogs(init, async (logs, folder) => {
      await logs.append(idOf(1), context, 0, seededBytes(1, 1000))
      const path = await onlyFile(folder)
      const file = await open(path, 'r+')
      await file.write(new Uint8Array([1, 2, 3]), 0, 3, (await stat(path)).size - 10)
      await file.close()
      await assert.rejects(logs.read(idOf(1), 0, 10), { code: 'IO_FAILED' })
    })
  })

  it('promise nothing on a full disk, and go on when there is room', async () => {
    const files = new FailingFiles()
    await inTemporaryFolder(async (folder) => {
      let logs = await AppendLogs.open(folder, { ...init, files })
      const whole = seededBytes(1, 40_000)
      await logs.append(idOf(1), context, 0, whole.subarray(0, 10_000))
      files.fail = (call) => (call === 'write' ? { code: 'ENOSPC', after: 8192 } : undefined)
      const failed = [10_000, 20_000].map((at) => logs.append(idOf(1), context, at, whole.subarray(at, at + 10_000)))
      for (const append of failed) await assert.rejects(append, { code: 'DISK_FULL' })
      await assert.rejects(logs.append(idOf(2), context, 0, whole), { code: 'DISK_FULL' })
      files.fail = () => undefined
      files.free = 0
      await assert.rejects(
        AppendLogs.open(join(folder, 'other'), { ...init, files, keepFreeBytes: 1 }).then((other) =>
          other.append(idOf(1), context, 0, whole),
        ),
        { code: 'DISK_FULL' },
      )
      files.free = undefined
      assert.equal(logs.info(idOf(1))!.bytes, 10_000)
      assert.equal(await logs.append(idOf(1), context, 10_000, whole.subarray(10_000)), 40_000)
      await logs.close()
      logs = await AppendLogs.open(folder, init)
      assertSameBytes(await logs.read(idOf(1), 0, 40_000), whole)
      assert.equal(logs.list().length, 1)
      await logs.close()
    })
  })

  it('trust a log no more after a sync that failed, until it is read again', async () => {
    const files = new FailingFiles()
    await inTemporaryFolder(async (folder) => {
      let logs = await AppendLogs.open(folder, { ...init, files })
      await logs.append(idOf(1), context, 0, new Uint8Array(10))
      files.fail = (call) => (call === 'sync' ? { code: 'EIO' } : undefined)
      await assert.rejects(logs.append(idOf(1), context, 10, new Uint8Array(10)), { code: 'IO_FAILED' })
      files.fail = () => undefined
      await assert.rejects(logs.append(idOf(1), context, 10, new Uint8Array(10)), { code: 'IO_FAILED' })
      assert.equal((await logs.read(idOf(1), 0, 100)).length, 10)
      await logs.close()
      logs = await AppendLogs.open(folder, init)
      const { bytes } = logs.info(idOf(1))!
      assert.equal(await logs.append(idOf(1), context, bytes, new Uint8Array(5)), bytes + 5)
      await logs.close()
    })
  })
})
