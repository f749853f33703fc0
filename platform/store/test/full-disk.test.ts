import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { AppendLogs, Database, SlabStore } from '../src/index.ts'
import { assertSameBytes, fragmentOf, keyOf, seededBytes } from './support/fragments.ts'
import { inTemporaryFolder } from './support/temporary-folder.ts'

/** A file system of 8 MiB, where we may mount one. */
function mount(folder: string): boolean {
  try {
    execFileSync('/usr/bin/mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', folder], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

async function onTinyDisk(skip: (reason: string) => void, use: (folder: string) => Promise<void>): Promise<void> {
  await inTemporaryFolder(async (folder) => {
    if (!mount(folder)) return skip('this user may not mount a tmpfs: real ENOSPC is not tested')
    try {
      await use(folder)
    } finally {
      execFileSync('/usr/bin/umount', [folder])
    }
  })
}

describe('a disk that is really full', () => {
  it('loses nothing of a database, which goes on when there is room', async (t) => {
    await onTinyDisk(t.skip.bind(t), async (folder) => {
      let database = await Database.open(join(folder, 'db'))
      let table = database.table('t')
      await writeFile(join(folder, 'filler'), new Uint8Array(5_000_000))
      let count = 0
      await assert.rejects(
        async () => {
          for (;;) await table.put(new Uint8Array([1, ++count >> 8, count & 255]), seededBytes(count, 5000))
        },
        { code: 'DISK_FULL' },
      )
      await assert.rejects(table.put(new Uint8Array([2]), new Uint8Array(100_000)), { code: 'DISK_FULL' })
      assert.ok(count > 50)
      await rm(join(folder, 'filler'))
      await table.put(new Uint8Array([2]), new Uint8Array(100_000))
      await database.close()
      database = await Database.open(join(folder, 'db'))
      table = database.table('t')
      for (let i = 1; i < count; i++) {
        assertSameBytes(table.get(new Uint8Array([1, i >> 8, i & 255]))!, seededBytes(i, 5000))
      }
      assert.equal(table.count, count)
      await database.close()
    })
  })

  it('loses nothing of a store and its logs, though no guard looked out', async (t) => {
    await onTinyDisk(t.skip.bind(t), async (folder) => {
      const init = { units: 1000, unitBytes: 65_536, indexBytes: 2 ** 24, keepFreeBytes: 0 }
      let store = await SlabStore.open(join(folder, 'slabs'), init)
      const logs = await AppendLogs.open(join(folder, 'logs'), { bytesMax: 2 ** 24, keepFreeBytes: 0 })
      const context = { territory: 1n, note: new Uint8Array(0) }
      const id = new Uint8Array(32)
      let stripes = 0
      let length = 0
      await assert.rejects(
        async () => {
          for (;;) {
            await store.put(keyOf(stripes), fragmentOf(stripes, 65_536))
            stripes++
            length = await logs.append(id, context, length, seededBytes(stripes, 3000))
          }
        },
        { code: 'DISK_FULL' },
      )
      // With less than a cell left, small things still fail one way or the other, and never by halves.
      for (let i = 0; i < 100; i++) {
        const appended = await logs.append(id, context, length, new Uint8Array(4096)).catch(() => undefined)
        if (appended === undefined) break
        length = appended
      }
      assert.ok(stripes > 50)
      store.assertConsistent()
      await store.delete(keyOf(0)).catch(() => undefined)
      await logs.drop(id)
      await store.delete(keyOf(0))
      assert.equal(await store.put(keyOf(5000), fragmentOf(5000, 65_536)), 'stored')
      await store.close()
      store = await SlabStore.open(join(folder, 'slabs'), init)
      for (let stripe = 1; stripe < stripes; stripe++) {
        const range = await store.read(keyOf(stripe))
        assertSameBytes(range.bytes, seededBytes(stripe, 65_536))
        range.release()
      }
      await store.close()
      await logs.close()
    })
  })
})
