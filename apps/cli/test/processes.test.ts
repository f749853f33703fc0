import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NetworkProcess } from '../src/network-folder.ts'
import { choosePort, isRunning, startDetached, stopProcesses } from '../src/processes.ts'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cumulus-cli-'))
})
after(() => rm(folder, { recursive: true, force: true }))

async function start(name: string, source: string): Promise<NetworkProcess> {
  const script = join(folder, `${name}.mjs`)
  await writeFile(script, source)
  const command = [process.execPath, script, '--config', name]
  const pid = await startDetached(command, { logFile: join(folder, `${name}.log`), cwd: folder })
  return { role: 'miner', name, pid, dir: folder, command, ports: {} }
}

const waiting = 'console.log("up"); setInterval(() => {}, 1000)'

describe('a process of a local network', () => {
  it('runs until it is asked to stop, and logs to its file', async () => {
    const entry = await start('kind', `${waiting}; process.on('SIGTERM', () => process.exit(0))`)
    try {
      assert.ok(isRunning(entry))
      while (!(await readFile(join(folder, 'kind.log'), 'utf8')).includes('up')) await sleep(10)
      assert.deepEqual(await stopProcesses([entry], { graceMs: 10_000 }), [])
      assert.ok(!isRunning(entry))
    } finally {
      await stopProcesses([entry], { graceMs: 0 })
    }
  })
  it('does not take over settings that were meant for the command that started it', async () => {
    process.env['CUMULUS_DIR'] = '/somewhere'
    const entry = await start('clean', `console.log('dir=' + process.env.CUMULUS_DIR); ${waiting}`)
    try {
      const log = join(folder, 'clean.log')
      while (!(await readFile(log, 'utf8')).includes('up')) await sleep(10)
      assert.match(await readFile(log, 'utf8'), /^dir=undefined$/m)
    } finally {
      delete process.env['CUMULUS_DIR']
      await stopProcesses([entry], { graceMs: 0 })
    }
  })
  it('that does not stop in time is killed and named', async () => {
    const entry = await start('stubborn', `process.on('SIGTERM', () => {}); ${waiting}`)
    while (!(await readFile(join(folder, 'stubborn.log'), 'utf8')).includes('up')) await sleep(10)
    assert.deepEqual(await stopProcesses([entry], { graceMs: 200 }), ['stubborn'])
    assert.ok(!isRunning(entry))
  })
  it('is not mistaken for a stranger that has its pid', { skip: process.platform !== 'linux' }, () => {
    assert.ok(!isRunning({ pid: process.pid, command: ['node', 'x', '--config', 'nobody'] }))
    assert.ok(!isRunning({ pid: 0, command: [] }))
  })
})

describe('a port', () => {
  it('is the preferred one if it is free, else another', async () => {
    const holder = createServer()
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve))
    const { port: held } = holder.address() as { port: number }
    try {
      const taken = new Set<number>()
      const other = await choosePort(held, taken)
      assert.notEqual(other, held)
      assert.notEqual(await choosePort(other, taken), other, 'nor one that was already chosen')
    } finally {
      holder.close()
    }
  })
})
