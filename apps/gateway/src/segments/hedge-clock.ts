/** Durations remembered. */
const SAMPLE_COUNT = 128
const HEDGE_MS_MIN = 150
const HEDGE_MS_MAX = 3_000

/**
 * When to stop waiting for one seat and ask others as well: three times what 95 of 100 recent reads took. On a machine
 * that is merely busy all reads are slow, the bound grows with them, and no work is doubled for nothing.
 */
export class HedgeClock {
  readonly #samples: number[] = []
  #next = 0
  #delayMs = HEDGE_MS_MAX / 3

  get delayMs(): number {
    return this.#delayMs
  }

  add(durationMs: number): void {
    this.#samples[this.#next] = durationMs
    this.#next = (this.#next + 1) % SAMPLE_COUNT
    if (this.#next % 16 !== 0) return
    const sorted = [...this.#samples].sort((a, b) => a - b)
    const p95 = sorted[Math.floor(sorted.length * 0.95)]!
    this.#delayMs = Math.min(HEDGE_MS_MAX, Math.max(HEDGE_MS_MIN, 3 * p95))
  }
}
