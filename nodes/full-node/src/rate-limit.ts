/** What one peer may use in a second, and at once after a rest. */
export interface RateLimits {
  readonly requestsPerSecond: number
  readonly requestBurst: number
  readonly bytesPerSecond: number
  readonly byteBurst: number
}

/** Two buckets that fill with time. Going below zero is allowed once: the next caller waits until it is made up for. */
export class RateLimit {
  readonly #limits: RateLimits
  readonly #nowMs: () => number
  #requests: number
  #bytes: number
  #atMs: number

  constructor(limits: RateLimits, nowMs: () => number = () => performance.now()) {
    this.#limits = limits
    this.#nowMs = nowMs
    this.#requests = limits.requestBurst
    this.#bytes = limits.byteBurst
    this.#atMs = nowMs()
  }

  /** Counts a request; ms to wait if it comes too soon, else 0. */
  request(): number {
    this.#refill()
    const { requestsPerSecond, bytesPerSecond } = this.#limits
    const waitMs = Math.max((1 - this.#requests) / requestsPerSecond, -this.#bytes / bytesPerSecond) * 1000
    if (waitMs > 0) return Math.ceil(waitMs)
    this.#requests--
    return 0
  }

  /** Counts the bytes of an answer. */
  spend(bytes: number): void {
    this.#bytes -= bytes
  }

  /** Whether nothing has been used lately: it can be forgotten. */
  get isFull(): boolean {
    this.#refill()
    return this.#requests >= this.#limits.requestBurst && this.#bytes >= this.#limits.byteBurst
  }

  #refill(): void {
    const { requestsPerSecond, requestBurst, bytesPerSecond, byteBurst } = this.#limits
    const nowMs = this.#nowMs()
    const seconds = Math.max(0, nowMs - this.#atMs) / 1000
    this.#atMs = nowMs
    this.#requests = Math.min(requestBurst, this.#requests + seconds * requestsPerSecond)
    this.#bytes = Math.min(byteBurst, this.#bytes + seconds * bytesPerSecond)
  }
}
