import type { FileLayer } from './files.ts'
import { StoreError } from './store-error.ts'

const MiB = 2 ** 20

/** What becomes of declared space. Never more than `spaceBytes` in all. */
export interface SpaceBudget {
  /** Cells for fragments: what the miner may declare on chain. */
  readonly units: number
  /** Pack logs, their framing included. */
  readonly logBytes: number
  /** The LMDB file: index, piece hashes, small fragments. */
  readonly indexBytes: number
}

/**
 * Divides declared space. A sixteenth is kept for logs and the index, at least 64 MiB, but never more than half of a
 * tiny space. A quarter of that is the index's, since the index of a full miner needs 8 KiB for each cell of 8 MiB, and
 * 64 KiB more where each holds the largest fragment that is kept in LMDB.
 */
export function spaceBudget(spaceBytes: number, unitBytes: number): SpaceBudget {
  if (!(spaceBytes >= 0) || !(unitBytes > 0)) throw new RangeError(`space ${spaceBytes} in units of ${unitBytes}`)
  const reserved = Math.floor(Math.max(spaceBytes / 16, Math.min(64 * MiB, spaceBytes / 2)))
  const indexBytes = Math.floor(Math.max(reserved / 4, Math.min(16 * MiB, reserved / 2)))
  const units = Math.floor((spaceBytes - reserved) / unitBytes)
  return { units, indexBytes, logBytes: reserved - indexBytes }
}

/** Units that `spaceBytes` of disk can hold beside logs and index: 120 units of 8 MiB for 1 GiB. */
export function usableUnits(spaceBytes: number, unitBytes: number): number {
  return spaceBudget(spaceBytes, unitBytes).units
}

/** Refuses writes that need new blocks while the disk is nearly full, so that others can still breathe. */
export class SpaceGuard {
  readonly #files: FileLayer
  readonly #folder: string
  readonly #keepFreeBytes: number
  #known = 0
  #checkedAtMs = Number.NEGATIVE_INFINITY

  constructor(files: FileLayer, folder: string, keepFreeBytes: number) {
    this.#files = files
    this.#folder = folder
    this.#keepFreeBytes = keepFreeBytes
  }

  /**
   * Announces `bytes` of new blocks. The disk is asked at most four times a second.
   *
   * @throws StoreError DISK_FULL if less than the kept reserve would remain
   */
  async claim(bytes: number): Promise<void> {
    const now = performance.now()
    if (now - this.#checkedAtMs > 250 || this.#known - bytes < this.#keepFreeBytes) {
      this.#checkedAtMs = now
      this.#known = await this.#files.freeBytes(this.#folder)
    }
    if (this.#known - bytes < this.#keepFreeBytes) {
      throw new StoreError('DISK_FULL', 'the disk is nearly full', {
        freeBytes: this.#known,
        neededBytes: bytes,
        keptFreeBytes: this.#keepFreeBytes,
      })
    }
    this.#known -= bytes
  }
}
