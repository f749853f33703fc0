import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import {
  ByteReader,
  ByteWriter,
  bytesToPlainHex,
  concatBytes,
  DecodeError,
  equalBytes,
  utf8Encode,
} from '@cumulus/bytes'
import { type DataFile, type FileLayer, nodeFiles } from './files.ts'
import { SpaceGuard } from './space.ts'
import { StoreError } from './store-error.ts'

export interface AppendLogsInit {
  /** All logs together, framing included. */
  readonly bytesMax: number
  /** Each holds a file descriptor. Default 256. */
  readonly logsMax?: number
  /** The disk is never filled beyond this. Default 2 GiB. */
  readonly keepFreeBytes?: number
  readonly files?: FileLayer
}

/** What a log is for. */
export interface LogContext {
  /** u64, the same for the whole life of the log. */
  readonly territory: bigint
  /** At most 4 KiB, not looked at; the one of the first append is kept. */
  readonly note: Uint8Array
}

export interface LogInfo {
  readonly logId: Uint8Array
  readonly context: LogContext
  /** Durable bytes. */
  readonly bytes: number
}

interface Append {
  readonly bytes: Uint8Array
  readonly resolve: (length: number) => void
  readonly reject: (error: unknown) => void
}

interface RecordPlace {
  readonly position: number
  readonly fileOffset: number
  readonly length: number
}

interface Log {
  readonly id: Uint8Array
  readonly context: LogContext
  readonly file: DataFile
  readonly records: RecordPlace[]
  /** Durable payload bytes. */
  length: number
  /** End of the last durable record in the file. */
  fileLength: number
  /** `length` and what waits to be written. */
  plannedLength: number
  waiting: Append[]
  pump: Promise<void> | undefined
  /** Set when a sync failed: what the file holds then is known only after reading it again. */
  failure: unknown
  dropped: boolean
}

const LOG_ID_BYTES = 32
const NOTE_BYTES_MAX = 4096
const RECORD_HEADER_BYTES = 16
/** Payload of a record: a small read checks so much at most. */
const RECORD_BYTES_MAX = 256 * 2 ** 10
/** Appends to one log that are written and synced together. */
const GROUP_BYTES_MAX = 8 * 2 ** 20
/** Bytes that may wait in one log. */
const WAITING_BYTES_MAX = 64 * 2 ** 20
const MAGIC = utf8Encode('cumulog1')

/**
 * Logs that only grow, one file each.
 *
 *     header   8 magic ‖ 32 log id ‖ u64 territory ‖ u32 note length ‖ note ‖ u32 CRC-32 of all before
 *     record   u32 length ‖ u32 CRC-32 of position and payload ‖ u64 position ‖ payload     (little-endian, to the end)
 *
 * `append` resolves when its bytes are synced; appends that wait for the same log share one write and one fdatasync.
 * At start every record is checked: the file is cut at the first that is torn, which nobody was ever told about.
 */
export class AppendLogs {
  readonly #folder: string
  readonly #files: FileLayer
  readonly #guard: SpaceGuard
  readonly #bytesMax: number
  readonly #logsMax: number
  readonly #logs = new Map<string, Log>()
  readonly #creating = new Map<string, Promise<Log>>()
  /** Bytes of all files, with what is planned. */
  #bytes = 0
  #closed = false

  private constructor(folder: string, init: AppendLogsInit) {
    this.#folder = folder
    this.#files = init.files ?? nodeFiles
    this.#guard = new SpaceGuard(this.#files, folder, init.keepFreeBytes ?? 2 * 2 ** 30)
    this.#bytesMax = init.bytesMax
    this.#logsMax = init.logsMax ?? 256
  }

  /** Opens all logs in `folder`. Reads each once: 1 GB/s. */
  static async open(folder: string, init: AppendLogsInit): Promise<AppendLogs> {
    const logs = new AppendLogs(folder, init)
    await logs.#files.makeFolder(folder)
    for (const name of await logs.#files.list(folder)) {
      if (!/^[0-9a-f]{64}\.log$/.test(name)) continue
      const log = await recover(logs.#files, join(folder, name))
      if (!log) continue
      logs.#logs.set(bytesToPlainHex(log.id), log)
      logs.#bytes += log.fileLength
    }
    return logs
  }

  /**
   * Adds `bytes` at `position`; resolves with the log's length when they are durable. Said again, it changes nothing;
   * bytes past the end of what is known are added. The first append makes the log. `bytes` must not change meanwhile.
   *
   * @throws StoreError LOG_GAP with the length there is, LOG_CONFLICT if other bytes or the log is of another territory,
   *   LOG_SPACE_FULL, DISK_FULL, IO_FAILED, OVERLOADED
   */
  async append(logId: Uint8Array, context: LogContext, position: number, bytes: Uint8Array): Promise<number> {
    if (logId.length !== LOG_ID_BYTES) throw new RangeError('a log id has 32 bytes')
    if (context.note.length > NOTE_BYTES_MAX) throw new RangeError(`a note has at most ${NOTE_BYTES_MAX} bytes`)
    if (!Number.isSafeInteger(position) || position < 0) throw new RangeError(`position ${position}`)
    const name = bytesToPlainHex(logId)
    const log = this.#logs.get(name) ?? (await this.#create(name, logId, context, position))
    if (log.context.territory !== context.territory) {
      throw new StoreError('LOG_CONFLICT', 'the log is of another territory', { logId: name })
    }
    for (;;) {
      if (log.dropped) throw notFound(logId)
      if (position > log.plannedLength) {
        throw new StoreError('LOG_GAP', 'bytes before these are missing', { position, length: log.plannedLength })
      }
      if (position === log.plannedLength) return bytes.length === 0 ? this.#settled(log) : this.#enqueue(log, bytes)
      // Known bytes: look at them once they are in the file.
      await this.#settled(log)
      if (position > log.length) continue
      const known = Math.min(bytes.length, log.length - position)
      if (!equalBytes(await this.#read(log, position, known), bytes.subarray(0, known))) {
        throw new StoreError('LOG_CONFLICT', 'other bytes are there', { position, length: log.length })
      }
      if (known === bytes.length) return log.length
      position += known
      bytes = bytes.subarray(known)
    }
  }

  /** Durable bytes from `offset` on, at most `length`; empty at the end. @throws StoreError LOG_NOT_FOUND, OUT_OF_RANGE */
  async read(logId: Uint8Array, offset: number, length: number): Promise<Uint8Array> {
    const log = this.#logs.get(bytesToPlainHex(logId))
    if (!log || log.dropped) throw notFound(logId)
    if (!(offset >= 0) || offset > log.length) {
      throw new StoreError('OUT_OF_RANGE', 'the log is shorter', { offset, length: log.length })
    }
    return this.#read(log, offset, Math.min(length, log.length - offset))
  }

  info(logId: Uint8Array): LogInfo | undefined {
    const log = this.#logs.get(bytesToPlainHex(logId))
    return log && !log.dropped ? infoOf(log) : undefined
  }

  /** Logs of a territory, or all. */
  list(territory?: bigint): LogInfo[] {
    const logs: LogInfo[] = []
    for (const log of this.#logs.values()) {
      if (!log.dropped && (territory === undefined || log.context.territory === territory)) logs.push(infoOf(log))
    }
    return logs
  }

  /** Removes a log for good. False if there is none. */
  async drop(logId: Uint8Array): Promise<boolean> {
    const name = bytesToPlainHex(logId)
    const log = this.#logs.get(name)
    if (!log || log.dropped) return false
    log.dropped = true
    await log.pump
    await log.file.close()
    await this.#files.remove(log.file.path)
    await this.#files.syncFolder(this.#folder)
    this.#logs.delete(name)
    this.#bytes -= log.fileLength
    return true
  }

  get status(): { readonly count: number; readonly bytes: number; readonly bytesMax: number } {
    return { count: this.#logs.size, bytes: this.#bytes, bytesMax: this.#bytesMax }
  }

  /** Lets appends under way finish, then closes. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await Promise.allSettled(this.#creating.values())
    for (const log of this.#logs.values()) {
      await log.pump
      if (!log.dropped) await log.file.close()
    }
  }

  #enqueue(log: Log, bytes: Uint8Array): Promise<number> {
    if (this.#closed) throw new StoreError('CLOSED', 'the logs are closed')
    if (log.failure) throw new StoreError('IO_FAILED', 'a sync of this log failed', {}, { cause: log.failure })
    if (log.plannedLength - log.length + bytes.length > WAITING_BYTES_MAX) {
      throw new StoreError('OVERLOADED', 'too much waits to be written', {
        waitingBytes: log.plannedLength - log.length,
      })
    }
    const cost = framedBytes(bytes.length)
    if (this.#bytes + cost > this.#bytesMax) {
      throw new StoreError('LOG_SPACE_FULL', 'no room for more log', { bytes: this.#bytes, bytesMax: this.#bytesMax })
    }
    this.#bytes += cost
    log.plannedLength += bytes.length
    return new Promise((resolve, reject) => {
      log.waiting.push({ bytes, resolve, reject })
      log.pump ??= this.#writeAll(log)
    })
  }

  /** Resolves with the length when nothing waits to be written. */
  async #settled(log: Log): Promise<number> {
    while (log.pump) await log.pump
    return log.length
  }

  async #writeAll(log: Log): Promise<void> {
    await Promise.resolve() // appends of this turn of the event loop come along
    while (log.waiting.length > 0) {
      let count = 0
      let bytes = 0
      while (count < log.waiting.length && (count === 0 || bytes < GROUP_BYTES_MAX)) {
        bytes += log.waiting[count++]!.bytes.length
      }
      const group = log.waiting.splice(0, count)
      const { frames, places } = frame(log, group)
      try {
        await this.#guard.claim(frames.length)
        await log.file.write(frames, log.fileLength)
      } catch (error) {
        // Nothing was promised: cut off what may have been written, and let the client try again.
        await log.file.truncate(log.fileLength).catch((failure: unknown) => {
          log.failure = failure
        })
        this.#failAll(log, group, error)
        continue
      }
      try {
        await log.file.sync()
      } catch (error) {
        log.failure = error
        this.#failAll(log, group, error)
        continue
      }
      log.records.push(...places)
      log.fileLength += frames.length
      for (const { bytes: appended, resolve } of group) {
        this.#bytes -= framedBytes(appended.length)
        log.length += appended.length
        resolve(log.length)
      }
      this.#bytes += frames.length
    }
    log.pump = undefined
  }

  /** What follows a failed append would leave a gap: it fails as well. */
  #failAll(log: Log, group: readonly Append[], error: unknown): void {
    for (const { bytes, reject } of [...group, ...log.waiting]) {
      this.#bytes -= framedBytes(bytes.length)
      reject(error)
    }
    log.waiting = []
    log.plannedLength = log.length
  }

  async #read(log: Log, offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length)
    let done = 0
    for (let i = recordAt(log.records, offset); done < length; i++) {
      const place = log.records[i]!
      const record = new Uint8Array(RECORD_HEADER_BYTES + place.length)
      await log.file.read(record, place.fileOffset)
      const payload = payloadOf(record, place.position)
      if (payload?.length !== place.length) {
        throw new StoreError('IO_FAILED', 'a log record is damaged', { path: log.file.path, position: place.position })
      }
      const from = offset + done - place.position
      const part = payload.subarray(from, from + length - done)
      bytes.set(part, done)
      done += part.length
    }
    return bytes
  }

  async #create(name: string, id: Uint8Array, context: LogContext, position: number): Promise<Log> {
    let creating = this.#creating.get(name)
    if (!creating) {
      if (position > 0) throw new StoreError('LOG_GAP', 'there is no such log yet', { position, length: 0 })
      creating = this.#make(name, id.slice(), { territory: context.territory, note: context.note.slice() })
      this.#creating.set(name, creating)
      const forget = (): void => void this.#creating.delete(name)
      creating.then(forget, forget)
    }
    return creating
  }

  async #make(name: string, id: Uint8Array, context: LogContext): Promise<Log> {
    if (this.#closed) throw new StoreError('CLOSED', 'the logs are closed')
    const header = encodeHeader(id, context)
    const { count, bytes } = this.status
    if (count + this.#creating.size >= this.#logsMax || bytes + header.length > this.#bytesMax) {
      throw new StoreError('LOG_SPACE_FULL', 'no room for another log', { count, bytes, bytesMax: this.#bytesMax })
    }
    this.#bytes += header.length
    const path = join(this.#folder, `${name}.log`)
    let file: DataFile | undefined
    try {
      await this.#guard.claim(header.length)
      file = await this.#files.open(path)
      await file.truncate(0)
      await file.write(header, 0)
      await file.sync()
      await this.#files.syncFolder(this.#folder)
    } catch (error) {
      this.#bytes -= header.length
      await file?.close()
      if (file) await this.#files.remove(path).catch(() => undefined) // a header alone: recovery would keep it, empty
      throw error
    }
    const log = newLog(file, id, context, header.length)
    this.#logs.set(name, log)
    return log
  }
}

function newLog(file: DataFile, id: Uint8Array, context: LogContext, fileLength: number): Log {
  const counters = { length: 0, fileLength, plannedLength: 0 }
  return {
    id,
    context,
    file,
    records: [],
    ...counters,
    waiting: [],
    pump: undefined,
    failure: undefined,
    dropped: false,
  }
}

function infoOf(log: Log): LogInfo {
  return { logId: log.id, context: log.context, bytes: log.length }
}

function notFound(logId: Uint8Array): StoreError {
  return new StoreError('LOG_NOT_FOUND', 'there is no such log', { logId: bytesToPlainHex(logId) })
}

/** At most what `bytes` take in the file: appends that share a record take less. */
function framedBytes(bytes: number): number {
  return bytes + RECORD_HEADER_BYTES * (1 + Math.ceil(bytes / RECORD_BYTES_MAX))
}

/** Appends one after the other, cut into records. */
function frame(log: Log, group: readonly Append[]): { frames: Uint8Array; places: RecordPlace[] } {
  const payload = group.length === 1 ? group[0]!.bytes : concatBytes(...group.map(({ bytes }) => bytes))
  const recordCount = Math.ceil(payload.length / RECORD_BYTES_MAX)
  const frames = new Uint8Array(payload.length + recordCount * RECORD_HEADER_BYTES)
  const view = new DataView(frames.buffer)
  const places: RecordPlace[] = []
  let at = 0
  for (let from = 0; from < payload.length; from += RECORD_BYTES_MAX) {
    const part = payload.subarray(from, from + RECORD_BYTES_MAX)
    const position = log.length + from
    view.setUint32(at, part.length, true)
    view.setBigUint64(at + 8, BigInt(position), true)
    frames.set(part, at + RECORD_HEADER_BYTES)
    view.setUint32(at + 4, crc32(frames.subarray(at + 8, at + RECORD_HEADER_BYTES + part.length)), true)
    places.push({ position, fileOffset: log.fileLength + at, length: part.length })
    at += RECORD_HEADER_BYTES + part.length
  }
  return { frames, places }
}

/** Payload of the record that begins `bytes`, or undefined unless it is whole, right, and the one for `position`. */
function payloadOf(bytes: Uint8Array, position: number): Uint8Array | undefined {
  if (bytes.length < RECORD_HEADER_BYTES) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = view.getUint32(0, true)
  if (length === 0 || length > RECORD_BYTES_MAX || bytes.length < RECORD_HEADER_BYTES + length) return undefined
  if (view.getBigUint64(8, true) !== BigInt(position)) return undefined
  const checked = bytes.subarray(8, RECORD_HEADER_BYTES + length)
  return view.getUint32(4, true) === crc32(checked) ? checked.subarray(8) : undefined
}

/** Index of the record that holds `position`. */
function recordAt(records: readonly RecordPlace[], position: number): number {
  let low = 0
  let high = records.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (records[middle]!.position <= position) low = middle
    else high = middle - 1
  }
  return low
}

function encodeHeader(id: Uint8Array, context: LogContext): Uint8Array {
  const writer = new ByteWriter().bytes(MAGIC).bytes(id).u64(context.territory).prefixed(context.note)
  const checksum = crc32(writer.finish())
  return writer.u32(checksum).finish()
}

const HEADER_BYTES_MAX = MAGIC.length + LOG_ID_BYTES + 8 + 4 + NOTE_BYTES_MAX + 4

/** A log as its file tells, cut at the first torn record; undefined and no file if it was never finished. */
async function recover(files: FileLayer, path: string): Promise<Log | undefined> {
  const file = await files.open(path)
  try {
    const log = await readHeader(file)
    if (!log) {
      await file.close()
      await files.remove(path)
      return undefined
    }
    // Four records of the largest kind at a time.
    const buffer = new Uint8Array(4 * (RECORD_HEADER_BYTES + RECORD_BYTES_MAX))
    for (;;) {
      const bytes = buffer.subarray(0, await file.read(buffer, log.fileLength))
      let at = 0
      for (;;) {
        const payload = payloadOf(bytes.subarray(at), log.length)
        if (!payload) break
        log.records.push({ position: log.length, fileOffset: log.fileLength + at, length: payload.length })
        log.length += payload.length
        at += RECORD_HEADER_BYTES + payload.length
      }
      if (at === 0) break
      log.fileLength += at
    }
    log.plannedLength = log.length
    if ((await file.size()) > log.fileLength) {
      await file.truncate(log.fileLength)
      await file.sync()
    }
    return log
  } catch (error) {
    await file.close().catch(() => undefined) // the first error is the one to report
    throw error
  }
}

async function readHeader(file: DataFile): Promise<Log | undefined> {
  const bytes = new Uint8Array(HEADER_BYTES_MAX)
  const count = await file.read(bytes, 0)
  try {
    const reader = new ByteReader(bytes.subarray(0, count))
    const magic = reader.bytes(MAGIC.length)
    const id = reader.bytes(LOG_ID_BYTES).slice()
    const territory = reader.u64()
    const note = reader.prefixed(NOTE_BYTES_MAX).slice()
    const end = reader.offset
    if (!equalBytes(magic, MAGIC) || reader.u32() !== crc32(bytes.subarray(0, end))) return undefined
    return newLog(file, id, { territory, note }, reader.offset)
  } catch (error) {
    if (error instanceof DecodeError) return undefined
    throw error
  }
}
