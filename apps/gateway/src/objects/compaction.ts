import { type Logger, limitConcurrency } from '@cumulus/service'
import { decodeDescriptor } from '@cumulus/storage'
import type { Mutation } from '../journal/mutation.ts'
import type { OwnerJournal } from '../journal/owner-journal.ts'
import { decodeJournal, decodePackFooter, openRecord, PACK_FOOTER_BYTES } from '../journal/pack-format.ts'
import type { Extent, Part, StoredSegment } from '../journal/rows.ts'
import { type DataKeys, packJournalKey } from '../owner-keys.ts'
import type { SegmentRef } from '../segments/jobs.ts'
import type { SegmentLayout } from '../segments/segment-layout.ts'
import type { SegmentPool } from '../segments/segment-pool.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { ObjectIndex, SegmentRow } from './object-index.ts'

export interface CompactionComponents {
  readonly territory: bigint
  readonly layout: SegmentLayout
  readonly index: ObjectIndex
  readonly journal: OwnerJournal
  readonly keys: DataKeys
  readonly pool: SegmentPool
  readonly buffers: BufferPool
  readonly log: Logger
  readonly refOf: (row: SegmentRow) => Promise<SegmentRef>
  readonly isPinned: (segment: number) => boolean
  readonly onReleasable: (segment: number) => void
}

/**
 * Empties packs that are less than half needed: what is needed is said again in the open pack, then the stripe can go.
 * Packs with something in them are only emptied where that frees a stripe in the end, that is, where at least two fit one.
 *
 * @returns packs emptied
 */
export async function compactPacks(components: CompactionComponents): Promise<number> {
  const { index, territory, layout, journal } = components
  const candidates: { row: SegmentRow; liveBytes: number }[] = []
  for (const row of index.segments(territory)) {
    if (row.kind !== 1 || row.state !== 'committed' || components.isPinned(row.segment)) continue
    if (journal.isLocal(row.segment)) continue
    const liveBytes = index.liveBytes(territory, row.segment)
    if (liveBytes < layout.segmentBytes / 2) candidates.push({ row, liveBytes })
  }
  candidates.sort((a, b) => a.liveBytes - b.liveBytes)
  const chosen: SegmentRow[] = []
  let totalBytes = 0
  for (const { row, liveBytes } of candidates) {
    if (totalBytes + liveBytes > layout.segmentBytes * 0.9) break
    totalBytes += liveBytes
    chosen.push(row)
  }
  const worthwhile =
    chosen.length >= 2 ? chosen : chosen.filter(({ segment }) => index.liveBytes(territory, segment) === 0)
  // Oldest first: then their tombstones have nothing older to guard against, and end here.
  worthwhile.sort((a, b) => a.segment - b.segment)
  for (const row of worthwhile) await compactPack(components, row)
  return worthwhile.length
}

async function compactPack(components: CompactionComponents, row: SegmentRow): Promise<void> {
  const { index, territory, journal, layout, log } = components
  await components.buffers.acquire(layout.segmentBytes)
  try {
    const descriptor = decodeDescriptor(row.descriptor)
    const { bytes } = await components.pool.read({
      ref: await components.refOf(row),
      start: 0,
      end: descriptor.length,
      sequential: true,
    })
    const mutations = readPack(bytes, descriptor.journalDigest, components.keys)
    const mover = new PackMover(components, row.segment, bytes)
    const limited = limitConcurrency(MOVES_AT_ONCE)
    await Promise.all(mutations.map((mutation) => limited(() => mover.keep(mutation))))
    if (journal.oldestPack() < row.segment) await mover.carryTombstones(mutations)
    const liveBytes = index.liveBytes(territory, row.segment)
    if (liveBytes === 0) components.onReleasable(row.segment)
    else log.warn('pack not empty after compaction', { territory, segment: row.segment, liveBytes })
  } finally {
    components.buffers.release(layout.segmentBytes)
  }
}

/** All mutations of a sealed pack in order. @throws DecodeError */
export function readPack(segment: Uint8Array, journalDigest: Uint8Array, keys: DataKeys): Mutation[] {
  const footerBytes = segment.subarray(segment.length - PACK_FOOTER_BYTES)
  const footer = decodePackFooter(footerBytes)
  const journal = segment.subarray(
    segment.length - PACK_FOOTER_BYTES - footer.journalLength,
    segment.length - PACK_FOOTER_BYTES,
  )
  const key = packJournalKey(keys.journalKey, footer.salt)
  return decodeJournal(journal, footerBytes, journalDigest).flatMap(({ sequence, record }) =>
    openRecord(key, footer.segment, sequence, record),
  )
}

/** Moves what the index still has in one pack to the open pack, thing by thing. */
class PackMover {
  readonly #c: CompactionComponents
  readonly #segment: number
  readonly #bytes: Uint8Array
  readonly #seen = new Set<string>()

  constructor(components: CompactionComponents, segment: number, bytes: Uint8Array) {
    this.#c = components
    this.#segment = segment
    this.#bytes = bytes
  }

  /** Says again what `mutation` is about, if the index still needs this pack for it. */
  async keep(mutation: Mutation): Promise<void> {
    switch (mutation.kind) {
      case 'bucket-set':
        return this.#keepBucket(mutation.bucket)
      case 'object-set':
        return this.#keepObject(mutation.bucket, mutation.key)
      case 'upload-set':
        return this.#keepUpload(mutation.bucket, mutation.key, mutation.uploadId)
      case 'part-set':
        // The part may have become an object since.
        await this.#keepUpload(mutation.bucket, mutation.key, mutation.uploadId)
        await this.#keepPart(mutation.bucket, mutation.key, mutation.uploadId, mutation.partNumber)
        return this.#keepObject(mutation.bucket, mutation.key)
      case 'segment-set':
        return this.#keepSegment(mutation.value.segment)
      default:
    }
  }

  /**
   * Deletions are said again while older packs exist that may hold what they deleted: a gateway that rebuilds its
   * index from all packs in order must not find it.
   */
  async carryTombstones(mutations: readonly Mutation[]): Promise<void> {
    const { index, territory } = this.#c
    const isTombstone = (mutation: Mutation): boolean => {
      switch (mutation.kind) {
        case 'bucket-delete':
          return !index.bucket(mutation.bucket)
        case 'object-delete':
          return !index.object(mutation.bucket, mutation.key)
        case 'upload-delete':
          return !index.upload(mutation.bucket, mutation.key, mutation.uploadId)
        case 'void':
          return true
        default:
          return false
      }
    }
    const tombstones = mutations.filter(isTombstone)
    for (let at = 0; at < tombstones.length; at += TOMBSTONES_PER_RECORD) {
      const some = tombstones.slice(at, at + TOMBSTONES_PER_RECORD)
      await this.#c.journal.submit({
        exclusive: [...new Set(some.map((mutation) => nameOf(mutation)))],
        shared: [],
        // Asked again where the answer cannot change any more: a key may have been written meanwhile.
        build: () => ({
          mutations: some.filter(
            (m) => isTombstone(m) && !(m.kind === 'bucket-delete' && isForeign(index, m.bucket, territory)),
          ),
          result: undefined,
        }),
      })
    }
  }

  async #keepBucket(bucket: string): Promise<void> {
    if (!this.#first(`b/${bucket}`)) return
    await this.#c.journal.submit({
      exclusive: [`b/${bucket}`],
      shared: [],
      build: () => {
        const row = this.#c.index.bucket(bucket)
        if (row?.recordSegment !== this.#segment) return nothing
        const { createdMs, region } = row
        return { mutations: [{ kind: 'bucket-set', bucket, value: { createdMs, region } }], result: undefined }
      },
    })
  }

  async #keepObject(bucket: string, key: string): Promise<void> {
    if (!this.#first(`o/${bucket}/${key}`)) return
    await this.#moveAll(
      `o/${bucket}/${key}`,
      () => {
        const row = this.#c.index.object(bucket, key)
        return row && { parts: row.parts, record: row.recordSegment, row }
      },
      ({ row }, parts) => ({ kind: 'object-set', bucket, key, value: { ...row, parts } }),
    )
  }

  async #keepUpload(bucket: string, key: string, uploadId: string): Promise<void> {
    if (!this.#first(`u/${uploadId}`)) return
    await this.#c.journal.submit({
      exclusive: [`u/${uploadId}`],
      shared: [],
      build: () => {
        const row = this.#c.index.upload(bucket, key, uploadId)
        if (row?.recordSegment !== this.#segment) return nothing
        return { mutations: [{ kind: 'upload-set', bucket, key, uploadId, value: row }], result: undefined }
      },
    })
  }

  async #keepPart(bucket: string, key: string, uploadId: string, partNumber: number): Promise<void> {
    if (!this.#first(`p/${uploadId}/${partNumber}`)) return
    await this.#moveAll(
      `u/${uploadId}`,
      () => {
        const row = this.#c.index.part(uploadId, partNumber)
        return row && { parts: [row.part], record: row.recordSegment, row }
      },
      ({ row }, [part]) => ({ kind: 'part-set', bucket, key, uploadId, partNumber, value: { ...row, part: part! } }),
    )
  }

  async #keepSegment(segment: number): Promise<void> {
    if (!this.#first(`s/${segment}`)) return
    await this.#c.journal.submit({
      exclusive: [`s/${segment}`],
      shared: [],
      build: () => {
        const row = this.#c.index.segment(this.#c.territory, segment)
        if (row?.recordSegment !== this.#segment || row.state === 'releasing') return nothing
        const value: StoredSegment = row.state === 'committed' ? { ...row, signatures: new Uint8Array(0) } : row
        return { mutations: [{ kind: 'segment-set', value }], result: undefined }
      },
    })
  }

  /** Extent by extent, since all of an object's need not fit one entry; each step leaves a whole object. */
  async #moveAll<Found extends { parts: readonly Part[]; record: number }>(
    name: string,
    find: () => Found | undefined,
    write: (found: Found, parts: Part[]) => Mutation,
  ): Promise<void> {
    for (;;) {
      const found = find()
      if (!found) return
      const extent = found.parts.flatMap(({ extents }) => extents).find(({ segment }) => segment === this.#segment)
      if (!extent && found.record !== this.#segment) return
      await this.#c.journal.submit({
        exclusive: [name],
        shared: [],
        data: extent ? [this.#bytes.subarray(extent.offset, extent.offset + extent.length)] : [],
        build: (place) => {
          const current = find()
          if (!current) return nothing
          if (!extent) {
            if (current.record !== this.#segment) return nothing
            return { mutations: [write(current, [...current.parts])], result: undefined }
          }
          if (!current.parts.some((part) => part.extents.some((other) => isSame(other, extent)))) return nothing
          const parts = current.parts.map((part) => ({
            ...part,
            extents: part.extents.map((other) => (isSame(other, extent) ? place : other)),
          }))
          return { mutations: [write(current, parts)], result: undefined }
        },
      })
    }
  }

  #first(name: string): boolean {
    if (this.#seen.has(name)) return false
    this.#seen.add(name)
    return true
  }
}

/** They share groups of the log. */
const MOVES_AT_ONCE = 64
const TOMBSTONES_PER_RECORD = 64
const nothing = { mutations: [], result: undefined }

function isSame(a: Extent, b: Extent): boolean {
  return a.segment === b.segment && a.offset === b.offset && a.length === b.length
}

function isForeign(index: ObjectIndex, bucket: string, territory: bigint): boolean {
  const other = index.bucketTerritory(bucket)
  return other !== undefined && other !== territory
}

function nameOf(mutation: Mutation): string {
  switch (mutation.kind) {
    case 'bucket-delete':
      return `b/${mutation.bucket}`
    case 'object-delete':
      return `o/${mutation.bucket}/${mutation.key}`
    case 'upload-delete':
      return `u/${mutation.uploadId}`
    default:
      return 'void'
  }
}
