import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, open, rename, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { sleep } from '@cumulus/service'
import { CliError } from './command.ts'
import type { NetworkProcess } from './network-folder.ts'

/** A log is moved aside at start when it is larger than this; one old one is kept. */
const LOG_BYTES_MAX = 32 * 2 ** 20

const main = fileURLToPath(new URL('./main.ts', import.meta.url))

/**
 * The second one: buffers outside of V8's heap count toward its one adaptive limit, not toward a fixed 64 MiB after
 * which each time everything is collected: 90 full collections per GB of bodies become a few (benchmarks.md).
 */
const nodeFlags = ['--conditions=@cumulus/source', '--external-memory-accounted-in-global-limit']

/** The command line that starts `cumulus` with these arguments under the Node that runs now. */
export function selfCommand(...args: readonly string[]): string[] {
  return [process.execPath, ...nodeFlags, main, ...args]
}

/**
 * Where Node.js keeps compiled code between starts: it saves a third of a second of CPU per process. Shared by all
 * networks of this installation. A process writes what is missing when it ends, a thousand small files at first: so as
 * long as there is no cache, only the first of each role is given it. Undefined: this process goes without.
 */
export function compileCacheFor(entry: Pick<NetworkProcess, 'name' | 'role'>): string | undefined {
  const modules = dirname(dirname(createRequire(import.meta.url).resolve('node/package.json')))
  const folder = join(modules, '.cache', 'cumulus')
  const isFirst = ['validator-1', 'miner-01', 'tee-worker-1', 'gateway-1'].includes(entry.name)
  return isFirst || existsSync(join(folder, `${entry.role}.complete`)) ? folder : undefined
}

/** Our environment without settings: those of a role come from its file, and `CUMULUS_DIR` was meant for us. */
function inherited(): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('CUMULUS_')))
}

/** Starts a process that outlives us. Its output goes to `logFile`. Returns its pid. */
export async function startDetached(
  command: readonly string[],
  init: { logFile: string; cwd: string; env?: Record<string, string> },
): Promise<number> {
  await mkdir(dirname(init.logFile), { recursive: true })
  await mkdir(init.cwd, { recursive: true })
  const size = await stat(init.logFile).then(
    (info) => info.size,
    () => 0,
  )
  if (size > LOG_BYTES_MAX) await rename(init.logFile, `${init.logFile}.old`)
  const log = await open(init.logFile, 'a', 0o600)
  try {
    const child = spawn(command[0]!, command.slice(1), {
      cwd: init.cwd,
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      env: { ...inherited(), ...init.env },
    })
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve)
      child.once('error', reject)
    })
    child.unref()
    return child.pid!
  } finally {
    await log.close()
  }
}

/**
 * Whether this very process still runs: the pid lives and its command line is the recorded one. Pids are used again
 * by the system, and we never signal a stranger.
 */
export function isRunning(entry: Pick<NetworkProcess, 'pid' | 'command'>): boolean {
  if (!Number.isInteger(entry.pid) || entry.pid <= 1) return false
  try {
    process.kill(entry.pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' && process.platform !== 'linux'
  }
  if (process.platform !== 'linux') return true
  try {
    if (/\) Z /.test(readFileSync(`/proc/${entry.pid}/stat`, 'utf8'))) return false // dead, and nobody has asked for it yet
    const words = readFileSync(`/proc/${entry.pid}/cmdline`, 'utf8').split('\0')
    // The last two words name the settings file, which only this process uses.
    return entry.command.slice(-2).every((word) => words.includes(word))
  } catch {
    return false
  }
}

/** Asks all to stop, waits, then kills those that did not. Returns the names of those killed. */
export async function stopProcesses(
  entries: readonly NetworkProcess[],
  init: { graceMs: number; onStopped?: (entry: NetworkProcess) => void },
): Promise<string[]> {
  const left = new Set(entries.filter((entry) => isRunning(entry)))
  for (const entry of left) signalProcess(entry.pid, 'SIGTERM')
  const deadline = performance.now() + init.graceMs
  while (left.size > 0 && performance.now() < deadline) {
    await sleep(50)
    for (const entry of left) {
      if (isRunning(entry)) continue
      left.delete(entry)
      init.onStopped?.(entry)
    }
  }
  const killed = [...left].map((entry) => entry.name)
  for (const entry of left) signalProcess(entry.pid, 'SIGKILL')
  while ([...left].some((entry) => isRunning(entry))) await sleep(20)
  return killed
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It went on its own between the look and the signal.
  }
}

/**
 * Ports of our own choice come from here: below the range that systems take for outgoing connections (Linux from
 * 32,768, others from 49,152), where a port that is free now may be somebody's a second later.
 */
const PORT_FIRST = 20_000
const PORT_COUNT = 12_000

/** The preferred port if nobody has it, else any free one. Ports in `taken` are left to others. */
export async function choosePort(preferred: number, taken: Set<number>): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const candidate = attempt === 0 && preferred !== 0 ? preferred : PORT_FIRST + randomInt(PORT_COUNT)
    if (taken.has(candidate) || !(await isFree(candidate))) continue
    taken.add(candidate)
    return candidate
  }
  throw new CliError('NO_FREE_PORT', 'no free port on this machine', 'End programs that listen on many ports.')
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

/** JSON of a process's admin port, or undefined if it does not answer in time. */
export async function askAdmin(port: number, path: '/status' | '/health', timeoutMs = 2_000): Promise<unknown> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(timeoutMs) })
    return await response.json()
  } catch {
    return undefined
  }
}
