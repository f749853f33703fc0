import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { ExecutionError } from './execution-error.ts'

/**
 * Keeps a second process out of a folder: two would both append to one chain. The file `LOCK` names the process that
 * holds it; one left behind by a process that was killed is taken over.
 */
export class FolderLock {
  readonly #path: string

  /** @throws ExecutionError FOLDER_IN_USE */
  constructor(dir: string) {
    mkdirSync(dir, { recursive: true })
    this.#path = `${dir}/LOCK`
    const mine = JSON.stringify({ pid: process.pid, started: startOf(process.pid) })
    try {
      writeFileSync(this.#path, mine, { flag: 'wx' })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      const holder = readHolder(this.#path)
      if (holder && isAlive(holder)) {
        throw new ExecutionError('FOLDER_IN_USE', `${dir} is in use by process ${holder.pid}`, { dir, pid: holder.pid })
      }
      writeFileSync(this.#path, mine)
    }
  }

  release(): void {
    rmSync(this.#path, { force: true })
  }
}

interface Holder {
  readonly pid: number
  /** Tells a process from a later one that got the same number. Unknown outside of Linux. */
  readonly started: string | null
}

function readHolder(path: string): Holder | undefined {
  try {
    const { pid, started } = JSON.parse(readFileSync(path, 'utf8'))
    return Number.isSafeInteger(pid) ? { pid, started } : undefined
  } catch {
    // Killed while writing it: nobody holds it.
    return undefined
  }
}

function isAlive({ pid, started }: Holder): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  return started === null || startOf(pid) === started
}

/** Start of a process in clock ticks since boot: field 22 of /proc/pid/stat, behind the name in brackets. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    return null
  }
}
