import { concatBytes, utf8Encode } from '@cumulus/bytes'
import type { BatchRoom, DecidedBatch, Orderer, TransactionSource } from '@cumulus/execution'
import { sha256 } from '@cumulus/hash'
import type { Address } from '@cumulus/types'

interface SingleOrdererComponents {
  readonly source: TransactionSource
  /** The block that the first batch follows. */
  readonly head: { readonly number: bigint; readonly timestampMs: number; readonly prevRandao: Uint8Array }
  readonly coinbase: Address
}

interface SingleOrdererInit {
  readonly room: BatchRoom
  /** A block without content follows the last one after this time, so that epochs pass. */
  readonly heartbeatMs: number
  /** Least time between two batches: what comes within it goes into one, and shares one write to disk. */
  readonly spacingMs?: number
  readonly nowMs?: () => number
}

/** One fdatasync costs 1 to 10 ms; at 50 ms it is shared by a burst, and nobody notices the wait. */
const SPACING_MS = 50

/**
 * One validator that decides alone, for networks whose genesis names no committee. It makes a batch as soon as a transaction
 * waits. There is nobody to agree with, hence nobody to stop it from choosing: **its randomness is not a beacon**, see
 * `nextRandao`.
 */
export class SingleOrderer implements Orderer {
  readonly kind = 'single'
  readonly #source: TransactionSource
  readonly #coinbase: Address
  readonly #room: BatchRoom
  readonly #heartbeatMs: number
  readonly #spacingMs: number
  readonly #nowMs: () => number
  #head: SingleOrdererComponents['head']

  constructor({ source, head, coinbase }: SingleOrdererComponents, init: SingleOrdererInit) {
    this.#source = source
    this.#head = head
    this.#coinbase = coinbase
    this.#room = init.room
    this.#heartbeatMs = init.heartbeatMs
    this.#spacingMs = init.spacingMs ?? SPACING_MS
    this.#nowMs = init.nowMs ?? Date.now
  }

  async *decided({ signal }: { signal: AbortSignal }): AsyncGenerator<DecidedBatch> {
    let startedAtMs = this.#nowMs()
    while (!signal.aborted) {
      const heartbeatAtMs = this.#head.timestampMs + this.#heartbeatMs
      if (!(await this.#awaitWork(heartbeatAtMs, signal))) return
      const rest = startedAtMs + this.#spacingMs - this.#nowMs()
      // A clock that was set back must not stop the chain: never wait longer than the spacing.
      if (rest > 0 && !(await pause(Math.min(rest, this.#spacingMs), signal))) return
      const transactions = this.#source.take(this.#room)
      const nowMs = this.#nowMs()
      startedAtMs = nowMs
      if (transactions.length === 0 && nowMs < heartbeatAtMs) continue
      this.#head = {
        number: this.#head.number + 1n,
        timestampMs: Math.max(this.#head.timestampMs, nowMs),
        prevRandao: nextRandao(this.#head.prevRandao, this.#head.number + 1n),
      }
      yield { ...this.#head, transactions, coinbase: this.#coinbase }
    }
  }

  status(): object {
    return { kind: this.kind, decided: this.#head.number.toString(), heartbeatMs: this.#heartbeatMs }
  }

  /** Waits for a transaction or the heartbeat; false if aborted meanwhile. */
  async #awaitWork(heartbeatAtMs: number, signal: AbortSignal): Promise<boolean> {
    if (this.#source.hasWaiting) return !signal.aborted
    const woken = Promise.withResolvers<void>()
    const stop = this.#source.onWaiting(() => woken.resolve())
    try {
      // Bounded for the same reason as above; at worst we look once too often.
      const restMs = Math.min(Math.max(0, heartbeatAtMs - this.#nowMs()), this.#heartbeatMs)
      return await pause(restMs, signal, woken.promise)
    } finally {
      stop()
    }
  }
}

const RANDAO_DOMAIN = utf8Encode('cumulus/single-orderer/randao/1')

/**
 * SHA-256(domain ‖ randao before ‖ block number u64 BE): a chain of hashes from the genesis hash. Everybody can compute it
 * for all future, so it decides nothing that somebody could gain from; a beacon needs a committee and its coin.
 */
export function nextRandao(previous: Uint8Array, number: bigint): Uint8Array {
  const at = new Uint8Array(8)
  new DataView(at.buffer).setBigUint64(0, number)
  return sha256(concatBytes(RANDAO_DOMAIN, previous, at))
}

/** Resolves to true after `ms` or once `early` does, to false if the signal aborts first. */
function pause(ms: number, signal: AbortSignal, early?: Promise<void>): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (value: boolean) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
      resolve(value)
    }
    const stop = () => end(false)
    const timer = setTimeout(() => end(true), ms)
    signal.addEventListener('abort', stop, { once: true })
    void early?.then(() => end(true))
    if (signal.aborted) stop()
  })
}
