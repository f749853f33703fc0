import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { AppendLogs, SlabStore } from '../src/index.ts'
import { crashStore, logIdOf, logSource } from './support/crash-setup.ts'
import { assertSameBytes, keyOf, seededBytes } from './support/fragments.ts'
import { inTemporaryFolder } from './support/temporary-folder.ts'

const CHILD = new URL('./support/crash-child.ts', import.meta.url).pathname
/** Fragments acknowledged before the kill, by round: at the very start, and in full swing. Every other one is deleted again. */
const ROUNDS = [1, 20, 80, 7]

describe('a process that is killed while it writes', () => {
  it('has everything it acknowledged when it starts again, and nothing that is wrong', async () => {
    await inTemporaryFolder(async (folder) => {
      const kept = new Set<number>()
      const deleted = new Set<number>()
      const unknown = new Set<number>()
      const lengths = new Map<number, number>()
      let next = 0
      for (const count of ROUNDS) {
        const child = spawn(process.execPath, ['--conditions=@cumulus/source', CHILD, folder, String(next)], {
          stdio: ['ignore', 'pipe', 'inherit'],
        })
        let text = ''
        for await (const chunk of child.stdout) {
          text += chunk
          if (text.split('\nput ').length > count) child.kill('SIGKILL')
        }
        if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
        assert.equal(child.signalCode, 'SIGKILL')
        for (const line of text.split('\n').slice(0, -1)) {
          const [what, a, b] = line.split(' ')
          const n = Number(a)
          if (what === 'put') kept.add(n)
          if (what === 'deleting') {
            kept.delete(n)
            unknown.add(n)
          }
          if (what === 'deleted') {
            unknown.delete(n)
            deleted.add(n)
          }
          if (what === 'log') lengths.set(n, Number(b))
          if (what !== 'log') next = Math.max(next, n + 10)
        }

        const store = await SlabStore.open(join(folder, 'slabs'), crashStore)
        store.assertConsistent()
        for (const stripe of kept) assert.ok(store.info(keyOf(stripe)), `stripe ${stripe} was acknowledged`)
        for (const stripe of deleted) assert.equal(store.info(keyOf(stripe)), undefined, `stripe ${stripe} came back`)
        // Those nobody was told about may be there, but then they are right.
        for (const { stripe } of store.keys()) {
          const range = await store.read(keyOf(stripe))
          assertSameBytes(range.bytes, seededBytes(stripe, stripe % 3 === 0 ? 60 : 65_536))
          range.release()
          next = Math.max(next, stripe + 10)
        }
        await store.close()
        const logs = await AppendLogs.open(join(folder, 'logs'), { bytesMax: 2 ** 24, keepFreeBytes: 0 })
        for (const [log, length] of lengths) {
          const bytes = await logs.read(logIdOf(log), 0, Number.MAX_SAFE_INTEGER)
          assert.ok(bytes.length >= length, `log ${log} has ${bytes.length} of ${length} acknowledged bytes`)
          assertSameBytes(bytes, logSource(log).subarray(0, bytes.length))
        }
        await logs.close()
      }
      assert.ok(kept.size > 20 && deleted.size > 20 && lengths.size === 2)
    })
  })
})
