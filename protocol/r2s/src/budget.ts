/** So much at once and so much a second, by the member's own clock. What is over it is not done, and costs nothing. */
export class Budget {
  readonly #burst: number
  readonly #perSecond: number
  #left: number
  #filledAtMs: number | undefined

  constructor(burst: number, perSecond: number) {
    this.#burst = burst
    this.#perSecond = perSecond
    this.#left = burst
  }

  /** Whether something is left; then as much as it turns out to cost may be spent, on credit if need be. */
  has(nowMs: number): boolean {
    const passedMs = nowMs - (this.#filledAtMs ?? nowMs)
    this.#filledAtMs = nowMs
    this.#left = Math.min(this.#burst, this.#left + (passedMs * this.#perSecond) / 1000)
    return this.#left > 0
  }

  spend(count: number): void {
    this.#left -= count
  }
}
