import type { OwnerJournal } from '../journal/owner-journal.ts'
import type { Extent, Part } from '../journal/rows.ts'
import { type ByteRange, ObjectError } from '../object-layer.ts'
import { unwrapKey } from '../owner-keys.ts'
import { openChunks } from '../segments/chunk-cipher.ts'
import { type ReadJob, type ReadResult, SegmentError } from '../segments/jobs.ts'
import { type SegmentLayout, TAG_BYTES } from '../segments/segment-layout.ts'
import type { SegmentPool } from '../segments/segment-pool.ts'
import type { SegmentKeeper } from './segment-keeper.ts'

/** Chunks fetched and decrypted at a time: 1 MiB. */
const UNIT_CHUNKS = 16
/** Units that one stream has under way or ready, so that it never waits for a round trip. */
const UNITS_AHEAD = 6
/** Reads of up to so many chunks are done on the main thread: a trip to a worker costs as much. */
const INLINE_CHUNKS = 4

/** Units read ahead by all streams together. The first unit of a stream is always allowed, so nobody starves. */
export class ReadBudget {
  #free: number
  constructor(unitCount: number) {
    this.#free = unitCount
  }
  tryTake(): boolean {
    if (this.#free <= 0) return false
    this.#free--
    return true
  }
  give(): void {
    this.#free++
  }
}

export interface BodySourceComponents {
  readonly layout: SegmentLayout
  readonly journal: OwnerJournal
  readonly keeper: SegmentKeeper
  readonly pool: SegmentPool
  /** The engine of the main thread, for small reads. */
  readonly inline: { read(job: ReadJob): Promise<ReadResult> }
  readonly budget: ReadBudget
}

/** Whole chunks of one extent. */
interface Unit {
  readonly part: Part
  readonly extent: Extent
  /** Ciphertext within the extent. */
  readonly start: number
  readonly end: number
  /** Number of the first chunk in its part. */
  readonly firstChunk: number
  /** Plaintext wanted of it. */
  readonly skip: number
  readonly take: number
}

/** Plaintext of `range` of an object's parts, in order, read ahead within bounds. */
export async function* readBody(
  components: BodySourceComponents,
  parts: readonly Part[],
  range: ByteRange,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const units = unitsOf(components.layout, parts, range)
  const sequential = range.end - range.start > 2 * UNIT_CHUNKS * components.layout.chunkPlainBytes
  const ahead: { promise: Promise<Uint8Array>; budgeted: boolean }[] = []
  let ended = false
  const more = (): void => {
    while (!ended && ahead.length < UNITS_AHEAD) {
      const budgeted = ahead.length > 0
      if (budgeted && !components.budget.tryTake()) return
      const { value, done } = units.next()
      if (done) {
        ended = true
        if (budgeted) components.budget.give()
        return
      }
      const promise = readUnit(components, value, sequential)
      promise.catch(() => {}) // reported when its turn comes
      ahead.push({ promise, budgeted })
    }
  }
  try {
    for (;;) {
      signal.throwIfAborted()
      more()
      const next = ahead.shift()
      if (!next) return
      let bytes: Uint8Array
      try {
        bytes = await next.promise
      } finally {
        if (next.budgeted) components.budget.give()
      }
      signal.throwIfAborted()
      yield bytes
    }
  } finally {
    for (const { promise, budgeted } of ahead) {
      await promise.catch(() => {})
      if (budgeted) components.budget.give()
    }
  }
}

async function readUnit(components: BodySourceComponents, unit: Unit, sequential: boolean): Promise<Uint8Array> {
  const { layout, journal, keeper } = components
  const { extent, firstChunk } = unit
  const key = unwrapKey(journal.keys.wrapKey, unit.part.wrappedKey)
  const start = extent.offset + unit.start
  const end = extent.offset + unit.end
  const local = journal.pack(extent.segment)
  let plain: Uint8Array
  if (local) {
    const sealed = Buffer.allocUnsafe(end - start)
    await local.read(start, sealed)
    const chunks = Math.ceil(sealed.length / layout.chunkBytes)
    plain = new Uint8Array(sealed.length - chunks * TAG_BYTES)
    openChunks(layout, key, firstChunk, sealed, plain)
  } else {
    const job = { ref: await keeper.ref(extent.segment), start, end, key, firstChunk, sequential }
    const engine = end - start <= INLINE_CHUNKS * layout.chunkBytes ? components.inline : components.pool
    try {
      const result = await engine.read(job)
      if (result.failures.length > 0) keeper.reportFailures(extent.segment, result.failures)
      plain = result.bytes
    } catch (error) {
      if (!(error instanceof SegmentError)) throw error
      keeper.reportFailures(extent.segment, error.failures)
      throw new ObjectError('ServiceUnavailable', error.message, { segment: extent.segment }, { cause: error })
    }
  }
  return unit.skip === 0 && unit.take === plain.length ? plain : plain.subarray(unit.skip, unit.skip + unit.take)
}

function* unitsOf(layout: SegmentLayout, parts: readonly Part[], range: ByteRange): Generator<Unit> {
  let partStart = 0
  for (const part of parts) {
    const from = Math.max(range.start, partStart) - partStart
    const to = Math.min(range.end, partStart + part.size) - partStart
    partStart += part.size
    if (from < to) yield* unitsOfPart(layout, part, from, to)
    if (partStart >= range.end) return
  }
}

/** Units of plaintext [from, to) of a part. */
function* unitsOfPart(layout: SegmentLayout, part: Part, from: number, to: number): Generator<Unit> {
  const { chunkBytes, chunkPlainBytes } = layout
  const firstChunk = Math.floor(from / chunkPlainBytes)
  const endChunk = Math.ceil(to / chunkPlainBytes)
  let extentChunk = 0
  for (const extent of part.extents) {
    const chunkCount = Math.ceil(extent.length / chunkBytes)
    const first = Math.max(firstChunk, extentChunk)
    const end = Math.min(endChunk, extentChunk + chunkCount)
    for (let chunk = first; chunk < end; ) {
      // Units end where a fragment may end, so that each is read from one seat.
      const within = chunk - extentChunk
      const next = Math.min(end, extentChunk + (Math.floor(within / UNIT_CHUNKS) + 1) * UNIT_CHUNKS)
      const plainStart = chunk * chunkPlainBytes
      const skip = Math.max(0, from - plainStart)
      yield {
        part,
        extent,
        start: within * chunkBytes,
        end: Math.min(extent.length, (next - extentChunk) * chunkBytes),
        firstChunk: chunk,
        skip,
        take: Math.min(to, next * chunkPlainBytes) - plainStart - skip,
      }
      chunk = next
    }
    extentChunk += chunkCount
    if (extentChunk >= endChunk) return
  }
}
