import { ByteWriter, equalBytes } from '@cumulus/bytes'
import { type Codec, ErasureArena, ErasureCode } from '@cumulus/erasure'
import { FrameOp } from '@cumulus/network'
import type { StorageClass } from '@cumulus/params'
import { limitConcurrency } from '@cumulus/service'
import {
  decodeDescriptor,
  encodeDescriptor,
  fragmentIdOf,
  fragmentIdOfPieces,
  fragmentLength,
  PIECE_BYTES,
  type SegmentDescriptor,
  segmentRoot,
  verifyPieces,
  verifyReceipt,
} from '@cumulus/storage'
import { groupId, seat as seatIndex, stripeNumber } from '@cumulus/types'
import { ChunkError, freeNow, openChunks, sealChunks } from './chunk-cipher.ts'
import { HedgeClock } from './hedge-clock.ts'
import {
  type ReadJob,
  type ReadResult,
  type RepairJob,
  type RepairResult,
  type SeatFailure,
  type SeatReceipt,
  SegmentError,
  type SegmentRef,
  type StripePlace,
  type WriteAftermath,
  type WriteJob,
  type WriteResult,
} from './jobs.ts'
import type { SeatSessions } from './seat-sessions.ts'
import { cipherLength, type SegmentLayout, segmentLayout, TAG_BYTES } from './segment-layout.ts'

export interface SegmentEngineInit {
  readonly storageClass: StorageClass
  readonly chainId: number
  readonly sessions: SeatSessions
  /** Segments encoded and under way at once: each has an arena of n fragments (96 MiB for `standard`). */
  readonly placeCount: number
}

/** A put or get that takes longer has failed: 8 MiB in 30 s is 2 Mbit/s. */
const REQUEST_MS = 30_000
/** So long a writer waits for miners to connect when fewer than a quorum are. */
const CONNECT_MS = 5_000
const CONNECT_POLL_MS = 50
/** After the quorum, seats that are still busy get at least this long before the rest is left to repair. */
const STRAGGLER_MS_MIN = 500
/** Lists of piece hashes kept: 4 KiB each for full fragments. */
const HASH_LISTS_MAX = 1024
/** Segments kept whole after a rebuild, for streams that go on through them: 32 MiB each. */
const REBUILT_MAX = 2
const REBUILT_MS = 10_000

/**
 * Moves segments between memory and seats: encrypts, encodes, hashes and puts them; reads ranges back, from other seats
 * where one is slow, gone or wrong. One engine per thread, on that thread's own sessions.
 */
export class SegmentEngine {
  readonly #class: StorageClass
  readonly #layout: SegmentLayout
  readonly #chainId: number
  readonly #sessions: SeatSessions
  readonly #code: ErasureCode
  readonly #codes = new Map<string, ErasureCode>()
  readonly #freeArenas: ErasureArena[] = []
  readonly #inPlace: <Value>(task: () => Promise<Value>) => Promise<Value>
  readonly #oneWhole = limitConcurrency(1)
  readonly #hedge = new HedgeClock()
  readonly #hashLists = new Map<string, Uint8Array>()
  readonly #rebuilt = new Map<string, Promise<Uint8Array[]>>()

  constructor(init: SegmentEngineInit) {
    this.#class = init.storageClass
    this.#layout = segmentLayout(init.storageClass)
    this.#chainId = init.chainId
    this.#sessions = init.sessions
    this.#code = this.#codeOf(this.#class.codec, this.#class.dataCount, this.#class.seatCount)
    this.#inPlace = limitConcurrency(init.placeCount)
  }

  /**
   * Writes a segment. Resolves at the write quorum; `aftermath` tells, later, which seats are to be repaired.
   *
   * @param consumed called when the bytes of all pieces have been read: their buffers are free
   * @throws SegmentError NO_QUORUM
   */
  async write(job: WriteJob, consumed: () => void): Promise<WriteResult & { aftermath: Promise<WriteAftermath> }> {
    const answer = Promise.withResolvers<WriteResult & { aftermath: Promise<WriteAftermath> }>()
    const aftermath = Promise.withResolvers<WriteAftermath>()
    aftermath.promise.catch(() => {})
    this.#inPlace(async () => {
      const arena = this.#freeArenas.pop() ?? new ErasureArena(this.#code, this.#class.fragmentBytes)
      try {
        const { descriptor, ids } = this.#encode(job, arena)
        consumed()
        const encoded = encodeDescriptor(descriptor)
        const root = segmentRoot(descriptor)
        const missing = await this.#putAll(job.place, arena, encoded, root, ids, (receipts) =>
          answer.resolve({ descriptor: encoded, root, receipts, aftermath: aftermath.promise }),
        )
        aftermath.resolve({ missing })
      } finally {
        this.#freeArenas.push(arena)
      }
    }).catch((error: unknown) => {
      answer.reject(error)
      aftermath.reject(error)
    })
    return answer.promise
  }

  #encode(job: WriteJob, arena: ErasureArena): { descriptor: SegmentDescriptor; ids: Uint8Array[] } {
    let length = 0
    for (const piece of job.pieces) length += piece.key ? cipherLength(this.#layout, piece.length) : piece.length
    if (length === 0 || length > this.#layout.segmentBytes) throw new RangeError(`a segment of ${length} bytes`)
    arena.layOut(fragmentLength(length, this.#class.dataCount))
    const data = arena.data
    let at = 0
    for (const piece of job.pieces) {
      const bytes = new Uint8Array(piece.buffer, piece.offset, piece.length)
      if (piece.key) at += sealChunks(this.#layout, piece.key, piece.firstChunk ?? 0, bytes, data, at)
      else {
        data.set(bytes, at)
        at += bytes.length
      }
    }
    data.fill(0, at)
    arena.encode()
    const ids: Uint8Array[] = []
    for (let i = 0; i < this.#class.seatCount; i++) ids.push(fragmentIdOf(arena.fragment(i)))
    const { id, codec, dataCount } = this.#class
    const descriptor = { classId: id, codec, dataCount, length, journalDigest: job.journalDigest, fragmentIds: ids }
    return { descriptor, ids }
  }

  /** Sends every fragment to its seat. Resolves when all have answered or were given up, with those that have none. */
  async #putAll(
    place: StripePlace,
    arena: ErasureArena,
    descriptor: Uint8Array,
    root: Uint8Array,
    ids: readonly Uint8Array[],
    onQuorum: (receipts: SeatReceipt[]) => void,
  ): Promise<SeatFailure[]> {
    const { writeQuorum, seatCount } = this.#class
    const startedMs = performance.now()
    const receipts: SeatReceipt[] = []
    const failures = new Map<number, SeatFailure>()
    const waiting = new Set<number>(ids.keys())
    const running = new Map<number, Promise<void>>()
    const giveUp = new AbortController()
    let quorumMs: number | undefined

    const start = (seat: number) => {
      const session = this.#sessions.of(place.peerKeys[seat]!)
      if (!session) return
      waiting.delete(seat)
      const { promise } = putFragment(session, place, seat, ids[seat]!, descriptor, arena.fragment(seat), giveUp.signal)
      running.set(
        seat,
        promise
          .then((reply) => {
            receipts.push(this.#receipt(place, seat, root, reply))
            if (receipts.length === writeQuorum) {
              quorumMs = performance.now()
              onQuorum([...receipts].sort((a, b) => a.seat - b.seat))
            }
          })
          .catch((error: unknown) => {
            failures.set(seat, { seat, code: codeOf(error) })
          })
          .finally(() => running.delete(seat)),
      )
    }

    const connectDeadlineMs = startedMs + CONNECT_MS
    for (;;) {
      for (const seat of [...waiting]) start(seat)
      if (quorumMs === undefined && seatCount - failures.size < writeQuorum) break
      const nowMs = performance.now()
      if (quorumMs !== undefined) {
        if (running.size === 0) break
        const patienceMs = Math.max(STRAGGLER_MS_MIN, quorumMs - startedMs)
        if (nowMs > quorumMs + patienceMs) break
      } else if (running.size === 0 && nowMs > connectDeadlineMs) break
      await wakeAfter(CONNECT_POLL_MS, running.values())
    }
    // Bytes of the arena must stay as they are until the last request has let go of them.
    giveUp.abort(new Error('other seats were quicker'))
    await Promise.all(running.values())
    for (const seat of waiting) failures.set(seat, { seat, code: 'NOT_CONNECTED' })
    if (quorumMs === undefined) {
      throw new SegmentError(
        'NO_QUORUM',
        `${receipts.length} of ${writeQuorum} seats took stripe ${place.stripe} of group ${place.group}`,
        [...failures.values()],
      )
    }
    return [...failures.values()]
  }

  #receipt(place: StripePlace, seat: number, root: Uint8Array, signature: Uint8Array): SeatReceipt {
    const receipt = {
      group: groupId(place.group),
      stripe: stripeNumber(place.stripe),
      seat: seatIndex(seat),
      segmentRoot: root,
      signature,
    }
    if (!verifyReceipt(receipt, this.#chainId, place.peerKeys[seat]!)) throw new CodedError('BAD_RECEIPT')
    return { seat, signature: new Uint8Array(signature) }
  }

  /**
   * Reads a run of a segment. The first try trusts what seats send, since every chunk verifies itself when it is
   * decrypted; only where that fails, pieces are checked against the fragment ids to find out whose are wrong.
   *
   * @throws SegmentError UNREADABLE · ChunkError if the segment is intact but not what the key expects
   */
  async read(job: ReadJob): Promise<ReadResult> {
    const descriptor = decodeDescriptor(job.ref.descriptor)
    if (job.start < 0 || job.start > job.end || job.end > descriptor.length) {
      throw new RangeError(`range ${job.start}..${job.end} of a segment of ${descriptor.length} bytes`)
    }
    const failures = new Map<number, SeatFailure>()
    if (job.key) {
      const sealed = uninitialized(job.end - job.start)
      await this.#fill(job, descriptor, sealed, failures, false)
      try {
        const bytes = this.#decrypt(job, sealed)
        freeNow(sealed)
        return { bytes, failures: [...failures.values()] }
      } catch (error) {
        if (!(error instanceof ChunkError)) throw error
        this.#rebuilt.delete(placeName(job.ref.place))
      }
    }
    const verified = new Uint8Array(job.end - job.start)
    await this.#fill(job, descriptor, verified, failures, true)
    const bytes = job.key ? this.#decrypt(job, verified) : verified
    return { bytes, failures: [...failures.values()] }
  }

  #decrypt(job: ReadJob, sealed: Uint8Array): Uint8Array<ArrayBuffer> {
    const chunkCount = Math.ceil(sealed.length / this.#layout.chunkBytes)
    const plain = uninitialized(Math.max(0, sealed.length - chunkCount * TAG_BYTES))
    openChunks(this.#layout, job.key!, job.firstChunk ?? 0, sealed, plain)
    return plain
  }

  /** Fills `target` with segment bytes [start, end) from the data fragments they are in. */
  async #fill(
    job: ReadJob,
    descriptor: SegmentDescriptor,
    target: Uint8Array,
    failures: Map<number, SeatFailure>,
    verified: boolean,
  ): Promise<void> {
    const { ref, start, end } = job
    const length = fragmentLength(descriptor.length, descriptor.dataCount)
    const whole = this.#rebuilt.get(placeName(ref.place))
    if (whole) return copyRange(await whole, length, start, end, target)
    const runs: Promise<boolean>[] = []
    for (let seat = Math.floor(start / length); seat * length < end; seat++) {
      const from = Math.max(start, seat * length)
      const to = Math.min(end, (seat + 1) * length)
      const into = target.subarray(from - start, to - start)
      runs.push(this.#fillFrom(job, descriptor, seat, from - seat * length, into, failures, verified))
    }
    const complete = await Promise.all(runs)
    if (complete.every(Boolean)) return
    copyRange(await this.#whole(ref, descriptor, failures), length, start, end, target)
  }

  /** One fragment's share. False = the whole segment should be rebuilt instead. */
  async #fillFrom(
    job: ReadJob,
    descriptor: SegmentDescriptor,
    seat: number,
    offset: number,
    into: Uint8Array,
    failures: Map<number, SeatFailure>,
    verified: boolean,
  ): Promise<boolean> {
    const { ref } = job
    const stop = new AbortController()
    const direct = this.#fetch(ref, descriptor, seat, offset, into.length, verified, stop.signal, into)
    const quick = await outcome(direct, this.#hedge.delayMs)
    if (quick === 'done') return true
    if (quick instanceof Error) {
      const code = codeOf(quick)
      failures.set(seat, { seat, code })
      if (job.sequential && into.length >= this.#layout.chunkBytes) return false
      const rebuilt = await this.#rebuildRange(
        ref,
        descriptor,
        seat,
        offset,
        into.length,
        failures,
        verified,
        stop.signal,
      )
      into.set(rebuilt)
      return true
    }
    // Slow, not wrong: whoever is first, the seat itself or any k others.
    const detour = this.#rebuildRange(ref, descriptor, seat, offset, into.length, failures, verified, stop.signal)
    detour.catch(() => {})
    try {
      const winner = await Promise.any([direct.then(() => undefined), detour])
      stop.abort(new Error('another seat was quicker'))
      await direct.catch(() => {}) // it may be writing into `into` until it settles
      if (winner) into.set(winner)
      return true
    } catch (error) {
      const cause = (error as AggregateError).errors[1]
      throw cause instanceof SegmentError
        ? cause
        : new SegmentError('UNREADABLE', 'no seat answers', [...failures.values()])
    }
  }

  /** The same columns of fragment `wanted` from any k other seats: the code works column by column. */
  async #rebuildRange(
    ref: SegmentRef,
    descriptor: SegmentDescriptor,
    wanted: number,
    offset: number,
    length: number,
    failures: Map<number, SeatFailure>,
    verified: boolean,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const fragments = await this.#anyFragments(ref, descriptor, [wanted], offset, length, failures, verified, signal)
    if (fragments[wanted]) return fragments[wanted]
    return this.#codeFor(descriptor).rebuild(fragments, [wanted])[0]!
  }

  /** All data fragments of a segment, from any k seats, every one verified. Kept for the next reads of the stream. */
  #whole(ref: SegmentRef, descriptor: SegmentDescriptor, failures: Map<number, SeatFailure>): Promise<Uint8Array[]> {
    const name = placeName(ref.place)
    let whole = this.#rebuilt.get(name)
    if (!whole) {
      whole = this.#oneWhole(() => this.#readWhole(ref, descriptor, failures))
      this.#rebuilt.set(name, whole)
      whole.then(
        () => setTimeout(() => this.#rebuilt.delete(name), REBUILT_MS).unref(),
        () => this.#rebuilt.delete(name),
      )
      for (const other of this.#rebuilt.keys()) {
        if (this.#rebuilt.size <= REBUILT_MAX) break
        this.#rebuilt.delete(other)
      }
    }
    return whole
  }

  async #readWhole(
    ref: SegmentRef,
    descriptor: SegmentDescriptor,
    failures: Map<number, SeatFailure>,
  ): Promise<Uint8Array[]> {
    const length = fragmentLength(descriptor.length, descriptor.dataCount)
    const signal = AbortSignal.timeout(REQUEST_MS * 2)
    const fragments = await this.#anyFragments(ref, descriptor, [], 0, length, failures, true, signal)
    const missing = [...Array(descriptor.dataCount).keys()].filter((i) => !fragments[i])
    const rebuilt = this.#codeFor(descriptor).rebuild(fragments, missing)
    return Array.from({ length: descriptor.dataCount }, (_, i) => fragments[i] ?? rebuilt[missing.indexOf(i)]!)
  }

  /** Columns [offset, offset + length) of any k fragments, data first; by seat, the others undefined. */
  async #anyFragments(
    ref: SegmentRef,
    descriptor: SegmentDescriptor,
    exclude: readonly number[],
    offset: number,
    length: number,
    failures: Map<number, SeatFailure>,
    verified: boolean,
    signal: AbortSignal,
  ): Promise<(Uint8Array | undefined)[]> {
    const { dataCount } = descriptor
    const seatCount = descriptor.fragmentIds.length
    const found: (Uint8Array | undefined)[] = new Array(seatCount).fill(undefined)
    const candidates = [...Array(seatCount).keys()].filter(
      (seat) => !exclude.includes(seat) && !isLost(failures.get(seat)),
    )
    const stop = new AbortController()
    const both = AbortSignal.any([signal, stop.signal])
    let count = 0
    let next = 0
    const worker = async (): Promise<void> => {
      while (count < dataCount && next < candidates.length) {
        const seat = candidates[next++]!
        try {
          const bytes = await this.#fetch(ref, descriptor, seat, offset, length, verified, both)
          if (count < dataCount) {
            found[seat] = bytes
            count++
          }
        } catch (error) {
          if (both.aborted) return
          failures.set(seat, { seat, code: codeOf(error) })
        }
      }
    }
    const workers = Array.from({ length: dataCount }, worker)
    // A seat that hangs must not hang the reader: after a while more seats are asked.
    const hurry = setInterval(() => void workers.push(worker()), this.#hedge.delayMs)
    const enough = Promise.withResolvers<void>()
    const watch = async () => {
      for (let i = 0; i < workers.length; i++) {
        await workers[i]
        if (count === dataCount) break
      }
      enough.resolve()
    }
    const quick = setInterval(() => count === dataCount && enough.resolve(), 5)
    void watch()
    try {
      await enough.promise
    } finally {
      clearInterval(hurry)
      clearInterval(quick)
      stop.abort(new Error('enough fragments'))
    }
    signal.throwIfAborted()
    if (count < dataCount) {
      throw new SegmentError(
        'UNREADABLE',
        `${count} of ${dataCount} fragments of stripe ${ref.place.stripe} of group ${ref.place.group} can be read`,
        [...failures.values()],
      )
    }
    return found
  }

  /** Bytes of one fragment from its seat. `verified`: checked piece by piece against the fragment id. */
  async #fetch(
    ref: SegmentRef,
    descriptor: SegmentDescriptor,
    seat: number,
    offset: number,
    length: number,
    verified: boolean,
    signal: AbortSignal,
    into?: Uint8Array,
  ): Promise<Uint8Array> {
    const session = this.#sessions.of(ref.place.peerKeys[seat]!)
    if (!session) throw new CodedError('NOT_CONNECTED')
    const fragmentBytes = fragmentLength(descriptor.length, descriptor.dataCount)
    const id = descriptor.fragmentIds[seat]!
    const limit = AbortSignal.any([signal, AbortSignal.timeout(REQUEST_MS)])
    // Verified reads take whole pieces around the range.
    const from = verified ? Math.floor(offset / PIECE_BYTES) * PIECE_BYTES : offset
    const to = verified
      ? Math.min(fragmentBytes, Math.ceil((offset + length) / PIECE_BYTES) * PIECE_BYTES)
      : offset + length
    const hashes = verified ? await this.#hashList(ref, seat, id, limit) : undefined
    const startedMs = performance.now()
    const { group, stripe } = ref.place
    const meta = new ByteWriter(16).u32(to - from).finish()
    const direct = into && to - from === into.length ? into : undefined
    const reply = await session.request(
      FrameOp.get,
      { group, stripe, seat, offset: from, meta },
      { signal: limit, into: direct },
    )
    this.#hedge.add(performance.now() - startedMs)
    if (!equalBytes(reply.hash, id)) throw new CodedError('WRONG_FRAGMENT')
    if (reply.body.length !== to - from) throw new CodedError('WRONG_LENGTH')
    if (hashes && !verifyPieces(hashes, from / PIECE_BYTES, reply.body)) throw new CodedError('CORRUPT')
    const bytes = reply.body.subarray(offset - from, offset - from + length)
    if (into && bytes.buffer !== into.buffer) into.set(bytes)
    return bytes
  }

  async #hashList(ref: SegmentRef, seat: number, id: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const name = id.toHex()
    const known = this.#hashLists.get(name)
    if (known) {
      this.#hashLists.delete(name)
      this.#hashLists.set(name, known)
      return known
    }
    const session = this.#sessions.of(ref.place.peerKeys[seat]!)
    if (!session) throw new CodedError('NOT_CONNECTED')
    const { group, stripe } = ref.place
    const { body } = await session.request(FrameOp.describe, { group, stripe, seat }, { signal })
    const valid = body.length > 0 && body.length % 32 === 0 && equalBytes(fragmentIdOfPieces(body), id)
    if (!valid) throw new CodedError('CORRUPT')
    const hashes = new Uint8Array(body)
    if (this.#hashLists.size >= HASH_LISTS_MAX) this.#hashLists.delete(this.#hashLists.keys().next().value!)
    this.#hashLists.set(name, hashes)
    return hashes
  }

  /**
   * Rebuilds fragments and puts them on their seats again.
   *
   * @throws SegmentError UNREADABLE
   */
  async repair(job: RepairJob): Promise<RepairResult> {
    const descriptor = decodeDescriptor(job.ref.descriptor)
    const root = segmentRoot(descriptor)
    const length = fragmentLength(descriptor.length, descriptor.dataCount)
    return this.#oneWhole(async () => {
      const lost = new Map<number, SeatFailure>()
      const signal = AbortSignal.timeout(REQUEST_MS * 2)
      const fragments = await this.#anyFragments(job.ref, descriptor, job.seats, 0, length, lost, true, signal)
      const rebuilt = this.#codeFor(descriptor).rebuild(fragments, job.seats)
      const receipts: SeatReceipt[] = []
      const failures: SeatFailure[] = []
      for (const [i, seat] of job.seats.entries()) {
        const session = this.#sessions.of(job.ref.place.peerKeys[seat]!)
        try {
          if (!session) throw new CodedError('NOT_CONNECTED')
          const id = descriptor.fragmentIds[seat]!
          // What is put is what the chain knows, or nothing: a wrong code must not spread.
          if (!equalBytes(fragmentIdOf(rebuilt[i]!), id)) throw new CodedError('REBUILD_DIFFERS')
          const put = putFragment(session, job.ref.place, seat, id, job.ref.descriptor, rebuilt[i]!, signal)
          receipts.push(this.#receipt(job.ref.place, seat, root, await put.promise))
        } catch (error) {
          failures.push({ seat, code: codeOf(error) })
        }
      }
      return { receipts, failures }
    })
  }

  /** Puts the fragments that seats hold on the same seats again, which is free of effect, for their receipts. */
  async receipts(ref: SegmentRef): Promise<SeatReceipt[]> {
    const descriptor = decodeDescriptor(ref.descriptor)
    const root = segmentRoot(descriptor)
    const length = fragmentLength(descriptor.length, descriptor.dataCount)
    const receipts: SeatReceipt[] = []
    await this.#oneWhole(async () => {
      for (const [seat, id] of descriptor.fragmentIds.entries()) {
        const session = this.#sessions.of(ref.place.peerKeys[seat]!)
        if (!session) continue
        try {
          const signal = AbortSignal.timeout(REQUEST_MS)
          const bytes = await this.#fetch(ref, descriptor, seat, 0, length, true, signal)
          const put = putFragment(session, ref.place, seat, id, ref.descriptor, bytes, signal)
          receipts.push(this.#receipt(ref.place, seat, root, await put.promise))
        } catch {
          // One receipt less: the caller counts.
        }
      }
    })
    return receipts
  }

  #codeFor(descriptor: SegmentDescriptor): ErasureCode {
    return this.#codeOf(descriptor.codec, descriptor.dataCount, descriptor.fragmentIds.length)
  }

  #codeOf(codec: number, dataCount: number, seatCount: number): ErasureCode {
    const name = `${codec} ${dataCount} ${seatCount}`
    let code = this.#codes.get(name)
    if (!code) {
      code = ErasureCode.create({ dataCount, parityCount: seatCount - dataCount, codec: codec as Codec })
      this.#codes.set(name, code)
    }
    return code
  }
}

class CodedError extends Error {
  readonly code: string
  constructor(code: string) {
    super(code)
    this.code = code
  }
}

function codeOf(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: string }
  return typeof code === 'string' ? code : (name ?? 'FAILED')
}

/** Failures that mean the seat does not have the fragment, or not this one: what repair is for. */
const LOST = new Set(['CORRUPT', 'WRONG_FRAGMENT', 'WRONG_LENGTH', 'NOT_FOUND', 'FRAGMENT_CORRUPT'])

export function isLost(failure: SeatFailure | undefined): boolean {
  return failure !== undefined && LOST.has(failure.code)
}

function putFragment(
  session: NonNullable<ReturnType<SeatSessions['of']>>,
  place: StripePlace,
  seat: number,
  id: Uint8Array,
  descriptor: Uint8Array,
  body: Uint8Array,
  signal: AbortSignal,
): { promise: Promise<Uint8Array> } {
  const { group, stripe } = place
  const limit = AbortSignal.any([signal, AbortSignal.timeout(REQUEST_MS)])
  const frame = { group, stripe, seat, hash: id, meta: descriptor, body }
  return { promise: session.request(FrameOp.put, frame, { signal: limit }).then((reply) => reply.meta) }
}

function copyRange(
  fragments: readonly Uint8Array[],
  length: number,
  start: number,
  end: number,
  target: Uint8Array,
): void {
  for (let at = start; at < end; ) {
    const index = Math.floor(at / length)
    const to = Math.min(end, (index + 1) * length)
    target.set(fragments[index]!.subarray(at - index * length, to - index * length), at - start)
    at = to
  }
}

/** Not zeroed: every byte is written or the whole is thrown away. Its memory is its own, so that it can be transferred. */
function uninitialized(length: number): Uint8Array<ArrayBuffer> {
  return Buffer.allocUnsafeSlow(length)
}

function placeName(place: StripePlace): string {
  return `${place.group}/${place.stripe}`
}

/** `done`, the error, or `slow` after `ms`. */
async function outcome(promise: Promise<unknown>, ms: number): Promise<'done' | 'slow' | Error> {
  let timer: NodeJS.Timeout | undefined
  const settled = promise.then(
    () => 'done' as const,
    (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
  )
  const slow = new Promise<'slow'>((resolve) => {
    timer = setTimeout(() => resolve('slow'), ms)
  })
  try {
    return await Promise.race([settled, slow])
  } finally {
    clearTimeout(timer)
  }
}

/** Waits until one of `running` settles, at most `ms`. */
async function wakeAfter(ms: number, running: Iterable<Promise<void>>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([timeout, ...running])
  clearTimeout(timer)
}
