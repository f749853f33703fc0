import { type Logger, limitConcurrency, sleep } from '@cumulus/service'
import type { Address, Hash, Hex, RpcTransactionReceipt } from 'viem'
import type { PrivateKeyAccount } from 'viem/accounts'
import { keccak256 } from 'viem/utils'
import { abortable } from './abortable.ts'
import { ChainError } from './chain-error.ts'
import type { ChainMetrics } from './metrics.ts'
import { type RpcConnection, RpcRefusal, resultOf } from './rpc-connection.ts'

export interface SenderLimits {
  /** Transactions in flight; further ones wait for their turn. Below the nonce gap that nodes take (256). */
  readonly inFlightMax: number
  /** Transactions in flight or waiting. */
  readonly waitingMax: number
  /** Between two looks for receipts. */
  readonly pollMs: number
  /** A transaction not in the chain after this time is sent again: the node may have lost it. */
  readonly resendMs: number
  /** … and after this time with a higher fee, if the base fee has outgrown it. */
  readonly bumpMs: number
  /** How long a full pool is asked again. */
  readonly busyMs: number
  /** Missing nonces that are filled with empty transactions. */
  readonly gapMax: number
}

export const defaultSenderLimits: SenderLimits = {
  inFlightMax: 64,
  waitingMax: 4_096,
  pollMs: 50,
  resendMs: 3_000,
  bumpMs: 6_000,
  busyMs: 30_000,
  gapMax: 256,
}

export interface Payload {
  readonly to: Address
  readonly data: Hex
  readonly value: bigint
  readonly gas: bigint
}

interface Fees {
  readonly maxFeePerGas: bigint
  readonly maxPriorityFeePerGas: bigint
}

/** A transaction under way. It stays here until the chain has it, whether or not anybody still waits. */
interface Flight {
  readonly payload: Payload
  nonce: number
  fees: Fees
  raw: Hex
  /** Of all versions with this nonce: any of them may be the one that is executed. */
  hashes: Hash[]
  startedAtMs: number
  sentAtMs: number
  readonly done: PromiseWithResolvers<RpcTransactionReceipt>
}

interface SenderComponents {
  readonly connection: RpcConnection
  readonly account: PrivateKeyAccount
  readonly chainId: number
  readonly log: Logger
  readonly metrics?: ChainMetrics
  readonly signal: AbortSignal
  readonly nowMs?: () => number
}

/** How often a transaction is signed anew because its nonce was taken. */
const NONCE_TRIES_MAX = 20
const ESTIMATED_FEES_MS = 1_000
/** Lowest nonces first; nodes take 100 calls in a batch. */
const HASHES_PER_LOOK = 90

/**
 * Sends transactions of one account in the order of their nonces, several in flight. A transaction that was handed to a
 * node is followed until it is in the chain: sent again if the node lost it, replaced if its fee is too low, signed
 * with another nonce if somebody else used that one (then the old version can never be executed).
 */
export class Sender {
  readonly #connection: RpcConnection
  readonly #account: PrivateKeyAccount
  readonly #chainId: number
  readonly #log: Logger
  readonly #metrics: ChainMetrics | undefined
  readonly #signal: AbortSignal
  readonly #nowMs: () => number
  readonly #limits: SenderLimits
  readonly #inTurn: ReturnType<typeof limitConcurrency>
  readonly #oneAtATime = limitConcurrency(1)
  readonly #flights = new Map<number, Flight>()
  /** Undefined until the chain was asked, and whenever we no longer know. */
  #nextNonce: number | undefined
  #fees: { readonly fees: Fees; readonly atMs: number } | undefined
  #waiting = 0
  #isTracking = false

  constructor(components: SenderComponents, limits: SenderLimits) {
    this.#connection = components.connection
    this.#account = components.account
    this.#chainId = components.chainId
    this.#log = components.log
    this.#metrics = components.metrics
    this.#signal = components.signal
    this.#nowMs = components.nowMs ?? (() => performance.now())
    this.#limits = limits
    this.#inTurn = limitConcurrency(limits.inFlightMax)
  }

  get inFlight(): number {
    return this.#flights.size
  }

  /**
   * Resolves with the receipt, good or bad.
   *
   * If `signal` aborts, the caller no longer waits. What was handed to a node by then may still be executed, and is
   * followed, because the nonces behind it depend on it.
   *
   * @throws ChainError: the transaction was not executed, and never will be
   */
  async send(payload: Payload, signal: AbortSignal): Promise<RpcTransactionReceipt> {
    if (this.#waiting >= this.#limits.waitingMax) {
      throw new ChainError('BUSY', `${this.#waiting} transactions of ${this.#account.address} wait already`)
    }
    this.#waiting++
    const whole = this.#inTurn(async () => {
      signal.throwIfAborted()
      const flight = await this.#oneAtATime(() => this.#launch(payload, signal))
      return await flight.done.promise
    }).finally(() => {
      this.#waiting--
    })
    return await abortable(whole, signal)
  }

  /** Gives a transaction the next nonce and hands it to a node. */
  async #launch(payload: Payload, signal: AbortSignal): Promise<Flight> {
    const flight: Flight = {
      payload,
      nonce: -1,
      fees: await this.#currentFees(),
      raw: '0x',
      hashes: [],
      startedAtMs: this.#nowMs(),
      sentAtMs: 0,
      done: Promise.withResolvers(),
    }
    // Nobody need wait for it: see `send`.
    flight.done.promise.catch(() => {})
    await this.#assignNonce(flight, signal)
    this.#track()
    return flight
  }

  async #assignNonce(flight: Flight, signal: AbortSignal): Promise<void> {
    const giveUpAtMs = this.#nowMs() + this.#limits.busyMs
    for (let tries = 0; ; ) {
      signal.throwIfAborted()
      this.#nextNonce ??= await this.#pendingNonce()
      const nonce = this.#nextNonce
      flight.nonce = nonce
      flight.hashes = []
      await this.#sign(flight)
      const verdict = await this.#submit(flight)
      switch (verdict.kind) {
        case 'accepted':
          this.#nextNonce = nonce + 1
          this.#add(flight)
          return
        case 'unknown':
          // It may have arrived: to try another nonce now could execute it twice. Followed like the others.
          this.#nextNonce = nonce + 1
          this.#add(flight)
          return
        case 'nonce':
          this.#nextNonce = undefined
          // The first try may have arrived although its answer did not, and be executed by now.
          if (await this.#isExecuted(flight)) {
            this.#add(flight)
            return
          }
          if (++tries >= NONCE_TRIES_MAX) throw refused(verdict.refusal)
          await sleep(this.#limits.pollMs, signal)
          continue
        case 'underpriced':
          this.#fees = undefined
          flight.fees = raise(await this.#currentFees(), flight.fees)
          if (++tries >= NONCE_TRIES_MAX) throw refused(verdict.refusal)
          continue
        case 'full':
          if (this.#nowMs() > giveUpAtMs)
            throw new ChainError('BUSY', verdict.refusal.message, { reason: verdict.refusal.message })
          await sleep(500, signal)
          continue
        case 'refused':
          throw refused(verdict.refusal)
      }
    }
  }

  async #sign(flight: Flight): Promise<void> {
    const { payload, fees, nonce } = flight
    flight.raw = await this.#account.signTransaction({
      type: 'eip1559',
      chainId: this.#chainId,
      nonce,
      to: payload.to,
      data: payload.data,
      value: payload.value,
      gas: payload.gas,
      ...fees,
    })
    flight.hashes.push(keccak256(flight.raw))
  }

  async #isExecuted({ hashes }: Flight): Promise<boolean> {
    return (await this.#connection.request('eth_getTransactionReceipt', [hashes.at(-1)])) !== null
  }

  /** One try to hand it to a node. */
  async #submit(flight: Flight): Promise<Verdict> {
    flight.sentAtMs = this.#nowMs()
    try {
      await this.#connection.request('eth_sendRawTransaction', [flight.raw])
      return { kind: 'accepted' }
    } catch (error) {
      if (error instanceof RpcRefusal) return judge(error)
      this.#signal.throwIfAborted()
      if (error instanceof ChainError) return { kind: 'unknown' }
      throw error
    }
  }

  #add(flight: Flight): void {
    this.#flights.set(flight.nonce, flight)
    this.#metrics?.inFlight.inc()
  }

  #end(flight: Flight, outcome: string): void {
    if (this.#flights.get(flight.nonce) !== flight) return
    this.#flights.delete(flight.nonce)
    this.#metrics?.inFlight.dec()
    this.#metrics?.transactions.inc({ outcome })
  }

  /** Looks after all flights until none is left. */
  #track(): void {
    if (this.#isTracking) return
    this.#isTracking = true
    const run = async () => {
      while (this.#flights.size > 0) {
        await sleep(this.#limits.pollMs, this.#signal)
        try {
          await this.#look()
        } catch (error) {
          this.#signal.throwIfAborted()
          this.#log.debug('transactions could not be followed', { inFlight: this.#flights.size, error })
        }
      }
    }
    run()
      .catch((error: unknown) => {
        // Only the end of the client ends it.
        for (const flight of this.#flights.values()) {
          flight.done.reject(error)
          this.#end(flight, 'abandoned')
        }
      })
      .finally(() => {
        this.#isTracking = false
        if (this.#flights.size > 0 && !this.#signal.aborted) this.#track()
      })
  }

  async #look(): Promise<void> {
    const flights = [...this.#flights.values()].sort((a, b) => a.nonce - b.nonce)
    const hashes = flights
      .flatMap((flight) => flight.hashes.map((hash) => ({ flight, hash })))
      .slice(0, HASHES_PER_LOOK)
    // One node answers in this order: whatever nonce it counts first, the receipts of all below are there after.
    const [count, ...receipts] = await this.#connection.batch([
      { method: 'eth_getTransactionCount', params: [this.#account.address, 'latest'] },
      ...hashes.map(({ hash }) => ({ method: 'eth_getTransactionReceipt', params: [hash] })),
    ])
    const executed = Number(resultOf(count!) as string)
    for (const [index, { flight }] of hashes.entries()) {
      const receipt = resultOf(receipts[index]!) as RpcTransactionReceipt | null
      if (!receipt) continue
      flight.done.resolve(receipt)
      this.#end(flight, receipt.status === '0x1' ? 'ok' : 'reverted')
    }
    for (const flight of new Set(hashes.map(({ flight }) => flight))) {
      if (this.#flights.get(flight.nonce) === flight && flight.nonce < executed) await this.#relaunch(flight)
    }
    await this.#resendOld(executed)
  }

  /** Somebody else used its nonce, so this version can never be executed: another one may. */
  async #relaunch(flight: Flight): Promise<void> {
    this.#log.info('nonce was used by another transaction of this account', { nonce: flight.nonce })
    this.#metrics?.resent.inc({ reason: 'nonce_used' })
    this.#end(flight, 'renumbered')
    try {
      await this.#oneAtATime(() => {
        this.#nextNonce = undefined
        return this.#assignNonce(flight, this.#signal)
      })
    } catch (error) {
      this.#signal.throwIfAborted()
      flight.done.reject(error)
    }
  }

  /** Sends again what should have been executed by now, lowest nonce first. */
  async #resendOld(executed: number): Promise<void> {
    const nowMs = this.#nowMs()
    const { resendMs, bumpMs, gapMax } = this.#limits
    const old = [...this.#flights.values()]
      .filter(({ sentAtMs }) => nowMs - sentAtMs >= resendMs)
      .sort((a, b) => a.nonce - b.nonce)
    if (old.length === 0) return
    await this.#oneAtATime(async () => {
      const lowest = Math.min(...this.#flights.keys())
      if (lowest > executed) {
        if (lowest - executed > gapMax) return this.#lose(lowest - executed)
        await this.#fillGap(executed, lowest)
      }
      for (const flight of old) {
        if (!this.#flights.has(flight.nonce)) continue
        if (nowMs - flight.startedAtMs >= bumpMs && (await this.#isTooCheap(flight))) {
          this.#fees = undefined
          flight.fees = raise(await this.#currentFees(), flight.fees)
          await this.#sign(flight)
          this.#metrics?.resent.inc({ reason: 'fee' })
        } else this.#metrics?.resent.inc({ reason: 'lost' })
        const verdict = await this.#submit(flight)
        if (verdict.kind === 'refused') {
          this.#log.warn('transaction waits', { nonce: flight.nonce, reason: verdict.refusal.message })
        }
      }
    })
  }

  async #isTooCheap(flight: Flight): Promise<boolean> {
    this.#fees = undefined
    const { maxFeePerGas, maxPriorityFeePerGas } = await this.#currentFees()
    // `currentFees` leaves room for the base fee to triple.
    return flight.fees.maxFeePerGas * 3n < maxFeePerGas || flight.fees.maxPriorityFeePerGas < maxPriorityFeePerGas
  }

  /**
   * Nonces below ours that nobody uses any more: an earlier process of this account handed transactions to a node, and
   * both died. Empty transfers to itself take their place.
   */
  async #fillGap(from: number, to: number): Promise<void> {
    const pending = Number(
      await this.#connection.request('eth_getTransactionCount', [this.#account.address, 'pending']),
    )
    for (let nonce = Math.max(from, pending); nonce < to; nonce++) {
      this.#log.warn('filling a nonce that an earlier transaction left', { nonce })
      this.#metrics?.resent.inc({ reason: 'gap' })
      const flight: Flight = {
        payload: { to: this.#account.address, data: '0x', value: 0n, gas: 21_000n },
        nonce,
        fees: await this.#currentFees(),
        raw: '0x',
        hashes: [],
        startedAtMs: this.#nowMs(),
        sentAtMs: 0,
        done: Promise.withResolvers(),
      }
      flight.done.promise.catch(() => {})
      await this.#sign(flight)
      const { kind } = await this.#submit(flight)
      if (kind === 'accepted' || kind === 'unknown') this.#add(flight)
    }
  }

  #lose(missing: number): void {
    const error = new ChainError('LOST', `the chain misses ${missing} transactions of ${this.#account.address}`, {
      details: { missing },
    })
    this.#log.error('transactions lost', { missing, inFlight: this.#flights.size })
    this.#nextNonce = undefined
    for (const flight of [...this.#flights.values()]) {
      flight.done.reject(error)
      this.#end(flight, 'lost')
    }
  }

  async #pendingNonce(): Promise<number> {
    const count = Number(await this.#connection.request('eth_getTransactionCount', [this.#account.address, 'pending']))
    // A node that was restarted has forgotten those we still have in flight.
    return this.#flights.size === 0 ? count : Math.max(count, Math.max(...this.#flights.keys()) + 1)
  }

  async #currentFees(): Promise<Fees> {
    if (this.#fees && this.#nowMs() - this.#fees.atMs < ESTIMATED_FEES_MS) return this.#fees.fees
    const [price, tip] = (
      (await Promise.all([
        this.#connection.request('eth_gasPrice', []),
        this.#connection.request('eth_maxPriorityFeePerGas', []),
      ])) as string[]
    ).map(BigInt) as [bigint, bigint]
    // Full blocks raise the base fee by an eighth each: there is room for nine of them.
    const fees = { maxFeePerGas: price * 3n, maxPriorityFeePerGas: tip }
    this.#fees = { fees, atMs: this.#nowMs() }
    return fees
  }
}

/** What became of a try to hand over a transaction. */
type Verdict =
  | { readonly kind: 'accepted' | 'unknown' }
  | { readonly kind: 'nonce' | 'underpriced' | 'full' | 'refused'; readonly refusal: RpcRefusal }

/** By our nodes' codes, or by the words of other Ethereum nodes. */
function judge(refusal: RpcRefusal): Verdict {
  const { code, message } = refusal
  const says = (pattern: RegExp) => pattern.test(message)
  if (code === 'ALREADY_KNOWN' || says(/already known|already imported/i)) return { kind: 'accepted' }
  if (code === 'REPLACEMENT_UNDERPRICED' || says(/replacement transaction underpriced/i))
    return { kind: 'nonce', refusal }
  if (says(/^nonce too (low|high)/i)) return { kind: 'nonce', refusal }
  if (code === 'UNDERPRICED' || says(/underpriced|less than block base fee/i)) return { kind: 'underpriced', refusal }
  if (says(/txpool is full/i)) return { kind: 'full', refusal }
  if (says(/shutting down/i)) return { kind: 'unknown' }
  return { kind: 'refused', refusal }
}

function refused(refusal: RpcRefusal): ChainError {
  const isPoor = /insufficient funds/i.test(refusal.message)
  return new ChainError(isPoor ? 'INSUFFICIENT_FUNDS' : 'REFUSED', `transaction refused: ${refusal.message}`, {
    reason: refusal.message,
    cause: refusal,
  })
}

/** Fees that replace: today's, and an eighth above the old ones at least. */
function raise(today: Fees, old: Fees): Fees {
  const atLeast = (a: bigint, b: bigint) => {
    const raised = b + b / 8n + 1n
    return a >= raised ? a : raised
  }
  return {
    maxFeePerGas: atLeast(today.maxFeePerGas, old.maxFeePerGas),
    maxPriorityFeePerGas: atLeast(today.maxPriorityFeePerGas, old.maxPriorityFeePerGas),
  }
}
