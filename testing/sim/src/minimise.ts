import { runScenario, type Scenario } from './campaign.ts'
import type { ViolationCode } from './checker.ts'
import type { Plan } from './plan.ts'

/**
 * Makes a failing scenario smaller while it still fails in the same way: first the faults go, then what shakes the
 * network, then time. Greedy, until nothing more can go.
 */
export function minimise(scenario: Scenario): Scenario {
  const code = failure(scenario)
  if (!code) return scenario
  for (let smallest = scenario; ; ) {
    const smaller = candidates(smallest).find((candidate) => failure(candidate) === code)
    if (!smaller) return smallest
    smallest = smaller
  }
}

function failure(scenario: Scenario): ViolationCode | null {
  return runScenario(scenario).violation?.code ?? null
}

function candidates({ plan, twins }: Scenario): Scenario[] {
  const all = plansBelow(plan).map((smaller) => ({ plan: smaller, twins }))
  if (!twins) return all
  const { members, healMs } = twins
  if (members > 1) all.push({ plan, twins: { members: members - 1, healMs } })
  if (healMs > 50) all.push({ plan, twins: { members, healMs: Math.floor(healMs * 0.8) } })
  return all
}

function plansBelow(plan: Plan): Plan[] {
  const without = <Item>(items: readonly Item[]): Item[][] => items.map((_, i) => items.filter((_, j) => j !== i))
  const all: Plan[] = [
    ...without(plan.faults).map((faults) => ({ ...plan, faults })),
    ...plan.faults.flatMap(({ member, kinds }, i) =>
      kinds.length < 2
        ? []
        : without(kinds).map((fewer) => ({ ...plan, faults: plan.faults.with(i, { member, kinds: fewer }) })),
    ),
    ...without(plan.restarts).map((restarts) => ({ ...plan, restarts })),
    ...without(plan.partitions).map((partitions) => ({ ...plan, partitions })),
  ]
  const calmer: Partial<Plan>[] = [
    { delays: 'uniform' },
    { starvesLeaders: false },
    { duplicates: 0 },
    { losses: 0 },
    { skewMs: 0 },
    { slowFsyncChance: 0 },
    { fsyncMs: 0.2 },
    { codecs: false },
    { compactions: false },
    { idle: false },
    { pressureChance: 0 },
    { impatient: false },
    { coinMs: 0 },
    { undecidedStop: 1024 },
    { shareless: null },
    { coin: 'threshold' },
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
