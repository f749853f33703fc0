import type { Commit } from '@cumulus/r2s'

interface Waiting {
  readonly commit: Commit
  readonly arrivedAtMs: number
  readonly hasContent: boolean
}

/** Above this own blocks wait too, and the whole committee goes at the pace of execution. */
const CROWDED_COUNT = 1_024

/** Decided rounds on their way to execution, in order. */
export class CommitQueue {
  readonly #waiting: Waiting[] = []
  #contentCount = 0
  #wake: () => void = () => {}
  #hasRoom: () => void = () => {}

  get count(): number {
    return this.#waiting.length
  }

  /** Those that will become chain blocks with transactions. */
  get contentCount(): number {
    return this.#contentCount
  }

  /** How long the first one has waited. */
  ageMs(nowMs: number): number {
    const first = this.#waiting[0]
    return first ? nowMs - first.arrivedAtMs : 0
  }

  push(commit: Commit, nowMs: number): void {
    const hasContent = commit.blocks.some(({ payload }) => payload.length > 0)
    this.#waiting.push({ commit, arrivedAtMs: nowMs, hasContent })
    if (hasContent) this.#contentCount++
    this.#wake()
  }

  shift(): Commit | undefined {
    const waiting = this.#waiting.shift()
    if (waiting?.hasContent) this.#contentCount--
    if (this.#waiting.length <= CROWDED_COUNT) this.#hasRoom()
    return waiting?.commit
  }

  /** @returns the round behind the last one */
  clear(): number {
    const last = this.#waiting.at(-1)!
    this.#waiting.length = 0
    this.#contentCount = 0
    this.#hasRoom()
    return last.commit.round + 1
  }

  /** Resolves when there is room for more; undefined: there is. */
  room(): Promise<void> | undefined {
    if (this.#waiting.length <= CROWDED_COUNT) return undefined
    return new Promise((resolve) => {
      this.#hasRoom = resolve
    })
  }

  /** Wakes whoever waits for `news`. */
  wake(): void {
    this.#wake()
  }

  /** Resolves with the next commit, or `wake`, or an abort. */
  news(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        signal.removeEventListener('abort', end)
        this.#wake = () => {}
        resolve()
      }
      signal.addEventListener('abort', end, { once: true })
      this.#wake = end
      if (signal.aborted) end()
    })
  }
}
