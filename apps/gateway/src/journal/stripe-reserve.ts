import { ByteReader, ByteWriter } from '@cumulus/bytes'
import type { Params, StorageClass } from '@cumulus/params'
import type { Metrics } from '@cumulus/service'
import { type Logger, sleep } from '@cumulus/service'
import { type ChainReservation, type GatewayChain, GatewayChainError } from '../chain/gateway-chain.ts'
import { ObjectError } from '../object-layer.ts'
import type { IndexStore, Table } from '../objects/index-store.ts'
import type { LogSeat } from './log-followers.ts'

export interface ReservedStripe {
  readonly reservation: bigint
  readonly group: number
  readonly stripe: number
}

interface Held {
  readonly reservation: ChainReservation
  /** Next stripe to hand out. */
  next: number
  /** Stripes below this may have been handed out by an earlier run; durable. */
  claimed: number
}

/** Stripes claimed on disk at a time: so many at most stay unused after a crash, until their reservation expires. */
const CLAIM_COUNT = 4
/** The least that is reserved at once, and kept ahead. */
const RESERVE_MIN = 4
/** How long a write waits for the chain before it is refused. */
const TAKE_MS = 30_000
/** Consumption is looked at over this span to choose how much to reserve ahead. */
const RATE_MS = 10_000

/**
 * Stripes of one territory held ahead of need, so that no write waits for the chain. Never hands out a stripe twice,
 * not even across crashes: a claim is durable before the first of its stripes is used.
 */
export class StripeReserve {
  readonly #territory: bigint
  readonly #class: StorageClass
  readonly #params: Params
  readonly #chain: GatewayChain
  readonly #store: IndexStore
  readonly #table: Table
  readonly #log: Logger
  readonly #signal: AbortSignal
  readonly #groups: (id: number) => Promise<readonly Uint8Array[]>
  readonly #held: Held[] = []
  readonly #taken: number[] = []
  #refill: Promise<void> | undefined
  #failure: GatewayChainError | undefined
  #failedMs = 0
  #taking: Promise<unknown> = Promise.resolve()

  constructor(components: {
    territory: bigint
    storageClass: StorageClass
    params: Params
    chain: GatewayChain
    store: IndexStore
    log: Logger
    signal: AbortSignal
    groups: (id: number) => Promise<readonly Uint8Array[]>
    metrics?: Metrics
  }) {
    this.#territory = components.territory
    this.#class = components.storageClass
    this.#params = components.params
    this.#chain = components.chain
    this.#store = components.store
    this.#table = components.store.table('reservations')
    this.#log = components.log
    this.#signal = components.signal
    this.#groups = components.groups
  }

  /** Takes up what the chain says this gateway holds. */
  async load(): Promise<void> {
    const epoch = await this.#chain.epoch()
    for (const reservation of await this.#chain.reservationsOf(this.#territory)) {
      if (reservation.gateway.toLowerCase() !== this.#chain.account.toLowerCase()) continue
      if (reservation.closed || this.#isEnding(reservation, epoch)) continue
      const claimed = this.#table.get(this.#key(reservation.id))
      // Without a claim nobody knows which of its stripes were used: it is left to expire.
      if (!claimed) continue
      const next = new ByteReader(claimed).u32()
      this.#held.push({ reservation, next, claimed: next })
    }
  }

  get availableCount(): number {
    let count = 0
    for (const { reservation, next } of this.#held) count += reservation.firstStripe + reservation.stripeCount - next
    return count
  }

  /**
   * One stripe, never given before.
   *
   * @throws ObjectError QuotaExceeded, ServiceUnavailable
   */
  take(): Promise<ReservedStripe> {
    // One after the other: a claim is awaited inside.
    const taken = this.#taking.then(() => this.#take())
    this.#taking = taken.catch(() => {})
    return taken
  }

  async #take(): Promise<ReservedStripe> {
    const deadlineMs = Date.now() + TAKE_MS
    for (;;) {
      this.#signal.throwIfAborted()
      const held = this.#held[0]
      if (held) {
        const end = held.reservation.firstStripe + held.reservation.stripeCount
        if (held.next >= end) {
          this.#held.shift()
          continue
        }
        if (held.next >= held.claimed) await this.#claim(held, Math.min(end, held.next + CLAIM_COUNT))
        const stripe = held.next++
        this.#taken.push(Date.now())
        if (this.availableCount < this.#wanted()) void this.#reserve()
        return { reservation: held.reservation.id, group: held.reservation.group, stripe }
      }
      await this.#reserve()
      if (this.#held.length > 0) continue
      const code = this.#failure?.code
      if (code === 'OVER_CAPACITY') throw quotaExceeded(this.#failure!)
      if (code === 'NO_SPACE' || code === 'NOT_ALLOWED' || Date.now() > deadlineMs) throw unavailable(this.#failure)
      await sleep(500, this.#signal)
    }
  }

  async #claim(held: Held, end: number): Promise<void> {
    this.#noteClaim(held.reservation.id, end)
    await this.#store.flushed()
    held.claimed = end
  }

  #noteClaim(reservation: bigint, end: number): void {
    this.#store.transact(() => this.#table.put(this.#key(reservation), new ByteWriter(16).u32(end).finish()))
  }

  /** Seats of all groups in which stripes are held, those of the next stripe's group first. Reserves if there is none. */
  async seats(): Promise<LogSeat[]> {
    if (this.#held.length === 0) await this.#reserve()
    const seats: LogSeat[] = []
    const seen = new Set<number>()
    for (const { reservation } of this.#held) {
      if (seen.has(reservation.group)) continue
      seen.add(reservation.group)
      const { group, firstStripe: stripe, id } = reservation
      const peerKeys = await this.#groups(group)
      // Other reservations start at other seats, so that logs spread over the members.
      const first = Number(id % BigInt(peerKeys.length))
      for (let i = 0; i < peerKeys.length; i++) {
        const seat = (first + i) % peerKeys.length
        seats.push({ peerKey: peerKeys[seat]!, group, stripe, seat })
      }
    }
    return seats
  }

  /** Why nothing can be reserved, if so. */
  get failure(): GatewayChainError | undefined {
    return this.#failure
  }

  /** Keeps stock and drops what will soon expire. Called every few seconds. */
  async tend(): Promise<void> {
    const epoch = await this.#chain.epoch()
    for (let i = this.#held.length - 1; i >= 0; i--) {
      if (this.#isEnding(this.#held[i]!.reservation, epoch)) this.#held.splice(i, 1)
    }
    if (this.availableCount < this.#wanted()) await this.#reserve()
  }

  #isEnding(reservation: ChainReservation, epoch: number): boolean {
    // A sixth of its life is kept for commits that the chain does not take at once.
    return reservation.expiresAtEpoch - epoch <= Math.max(1, Math.floor(this.#params.reservationEpochs / 6))
  }

  #wanted(): number {
    const sinceMs = Date.now() - RATE_MS
    while (this.#taken.length > 0 && this.#taken[0]! < sinceMs) this.#taken.shift()
    return Math.min(this.#params.reservationStripesMax, Math.max(RESERVE_MIN, this.#taken.length))
  }

  #reserve(): Promise<void> {
    this.#refill ??= this.#reserveNow().finally(() => {
      this.#refill = undefined
    })
    return this.#refill
  }

  async #reserveNow(): Promise<void> {
    if (this.#failure && Date.now() - this.#failedMs < 1_000) return
    // If there is no room for many, a few may still do.
    for (let count = this.#wanted(); count >= 1; count = Math.floor(count / 2)) {
      try {
        const reservation = await this.#chain.reserve(this.#territory, this.#class.id, count)
        this.#noteClaim(reservation.id, reservation.firstStripe)
        this.#held.push({ reservation, next: reservation.firstStripe, claimed: reservation.firstStripe })
        this.#failure = undefined
        this.#log.debug('stripes reserved', { territory: this.#territory, group: reservation.group, count })
        return
      } catch (error) {
        if (!(error instanceof GatewayChainError)) throw error
        this.#failure = error
        this.#failedMs = Date.now()
        if (error.code !== 'OVER_CAPACITY' && error.code !== 'NO_SPACE') break
      }
    }
    this.#log.warn('no stripes can be reserved', { territory: this.#territory, error: this.#failure })
  }

  #key(reservation: bigint): Uint8Array {
    return new ByteWriter(16).u64(this.#territory).u64(reservation).finish()
  }
}

function quotaExceeded(error: GatewayChainError): ObjectError {
  return new ObjectError('QuotaExceeded', `the territory is full: ${error.message}`, error.details, { cause: error })
}

function unavailable(error: GatewayChainError | undefined): ObjectError {
  const reason = error ? error.message : 'the chain has not answered in time'
  return new ObjectError('ServiceUnavailable', `no space can be reserved: ${reason}`, error?.details ?? {}, {
    cause: error,
  })
}
