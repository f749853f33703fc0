/** Waits twice as long after each try, up to a limit. */
export class Backoff {
  readonly #minMs: number
  readonly #maxMs: number
  #nextMs: number

  constructor(minMs: number, maxMs: number) {
    this.#minMs = minMs
    this.#maxMs = maxMs
    this.#nextMs = minMs
  }

  /** How long to wait now. */
  nextMs(): number {
    const ms = this.#nextMs
    this.#nextMs = Math.min(2 * ms, this.#maxMs)
    return ms
  }

  /** Something went well. */
  reset(): void {
    this.#nextMs = this.#minMs
  }
}
