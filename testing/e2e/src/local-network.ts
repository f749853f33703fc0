import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { S3Client } from '@aws-sdk/client-s3'
import type { NetworkFile, NetworkProcess } from '@cumulus/cli'

const run = promisify(execFile)
const root = join(dirname(fileURLToPath(import.meta.url)), '../../..')
const binary = join(root, 'apps/cli/bin/cumulus.mjs')

/** Whoever listens here is making a network: two that look for free ports at the same moment would find the same. */
const MAKING_PORT = 8_543
/** More than a network takes to start on a slow machine, some times over. */
const TURN_MS_MAX = 10 * 60_000

/** A network as a user has it: made by `cumulus up` in a folder of its own, seen only through its files and ports. */
export class LocalNetwork {
  readonly dir: string
  file!: NetworkFile

  private constructor(dir: string) {
    this.dir = dir
  }

  static async start(init: { args?: readonly string[] } = {}): Promise<LocalNetwork> {
    const network = new LocalNetwork(await mkdtemp(join(tmpdir(), 'cumulus-e2e-')))
    const turn = await myTurn()
    try {
      await network.up(init.args)
    } catch (error) {
      process.stderr.write(await network.tailOfLogs())
      await network.remove()
      throw error
    } finally {
      turn.close()
    }
    return network
  }

  /** Runs the command line as a user would; throws with its output if it fails. */
  async cumulus(...args: readonly string[]): Promise<string> {
    const { stdout } = await run(process.execPath, [binary, ...args, '--dir', this.dir], {
      maxBuffer: 64 * 2 ** 20,
      timeout: 300_000,
    })
    return stdout
  }

  /** Runs the command line and tells how it ended, well or not. */
  async outcome(...args: readonly string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
    try {
      const { stdout, stderr } = await run(process.execPath, [binary, ...args, '--dir', this.dir], { timeout: 120_000 })
      return { exitCode: 0, stdout, stderr }
    } catch (error) {
      const { code, stdout, stderr } = error as { code?: unknown; stdout?: string; stderr?: string }
      if (typeof code !== 'number') throw error
      return { exitCode: code, stdout: stdout ?? '', stderr: stderr ?? '' }
    }
  }

  /** Starts what is not running. */
  async up(args: readonly string[] = []): Promise<void> {
    await this.cumulus('up', ...args)
    await this.reload()
  }

  async reload(): Promise<void> {
    this.file = JSON.parse(await readFile(join(this.dir, 'network.json'), 'utf8')) as NetworkFile
  }

  async down(): Promise<void> {
    await this.cumulus('down')
  }

  /** Stops everything and deletes the folder. */
  async remove(): Promise<void> {
    await this.cumulus('down', '--grace', '5').catch(() => {})
    await rm(this.dir, { recursive: true, force: true, maxRetries: 5 })
  }

  processes(role: NetworkProcess['role']): NetworkProcess[] {
    return this.file.processes.filter((entry) => entry.role === role)
  }

  /** kill -9, and waits until the process is gone. */
  async kill(entry: NetworkProcess): Promise<void> {
    process.kill(entry.pid, 'SIGKILL')
    for (;;) {
      try {
        process.kill(entry.pid, 0)
        const stat = await readFile(`/proc/${entry.pid}/stat`, 'utf8').catch(() => ') Z ')
        if (/\) Z /.test(stat)) return
      } catch {
        return
      }
      await sleep(20)
    }
  }

  s3(user = 'main'): S3Client {
    const found = this.file.s3.users.find((candidate) => candidate.name === user)
    if (!found) throw new Error(`no user ${user}`)
    return new S3Client({
      endpoint: this.file.s3.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: found.accessKey, secretAccessKey: found.secretKey },
      maxAttempts: 1,
    })
  }

  async status(): Promise<{
    committee?: { size: number; round: number; certifiedHeight: number; lagging: unknown[]; traitors: string[] }
    processes: { name: string; role: string; ok: boolean; status: Record<string, unknown> }[]
  }> {
    return JSON.parse(await this.cumulus('status', '--json'))
  }

  /** Polls until `done` is true; throws after `seconds`. Not a measurement, a limit. */
  async until(what: string, seconds: number, done: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + seconds * 1000
    while (!(await done())) {
      if (performance.now() > deadline) throw new Error(`not within ${seconds} s: ${what}\n${await this.tailOfLogs()}`)
      await sleep(250)
    }
  }

  async tailOfLogs(): Promise<string> {
    return this.cumulus('logs', '--lines', '60', '--level', 'warn').catch((error: Error) => error.message)
  }
}

/** Resolves when nobody else makes a network on this machine. Others wait until it is closed, or its process has ended. */
async function myTurn(): Promise<Server> {
  const untilMs = performance.now() + TURN_MS_MAX
  while (performance.now() < untilMs) {
    const server = createServer()
    const isMine = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(MAKING_PORT, '127.0.0.1', () => resolve(true))
    })
    if (isMine) return server
    await sleep(200)
  }
  throw new Error(`port ${MAKING_PORT} was never free: by it, tests that make networks wait for each other`)
}
