import { setTimeout as sleep } from 'node:timers/promises'
import { BenchError } from './bench-error.ts'
import type { CpuMeter } from './process-usage.ts'

/** What a case did in one round. */
export interface Work {
  /** Payload bytes, for which MB/s and CPU seconds per GB are counted. */
  readonly bytes: number
  readonly operations: number
  /** Digest of what came out. A case that finds wrong bytes throws WRONG_BYTES instead. */
  readonly checksum: string
}

export interface Case {
  readonly name: string
  readonly unit: 'MB/s' | 'per s'
  /** Groups of the meter that work for this case. */
  readonly groups: readonly string[]
  /** Names of cases that values are divided by. */
  readonly references?: readonly string[]
  /** Not measured. */
  prepare?(round: number): Promise<void> | void
  run(round: number, signal: AbortSignal): Promise<Work>
  /** Not measured, but CPU counts until it returns. Default: waits `settleMs`. */
  settle?(signal: AbortSignal): Promise<void>
}

/** All that was measured of one case. Arrays are by round. */
export interface Series {
  readonly name: string
  readonly unit: Case['unit']
  readonly references: readonly string[]
  readonly values: number[]
  readonly work: Work[]
  /** CPU seconds by group. */
  readonly cpuSeconds: Record<string, number>[]
}

export interface RoundsInit {
  readonly rounds: number
  readonly meter: CpuMeter
  /** Work goes on after the answer (commits, repair): its CPU time counts too, for so long. */
  readonly settleMs: number
  /** No round begins that would likely end after this time of `performance.now()`. */
  readonly deadlineMs: number
  readonly signal: AbortSignal
  readonly progress: (line: string) => void
}

/**
 * Runs every case once per round, in turns, so that a noisy neighbour slows all alike and ratios within a round hold.
 *
 * @throws BenchError OUT_OF_TIME if not even one round fits
 */
export async function runRounds(cases: readonly Case[], init: RoundsInit): Promise<Series[]> {
  const series = cases.map(
    ({ name, unit, references = [] }): Series => ({ name, unit, references, values: [], work: [], cpuSeconds: [] }),
  )
  let longestRoundMs = 0
  for (let round = 0; round < init.rounds; round++) {
    const startMs = performance.now()
    if (startMs + longestRoundMs > init.deadlineMs) {
      if (round === 0) throw new BenchError('OUT_OF_TIME', 'the time limit was reached before the first round')
      init.progress(`time limit: ${round} of ${init.rounds} rounds`)
      break
    }
    for (const [i, { name, unit, groups, prepare, run, settle }] of cases.entries()) {
      init.signal.throwIfAborted()
      await prepare?.(round)
      init.progress(`round ${round + 1} of ${init.rounds}: ${name} …`)
      const before = init.meter.read()
      const caseStartMs = performance.now()
      const work = await run(round, init.signal)
      const seconds = (performance.now() - caseStartMs) / 1000
      await (settle?.(init.signal) ?? sleep(init.settleMs, undefined, { signal: init.signal }))
      const after = init.meter.read()
      const value = (unit === 'MB/s' ? work.bytes / 1e6 : work.operations) / seconds
      series[i]!.values.push(value)
      series[i]!.work.push(work)
      series[i]!.cpuSeconds.push(Object.fromEntries(groups.map((group) => [group, after[group]! - before[group]!])))
      init.progress(`round ${round + 1} of ${init.rounds}: ${name} ${formatNumber(value)} ${unit}`)
    }
    longestRoundMs = Math.max(longestRoundMs, performance.now() - startMs)
  }
  return series
}

export interface Spread {
  readonly min: number
  readonly median: number
  readonly max: number
}

export function spreadOf(values: readonly number[]): Spread {
  if (values.length === 0) throw new RangeError('nothing was measured')
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return { min: sorted[0]!, median, max: sorted.at(-1)! }
}

/** Four digits at most. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return '-'
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)))
}
