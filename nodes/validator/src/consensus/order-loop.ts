import {
  type Block,
  type Checkpoint,
  type Commit,
  type Evidence,
  encodeMessage,
  type HeaderVote,
  type Message,
  R2s,
  type R2sConfig,
  type R2sEffect,
  type R2sEvent,
  type RefusalCode,
} from '@cumulus/r2s'
import type { Logger } from '@cumulus/service'
import type { CoinKeeper } from './coin-keeper.ts'
import { ConsensusError } from './consensus-error.ts'
import type { ConsensusMetrics } from './consensus-metrics.ts'
import type { Members } from './members.ts'
import type { StageTimes } from './stage-times.ts'
import type { SteadyClock } from './steady-clock.ts'
import type { FoundLog, WriteAheadLog } from './write-ahead-log.ts'

/** What an own block brings. */
export interface OwnContents {
  readonly payload: Uint8Array
  readonly txCount: number
  readonly votes: readonly HeaderVote[]
}

export interface OrderLoopHooks {
  /** Resolves when the next own block may be made; undefined: now. */
  room(): Promise<void> | undefined
  /** Contents of the next own block: at most so many bytes of transactions, none at all if 0. */
  contents(payloadBytesMax: number): OwnContents
  committed(commit: Commit): void
  /** A block of any member was accepted, an own one when it is on the disk: its votes may be counted. Once for each. */
  accepted(block: Block): void
  /** Own transactions that will never be ordered. */
  returned(payload: Uint8Array, txCount: number): void
  behind(): void
  /** It signs no more: to be durable when this returns. */
  silenced(round: number): void
  equivocation(evidence: Evidence): void
  /** The member cannot go on. */
  failed(error: ConsensusError): void
}

export interface OrderLoopComponents {
  readonly config: Omit<R2sConfig, 'coin'>
  readonly coin: CoinKeeper
  readonly wal: WriteAheadLog
  readonly members: Members
  readonly clock: SteadyClock
  readonly hooks: OrderLoopHooks
  readonly metrics: ConsensusMetrics
  readonly times: StageTimes
  readonly log: Logger
}

type Event = R2sEvent extends infer Each ? (Each extends R2sEvent ? Omit<Each, 'nowMs'> : never) : never

/** Before the start; what is more is lost, and asked for again. */
const EARLY_EVENTS_MAX = 1_024

/** Joins the core of R²S to the world: events in, and what it wants done is done, in its order. Decides nothing. */
export class OrderLoop {
  readonly core: R2s
  readonly #components: OrderLoopComponents
  readonly #events: Event[] = []
  #isRunning = false
  #isStopped = false
  #isStarted = false
  #timer: NodeJS.Timeout | undefined
  #isPersisting = false
  #lastOwnBlock: Block | undefined
  #silencedAt: number | undefined

  constructor(components: OrderLoopComponents) {
    this.#components = components
    this.core = new R2s({ ...components.config, coin: components.coin.rule })
  }

  /** Round in which the member met a block of its own that it did not sign, if it did. */
  get silencedAt(): number | undefined {
    return this.#silencedAt
  }

  /** Whether no own block is on its way to the disk, and no other log in the making: then the log may be begun anew. */
  get mayRotate(): boolean {
    return this.#isStarted && !this.#isPersisting && !this.#components.wal.isRotating
  }

  /**
   * Once, before anything else. Commits that the log holds are told again.
   *
   * @param silencedAt where the member fell silent before, if it did
   */
  start(found: FoundLog, silencedAt?: number): void {
    const { clock, hooks, config } = this.#components
    if (found.kind === 'log') {
      for (const block of found.blocks) {
        hooks.accepted(block)
        if (block.header.author === config.member) this.#lastOwnBlock = block
      }
    }
    this.#isStarted = true
    this.#isRunning = true
    this.#silencedAt = silencedAt
    this.#perform(this.core.start({ ...found, isSilenced: silencedAt !== undefined }, clock.nowMs()))
    this.#pump()
  }

  step(event: Event): void {
    if (this.#isStopped) return
    // Links are there before the log is read. A question left unanswered then might be repeated only after this member has
    // signed, and where all have lost their logs (R²S, section 2.10) that is too late.
    if (!this.#isStarted && this.#events.length >= EARLY_EVENTS_MAX) return
    this.#events.push(event)
    if (this.#isStarted && !this.#isRunning) this.#pump()
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  /** Begins the log anew, as the core is now; ordering goes on meanwhile. @throws ConsensusError LOG_FAILED */
  async rotate(height: bigint): Promise<void> {
    const checkpoint: Checkpoint = this.core.checkpoint()
    const blocks = this.core.window()
    const own = this.#lastOwnBlock
    // However long ago: nothing at or below its round may be signed again.
    if (own && own.header.round <= checkpoint.gcRound) blocks.unshift(own)
    await this.#components.wal.rotate({ checkpoint, coins: this.core.coins(), blocks }, height)
  }

  #pump(): void {
    this.#isRunning = true
    try {
      for (let event = this.#events.shift(); event && !this.#isStopped; event = this.#events.shift()) {
        this.#perform(this.core.step({ ...event, nowMs: this.#components.clock.nowMs() } as R2sEvent))
      }
    } finally {
      this.#isRunning = false
    }
  }

  #perform(effects: readonly R2sEffect[]): void {
    const { wal, hooks, metrics, log } = this.#components
    for (const effect of effects) {
      if (this.#isStopped) return
      switch (effect.kind) {
        case 'store':
          wal.append({ kind: 'block', block: effect.block })
          hooks.accepted(effect.block)
          break
        case 'store-coin':
          wal.append({ kind: 'coin', coin: effect.coin })
          break
        case 'persist':
          this.#persist(effect.block)
          break
        case 'send':
          this.#send(effect.message, effect.to)
          break
        case 'broadcast':
          this.#send(effect.message)
          break
        case 'propose':
          void this.#propose(effect.round, effect.coinRound, effect.payloadBytesMax)
          break
        case 'combine':
          void this.#combine(effect)
          break
        case 'verify-coin':
          void this.#verifyCoin(effect)
          break
        case 'commit':
          hooks.committed(effect.commit)
          break
        case 'wake':
          this.#wakeAt(effect.atMs)
          break
        case 'equivocation':
          hooks.equivocation(effect.evidence)
          break
        case 'bad-shares':
          log.error('members signed wrong shares of the coin', { round: effect.round, members: effect.authors })
          for (const author of effect.authors) metrics.badShares.inc({ member: author })
          break
        case 'refuse':
          this.#refused(effect.from, effect.code)
          break
        case 'returned':
          hooks.returned(effect.payload, effect.txCount)
          break
        case 'behind':
          hooks.behind()
          break
        case 'silenced':
          this.#silencedAt = effect.round
          hooks.silenced(effect.round)
          break
        case 'halt':
          this.#fail('FAULT_BOUND_BROKEN', `${effect.code} in round ${effect.round}, member ${effect.author}`, {
            code: effect.code,
            round: effect.round,
            author: effect.author,
          })
          break
      }
    }
  }

  #refused(from: number, code: RefusalCode): void {
    const { metrics, members, log } = this.#components
    metrics.refused.inc({ code })
    log.debug('message refused', { from, code })
    if (isBlamable(code)) members.blame(from)
  }

  #fail(code: ConsensusError['code'], message: string, details: Record<string, unknown>, cause?: unknown): void {
    if (this.#isStopped) return
    this.stop()
    this.#components.hooks.failed(new ConsensusError(code, message, details, { cause }))
  }

  #persist(block: Block): void {
    const { wal, hooks, times } = this.#components
    const { round } = block.header
    this.#isPersisting = true
    times.built(block)
    wal.persist(block).then(
      () => {
        this.#isPersisting = false
        this.#lastOwnBlock = block
        if (this.#isStopped) return
        times.durable(round)
        hooks.accepted(block)
        this.step({ kind: 'persisted', round })
      },
      (cause) => this.#fail('LOG_FAILED', 'an own block cannot be stored', { round }, cause),
    )
  }

  #send(message: Message, to?: number): void {
    const { members, metrics } = this.#components
    if (to !== undefined && !members.hasRoom(to)) return
    const bytes = encodeMessage(message)
    metrics.sentBytes.inc({ kind: message.kind }, bytes.length * (to === undefined ? this.core.committee.size - 1 : 1))
    if (to === undefined) members.broadcast(bytes)
    else members.send(to, bytes)
  }

  async #propose(round: number, coinRound: number | null, payloadBytesMax: number): Promise<void> {
    const { coin, hooks, times } = this.#components
    let coinShare: Uint8Array | null = null
    times.proposed()
    try {
      if (coinRound !== null) coinShare = await coin.share(coinRound)
    } catch (cause) {
      return this.#fail('BAD_KEY', 'the share of the coin cannot be computed', { round: coinRound }, cause)
    }
    const room = hooks.room()
    if (room) await room
    if (this.#isStopped) return
    this.step({ kind: 'proposal', round, coinShare, ...hooks.contents(payloadBytesMax) })
  }

  async #combine({ round, shares }: R2sEffect & { kind: 'combine' }): Promise<void> {
    const { coin, metrics, times } = this.#components
    const end = metrics.coinSeconds.startTimer()
    try {
      const sum = await coin.combine(round, shares)
      times.combined(round, 1000 * end())
      const value = 'value' in sum ? sum.value : null
      const badShares = 'badShares' in sum ? sum.badShares : []
      this.step({ kind: 'coin', round, value, badShares })
    } catch (cause) {
      this.#fail('BAD_KEY', 'the coin cannot be computed', { round }, cause)
    }
  }

  async #verifyCoin({ round, value }: R2sEffect & { kind: 'verify-coin' }): Promise<void> {
    const { coin, metrics } = this.#components
    try {
      const isRight = await coin.verify(round, value)
      metrics.shownCoins.inc({ result: isRight ? 'right' : 'wrong' })
      this.step({ kind: 'coin-verified', round, isRight })
    } catch (cause) {
      this.#fail('BAD_KEY', 'a coin cannot be verified', { round }, cause)
    }
  }

  #wakeAt(atMs: number): void {
    clearTimeout(this.#timer)
    const delayMs = Math.max(0, Math.ceil(atMs - this.#components.clock.nowMs()))
    this.#timer = setTimeout(() => this.step({ kind: 'tick' }), delayMs)
  }
}

/**
 * Whether `code` proves that the sender lies, or is broken. What a member cannot see from the block alone may pass at one and fail at
 * another that has collected less away, and who passes it on is honest.
 */
function isBlamable(code: RefusalCode): boolean {
  return !CONTEXTUAL.has(code)
}

const CONTEXTUAL: ReadonlySet<RefusalCode> = new Set([
  'TIME_BEFORE_PARENT',
  'BAD_EXPOSED',
  'INVALID_PARENT',
  'TOO_MANY_BLOCKS',
])
