/** Wall clock and a clock that only counts, in ms. */
interface Clocks {
  wallMs(): number
  countMs(): number
}

/** While the wall clock is behind, time passes at this pace until it has caught up. */
const SLOW_PACE = 0.9

/**
 * The wall clock, but never backwards and never still: where somebody sets it back by an hour, rounds must not stop for
 * an hour. Set forward, it is followed at once.
 */
export class SteadyClock {
  readonly #clocks: Clocks
  #nowMs: number
  #countMs: number

  constructor(clocks: Clocks = { wallMs: Date.now, countMs: () => performance.now() }) {
    this.#clocks = clocks
    this.#nowMs = clocks.wallMs()
    this.#countMs = clocks.countMs()
  }

  nowMs(): number {
    const countMs = this.#clocks.countMs()
    const passedMs = Math.max(0, countMs - this.#countMs)
    this.#countMs = countMs
    const wallMs = this.#clocks.wallMs()
    const isBehind = wallMs <= this.#nowMs + passedMs - 1 // within it only its fraction is cut off
    this.#nowMs = isBehind ? this.#nowMs + passedMs * SLOW_PACE : Math.max(wallMs, this.#nowMs)
    return this.#nowMs
  }
}
