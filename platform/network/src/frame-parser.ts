import { FRAME_BODY_BYTES_MAX, FRAME_HEADER_BYTES, FRAME_META_BYTES_MAX, FrameOp } from './frame.ts'
import { NetworkError } from './session.ts'

/** The 64 bytes at the head of a frame, read. */
export interface FrameHeader {
  readonly op: FrameOp
  readonly reply: boolean
  readonly error: boolean
  readonly seat: number
  readonly bodyBytes: number
  readonly metaBytes: number
  readonly requestId: number
  readonly group: number
  readonly stripe: number
  readonly offset: number
  /** 32 bytes, the reader's own. */
  readonly hash: Uint8Array
}

export const FRAME_VERSION = 1
export const FLAG_REPLY = 1
export const FLAG_ERROR = 2

/** What a parser hands out. */
export interface FrameSink {
  /**
   * A header arrived and is well-formed. Returns where the body goes (at least `bodyBytes` long), undefined for a new
   * buffer, or `DISCARD`: then meta and body are passed over and `frame` is not called. May throw to end the connection.
   */
  bodyTarget(header: FrameHeader): Uint8Array | undefined | typeof DISCARD
  /** The whole frame is there. `meta` and `body` belong to the receiver, who may be called again from within. */
  frame(header: FrameHeader, meta: Uint8Array, body: Uint8Array): void
}

export const DISCARD = Symbol('discard')

/** Below this, what is left of a body is read through the scratch buffer, together with the frames behind it. */
const DIRECT_BYTES_MIN = 4096

const EMPTY: Uint8Array = new Uint8Array(0)

const knownOps = new Uint8Array(256)
for (const op of Object.values(FrameOp)) knownOps[op] = 1

/** Cuts a stream into frames, wherever it is split. Allocates for a body only after its header passed every check. */
export class FrameParser {
  readonly #sink: FrameSink
  readonly #partial = new Uint8Array(FRAME_HEADER_BYTES)
  #partialLength = 0
  #header: FrameHeader | undefined
  #meta = EMPTY
  #metaLength = 0
  #body = EMPTY
  #bodyLength = 0
  #discardLength = 0

  constructor(sink: FrameSink) {
    this.#sink = sink
  }

  /** Whether a frame has begun and not ended. */
  get midFrame(): boolean {
    return this.#header !== undefined || this.#partialLength > 0 || this.#discardLength > 0
  }

  /**
   * Takes the next bytes of the stream, which stay the caller's.
   *
   * @throws NetworkError `MALFORMED_FRAME`; the stream cannot be read on
   */
  push(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#discardLength > 0) {
        const count = Math.min(this.#discardLength, chunk.length - at)
        this.#discardLength -= count
        at += count
      } else if (!this.#header) {
        at = this.#readHeader(chunk, at)
      } else if (this.#metaLength < this.#meta.length) {
        const count = Math.min(this.#meta.length - this.#metaLength, chunk.length - at)
        this.#meta.set(chunk.subarray(at, at + count), this.#metaLength)
        this.#metaLength += count
        at += count
        this.#endIfWhole()
      } else {
        const count = Math.min(this.#body.length - this.#bodyLength, chunk.length - at)
        this.#body.set(chunk.subarray(at, at + count), this.#bodyLength)
        at += count
        this.#bodyLength += count
        this.#endIfWhole()
      }
    }
  }

  /** Where the next bytes of the stream belong, if that is the inside of a body: they may be put there at once. */
  directTarget(): Uint8Array | undefined {
    if (this.#metaLength < this.#meta.length || this.#body.length - this.#bodyLength < DIRECT_BYTES_MIN)
      return undefined
    return this.#body.subarray(this.#bodyLength)
  }

  /** `count` bytes were put where `directTarget` said. */
  advance(count: number): void {
    if (this.#header) {
      this.#bodyLength += count
      this.#endIfWhole()
    } else {
      this.#discardLength -= count // the frame was dropped in between
    }
  }

  /** Forgets the frame under way: the rest of it is passed over. Its body buffer is not written by `push` any more. */
  dropFrame(): void {
    if (!this.#header) return
    this.#discardLength = this.#meta.length - this.#metaLength + this.#body.length - this.#bodyLength
    this.#reset()
  }

  #readHeader(chunk: Uint8Array, at: number): number {
    if (this.#partialLength === 0 && chunk.length - at >= FRAME_HEADER_BYTES) {
      this.#begin(decodeHeader(chunk, at))
      return at + FRAME_HEADER_BYTES
    }
    const count = Math.min(FRAME_HEADER_BYTES - this.#partialLength, chunk.length - at)
    this.#partial.set(chunk.subarray(at, at + count), this.#partialLength)
    this.#partialLength += count
    if (this.#partialLength === FRAME_HEADER_BYTES) {
      this.#partialLength = 0
      this.#begin(decodeHeader(this.#partial, 0))
    }
    return at + count
  }

  #begin(header: FrameHeader): void {
    const { metaBytes, bodyBytes } = header
    const target = this.#sink.bodyTarget(header)
    if (target === DISCARD) {
      this.#discardLength = metaBytes + bodyBytes
      return
    }
    if (target && target.length < bodyBytes) {
      throw new RangeError(`a buffer of ${target.length} bytes for a body of ${bodyBytes}`)
    }
    this.#header = header
    this.#meta = metaBytes === 0 ? EMPTY : new Uint8Array(metaBytes)
    this.#body = target ? target.subarray(0, bodyBytes) : bodyBytes === 0 ? EMPTY : new Uint8Array(bodyBytes)
    this.#endIfWhole()
  }

  #endIfWhole(): void {
    if (this.#bodyLength < this.#body.length || this.#metaLength < this.#meta.length) return
    const header = this.#header!
    const meta = this.#meta
    const body = this.#body
    this.#reset()
    this.#sink.frame(header, meta, body)
  }

  #reset(): void {
    this.#header = undefined
    this.#meta = EMPTY
    this.#metaLength = 0
    this.#body = EMPTY
    this.#bodyLength = 0
  }
}

function decodeHeader(bytes: Uint8Array, at: number): FrameHeader {
  const version = bytes[at]!
  if (version !== FRAME_VERSION) throw malformed(`version ${version}`)
  const op = bytes[at + 1]!
  if (knownOps[op] === 0) throw malformed(`op ${op}`)
  const flags = bytes[at + 2]!
  if (flags > 3 || flags === FLAG_ERROR) throw malformed(`flags ${flags}`)
  const bodyBytes = u32(bytes, at + 4)
  if (bodyBytes > FRAME_BODY_BYTES_MAX) throw malformed(`body of ${bodyBytes} bytes`)
  const metaBytes = u32(bytes, at + 8)
  if (metaBytes > FRAME_META_BYTES_MAX) throw malformed(`meta of ${metaBytes} bytes`)
  const error = (flags & FLAG_ERROR) !== 0
  if (error && bodyBytes > 0) throw malformed('error with a body')
  const offsetHigh = u32(bytes, at + 28)
  if (offsetHigh > 0x1f_ffff) throw malformed('offset above 2^53')
  const hash = new Uint8Array(32)
  for (let i = 0; i < 32; i++) hash[i] = bytes[at + 32 + i]!
  return {
    op: op as FrameOp,
    reply: (flags & FLAG_REPLY) !== 0,
    error,
    seat: bytes[at + 3]!,
    bodyBytes,
    metaBytes,
    requestId: u32(bytes, at + 12),
    group: u32(bytes, at + 16),
    stripe: u32(bytes, at + 20),
    offset: offsetHigh * 2 ** 32 + u32(bytes, at + 24),
    hash,
  }
}

function u32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}

export function malformed(what: string): NetworkError {
  return new NetworkError('MALFORMED_FRAME', `the peer sent a malformed frame: ${what}`)
}
