import { type Logger, sleep } from '@cumulus/service'
import type { SlabStore } from './slab-store.ts'
import { StoreError } from './store-error.ts'

export interface FillerInit {
  /** Default 4 MiB/s: an hour for 14 GiB, and no load that anybody notices. */
  readonly bytesPerSecond?: number
  /** After a full disk. Default 60 s. */
  readonly pauseMs?: number
}

/** Rest after a write, in times of what it took. */
const REST_FACTOR = 9
/** Cells between two notes of progress. */
const FILL_SAVE_COUNT = 16

/**
 * Writes idle cells in the background until all were written once, so that service data overwrites blocks in place,
 * and the declared space is really there. Resolves when all are written or `signal` aborts.
 */
export async function fillIdleCells(
  store: SlabStore,
  components: { log: Logger; unitBytes: number },
  { signal, bytesPerSecond = 4 * 2 ** 20, pauseMs = 60_000 }: FillerInit & { signal: AbortSignal },
): Promise<void> {
  const { log, unitBytes } = components
  const stepMs = (unitBytes / bytesPerSecond) * 1000
  const batch = Math.max(1, Math.round(50 / stepMs))
  let unsaved = 0
  try {
    for (;;) {
      signal.throwIfAborted()
      try {
        const startedAtMs = performance.now()
        let filled = 0
        while (filled < batch && (await store.fillOne())) filled++
        unsaved += filled
        if (filled === 0) break
        if (unsaved >= FILL_SAVE_COUNT * batch) {
          await store.saveFillProgress()
          unsaved = 0
        }
        // A disk that takes long has other things to do: at most a tenth of its time is ours.
        const tookMs = performance.now() - startedAtMs
        await sleep(Math.max(stepMs * filled, REST_FACTOR * tookMs), signal)
      } catch (error) {
        if (signal.aborted) return
        if (!(error instanceof StoreError)) throw error
        if (error.code === 'CLOSED') return
        log.warn('idle cells cannot be written for now', { error })
        await sleep(pauseMs, signal)
      }
    }
    await store.saveFillProgress()
    log.info('all cells are written', { cells: store.status.writtenCells })
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
