import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { createLogger } from '@cumulus/service'
import { MempoolJournal } from '../src/mempool-journal.ts'
import { ENTRIES, KEPT } from './kill-journal.ts'

const WRITES_MAX = 30

describe('a process that is killed between two writes of its mempool journal, or in one', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'cumulus-killed-journal-'))
  })
  after(() => rm(dir, { recursive: true }))

  /** Runs the child; returns whether it was killed, and what it had acknowledged. */
  const run = async (path: string, step: number, where: string) => {
    const script = new URL('./kill-journal-child.ts', import.meta.url).pathname
    const child = spawn(process.execPath, ['--conditions=@cumulus/source', script, path, String(step), where], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [said, [code, signal]] = await Promise.all([
      text(child.stdout),
      once(child, 'close') as Promise<[number | null, string | null]>,
    ])
    assert.ok(signal === 'SIGKILL' || code === 7, `it ended with ${code}, ${signal}`)
    return { wasKilled: signal === 'SIGKILL', said: new Set(said.split('\n')) }
  }

  it('loses nothing that it acknowledged and that still waits, and invents nothing', async () => {
    let steps = 0
    for (; steps < WRITES_MAX; steps++) {
      let wasKilled = false
      for (const where of ['before', 'middle']) {
        const path = join(dir, `${steps}-${where}`)
        const outcome = await run(path, steps, where)
        wasKilled = outcome.wasKilled
        const loaded = await new MempoolJournal(path, createLogger({ name: 'journal', write: () => {} })).load()
        const found = loaded.map(({ addedAtMs }) => addedAtMs - 1_000)
        assert.deepEqual(
          loaded.map(({ raw }) => Buffer.from(raw)),
          found.map((i) => Buffer.from(ENTRIES[i]!.raw)),
        )
        assert.deepEqual(found, [...new Set(found)].sort(), 'each once, in their order')
        const isWanted = (i: number) => i > 3 || KEPT.includes(i) || !outcome.said.has('rewritten')
        const acknowledged = ENTRIES.keys().filter((i) => outcome.said.has(`entry ${i}`))
        // The rewrite may have happened with no time left to say so.
        const mayBeRewritten = outcome.said.has('entry 3')
        for (const i of acknowledged) {
          if (!isWanted(i) || (mayBeRewritten && i < 4 && !KEPT.includes(i))) continue
          assert.ok(found.includes(i), `entry ${i} is lost, killed ${where} write ${steps}`)
        }
        if (outcome.said.has('rewritten'))
          assert.deepEqual(
            found.filter((i) => i < 4),
            KEPT,
          )
      }
      if (!wasKilled) break
    }
    // Six entries, and a rewrite of two, a flush and a name.
    assert.equal(steps, 10)
  })
})
