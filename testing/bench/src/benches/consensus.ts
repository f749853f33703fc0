import { setTimeout as sleep } from 'node:timers/promises'
import { type OrderStatus, ValidatorNetwork, type ValidatorProcess } from '@cumulus/e2e'
import { paramsOf } from '@cumulus/execution'
import { type Hex, parseGwei } from 'viem'
import type { Bench, BenchContext } from '../bench.ts'
import { processTimes } from '../process-usage.ts'
import type { BenchReport, Size, Target } from '../report.ts'

interface Scale {
  readonly committees: readonly number[]
  readonly latencySamples: number
  readonly transfers: number
}

const scales: Readonly<Record<Size, Scale>> = {
  tiny: { committees: [1, 4], latencySamples: 3, transfers: 40 },
  small: { committees: [1, 4, 11], latencySamples: 30, transfers: 1_500 },
  full: { committees: [1, 4, 11], latencySamples: 200, transfers: 20_000 },
}

/** Transactions of one sender that wait for a block: below what a mempool takes. */
const OPEN_PER_SENDER_MAX = 32

/** What is wanted of a committee on one machine with two cores, in ms. Source: docs of R2S, targets. */
const wantedMs: Readonly<Record<number, { readonly p50: number; readonly p99: number; readonly certified: number }>> = {
  4: { p50: 120, p99: 250, certified: 180 },
  11: { p50: 500, p99: 900, certified: 700 },
}

interface Found {
  readonly size: number
  /** From sending to the receipt, and to the certificate, as a client sees it. */
  readonly executedMs: readonly number[]
  readonly certifiedMs: readonly number[]
  /** As the slowest member says; absent for one alone. */
  readonly commitMs?: { readonly p50: number; readonly p99: number }
  readonly transfersPerSecond: number
  /** Of one core, mean of the validators, while transfers run. */
  readonly cpuShare: number
  readonly cpuSecondsPer100k: number
}

/** Committees of 1, 4 and 11 processes on this machine: latency at rest, transfers in bulk, processor time. */
export const consensusBench: Bench = async (context) => {
  const startMs = performance.now()
  const scale = scales[context.size]
  const notes: string[] = []
  const skipped: string[] = []
  const targets: Target[] = []
  for (const size of scale.committees) {
    if (performance.now() > context.deadlineMs) {
      skipped.push(`${size} validators: no time left`)
      continue
    }
    context.progress(`${size} validators`)
    const found = await measure(size, scale, context)
    notes.push(...describe(found))
    targets.push(...targetsOf(found))
  }
  return {
    bench: 'consensus',
    size: context.size,
    seconds: (performance.now() - startMs) / 1000,
    rows: [],
    targets,
    memoryHighWater: {},
    skipped,
    notes,
  } satisfies BenchReport
}

async function measure(size: number, scale: Scale, { signal }: BenchContext): Promise<Found> {
  const network = await ValidatorNetwork.start({ size })
  try {
    const latency = await measureLatency(network, scale.latencySamples, signal)
    const orders = await Promise.all(network.validators.map((validator) => validator.order()))
    const commitMs = orders
      .flatMap((order: OrderStatus | undefined) => order?.commitMs ?? [])
      .reduce<Found['commitMs']>((slow, ms) => (slow && slow.p50 >= ms.p50 ? slow : ms), undefined)
    const before = network.validators.map(({ pid }) => processTimes(pid)!.self)
    const bulk = await measureTransfers(network, scale.transfers, signal)
    const cpuSeconds = network.validators.map(({ pid }, index) => processTimes(pid)!.self - before[index]!)
    const total = cpuSeconds.reduce((sum, seconds) => sum + seconds, 0)
    return {
      size,
      ...latency,
      ...(commitMs && { commitMs }),
      transfersPerSecond: bulk.count / bulk.seconds,
      cpuShare: total / size / bulk.seconds,
      cpuSecondsPer100k: (total / bulk.count) * 100_000,
    }
  } finally {
    await network.remove()
  }
}

/** One transfer after the other, each with nothing else to do. */
async function measureLatency(network: ValidatorNetwork, count: number, signal: AbortSignal) {
  const [validator, account] = [network.validators[0]!, network.accounts[0]!]
  const executedMs: number[] = []
  const certifiedMs: number[] = []
  for (let nonce = 0; nonce < count; nonce++) {
    signal.throwIfAborted()
    const raw = await signedTransfer(network, account, nonce)
    const startMs = performance.now()
    const hash = await validator.request<Hex>('eth_sendRawTransaction', raw)
    let height: number | undefined
    while (height === undefined) {
      await sleep(2)
      const receipt = await validator.request<{ blockNumber: Hex } | null>('eth_getTransactionReceipt', hash)
      if (receipt) height = Number(receipt.blockNumber)
    }
    executedMs.push(performance.now() - startMs)
    while ((await validator.height('finalized')) < height) await sleep(2)
    certifiedMs.push(performance.now() - startMs)
  }
  return { executedMs, certifiedMs }
}

/** As many transfers as the validators take, by all accounts at once. Signing is done before the clock starts. */
async function measureTransfers(network: ValidatorNetwork, wanted: number, signal: AbortSignal) {
  const { accounts, validators } = network
  const each = Math.ceil(wanted / accounts.length)
  const signed = await Promise.all(
    accounts.map(async (account) => {
      const first = Number(await validators[0]!.request<Hex>('eth_getTransactionCount', account.address, 'latest'))
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
        const included =
          Number(await validator.request<Hex>('eth_getTransactionCount', account.address, 'latest')) - first
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

async function handIn(validator: ValidatorProcess, raw: Hex): Promise<void> {
  await validator.request('eth_sendRawTransaction', raw)
}

async function signedTransfer(
  { genesis }: ValidatorNetwork,
  account: ValidatorNetwork['accounts'][number],
  nonce: number,
): Promise<Hex> {
  return account.signTransaction({
    chainId: paramsOf(genesis).chainId,
    type: 'eip1559',
    nonce,
    to: `0x${'be'.repeat(20)}`,
    value: 1n,
    gas: 21_000n,
    maxFeePerGas: parseGwei('100'),
    maxPriorityFeePerGas: parseGwei('1'),
  })
}

function describe(found: Found): string[] {
  const { size, executedMs, certifiedMs, commitMs, transfersPerSecond, cpuShare, cpuSecondsPer100k } = found
  const name = size === 1 ? '1 validator, alone' : `${size} validators`
  const commit = commitMs ? `; proposal to commit ${commitMs.p50} / ${commitMs.p99} ms` : ''
  return [
    `${name}: sent to executed ${percentiles(executedMs)} ms (p50 / p99), to certified ${percentiles(certifiedMs)} ms${commit}`,
    `${name}: ${Math.round(transfersPerSecond)} transfers/s; each validator ${(100 * cpuShare).toFixed(0)} % of a core, ${cpuSecondsPer100k.toFixed(1)} CPU seconds per 100,000 transfers in all`,
  ]
}

function targetsOf({ size, commitMs, certifiedMs }: Found): Target[] {
  const wanted = wantedMs[size]
  if (!wanted) return []
  const target = (name: string, limit: number, reached: number): Target => ({
    name: `${size} validators: ${name}`,
    unit: 'ms',
    wanted: limit,
    atMost: true,
    reached,
    met: reached <= limit,
  })
  return [
    ...(commitMs
      ? [target('commit, p50', wanted.p50, commitMs.p50), target('commit, p99', wanted.p99, commitMs.p99)]
      : []),
    target('certified, p50', wanted.certified, percentile(certifiedMs, 0.5)),
  ]
}

function percentiles(values: readonly number[]): string {
  return `${percentile(values, 0.5).toFixed(0)} / ${percentile(values, 0.99).toFixed(0)}`
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!
}
