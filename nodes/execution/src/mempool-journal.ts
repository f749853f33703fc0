import { type FileHandle, open, readFile, rename } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import type { Logger } from '@cumulus/service'

/** A transaction as the journal keeps it. */
export interface JournalEntry {
  readonly raw: Uint8Array
  readonly addedAtMs: number
}

/**
 * One entry, all integers little-endian:
 *
 *     0        4        8                16
 *     +--------+--------+----------------+-----------+
 *     | bytes  | crc32  | addedAtMs      | raw …     |
 *     +--------+--------+----------------+-----------+
 *
 * `bytes` is the length of `raw`, at least 1; the checksum covers what follows it. A process that dies in the middle of an
 * entry leaves a tail whose checksum is wrong: reading ends there, and the next rewrite drops it.
 */
const HEAD_BYTES = 16

interface MempoolJournalInit {
  /** Beyond this the file is rewritten with what still waits, at the next chain block. */
  readonly rewriteBytes?: number
  /** Beyond this nothing is appended until then: such transactions wait in memory only. */
  readonly bytesMax?: number
}

/**
 * Local transactions in a file. Entries are appended as they come, and written before they are acknowledged, without
 * forcing them to disk: they survive the death of the process; a power cut may cost the last seconds. That is enough,
 * because a sender who sees no receipt sends again.
 */
export class MempoolJournal {
  readonly #path: string
  readonly #log: Logger
  readonly #rewriteBytes: number
  readonly #bytesMax: number
  #file: FileHandle | undefined
  #bytes = 0
  /** As of the last rewrite: what waits may be more than the threshold, and would otherwise be rewritten at each block. */
  #leastBytes = 0
  #waiting: Buffer[] = []
  #turn: Promise<void> = Promise.resolve()
  #flushing: Promise<void> | undefined
  #isClosed = false

  constructor(path: string, log: Logger, init: MempoolJournalInit = {}) {
    this.#path = path
    this.#log = log
    this.#rewriteBytes = init.rewriteBytes ?? 2 ** 20
    this.#bytesMax = init.bytesMax ?? 128 * 2 ** 20
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Whether a rewrite is due: at least half of the file is about transactions that wait no more, as far as we know. */
  get isOverfull(): boolean {
    return this.#bytes > Math.max(this.#rewriteBytes, 2 * this.#leastBytes)
  }

  /** What was there when the process ended. A damaged tail is left out. */
  async load(): Promise<JournalEntry[]> {
    let data: Buffer
    try {
      data = await readFile(this.#path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
    const { entries, bytes } = decodeJournal(data)
    if (bytes < data.length)
      this.#log.warn('mempool journal has a damaged tail', { kept: bytes, lost: data.length - bytes })
    return entries
  }

  /** Resolves once the entry is in the file. Failures are logged: the transaction waits all the same. */
  async append(raw: Uint8Array, addedAtMs: number): Promise<void> {
    const entry = encodeEntry({ raw, addedAtMs })
    if (this.#isClosed || this.#bytes + entry.length > this.#bytesMax) return
    this.#bytes += entry.length
    this.#waiting.push(entry)
    // All that comes while one write is under way goes into the next.
    this.#flushing ??= this.#inTurn(() => this.#flush())
    await this.#flushing
  }

  /** Replaces the file by one with these entries. */
  rewrite(entries: Iterable<JournalEntry>): Promise<void> {
    const parts = Array.from(entries, encodeEntry)
    // They wait in the pool, so they are among the entries.
    this.#waiting = []
    this.#bytes = this.#leastBytes = parts.reduce((sum, { length }) => sum + length, 0)
    return this.#inTurn(async () => {
      if (this.#isClosed) return
      const next = await open(`${this.#path}.new`, 'w', 0o600)
      for (const part of parts) await next.appendFile(part)
      await next.datasync()
      await rename(`${this.#path}.new`, this.#path)
      await this.#file?.close()
      this.#file = next
    })
  }

  async close(): Promise<void> {
    await this.#turn
    this.#isClosed = true
    await this.#inTurn(async () => {
      await this.#file?.close()
      this.#file = undefined
    })
  }

  async #flush(): Promise<void> {
    this.#flushing = undefined
    const parts = this.#waiting
    this.#waiting = []
    if (parts.length === 0) return
    this.#file ??= await open(this.#path, 'a', 0o600)
    await this.#file.appendFile(Buffer.concat(parts))
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    this.#turn = this.#turn.then(work).catch((error: unknown) => {
      this.#log.error('mempool journal cannot be written', { path: this.#path, error })
    })
    return this.#turn
  }
}

function encodeEntry({ raw, addedAtMs }: JournalEntry): Buffer {
  const entry = Buffer.alloc(HEAD_BYTES + raw.length)
  entry.writeUInt32LE(raw.length, 0)
  entry.writeBigUInt64LE(BigInt(Math.max(0, Math.floor(addedAtMs))), 8)
  entry.set(raw, HEAD_BYTES)
  entry.writeUInt32LE(crc32(entry.subarray(8)), 4)
  return entry
}

/** Entries up to the first that is not whole, and the bytes they take. */
export function decodeJournal(data: Buffer): { entries: JournalEntry[]; bytes: number } {
  const entries: JournalEntry[] = []
  let at = 0
  while (at + HEAD_BYTES < data.length) {
    const end = at + HEAD_BYTES + data.readUInt32LE(at)
    if (end === at + HEAD_BYTES || end > data.length) break
    if (crc32(data.subarray(at + 8, end)) !== data.readUInt32LE(at + 4)) break
    entries.push({ raw: data.subarray(at + HEAD_BYTES, end), addedAtMs: Number(data.readBigUInt64LE(at + 8)) })
    at = end
  }
  return { entries, bytes: at }
}
