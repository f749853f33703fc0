import { ByteReader, ByteWriter } from '@cumulus/bytes'
import { type Logger, sleep } from '@cumulus/service'
import { decodeDescriptor, segmentRoot } from '@cumulus/storage'
import { type GatewayChain, GatewayChainError } from '../chain/gateway-chain.ts'
import type { OwnerJournal, SealablePack } from '../journal/owner-journal.ts'
import type { StoredSegment } from '../journal/rows.ts'
import type { StripeReserve } from '../journal/stripe-reserve.ts'
import { ObjectError } from '../object-layer.ts'
import { type SeatFailure, SegmentError, type SegmentRef, type WritePiece } from '../segments/jobs.ts'
import type { SeatSessions } from '../segments/seat-sessions.ts'
import { isLost } from '../segments/segment-engine.ts'
import type { SegmentLayout } from '../segments/segment-layout.ts'
import type { SegmentPool, WrittenSegment } from '../segments/segment-pool.ts'
import type { BufferPool } from './buffer-pool.ts'
import { compactPacks } from './compaction.ts'
import type { IndexStore, Table } from './index-store.ts'
import type { ObjectIndex, SegmentRow } from './object-index.ts'

export interface SegmentKeeperComponents {
  readonly territory: bigint
  readonly layout: SegmentLayout
  readonly journal: OwnerJournal
  readonly index: ObjectIndex
  readonly store: IndexStore
  readonly chain: GatewayChain
  readonly reserve: StripeReserve
  readonly pool: SegmentPool
  readonly buffers: BufferPool
  readonly sessions: SeatSessions
  readonly groups: (id: number) => Promise<readonly Uint8Array[]>
  readonly log: Logger
  readonly signal: AbortSignal
  /** An open pack older than this is sealed though it is not full. */
  readonly sealAfterMs: number
}

/** Stripes in one commit: twelve signatures each are 10 KiB of calldata for sixteen. */
const COMMIT_COUNT_MAX = 16
/** So long a stripe waits for others to be committed with. */
const COMMIT_DELAY_MS = 300
const RELEASE_COUNT_MAX = 64
const RETRY_MS_MAX = 30_000
/** Between two looks at what there is to do. */
const TEND_MS = 1_000
/** Repairs wait so long after each other: a repair reads k fragments and writes one. */
const REPAIR_PAUSE_MS = 200

/** Of segments that came without receipts. The chain counts reservations from 1. */
const NO_RESERVATION = 0n
const NO_JOURNAL = new Uint8Array(32)

/**
 * The life of an owner's segments after their bytes are there: put to a quorum → in the journal → committed on chain →
 * repaired where a seat lacks its fragment → compacted → released. Every step can be repeated, and is after a crash.
 */
export class SegmentKeeper {
  readonly #c: SegmentKeeperComponents
  readonly #repairs: Table
  readonly #toCommit = new Set<number>()
  readonly #toSeal: SealablePack[] = []
  readonly #pins = new Map<number, number>()
  readonly #running = new Set<Promise<void>>()
  #commitWake = Promise.withResolvers<void>()
  #releaseWake = true
  #repairNotBeforeMs = 0
  readonly stats = { sealed: 0, committed: 0, released: 0, repaired: 0, compacted: 0, relocated: 0 }

  constructor(components: SegmentKeeperComponents) {
    this.#c = components
    this.#repairs = components.store.table('repairs')
  }

  /** Starts the loops; what an earlier run left undone is done first. */
  start(): void {
    for (const row of this.#c.index.segments(this.#c.territory)) {
      if (row.state === 'written') this.#toCommit.add(row.segment)
      else if (row.kind === 1 && this.#c.journal.isLocal(row.segment)) void this.#dropLocal(row.segment)
    }
    this.#run('commit', () => this.#commitLoop())
    this.#run('seal', () => this.#sealLoop())
    this.#run('tend', () => this.#tendLoop())
  }

  /** Resolves when the loops have ended, after the signal. */
  async stopped(): Promise<void> {
    await Promise.all(this.#running)
  }

  get pendingCommits(): number {
    return this.#toCommit.size
  }

  get pendingSeals(): number {
    return this.#toSeal.length
  }

  get pendingRepairs(): number {
    return [...this.#repairRows()].length
  }

  // Writing

  /**
   * Puts a data segment on its seats. Pinned until `unpin`: nothing refers to it yet.
   *
   * @param consumed gives the pieces' buffers back
   * @returns its number, and when the journal knows it
   */
  async write(
    pieces: readonly WritePiece[],
    users: StoredSegment['users'],
    consumed: (buffers: readonly ArrayBuffer[]) => void,
  ): Promise<{ segment: number; journaled: Promise<void> }> {
    const { place, reservation, written } = await this.#put(pieces, NO_JOURNAL, consumed)
    const segment = this.#c.journal.nextSegment()
    this.pin(segment)
    const journaled = this.#record({ segment, kind: 0, users, reservation, ...place, ...stored(written) }, false)
    this.#watchAftermath(segment, written)
    return { segment, journaled }
  }

  async #put(
    pieces: readonly WritePiece[],
    journalDigest: Uint8Array,
    consumed: (buffers: readonly ArrayBuffer[]) => void,
  ): Promise<{ place: { group: number; stripe: number }; reservation: bigint; written: WrittenSegment }> {
    let handed = false
    const giveBack = (buffers: readonly ArrayBuffer[]) => {
      handed = true
      consumed(buffers)
    }
    try {
      const { group, stripe, reservation } = await this.#c.reserve.take()
      const place = { group, stripe, peerKeys: await this.#c.groups(group) }
      const written = await this.#c.pool.write({ place, pieces, journalDigest }, giveBack)
      return { place: { group, stripe }, reservation, written }
    } catch (error) {
      // Buffers that a dead worker took are gone; a new one stands for each.
      if (!handed) consumed(pieces.map(({ buffer }) => buffer))
      throw error
    }
  }

  /** Takes up a segment that others have written. One that is not committed has no receipts here: it will be moved. */
  async adopt(
    segment: Omit<StoredSegment, 'reservation' | 'seats' | 'signatures'>,
    isCommitted: boolean,
  ): Promise<void> {
    const signatures = new Uint8Array(isCommitted ? 0 : 64)
    await this.#record({ ...segment, reservation: NO_RESERVATION, seats: isCommitted ? 0 : 1, signatures }, false)
  }

  /** @param makesRoom whether packs can go only after it */
  async #record(value: StoredSegment, makesRoom: boolean): Promise<void> {
    await this.#c.journal.submit({
      exclusive: [`s/${value.segment}`],
      shared: [],
      makesRoom,
      build: () => ({ mutations: [{ kind: 'segment-set', value }], result: undefined }),
    })
    this.#toCommit.add(value.segment)
    this.#commitWake.resolve()
  }

  #watchAftermath(segment: number, written: WrittenSegment): void {
    written.aftermath.then(
      ({ missing }) => this.reportFailures(segment, missing, true),
      () => {},
    )
  }

  // Reading

  /** Where a segment lies. @throws ObjectError InternalError if it is not known */
  async ref(segment: number): Promise<SegmentRef> {
    const row = this.#c.index.segment(this.#c.territory, segment)
    if (!row) throw new ObjectError('InternalError', `segment ${segment} is not known`, { segment })
    return this.#refOf(row)
  }

  async #refOf(row: StoredSegment): Promise<SegmentRef> {
    const peerKeys = await this.#c.groups(row.group)
    return { place: { group: row.group, stripe: row.stripe, peerKeys }, descriptor: row.descriptor }
  }

  /** While pinned, a segment is not released. */
  pin(segment: number): void {
    this.#pins.set(segment, (this.#pins.get(segment) ?? 0) + 1)
  }

  unpin(segment: number): void {
    const count = (this.#pins.get(segment) ?? 0) - 1
    if (count > 0) this.#pins.set(segment, count)
    else {
      this.#pins.delete(segment)
      this.#releaseWake = true
    }
  }

  /** Segments of which nothing is needed any more. */
  noteDead(): void {
    this.#releaseWake = true
  }

  /** Seats that do not have what they should. `all` = count those that were only away, too: they never got it. */
  reportFailures(segment: number, failures: readonly SeatFailure[], all = false): void {
    let seats = 0
    for (const failure of failures) if (all || isLost(failure)) seats |= 1 << failure.seat
    if (seats === 0) return
    const key = this.#repairKey(segment)
    const known = this.#repairs.get(key)
    const before = known ? new ByteReader(known).u32() : 0
    if ((before | seats) === before) return
    this.#c.log.info('fragments to repair', { territory: this.#c.territory, segment, seats: before | seats })
    this.#c.store.transact(() => this.#repairs.put(key, new ByteWriter(16).u32((before | seats) >>> 0).finish()))
  }

  // Packs

  seal(pack: SealablePack): void {
    this.#toSeal.push(pack)
    this.#sealWake.resolve()
  }
  #sealWake = Promise.withResolvers<void>()

  async #sealLoop(): Promise<void> {
    for (;;) {
      const pack = this.#toSeal[0]
      if (!pack) {
        this.#sealWake = Promise.withResolvers()
        await Promise.race([this.#sealWake.promise, this.#aborted()])
        this.#c.signal.throwIfAborted()
        continue
      }
      await this.#persist('seal a pack', () => this.#sealPack(pack))
      this.#toSeal.shift()
    }
  }

  async #sealPack({ segment, log }: SealablePack): Promise<void> {
    if (this.#c.index.segment(this.#c.territory, segment)) return // done before a crash
    const buffer = await this.#c.buffers.takeFirst(this.#c.signal)
    let sealed: { length: number; journalDigest: Uint8Array }
    try {
      sealed = await log.seal(new Uint8Array(buffer))
    } catch (error) {
      this.#c.buffers.give(buffer)
      throw error
    }
    const pieces = [{ buffer, offset: 0, length: sealed.length }]
    const { place, reservation, written } = await this.#put(pieces, sealed.journalDigest, (buffers) => {
      for (const used of buffers) this.#c.buffers.give(used)
    })
    await this.#record({ segment, kind: 1, users: [], reservation, ...place, ...stored(written) }, true)
    this.#watchAftermath(segment, written)
    this.stats.sealed++
  }

  /** The logs of a pack are dropped when the chain knows its segment: until then an expiring reservation could take it away. */
  async #dropLocal(segment: number): Promise<void> {
    try {
      await this.#c.journal.dropPack(segment)
    } catch (error) {
      this.#c.log.warn('log not dropped', { segment, error })
    }
  }

  // Chain

  async #commitLoop(): Promise<void> {
    for (;;) {
      if (this.#toCommit.size === 0) {
        this.#commitWake = Promise.withResolvers()
        await Promise.race([this.#commitWake.promise, this.#aborted()])
      }
      this.#c.signal.throwIfAborted()
      if (this.#toCommit.size < COMMIT_COUNT_MAX) await sleep(COMMIT_DELAY_MS, this.#c.signal)
      const rows = new Map<bigint, SegmentRow[]>()
      for (const segment of this.#toCommit) {
        const row = this.#c.index.segment(this.#c.territory, segment)
        if (row?.state !== 'written') {
          this.#toCommit.delete(segment)
          continue
        }
        const list = rows.get(row.reservation) ?? []
        if (list.length < COMMIT_COUNT_MAX) list.push(row)
        rows.set(row.reservation, list)
      }
      for (const [reservation, list] of rows) {
        await this.#persist('commit stripes', () => this.#commit(reservation, list))
      }
    }
  }

  async #commit(reservation: bigint, rows: readonly SegmentRow[]): Promise<void> {
    if (reservation === NO_RESERVATION) {
      for (const row of rows) await this.relocate(row)
      return
    }
    try {
      await this.#c.chain.commit(
        reservation,
        rows.map(({ stripe, descriptor, seats, signatures }) => ({
          stripe,
          root: segmentRoot(decodeDescriptor(descriptor)),
          seats,
          signatures,
        })),
      )
    } catch (error) {
      if (!(error instanceof GatewayChainError)) throw error
      if (rows.length > 1 && error.code !== 'UNREACHABLE') {
        // One of them is at fault: it must not hold up the others.
        const results = await Promise.allSettled(rows.map((row) => this.#commit(reservation, [row])))
        for (const result of results) if (result.status === 'rejected') throw result.reason
        return
      }
      if (error.code !== 'EXPIRED' && error.code !== 'NOT_ALLOWED') throw error
      this.#c.log.warn('stripes cannot be committed where they are: they are moved', { reservation, error })
      for (const row of rows) await this.relocate(row)
      return
    }
    for (const row of rows) {
      this.#toCommit.delete(row.segment)
      this.#c.index.setSegmentState(this.#c.territory, row.segment, 'committed')
      this.stats.committed++
      if (row.kind === 1) void this.#dropLocal(row.segment)
    }
    this.#releaseWake = true
  }

  /** Writes a segment to another stripe: its own is lost to it. Readers find it under its number as before. */
  async relocate(row: StoredSegment): Promise<void> {
    const descriptor = decodeDescriptor(row.descriptor)
    const buffer = await this.#c.buffers.takeFirst(this.#c.signal)
    let length: number
    try {
      const { bytes } = await this.#c.pool.read({
        ref: await this.#refOf(row),
        start: 0,
        end: descriptor.length,
        sequential: true,
      })
      new Uint8Array(buffer).set(bytes)
      length = bytes.length
    } catch (error) {
      this.#c.buffers.give(buffer)
      throw error
    }
    const pieces = [{ buffer, offset: 0, length }]
    const { place, reservation, written } = await this.#put(pieces, descriptor.journalDigest, (buffers) => {
      for (const used of buffers) this.#c.buffers.give(used)
    })
    const { segment, kind, users } = row
    await this.#record({ segment, kind, users, reservation, ...place, ...stored(written) }, true)
    this.#watchAftermath(segment, written)
    this.stats.relocated++
  }

  async #tendLoop(): Promise<void> {
    for (;;) {
      await sleep(TEND_MS, this.#c.signal)
      await this.#attempt('keep stripes in stock', () => this.#c.reserve.tend())
      const open = this.#c.journal.openPack
      if (open && open.liveMs > this.#c.sealAfterMs) await this.#c.journal.rotate()
      await this.#attempt('drop old logs', () => this.#c.journal.sweepLogs())
      if (this.#releaseWake) {
        this.#releaseWake = false
        await this.#attempt('compact packs', () => this.#compact())
        await this.#attempt('release stripes', () => this.#release())
      }
      await this.#attempt('repair', () => this.#repair())
    }
  }

  async #compact(): Promise<void> {
    const count = await compactPacks({
      ...this.#c,
      keys: this.#c.journal.keys,
      refOf: (row) => this.#refOf(row),
      isPinned: (segment) => this.#pins.has(segment),
      onReleasable: (segment) => this.#c.index.setSegmentState(this.#c.territory, segment, 'releasing'),
    })
    this.stats.compacted += count
  }

  async #release(): Promise<void> {
    const byGroup = new Map<number, SegmentRow[]>()
    for (const row of this.#c.index.segments(this.#c.territory)) {
      if (this.#pins.has(row.segment) || this.#c.index.liveBytes(this.#c.territory, row.segment) > 0) continue
      // Packs are told to go by compaction, which has carried on what their journals still had to say.
      if (row.state === 'written' || (row.kind === 1 && row.state !== 'releasing')) continue
      if (row.state === 'committed') this.#c.index.setSegmentState(this.#c.territory, row.segment, 'releasing')
      const list = byGroup.get(row.group) ?? []
      if (list.length < RELEASE_COUNT_MAX) list.push(row)
      else this.#releaseWake = true
      byGroup.set(row.group, list)
    }
    for (const [group, rows] of byGroup) {
      // The journal entries that made them dispensable must not be lost after the stripes are.
      await this.#c.index.flushed()
      await this.#c.chain.release(
        group,
        rows.map(({ stripe }) => stripe),
      )
      for (const row of rows) {
        const dead = this.#c.index.dropSegment(this.#c.territory, row.segment)
        this.#c.store.transact(() => this.#repairs.delete(this.#repairKey(row.segment)))
        if (dead.length > 0) this.#releaseWake = true
        this.stats.released++
      }
      this.#c.log.info('stripes released', { territory: this.#c.territory, group, count: rows.length })
    }
  }

  async #repair(): Promise<void> {
    if (Date.now() < this.#repairNotBeforeMs) return
    for (const { segment, seats } of [...this.#repairRows()]) {
      this.#c.signal.throwIfAborted()
      const row = this.#c.index.segment(this.#c.territory, segment)
      const key = this.#repairKey(segment)
      if (!row || row.state === 'releasing') {
        if (!this.#c.journal.isLocal(segment)) this.#c.store.transact(() => this.#repairs.delete(key))
        continue
      }
      const ref = await this.#refOf(row)
      const wanted = seatsOf(seats).filter((seat) => this.#c.sessions.of(ref.place.peerKeys[seat]!))
      if (wanted.length === 0) continue
      const { receipts, failures } = await this.#c.pool.repair({ ref, seats: wanted })
      let left = seats
      for (const { seat } of receipts) left &= ~(1 << seat)
      this.#c.store.transact(() => {
        if (left === 0) this.#repairs.delete(key)
        else this.#repairs.put(key, new ByteWriter(16).u32(left >>> 0).finish())
      })
      this.stats.repaired += receipts.length
      if (receipts.length > 0) this.#c.log.info('fragments repaired', { segment, count: receipts.length })
      if (failures.length > 0) {
        this.#c.log.warn('fragments not repaired', { segment, failures })
        this.#repairNotBeforeMs = Date.now() + 5_000
        return
      }
      await sleep(REPAIR_PAUSE_MS, this.#c.signal)
    }
  }

  *#repairRows(): Iterable<{ segment: number; seats: number }> {
    const start = new ByteWriter(16).u64(this.#c.territory).finish().reverse()
    const end = new ByteWriter(16)
      .u64(this.#c.territory + 1n)
      .finish()
      .reverse()
    for (const { key, value } of this.#repairs.range(start, end)) {
      yield { segment: new ByteReader(key.slice(8).reverse()).u53(), seats: new ByteReader(value).u32() }
    }
  }

  #repairKey(segment: number): Uint8Array {
    return new ByteWriter(16).u53(segment).u64(this.#c.territory).finish().reverse()
  }

  // Loops

  #run(name: string, loop: () => Promise<void>): void {
    const running = loop().catch((error: unknown) => {
      if (!this.#c.signal.aborted) this.#c.log.error('a loop of the gateway ended', { loop: name, error })
    })
    this.#running.add(running)
  }

  /** Until it works or the gateway stops. */
  async #persist(what: string, task: () => Promise<void>): Promise<void> {
    for (let waitMs = 500; ; waitMs = Math.min(RETRY_MS_MAX, waitMs * 2)) {
      try {
        return await task()
      } catch (error) {
        this.#c.signal.throwIfAborted()
        const expected =
          error instanceof SegmentError || error instanceof ObjectError || error instanceof GatewayChainError
        this.#c.log[expected ? 'warn' : 'error'](`cannot ${what}, will try again`, { waitMs, error })
        await sleep(waitMs, this.#c.signal)
      }
    }
  }

  async #attempt(what: string, task: () => Promise<void>): Promise<void> {
    try {
      await task()
    } catch (error) {
      this.#c.signal.throwIfAborted()
      this.#c.log.warn(`cannot ${what}, will try again`, { error })
      this.#releaseWake = true
    }
  }

  #aborted(): Promise<void> {
    return (this.#abortedPromise ??= new Promise((resolve) => {
      if (this.#c.signal.aborted) resolve()
      else this.#c.signal.addEventListener('abort', () => resolve(), { once: true })
    }))
  }
  #abortedPromise: Promise<void> | undefined
}

function seatsOf(bits: number): number[] {
  const seats: number[] = []
  for (let seat = 0; seat < 32; seat++) if ((bits >>> seat) & 1) seats.push(seat)
  return seats
}

function stored(written: WrittenSegment): Pick<StoredSegment, 'descriptor' | 'seats' | 'signatures'> {
  let seats = 0
  const signatures = new Uint8Array(64 * written.receipts.length)
  for (const [i, { seat, signature }] of written.receipts.entries()) {
    seats |= 1 << seat
    signatures.set(signature, i * 64)
  }
  return { descriptor: written.descriptor, seats: seats >>> 0, signatures }
}
