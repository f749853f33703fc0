/** Between two looks at the clock, where the event loop lets us. */
const LOOK_MS = 5

/**
 * How long this thread computes without letting the event loop go round: sockets wait that long, and chain blocks with
 * them. Measured in CPU time of the thread, for a machine that is busy with something else holds nobody to blame.
 */
export class LoopWatch {
  readonly #timer: NodeJS.Timeout
  #lastMs = threadMs()
  #longestMs = 0

  constructor() {
    this.#timer = setInterval(() => this.#look(), LOOK_MS)
    this.#timer.unref()
  }

  /** The longest since it was last asked. */
  take(): number {
    const longestMs = this.#longestMs
    this.#longestMs = 0
    return longestMs
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const nowMs = threadMs()
    this.#longestMs = Math.max(this.#longestMs, nowMs - this.#lastMs)
    this.#lastMs = nowMs
  }
}

function threadMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}
