import { loadavg } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { ValidatorNetwork } from '@cumulus/e2e'
import type { Hex } from 'viem'
import type { Bench, BenchContext } from '../bench.ts'
import {
  type Percentiles,
  percentile,
  percentilesOf,
  renderPercentiles,
  renderStages,
  type StageTable,
} from '../latency.ts'
import { processTimes } from '../process-usage.ts'
import { type BenchReport, type Size, type Target, target } from '../report.ts'
import { handIn, measureLatency, measureOne, nextNonce, nonceOf, signedTransfer } from '../transfer-client.ts'
import { type Finding, mayRun } from './consensus-finding.ts'
import { measureOrders } from './consensus-order.ts'
import { measureWan } from './consensus-wan.ts'

interface Scale {
  readonly committees: readonly number[]
  readonly idleSamples: number
  readonly latencySamples: number
  readonly transfers: number
  /** Before and after members are killed, each. */
  readonly faultSamples: number
}

const scales: Readonly<Record<Size, Scale>> = {
  tiny: { committees: [1, 4], idleSamples: 1, latencySamples: 3, transfers: 40, faultSamples: 3 },
  small: { committees: [1, 4, 11], idleSamples: 5, latencySamples: 30, transfers: 1_500, faultSamples: 30 },
  full: { committees: [1, 4, 11], idleSamples: 20, latencySamples: 200, transfers: 20_000, faultSamples: 200 },
}

/** Longer than the pause between idle rounds. */
const IDLE_MS = 1_500
/** Between two transfers of an account while members are killed. */
const LOAD_MS = 50
const LOAD_ACCOUNTS = 3
/** Between two looks at how far the order is. */
const LOOK_MS = 10
/** Transactions of one sender that wait for a block: below what a mempool takes. */
const OPEN_PER_SENDER_MAX = 32

interface Aims {
  readonly p50: number
  readonly p99: number
  readonly certified: number
  readonly idle?: number
}

/** What is wanted of a committee on one machine with two cores, in ms. Source: docs of R2S, targets. */
const wantedMs: Readonly<Record<number, Aims>> = {
  4: { p50: 120, p99: 250, certified: 180, idle: 150 },
  11: { p50: 500, p99: 900, certified: 700 },
}
/** Transfers per second, of what one validator takes alone in the same run: each member executes all of them. */
const wantedTransfers: Readonly<Record<number, number>> = { 4: 1 / 4, 11: 1 / 8 }
/** With as many killed as the committee bears. */
const FAULT_RATIO_MAX = 1.35
const PAUSE_ROUNDS_MAX = 5

interface Found {
  readonly size: number
  /** Of the machine, over the minute before it was done. */
  readonly load: number
  /** From sending, after a pause, to the receipt. */
  readonly idleMs: readonly number[]
  /** From sending to the receipt, and to the certificate, as a client sees it. */
  readonly executedMs: readonly number[]
  readonly certifiedMs: readonly number[]
  /** From the making of a proposal, as the slowest member says; absent for one alone. */
  readonly commitMs?: Percentiles
  /** By member. */
  readonly stages: readonly StageTable[]
  readonly transfersPerSecond: number
  /** Of one core, by validator, while transfers run. */
  readonly cpuShares: readonly number[]
  readonly cpuSecondsPer100k: number
  readonly fault?: Fault
}

interface Fault {
  readonly killed: number
  readonly beforeMs: readonly number[]
  readonly afterMs: readonly number[]
  /** Longest time without a decided round after the kill, in rounds as long as they took before. */
  readonly pauseRounds: number
}

/**
 * Committees of 1, 4 and 11 processes on this machine: latency from idle, at rest and after members are killed, transfers in
 * bulk, processor time, and where the time goes; the order without execution; and the same far apart.
 */
export const consensusBench: Bench = async (context) => {
  const startMs = performance.now()
  const findings = [await measureCommittees(context), await measureOrders(context), await measureWan(context)]
  return {
    bench: 'consensus',
    size: context.size,
    seconds: (performance.now() - startMs) / 1000,
    rows: findings.flatMap(({ rows }) => rows),
    targets: findings.flatMap(({ targets }) => targets),
    memoryHighWater: Object.assign({}, ...findings.map(({ memoryHighWater }) => memoryHighWater)),
    skipped: findings.flatMap(({ skipped }) => skipped),
    notes: findings.flatMap(({ notes }) => notes),
  } satisfies BenchReport
}

async function measureCommittees(context: BenchContext): Promise<Finding> {
  const scale = scales[context.size]
  const found: Found[] = []
  const skipped: string[] = []
  for (const size of scale.committees) {
    if (mayRun(nameOf(size), 0, context, skipped)) found.push(await measure(size, scale, context))
  }
  const alone = found.find(({ size }) => size === 1)
  return {
    rows: [],
    targets: found.flatMap((one) => targetsOf(one, alone)),
    memoryHighWater: {},
    skipped,
    notes: found.length > 0 ? [...tableOf(found, alone), ...found.flatMap(describe)] : [],
  }
}

function nameOf(size: number): string {
  return size === 1 ? '1 validator, alone' : `${size} validators`
}

async function measure(size: number, scale: Scale, { signal }: BenchContext): Promise<Found> {
  const network = await ValidatorNetwork.start({ size })
  try {
    const idleMs: number[] = []
    for (let i = 0; i < scale.idleSamples; i++) {
      await sleep(IDLE_MS, undefined, { signal })
      idleMs.push((await measureOne(network, network.validators[0]!, signal)).executedMs)
    }
    const latency = await measureLatency(network, scale.latencySamples, signal)
    const orders = await Promise.all(network.validators.map((validator) => validator.order()))
    const commitMs = orders
      .flatMap((order) => order?.commitMs ?? [])
      .reduce<Found['commitMs']>((slow, ms) => (slow && slow.p50 >= ms.p50 ? slow : ms), undefined)
    const before = network.validators.map(({ pid }) => processTimes(pid)!.self)
    const bulk = await measureTransfers(network, scale.transfers, signal)
    const cpuSeconds = network.validators.map(({ pid }, index) => processTimes(pid)!.self - before[index]!)
    const total = cpuSeconds.reduce((sum, seconds) => sum + seconds, 0)
    const fault = size < 4 ? undefined : await measureFault(network, scale.faultSamples, signal)
    return {
      size,
      idleMs,
      ...latency,
      ...(commitMs && { commitMs }),
      stages: orders.flatMap((order) => (order?.stagesMs ? [order.stagesMs] : [])),
      transfersPerSecond: bulk.count / bulk.seconds,
      cpuShares: cpuSeconds.map((seconds) => seconds / bulk.seconds),
      cpuSecondsPer100k: (total / bulk.count) * 100_000,
      ...(fault && { fault }),
      load: loadavg()[0]!,
    }
  } finally {
    await network.remove()
  }
}

/** The same while other accounts send steadily, before and after as many members are killed as the committee bears. */
async function measureFault(network: ValidatorNetwork, count: number, signal: AbortSignal): Promise<Fault> {
  const { validators, accounts } = network
  const killed = Math.floor((validators.length - 1) / 3)
  const kept = validators.slice(0, -killed)
  const ending = new AbortController()
  const ended = AbortSignal.any([signal, ending.signal])
  /** When the order was seen to have come further. */
  const steps: { readonly atMs: number; readonly round: number }[] = []
  const watch = async () => {
    while (!ended.aborted) {
      const round = (await kept[0]!.order())?.decidedRound ?? 0
      if (round > (steps.at(-1)?.round ?? 0)) steps.push({ atMs: performance.now(), round })
      await sleep(LOOK_MS)
    }
  }
  const load = accounts.slice(1, 1 + LOAD_ACCOUNTS).map(async (account, index) => {
    const validator = kept[index % kept.length]!
    let nonce = await nextNonce(network, account)
    while (!ended.aborted) {
      await handIn(validator, await signedTransfer(network, account, nonce++))
      await sleep(LOAD_MS)
    }
  })
  const others = Promise.all([watch(), ...load])
  try {
    const before = await Promise.race([measureLatency(network, count, ended), others.then(() => undefined)])
    const roundMs = (steps.at(-1)!.atMs - steps[0]!.atMs) / (steps.at(-1)!.round - steps[0]!.round)
    const killedAtMs = performance.now()
    await Promise.all(validators.slice(-killed).map((validator) => validator.kill()))
    const after = await Promise.race([measureLatency(network, count, ended), others.then(() => undefined)])
    const since = steps.filter(({ atMs }) => atMs >= killedAtMs)
    const gaps = since.map(({ atMs }, i) => atMs - (since[i - 1]?.atMs ?? killedAtMs))
    return {
      killed,
      beforeMs: before!.executedMs,
      afterMs: after!.executedMs,
      pauseRounds: Math.max(...gaps) / roundMs,
    }
  } finally {
    ending.abort()
    await others
  }
}

/** As many transfers as the validators take, by all accounts at once. Signing is done before the clock starts. */
async function measureTransfers(network: ValidatorNetwork, wanted: number, signal: AbortSignal) {
  const { accounts, validators } = network
  const each = Math.ceil(wanted / accounts.length)
  const signed = await Promise.all(
    accounts.map(async (account) => {
      const first = await nextNonce(network, account)
      const raws: Hex[] = []
      for (let i = 0; i < each; i++) raws.push(await signedTransfer(network, account, first + i))
      return { account, first, raws }
    }),
  )
  const startMs = performance.now()
  await Promise.all(
    signed.map(async ({ account, first, raws }, index) => {
      const validator = validators[index % validators.length]!
      let sent = 0
      for (;;) {
        signal.throwIfAborted()
        const included = (await nonceOf(validator, account)) - first
        if (included >= raws.length) return
        const room = Math.min(raws.length, included + OPEN_PER_SENDER_MAX) - sent
        await Promise.all(raws.slice(sent, sent + room).map((raw) => handIn(validator, raw)))
        sent += Math.max(0, room)
        await sleep(5)
      }
    }),
  )
  return { count: each * accounts.length, seconds: (performance.now() - startMs) / 1000 }
}

/** All sizes beside each other, and as multiples of what one validator takes alone in the same run. */
function tableOf(found: readonly Found[], alone: Found | undefined): string[] {
  const times = (value: number, reference: number | undefined) =>
    reference ? ` (${(value / reference).toFixed(1)} ×)` : ''
  const rows = found.map((one) => {
    const { size, commitMs, executedMs, certifiedMs, idleMs, transfersPerSecond, cpuShares, load } = one
    const cell = (values: readonly number[], reference: readonly number[] | undefined) =>
      renderPercentiles(percentilesOf(values)) + times(percentile(values, 0.5), reference && percentile(reference, 0.5))
    return [
      String(size),
      commitMs ? renderPercentiles(commitMs) : '',
      cell(executedMs, alone?.executedMs),
      cell(certifiedMs, alone?.certifiedMs),
      percentile(idleMs, 0.5).toFixed(0),
      transfersPerSecond.toFixed(0) + times(transfersPerSecond, alone?.transfersPerSecond),
      `${Math.min(...cpuShares.map((share) => Math.round(100 * share)))}-${Math.max(...cpuShares.map((share) => Math.round(100 * share)))} %`,
      load.toFixed(1),
    ]
  })
  const head = ['validators', 'commit', 'executed', 'certified', 'from idle', 'transfers/s', 'CPU each', 'load']
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)))
  const lines = [head, ...rows].map((row) =>
    row
      .map((text, i) => text.padEnd(widths[i]!))
      .join('  ')
      .trimEnd(),
  )
  return ['latency in ms, p50 / p99; commit counts from the proposal, the others from sending', ...lines]
}

function describe({ size, stages, fault, cpuSecondsPer100k }: Found): string[] {
  const name = nameOf(size)
  const lines = [`${name}: ${cpuSecondsPer100k.toFixed(1)} CPU seconds per 100,000 transfers in all`]
  if (stages.length > 0) lines.push(`${name}, where the time goes, ms: ${renderStages(stages)}`)
  if (fault) {
    const { killed, beforeMs, afterMs, pauseRounds } = fault
    lines.push(
      `${name}, ${killed} killed under load: executed ${renderPercentiles(percentilesOf(beforeMs))} ms before, ${renderPercentiles(percentilesOf(afterMs))} after; longest pause ${pauseRounds.toFixed(1)} rounds`,
    )
  }
  return lines
}

function targetsOf(
  { size, commitMs, certifiedMs, idleMs, fault, ...found }: Found,
  alone: Found | undefined,
): Target[] {
  const wanted = wantedMs[size]
  if (!wanted) return []
  const atMost = (name: string, unit: string, limit: number, reached: number) =>
    target(`${size} validators: ${name}`, unit, true, limit, reached)
  return [
    ...(commitMs
      ? [atMost('commit, p50', 'ms', wanted.p50, commitMs.p50), atMost('commit, p99', 'ms', wanted.p99, commitMs.p99)]
      : []),
    atMost('certified, p50', 'ms', wanted.certified, percentile(certifiedMs, 0.5)),
    ...(wanted.idle ? [atMost('from idle, p50', 'ms', wanted.idle, percentile(idleMs, 0.5))] : []),
    ...(alone
      ? [
          target(
            `${size} validators: transfers, to one alone`,
            '×',
            false,
            wantedTransfers[size]!,
            found.transfersPerSecond / alone.transfersPerSecond,
          ),
        ]
      : []),
    ...(fault
      ? [
          atMost(
            `${fault.killed} killed, latency`,
            '×',
            FAULT_RATIO_MAX,
            percentile(fault.afterMs, 0.5) / percentile(fault.beforeMs, 0.5),
          ),
          atMost(`${fault.killed} killed, pause`, 'rounds', PAUSE_ROUNDS_MAX, fault.pauseRounds),
        ]
      : []),
  ]
}
