import { DecodeError, equalBytes } from '@cumulus/bytes'
import { type HashedHeader, type LedgerStore, readRawBlock } from '@cumulus/ledger'
import {
  type FrameHandler,
  type FrameHandlers,
  type FrameMessage,
  FrameOp,
  RemoteError,
  type Session,
} from '@cumulus/network'
import { Counter, Gauge, type Metrics } from '@cumulus/service'
import type { CertificateSource } from './finality.ts'
import { RateLimit, type RateLimits } from './rate-limit.ts'
import {
  BLOCKS_PER_REPLY_MAX,
  type BlockRecord,
  type ChainStatus,
  decodeRangeLimits,
  decodeStatusQuestion,
  decodeTransactions,
  encodeChainStatus,
  encodeRecords,
  encodeVerdicts,
  HEADERS_PER_REPLY_MAX,
  REPLY_BYTES_MAX,
  recordBytes,
  STATUS_WAIT_MS_MAX,
  type TransactionVerdict,
} from './wire.ts'

type Awaitable<Value> = Value | Promise<Value>

/** The chain as this service sees it. A `Ledger` is one. */
export interface ServedChain {
  readonly head: HashedHeader
  readonly genesisHash: Uint8Array
}

export interface BlockServiceComponents {
  readonly chain: ServedChain
  /** Where the chain lies: blocks go out as they are stored. */
  readonly store: LedgerStore
  /** Absent in a network without a committee: then every stored block is served. */
  readonly certificates?: CertificateSource
  /** Takes transactions that a peer sends; absent: they are refused. */
  readonly transactions?: (raws: readonly Uint8Array[], peer: Session) => Awaitable<readonly TransactionVerdict[]>
  /** Whether this node takes part in ordering: transactions are best sent here. */
  readonly isOrdering?: boolean
  /** More handlers that count toward the limits: snapshots. */
  readonly handlers?: FrameHandlers
  readonly metrics?: Metrics
}

export interface BlockServiceLimits {
  /** For each peer, whatever the number of its sessions. */
  readonly rate: RateLimits
  /** Bytes of answers that are not sent yet, over all peers. */
  readonly unsentBytesMax: number
  /** Peers that wait for news, in all; and questions of one peer. */
  readonly waitersMax: number
  readonly waitersPerPeerMax: number
  /** Peers whose use is remembered. */
  readonly peersMax: number
}

export const defaultBlockServiceLimits: BlockServiceLimits = {
  // A follower at the tip asks twice a block, some 40 times a second; one that catches up asks for 8 MiB a few times.
  rate: { requestsPerSecond: 200, requestBurst: 400, bytesPerSecond: 32 * 2 ** 20, byteBurst: 128 * 2 ** 20 },
  unsentBytesMax: 128 * 2 ** 20,
  waitersMax: 1_024,
  waitersPerPeerMax: 4,
  peersMax: 4_096,
}

interface Waiter {
  readonly session: Session
  readonly answer: () => void
}

/**
 * Serves the chain to whoever follows it, as handlers for any listener or link: `{ ...own, ...service.handlers }`.
 * Blocks go out as they lie in the store, without being decoded. Whoever stores blocks or certificates says so by
 * `announce`.
 */
export class BlockService {
  readonly handlers: FrameHandlers
  readonly #components: BlockServiceComponents
  readonly #limits: BlockServiceLimits
  readonly #metrics: ReturnType<typeof createServiceMetrics> | undefined
  /** By peer id, last used last. */
  readonly #rates = new Map<string, RateLimit>()
  readonly #waiters = new Set<Waiter>()
  readonly #watched = new WeakSet<Session>()
  #lowest = 0n
  #unsentBytes = 0

  constructor(components: BlockServiceComponents, limits: Partial<BlockServiceLimits> = {}) {
    this.#components = components
    this.#limits = { ...defaultBlockServiceLimits, ...limits }
    this.#metrics = components.metrics && createServiceMetrics(components.metrics, this)
    const extra = Object.entries(components.handlers ?? {}).map(([op, handler]) => [op, this.#limited(handler)])
    this.handlers = {
      [FrameOp.chainStatus]: (frame, session) => this.#chainStatus(frame, session),
      [FrameOp.getBlocks]: this.#limited((frame) => this.#getBlocks(frame)),
      [FrameOp.getHeaders]: this.#limited((frame) => this.#getHeaders(frame)),
      [FrameOp.sendTransactions]: this.#limited((frame, session) => this.#sendTransactions(frame, session)),
      ...Object.fromEntries(extra),
    }
  }

  /** Bytes of answers on their way. */
  get unsentBytes(): number {
    return this.#unsentBytes
  }

  /** Peers that wait for news. */
  get waiting(): number {
    return this.#waiters.size
  }

  /** Tells peers that wait: there is a new head, or a new certificate. */
  announce(): void {
    for (const { answer } of [...this.#waiters]) answer()
  }

  /** How far this node is, as others hear it. */
  status(): ChainStatus {
    const { chain, isOrdering = false, certificates } = this.#components
    const { number: height, hash: headHash } = chain.head
    const certified = this.#servedHeight()
    const isCertified = certificates !== undefined
    return {
      isCertified,
      isOrdering,
      height,
      certified,
      lowest: this.#lowest,
      headHash,
      genesisHash: chain.genesisHash,
    }
  }

  /** Blocks below `height` are not kept: this node began with a snapshot, or removed them. */
  setLowest(height: bigint): void {
    this.#lowest = height
  }

  /** Highest block that others may follow. */
  #servedHeight(): bigint {
    const { chain, certificates } = this.#components
    const head = chain.head.number
    if (!certificates) return head
    const highest = certificates.highest ?? 0n
    return highest < head ? highest : head
  }

  async #chainStatus(frame: FrameMessage, session: Session) {
    const { chain } = this.#components
    if (!equalBytes(frame.hash, chain.genesisHash)) {
      throw new RemoteError('OTHER_CHAIN', 'this node follows the chain of another genesis')
    }
    this.#requireRate(session)
    const question = decoded(() => decodeStatusQuestion(frame.meta))
    const isNews = () => chain.head.number !== question.height || this.#servedHeight() !== question.certified
    if (question.waitMs > 0 && !isNews()) await this.#news(session, Math.min(question.waitMs, STATUS_WAIT_MS_MAX))
    return { meta: encodeChainStatus(this.status()) }
  }

  /** Resolves when something happened, or the time is over, or others wait more urgently. */
  #news(session: Session, waitMs: number): Promise<void> {
    const { waitersMax, waitersPerPeerMax } = this.#limits
    const same = [...this.#waiters].filter((waiter) => waiter.session.peerId === session.peerId)
    if (same.length >= waitersPerPeerMax) same[0]!.answer()
    if (this.#waiters.size >= waitersMax) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(() => waiter.answer(), waitMs)
      const waiter: Waiter = {
        session,
        answer: () => {
          clearTimeout(timer)
          this.#waiters.delete(waiter)
          resolve()
        },
      }
      this.#waiters.add(waiter)
      this.#forgetWithSession(session)
    })
  }

  /** One look at the end of a session, however many questions it brings. */
  #forgetWithSession(session: Session): void {
    if (this.#watched.has(session)) return
    this.#watched.add(session)
    void session.closed.then(() => {
      for (const waiter of [...this.#waiters]) if (waiter.session === session) waiter.answer()
    })
  }

  #getBlocks(frame: FrameMessage) {
    const limits = decoded(() => decodeRangeLimits(frame.meta))
    const countMax = Math.min(limits.count, BLOCKS_PER_REPLY_MAX)
    const bytesMax = Math.min(limits.bytes, REPLY_BYTES_MAX)
    const records: BlockRecord[] = []
    let bytes = 0
    let certifiedCount = 0
    for (let height = this.#firstHeight(frame); records.length < countMax && height <= this.#servedHeight(); height++) {
      const record = this.#record(height)
      bytes += recordBytes(record)
      if (bytes > bytesMax && records.length > 0) break
      // One block alone may be larger than the asker likes, never than a frame.
      if (bytes > REPLY_BYTES_MAX) throw new RemoteError('TOO_LARGE', `block ${height} does not fit into a frame`)
      records.push(record)
      if (record.certificate) certifiedCount = records.length
    }
    // An answer that ends with a certificate needs no further question.
    const kept = certifiedCount > 0 ? records.slice(0, certifiedCount) : records
    this.#metrics?.blocks.inc(kept.length)
    return { offset: frame.offset, ...encodeRecords(kept) }
  }

  #getHeaders(frame: FrameMessage) {
    const limits = decoded(() => decodeRangeLimits(frame.meta))
    const countMax = Math.min(limits.count, HEADERS_PER_REPLY_MAX)
    const bytesMax = Math.min(limits.bytes, REPLY_BYTES_MAX)
    const records: BlockRecord[] = []
    let bytes = 0
    for (let height = this.#firstHeight(frame); records.length < countMax && height <= this.#servedHeight(); height++) {
      const record = { ...this.#record(height), body: new Uint8Array(0) }
      bytes += recordBytes(record)
      if (bytes > bytesMax && records.length > 0) break
      records.push(record)
      if (record.certificate) break
    }
    return { offset: frame.offset, ...encodeRecords(records) }
  }

  #firstHeight(frame: FrameMessage): bigint {
    const first = BigInt(frame.offset)
    const highest = this.#servedHeight()
    if (first < this.#lowest || first > highest) {
      throw new RemoteError('NO_SUCH_BLOCK', `blocks ${this.#lowest} to ${highest} are kept`, {
        lowest: this.#lowest,
        highest,
      })
    }
    return first
  }

  #record(height: bigint): BlockRecord {
    const { store, certificates } = this.#components
    const raw = readRawBlock(store, height)
    if (!raw) throw new RemoteError('NO_SUCH_BLOCK', `block ${height} is not kept`)
    return { ...raw, certificate: certificates?.at(height) }
  }

  async #sendTransactions(frame: FrameMessage, session: Session) {
    const { transactions } = this.#components
    if (!transactions) throw new RemoteError('UNSUPPORTED', 'this node takes no transactions')
    const raws = decoded(() => decodeTransactions(frame.body))
    return { meta: encodeVerdicts(await transactions(raws, session)) }
  }

  /** Counts what a peer asks for and what is on its way to it. */
  #limited(handler: FrameHandler): FrameHandler {
    return async (frame, session) => {
      const rate = this.#requireRate(session)
      if (this.#unsentBytes >= this.#limits.unsentBytesMax) {
        this.#metrics?.refused.inc({ code: 'BUSY' })
        throw new RemoteError('BUSY', 'too much is on its way to others', { waitMs: 1_000 })
      }
      const reply = await handler(frame, session)
      const bytes = (reply.body?.length ?? 0) + (reply.meta?.length ?? 0)
      rate.spend(bytes + frame.body.length)
      this.#unsentBytes += bytes
      this.#metrics?.bytes.inc(bytes)
      return {
        ...reply,
        release: () => {
          this.#unsentBytes -= bytes
          reply.release?.()
        },
      }
    }
  }

  #requireRate({ peerId }: Session): RateLimit {
    const rate = this.#rates.get(peerId) ?? new RateLimit(this.#limits.rate)
    this.#rates.delete(peerId)
    this.#rates.set(peerId, rate)
    if (this.#rates.size > this.#limits.peersMax) this.#rates.delete(this.#rates.keys().next().value!)
    const waitMs = rate.request()
    if (waitMs > 0) {
      this.#metrics?.refused.inc({ code: 'RATE_LIMITED' })
      throw new RemoteError('RATE_LIMITED', 'too much in a short time', { waitMs })
    }
    return rate
  }
}

function decoded<Value>(decode: () => Value): Value {
  try {
    return decode()
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    throw new RemoteError('MALFORMED', error.message)
  }
}

function createServiceMetrics(metrics: Metrics, service: BlockService) {
  const registers = [metrics]
  new Gauge({
    name: 'cumulus_node_serving_unsent_bytes',
    help: 'Bytes of blocks and snapshots on their way to peers',
    registers,
    collect() {
      this.set(service.unsentBytes)
    },
  })
  return {
    blocks: new Counter({ name: 'cumulus_node_served_blocks_total', help: 'Chain blocks sent to peers', registers }),
    bytes: new Counter({ name: 'cumulus_node_served_bytes_total', help: 'Bytes of answers to peers', registers }),
    refused: new Counter({
      name: 'cumulus_node_refused_requests_total',
      help: 'Requests of peers refused for their number or size, by code',
      labelNames: ['code'],
      registers,
    }),
  }
}
