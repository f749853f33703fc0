import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NetworkFile, NetworkProcess } from '@cumulus/cli'
import { BenchError } from './bench-error.ts'
import { commandLine, isAlive } from './process-usage.ts'

const cli = join(import.meta.dirname, '../../../apps/cli/src/main.ts')

export interface LocalNetworkInit {
  /** Disk space of each miner, in bytes. */
  readonly space: number
  readonly signal: AbortSignal
  readonly progress: (line: string) => void
  /** Where the processes write a CPU profile when they end. */
  readonly profileFolder?: string
}

/** A network made by `cumulus up` in a folder of its own. `remove` ends all of it, whatever state it is in. */
export class LocalNetwork {
  readonly folder: string
  #file: NetworkFile | undefined

  private constructor(folder: string) {
    this.folder = folder
  }

  /** @throws BenchError NETWORK_FAILED, with the CLI's own words; nothing is left behind then */
  static async start(init: LocalNetworkInit): Promise<LocalNetwork> {
    const network = new LocalNetwork(await mkdtemp(join(tmpdir(), 'cumulus-bench-')))
    try {
      init.progress(`starting a network in ${network.folder}`)
      await network.#cumulus(['up', '--s3-port', '0', '--rpc-port', '0', '--space', String(init.space)], init)
      network.#file = JSON.parse(await readFile(join(network.folder, 'network.json'), 'utf8')) as NetworkFile
      return network
    } catch (error) {
      await network.remove(init.progress)
      throw error
    }
  }

  get file(): NetworkFile {
    return this.#file!
  }

  processes(role: NetworkProcess['role']): NetworkProcess[] {
    return this.file.processes.filter((entry) => entry.role === role)
  }

  /** @throws BenchError NETWORK_FAILED if a process has ended that we did not kill */
  assertRunning(killed: readonly NetworkProcess[] = []): void {
    const gone = this.file.processes.find((entry) => !killed.includes(entry) && !runs(entry))
    if (gone) throw new BenchError('NETWORK_FAILED', `${gone.name} has stopped on its own; see its log`)
  }

  /** kill -9, and waits until they are gone. */
  async kill(entries: readonly NetworkProcess[]): Promise<void> {
    for (const entry of entries) if (runs(entry)) process.kill(entry.pid, 'SIGKILL')
    while (entries.some((entry) => isAlive(entry.pid))) await sleep(20)
  }

  /** Ends every process, gently first, and deletes the folder. Works on a network that is half made, too. */
  async remove(progress: (line: string) => void, graceMs = 15_000): Promise<void> {
    // `up` writes the pids into its plan before it waits for anything; network.json comes last.
    const plan = await readFile(join(this.folder, 'config', 'plan.json'), 'utf8').then(
      (text) => JSON.parse(text) as { processes: NetworkProcess[] },
      () => ({ processes: [] }),
    )
    const ours = plan.processes.filter(runs)
    progress(`stopping ${ours.length} processes`)
    // The gateway writes first: it wants its miners and its chain until it is done.
    for (const group of [
      ours.filter(({ role }) => role === 'gateway'),
      ours.filter(({ role }) => role !== 'gateway'),
    ]) {
      for (const entry of group.filter(runs)) process.kill(entry.pid, 'SIGTERM')
      const deadline = performance.now() + graceMs
      while (group.some(runs) && performance.now() < deadline) await sleep(50)
      await this.kill(group)
    }
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }

  async #cumulus(args: readonly string[], { signal, profileFolder }: LocalNetworkInit): Promise<void> {
    const profiling = profileFolder
      ? { NODE_OPTIONS: `--cpu-prof --cpu-prof-interval=500 --cpu-prof-dir=${profileFolder}` }
      : {}
    const child = spawn(process.execPath, ['--conditions=@cumulus/source', cli, ...args, '--dir', this.folder], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...profiling },
      // A Ctrl-C reaches us, and we decide what ends and when.
      detached: true,
    })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-4_000)
    })
    const abort = () => child.kill('SIGTERM')
    signal.addEventListener('abort', abort, { once: true })
    try {
      const code = await new Promise<number | null>((resolve, reject) => {
        child.once('error', reject)
        child.once('close', resolve)
      })
      signal.throwIfAborted()
      if (code !== 0) throw new BenchError('NETWORK_FAILED', `cumulus ${args[0]} ended with ${code}: ${said.trim()}`)
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }
}

/** Whether this very process runs. Pids are used again by the system, and we never signal a stranger. */
function runs({ pid, command }: NetworkProcess): boolean {
  if (pid <= 1 || !isAlive(pid)) return false
  const words = commandLine(pid)
  return words !== undefined && command.slice(-2).every((word) => words.includes(word))
}
