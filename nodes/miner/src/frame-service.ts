import { ByteReader, DecodeError, equalBytes, utf8Encode } from '@cumulus/bytes'
import {
  type BodyBuffers,
  type FrameHandler,
  type FrameHandlers,
  type FrameMessage,
  FrameOp,
  type FrameReply,
  type PeerIdentity,
  RemoteError,
  type Session,
} from '@cumulus/network'
import type { Params, StorageClass } from '@cumulus/params'
import { type Logger, ServiceError } from '@cumulus/service'
import {
  decodeDescriptor,
  deletionMessage,
  fragmentIdOfPieces,
  fragmentLength,
  pieceHashes,
  receiptMessage,
  type SegmentDescriptor,
  segmentRoot,
} from '@cumulus/storage'
import { type AppendLogs, type SlabStore, StoreError } from '@cumulus/store'
import { type GroupId, groupId, type Seat, type StripeNumber, seat, stripeNumber } from '@cumulus/types'
import type { Authority } from './authority.ts'
import { helloMeta } from './hello.ts'
import type { MinerMetrics } from './metrics.ts'
import type { TagService } from './tag-service.ts'

export interface FrameServiceComponents {
  readonly store: SlabStore
  readonly logs: AppendLogs
  readonly authority: Authority
  readonly tags: TagService
  /** Somebody came upon a damaged fragment. */
  readonly onDamaged: () => void
  readonly identity: PeerIdentity
  readonly params: Params
  readonly metrics: MinerMetrics
  readonly log: Logger
}

/** A log is read in parts of this size at most. */
const LOG_READ_BYTES_MAX = 4 * 2 ** 20
/** Logs named in one answer: 64 KiB of meta. */
const LOGS_LISTED_MAX = 400
/** Smaller bodies are not worth an aligned buffer. */
const ALIGNED_BYTES_MIN = 64 * 2 ** 10

interface Place {
  readonly group: GroupId
  readonly stripe: StripeNumber
  readonly seat: Seat
}

/** Answers gateways and TEE workers. Refuses before it works: what is cheap to check is checked first. */
export class FrameService {
  readonly #store: SlabStore
  readonly #logs: AppendLogs
  readonly #authority: Authority
  readonly #tags: TagService
  readonly #onDamaged: () => void
  readonly #identity: PeerIdentity
  readonly #params: Params
  readonly #metrics: MinerMetrics
  readonly #log: Logger

  constructor(components: FrameServiceComponents) {
    this.#store = components.store
    this.#logs = components.logs
    this.#authority = components.authority
    this.#tags = components.tags
    this.#onDamaged = components.onDamaged
    this.#identity = components.identity
    this.#params = components.params
    this.#metrics = components.metrics
    this.#log = components.log
  }

  get handlers(): FrameHandlers {
    const named = (name: string, handler: FrameHandler): FrameHandler => this.#guarded(name, handler)
    return {
      [FrameOp.hello]: () => ({ meta: helloMeta(this.#params.chainId) }),
      [FrameOp.put]: named('put', (frame, session) => this.#put(frame, session)),
      [FrameOp.get]: named('get', (frame, session) => this.#get(frame, session)),
      [FrameOp.describe]: named('describe', (frame, session) => this.#describe(frame, session)),
      [FrameOp.putTags]: named('put-tags', (frame, session) => this.#tags.put(placeOf(frame), frame, session)),
      [FrameOp.getTags]: named('get-tags', (frame, session) => this.#tags.get(placeOf(frame), session)),
      [FrameOp.delete]: named('delete', (frame, session) => this.#delete(frame, session)),
      [FrameOp.logAppend]: named('log-append', (frame, session) => this.#logAppend(frame, session)),
      [FrameOp.logRead]: named('log-read', (frame, session) => this.#logRead(frame, session)),
      [FrameOp.logList]: named('log-list', (frame, session) => this.#logList(frame, session)),
      [FrameOp.logDrop]: named('log-drop', (frame, session) => this.#logDrop(frame, session)),
    }
  }

  /** Fragments arrive where the disk can take them from. */
  get bodyBuffers(): BodyBuffers {
    const { pool } = this.#store
    return {
      take: ({ op, bodyBytes }) => (op === FrameOp.put && bodyBytes >= ALIGNED_BYTES_MIN ? pool.tryTake() : undefined),
      giveBack: (buffer) => pool.give(buffer),
    }
  }

  async #put(frame: FrameMessage, session: Session): Promise<FrameReply> {
    const startedAtMs = performance.now()
    try {
      const gateway = this.#authority.gateway(session.peerKey)
      const place = placeOf(frame)
      const group = await this.#authority.seat(place.group, place.seat)
      let descriptor: SegmentDescriptor | undefined
      let root: Uint8Array | undefined
      const rootOf = (): Uint8Array => {
        descriptor ??= decodeDescriptor(frame.meta)
        root ??= segmentRoot(descriptor)
        return root
      }
      await this.#authority.put(gateway, place.group, place.stripe, rootOf)
      const checkedRoot = rootOf()
      this.#checkDescriptor(descriptor!, group.classId, frame)
      const hashes = pieceHashes(frame.body)
      if (!equalBytes(fragmentIdOfPieces(hashes), frame.hash)) {
        throw new RemoteError('HASH_MISMATCH', 'the body is not the fragment that the header names', { ...place })
      }
      await this.#store.put(place, {
        bytes: frame.body,
        fragmentId: frame.hash,
        segmentRoot: checkedRoot,
        descriptor: frame.meta,
        pieceHashes: hashes,
      })
      this.#metrics.putBytes.inc(frame.body.length)
      // The receipt is signed after the fragment is durable, never before.
      const message = receiptMessage(this.#params.chainId, { ...place, segmentRoot: checkedRoot })
      return { hash: checkedRoot, meta: this.#identity.sign(message) }
    } finally {
      this.#store.pool.give(frame.body)
      this.#metrics.putSeconds.observe((performance.now() - startedAtMs) / 1000)
    }
  }

  #checkDescriptor(descriptor: SegmentDescriptor, groupClass: number, frame: FrameMessage): void {
    const { classId, dataCount, fragmentIds, length } = descriptor
    const kind: StorageClass | undefined = Object.values(this.#params.classes).find(({ id }) => id === classId)
    if (!kind || classId !== groupClass || dataCount !== kind.dataCount || fragmentIds.length !== kind.seatCount) {
      throw new RemoteError('WRONG_CLASS', 'the segment is not of the class of its group', { classId, groupClass })
    }
    const named = fragmentIds[frame.seat]
    if (!named || !equalBytes(named, frame.hash)) {
      throw new RemoteError('HASH_MISMATCH', 'the descriptor names another fragment for this seat', {
        seat: frame.seat,
      })
    }
    const expected = fragmentLength(length, dataCount)
    if (length === 0 || expected > kind.fragmentBytes || frame.body.length !== expected) {
      const details = { expected, bodyBytes: frame.body.length, fragmentBytes: kind.fragmentBytes }
      throw new RemoteError('WRONG_LENGTH', 'the body is not as long as the descriptor says', details)
    }
  }

  async #get(frame: FrameMessage, session: Session): Promise<FrameReply> {
    this.#authority.reader(session.peerKey)
    const length = frame.meta.length === 0 ? 0 : readExactly(frame.meta, (reader) => reader.u32())
    const range = await this.#store.read(placeOf(frame), { offset: frame.offset, length })
    this.#metrics.getBytes.inc(range.bytes.length)
    return { hash: range.info.fragmentId, body: range.bytes, release: range.release }
  }

  #describe(frame: FrameMessage, session: Session): FrameReply {
    this.#authority.reader(session.peerKey)
    const info = this.#store.info(placeOf(frame))
    if (!info) throw new RemoteError('NOT_FOUND', 'there is no such fragment')
    if (info.corrupt) throw new RemoteError('FRAGMENT_CORRUPT', 'the fragment is damaged: put it again')
    return { hash: info.fragmentId, meta: info.descriptor, body: info.pieceHashes }
  }

  async #delete(frame: FrameMessage, session: Session): Promise<FrameReply> {
    this.#authority.gateway(session.peerKey)
    const place = placeOf(frame)
    await this.#authority.seat(place.group, place.seat)
    const stripe = await this.#authority.freshStripe(place.group, place.stripe)
    if (stripe.state !== 'released') {
      throw new RemoteError('NOT_RELEASED', 'the chain has not released this stripe', { state: stripe.state })
    }
    const root = this.#store.info(place)?.segmentRoot ?? stripe.root
    if (await this.#store.delete(place)) this.#metrics.freed.inc({ reason: 'asked' })
    return { meta: this.#identity.sign(deletionMessage(this.#params.chainId, { ...place, segmentRoot: root })) }
  }

  async #logAppend(frame: FrameMessage, session: Session): Promise<FrameReply> {
    const gateway = this.#authority.gateway(session.peerKey)
    if (frame.meta.length < 8) throw new RemoteError('MALFORMED', 'a log context begins with the territory')
    const territory = new ByteReader(frame.meta).u64()
    const note = frame.meta.subarray(8)
    if (note.length > 4096) throw new RemoteError('MALFORMED', 'a log context has at most 4 KiB')
    await this.#authority.territory(territory, gateway)
    if (frame.group > 0) await this.#authority.seat(frame.group, frame.seat)
    const length = await this.#logs.append(frame.hash, { territory, note }, frame.offset, frame.body)
    this.#metrics.logBytes.inc(frame.body.length)
    return { offset: length }
  }

  async #logRead(frame: FrameMessage, session: Session): Promise<FrameReply> {
    await this.#ownLog(frame, session)
    const wanted = frame.meta.length === 0 ? 0 : readExactly(frame.meta, (reader) => reader.u32())
    const length = Math.min(wanted || LOG_READ_BYTES_MAX, LOG_READ_BYTES_MAX)
    return { body: await this.#logs.read(frame.hash, frame.offset, length) }
  }

  async #logList(frame: FrameMessage, session: Session): Promise<FrameReply> {
    const gateway = this.#authority.gateway(session.peerKey)
    const territory = readExactly(frame.meta, (reader) => reader.u64())
    await this.#authority.territory(territory, gateway)
    const logs = this.#logs.list(territory).slice(0, LOGS_LISTED_MAX)
    const list = logs.map(({ logId, bytes }) => ({ logId: logId.toHex(), territory: String(territory), bytes }))
    return { meta: utf8Encode(JSON.stringify(list)) }
  }

  async #logDrop(frame: FrameMessage, session: Session): Promise<FrameReply> {
    await this.#ownLog(frame, session)
    await this.#logs.drop(frame.hash)
    return {}
  }

  async #ownLog(frame: FrameMessage, session: Session): Promise<void> {
    const gateway = this.#authority.gateway(session.peerKey)
    const info = this.#logs.info(frame.hash)
    if (!info) throw new RemoteError('LOG_NOT_FOUND', 'there is no such log')
    await this.#authority.territory(info.context.territory, gateway)
  }

  /** Counts outcomes, and tells the peer why in words it may know. */
  #guarded(op: string, handler: FrameHandler): FrameHandler {
    return async (frame, session) => {
      try {
        const reply = await handler(frame, session)
        this.#metrics.requests.inc({ op, code: 'ok' })
        return reply
      } catch (error) {
        const refusal = asRefusal(error)
        this.#metrics.requests.inc({ op, code: refusal?.code ?? 'INTERNAL' })
        if (refusal?.code === 'FRAGMENT_CORRUPT') {
          this.#metrics.corrupt.inc()
          this.#onDamaged()
        }
        if (!refusal || refusal.code === 'IO_FAILED') {
          this.#log.error('a request failed', { op, peer: session.peerId, error })
        } else {
          this.#log.debug('a request was refused', { op, peer: session.peerId, code: refusal.code })
        }
        throw refusal ?? error
      }
    }
  }
}

/** Store codes that tell a gateway what to do; the others are `IO_FAILED` to it. */
const passedOn = new Set<string>([
  'NOT_FOUND',
  'OUT_OF_RANGE',
  'FRAGMENT_CORRUPT',
  'FRAGMENT_EXISTS',
  'NO_SPACE',
  'DISK_FULL',
  'LOG_GAP',
  'LOG_CONFLICT',
  'LOG_SPACE_FULL',
  'LOG_NOT_FOUND',
  'OVERLOADED',
])

function asRefusal(error: unknown): RemoteError | undefined {
  if (error instanceof RemoteError) return error
  if (error instanceof DecodeError) return new RemoteError('MALFORMED', error.message)
  if (error instanceof StoreError) {
    if (passedOn.has(error.code)) return new RemoteError(error.code, error.message, numbersOf(error.details))
    if (error.code === 'DATABASE_FULL') return new RemoteError('NO_SPACE', 'the index is full')
    if (error.code === 'DATABASE_BUSY') return new RemoteError('OVERLOADED', 'too much waits to be written')
    if (error.code === 'CLOSED') return new RemoteError('STOPPING', 'the miner is stopping')
    return new RemoteError('IO_FAILED', 'the disk failed')
  }
  if (error instanceof ServiceError) return new RemoteError(error.code, error.message)
  // ChainError has codes of its own, and all mean the same here: nobody can tell whether this is allowed.
  if (error instanceof Error && error.name === 'ChainError') {
    return new RemoteError('CHAIN_UNREACHABLE', 'the miner cannot ask the chain')
  }
  return undefined
}

/** Paths stay at home. */
function numbersOf(details: Readonly<Record<string, unknown>>): Record<string, number> {
  return Object.fromEntries(Object.entries(details).filter(([, value]) => typeof value === 'number')) as Record<
    string,
    number
  >
}

/** @throws RemoteError MALFORMED */
function placeOf(frame: FrameMessage): Place {
  try {
    return { group: groupId(frame.group), stripe: stripeNumber(frame.stripe), seat: seat(frame.seat) }
  } catch (error) {
    throw new RemoteError('MALFORMED', (error as Error).message)
  }
}

function readExactly<Value>(meta: Uint8Array, read: (reader: ByteReader) => Value): Value {
  const reader = new ByteReader(meta)
  const value = read(reader)
  reader.end()
  return value
}
