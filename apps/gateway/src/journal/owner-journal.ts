import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ByteReader, ByteWriter, concatBytes } from '@cumulus/bytes'
import { Deferred, type Logger } from '@cumulus/service'
import { ObjectError, type OwnerId } from '../object-layer.ts'
import type { IndexStore, Table } from '../objects/index-store.ts'
import {
  type AppliedEntry,
  type ObjectIndex,
  SEGMENTS_PER_EPOCH,
  SEQUENCES_PER_EPOCH,
} from '../objects/object-index.ts'
import { type DataKeys, packJournalKey } from '../owner-keys.ts'
import type { SeatSessions } from '../segments/seat-sessions.ts'
import type { SegmentLayout } from '../segments/segment-layout.ts'
import { dropLog, LogFollowers, type LogSeat } from './log-followers.ts'
import type { Mutation } from './mutation.ts'
import {
  ENTRY_HEADER_BYTES,
  encodeEntry,
  JOURNAL_ENTRY_BYTES,
  logIdOf,
  openRecord,
  type PackHeader,
  sealRecord,
} from './pack-format.ts'
import { PackLog } from './pack-log.ts'
import type { Extent } from './rows.ts'

/** One atomic change, with the bytes that go into the pack beside it. */
export interface Transaction<Result> {
  /** Names this transaction reads and writes. Two of one batch never share one, so `build` sees all that was decided before. */
  readonly exclusive: readonly string[]
  /** Names it only reads. */
  readonly shared: readonly string[]
  /** Ciphertext for the pack. */
  readonly data?: readonly Uint8Array[]
  /** Says that a pack is in the network now: does not wait for packs to go, since they go by it. Small. */
  readonly makesRoom?: boolean
  /**
   * Decides, on the index as it is, what is to be written; `extent` is where `data` will be. May be called more than
   * once. No mutations = nothing to do.
   *
   * @throws ObjectError to refuse
   */
  build(extent: Extent): { mutations: readonly Mutation[]; result: Result }
}

interface Waiting {
  readonly transaction: Transaction<unknown>
  readonly dataLength: number
  readonly done: Deferred<unknown>
}

interface Pack {
  readonly log: PackLog
  readonly journalKey: Uint8Array
  readonly followers: LogFollowers
}

export interface OwnerJournalComponents {
  readonly owner: OwnerId
  readonly territory: bigint
  readonly keys: DataKeys
  readonly chainId: number
  readonly layout: SegmentLayout
  /** For logs. */
  readonly folder: string
  readonly index: ObjectIndex
  readonly store: IndexStore
  readonly sessions: SeatSessions
  readonly logSeats: () => Promise<LogSeat[]>
  readonly log: Logger
  /** Writes wait so long for the network to take a pack when as many as may be are here. Default 15 s. */
  readonly roomMs?: number | undefined
  /** Called when a pack takes no more entries: it is to be sealed. */
  readonly onFull: (pack: SealablePack) => void
  /** Called with segments of which nothing is needed any more. */
  readonly onDead: (segments: readonly number[]) => void
}

/** A pack that is closed and waits to become a segment. */
export interface SealablePack {
  readonly segment: number
  readonly log: PackLog
}

const BATCH_BYTES_MAX = 8 * 2 ** 20
const BATCH_COUNT_MAX = 512
/** Transactions waiting for the log; more are refused. */
const WAITING_MAX = 16_384
/** Packs that are not in the network yet; with more, writes wait for it, but for those by which packs get there. */
export const UNSEALED_MAX = 8
/** A network that has taken no pack for so long takes none: writes are refused until it does. */
const ROOM_MS = 15_000

/**
 * The journal of one owner: takes transactions, writes them to the open pack in groups, and applies them to the index
 * once they are durable here and on three seats. One group at a time, so the order of the log is the order of the index.
 *
 * What must be durable before what is seen: entries on disk and on three seats, then the index, then the answer.
 */
export class OwnerJournal {
  readonly owner: OwnerId
  readonly territory: bigint
  readonly keys: DataKeys
  readonly #components: OwnerJournalComponents
  readonly #logsTable: Table
  readonly #waiting: Waiting[] = []
  /** Those that make room. */
  readonly #first: Waiting[] = []
  readonly #packs = new Map<number, Pack>()
  #open: Pack | undefined
  #pump: Promise<void> | undefined
  #nextSequence = 0
  #nextSegment = 0
  /** Sequence numbers in the log whose clients were told that they failed. */
  #voids: number[] = []
  /** Since when as many packs are here as may be, and whether writes were refused for it. */
  #full: { readonly sinceMs: number; isRefusing: boolean } | undefined
  /** Ends the wait for room. */
  #lookAgain: (() => void) | undefined
  #closed = false

  constructor(components: OwnerJournalComponents) {
    this.#components = components
    this.owner = components.owner
    this.territory = components.territory
    this.keys = components.keys
    this.#logsTable = components.store.table('logs')
  }

  /** Takes up the logs of an earlier run. */
  async load(): Promise<void> {
    const { folder, index, log: logger } = this.#components
    const prefix = `${this.territory}-`
    const names = (await readdir(folder)).filter((name) => name.startsWith(prefix) && name.endsWith('.log'))
    const loaded: { log: PackLog; entries: AppliedEntry[] }[] = []
    for (const name of names) {
      const path = join(folder, name)
      try {
        const { log, entries } = await PackLog.load(path)
        const key = packJournalKey(this.keys.journalKey, log.header.salt)
        const { segment } = log.header
        loaded.push({
          log,
          entries: entries.map(({ sequence, record, dataLength }) => ({
            sequence,
            recordBytes: record.length,
            dataLength,
            mutations: openRecord(key, segment, sequence, record),
          })),
        })
      } catch (error) {
        // A header that was never whole: nothing in it was acknowledged. Anything else stops us: it may be data.
        if ((error as { code?: string }).code !== 'MALFORMED' || !(await isShort(path))) throw error
        logger.warn('empty log removed', { name })
        await (await import('node:fs/promises')).unlink(path)
      }
    }
    loaded.sort((a, b) => a.log.header.segment - b.log.header.segment)
    const progress = index.progress(this.territory)
    if (!progress) index.startEpoch(this.territory, 1)
    const voided = new Set(
      loaded.flatMap(({ entries }) =>
        entries.flatMap(({ mutations }) => mutations.flatMap((m) => (m.kind === 'void' ? m.sequences : []))),
      ),
    )
    let sequence = index.progress(this.territory)!.sequence
    for (const { log, entries } of loaded) {
      const valid = entries.filter((entry) => !voided.has(entry.sequence))
      index.apply(this.owner, this.territory, log.header.segment, valid)
      sequence = Math.max(sequence, entries.at(-1)?.sequence ?? 0)
      this.#packs.set(log.header.segment, this.#packOf(log))
    }
    const { epoch } = index.progress(this.territory)!
    this.#nextSequence = Math.max(sequence, epoch * SEQUENCES_PER_EPOCH) + 1
    const last = Math.max(index.lastSegment(this.territory), loaded.at(-1)?.log.header.segment ?? 0)
    this.#nextSegment = Math.max(last, epoch * SEGMENTS_PER_EPOCH) + 1
    for (const { log } of loaded) {
      const { segment } = log.header
      // The youngest goes on, unless it is a segment already.
      if (segment === loaded.at(-1)?.log.header.segment && !index.segment(this.territory, segment)) {
        this.#open = this.#packs.get(segment)
      } else this.#components.onFull({ segment, log })
    }
  }

  /** A number for a new segment. */
  nextSegment(): number {
    return this.#nextSegment++
  }

  /** Transactions not durable yet. */
  get waitingCount(): number {
    return this.#first.length + this.#waiting.length
  }

  get packCount(): number {
    return this.#packs.size
  }

  /** Segment number and size of the pack that takes entries. */
  get openPack(): { segment: number; bytes: number; liveMs: number } | undefined {
    if (!this.#open) return undefined
    const { header, sealedBytes, firstMs } = this.#open.log
    return { segment: header.segment, bytes: sealedBytes, liveMs: firstMs === undefined ? 0 : Date.now() - firstMs }
  }

  /** The pack with this segment number, while it is here. */
  pack(segment: number): PackLog | undefined {
    return this.#packs.get(segment)?.log
  }

  /** Whether a pack still takes entries or waits to be sealed. */
  isLocal(segment: number): boolean {
    return this.#packs.has(segment)
  }

  /** Lowest number among packs that are not released yet, here or in the index. */
  oldestPack(): number {
    let oldest = Number.POSITIVE_INFINITY
    for (const segment of this.#packs.keys()) oldest = Math.min(oldest, segment)
    for (const row of this.#components.index.segments(this.territory)) {
      if (row.kind === 1) oldest = Math.min(oldest, row.segment)
    }
    return oldest
  }

  /**
   * Resolves when the change is durable and visible.
   *
   * @throws what `build` throws · ObjectError ServiceUnavailable, SlowDown, EntityTooLarge
   */
  submit<Result>(transaction: Transaction<Result>): Promise<Result> {
    if (this.#closed) return Promise.reject(new ObjectError('ServiceUnavailable', 'the gateway is stopping'))
    if (!transaction.makesRoom && this.#waiting.length >= WAITING_MAX) {
      return Promise.reject(new ObjectError('SlowDown', 'too many writes are waiting', { waiting: WAITING_MAX }))
    }
    let dataLength = 0
    for (const part of transaction.data ?? []) dataLength += part.length
    const done = new Deferred<unknown>()
    const queue = transaction.makesRoom ? this.#first : this.#waiting
    queue.push({ transaction, dataLength, done })
    if (transaction.makesRoom) this.#lookAgain?.()
    this.#pump ??= this.#run()
    return done.promise as Promise<Result>
  }

  /** Closes the open pack, if it has entries: it will be sealed. */
  async rotate(): Promise<void> {
    // Between groups only: the pump looks at this before each.
    this.#rotateAsked = true
    this.#lookAgain?.()
    this.#pump ??= this.#run()
    await this.#pump
  }
  #rotateAsked = false

  /** After a pack's segment is safe without its logs: deletes them, here and on the seats. */
  async dropPack(segment: number): Promise<void> {
    const pack = this.#packs.get(segment)
    if (!pack) return
    await this.#components.index.flushed()
    this.#packs.delete(segment)
    this.#full = undefined
    this.#lookAgain?.()
    await pack.log.drop()
    await this.#forgetLog(logIdOf(pack.log.header), await pack.followers.drop())
  }

  /** Asks again those miners that were away when a log was dropped. */
  async sweepLogs(): Promise<void> {
    const local = new Set([...this.#packs.values()].map(({ log }) => logIdOf(log.header).toHex()))
    for (const { key, value } of [...this.#logsTable.range(new Uint8Array(0))]) {
      const reader = new ByteReader(value)
      if (reader.u64() !== this.territory || local.has(key.toHex())) continue
      const peers: Uint8Array[] = []
      while (reader.remaining >= 32) peers.push(reader.bytes(32).slice())
      await this.#forgetLog(key, await dropLog(this.#components.sessions, key, peers))
    }
  }

  /** Waits for what was submitted, then closes the files. Logs stay. */
  async close(): Promise<void> {
    this.#closed = true
    this.#lookAgain?.()
    await this.#pump
    for (const { log } of this.#packs.values()) await log.close()
  }

  async #run(): Promise<void> {
    // Whoever submits in this turn of the event loop comes along.
    await Promise.resolve()
    while (this.waitingCount > 0 || this.#rotateAsked) {
      if (this.#rotateAsked) {
        this.#rotateAsked = false
        if (this.#open && this.#open.log.entryCount > 0) this.#rotateNow()
        continue
      }
      try {
        if (this.#first.length > 0 || this.#hasRoom) await this.#writeGroup()
        else await this.#waitForRoom()
      } catch (error) {
        // Nothing could be begun: no pack. Everybody waiting is told.
        const failure = new ObjectError(
          'ServiceUnavailable',
          `cannot write: ${(error as Error).message}`,
          {},
          { cause: error },
        )
        this.#components.log.error('journal cannot be written', { error })
        for (const { done } of [...this.#first.splice(0), ...this.#waiting.splice(0)]) done.reject(failure)
      }
    }
    // In the same turn as the last look at what waits: whoever comes now starts the pump again.
    this.#pump = undefined
  }

  async #writeGroup(): Promise<void> {
    const pack = (this.#open ??= await this.#newPack())
    const group = this.#compose(pack)
    if (group === 'full') return this.#rotateNow()
    if (group.parts.length === 0) {
      for (const { waiting, result } of group.members) waiting.done.resolve(result)
      return
    }
    const bytes = concatBytes(...group.parts)
    try {
      const end = pack.log.length + bytes.length
      const knownPeers = pack.followers.peers.size
      await pack.log.append(bytes, group.places)
      const synced = pack.log.sync()
      const shipped = pack.followers.ship(end, bytes)
      await Promise.allSettled([synced, shipped])
      await synced
      await shipped
      if (pack.followers.peers.size !== knownPeers) this.#noteFollowers(pack)
    } catch (error) {
      this.#voids.push(...group.entries.map(({ sequence }) => sequence))
      this.#components.log.warn('writes refused', { count: group.members.length, error })
      const failure = new ObjectError(
        'ServiceUnavailable',
        `the write could not be made durable: ${(error as Error).message}`,
        {},
        { cause: error },
      )
      for (const { waiting } of group.members) waiting.done.reject(failure)
      return
    }
    if (group.hasVoids) this.#voids = []
    const dead = this.#components.index.apply(this.owner, this.territory, pack.log.header.segment, group.entries)
    for (const { waiting, result } of group.members) waiting.done.resolve(result)
    if (dead.length > 0) this.#components.onDead(dead)
  }

  /** Takes as many waiting transactions as fit and do not depend on each other. */
  #compose(pack: Pack):
    | 'full'
    | {
        members: { waiting: Waiting; result: unknown }[]
        entries: AppliedEntry[]
        parts: Uint8Array[]
        places: { dataLength: number; recordLength: number; dataStart: number }[]
        hasVoids: boolean
      } {
    const { layout } = this.#components
    const { log, journalKey } = pack
    const { segment } = log.header
    const members: { waiting: Waiting; result: unknown }[] = []
    const entries: AppliedEntry[] = []
    const parts: Uint8Array[] = []
    const places: { dataLength: number; recordLength: number; dataStart: number }[] = []
    const exclusive = new Set<string>()
    const shared = new Set<string>()
    let logEnd = log.length
    let sealedBytes = log.sealedBytes
    let dataOffset = log.dataBytes
    const add = (mutations: readonly Mutation[], data: readonly Uint8Array[], dataLength: number): boolean => {
      const sequence = this.#nextSequence
      const record = sealRecord(journalKey, segment, sequence, mutations)
      const logBytes = ENTRY_HEADER_BYTES + dataLength + record.length
      const packBytes = JOURNAL_ENTRY_BYTES + dataLength + record.length
      if (Math.max(logEnd + logBytes, sealedBytes + packBytes) > layout.segmentBytes) return false
      this.#nextSequence++
      parts.push(...encodeEntry(sequence, data, record))
      places.push({ dataLength, recordLength: record.length, dataStart: logEnd + ENTRY_HEADER_BYTES })
      entries.push({ sequence, recordBytes: record.length, mutations })
      logEnd += logBytes
      sealedBytes += packBytes
      dataOffset += dataLength
      return true
    }
    const hasVoids = this.#voids.length > 0
    if (hasVoids && !add([{ kind: 'void', sequences: this.#voids }], [], 0)) return 'full'
    let bytes = 0
    while (members.length < BATCH_COUNT_MAX) {
      const queue = this.#first.length > 0 ? this.#first : this.#waiting
      const waiting = queue[0]
      if (!waiting || (queue === this.#waiting && !this.#hasRoom)) break
      const { transaction, dataLength } = waiting
      if (members.length > 0 && bytes + dataLength > BATCH_BYTES_MAX) break
      const conflict =
        transaction.exclusive.some((name) => exclusive.has(name) || shared.has(name)) ||
        transaction.shared.some((name) => exclusive.has(name))
      if (conflict) break
      // Without building it: data that cannot fit.
      if (Math.max(logEnd, sealedBytes) + dataLength + ENTRY_HEADER_BYTES > layout.segmentBytes && log.entryCount > 0) {
        if (members.length > 0) break
        return 'full'
      }
      let built: { mutations: readonly Mutation[]; result: unknown }
      try {
        built = transaction.build({ segment, offset: dataOffset, length: dataLength })
        if (built.mutations.length > 0 && !add(built.mutations, transaction.data ?? [], dataLength)) {
          if (members.length > 0 || entries.length > 0) break
          if (log.entryCount > 0) return 'full'
          throw new ObjectError('EntityTooLarge', 'the metadata does not fit a segment', {
            segmentBytes: layout.segmentBytes,
          })
        }
      } catch (error) {
        queue.shift()
        waiting.done.reject(error)
        continue
      }
      queue.shift()
      for (const name of transaction.exclusive) exclusive.add(name)
      for (const name of transaction.shared) shared.add(name)
      members.push({ waiting, result: built.result })
      bytes += dataLength
    }
    return { members, entries, parts, places, hasVoids }
  }

  #rotateNow(): void {
    const pack = this.#open!
    this.#open = undefined
    this.#components.onFull({ segment: pack.log.header.segment, log: pack.log })
  }

  /** Whether the open pack takes writes of any kind, or another one may be begun for them. */
  get #hasRoom(): boolean {
    return this.#packs.size < UNSEALED_MAX + (this.#open ? 1 : 0)
  }

  /**
   * Resolves when it makes sense to look again. The wait begins when there is no room, not with each write: once it was
   * in vain, writes are refused at once until the network takes a pack.
   */
  async #waitForRoom(): Promise<void> {
    this.#full ??= { sinceMs: performance.now(), isRefusing: false }
    const leftMs = this.#full.sinceMs + (this.#components.roomMs ?? ROOM_MS) - performance.now()
    if (leftMs > 0 && !this.#closed) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#lookAgain = resolve
      const timer = setTimeout(resolve, leftMs)
      await promise
      clearTimeout(timer)
      this.#lookAgain = undefined
      return
    }
    const packs = this.#packs.size
    const refused = this.#waiting.splice(0)
    if (!this.#full.isRefusing) this.#components.log.warn('writes are refused: packs wait', { packs })
    this.#full.isRefusing = true
    for (const { done } of refused) {
      done.reject(new ObjectError('ServiceUnavailable', `${packs} packs wait for the network to take them`, { packs }))
    }
  }

  async #newPack(): Promise<Pack> {
    const { folder, chainId } = this.#components
    const header: PackHeader = {
      chainId,
      territory: this.territory,
      segment: this.nextSegment(),
      salt: randomBytes(16),
    }
    const log = await PackLog.create(join(folder, `${this.territory}-${header.segment}.log`), header)
    const pack = this.#packOf(log)
    this.#packs.set(header.segment, pack)
    return pack
  }

  #packOf(log: PackLog): Pack {
    const logId = logIdOf(log.header)
    const { sessions, logSeats, log: logger } = this.#components
    const known = this.#logsTable.get(logId)
    const peers: Uint8Array[] = []
    if (known) {
      const reader = new ByteReader(known)
      reader.u64()
      while (reader.remaining >= 32) peers.push(reader.bytes(32).slice())
    }
    return {
      log,
      journalKey: packJournalKey(this.keys.journalKey, log.header.salt),
      followers: new LogFollowers({ log, logId, sessions, candidates: logSeats, logger, peers }),
    }
  }

  /** Who holds a log is kept, so that it can be deleted there even after a restart. */
  #noteFollowers(pack: Pack): void {
    const peers = [...pack.followers.peers.values()]
    const row = new ByteWriter(128)
      .u64(this.territory)
      .bytes(concatBytes(...peers))
      .finish()
    this.#components.store.transact(() => this.#logsTable.put(logIdOf(pack.log.header), row))
  }

  async #forgetLog(logId: Uint8Array, left: readonly Uint8Array[]): Promise<void> {
    this.#components.store.transact(() => {
      if (left.length === 0) this.#logsTable.delete(logId)
      else
        this.#logsTable.put(
          logId,
          new ByteWriter(128)
            .u64(this.territory)
            .bytes(concatBytes(...left))
            .finish(),
        )
    })
  }
}

async function isShort(path: string): Promise<boolean> {
  const { stat } = await import('node:fs/promises')
  return (await stat(path)).size < 64
}
