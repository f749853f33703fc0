import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { readGenesis } from '@cumulus/execution'
import { readSettings } from '@cumulus/service'
import { CliError, parseCall } from '../src/command.ts'
import { isStarted, up, validatorCount } from '../src/commands/up.ts'
import { createLocalNetwork, readPlan } from '../src/local-plan.ts'
import { NetworkFolder } from '../src/network-folder.ts'
import { startDetached, stopProcesses } from '../src/processes.ts'
import { teeWorkerSettings } from '../src/role-settings.ts'
import { firstStopped, lastErrors } from '../src/stopped-process.ts'

let dir: string
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'cumulus-up-'))
})
after(() => rm(dir, { recursive: true, force: true }))

describe('a local network one of whose processes cannot start', () => {
  it('is given up at once, with the name of the process and its last words', async () => {
    const folder = new NetworkFolder(join(dir, 'network'))
    const sizes = { validators: 1, miners: 3, space: 128 * 2 ** 20 }
    await createLocalNetwork(folder, { ...sizes, lite: true, s3Port: 0, rpcPort: 0, preset: 'minimal' })
    await writeFile(folder.genesisFile, '{"version":2,"preset":"nothing"}')
    const { settings } = parseCall(up.settings, ['--dir', folder.path, '--timeout', '3600', '--json'], {})
    try {
      await assert.rejects(
        async () => up.run({ settings, positionals: [], signal: new AbortController().signal }),
        (error) => {
          assert.ok(error instanceof CliError)
          assert.equal(error.code, 'PROCESS_DIED')
          assert.match(error.message, /^the process of all roles has stopped$/)
          assert.match(error.next!, /Its last words:\n(.*\n)*.*\[GENESIS_MALFORMED\]/)
          return true
        },
      )
    } finally {
      await stopProcesses((await readPlan(folder))!.processes, { graceMs: 5_000 })
    }
  })
})

describe('how many validators a local network has', () => {
  const call = (...args: string[]) => parseCall(up.settings, args, {})
  const count = (...args: string[]) => validatorCount(call(...args).settings as Parameters<typeof validatorCount>[0])

  it('is four, or one where all roles share a process, unless it is said', () => {
    assert.equal(count(), 4)
    assert.equal(count('--lite'), 1)
    assert.equal(count('--lite', '--validators', '4'), 4)
    for (const number of [1, 4, 5, 6, 7, 8, 9, 10, 11]) assert.equal(count('--validators', `${number}`), number)
  })

  it('is not two or three: those stop when one does; nothing is made', async () => {
    for (const number of [2, 3]) {
      const path = join(dir, `of-${number}`)
      const { settings } = call('--validators', `${number}`, '--dir', path)
      await assert.rejects(
        async () => up.run({ settings, positionals: [], signal: new AbortController().signal }),
        (error) => error instanceof CliError && error.code === 'BAD_SETTING' && /4 to 11/.test(error.next!),
      )
      assert.equal(await readPlan(new NetworkFolder(path)), undefined)
    }
    for (const number of [0, 12]) assert.throws(() => call('--validators', `${number}`), /--validators: "\d+" is not/)
  })

  it('is as many members of a committee, with keys and ports of their own', async () => {
    for (const validators of [5, 11]) {
      const folder = new NetworkFolder(join(dir, `committee-${validators}`))
      const sizes = { validators, miners: 3, space: 128 * 2 ** 20 }
      const plan = await createLocalNetwork(folder, { ...sizes, lite: false, s3Port: 0, rpcPort: 0, preset: 'minimal' })
      assert.equal(plan.validators.length, validators)
      assert.equal(plan.processes.filter(({ role }) => role === 'validator').length, validators)
      const { committee } = await readGenesis(folder.genesisFile)
      assert.deepEqual(
        committee!.members.map(({ account, address }) => ({ account, address })),
        plan.validators.map(({ account, address }) => ({ account, address })),
      )
      for (const key of ['peerKey', 'blsKey'] as const)
        assert.equal(new Set(committee!.members.map((member) => member[key])).size, validators)
      // The TEE worker believes this committee, and no RPC node.
      const file = folder.configFile('tee-worker-1')
      assert.equal(readSettings(teeWorkerSettings, { flags: {}, env: {}, file }).genesis, folder.genesisFile)
      const ports = plan.processes.flatMap((entry) => Object.values(entry.ports))
      assert.equal(new Set(ports).size, ports.length)
    }
  })
})

describe('the first process that stops', () => {
  it('is noticed while others run, and no longer looked for when nobody waits', async () => {
    const start = async (name: string, source: string) => {
      const script = join(dir, `${name}.mjs`)
      await writeFile(script, source)
      const command = [process.execPath, script, '--config', name]
      const pid = await startDetached(command, { logFile: join(dir, `${name}.log`), cwd: dir })
      return { role: 'miner' as const, name, pid, dir, command, ports: {} }
    }
    const steady = await start('steady', 'setInterval(() => {}, 1000)')
    try {
      const brief = await start('brief', 'await new Promise((resolve) => setTimeout(resolve, 150))')
      const waiting = new AbortController()
      assert.equal((await firstStopped([steady, brief], waiting))?.name, 'brief')
      const looking = firstStopped([steady], waiting)
      waiting.abort()
      assert.equal(await looking, undefined)
    } finally {
      await stopProcesses([steady], { graceMs: 0 })
    }
  })
})

describe('the last words of a log', () => {
  const logged = (level: string, message: string, error?: object) =>
    JSON.stringify({ time: 't', level, message, error })
  const words = async (lines: readonly string[], fromByte?: number) => {
    const path = join(dir, 'words.log')
    await writeFile(path, `${lines.join('\n')}\n`)
    return lastErrors(path, fromByte)
  }

  it('are errors that were logged and what was printed, without stacks', async () => {
    const lines = [
      logged('info', 'starting'),
      logged('error', 'failed', { name: 'ExecutionError', code: 'FOLDER_IN_USE', message: 'in use', stack: 'at x' }),
      '\x1b[31merror\x1b[0m in use [FOLDER_IN_USE]',
      '    at file:///x.ts:1:1',
      'Node.js v26.0.0',
      logged('warn', 'nothing of it'),
    ]
    assert.deepEqual(await words(lines), ['failed: in use [FOLDER_IN_USE]', 'error in use [FOLDER_IN_USE]'])
  })

  it('are those of the last run, and few', async () => {
    const old = logged('error', 'of an earlier run')
    const own = Array.from({ length: 9 }, (_, index) => logged('error', `error ${index} ${'x'.repeat(400 * index)}`))
    const said = await words([old, ...own], old.length + 1)
    assert.equal(said.length, 5)
    assert.match(said[4]!, /^error 8 x+…$/)
    assert.ok(!(await words([old], old.length + 1)).includes('of an earlier run'))
    // Moved aside: the log begins anew.
    assert.deepEqual(await words([old], 10_000), ['of an earlier run'])
    assert.deepEqual(await lastErrors(join(dir, 'nowhere.log')), [])
  })
})

describe('what `up` waits for', () => {
  const report = (role: string, ...checks: { name: string; ok: boolean; detail?: string }[]) =>
    isStarted({
      name: role,
      role,
      pid: 1,
      running: true,
      ok: checks.every(({ ok }) => ok),
      checks,
      ports: {},
      status: {},
    })

  it('is all that gets well by itself', () => {
    assert.equal(report('miner', { name: 'chain', ok: true }), true)
    assert.equal(report('miner', { name: 'chain', ok: false }), false)
    assert.equal(report('miner', { name: 'registered', ok: false, detail: 'none' }), false)
    assert.equal(report('miner', { name: 'fragments', ok: false, detail: '1 damaged' }), false)
    assert.equal(report('tee-worker', { name: 'registered', ok: false, detail: 'frozen' }), false)
  })

  it('is not what the chain holds against a miner', () => {
    for (const detail of ['frozen', 'dead', 'exiting']) {
      assert.equal(report('miner', { name: 'registered', ok: false, detail }), true)
      assert.equal(report('miner', { name: 'registered', ok: false, detail }, { name: 'gateways', ok: false }), false)
    }
    assert.equal(report('miner', { name: 'proofs', ok: false, detail: '0 wrong and 1 missing proofs in a row' }), true)
  })

  it('is a process that runs and has told something', () => {
    const silent = { name: 'm', role: 'miner', pid: 1, running: true, ok: false, checks: [], ports: {}, status: {} }
    assert.equal(isStarted(silent), false)
    const checks = [{ name: 'proofs', ok: false }]
    assert.equal(isStarted({ ...silent, running: false, checks }), false)
  })
})
