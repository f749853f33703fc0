/** So much at once, and so much a second. What is over the limit waits; it is not lost. */
export class TokenBucket {
  readonly #burst: number
  readonly #perSecond: number
  readonly #nowMs: () => number
  #tokens: number
  #filledAtMs: number

  constructor(burst: number, perSecond: number, nowMs: () => number = () => performance.now()) {
    this.#burst = burst
    this.#perSecond = perSecond
    this.#nowMs = nowMs
    this.#tokens = burst
    this.#filledAtMs = nowMs()
  }

  /** Takes tokens, on credit if need be; returns after how many ms the debt will be paid. 0: go on. */
  take(count: number): number {
    const nowMs = this.#nowMs()
    this.#tokens = Math.min(this.#burst, this.#tokens + ((nowMs - this.#filledAtMs) * this.#perSecond) / 1000)
    this.#filledAtMs = nowMs
    this.#tokens -= count
    return this.#tokens >= 0 ? 0 : (-this.#tokens * 1000) / this.#perSecond
  }
}
