/** Times of the last minute, for percentiles. */
export class LatencyWindow {
  readonly #windowMs: number
  readonly #countMax: number
  readonly #samples: { readonly atMs: number; readonly ms: number }[] = []

  constructor(windowMs = 60_000, countMax = 4_096) {
    this.#windowMs = windowMs
    this.#countMax = countMax
  }

  add(atMs: number, ms: number): void {
    this.#samples.push({ atMs, ms })
    if (this.#samples.length > this.#countMax) this.#samples.shift()
  }

  /** In tenths of a ms; undefined if nothing happened. */
  percentiles(nowMs: number): { p50: number; p99: number; count: number } | undefined {
    while (this.#samples.length > 0 && this.#samples[0]!.atMs < nowMs - this.#windowMs) this.#samples.shift()
    const sorted = this.#samples.map(({ ms }) => ms).sort((a, b) => a - b)
    if (sorted.length === 0) return undefined
    const at = (share: number) =>
      Math.round(10 * sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!) / 10
    return { p50: at(0.5), p99: at(0.99), count: sorted.length }
  }
}
