import { equalBytes } from '@cumulus/bytes'
import { FrameOp, type Session } from '@cumulus/network'
import type { StorageClass } from '@cumulus/params'
import { type Logger, sleep } from '@cumulus/service'
import { decodeDescriptor, fragmentIdOf, fragmentLength, type SegmentDescriptor, segmentRoot } from '@cumulus/storage'
import type { MinerSessions } from './miner-sessions.ts'
import type { StripeKey } from './tag-records.ts'

export interface FetchedSegment {
  readonly descriptor: SegmentDescriptor
  /** k of them, each as its id says; any seats. */
  readonly fragments: readonly { readonly seat: number; readonly bytes: Uint8Array<ArrayBuffer> }[]
}

/** Too few seats answered with what the chain says: to be tried again later. */
export class SegmentUnavailable extends Error {
  readonly code = 'SEGMENT_UNAVAILABLE'
  readonly found: number
  readonly needed: number
  constructor(found: number, needed: number) {
    super(`${found} of ${needed} fragments could be fetched`)
    this.name = 'SegmentUnavailable'
    this.found = found
    this.needed = needed
  }
}

export interface FetcherInit {
  /** After so long without an answer another seat is asked as well. Default 2 s. */
  readonly hedgeMs?: number
  /** A fragment that takes longer is given up. Default 60 s: 8 MiB at 1.1 Mbit/s. */
  readonly fragmentMs?: number
  /** A seat that has not shown the descriptor after so long is passed over. Default 5 s. */
  readonly describeMs?: number
}

const DESCRIBE_MS = 5_000
/** Seats asked for the descriptor at once. */
const DESCRIBING_COUNT = 3

/** Gets k fragments of a stripe from whichever of its seats are there, data seats first, and takes nobody's word for them. */
export class SegmentFetcher {
  readonly #sessions: MinerSessions
  readonly #log: Logger
  readonly #hedgeMs: number
  readonly #fragmentMs: number
  readonly #describeMs: number

  constructor(components: { sessions: MinerSessions; log: Logger }, init: FetcherInit = {}) {
    this.#sessions = components.sessions
    this.#log = components.log
    this.#hedgeMs = init.hedgeMs ?? 2_000
    this.#fragmentMs = init.fragmentMs ?? 60_000
    this.#describeMs = init.describeMs ?? DESCRIBE_MS
  }

  /**
   * @param root what the certified chain has for this stripe: only a descriptor with this root counts
   * @throws SegmentUnavailable if fewer than k seats have what they should
   */
  async fetch(
    key: StripeKey,
    root: Uint8Array,
    peerKeys: readonly Uint8Array[],
    kind: StorageClass,
    signal: AbortSignal,
  ): Promise<FetchedSegment> {
    const seats = peerKeys.flatMap((peerKey, seat) => {
      const session = this.#sessions.of(peerKey)
      return session ? [{ seat, session }] : []
    })
    if (seats.length < kind.dataCount) throw new SegmentUnavailable(seats.length, kind.dataCount)
    const descriptor = await this.#describe(key, root, seats, kind, signal)
    if (!descriptor) throw new SegmentUnavailable(0, kind.dataCount)
    return { descriptor, fragments: await this.#fragments(key, descriptor, seats, signal) }
  }

  /** A few seats at a time are asked until one shows the descriptor of this root. The others need not answer any more. */
  async #describe(
    { group, stripe }: StripeKey,
    root: Uint8Array,
    seats: readonly Seat[],
    kind: StorageClass,
    signal: AbortSignal,
  ): Promise<SegmentDescriptor | undefined> {
    const enough = new AbortController()
    const running = AbortSignal.any([signal, enough.signal])
    const waiting = [...seats]
    let found: SegmentDescriptor | undefined
    const ask = async (): Promise<void> => {
      for (let next = waiting.shift(); next && !running.aborted; next = waiting.shift()) {
        const { seat, session } = next
        try {
          const patience = AbortSignal.any([running, AbortSignal.timeout(this.#describeMs)])
          const { meta } = await session.request(FrameOp.describe, { group, stripe, seat }, { signal: patience })
          const descriptor = decodeDescriptor(meta)
          if (!equalBytes(segmentRoot(descriptor), root)) throw new Error('the descriptor has another root')
          found ??= descriptor
          enough.abort(new Error('the segment is described'))
        } catch (error) {
          if (!running.aborted) this.#log.debug('a seat did not describe a segment', { group, stripe, seat, error })
        }
      }
    }
    await Promise.all(Array.from({ length: DESCRIBING_COUNT }, ask))
    signal.throwIfAborted()
    // What the root commits to may still be nonsense: then nobody can show anything else either.
    return found && isOfClass(found, kind) ? found : undefined
  }

  /** k requests at once; one more whenever one fails or is slow. The first k good answers win. */
  async #fragments(
    key: StripeKey,
    descriptor: SegmentDescriptor,
    seats: readonly Seat[],
    signal: AbortSignal,
  ): Promise<FetchedSegment['fragments']> {
    const wanted = descriptor.dataCount
    const enough = new AbortController()
    const running = AbortSignal.any([signal, enough.signal])
    const waiting = [...seats]
    const found: { seat: number; bytes: Uint8Array<ArrayBuffer> }[] = []
    const done = Promise.withResolvers<void>()
    let asking = 0
    const askNext = (): void => {
      const next = waiting.shift()
      if (!next) {
        if (asking === 0) done.resolve()
        return
      }
      asking++
      const hedge = new AbortController()
      sleep(this.#hedgeMs, AbortSignal.any([running, hedge.signal])).then(
        () => {
          if (waiting.length > 0) askNext()
        },
        () => undefined, // answered in time
      )
      void this.#fragment(key, descriptor, next, running)
        .then((bytes) => {
          if (found.length < wanted) found.push({ seat: next.seat, bytes })
        })
        .catch((error: unknown) => {
          if (running.aborted) return
          this.#log.debug('a seat did not give its fragment', { ...key, seat: next.seat, error })
          askNext()
        })
        .finally(() => {
          hedge.abort()
          asking--
          const asksNoMore = waiting.length === 0 || running.aborted
          if (found.length === wanted || (asksNoMore && asking === 0)) done.resolve()
        })
    }
    for (let i = 0; i < wanted; i++) askNext()
    try {
      await done.promise
    } finally {
      enough.abort(new Error('enough fragments'))
    }
    signal.throwIfAborted()
    if (found.length < wanted) throw new SegmentUnavailable(found.length, wanted)
    return found
  }

  async #fragment(
    { group, stripe }: StripeKey,
    descriptor: SegmentDescriptor,
    { seat, session }: Seat,
    running: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const into = new Uint8Array(fragmentLength(descriptor.length, descriptor.dataCount))
    const signal = AbortSignal.any([running, AbortSignal.timeout(this.#fragmentMs)])
    const { body } = await session.request(FrameOp.get, { group, stripe, seat }, { into, signal })
    if (body.length !== into.length || !equalBytes(fragmentIdOf(body), descriptor.fragmentIds[seat]!)) {
      throw new Error('these are not the bytes of the fragment')
    }
    return body.buffer === into.buffer ? into : new Uint8Array(body)
  }
}

interface Seat {
  readonly seat: number
  readonly session: Session
}

function isOfClass(descriptor: SegmentDescriptor, kind: StorageClass): boolean {
  const { classId, dataCount, fragmentIds, length } = descriptor
  const fits = classId === kind.id && dataCount === kind.dataCount && fragmentIds.length === kind.seatCount
  return fits && length > 0 && fragmentLength(length, dataCount) <= kind.fragmentBytes
}
