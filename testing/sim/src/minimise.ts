import type { ViolationCode } from './checker.ts'
import type { Plan } from './plan.ts'
import { World } from './world.ts'

/**
 * Makes a failing plan smaller while it still fails in the same way: first the faults go, then what shakes the
 * network, then time. Greedy, until nothing more can go.
 */
export function minimise(plan: Plan): Plan {
  const code = failure(plan)
  if (!code) return plan
  for (let smallest = plan; ; ) {
    const smaller = candidates(smallest).find((candidate) => failure(candidate) === code)
    if (!smaller) return smallest
    smallest = smaller
  }
}

function failure(plan: Plan): ViolationCode | null {
  return new World(plan).run().violation?.code ?? null
}

function candidates(plan: Plan): Plan[] {
  const without = <Item>(items: readonly Item[]): Item[][] => items.map((_, i) => items.filter((_, j) => j !== i))
  const all: Plan[] = [
    ...without(plan.faults).map((faults) => ({ ...plan, faults })),
    ...without(plan.restarts).map((restarts) => ({ ...plan, restarts })),
    ...without(plan.partitions).map((partitions) => ({ ...plan, partitions })),
  ]
  const calmer: Partial<Plan>[] = [
    { delays: 'uniform' },
    { duplicates: 0 },
    { losses: 0 },
    { skewMs: 0 },
    { slowFsyncChance: 0 },
    { fsyncMs: 0.2 },
    { codecs: false },
    { compactions: false },
    { idle: false },
    { gcDepth: 64 },
    { parkedMax: 64 },
    { replyBytesMax: 2 ** 22 },
    { waveLength: 4 },
    { leaders: 1 },
  ]
  for (const change of calmer) {
    const candidate = { ...plan, ...change }
    if (JSON.stringify(candidate) !== JSON.stringify(plan)) all.push(candidate)
  }
  if (plan.chaosMs > 50) all.push({ ...plan, chaosMs: Math.floor(plan.chaosMs * 0.8) })
  return all
}
