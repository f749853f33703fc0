import { readdirSync, readFileSync } from 'node:fs'

/** Ticks per second of the times in /proc: USER_HZ, 100 on every Linux that Node runs on. Source: man 5 proc_pid_stat */
const TICKS_PER_SECOND = 100

interface ProcessTimes {
  /** User and system time of all threads, in seconds. */
  readonly self: number
  /** The same of children that have ended and were waited for. */
  readonly children: number
}

/** undefined if there is no such process. */
export function processTimes(pid: number | 'self'): ProcessTimes | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined
  }
  // The second field is the name in parentheses and may hold anything; the third begins after the last of them.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const seconds = (index: number) => Number(fields[index]) / TICKS_PER_SECOND
  return { self: seconds(11) + seconds(12), children: seconds(13) + seconds(14) }
}

/** The most memory a process ever had resident, in bytes; undefined if it is gone. */
export function memoryHighWater(pid: number | 'self'): number | undefined {
  try {
    const kibibytes = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return kibibytes === undefined ? undefined : Number(kibibytes) * 1024
  } catch {
    return undefined
  }
}

/** Whether it runs: a zombie does not. */
export function isAlive(pid: number): boolean {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return !/^ [ZX]/.test(text.slice(text.lastIndexOf(')') + 1))
  } catch {
    return false
  }
}

/** Words of a command line, or undefined if the process is gone. */
export function commandLine(pid: number): readonly string[] | undefined {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1)
  } catch {
    return undefined
  }
}

export function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  )
}

/** CPU seconds spent so far, by group of processes. A process that has ended keeps what it was last seen with. */
export class CpuMeter {
  readonly #sources: Readonly<Record<string, () => number>>

  constructor(sources: Readonly<Record<string, () => number>>) {
    this.#sources = sources
  }

  read(): Record<string, number> {
    return Object.fromEntries(Object.entries(this.#sources).map(([group, read]) => [group, read()]))
  }

  static processes(pids: readonly number[]): () => number {
    const last = new Map<number, number>()
    return () => {
      let sum = 0
      for (const pid of pids) {
        const seconds = processTimes(pid)?.self ?? last.get(pid) ?? 0
        last.set(pid, seconds)
        sum += seconds
      }
      return sum
    }
  }

  static ourselves(): () => number {
    return () => {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1e6
    }
  }

  /** Of commands that we ran and that have ended. */
  static commands(): () => number {
    return () => processTimes('self')?.children ?? 0
  }
}
