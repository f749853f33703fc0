import type { Commit } from '@cumulus/r2s'

interface Waiting {
  readonly commit: Commit
  readonly arrivedAtMs: number
  readonly hasContent: boolean
  readonly bytes: number
}

/** Above this own blocks wait too, and the whole committee goes at the pace of execution. */
const CROWDED_COUNT = 1_024
const CROWDED_BYTES = 64 * 2 ** 20
/** So much waits that the others must have gone on: their chain blocks are a shorter way. */
const OVERFULL_COUNT = 16_384
const OVERFULL_BYTES = 256 * 2 ** 20
/** Of the objects around a commit, and for a reference to a block in its checkpoint. */
const COMMIT_BYTES = 1_024
const REF_BYTES = 8

/** Decided rounds on their way to execution, in order. */
export class CommitQueue {
  readonly #waiting: Waiting[] = []
  #contentCount = 0
  #bytes = 0
  #wake: () => void = () => {}
  #hasRoom: () => void = () => {}

  get count(): number {
    return this.#waiting.length
  }

  /** What they keep in memory, about. */
  get bytes(): number {
    return this.#bytes
  }

  get isOverfull(): boolean {
    return this.#waiting.length > OVERFULL_COUNT || this.#bytes > OVERFULL_BYTES
  }

  get #isCrowded(): boolean {
    return this.#waiting.length > CROWDED_COUNT || this.#bytes > CROWDED_BYTES
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
    const bytes = bytesOf(commit)
    this.#waiting.push({ commit, arrivedAtMs: nowMs, hasContent, bytes })
    this.#bytes += bytes
    if (hasContent) this.#contentCount++
    this.#wake()
  }

  shift(): Commit | undefined {
    const waiting = this.#waiting.shift()
    if (waiting?.hasContent) this.#contentCount--
    this.#bytes -= waiting?.bytes ?? 0
    if (!this.#isCrowded) this.#hasRoom()
    return waiting?.commit
  }

  /** @returns the round behind the last one */
  clear(): number {
    const last = this.#waiting.at(-1)!
    this.#waiting.length = 0
    this.#contentCount = 0
    this.#bytes = 0
    this.#hasRoom()
    return last.commit.round + 1
  }

  /** Resolves when there is room for more; undefined: there is. */
  room(): Promise<void> | undefined {
    if (!this.#isCrowded) return undefined
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

/** References are shared by the checkpoints of neighbours; the lists are not. */
function bytesOf({ blocks, checkpoint }: Commit): number {
  let bytes = COMMIT_BYTES + REF_BYTES * checkpoint.output.length
  for (const { headerBytes, payload } of blocks) bytes += headerBytes.length + payload.length
  return bytes
}
