import { stat } from 'node:fs/promises'
import { type PresetName, preset } from '@cumulus/params'
import { sleep } from '@cumulus/service'
import { CliError, command, formatBytes } from '../command.ts'
import { createLocalNetwork, type LocalPlan, readPlan, writePlan } from '../local-plan.ts'
import { type NetworkFile, NetworkFolder, type NetworkProcess } from '../network-folder.ts'
import { compileCacheFor, isRunning, startDetached, stopProcesses } from '../processes.ts'
import { provisionUsers } from '../provision.ts'
import { firstStopped, lastErrors } from '../stopped-process.ts'
import { bold, dim, yellow } from '../table.ts'
import { networkSettings } from './settings.ts'
import { type ProcessReport, reportProcesses } from './status.ts'

/** Two or three tolerate no fault, and are slower than one. */
const VALIDATOR_COUNTS = '1, or 4 to 11'

export const up = command({
  name: 'up',
  summary: 'Starts a local network, ready for any S3 client; goes on with one that was stopped.',
  about:
    'Four validators, twelve miners, one TEE worker and one gateway, each a process of its own with a folder, keys and ports. The command\n' +
    'returns when all are ready; keys and endpoints are printed and written to network.json. Running it again starts\n' +
    'what is not running. With fewer than 12 miners, data is kept in 2 + 1 fragments instead of 4 + 8.\n' +
    'Four validators agree on the order while one of them fails in any way; one alone (--validators 1) needs no agreement.\n' +
    'The key of their common coin is dealt by this command, which knows it: for development.',
  settings: {
    ...networkSettings,
    validators: {
      kind: 'number',
      help: `how many validators, when the network is made: ${VALIDATOR_COUNTS}; default 4, with --lite 1`,
      min: 1,
      max: 11,
    },
    miners: { kind: 'number', help: 'how many miners, when the network is made', default: 12, min: 3, max: 48 },
    space: {
      kind: 'bytes',
      help: 'disk space of each miner, when the network is made',
      default: 2 ** 30,
      min: 128 * 2 ** 20,
    },
    lite: { kind: 'flag', help: 'all roles in one process: for small machines', default: false },
    foreground: { kind: 'flag', help: 'stay, and stop the network on Ctrl-C', default: false },
    s3Port: { kind: 'number', help: 'port for S3; another one if it is taken', default: 9000, min: 0, max: 65_535 },
    rpcPort: {
      kind: 'number',
      help: 'port for JSON-RPC; another one if it is taken',
      default: 8545,
      min: 0,
      max: 65_535,
    },
    preset: {
      kind: 'text',
      help: 'rules, when the network is made; minimal: tiny segments and short epochs, for tests',
      default: 'dev',
      choices: ['dev', 'minimal'],
    },
    timeout: { kind: 'number', help: 'seconds until "not ready" is an error', default: 120, min: 5, max: 3600 },
  },
  examples: [
    'cumulus up',
    'cumulus up --dir /data/test --space 4GiB',
    'cumulus up --validators 1 --miners 3',
    'aws --endpoint-url http://127.0.0.1:9000 s3 mb s3://photos',
  ],
  async run({ settings, signal }) {
    const startedMs = performance.now()
    const folder = new NetworkFolder(settings.dir)
    const say = (line: string) => {
      if (!settings.json) process.stderr.write(`${line}\n`)
    }
    let plan = await readPlan(folder)
    if (!plan) {
      const validators = validatorCount(settings)
      say(
        `Making a local network of ${validators === 1 ? 'one validator' : `${validators} validators`} and ${settings.miners} miners with ${formatBytes(settings.space)} each in ${folder.path}`,
      )
      plan = await createLocalNetwork(folder, { ...settings, validators, preset: settings.preset as PresetName })
    }
    const { plan: running, started, logStarts } = await startMissing(folder, plan)
    plan = running
    // Waiting ends at once with a process that ends: nothing will start it again.
    const waiting = new AbortController()
    const dead = new AbortController()
    let stopped: NetworkProcess | undefined
    void firstStopped(plan.processes, { signal: waiting.signal }).then((entry) => {
      stopped = entry
      if (entry) dead.abort()
    })
    const deadline = AbortSignal.any([signal, dead.signal, AbortSignal.timeout(settings.timeout * 1000)])
    let network: NetworkFile
    try {
      network = await provisionUsers(folder, plan, deadline)
      await untilReady(network, deadline, say)
    } catch (error) {
      if (signal.aborted) throw signal.reason
      stopped ??= plan.processes.find((entry) => !isRunning(entry))
      if (stopped) {
        const name = logNameOf(plan, stopped)
        const errors = await lastErrors(folder.logFile(name), logStarts.get(name))
        throw new CliError(
          'PROCESS_DIED',
          `${plan.lite ? 'the process of all roles' : name} has stopped`,
          [
            ...(errors.length > 0 ? ['Its last words:', ...errors.map((line) => `  ${line}`)] : []),
            `See ${folder.logFile(name)}; "cumulus down --dir ${settings.dir}" stops the rest.`,
          ].join('\n'),
          { cause: error },
        )
      }
      const bad = (await reportProcesses(plan.processes)).find((entry) => !entry.ok)
      const failing = bad?.checks
        .filter((check) => !check.ok)
        .map((check) => `${check.name}${check.detail ? ` (${check.detail})` : ''}`)
      throw new CliError(
        'NOT_READY',
        `not ready after ${settings.timeout} s${bad ? `: ${bad.name} says ${failing?.join(', ') || 'nothing'}` : ''}`,
        `See "cumulus logs${bad ? ` ${bad.name}` : ''} --dir ${settings.dir}"; "cumulus down --dir ${settings.dir}" stops the rest.`,
        { cause: error },
      )
    } finally {
      waiting.abort()
    }
    await folder.write(network)
    await sayWhoIsBlamed(network, say)
    await sayWhoNeedsRecovery(network, say)
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
    if (settings.json) console.log(JSON.stringify({ seconds: Number(seconds), started, ...network }))
    else say(summary(folder, network, started, seconds))
    if (settings.foreground) {
      await new Promise<void>((resolve) =>
        signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve(), { once: true }),
      )
      say('Stopping…')
      await stopProcesses(network.processes, { graceMs: 20_000 })
    }
    return 0
  },
})

/** @throws CliError BAD_SETTING */
export function validatorCount({ validators, lite }: { validators: number | undefined; lite: boolean }): number {
  const count = validators ?? (lite ? 1 : 4)
  if (count !== 2 && count !== 3) return count
  throw new CliError(
    'BAD_SETTING',
    `--validators: ${count} validators all have to agree, and stop when one of them does`,
    `Choose ${VALIDATOR_COUNTS}.`,
  )
}

/** Starts every process of the plan that does not run. Pids are written down before anything else is waited for. */
async function startMissing(
  folder: NetworkFolder,
  plan: LocalPlan,
): Promise<{ plan: LocalPlan; started: number; logStarts: ReadonlyMap<string, number> }> {
  const logStarts = new Map<string, number>() // bytes in each log before its process was started
  const pids = new Map<string, number>() // by command line: in a lite network all roles share one
  let started = 0
  const processes: LocalPlan['processes'][number][] = []
  for (const entry of plan.processes) {
    const line = entry.command.join('\0')
    let pid = isRunning(entry) ? entry.pid : pids.get(line)
    if (pid === undefined) {
      const logName = logNameOf(plan, entry)
      const logFile = folder.logFile(logName)
      const info = await stat(logFile).catch(() => undefined)
      logStarts.set(logName, info?.size ?? 0)
      pid = await startDetached(entry.command, {
        logFile,
        cwd: folder.path,
        env: { CUMULUS_COMPILE_CACHE: compileCacheFor(entry) ?? '' },
      })
      started++
    }
    pids.set(line, pid)
    processes.push({ ...entry, pid })
  }
  const next = { ...plan, processes }
  await writePlan(folder, next)
  // A network that was ready before: whoever looks must see the new pids, even if it does not get ready this time.
  const known = await folder.find()
  if (known) await folder.write({ ...known, processes })
  return { plan: next, started, logStarts }
}

/** In a lite network all roles share one process and its log. */
function logNameOf({ lite }: LocalPlan, { name }: NetworkProcess): string {
  return lite ? 'lite' : name
}

async function untilReady(network: NetworkFile, signal: AbortSignal, say: (line: string) => void): Promise<void> {
  let saidMs = performance.now()
  const ready = new Set<string>()
  for (;;) {
    signal.throwIfAborted()
    // Who was ready once is not asked again, until all seem ready: then everybody is, once.
    const reports = await reportProcesses(network.processes.filter((entry) => !ready.has(entry.name)))
    for (const entry of reports) {
      // The gateway reads its users file twice a second: healthy before it has seen the users is too early.
      if (isStarted(entry) && (entry.role !== 'gateway' || entry.status['users'] === network.s3.users.length))
        ready.add(entry.name)
    }
    if (ready.size === network.processes.length) {
      if (reports.length === ready.size) return
      ready.clear()
      continue
    }
    if (performance.now() - saidMs > 5_000) {
      saidMs = performance.now()
      say(
        dim(
          `waiting for ${reports
            .filter((entry) => !isStarted(entry))
            .map((entry) => entry.name)
            .join(', ')}`,
        ),
      )
    }
    await sleep(100, signal)
  }
}

/** What the chain holds against a miner that was away. Waiting does not help against it, and the miner serves its data. */
const VERDICTS = ['frozen', 'dead', 'exiting']

/** Whether all is well with a process, or only such as `up` cannot mend. */
export function isStarted({ ok, running, role, checks }: ProcessReport): boolean {
  if (ok) return true
  if (!running || role !== 'miner' || checks.length === 0) return false
  return checks.every(
    (check) =>
      check.ok || check.name === 'proofs' || (check.name === 'registered' && VERDICTS.includes(check.detail ?? '')),
  )
}

/** Miners that run and yet are not well: tell where it says why. */
async function sayWhoIsBlamed(network: NetworkFile, say: (line: string) => void): Promise<void> {
  const reports = await reportProcesses(network.processes.filter(({ role }) => role === 'miner'))
  const names = reports.filter((entry) => !entry.ok).map(({ name }) => name)
  if (names.length > 0) {
    say(yellow(`\nThe chain holds missed or wrong proofs against ${names.join(', ')}. See "cumulus miner status".`))
  }
}

/** A gateway that lost its folder serves nobody whose data it cannot find: tell the way out. */
async function sayWhoNeedsRecovery(network: NetworkFile, say: (line: string) => void): Promise<void> {
  for (const { status } of await reportProcesses(network.processes.filter((entry) => entry.role === 'gateway'))) {
    for (const name of (status['needRecovery'] ?? []) as string[]) {
      const user = network.s3.users.find((known) => known.name === name)
      say(
        yellow(
          `\nThe gateway has lost the index of ${name}. Rebuild it: cumulus gateway recover --key ${user?.ownerKey ?? "(the owner's key)"}`,
        ),
      )
    }
  }
}

function summary(folder: NetworkFolder, network: NetworkFile, started: number, seconds: string): string {
  const user = network.s3.users[0]!
  const rules = preset(network.preset)
  return [
    '',
    `${bold('Ready')} in ${seconds} s${started === 0 ? ' (all was running)' : `: ${started} processes started`}. Miners' space is declared, unproven; rules: ${rules.name}.`,
    '',
    `  S3 endpoint   ${bold(network.s3.endpoint)}   region ${network.s3.region}`,
    `  access key    ${user.accessKey}`,
    `  secret key    ${user.secretKey}`,
    `  JSON-RPC      ${bold(network.rpc.http)}   chain ${network.chainId}   ${network.rpc.ws}`,
    ...(network.validators.length > 1
      ? [`  validators    ${network.validators.length}; the coin of their order is dealt in genesis (development)`]
      : []),
    `  all the rest  ${folder.networkFile}`,
    '',
    `  cumulus put FILE BUCKET/   cumulus ls   cumulus status   cumulus logs --follow   cumulus down`,
    '',
  ].join('\n')
}
