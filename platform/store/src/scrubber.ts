import { type Logger, sleep } from '@cumulus/service'
import type { FragmentKey } from './fragment-record.ts'
import type { SlabStore } from './slab-store.ts'
import { StoreError } from './store-error.ts'

export interface ScrubReport {
  readonly startedMs: number
  readonly finishedMs: number
  readonly fragments: number
  readonly bytes: number
  readonly corrupt: readonly FragmentKey[]
}

export interface ScrubberInit {
  /** Default 8 MiB/s: 1 TiB in a day and a half. */
  readonly bytesPerSecond?: number
  /** From the start of one pass to the start of the next, at least. Default a day. */
  readonly passMs?: number
  /** Called for each fragment found damaged. It is marked already. */
  readonly onCorrupt?: (key: FragmentKey) => void
}

/** Corrupt fragments named in a report; all are marked. */
const REPORTED_MAX = 1000
/** Fragments between two notes of where a pass stands. */
const CURSOR_SAVE_COUNT = 64

/** Reads everything again and again and compares it with its hashes, so that rot is found before it is needed. */
export class Scrubber {
  readonly #store: SlabStore
  readonly #log: Logger
  readonly #init: ScrubberInit
  /** The last pass that reached the end. */
  lastReport: ScrubReport | undefined

  constructor(components: { store: SlabStore; log: Logger }, init: ScrubberInit = {}) {
    this.#store = components.store
    this.#log = components.log
    this.#init = init
  }

  /** Scrubs until `signal` aborts. */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    try {
      for (;;) {
        const report = await this.pass({ signal })
        const waitMs = (this.#init.passMs ?? 86_400_000) - (report.finishedMs - report.startedMs)
        // setTimeout counts to 2^31 ms.
        await sleep(Math.min(Math.max(waitMs, 1000), 2 ** 31 - 1), signal)
      }
    } catch (error) {
      if (!signal.aborted && !(error instanceof StoreError && error.code === 'CLOSED')) throw error
    }
  }

  /** One look at every fragment, from where an interrupted pass stood. */
  async pass({ signal }: { signal: AbortSignal }): Promise<ScrubReport> {
    const startedMs = Date.now()
    const bytesPerSecond = this.#init.bytesPerSecond ?? 8 * 2 ** 20
    const corrupt: FragmentKey[] = []
    let fragments = 0
    let bytes = 0
    for (const key of this.#store.keys(this.#store.scrubCursor)) {
      signal.throwIfAborted()
      const before = bytes
      try {
        bytes += await this.#store.verify(key)
        fragments++
      } catch (error) {
        if (!(error instanceof StoreError)) throw error
        if (error.code === 'NOT_FOUND') continue
        if (error.code !== 'FRAGMENT_CORRUPT') throw error
        fragments++
        if (corrupt.length < REPORTED_MAX) corrupt.push(key)
        this.#log.error('a fragment is damaged', { ...key, error })
        this.#init.onCorrupt?.(key)
      }
      if (fragments % CURSOR_SAVE_COUNT === 0) await this.#store.setScrubCursor(key)
      await sleep(((bytes - before) / bytesPerSecond) * 1000, signal)
    }
    await this.#store.setScrubCursor(undefined)
    this.lastReport = { startedMs, finishedMs: Date.now(), fragments, bytes, corrupt }
    return this.lastReport
  }
}
