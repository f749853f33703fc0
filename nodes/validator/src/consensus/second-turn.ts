import type { Address } from '@cumulus/types'

/** A sender with transactions that are not executed yet. */
interface Waiting {
  /** Since when nothing of it was executed. */
  sinceMs: number
  highestNonce: bigint
}

/** About twice what an order takes at full pace. */
const PATIENCE_MS = 300
const SENDERS_MAX = 20_000
/** Of what was pushed out of the mempool nobody tells. */
const FORGET_MS = 60_000

/**
 * When the second of the two members that have a transaction takes it: not before the first had time to. Else most transactions would be
 * ordered twice. A sender of whom something is executed now and then is in good hands.
 */
export class SecondTurn {
  readonly #nowMs: () => number
  readonly #waiting = new Map<Address, Waiting>()

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0
  }

  /** A transaction came into the mempool. */
  arrived(sender: Address, nonce: bigint): void {
    const waiting = this.#waiting.get(sender)
    if (waiting) {
      if (nonce > waiting.highestNonce) waiting.highestNonce = nonce
    } else if (this.#waiting.size < SENDERS_MAX) {
      this.#waiting.set(sender, { sinceMs: this.#nowMs(), highestNonce: nonce })
    }
  }

  executed(sender: Address, nonce: bigint): void {
    const waiting = this.#waiting.get(sender)
    if (!waiting) return
    if (nonce >= waiting.highestNonce) this.#waiting.delete(sender)
    else waiting.sinceMs = this.#nowMs()
  }

  /** Whether the first has had its time. Of whom nothing is known here the second takes at once. */
  hasCome(sender: Address): boolean {
    const waiting = this.#waiting.get(sender)
    return waiting === undefined || this.#nowMs() - waiting.sinceMs >= PATIENCE_MS
  }

  forgetOld(): void {
    const now = this.#nowMs()
    for (const [sender, { sinceMs }] of this.#waiting) if (now - sinceMs > FORGET_MS) this.#waiting.delete(sender)
  }
}
