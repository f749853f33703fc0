import { randomBytes } from 'node:crypto'
import type { Extent, Part } from '../journal/rows.ts'
import { ObjectError } from '../object-layer.ts'
import { wrapKey } from '../owner-keys.ts'
import { sealChunks } from '../segments/chunk-cipher.ts'
import { SegmentError } from '../segments/jobs.ts'
import { cipherLength, type SegmentLayout } from '../segments/segment-layout.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { SegmentKeeper } from './segment-keeper.ts'

/** Bodies up to this size are held outside the pool: the front end bounds how many there are. */
const TINY_BYTES = 64 * 2 ** 10
/** Segments of one body under way at once, besides the one that is being filled. */
const SEGMENTS_AHEAD = 2

/** A body that is stored but belongs to nothing yet. */
export interface StoredBody {
  readonly size: number
  /** Ciphertext that belongs into the pack beside the journal record; the end of the body. */
  readonly tail: Uint8Array | undefined
  /** The part, with its tail at `place`. */
  part(place: Extent): Part
  /** Lets go of its segments: by then something refers to them, or nothing ever will. */
  unpin(): void
}

export interface BodyTarget {
  readonly layout: SegmentLayout
  readonly buffers: BufferPool
  readonly keeper: SegmentKeeper
  /** Of the owner, for the body's own key. */
  readonly wrapKey: Uint8Array
  readonly bucket: string
  readonly key: string
}

/**
 * Stores a body: full segments go to their seats while the rest still arrives, the end (or all of a small one) is
 * kept for the pack. Memory is bounded by the pool; the body is read no faster than buffers come free.
 *
 * @throws what the body throws · ObjectError SlowDown, QuotaExceeded, ServiceUnavailable
 */
export async function storeBody(
  target: BodyTarget,
  body: AsyncIterable<Uint8Array>,
  size: number | undefined,
  signal: AbortSignal,
): Promise<StoredBody> {
  const { layout } = target
  const key = randomBytes(32)
  const source = new BodySource(body)
  try {
    if (size !== undefined && size <= layout.logPlainBytesMax)
      return await storeSmall(target, key, source, size, signal)
    return await storeLarge(target, key, source, signal)
  } finally {
    await source.close()
  }
}

async function storeSmall(
  target: BodyTarget,
  key: Uint8Array,
  source: BodySource,
  size: number,
  signal: AbortSignal,
): Promise<StoredBody> {
  const held = size > TINY_BYTES ? 2 * size : 0
  if (held > 0) await target.buffers.acquire(held, signal)
  let tail: Uint8Array | undefined
  try {
    const plain = Buffer.allocUnsafe(size)
    const filled = await source.fill(plain, signal)
    if (filled < size || !(await source.isAtEnd())) {
      throw new ObjectError('InternalError', `the body is not of ${size} bytes`, { size })
    }
    if (size > 0) {
      tail = new Uint8Array(cipherLength(target.layout, size))
      sealChunks(target.layout, key, 0, plain, tail, 0)
    }
  } catch (error) {
    if (held > 0) target.buffers.release(held)
    throw error
  }
  return bodyOf(target, key, size, [], tail, [], held)
}

async function storeLarge(
  target: BodyTarget,
  key: Uint8Array,
  source: BodySource,
  signal: AbortSignal,
): Promise<StoredBody> {
  const { layout, buffers, keeper } = target
  const users = [{ bucket: target.bucket, key: target.key }]
  const written: Promise<{ segment: number; extent: Extent; journaled: Promise<void> }>[] = []
  let size = 0
  let tail: Uint8Array | undefined
  try {
    for (let chunk = 0; ; ) {
      if (written.length > SEGMENTS_AHEAD) await written[written.length - 1 - SEGMENTS_AHEAD]
      const buffer = await buffers.take(signal)
      let length: number
      try {
        length = await source.fill(new Uint8Array(buffer, 0, layout.segmentPlainBytes), signal)
      } catch (error) {
        buffers.give(buffer)
        throw error
      }
      size += length
      if (length <= layout.logPlainBytesMax) {
        if (length > 0) {
          tail = new Uint8Array(cipherLength(layout, length))
          sealChunks(layout, key, chunk, new Uint8Array(buffer, 0, length), tail, 0)
        }
        buffers.give(buffer)
        break
      }
      const piece = { buffer, offset: 0, length, key, firstChunk: chunk }
      const segment = keeper
        .write([piece], users, (used) => {
          for (const one of used) buffers.give(one)
        })
        .then((result) => {
          result.journaled.catch(() => {}) // awaited below
          return { ...result, extent: { segment: result.segment, offset: 0, length: cipherLength(layout, length) } }
        })
      segment.catch(() => {})
      written.push(segment)
      chunk += Math.ceil(length / layout.chunkPlainBytes)
      if (length < layout.segmentPlainBytes) break
    }
    const segments = await Promise.all(written)
    await Promise.all(segments.map(({ journaled }) => journaled))
    return bodyOf(
      target,
      key,
      size,
      segments.map(({ extent }) => extent),
      tail,
      segments.map(({ segment }) => segment),
      0,
    )
  } catch (error) {
    // What is there already is let go: nothing refers to it, so it is released.
    void Promise.allSettled(written).then((results) => {
      for (const result of results) if (result.status === 'fulfilled') keeper.unpin(result.value.segment)
    })
    throw asObjectError(error)
  }
}

function bodyOf(
  target: BodyTarget,
  key: Uint8Array,
  size: number,
  extents: readonly Extent[],
  tail: Uint8Array | undefined,
  pinned: readonly number[],
  held: number,
): StoredBody {
  const wrappedKey = wrapKey(target.wrapKey, key)
  let isPinned = true
  return {
    size,
    tail,
    part: (place) => ({ wrappedKey, size, extents: tail ? [...extents, place] : extents }),
    unpin: () => {
      if (!isPinned) return
      isPinned = false
      for (const segment of pinned) target.keeper.unpin(segment)
      if (held > 0) target.buffers.release(held)
    },
  }
}

/** What the network could not do, as the client is told. */
export function asObjectError(error: unknown): unknown {
  if (error instanceof SegmentError && error.code === 'NO_QUORUM') {
    return new ObjectError('ServiceUnavailable', `too few miners took the data: ${error.message}`, {}, { cause: error })
  }
  return error
}

/** Reads an iterable in pieces of any size. */
class BodySource {
  readonly #iterator: AsyncIterator<Uint8Array>
  #rest: Uint8Array = new Uint8Array(0)
  #ended = false

  constructor(body: AsyncIterable<Uint8Array>) {
    this.#iterator = body[Symbol.asyncIterator]()
  }

  /** Fills `target` as far as the body goes; returns the bytes written. */
  async fill(target: Uint8Array, signal: AbortSignal): Promise<number> {
    let filled = 0
    while (filled < target.length) {
      if (this.#rest.length === 0 && !(await this.#next())) break
      const take = Math.min(this.#rest.length, target.length - filled)
      target.set(take === this.#rest.length ? this.#rest : this.#rest.subarray(0, take), filled)
      this.#rest = this.#rest.subarray(take)
      filled += take
      if (signal.aborted) throw signal.reason
    }
    return filled
  }

  async isAtEnd(): Promise<boolean> {
    return this.#rest.length === 0 && !(await this.#next())
  }

  async close(): Promise<void> {
    if (!this.#ended) await this.#iterator.return?.()
  }

  async #next(): Promise<boolean> {
    while (!this.#ended) {
      const { done, value } = await this.#iterator.next()
      if (done) this.#ended = true
      else if (value.length > 0) {
        this.#rest = value
        return true
      }
    }
    return false
  }
}
