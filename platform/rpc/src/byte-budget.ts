/** Bytes in memory on behalf of strangers, all connections together. */
export class ByteBudget {
  readonly #bytesMax: number
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** What gives the bytes back; undefined if there is no room for them. */
  take(bytes: number): (() => void) | undefined {
    if (this.#bytes + bytes > this.#bytesMax) return undefined
    this.#bytes += bytes
    let isHeld = true
    return () => {
      if (isHeld) this.#bytes -= bytes
      isHeld = false
    }
  }
}

/** Both directions of one server. */
export interface Budgets {
  /** Requests that were not answered yet. */
  readonly bodies: ByteBudget
  /** Answers that were not read yet. */
  readonly answers: ByteBudget
}
