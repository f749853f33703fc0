import { committeeOf } from '@cumulus/r2s'
import type { ViolationCode } from './checker.ts'
import { drawPlan, type Plan } from './plan.ts'
import { Random } from './random.ts'
import { type RunResult, type Twins, World } from './world.ts'

/** What to run: random plans, or the directed adversary with so many twins. */
export interface Campaign {
  readonly size: number
  readonly twins: number | null
}

export interface Tally {
  seeds: number
  withFaults: number
  /** Seeds in which somebody was caught signing two blocks of one round. */
  withEvidence: number
  rounds: number
  blocks: number
  events: number
  certificates: number
  directCommits: number
  directSkips: number
  indirectCommits: number
  indirectSkips: number
  latencyMs: number
  latencies: number
  /** Over all traces: equal for equal code and seeds, whatever the number of workers. */
  trace: number
  violations: { seed: number; code: ViolationCode; message: string }[]
}

/** Failing seeds kept in a tally; the rest is only counted. */
const VIOLATIONS_KEPT_MAX = 1000

export function emptyTally(): Tally {
  return {
    seeds: 0,
    withFaults: 0,
    withEvidence: 0,
    rounds: 0,
    blocks: 0,
    events: 0,
    certificates: 0,
    directCommits: 0,
    directSkips: 0,
    indirectCommits: 0,
    indirectSkips: 0,
    latencyMs: 0,
    latencies: 0,
    trace: 0,
    violations: [],
  }
}

export function runSeed({ size, twins }: Campaign, seed: number): RunResult {
  return runScenario(drawScenario({ size, twins }, seed))
}

/** What a campaign runs for a seed, in full. */
export interface Scenario {
  readonly plan: Plan
  readonly twins: Twins | null
}

export function drawScenario({ size, twins }: Campaign, seed: number): Scenario {
  return twins === null ? { plan: drawPlan(seed, size), twins: null } : drawTwins(seed, size, twins)
}

export function runScenario({ plan, twins }: Scenario): RunResult {
  const result = new World(plan, twins).run()
  const mayStall = twins !== null && twins.members > committeeOf(plan.size).faultCount
  return mayStall && result.violation?.code === 'STALL' ? { ...result, violation: null } : result
}

/**
 * Twins: `members` identities run as two honest personas each; the halves of the committee, every half with its
 * personas, do not hear of each other until the network heals. Random traitors hardly ever find the worst case; this
 * is it. Whether the committee goes on is only asked for where no more than f are traitors.
 */
function drawTwins(seed: number, size: number, members: number): Scenario {
  const random = new Random(seed ^ 0x7717)
  const plan: Plan = {
    ...drawPlan(seed, size),
    waveLength: random.chance(0.5) ? 4 : 5,
    leaders: random.pick([1, Math.min(2, size), size]),
    coin: 'threshold',
    shareless: null,
    starvesLeaders: false,
    pressureChance: 0,
    impatient: false,
    coinMs: 0,
    undecidedStop: 1024,
    gcDepth: 64,
    parkedMax: 64,
    replyBytesMax: 2 ** 22,
    skewMs: 0,
    codecs: false,
    compactions: false,
    idle: false,
    faults: [],
    partitions: [],
    restarts: [],
    slowFsyncChance: 0,
    chaosMs: 0,
  }
  return { plan, twins: { members, healMs: random.between(150, 350) } }
}

export function tallySeeds(campaign: Campaign, from: number, to: number, stopAtFirst = false): Tally {
  const tally = emptyTally()
  for (let seed = from; seed < to; seed++) {
    count(tally, runSeed(campaign, seed))
    if (stopAtFirst && tally.violations.length > 0) break
  }
  return tally
}

/** A scenario as it is, then with other seeds for the network and the disks, until one fails. */
export function tallyScenario({ plan, twins }: Scenario, tries: number): Tally {
  const tally = emptyTally()
  for (let i = 0; i < tries && tally.violations.length === 0; i++) {
    count(tally, runScenario({ plan: { ...plan, seed: plan.seed + i }, twins }))
  }
  return tally
}

function count(tally: Tally, result: RunResult): void {
  tally.seeds++
  if (result.plan.faults.length > 0) tally.withFaults++
  if (result.evidence > 0) tally.withEvidence++
  tally.rounds += result.rounds
  tally.blocks += result.blocks
  tally.events += result.events
  tally.certificates += result.certificates
  tally.directCommits += result.directCommits
  tally.directSkips += result.directSkips
  tally.indirectCommits += result.indirectCommits
  tally.indirectSkips += result.indirectSkips
  tally.latencyMs += Math.round(result.latencyMs) // whole numbers, whose sum does not depend on the order of the workers
  tally.latencies += result.latencies
  tally.trace = (tally.trace + result.trace) % 2 ** 32
  const { violation, plan } = result
  if (violation && tally.violations.length < VIOLATIONS_KEPT_MAX) {
    tally.violations.push({ seed: plan.seed, code: violation.code, message: violation.message })
  }
}

export function addTally(sum: Tally, part: Tally): void {
  sum.seeds += part.seeds
  sum.withFaults += part.withFaults
  sum.withEvidence += part.withEvidence
  sum.rounds += part.rounds
  sum.blocks += part.blocks
  sum.events += part.events
  sum.certificates += part.certificates
  sum.directCommits += part.directCommits
  sum.directSkips += part.directSkips
  sum.indirectCommits += part.indirectCommits
  sum.indirectSkips += part.indirectSkips
  sum.latencyMs += part.latencyMs
  sum.latencies += part.latencies
  sum.trace = (sum.trace + part.trace) % 2 ** 32
  sum.violations.push(...part.violations.slice(0, VIOLATIONS_KEPT_MAX - sum.violations.length))
}
