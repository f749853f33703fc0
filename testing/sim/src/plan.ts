import { committeeOf } from '@cumulus/r2s'
import { Random } from './random.ts'

/** How a traitor, or a member that counts as one, behaves. Some do two of these at once. */
export const FAULT_KINDS = [
  /** Two whole honest personas under one name, each with its own half of the members. */
  'twin',
  /** Two or three versions of each block. */
  'equivocator',
  'silent',
  'withholder',
  'late',
  /** Broken bytes, and blocks that are wrong in one place. */
  'garbage',
  'bad-share',
  /** Honest but for the coin: its blocks carry no share, and so nobody takes them. */
  'no-share',
  'clock',
  /** Times as early and as late as they may be, and one that never comes. */
  'edge-time',
  /** Blocks of far rounds upon ancestors that there are not, and versions upon the oldest that may be cited. */
  'flooder',
  /** In many blocks another true proof that a fellow traitor, or itself, signed two blocks of one round. */
  'evidence-spam',
  /** Starts as new after a crash, and signs rounds again. */
  'amnesiac',
  /** Honest: it knows that its log is gone. */
  'lost-log',
  /** Honest: a durable record of its log is damaged. */
  'bit-flip',
] as const
export type FaultKind = (typeof FAULT_KINDS)[number]

/** What bad luck does to an honest member: no more than f have it, and all promises hold for them too. */
export const MISHAPS: ReadonlySet<FaultKind> = new Set(['lost-log', 'bit-flip'])

const DELAY_MODELS = ['uniform', 'exponential', 'heavy-tail', 'matrix', 'slow-quarter', 'starved'] as const
export type DelayModel = (typeof DELAY_MODELS)[number]

export interface Fault {
  readonly member: number
  readonly kinds: readonly FaultKind[]
}

/** While it lasts, members in the mask `side` and the others cannot reach each other. */
export interface Partition {
  readonly fromMs: number
  readonly toMs: number
  readonly side: number
  /** Messages are lost and links come up again afterwards; otherwise they are only held up. */
  readonly cuts: boolean
}

/** An honest member is killed, loses what its disk had not yet synced, and comes back. */
export interface Restart {
  readonly member: number
  readonly atMs: number
  readonly downMs: number
}

/** Everything a run depends on besides the code. Drawn from a seed, and made smaller when a run fails. */
export interface Plan {
  readonly seed: number
  readonly size: number
  readonly waveLength: 4 | 5
  readonly leaders: number
  /** `public`: everybody knows the order of the leaders in advance. */
  readonly coin: 'threshold' | 'public'
  /** An honest member without a share of the coin's key, or null. */
  readonly shareless: number | null
  /** Small in some runs, like the next two: what happens once a month in the field happens here all the time. */
  readonly gcDepth: number
  readonly parkedMax: number
  readonly replyBytesMax: number
  readonly delays: DelayModel
  /** Holds the blocks of leaders back until the others have voted: those of the public coin, be they right or a guess. */
  readonly starvesLeaders: boolean
  readonly duplicates: number
  /** Chance that a message is sent again once or more, as TCP does. */
  readonly losses: number
  readonly fsyncMs: number
  readonly slowFsyncChance: number
  readonly skewMs: number
  /** All messages go through their codecs, and logs through theirs. */
  readonly codecs: boolean
  /** Logs are now and then replaced by a checkpoint and the window. */
  readonly compactions: boolean
  /** Members have something to say only now and then. */
  readonly idle: boolean
  /** Chance, by decided round, that a node says that it is late, or no longer is. */
  readonly pressureChance: number
  readonly faults: readonly Fault[]
  readonly partitions: readonly Partition[]
  readonly restarts: readonly Restart[]
  /** Members ask for a coin as soon as others have built upon its shares. */
  readonly impatient: boolean
  /** Until shares are summed, or a coin is verified. */
  readonly coinMs: number
  /** Undecided rounds above which rounds come far apart. */
  readonly undecidedStop: number
  /** When the network becomes calm and everybody honest is up. */
  readonly chaosMs: number
}

/** Mean one-way delay of the uniform model; the others are of the same order. */
export const MEAN_DELAY_MS = 10

export function drawPlan(seed: number, size: number): Plan {
  const random = new Random(seed)
  const { faultCount, coinThreshold } = committeeOf(size)
  const chaosMs = Math.round(random.between(150, size > 6 ? 300 : 420))
  const members = random.sample(size, size)
  const faults = members.slice(0, random.below(faultCount + 1)).map((member) => ({ member, kinds: drawKinds(random) }))
  const honest = members.slice(faults.length)
  // Blocks of a member whose clock runs ahead are held up for as long by the others, if a traitor's times draw it on.
  const lies = faults.some(({ kinds }) => kinds.includes('clock') || kinds.includes('edge-time'))
  const skewMs = lies ? 30 : 600
  const coin = random.chance(0.85) ? 'threshold' : 'public'
  // All others must have a share, or there is no coin.
  const spare = honest.length > coinThreshold && random.chance(0.2)
  return {
    seed,
    size,
    waveLength: random.chance(0.7) ? 4 : 5,
    leaders: random.chance(0.6) ? size : 1 + random.below(size),
    coin,
    shareless: spare ? random.pick(honest) : null,
    gcDepth: drawGcDepth(random),
    parkedMax: random.chance(0.7) ? 64 : random.pick([6, 2]),
    replyBytesMax: random.chance(0.75) ? 2 ** 22 : 1000 * size,
    delays: random.pick(DELAY_MODELS),
    starvesLeaders: random.chance(0.15),
    duplicates: random.chance(0.3) ? 0.1 : 0,
    losses: random.chance(0.3) ? 0.05 : 0,
    fsyncMs: random.chance(0.7) ? 0.2 : 4,
    slowFsyncChance: random.chance(0.2) ? 0.05 : 0,
    skewMs: random.chance(0.3) ? skewMs : 0,
    codecs: random.chance(0.1),
    compactions: random.chance(0.3),
    idle: random.chance(0.2),
    pressureChance: random.chance(0.2) ? 0.1 : 0,
    faults,
    partitions: Array.from({ length: random.chance(0.5) ? 1 + random.below(2) : 0 }, () => {
      const fromMs = random.between(0, chaosMs * 0.8)
      return {
        fromMs,
        toMs: Math.min(chaosMs, fromMs + random.between(20, 200)),
        side: random.below(2 ** size),
        cuts: random.chance(0.5),
      }
    }),
    restarts: Array.from({ length: random.chance(0.5) ? 1 + random.below(3) : 0 }, () => ({
      member: random.pick(honest),
      atMs: random.between(5, chaosMs),
      downMs: random.chance(0.8) ? random.between(1, 60) : random.between(60, 250),
    })),
    chaosMs,
    impatient: random.chance(0.3),
    // Fewer than four have no key in the field, and one alone makes a round every millisecond here.
    coinMs: size < 4 || random.chance(0.5) ? 0 : random.between(0.5, 1.5 * MEAN_DELAY_MS),
    undecidedStop: random.chance(0.8) ? 1024 : 8 + random.below(16),
  }
}

function drawKinds(random: Random): FaultKind[] {
  const draw = (): FaultKind => (random.chance(0.2) ? 'equivocator' : random.pick(FAULT_KINDS))
  const first = draw()
  const second = draw()
  return random.chance(0.25) && second !== first ? [first, second] : [first]
}

/** 64 is the development network's, 256 the main network's. */
function drawGcDepth(random: Random): number {
  const kind = random.float()
  return kind < 0.5 ? 64 : kind < 0.65 ? 256 : 16 + random.below(16)
}
