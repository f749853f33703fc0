import type { Block, Commit } from '@cumulus/r2s'
import type { ConsensusMetrics } from './consensus-metrics.ts'
import { LatencyWindow } from './latency-window.ts'

/**
 * Where the time of a transaction goes, in order. All but the first and the last three are of own blocks with transactions;
 * the last four of chain blocks with transactions.
 *
 * | stage | from | to |
 * |---|---|---|
 * | `pool` | the first one of a block is in the mempool of the member that orders it | it is taken into the block |
 * | `share` | an own block is wanted | the own share of a coin is computed, and there is room |
 * | `build` | contents are taken | the block is signed: its parents were there |
 * | `log` | signed | durable, and sent |
 * | `order` | durable | decided, without the coin |
 * | `coin` | enough shares of its round's coin | their sum |
 * | `queue` | decided | executed next: blocks before it are done |
 * | `execute` | begun | executed and visible, without the disk |
 * | `store` | handed to the store | durable |
 * | `certificate` | executed, and voted for | a quorum's votes are here |
 */
export const STAGES = [
  'pool',
  'share',
  'build',
  'log',
  'order',
  'coin',
  'queue',
  'execute',
  'store',
  'certificate',
] as const
export type Stage = (typeof STAGES)[number]

export type StageTable = Readonly<Partial<Record<Stage, { readonly p50: number; readonly p99: number; count: number }>>>

interface OwnBlock {
  readonly builtAtMs: number
  readonly hasTransactions: boolean
  durableAtMs: number
}

/** Rounds whose times are kept: more are undecided only while the order stands still. */
const ROUNDS_MAX = 256

/** How long transactions and blocks stay in each stage, as histograms and, of the last minute, as percentiles. */
export class StageTimes {
  readonly #metrics: ConsensusMetrics
  readonly #nowMs: () => number
  readonly #windows = new Map<Stage, LatencyWindow>(STAGES.map((stage) => [stage, new LatencyWindow()]))
  readonly #commit = new LatencyWindow()
  /** Of transactions in the mempool; they go with them. */
  readonly #arrivedAtMs = new WeakMap<object, number>()
  /** By round. */
  readonly #own = new Map<number, OwnBlock>()
  readonly #coinMs = new Map<number, number>()
  readonly #committedAtMs = new WeakMap<Commit, number>()
  /** Of chain blocks with transactions and without certificate. */
  readonly #executedAtMs = new Map<bigint, number>()
  #proposedAtMs = 0
  #takenAtMs = 0

  constructor(metrics: ConsensusMetrics, nowMs: () => number = () => performance.now()) {
    this.#metrics = metrics
    this.#nowMs = nowMs
  }

  /** A transaction came into the mempool. */
  arrived(transaction: object): void {
    this.#arrivedAtMs.set(transaction, this.#nowMs())
  }

  /** The core wants contents for an own block. */
  proposed(): void {
    this.#proposedAtMs = this.#nowMs()
  }

  /** The contents of that block were chosen. */
  taken(transactions: readonly object[]): void {
    this.#takenAtMs = this.#nowMs()
    const [first] = transactions
    const arrivedAtMs = first && this.#arrivedAtMs.get(first)
    if (arrivedAtMs !== undefined) this.#add('pool', this.#takenAtMs - arrivedAtMs)
  }

  built({ header: { round, txCount } }: Block): void {
    const nowMs = this.#nowMs()
    const hasTransactions = txCount > 0
    this.#own.set(round, { builtAtMs: nowMs, durableAtMs: nowMs, hasTransactions })
    if (this.#own.size > ROUNDS_MAX) this.#own.delete(this.#own.keys().next().value!)
    // Empty ones wait for the idle pace, and nobody waits for them.
    if (!hasTransactions) return
    this.#add('share', this.#takenAtMs - this.#proposedAtMs)
    this.#add('build', nowMs - this.#takenAtMs)
  }

  durable(round: number): void {
    const own = this.#own.get(round)
    if (!own) return
    own.durableAtMs = this.#nowMs()
    if (own.hasTransactions) this.#add('log', own.durableAtMs - own.builtAtMs)
  }

  /** The coin of a round was combined in so many ms. */
  combined(round: number, ms: number): void {
    this.#coinMs.set(round, ms)
    if (this.#coinMs.size > ROUNDS_MAX) this.#coinMs.delete(this.#coinMs.keys().next().value!)
  }

  /** @param newestRound of the own blocks, when the commit was told */
  committed(commit: Commit, self: number, newestRound: number): void {
    const { round, slots, blocks } = commit
    const nowMs = this.#nowMs()
    this.#committedAtMs.set(commit, nowMs)
    for (const { digest, direct } of slots) {
      this.#metrics.slots.inc({ decision: digest ? 'commit' : 'skip', by: direct ? 'wave' : 'anchor' })
    }
    this.#metrics.commitRounds.observe(Math.max(0, newestRound - round))
    const coinMs = this.#coinMs.get(round) ?? 0
    for (const known of this.#coinMs.keys()) if (known <= round) this.#coinMs.delete(known)
    for (const { header } of blocks) {
      const own = header.author === self ? this.#own.get(header.round) : undefined
      if (!own) continue
      this.#own.delete(header.round)
      if (!own.hasTransactions) continue
      this.#add('order', Math.max(0, nowMs - own.durableAtMs - coinMs))
      this.#add('coin', coinMs)
      this.#commit.add(nowMs, nowMs - own.builtAtMs)
      this.#metrics.commitSeconds.observe((nowMs - own.builtAtMs) / 1000)
    }
  }

  /** Execution of a chain block of the commit begins. Returns what to call when the block is stored and visible. */
  executing(commit: Commit): (height: bigint, storeMs: number) => void {
    const startMs = this.#nowMs()
    const committedAtMs = this.#committedAtMs.get(commit) ?? startMs
    return (height, storeMs) => {
      const endMs = this.#nowMs()
      this.#add('queue', startMs - committedAtMs)
      this.#add('execute', Math.max(0, endMs - startMs - storeMs))
      this.#add('store', storeMs)
      this.#executedAtMs.set(height, endMs)
      if (this.#executedAtMs.size > ROUNDS_MAX) this.#executedAtMs.delete(this.#executedAtMs.keys().next().value!)
    }
  }

  /** All chain blocks up to this height have a certificate. */
  certified(certifiedHeight: bigint): void {
    for (const [height, executedAtMs] of this.#executedAtMs) {
      if (height > certifiedHeight) continue
      this.#executedAtMs.delete(height)
      this.#add('certificate', this.#nowMs() - executedAtMs)
    }
  }

  /** From the making of own blocks with transactions to their place in the order. */
  get commitMs(): ReturnType<LatencyWindow['percentiles']> {
    return this.#commit.percentiles(this.#nowMs())
  }

  /** Stages in which there was something in the last minute. */
  get table(): StageTable {
    const nowMs = this.#nowMs()
    return Object.fromEntries(
      [...this.#windows].flatMap(([stage, window]) => {
        const found = window.percentiles(nowMs)
        return found ? [[stage, found]] : []
      }),
    )
  }

  #add(stage: Stage, ms: number): void {
    this.#windows.get(stage)!.add(this.#nowMs(), ms)
    this.#metrics.stageSeconds.observe({ stage }, ms / 1000)
  }
}
