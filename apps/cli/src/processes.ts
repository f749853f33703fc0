import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdir, open, rename, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { sleep } from '@cumulus/service'
import type { NetworkProcess } from './network-folder.ts'

/** A log is moved aside at start when it is larger than this; one old one is kept. */
const LOG_BYTES_MAX = 32 * 2 ** 20

const main = fileURLToPath(new URL('./main.ts', import.meta.url))

/** The command line that starts `cumulus` with these arguments under the Node that runs now. */
export function selfCommand(...args: readonly string[]): string[] {
  return [process.execPath, '--conditions=@cumulus/source', main, ...args]
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
      env: { ...process.env, ...init.env },
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

/** The preferred port if nobody has it, else any free one. Ports in `taken` are left to others. */
export async function choosePort(preferred: number, taken: Set<number>): Promise<number> {
  for (const candidate of [preferred, 0, 0, 0]) {
    if (candidate !== 0 && taken.has(candidate)) continue
    const port = await tryPort(candidate)
    if (port === undefined || taken.has(port)) continue
    taken.add(port)
    return port
  }
  throw new Error('no free port on this machine')
}

function tryPort(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(undefined))
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : undefined))
    })
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
