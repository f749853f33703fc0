import { loadavg } from 'node:os'
import { ValidatorNetwork } from '@cumulus/e2e'
import type { BenchContext } from '../bench.ts'
import { mergedPercentiles, percentilesOf, renderPercentiles, renderStages } from '../latency.ts'
import { type Size, target } from '../report.ts'
import { measureLatency } from '../transfer-client.ts'
import { type Finding, mayRun } from './consensus-finding.ts'

/** One way, between any two. */
const DELAY_MS = 50
/** Source: docs of R2S, targets; they are for eleven machines. */
const wantedMs = { p50: 300, p99: 450, certified: 420 }

const scales: Readonly<Record<Size, { readonly size: number; readonly samples: number }>> = {
  tiny: { size: 4, samples: 2 },
  small: { size: 11, samples: 30 },
  full: { size: 11, samples: 200 },
}

/** To begin and to end; one transfer. */
const AROUND_MS = 15_000
const SAMPLE_MS = 800
const BEGIN_SECONDS_MAX = 120

/** Validators behind lines as between cities: latency at rest. All of them, the lines and the client share this machine. */
export async function measureWan(context: BenchContext): Promise<Finding> {
  const { size, samples } = scales[context.size]
  const name = `${size} validators, ${DELAY_MS} ms apart`
  const skipped: string[] = []
  const none: Finding = { rows: [], targets: [], memoryHighWater: {}, skipped, notes: [] }
  const likelyMs = context.size === 'tiny' ? 0 : AROUND_MS + samples * SAMPLE_MS
  if (!mayRun(name, likelyMs, context, skipped)) return none
  const { commitMs, executedMs, certifiedMs, stages, meanLateMs, load } = await measure(size, samples, context)
  const certified = percentilesOf(certifiedMs)
  return {
    ...none,
    targets:
      size < 11
        ? []
        : [
            target(`${name}: commit, p50`, 'ms', true, wantedMs.p50, commitMs.p50),
            target(`${name}: commit, p99`, 'ms', true, wantedMs.p99, commitMs.p99),
            target(`${name}: certified, p50`, 'ms', true, wantedMs.certified, certified.p50),
          ],
    notes: [
      `${name}: commit ${renderPercentiles(commitMs)} ms, executed ${renderPercentiles(percentilesOf(executedMs))}, certified ${renderPercentiles(certified)}, lines ${meanLateMs.toFixed(1)} ms later than that, load ${load.toFixed(1)}; lines are proxies on this machine, whose cores all validators share`,
      `${name}, where the time goes, ms: ${renderStages(stages)}`,
    ],
  }
}

async function measure(size: number, samples: number, { signal }: BenchContext) {
  const network = await ValidatorNetwork.start({ size, proxies: { delayMs: DELAY_MS } })
  try {
    await network.until('all take part in the order', BEGIN_SECONDS_MAX, async () => {
      signal.throwIfAborted()
      const orders = await Promise.all(network.validators.map((validator) => validator.order()))
      return orders.every((order) => (order?.decidedRound ?? 0) > 2)
    })
    const latency = await measureLatency(network, samples, signal)
    const orders = await Promise.all(network.validators.map((validator) => validator.order()))
    return {
      ...latency,
      commitMs: mergedPercentiles(orders.flatMap((order) => order?.commitMs ?? [])),
      stages: orders.flatMap((order) => (order?.stagesMs ? [order.stagesMs] : [])),
      meanLateMs: Math.max(...network.proxies.map((proxy) => proxy.meanLateMs)),
      load: loadavg()[0]!,
    }
  } finally {
    await network.remove()
  }
}
