import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { concatBytes } from '@cumulus/bytes'
import { openSyncing, syncFolder, writeAt } from './log-disk.ts'
import { encodeLogHead, LOG_HEAD_BYTES, type LogMark, type LogOwner } from './log-file.ts'

export const LOG_FILE = 'wal.log'
/**
 * Zeros are written this far ahead of the records: to write where the file has blocks already is all that a sync then has to
 * do. A file that grows makes each sync wait for the journal of the file system too.
 */
export const RESERVE_BYTES = 2 ** 20
/** So much is written at once. */
const PIECE_BYTES = 2 ** 20
/** So much may wait for the disk: own blocks in the log before need it meanwhile. */
const UNSYNCED_BYTES_MAX = 4 * 2 ** 20

/** A log that takes records, ready for the next. */
export interface OpenLog {
  readonly file: FileHandle
  readonly syncing: FileHandle
  readonly mark: LogMark
  readonly reservedBytes: number
}

/** A log in the making. Takes the place of the one before as a whole, by a rename, or nothing has changed. */
export class NextLog {
  readonly #folder: string
  readonly #file: FileHandle
  #end = LOG_HEAD_BYTES
  /** Up to here the file has been written, with zeros or more. */
  #reservedBytes = 0
  #unsyncedBytes = 0
  #pieces: Uint8Array[] = []
  #piecesBytes = 0

  private constructor(folder: string, file: FileHandle) {
    this.#folder = folder
    this.#file = file
  }

  static async begin(folder: string): Promise<NextLog> {
    return new NextLog(folder, await open(nextPath(folder), 'w+'))
  }

  async add(record: Uint8Array): Promise<void> {
    this.#pieces.push(record)
    this.#piecesBytes += record.length
    if (this.#piecesBytes >= PIECE_BYTES) await this.#write()
  }

  /** Once before `take`, at least: all that was added, and room behind it, is on the disk. */
  async settle(): Promise<void> {
    await this.#write()
    await writeAt(this.#file, new Uint8Array(RESERVE_BYTES), this.#end)
    this.#reservedBytes = this.#end + RESERVE_BYTES
    await this.#sync()
  }

  /** Takes the place of the log in the folder. */
  async take(owner: LogOwner, height: bigint): Promise<OpenLog> {
    await this.#write()
    const durableBytes = this.#end - LOG_HEAD_BYTES
    await writeAt(this.#file, encodeLogHead(owner, height, durableBytes), 0)
    await this.#sync()
    const path = join(this.#folder, LOG_FILE)
    await rename(nextPath(this.#folder), path)
    await syncFolder(this.#folder)
    const syncing = await openSyncing(path)
    const reservedBytes = Math.max(this.#reservedBytes, this.#end)
    return { file: this.#file, syncing, mark: { number: 1, durableBytes }, reservedBytes }
  }

  async abandon(): Promise<void> {
    await this.#file.close()
    await rm(nextPath(this.#folder), { force: true })
  }

  async #write(): Promise<void> {
    if (this.#piecesBytes === 0) return
    const bytes = concatBytes(...this.#pieces)
    this.#pieces = []
    this.#piecesBytes = 0
    await writeAt(this.#file, bytes, this.#end)
    this.#end += bytes.length
    this.#unsyncedBytes += bytes.length
    if (this.#unsyncedBytes >= UNSYNCED_BYTES_MAX) await this.#sync()
  }

  async #sync(): Promise<void> {
    await this.#file.datasync()
    this.#unsyncedBytes = 0
  }
}

export function nextPath(folder: string): string {
  return join(folder, `${LOG_FILE}.new`)
}
