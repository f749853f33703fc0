import { concatBytes } from '@cumulus/bytes'
import { type Checkpoint, encodeLogRecord, type LogRecord, type R2sStart, readLog } from '@cumulus/r2s'
import type { Random } from './random.ts'

const NOWHERE: Checkpoint = { round: 1, gcRound: 0, output: [], ejectedFrom: [] }

/** A member's log on a disk that keeps what was synced and, after a crash, some of the rest: perhaps half a record. */
export class Disk {
  #records: LogRecord[] = []
  #syncedCount = 0

  append(record: LogRecord): void {
    this.#records.push(record)
  }

  get length(): number {
    return this.#records.length
  }

  /** The first `count` records are durable. */
  sync(count: number): void {
    this.#syncedCount = Math.max(this.#syncedCount, Math.min(count, this.#records.length))
  }

  crash(random: Random): void {
    this.#records.length = this.#syncedCount + random.below(this.#records.length - this.#syncedCount + 1)
    this.#syncedCount = this.#records.length
  }

  wipe(): void {
    this.#records = []
    this.#syncedCount = 0
  }

  /** Replaces the log in one step, as a rename does. */
  replace(records: LogRecord[]): void {
    this.#records = records
    this.#syncedCount = records.length
  }

  /** @param codecs through bytes, with a torn record at the end */
  load(codecs: boolean, random: Random): R2sStart & { kind: 'log' } {
    if (!codecs) return contents(this.#records)
    const whole = concatBytes(...this.#records.map(encodeLogRecord))
    // A write of which only the beginning arrived.
    const next = encodeLogRecord(this.#records.at(-1) ?? { kind: 'checkpoint', checkpoint: NOWHERE })
    const torn = next.subarray(0, random.below(next.length))
    const log = readLog(concatBytes(whole, torn), whole.length)
    if (log.damage !== (torn.length > 0 ? 'torn' : 'none')) throw new Error(`a torn log is called ${log.damage}`)
    if (log.blocks.length + (log.checkpoint ? 1 : 0) < this.#records.length) throw new Error('the log lost a record')
    return { kind: 'log', checkpoint: log.checkpoint, blocks: log.blocks }
  }
}

function contents(records: readonly LogRecord[]): R2sStart & { kind: 'log' } {
  let checkpoint: Checkpoint | null = null
  const blocks = []
  for (const record of records) {
    if (record.kind === 'block') blocks.push(record.block)
    else checkpoint = record.checkpoint
  }
  return { kind: 'log', checkpoint, blocks }
}
