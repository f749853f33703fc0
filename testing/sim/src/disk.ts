import { concatBytes } from '@cumulus/bytes'
import { type Checkpoint, encodeLogRecord, type LogRecord, type R2sStart, readLog } from '@cumulus/r2s'
import type { Random } from './random.ts'

type FromLog = R2sStart & { kind: 'log' }

/** What a disk writes as a whole or not at all, and a shorter piece that says nothing about it. */
const SECTOR_BYTES = 512
const HOLE_BYTES_MIN = 16

/** A member's log on a disk that keeps what was synced and, after a crash, some of the rest: perhaps half a record. */
export class Disk {
  #records: LogRecord[] = []
  #syncedCount = 0
  /** Durable after the crash that was last, and the record that was being written then. */
  #durableCount = 0
  #torn: LogRecord | null = null

  append(record: LogRecord): void {
    this.#records.push(record)
    this.#torn = null
  }

  get length(): number {
    return this.#records.length
  }

  /** The first `count` records are durable. */
  sync(count: number): void {
    this.#syncedCount = Math.max(this.#syncedCount, Math.min(count, this.#records.length))
  }

  crash(random: Random): void {
    const kept = this.#syncedCount + random.below(this.#records.length - this.#syncedCount + 1)
    this.#durableCount = this.#syncedCount
    this.#torn = this.#records[kept] ?? null
    this.#records.length = kept
    this.#syncedCount = kept
  }

  wipe(): void {
    this.replace([])
  }

  /** Replaces the log in one step, as a rename does. */
  replace(records: LogRecord[]): void {
    this.#records = records
    this.#syncedCount = records.length
    this.#durableCount = records.length
    this.#torn = null
  }

  get records(): readonly LogRecord[] {
    return this.#records
  }

  /** @param codecs through bytes, with what the crash left of the record under way */
  load(codecs: boolean, random: Random): FromLog {
    if (!codecs) return contents(this.#records)
    const { bytes, durableBytes, wholeBytes } = this.#file(random)
    // The note of how much is durable is written after it: the newest one may be lost as well.
    const log = readLog(bytes, random.chance(0.5) ? durableBytes : 0)
    if (log.damage === 'corrupt') throw new Error('a crash was taken for a broken disk')
    if (log.blocks.length + log.coins.length + (log.checkpoint ? 1 : 0) < this.#records.length)
      throw new Error('the log lost a record')
    // The holes were where the record has zeros: it is whole. Whoever has read it builds on it, so it stays.
    if (this.#torn && log.validBytes > wholeBytes) {
      this.#records.push(this.#torn)
      this.#torn = null
      this.sync(this.length)
    }
    return { kind: 'log', checkpoint: log.checkpoint, blocks: log.blocks, coins: log.coins }
  }

  /** As `load`, but one bit of what was durable has changed. A reader that does not notice is found out here. */
  loadDamaged(random: Random): R2sStart {
    const { bytes, durableBytes } = this.#file(random)
    if (durableBytes > 0) {
      const bit = random.below(8 * durableBytes)
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      const { damage } = readLog(bytes, durableBytes)
      if (damage !== 'corrupt') throw new Error(`bit ${bit} of ${durableBytes} bytes is wrong: ${damage}`)
    }
    this.wipe()
    return { kind: 'lost' }
  }

  #file(random: Random): { bytes: Uint8Array; durableBytes: number; wholeBytes: number } {
    const durable = this.#records.slice(0, this.#durableCount).map(encodeLogRecord)
    const rest = this.#records.slice(this.#durableCount).map(encodeLogRecord)
    const whole = concatBytes(...durable, ...rest)
    const torn = this.#torn ? encodeLogRecord(this.#torn) : new Uint8Array(0)
    const durableBytes = durable.reduce((sum, record) => sum + record.length, 0)
    const bytes = concatBytes(whole, leftOf(torn, whole.length, random))
    return { bytes, durableBytes, wholeBytes: whole.length }
  }
}

/** Of a record at `offset` that was being written: its beginning, or all of it but for some sectors. */
function leftOf(record: Uint8Array, offset: number, random: Random): Uint8Array {
  const short = record.subarray(0, random.below(record.length))
  if (random.chance(0.5)) return short
  const left = Uint8Array.from(record)
  let holes = 0
  for (let start = 0; start < left.length; ) {
    const end = Math.min(left.length, start + SECTOR_BYTES - ((offset + start) % SECTOR_BYTES))
    if (end - start >= HOLE_BYTES_MIN && random.chance(0.5)) {
      left.fill(0, start, end)
      holes++
    }
    start = end
  }
  return holes > 0 ? left : short
}

function contents(records: readonly LogRecord[]): FromLog {
  let checkpoint: Checkpoint | null = null
  const blocks = []
  const coins = []
  for (const record of records) {
    if (record.kind === 'block') blocks.push(record.block)
    else if (record.kind === 'coin') coins.push(record.coin)
    else checkpoint = record.checkpoint
  }
  return { kind: 'log', checkpoint, blocks, coins }
}
