import { ByteWriter, bytesToPlainHex } from '@cumulus/bytes'
import { FrameOp, RemoteError } from '@cumulus/network'
import { type Logger, sleep } from '@cumulus/service'
import type { SeatSessions } from '../segments/seat-sessions.ts'
import type { PackLog } from './pack-log.ts'

/** A seat that may keep a log: a member of a group in which this gateway holds a reservation for the territory. */
export interface LogSeat {
  readonly peerKey: Uint8Array
  readonly group: number
  readonly stripe: number
  readonly seat: number
}

/** Copies of a log besides the gateway's own. With the gateway that makes four: as many as a segment survives losses for reading. */
export const LOG_COPIES = 3
/** One append; logs travel in frames. */
const APPEND_BYTES_MAX = 4 * 2 ** 20
/** A seat that takes longer is replaced. */
const APPEND_MS = 5_000
/** With no seat left to try, a write waits so long for miners to reconnect. */
const RECONNECT_MS = 3_000
/** Past this the write is refused. */
const SHIP_MS = 15_000

interface Follower {
  readonly seat: LogSeat
  readonly name: string
  /** Bytes known to be durable there; undefined = ask. */
  ackedBytes: number
}

/** Fewer than three seats could be had. */
export class TooFewSeatsError extends Error {
  readonly code = 'TOO_FEW_LOG_SEATS'
  constructor(count: number) {
    super(`${count} of ${LOG_COPIES} seats take the log`)
    this.name = 'TooFewSeatsError'
  }
}

/**
 * Keeps three seats up to a log's end. A follower that fails is replaced by another seat, which gets the log from its
 * start; so the set heals by itself, and the only state is how far each has confirmed.
 */
export class LogFollowers {
  readonly #log: PackLog
  readonly #logId: Uint8Array
  readonly #sessions: SeatSessions
  readonly #candidates: () => Promise<LogSeat[]>
  readonly #logger: Logger
  #followers: Follower[] = []
  /** Every peer that may hold bytes of this log. */
  readonly peers = new Map<string, Uint8Array>()

  constructor(components: {
    log: PackLog
    logId: Uint8Array
    sessions: SeatSessions
    candidates: () => Promise<LogSeat[]>
    logger: Logger
    /** Peers of an earlier run. */
    peers?: readonly Uint8Array[]
  }) {
    this.#log = components.log
    this.#logId = components.logId
    this.#sessions = components.sessions
    this.#candidates = components.candidates
    this.#logger = components.logger
    for (const peer of components.peers ?? []) this.peers.set(bytesToPlainHex(peer), peer)
  }

  /**
   * Resolves when three seats hold the log up to `end`.
   *
   * @param tail the last bytes of the log if the caller has them, to save reading them again
   * @throws TooFewSeatsError
   */
  async ship(end: number, tail?: Uint8Array): Promise<void> {
    const deadline = AbortSignal.timeout(SHIP_MS)
    const failed = new Set<string>()
    let noneSinceMs: number | undefined
    for (;;) {
      if (this.#followers.length < LOG_COPIES) await this.#recruit(failed)
      await Promise.all(
        this.#followers.map((follower) =>
          this.#catchUp(follower, end, tail, deadline).catch((error: unknown) => {
            this.#logger.warn('log seat replaced', { peer: follower.name.slice(0, 16), error })
            failed.add(follower.name)
            this.#followers = this.#followers.filter((other) => other !== follower)
          }),
        ),
      )
      const count = this.#followers.length
      if (count >= LOG_COPIES) return
      if (deadline.aborted) throw new TooFewSeatsError(count)
      if ((await this.#connectedCandidates(failed)).length === 0) {
        // Perhaps they are just reconnecting: a second chance, within the time there is.
        noneSinceMs ??= performance.now()
        if (performance.now() - noneSinceMs > RECONNECT_MS) throw new TooFewSeatsError(count)
        failed.clear()
        await sleep(200, deadline).catch(() => {})
      }
    }
  }

  /** Deletes the log at all peers that may hold it. @returns peers that could not be asked */
  async drop(): Promise<Uint8Array[]> {
    return dropLog(this.#sessions, this.#logId, [...this.peers.values()])
  }

  async #recruit(failed: ReadonlySet<string>): Promise<void> {
    const candidates = await this.#connectedCandidates(failed)
    // Those that hold the log already come first.
    candidates.sort((a, b) => Number(this.peers.has(b.name)) - Number(this.peers.has(a.name)))
    for (const candidate of candidates) {
      if (this.#followers.length >= LOG_COPIES) return
      this.#followers.push({ ...candidate, ackedBytes: 0 })
      this.peers.set(candidate.name, candidate.seat.peerKey)
    }
  }

  async #connectedCandidates(failed: ReadonlySet<string>): Promise<{ seat: LogSeat; name: string }[]> {
    const taken = new Set([...failed, ...this.#followers.map(({ name }) => name)])
    const candidates: { seat: LogSeat; name: string }[] = []
    for (const seat of await this.#candidates()) {
      const name = bytesToPlainHex(seat.peerKey)
      if (taken.has(name) || !this.#sessions.of(seat.peerKey)) continue
      taken.add(name)
      candidates.push({ seat, name })
    }
    return candidates
  }

  async #catchUp(follower: Follower, end: number, tail: Uint8Array | undefined, signal: AbortSignal): Promise<void> {
    const { seat } = follower
    const tailStart = end - (tail?.length ?? 0)
    let corrections = 0
    while (follower.ackedBytes < end) {
      const session = this.#sessions.of(seat.peerKey)
      if (!session) throw new Error('not connected')
      const start = follower.ackedBytes
      const stop = Math.min(end, start + APPEND_BYTES_MAX)
      const body =
        tail && start >= tailStart
          ? tail.subarray(start - tailStart, stop - tailStart)
          : await this.#log.slice(start, stop)
      try {
        const reply = await session.request(
          FrameOp.logAppend,
          {
            group: seat.group,
            stripe: seat.stripe,
            seat: seat.seat,
            hash: this.#logId,
            offset: start,
            meta: encodeLogContext(this.#log.header.territory),
            body,
          },
          { signal: AbortSignal.any([signal, AbortSignal.timeout(APPEND_MS)]) },
        )
        if (reply.offset < stop) throw new Error(`log has ${reply.offset} bytes after an append up to ${stop}`)
        follower.ackedBytes = stop
      } catch (error) {
        if (!(error instanceof RemoteError) || ++corrections > 3) throw error
        if (error.code === 'LOG_GAP' && typeof error.details['length'] === 'number') {
          follower.ackedBytes = Math.min(error.details['length'], start)
        } else if (error.code === 'LOG_CONFLICT') {
          // Bytes of an earlier run that were never acknowledged: this copy starts again.
          await session.request(FrameOp.logDrop, { hash: this.#logId }, { signal })
          follower.ackedBytes = 0
        } else throw error
      }
    }
  }
}

/** Meta of `log-append`: territory u64. Nothing that may change: a log keeps its context for life. */
export function encodeLogContext(territory: bigint): Uint8Array {
  return new ByteWriter(16).u64(territory).finish()
}

/** @returns peers that could not be asked */
export async function dropLog(
  sessions: SeatSessions,
  logId: Uint8Array,
  peers: readonly Uint8Array[],
): Promise<Uint8Array[]> {
  const left: Uint8Array[] = []
  await Promise.all(
    peers.map(async (peer) => {
      const session = sessions.of(peer)
      try {
        if (!session) throw new Error('not connected')
        await session.request(FrameOp.logDrop, { hash: logId }, { signal: AbortSignal.timeout(APPEND_MS) })
      } catch (error) {
        // A miner that has no such log has done what was asked.
        if (!(error instanceof RemoteError && error.code.endsWith('NOT_FOUND'))) left.push(peer)
      }
    }),
  )
  return left
}
