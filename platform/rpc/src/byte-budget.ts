import type { RpcMetrics } from './metrics.ts'

/** Bytes of answers that wait in memory for their askers to read them, over HTTP and WebSockets together. */
export class UnreadAnswers {
  readonly #bytesMax: number
  readonly #metrics: RpcMetrics
  #bytes = 0

  constructor(bytesMax: number, metrics: RpcMetrics) {
    this.#bytesMax = bytesMax
    this.#metrics = metrics
  }

  /** What gives the bytes back once they were read or given up; undefined if there is no room for them. */
  take(bytes: number): (() => void) | undefined {
    if (this.#bytes + bytes > this.#bytesMax) {
      this.#metrics.limitHits.inc({ limit: 'response_bytes_total' })
      return undefined
    }
    this.#bytes += bytes
    let isHeld = true
    return () => {
      if (isHeld) this.#bytes -= bytes
      isHeld = false
    }
  }
}
