import { FRAME_BODY_BYTES_MAX, FRAME_HEADER_BYTES, FRAME_META_BYTES_MAX, type FrameOp } from './frame.ts'
import { FLAG_ERROR, FLAG_REPLY, FRAME_VERSION } from './frame-parser.ts'
import type { PartialFrame } from './session.ts'

const EMPTY = new Uint8Array(0)

/** Bodies up to this are copied behind their header, so that many small frames leave in one write. */
const COPIED_BODY_BYTES_MAX = 64 * 2 ** 10
/** One header with the longest meta fits, and a few dozen requests of 4 KiB. */
const STAGE_BYTES = 128 * 2 ** 10
/**
 * Longer bodies leave in writes of this size, straight from the owner's buffer: `node:tls` encrypts a write in one go
 * into memory, so the size bounds that memory, and how long the event loop is held. Measured: 64 KiB to 1 MiB cost the same per
 * byte, 8 MiB a quarter more.
 */
const BODY_WRITE_BYTES = 256 * 2 ** 10

/** A frame waiting to be sent. Meta and body stay the owner's and unchanged until `onSent`, or until it is withdrawn. */
export class OutgoingFrame {
  readonly op: FrameOp
  readonly flags: number
  readonly requestId: number
  readonly seat: number
  readonly group: number
  readonly stripe: number
  readonly offset: number
  readonly hash: Uint8Array | undefined
  readonly meta: Uint8Array
  body: Uint8Array
  /** Bytes of the body handed to the socket; -1 before the header is. */
  position = -1
  /** Called once, when the last byte is with the socket or the connection is gone. */
  readonly onSent: (() => void) | undefined

  /** @throws RangeError if a field does not fit its place in the header */
  constructor(op: FrameOp, flags: number, requestId: number, frame: PartialFrame, onSent?: () => void) {
    this.op = op
    this.flags = flags
    this.requestId = requestId
    this.seat = unsigned(frame.seat, 0xff, 'seat')
    this.group = unsigned(frame.group, 0xffff_ffff, 'group')
    this.stripe = unsigned(frame.stripe, 0xffff_ffff, 'stripe')
    this.offset = unsigned(frame.offset, Number.MAX_SAFE_INTEGER, 'offset')
    this.hash = frame.hash
    this.meta = frame.meta ?? EMPTY
    this.body = frame.body ?? EMPTY
    this.onSent = onSent
    if (this.hash && this.hash.length !== 32) throw new RangeError(`a hash has 32 bytes, not ${this.hash.length}`)
    if (this.meta.length > FRAME_META_BYTES_MAX) throw new RangeError(`meta of ${this.meta.length} bytes`)
    if (this.body.length > FRAME_BODY_BYTES_MAX) throw new RangeError(`body of ${this.body.length} bytes`)
  }
}

export const REQUEST_FLAGS = 0
export const REPLY_FLAGS = FLAG_REPLY
export const ERROR_FLAGS = FLAG_REPLY | FLAG_ERROR

/**
 * Puts frames on a socket in order, one write at a time: `node:tls` copies what is written while a write is under way,
 * and everything in a `writev` of several buffers, but encrypts a single buffer where it lies.
 */
export class FrameSender {
  readonly #write: (bytes: Uint8Array, done: () => void) => void
  readonly #queue = new Set<OutgoingFrame>()
  readonly #stage = new Uint8Array(STAGE_BYTES)
  readonly #view = new DataView(this.#stage.buffer)
  readonly #pump = (): void => this.#pumpOnce()
  readonly #written = (): void => {
    this.#writing = false
    this.writeCount++
    this.#pumpOnce()
  }
  #writing = false
  #scheduled = false
  #closed = false
  /** Writes that the socket has finished: a sign of life of whoever reads. */
  writeCount = 0

  constructor(write: (bytes: Uint8Array, done: () => void) => void) {
    this.#write = write
  }

  /** Whether anything waits for the socket. */
  get busy(): boolean {
    return this.#writing || this.#queue.size > 0
  }

  send(frame: OutgoingFrame): void {
    if (this.#closed) {
      frame.onSent?.()
      return
    }
    this.#queue.add(frame)
    this.#schedule()
  }

  /**
   * The owner wants its buffers back. A frame that has not begun is not sent at all (true); of one that has, the rest is
   * copied, since the peer has been promised so many bytes.
   */
  withdraw(frame: OutgoingFrame): boolean {
    if (!this.#queue.has(frame)) return false
    if (frame.position < 0) {
      this.#queue.delete(frame)
      return true
    }
    frame.body = frame.body.slice() // positions stay what they are; rare enough
    return false
  }

  close(): void {
    this.#closed = true
    for (const frame of this.#queue) frame.onSent?.()
    this.#queue.clear()
  }

  /** After the promises of this turn, so that the replies of a whole batch of requests leave together. */
  #schedule(): void {
    if (this.#scheduled || this.#writing) return
    this.#scheduled = true
    process.nextTick(this.#pump)
  }

  #pumpOnce(): void {
    this.#scheduled = false
    if (this.#writing || this.#closed) return
    let staged = 0
    for (const frame of this.#queue) {
      if (frame.position < 0) {
        const { length } = frame.meta
        if (staged + FRAME_HEADER_BYTES + length > STAGE_BYTES) break
        this.#stageHeader(frame, staged)
        this.#stage.set(frame.meta, staged + FRAME_HEADER_BYTES)
        staged += FRAME_HEADER_BYTES + length
        frame.position = 0
      }
      const { body, position } = frame
      const { length } = body
      if (position === 0 && length <= COPIED_BODY_BYTES_MAX) {
        if (staged + length > STAGE_BYTES) break
        this.#stage.set(body, staged)
        staged += length
      } else {
        if (staged > 0) break // first the header
        const end = Math.min(length, position + BODY_WRITE_BYTES)
        frame.position = end
        this.#writing = true
        this.#write(body.subarray(position, end), this.#written)
        if (end === length) this.#finish(frame)
        return
      }
      this.#finish(frame)
    }
    if (staged > 0) {
      this.#writing = true
      this.#write(this.#stage.subarray(0, staged), this.#written)
    }
  }

  #finish(frame: OutgoingFrame): void {
    this.#queue.delete(frame)
    frame.onSent?.()
  }

  #stageHeader(frame: OutgoingFrame, at: number): void {
    const stage = this.#stage
    const view = this.#view
    stage[at] = FRAME_VERSION
    stage[at + 1] = frame.op
    stage[at + 2] = frame.flags
    stage[at + 3] = frame.seat
    view.setUint32(at + 4, frame.body.length, true)
    view.setUint32(at + 8, frame.meta.length, true)
    view.setUint32(at + 12, frame.requestId, true)
    view.setUint32(at + 16, frame.group, true)
    view.setUint32(at + 20, frame.stripe, true)
    view.setUint32(at + 24, frame.offset >>> 0, true)
    view.setUint32(at + 28, Math.floor(frame.offset / 2 ** 32), true)
    if (frame.hash) stage.set(frame.hash, at + 32)
    else stage.fill(0, at + 32, at + 64)
  }
}

function unsigned(value: number | undefined, max: number, name: string): number {
  if (value === undefined) return 0
  if (!Number.isInteger(value) || value < 0 || value > max)
    throw new RangeError(`${name} ${value} is outside 0..${max}`)
  return value
}
