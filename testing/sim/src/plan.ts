import { Random } from './random.ts'

/** How a traitor, or a member that counts as one, behaves. */
const FAULT_KINDS = [
  'twin',
  'equivocator',
  'silent',
  'withholder',
  'late',
  'garbage',
  'bad-share',
  'clock',
  'amnesiac',
  'lost-log',
] as const
export type FaultKind = (typeof FAULT_KINDS)[number]

const DELAY_MODELS = ['uniform', 'exponential', 'heavy-tail', 'matrix', 'slow-quarter', 'starved'] as const
export type DelayModel = (typeof DELAY_MODELS)[number]

export interface Fault {
  readonly member: number
  readonly kind: FaultKind
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
  /** Small in some runs, like the next two: what happens once a month in the field happens here all the time. */
  readonly gcDepth: number
  readonly parkedMax: number
  readonly replyBytesMax: number
  readonly delays: DelayModel
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
  readonly faults: readonly Fault[]
  readonly partitions: readonly Partition[]
  readonly restarts: readonly Restart[]
  /** When the network becomes calm and everybody honest is up. */
  readonly chaosMs: number
}

/** Mean one-way delay of the uniform model; the others are of the same order. */
export const MEAN_DELAY_MS = 10

export function drawPlan(seed: number, size: number): Plan {
  const random = new Random(seed)
  const faultCount = Math.floor((size - 1) / 3)
  const chaosMs = Math.round(random.between(150, size > 6 ? 300 : 420))
  const members = random.sample(size, size)
  const faults = members.slice(0, random.below(faultCount + 1)).map((member) => ({
    member,
    kind: random.chance(0.25) ? ('equivocator' as const) : random.pick(FAULT_KINDS),
  }))
  const honest = members.slice(faults.length)
  // Blocks of a member whose clock runs ahead are held up for as long by the others, if a traitor's times draw it on.
  const skewMs = faults.some(({ kind }) => kind === 'clock') ? 30 : 600
  return {
    seed,
    size,
    waveLength: random.chance(0.7) ? 4 : 5,
    leaders: random.chance(0.6) ? size : 1 + random.below(size),
    gcDepth: random.chance(0.6) ? 64 : 16 + random.below(16),
    parkedMax: random.chance(0.8) ? 64 : 6,
    replyBytesMax: random.chance(0.8) ? 2 ** 22 : 4000,
    delays: random.pick(DELAY_MODELS),
    duplicates: random.chance(0.3) ? 0.1 : 0,
    losses: random.chance(0.3) ? 0.05 : 0,
    fsyncMs: random.chance(0.7) ? 0.2 : 4,
    slowFsyncChance: random.chance(0.2) ? 0.05 : 0,
    skewMs: random.chance(0.3) ? skewMs : 0,
    codecs: random.chance(0.1),
    compactions: random.chance(0.3),
    idle: random.chance(0.1),
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
  }
}
