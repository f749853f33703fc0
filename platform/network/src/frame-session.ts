import type { TLSSocket } from 'node:tls'
import { FRAME_HEADER_BYTES, type FrameMessage, FrameOp } from './frame.ts'
import { DISCARD, type FrameHeader, FrameParser, malformed } from './frame-parser.ts'
import { ERROR_FLAGS, FrameSender, OutgoingFrame, REPLY_FLAGS, REQUEST_FLAGS } from './frame-sender.ts'
import { peerIdOf } from './identity.ts'
import type { NetworkLimits } from './limits.ts'
import type { NetworkCounters } from './metrics.ts'
import { decodeRemoteError, encodeRemoteError } from './remote-error.ts'
import {
  type FrameHandlers,
  type FrameReply,
  NetworkError,
  type PartialFrame,
  RemoteError,
  type RequestInit,
  type Session,
} from './session.ts'

/** The part of a log that the network writes to. */
export interface NetworkLog {
  debug(message: string, fields?: Record<string, unknown>): void
  info(message: string, fields?: Record<string, unknown>): void
  warn(message: string, fields?: Record<string, unknown>): void
  error(message: string, fields?: Record<string, unknown>): void
}

/** Buffers for the bodies of requests, such as page-aligned ones that a disk can write from. */
export interface BodyBuffers {
  /** At least `header.bodyBytes` long, or undefined for a new one. From now on it is the session's. */
  take(header: FrameHeader): Uint8Array | undefined
  /** Its frame never arrived whole, so no handler got it. */
  giveBack(buffer: Uint8Array): void
}

export interface SessionComponents {
  readonly handlers: FrameHandlers
  readonly limits: NetworkLimits
  readonly counters: NetworkCounters
  readonly log?: NetworkLog | undefined
  readonly bodyBuffers?: BodyBuffers | undefined
}

/** Request id of keep-alive pings: nobody waits for their answers. */
const KEEP_ALIVE_ID = 0
/** Without `into`, an answer to these may bring a whole body; answers to the others are small. */
const FETCHED_BYTES = 8 * 2 ** 20

const EMPTY: Uint8Array = new Uint8Array(0)

/** An own request from the call to its answer. */
class Pending {
  readonly op: FrameOp
  readonly frame: PartialFrame
  readonly into: Uint8Array | undefined
  readonly signal: AbortSignal | undefined
  readonly resolve: (frame: FrameMessage) => void
  readonly reject: (reason: unknown) => void
  readonly bytes: number
  readonly onAbort: () => void
  /** 0 while it waits for credit. */
  id = 0
  outgoing: OutgoingFrame | undefined

  constructor(
    session: FrameSession,
    op: FrameOp,
    frame: PartialFrame,
    init: RequestInit,
    resolve: (frame: FrameMessage) => void,
    reject: (reason: unknown) => void,
  ) {
    this.op = op
    this.frame = frame
    this.into = init.into
    this.signal = init.signal
    this.resolve = resolve
    this.reject = reject
    const fetches = op === FrameOp.get || op === FrameOp.logRead || op === FrameOp.powers
    this.bytes = (frame.body?.length ?? 0) + (init.into?.length ?? (fetches ? FETCHED_BYTES : 0))
    this.onAbort = () => session.abort(this)
  }
}

/** `Session` over a TLS connection whose peer is proven. Everything that runs per frame is here and in parser and sender. */
export class FrameSession implements Session {
  readonly peerKey: Uint8Array
  readonly peerId: string
  readonly remoteAddress: string
  readonly closed: Promise<void>
  closeReason: NetworkError | undefined

  readonly #socket: TLSSocket
  readonly #handlers: FrameHandlers
  readonly #limits: NetworkLimits
  readonly #counters: NetworkCounters
  readonly #log: NetworkLog | undefined
  readonly #bodyBuffers: BodyBuffers | undefined
  readonly #parser: FrameParser
  readonly #sender: FrameSender
  /** Where bytes arrive that are not inside a body. A listening side needs none. */
  readonly #scratch: Uint8Array
  /** Whether the runtime holds a piece of a body's buffer to read into. */
  #lent = false
  readonly #timer: NodeJS.Timeout
  readonly #resolveClosed: () => void

  // Own requests.
  #lastId = 0
  readonly #pending = new Map<number, Pending>()
  readonly #waiting = new Set<Pending>()
  /** Ids of aborted requests whose answers are still to come, and will be passed over. */
  readonly #abandoned = new Set<number>()
  #pendingBytes = 0
  /** The request whose `into` is being filled. */
  #filling: Pending | undefined
  /** Set if it was aborted meanwhile: settles it when the runtime has let go of its buffer. */
  #letGo: (() => void) | undefined

  // The peer's requests.
  /** In handlers, or answered and not sent. */
  #askedCount = 0
  /** Answers of the session's own making that are not sent: pongs and refusals. */
  #noticeCount = 0
  #heldBytes = 0
  /** A buffer of `bodyBuffers` that is being filled. */
  #taken: Uint8Array | undefined
  #paused = false

  // Signs of life, compared from tick to tick.
  #receivedCount = 0
  #seenReceivedCount = 0
  #seenWriteCount = 0
  #receivedAtMs: number
  #sentAtMs: number
  #frameCount = 0
  #seenFrameCount = 0
  #frameAtMs: number
  #activeAtMs: number

  constructor(socket: TLSSocket, peerKey: Uint8Array, components: SessionComponents, scratch = EMPTY) {
    this.peerKey = peerKey
    this.peerId = peerIdOf(peerKey)
    this.remoteAddress = `${socket.remoteAddress}:${socket.remotePort}`
    this.#socket = socket
    this.#scratch = scratch
    this.#handlers = components.handlers
    this.#limits = components.limits
    this.#counters = components.counters
    this.#log = components.log
    this.#bodyBuffers = components.bodyBuffers
    this.#parser = new FrameParser({
      bodyTarget: (header) => this.#bodyTarget(header),
      frame: (header, meta, body) => this.#frame(header, meta, body),
    })
    this.#sender = new FrameSender((bytes, done) => socket.write(bytes, done))
    const closed = Promise.withResolvers<void>()
    this.closed = closed.promise
    this.#resolveClosed = closed.resolve
    this.#receivedAtMs = this.#sentAtMs = this.#frameAtMs = this.#activeAtMs = performance.now()
    const { idleMs, silenceMs, frameMs } = components.limits
    this.#timer = setInterval(() => this.#tick(), Math.min(idleMs, silenceMs, frameMs) / 4)
    this.#timer.unref()
    this.#counters.sessions++
    socket.setNoDelay(true)
    socket.on('error', (cause) =>
      this.#end(new NetworkError('CLOSED', `the connection broke: ${cause.message}`, { cause })),
    )
    socket.on('end', () => this.#end(new NetworkError('CLOSED', 'the peer closed the connection')))
    socket.on('close', () => this.#end(new NetworkError('CLOSED', 'the connection closed')))
  }

  get pendingCount(): number {
    return this.#pending.size
  }

  request(op: FrameOp, frame: PartialFrame, init: RequestInit = {}): Promise<FrameMessage> {
    return new Promise((resolve, reject) => {
      const { signal } = init
      signal?.throwIfAborted()
      if (this.closeReason) throw this.closeReason
      if (this.#waiting.size >= this.#limits.waitingMax) {
        throw new NetworkError('OVERLOADED', `${this.#waiting.size} requests wait for the peer already`)
      }
      const pending = new Pending(this, op, frame, init, resolve, reject)
      signal?.addEventListener('abort', pending.onAbort, { once: true })
      if (this.#waiting.size === 0 && this.#hasCredit(pending)) this.#ask(pending)
      else this.#waiting.add(pending)
    })
  }

  close(): void {
    this.#end(new NetworkError('CLOSED', 'the session was closed'))
  }

  // ---- Bytes in. The dialling side reads through `nextBuffer` and `received`, the listening side through `receivedChunk`.

  /** Where the next bytes shall be put: inside a body, the body's own buffer. */
  nextBuffer(): Uint8Array {
    const direct = this.closeReason ? undefined : this.#parser.directTarget()
    this.#lent = direct !== undefined
    return direct ?? this.#scratch
  }

  /**
   * `count` bytes are in `buffer`, the one that `nextBuffer` returned last. Returns whether to go on reading.
   * The runtime asks `nextBuffer` again before it reads on.
   */
  received(count: number, buffer: Uint8Array): boolean {
    if (this.closeReason) return false
    this.#receivedCount++
    this.#lent = false
    this.#letGo?.()
    try {
      if (buffer === this.#scratch) this.#parser.push(buffer.subarray(0, count))
      else this.#parser.advance(count)
    } catch (error) {
      this.#fail(error)
    }
    return !this.#paused
  }

  receivedChunk(chunk: Uint8Array): void {
    if (this.closeReason) return
    this.#receivedCount++
    try {
      this.#parser.push(chunk)
    } catch (error) {
      this.#fail(error)
    }
  }

  // ---- Frames in.

  #bodyTarget(header: FrameHeader): Uint8Array | undefined | typeof DISCARD {
    if (this.closeReason) return DISCARD
    this.#frameCount++
    const { requestId, op, bodyBytes } = header
    this.#counters.bytesReceived[op]! += FRAME_HEADER_BYTES + header.metaBytes + bodyBytes
    if (!header.reply) {
      this.#counters.requestsReceived[op]!++
      if (op !== FrameOp.ping && this.#askedCount >= 2 * this.#limits.requestsMax) {
        this.#refuse(header, new RemoteError('OVERLOADED', 'too many requests under way'))
        return DISCARD
      }
      if (op !== FrameOp.ping && !this.#handlers[op]) {
        this.#refuse(header, new RemoteError('UNSUPPORTED', `this peer does not answer op ${op}`))
        return DISCARD
      }
      if (bodyBytes === 0) return undefined
      this.#taken = this.#bodyBuffers?.take(header)
      return this.#taken
    }
    const pending = this.#pending.get(requestId)
    if (pending) {
      if (pending.op !== op) throw malformed(`answer of op ${op} to a request of op ${pending.op}`)
      if (!pending.into || header.error || bodyBytes === 0 || bodyBytes > pending.into.length) return undefined
      this.#filling = pending
      return pending.into
    }
    if (requestId === KEEP_ALIVE_ID && op === FrameOp.ping) return DISCARD
    if (!this.#abandoned.delete(requestId)) throw malformed(`answer to request ${requestId}, which is not under way`)
    this.#admit()
    return DISCARD
  }

  #frame(header: FrameHeader, meta: Uint8Array, body: Uint8Array): void {
    if (this.closeReason) return
    this.#frameCount++
    if (header.reply) this.#answered(header, meta, body)
    else this.#asked(header, meta, body)
  }

  #answered(header: FrameHeader, meta: Uint8Array, body: Uint8Array): void {
    this.#filling = undefined
    const pending = this.#pending.get(header.requestId)
    if (!pending) {
      // Aborted between the header and the end, with the body in a buffer of our own.
      this.#abandoned.delete(header.requestId)
      return
    }
    const error = header.error ? decodeRemoteError(meta) : undefined
    this.#release(pending)
    if (error) {
      this.#counters.countError(error.code)
      pending.reject(error)
    } else {
      pending.resolve(messageOf(header, meta, body))
    }
    this.#admit()
  }

  #asked(header: FrameHeader, meta: Uint8Array, body: Uint8Array): void {
    this.#taken = undefined
    const { op } = header
    if (op === FrameOp.ping) {
      this.#notice(new OutgoingFrame(op, REPLY_FLAGS, header.requestId, {}, this.#noticeSent))
      return
    }
    this.#askedCount++
    this.#hold(body.length)
    let reply: Promise<FrameReply> | FrameReply
    try {
      reply = this.#handlers[op]!(messageOf(header, meta, body), this)
    } catch (error) {
      this.#answerError(header, body.length, error)
      return
    }
    if (reply instanceof Promise) {
      reply.then(
        (frame) => this.#answer(header, body.length, frame),
        (error) => this.#answerError(header, body.length, error),
      )
    } else {
      this.#answer(header, body.length, reply)
    }
  }

  // ---- The peer's requests.

  #answer(header: FrameHeader, requestBytes: number, reply: FrameReply): void {
    const replyBytes = reply.body?.length ?? 0
    let outgoing: OutgoingFrame
    try {
      outgoing = new OutgoingFrame(header.op, REPLY_FLAGS, header.requestId, reply, () => {
        this.#askedCount--
        this.#hold(-replyBytes)
        reply.release?.()
      })
    } catch (error) {
      reply.release?.()
      this.#answerError(header, requestBytes, error)
      return
    }
    this.#hold(replyBytes - requestBytes)
    this.#send(outgoing)
  }

  #answerError(header: FrameHeader, requestBytes: number, error: unknown): void {
    this.#hold(-requestBytes)
    if (!(error instanceof RemoteError)) {
      this.#log?.error('a request could not be answered', { op: header.op, peer: this.peerId, error })
    }
    const refusal = error instanceof RemoteError ? error : new RemoteError('INTERNAL', 'the peer failed to answer')
    this.#counters.countError(refusal.code)
    const frame = { meta: encodeRemoteError(refusal) }
    this.#send(new OutgoingFrame(header.op, ERROR_FLAGS, header.requestId, frame, () => void this.#askedCount--))
  }

  #refuse(header: FrameHeader, refusal: RemoteError): void {
    this.#counters.countError(refusal.code)
    const frame = { meta: encodeRemoteError(refusal) }
    this.#notice(new OutgoingFrame(header.op, ERROR_FLAGS, header.requestId, frame, this.#noticeSent))
  }

  readonly #noticeSent = (): void => void this.#noticeCount--

  /** Pongs and refusals cost the peer nothing to provoke, so one that does not even read them is cut off. */
  #notice(outgoing: OutgoingFrame): void {
    if (++this.#noticeCount > 2 * this.#limits.requestsMax) {
      throw new NetworkError('OVERLOADED', 'the peer asks on and does not read the answers')
    }
    this.#send(outgoing)
  }

  /** Stops reading while more than the limit is held, and goes on below. */
  #hold(bytes: number): void {
    this.#heldBytes += bytes
    const pause = this.#heldBytes > this.#limits.heldBytesMax
    if (pause === this.#paused || this.closeReason) return
    this.#paused = pause
    if (pause) {
      this.#socket.pause()
    } else {
      this.#receivedAtMs = this.#frameAtMs = performance.now()
      this.#socket.resume()
    }
  }

  // ---- Own requests.

  #hasCredit(pending: Pending): boolean {
    const { requestsMax, requestBytesMax } = this.#limits
    const count = this.#pending.size
    if (count === 0 && this.#abandoned.size < 2 * requestsMax) return true
    return (
      count < requestsMax &&
      count + this.#abandoned.size < 2 * requestsMax &&
      this.#pendingBytes + pending.bytes <= requestBytesMax
    )
  }

  #ask(pending: Pending): void {
    const id = this.#nextId()
    try {
      pending.outgoing = new OutgoingFrame(pending.op, REQUEST_FLAGS, id, pending.frame)
    } catch (error) {
      pending.signal?.removeEventListener('abort', pending.onAbort)
      pending.reject(error)
      return
    }
    pending.id = id
    this.#pending.set(id, pending)
    this.#pendingBytes += pending.bytes
    this.#counters.requestsSent[pending.op]!++
    this.#send(pending.outgoing)
  }

  #admit(): void {
    for (const pending of this.#waiting) {
      if (!this.#hasCredit(pending)) return
      this.#waiting.delete(pending)
      this.#ask(pending)
    }
  }

  /** Takes back slot, bytes and buffers of a request that is about to settle. Returns whether it was never sent. */
  #release(pending: Pending): boolean {
    pending.signal?.removeEventListener('abort', pending.onAbort)
    this.#pending.delete(pending.id)
    this.#pendingBytes -= pending.bytes
    return this.#sender.withdraw(pending.outgoing!)
  }

  abort(pending: Pending): void {
    const { signal } = pending
    if (this.#waiting.delete(pending)) {
      pending.reject(signal!.reason)
      return
    }
    const neverSent = this.#release(pending)
    if (this.#filling === pending) {
      // The header of the answer is here already: nothing to abandon, but the runtime may be writing to `into`.
      this.#filling = undefined
      this.#parser.dropFrame()
      const settle = (): void => {
        this.#letGo = undefined
        pending.reject(signal!.reason)
      }
      if (this.#lent) this.#letGo = settle
      else settle()
    } else {
      if (!neverSent) this.#abandoned.add(pending.id)
      pending.reject(signal!.reason)
    }
    this.#admit()
  }

  /** Never 0, and never one that is in use, although ids wrap after 2³² requests. */
  #nextId(): number {
    do {
      this.#lastId = (this.#lastId + 1) >>> 0
    } while (this.#lastId === KEEP_ALIVE_ID || this.#pending.has(this.#lastId) || this.#abandoned.has(this.#lastId))
    return this.#lastId
  }

  // ---- Both.

  #send(outgoing: OutgoingFrame): void {
    this.#counters.bytesSent[outgoing.op]! += FRAME_HEADER_BYTES + outgoing.meta.length + outgoing.body.length
    this.#sender.send(outgoing)
  }

  /** Looks for signs of life. While we do not read, the peer's silence is our own doing. */
  #tick(): void {
    const { idleMs, silenceMs, frameMs } = this.#limits
    const now = performance.now()
    if (this.#paused || this.#receivedCount !== this.#seenReceivedCount) this.#receivedAtMs = now
    if (!this.#sender.busy || this.#sender.writeCount !== this.#seenWriteCount) this.#sentAtMs = now
    if (this.#paused || this.#frameCount !== this.#seenFrameCount || !this.#parser.midFrame) this.#frameAtMs = now
    const sentNothing = this.#sender.writeCount === this.#seenWriteCount
    this.#seenReceivedCount = this.#receivedCount
    this.#seenWriteCount = this.#sender.writeCount
    this.#seenFrameCount = this.#frameCount
    if (now - this.#receivedAtMs > silenceMs) this.#end(new NetworkError('TIMEOUT', `silent for ${silenceMs} ms`))
    else if (now - this.#sentAtMs > silenceMs)
      this.#end(new NetworkError('TIMEOUT', `takes nothing for ${silenceMs} ms`))
    else if (now - this.#frameAtMs > frameMs) this.#end(new NetworkError('TIMEOUT', `no whole frame in ${frameMs} ms`))
    else this.#keepAlive(now, sentNothing, idleMs)
  }

  #keepAlive(now: number, sentNothing: boolean, idleMs: number): void {
    if (!sentNothing) this.#activeAtMs = now
    if (now - this.#activeAtMs < idleMs || this.#sender.busy) return
    this.#activeAtMs = now
    this.#send(new OutgoingFrame(FrameOp.ping, REQUEST_FLAGS, KEEP_ALIVE_ID, {}))
  }

  #fail(error: unknown): void {
    if (!(error instanceof NetworkError)) {
      this.#log?.error('a session failed', { peer: this.peerId, error })
      this.#end(new NetworkError('CLOSED', 'the session failed', { cause: error }))
      return
    }
    if (error.code === 'MALFORMED_FRAME') this.#counters.malformedFrames++
    this.#end(error)
  }

  #end(reason: NetworkError): void {
    if (this.closeReason) return
    this.closeReason = reason
    clearInterval(this.#timer)
    this.#counters.sessions--
    this.#counters.countError(reason.code)
    this.#socket.destroy() // from here on the runtime writes to none of our buffers
    this.#log?.debug('session ended', { peer: this.peerId, code: reason.code, reason: reason.message })
    this.#parser.dropFrame()
    this.#letGo?.()
    this.#sender.close()
    for (const pending of [...this.#pending.values(), ...this.#waiting]) {
      pending.signal?.removeEventListener('abort', pending.onAbort)
      pending.reject(reason)
    }
    this.#pending.clear()
    this.#waiting.clear()
    this.#abandoned.clear()
    if (this.#taken) this.#bodyBuffers?.giveBack(this.#taken)
    this.#taken = undefined
    this.#resolveClosed()
  }
}

function messageOf(header: FrameHeader, meta: Uint8Array, body: Uint8Array): FrameMessage {
  const { seat, group, stripe, offset, hash } = header
  return { seat, group, stripe, offset, hash, meta, body }
}
