/** A transfer that may have to wait for the client. */
export interface Watched {
  /** When the present wait began; undefined while we are the slow side. */
  waitingSinceMs: number | undefined
  /** Waiting in this window before the present wait. */
  waitedMs: number
  /** Bytes transferred in this window. */
  bytes: number
  /** Ends the transfer. Called once. */
  onStall(): void
}

/**
 * Finds clients that neither send nor take, or send a byte now and then to hold a place (slow-loris). One timer looks
 * after all transfers, since a timer per chunk would cost more than the chunk. Only time spent waiting for the client
 * counts: back-pressure of our own is never held against it.
 */
export class StallWatch {
  readonly #idleMs: number
  readonly #bytesPerSecondMin: number
  readonly #watched = new Set<Watched>()
  readonly #timer: NodeJS.Timeout

  constructor({ idleMs, bytesPerSecondMin }: { idleMs: number; bytesPerSecondMin: number }) {
    this.#idleMs = idleMs
    this.#bytesPerSecondMin = bytesPerSecondMin
    this.#timer = setInterval(() => this.#sweep(performance.now()), Math.max(10, idleMs / 4))
    this.#timer.unref()
  }

  add(watched: Watched): void {
    this.#watched.add(watched)
  }

  remove(watched: Watched): void {
    this.#watched.delete(watched)
  }

  close(): void {
    clearInterval(this.#timer)
    this.#watched.clear()
  }

  #sweep(nowMs: number): void {
    for (const transfer of this.#watched) {
      if (transfer.waitingSinceMs === undefined) continue
      const presentMs = nowMs - transfer.waitingSinceMs
      const waitedMs = transfer.waitedMs + presentMs
      const slow = waitedMs >= this.#idleMs && transfer.bytes < (this.#bytesPerSecondMin * waitedMs) / 1000
      if (presentMs >= this.#idleMs || slow) {
        this.#watched.delete(transfer)
        transfer.onStall()
      } else if (waitedMs >= this.#idleMs) {
        transfer.waitedMs = 0
        transfer.bytes = 0
        transfer.waitingSinceMs = nowMs
      }
    }
  }
}
