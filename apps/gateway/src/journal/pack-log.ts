import { type FileHandle, open, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import {
  decodePackHeader,
  encodePackHeader,
  type LogEntry,
  PACK_HEADER_BYTES,
  type PackHeader,
  parseEntries,
  sealedPackBytes,
  sealPack,
} from './pack-format.ts'

/**
 * The gateway's own copy of a pack that is open or not yet safe on its seats: one file that only grows. Reads go to it
 * until it is dropped; a read that has begun ends even then.
 */
export class PackLog {
  readonly header: PackHeader
  readonly path: string
  readonly #file: FileHandle
  /** Bytes of whole entries. */
  length: number
  entryCount = 0
  dataBytes = 0
  recordBytes = 0
  /** When the oldest entry was written; undefined while there is none. */
  firstMs: number | undefined
  /** Of entries with data, ascending: their place in the data of the pack, and in the log. */
  readonly #dataOffsets: number[] = []
  readonly #dataStarts: number[] = []
  #users = 0
  #dropped = false

  private constructor(header: PackHeader, path: string, file: FileHandle, length: number) {
    this.header = header
    this.path = path
    this.#file = file
    this.length = length
  }

  /** A new log, durable with its header. */
  static async create(path: string, header: PackHeader): Promise<PackLog> {
    const file = await open(path, 'wx+', 0o600)
    try {
      await file.write(encodePackHeader(header), 0, PACK_HEADER_BYTES, 0)
      await file.datasync()
      await syncFolder(path)
    } catch (error) {
      await file.close()
      throw error
    }
    return new PackLog(header, path, file, PACK_HEADER_BYTES)
  }

  /**
   * The log of an earlier run, cut behind its last whole entry.
   *
   * @throws DecodeError if not even the header is whole
   */
  static async load(path: string): Promise<{ log: PackLog; entries: LogEntry[] }> {
    const file = await open(path, 'r+')
    try {
      const bytes = await file.readFile()
      const header = decodePackHeader(bytes)
      const { entries, end } = parseEntries(bytes)
      if (end < bytes.length) {
        await file.truncate(end)
        await file.datasync()
      }
      const log = new PackLog(header, path, file, PACK_HEADER_BYTES)
      for (const entry of entries) log.#note(entry.dataLength, entry.record.length, entry.dataStart)
      log.length = end
      return { log, entries }
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** Bytes that sealing would give. */
  get sealedBytes(): number {
    return sealedPackBytes(this.dataBytes, this.recordBytes, this.entryCount)
  }

  /** Writes whole entries at the end; not durable before `sync`. On failure the log is as it was. */
  async append(
    bytes: Uint8Array,
    entries: readonly { dataLength: number; recordLength: number; dataStart: number }[],
  ): Promise<void> {
    try {
      for (let done = 0; done < bytes.length; ) {
        done += (await this.#file.write(bytes, done, bytes.length - done, this.length + done)).bytesWritten
      }
    } catch (error) {
      await this.#file.truncate(this.length).catch(() => {})
      throw error
    }
    for (const entry of entries) this.#note(entry.dataLength, entry.recordLength, entry.dataStart)
    this.length += bytes.length
    this.firstMs ??= Date.now()
  }

  sync(): Promise<void> {
    return this.#file.datasync()
  }

  /** Bytes of the log itself, as followers get them. */
  async slice(start: number, end: number): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafe(end - start)
    await this.#readFully(bytes, start)
    return bytes
  }

  /** A run of the pack's data into `target`. All of it lies in one entry. */
  async read(dataOffset: number, target: Uint8Array): Promise<void> {
    let low = 0
    let high = this.#dataOffsets.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.#dataOffsets[middle]! <= dataOffset) low = middle
      else high = middle - 1
    }
    await this.#readFully(target, this.#dataStarts[low]! + dataOffset - this.#dataOffsets[low]!)
  }

  /** The pack as a segment, in place in `target`, which must hold `length` bytes and be at least a segment. */
  async seal(target: Uint8Array): Promise<{ length: number; journalDigest: Uint8Array }> {
    const log = target.subarray(0, this.length)
    await this.#readFully(log, 0)
    const { entries } = parseEntries(log)
    if (entries.length !== this.entryCount) throw new Error(`${this.path} has changed on disk`)
    // Data moves to the front over what is not needed any more; records are taken out first.
    const kept = entries.map((entry) => ({ ...entry, record: entry.record.slice() }))
    return sealPack(this.header, log, kept, target)
  }

  async records(): Promise<{ sequence: number; record: Uint8Array }[]> {
    return parseEntries(await this.slice(0, this.length)).entries
  }

  /** Deletes the file as soon as nobody reads it. */
  async drop(): Promise<void> {
    if (this.#dropped) return
    this.#dropped = true
    await unlink(this.path)
    await this.#closeIfUnused()
  }

  async close(): Promise<void> {
    this.#dropped = true
    await this.#closeIfUnused()
  }

  async #readFully(target: Uint8Array, position: number): Promise<void> {
    this.#users++
    try {
      for (let done = 0; done < target.length; ) {
        const { bytesRead } = await this.#file.read(target, done, target.length - done, position + done)
        if (bytesRead === 0) throw new Error(`${this.path} ends before byte ${position + target.length}`)
        done += bytesRead
      }
    } finally {
      this.#users--
      await this.#closeIfUnused()
    }
  }

  async #closeIfUnused(): Promise<void> {
    if (this.#dropped && this.#users === 0) await this.#file.close()
  }

  #note(dataLength: number, recordLength: number, dataStart: number): void {
    if (dataLength > 0) {
      this.#dataOffsets.push(this.dataBytes)
      this.#dataStarts.push(dataStart)
    }
    this.dataBytes += dataLength
    this.recordBytes += recordLength
    this.entryCount++
    this.firstMs ??= Date.now()
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
