import { loadavg } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { OrderCount, OrderEnd } from '@cumulus/validator/bench'
import type { BenchContext } from '../bench.ts'
import { BenchError } from '../bench-error.ts'
import { type Percentiles, percentilesOf, renderPercentiles, renderStages } from '../latency.ts'
import { OrderCommittee } from '../order-committee.ts'
import { memoryHighWater } from '../process-usage.ts'
import { type Row, type Size, type Target, target } from '../report.ts'
import { formatNumber, spreadOf } from '../rounds.ts'
import { type Finding, mayRun } from './consensus-finding.ts'

const TRANSACTION_BYTES = 512

interface Case {
  readonly size: number
  /** Of each own block; without it they are full. */
  readonly transactionsMax?: number
  readonly minRoundMs?: number
  /** One way. */
  readonly delayMs?: number
  /** Per second, at least. */
  readonly wanted?: number
  readonly wantedMs?: Percentiles
}

/** Source of what is wanted: docs of R2S, targets; the pace is the one they give for such lines. */
const four: Case = { size: 4, wanted: 30_000 }
const eleven: Case = { size: 11, wanted: 10_000 }
const farApart = { transactionsMax: 10, minRoundMs: 50, delayMs: 50 }
const elevenFarApart: Case = { size: 11, ...farApart, wantedMs: { p50: 300, p99: 450 } }

interface Scale {
  readonly cases: readonly Case[]
  readonly warmUpMs: number
  readonly windows: number
  readonly windowMs: number
}

const scales: Readonly<Record<Size, Scale>> = {
  tiny: { cases: [four, { size: 4, ...farApart }], warmUpMs: 200, windows: 1, windowMs: 1_000 },
  small: { cases: [four, eleven, elevenFarApart], warmUpMs: 3_000, windows: 5, windowMs: 3_000 },
  full: { cases: [four, eleven, elevenFarApart], warmUpMs: 10_000, windows: 10, windowMs: 6_000 },
}

/** To begin, until all have ordered something, and to end. */
const AROUND_MS = 5_000
const BEGIN_MS_MAX = 30_000
const LOOK_MS = 50

interface Found {
  readonly case: Case
  readonly name: string
  /** By window, at the slowest member. */
  readonly rates: readonly number[]
  /** Of all members together for each transaction. */
  readonly cpuMicroseconds: number
  /** Of all members. */
  readonly commitMs: Percentiles
  readonly roundsPerSecond: number
  readonly ends: readonly OrderEnd[]
  readonly memoryBytes: number
  readonly meanLateMs: number
  readonly load: number
}

/** What members order that execute nothing: as much as they can, and how soon where they are far apart. */
export async function measureOrders(context: BenchContext): Promise<Finding> {
  const scale = scales[context.size]
  const likelyMs = scale.warmUpMs + scale.windows * scale.windowMs + AROUND_MS
  const found: Found[] = []
  const skipped: string[] = []
  for (const one of scale.cases) {
    if (mayRun(nameOf(one), likelyMs, context, skipped)) found.push(await measure(one, scale, context))
  }
  return {
    rows: found.map(rowOf),
    targets: found.flatMap(targetsOf),
    memoryHighWater: Object.fromEntries(found.map(({ name, memoryBytes }) => [name, memoryBytes])),
    skipped,
    notes: found.length > 0 ? [...HOW, ...found.flatMap(describe)] : [],
  }
}

const HOW = [
  `order alone: each member a process with its log, sessions, signatures and coin; it fills its own blocks itself with transactions of ${TRANSACTION_BYTES} bytes: no client, no mempool, no signatures of transactions, no execution`,
  'order alone: per second at the slowest member, CPU of all members together; commit counts from the contents of own blocks',
]

function nameOf({ size, delayMs }: Case): string {
  return `order alone, ${size} members${delayMs === undefined ? '' : `, ${delayMs} ms apart`}`
}

async function measure(one: Case, scale: Scale, { signal, profileFolder }: BenchContext): Promise<Found> {
  const { size, transactionsMax = Number.POSITIVE_INFINITY, minRoundMs, delayMs } = one
  const init = { size, transactionBytes: TRANSACTION_BYTES, transactionsMax, minRoundMs, delayMs }
  const committee = await OrderCommittee.start(init, { signal, profileFolder })
  try {
    await untilAllOrder(committee, signal)
    await sleep(scale.warmUpMs, undefined, { signal })
    const counts = [await committee.count()]
    for (let window = 0; window < scale.windows; window++) {
      await sleep(scale.windowMs, undefined, { signal })
      counts.push(await committee.count())
    }
    const load = loadavg()[0]!
    const memoryBytes = Math.max(...committee.pids.map((pid) => memoryHighWater(pid) ?? 0))
    const { meanLateMs } = committee
    const ends = await committee.end()
    return { case: one, name: nameOf(one), ...summaryOf(counts), ends, memoryBytes, meanLateMs, load }
  } finally {
    await committee.remove()
  }
}

async function untilAllOrder(committee: OrderCommittee, signal: AbortSignal): Promise<void> {
  const untilMs = performance.now() + BEGIN_MS_MAX
  while (!(await committee.count()).every(({ transactions }) => transactions > 0)) {
    if (performance.now() > untilMs) throw new BenchError('NETWORK_FAILED', 'members order nothing')
    await sleep(LOOK_MS, undefined, { signal })
  }
}

/** @param counts by time, then by member */
function summaryOf(counts: readonly (readonly OrderCount[])[]) {
  const windows = counts.slice(1).map((after, window) => windowOf(counts[window]!, after))
  return {
    rates: windows.map(({ rate }) => rate),
    cpuMicroseconds: windowOf(counts[0]!, counts.at(-1)!).cpuMicroseconds,
    commitMs: percentilesOf(counts.slice(1).flatMap((members) => members.flatMap(({ commitMs }) => commitMs))),
    roundsPerSecond: spreadOf(windows.map((window) => window.roundsPerSecond)).median,
  }
}

/** Each member has a clock of its own, and answers when it comes to it. */
function windowOf(before: readonly OrderCount[], after: readonly OrderCount[]) {
  const perSecond = (of: 'transactions' | 'rounds') =>
    Math.min(...after.map((count, i) => (1000 * (count[of] - before[i]![of])) / (count.atMs - before[i]!.atMs)))
  const cpuSeconds = after.reduce((sum, count, i) => sum + count.cpuSeconds - before[i]!.cpuSeconds, 0)
  const transactions = after[0]!.transactions - before[0]!.transactions
  return {
    rate: perSecond('transactions'),
    roundsPerSecond: perSecond('rounds'),
    cpuMicroseconds: (1e6 * cpuSeconds) / transactions,
  }
}

/** Digest of the order in the last round that all have decided; throws if they differ before. */
function digestOf(name: string, ends: readonly OrderEnd[]): string {
  const rounds = Math.min(...ends.map(({ digests }) => digests.length))
  const [digest, ...others] = new Set(ends.map(({ digests }) => digests[rounds - 1]!))
  if (others.length > 0) throw new BenchError('WRONG_BYTES', `${name}: members order differently`)
  return digest!
}

function rowOf({ name, rates, cpuMicroseconds, ends }: Found): Row {
  return {
    name,
    unit: 'per s',
    values: rates,
    spread: spreadOf(rates),
    ratios: {},
    cpu: { unit: 'µs each', groups: { members: cpuMicroseconds } },
    checksum: digestOf(name, ends),
  }
}

function targetsOf({ name, rates, commitMs, case: { wanted, wantedMs } }: Found): Target[] {
  const rate = spreadOf(rates).median
  return [
    ...(wanted ? [target(`${name}: transactions`, 'per s', false, wanted, rate)] : []),
    ...(wantedMs
      ? [
          target(`${name}: commit, p50`, 'ms', true, wantedMs.p50, commitMs.p50),
          target(`${name}: commit, p99`, 'ms', true, wantedMs.p99, commitMs.p99),
        ]
      : []),
  ]
}

function describe(found: Found): string[] {
  const { name, commitMs, roundsPerSecond, ends, load } = found
  const { minRoundMs, delayMs } = found.case
  const rotationsMs = ends.flatMap((end) => end.rotationsMs)
  const syncs = (when: 'usual' | 'rotating') => percentilesOf(ends.flatMap((end) => end.syncMs[when]))
  const parts = [
    `commit ${renderPercentiles(commitMs)} ms`,
    `${formatNumber(roundsPerSecond)} rounds/s${minRoundMs === undefined ? '' : ` of at least ${minRoundMs} ms`}`,
    `${formatNumber(found.cpuMicroseconds / 10)} CPU seconds per 100,000 transactions in all`,
    `own blocks wait ${renderPercentiles(syncs('usual'))} ms for the disk`,
    ...(rotationsMs.length > 0
      ? [
          `${renderPercentiles(syncs('rotating'))} while a log is begun anew, which takes ${renderPercentiles(percentilesOf(rotationsMs))} ms`,
        ]
      : []),
    ...(delayMs === undefined ? [] : [`lines ${found.meanLateMs.toFixed(1)} ms later than that`]),
    `load ${load.toFixed(1)}`,
  ]
  return [
    `${name}: ${parts.join(', ')}`,
    `${name}, where the time goes, ms: ${renderStages(ends.map(({ stagesMs }) => stagesMs))}`,
  ]
}
