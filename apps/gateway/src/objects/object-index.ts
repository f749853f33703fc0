import { ByteReader, ByteWriter, compareBytes, concatBytes, utf8Decode, utf8Encode } from '@cumulus/bytes'
import type { Mutation } from '../journal/mutation.ts'
import {
  type Extent,
  readBucket,
  readObject,
  readObjectHead,
  readSegment,
  readStoredPart,
  readUpload,
  type StoredBucket,
  type StoredObject,
  type StoredPart,
  type StoredSegment,
  type StoredUpload,
  writeBucket,
  writeObject,
  writeSegment,
  writeStoredPart,
  writeUpload,
} from '../journal/rows.ts'
import type { ListPage, ListQuery, ListUploadsQuery, OwnerId } from '../object-layer.ts'
import type { IndexStore, Table } from './index-store.ts'

/** Which journal record says a thing: so many bytes of that pack are needed as long as the thing is. */
export interface RecordRef {
  readonly sequence: number
  readonly recordSegment: number
  readonly recordBytes: number
}

export type BucketRow = StoredBucket & RecordRef & { readonly name: string; readonly owner: OwnerId }
export type ObjectRow = StoredObject & RecordRef
export type ObjectHead = Omit<StoredObject, 'parts'> & { readonly key: string }
export type UploadRow = StoredUpload & RecordRef & { readonly key: string; readonly uploadId: string }
export type PartRow = StoredPart & RecordRef & { readonly partNumber: number }

/** `written` = on a quorum of its seats; `committed` = the chain knows; `releasing` = nothing needs it, the chain is to be told. */
export type SegmentState = 'written' | 'committed' | 'releasing'
const STATES: readonly SegmentState[] = ['written', 'committed', 'releasing']

export type SegmentRow = StoredSegment & RecordRef & { readonly state: SegmentState }

/** What is known of an owner's journal. */
export interface OwnerProgress {
  /** Last transaction applied. */
  readonly sequence: number
  /** Counts gateways that have led the journal: the high bits of sequence and segment numbers. */
  readonly epoch: number
}

/** One transaction as it stands in a pack. */
export interface AppliedEntry {
  readonly sequence: number
  readonly recordBytes: number
  readonly mutations: readonly Mutation[]
}

/** Sequence numbers are epoch · 2^40 + n, segment numbers epoch · 2^32 + n, both below 2^53: 8,191 take-overs. */
export const SEQUENCES_PER_EPOCH = 2 ** 40
export const SEGMENTS_PER_EPOCH = 2 ** 32
export const EPOCH_MAX = 8191

/**
 * The index: what applying the journal gives, in LMDB. It is a cache of the journal, but an exact one: entries are
 * applied once and in order, each batch in one transaction together with the sequence number it reached, so that
 * replaying a log after a crash changes nothing that is there already.
 *
 * | table | key | value |
 * |---|---|---|
 * | owners | territory u64 BE | sequence, epoch |
 * | buckets | name | territory, owner, record, bucket |
 * | objects | bucket 00 key | record, object |
 * | uploads | bucket 00 key 00 upload id | record, upload |
 * | parts | upload id 00 part number u16 BE | record, part |
 * | segments | territory u64 BE ‖ segment u64 BE | state, record, segment |
 * | live | the same | bytes still needed u64 |
 *
 * Buckets cannot contain a zero byte, and their names are unique at a gateway; keys compare by their UTF-8 bytes, as S3 asks.
 */
export class ObjectIndex {
  readonly #store: IndexStore
  readonly #owners: Table
  readonly #buckets: Table
  readonly #objects: Table
  readonly #uploads: Table
  readonly #parts: Table
  readonly #segments: Table
  readonly #live: Table
  /** Changes of `live` in the transaction at hand: one write per segment, not per object. */
  readonly #liveDeltas = new Map<string, { key: Uint8Array; delta: number }>()

  constructor(store: IndexStore) {
    this.#store = store
    this.#owners = store.table('owners')
    this.#buckets = store.table('buckets')
    this.#objects = store.table('objects')
    this.#uploads = store.table('uploads')
    this.#parts = store.table('parts')
    this.#segments = store.table('segments')
    this.#live = store.table('live')
  }

  flushed(): Promise<void> {
    return this.#store.flushed()
  }

  progress(territory: bigint): OwnerProgress | undefined {
    const bytes = this.#owners.get(territoryKey(territory))
    if (!bytes) return undefined
    const reader = new ByteReader(bytes)
    return { sequence: reader.u53(), epoch: reader.u32() }
  }

  startEpoch(territory: bigint, epoch: number): void {
    if (epoch > EPOCH_MAX) throw new RangeError(`epoch ${epoch} is above ${EPOCH_MAX}`)
    this.#store.transact(() => {
      const sequence = Math.max(this.progress(territory)?.sequence ?? 0, epoch * SEQUENCES_PER_EPOCH)
      this.#owners.put(territoryKey(territory), new ByteWriter(16).u53(sequence).u32(epoch).finish())
    })
  }

  /**
   * Applies entries of pack `segment` in order, all or none. Those applied before are skipped.
   *
   * @returns segments of which nothing is needed any more
   */
  apply(owner: OwnerId, territory: bigint, segment: number, entries: readonly AppliedEntry[]): number[] {
    return this.#store.transact(() => {
      const progress = this.progress(territory) ?? { sequence: 0, epoch: 0 }
      let { sequence } = progress
      this.#liveDeltas.clear()
      for (const entry of entries) {
        if (entry.sequence <= sequence) continue
        this.#applyEntry(owner, territory, segment, entry)
        sequence = entry.sequence
      }
      if (sequence !== progress.sequence) {
        this.#owners.put(territoryKey(territory), new ByteWriter(16).u53(sequence).u32(progress.epoch).finish())
      }
      return this.#settleLive()
    })
  }

  #applyEntry(owner: OwnerId, territory: bigint, segment: number, entry: AppliedEntry): void {
    const setCount = entry.mutations.filter(({ kind }) => kind.endsWith('-set')).length
    const record: RecordRef = {
      sequence: entry.sequence,
      recordSegment: segment,
      recordBytes: setCount > 0 ? Math.floor(entry.recordBytes / setCount) : 0,
    }
    for (const mutation of entry.mutations) {
      switch (mutation.kind) {
        case 'bucket-set':
          this.#dropBucket(territory, mutation.bucket)
          this.#count(territory, segment, record.recordBytes)
          this.#buckets.put(utf8Encode(mutation.bucket), encodeBucketRow(owner, territory, record, mutation.value))
          break
        case 'bucket-delete':
          this.#dropBucket(territory, mutation.bucket)
          break
        case 'object-set':
          this.#dropObject(territory, mutation.bucket, mutation.key)
          this.#count(territory, segment, record.recordBytes)
          for (const part of mutation.value.parts) this.#countExtents(territory, part.extents, 1)
          this.#objects.put(
            objectKey(mutation.bucket, mutation.key),
            encodeRow(record, (writer) => writeObject(writer, mutation.value)),
          )
          break
        case 'object-delete':
          this.#dropObject(territory, mutation.bucket, mutation.key)
          break
        case 'upload-set':
          this.#dropUploadRow(territory, mutation.bucket, mutation.key, mutation.uploadId)
          this.#count(territory, segment, record.recordBytes)
          this.#uploads.put(
            uploadKey(mutation.bucket, mutation.key, mutation.uploadId),
            encodeRow(record, (writer) => writeUpload(writer, mutation.value)),
          )
          break
        case 'upload-delete':
          this.#dropUploadRow(territory, mutation.bucket, mutation.key, mutation.uploadId)
          for (const part of [...this.parts(mutation.uploadId)]) this.#dropPart(territory, mutation.uploadId, part)
          break
        case 'part-set': {
          const old = this.part(mutation.uploadId, mutation.partNumber)
          if (old) this.#dropPart(territory, mutation.uploadId, old)
          this.#count(territory, segment, record.recordBytes)
          this.#countExtents(territory, mutation.value.part.extents, 1)
          this.#parts.put(
            partKey(mutation.uploadId, mutation.partNumber),
            encodeRow(record, (writer) => writeStoredPart(writer, mutation.value)),
          )
          break
        }
        case 'segment-set': {
          const old = this.segment(territory, mutation.value.segment)
          if (old) this.#count(territory, old.recordSegment, -old.recordBytes)
          this.#count(territory, segment, record.recordBytes)
          this.#count(territory, mutation.value.segment, 0)
          const committed = mutation.value.signatures.length === 0
          this.#putSegment(territory, { ...mutation.value, ...record, state: committed ? 'committed' : 'written' })
          break
        }
        case 'void':
          break
      }
    }
  }

  #dropBucket(territory: bigint, name: string): void {
    const old = this.bucket(name)
    if (!old) return
    this.#count(territory, old.recordSegment, -old.recordBytes)
    this.#buckets.delete(utf8Encode(name))
  }

  #dropObject(territory: bigint, bucket: string, key: string): void {
    const old = this.object(bucket, key)
    if (!old) return
    this.#count(territory, old.recordSegment, -old.recordBytes)
    for (const part of old.parts) this.#countExtents(territory, part.extents, -1)
    this.#objects.delete(objectKey(bucket, key))
  }

  #dropUploadRow(territory: bigint, bucket: string, key: string, uploadId: string): void {
    const old = this.upload(bucket, key, uploadId)
    if (!old) return
    this.#count(territory, old.recordSegment, -old.recordBytes)
    this.#uploads.delete(uploadKey(bucket, key, uploadId))
  }

  #dropPart(territory: bigint, uploadId: string, part: PartRow): void {
    this.#count(territory, part.recordSegment, -part.recordBytes)
    this.#countExtents(territory, part.part.extents, -1)
    this.#parts.delete(partKey(uploadId, part.partNumber))
  }

  #countExtents(territory: bigint, extents: readonly Extent[], sign: 1 | -1): void {
    for (const extent of extents) this.#count(territory, extent.segment, sign * extent.length)
  }

  #count(territory: bigint, segment: number, delta: number): void {
    const name = `${territory} ${segment}`
    const entry = this.#liveDeltas.get(name)
    if (entry) entry.delta += delta
    else this.#liveDeltas.set(name, { key: segmentKey(territory, segment), delta })
  }

  #settleLive(): number[] {
    const dead: number[] = []
    for (const { key, delta } of this.#liveDeltas.values()) {
      const old = this.#live.get(key)
      const live = (old ? new ByteReader(old).u53() : 0) + delta
      // Replaying a journal from which packs are gone may take away what was never added; both end at nothing.
      this.#live.put(key, new ByteWriter(16).u53(Math.max(0, live)).finish())
      if (live <= 0) dead.push(new ByteReader(key.slice(8).reverse()).u53())
    }
    this.#liveDeltas.clear()
    return dead
  }

  // Buckets

  bucket(name: string): BucketRow | undefined {
    const bytes = this.#buckets.get(utf8Encode(name))
    return bytes && decodeBucketRow(name, bytes)
  }

  bucketTerritory(name: string): bigint | undefined {
    const bytes = this.#buckets.get(utf8Encode(name))
    return bytes && new ByteReader(bytes).u64()
  }

  *buckets(): Iterable<BucketRow> {
    for (const { key, value } of this.#buckets.range(new Uint8Array(0))) yield decodeBucketRow(utf8Decode(key), value)
  }

  isBucketEmpty(name: string): boolean {
    const [start, end] = bucketRange(name)
    for (const _ of this.#objects.range(start, end)) return false
    for (const _ of this.#uploads.range(start, end)) return false
    return true
  }

  objectCount(bucket: string): number {
    let count = 0
    const [start, end] = bucketRange(bucket)
    for (const _ of this.#objects.range(start, end)) count++
    return count
  }

  // Objects

  object(bucket: string, key: string): ObjectRow | undefined {
    const bytes = this.#objects.get(objectKey(bucket, key))
    if (!bytes) return undefined
    const reader = new ByteReader(bytes)
    return { ...readRecordRef(reader), ...readObject(reader) }
  }

  listObjects(bucket: string, query: ListQuery): ListPage<ObjectHead> {
    return list(this.#objects, bucket, query, utf8Encode(query.after), 0, (key, value) => {
      const reader = new ByteReader(value)
      readRecordRef(reader)
      return { key: utf8Decode(key), ...readObjectHead(reader) }
    })
  }

  // Uploads

  upload(bucket: string, key: string, uploadId: string): UploadRow | undefined {
    const bytes = this.#uploads.get(uploadKey(bucket, key, uploadId))
    return bytes && decodeUploadRow(key, uploadId, bytes)
  }

  listUploads(bucket: string, query: ListUploadsQuery): ListPage<UploadRow> {
    const after =
      query.after === '' || query.afterUploadId === ''
        ? // All uploads of the key `after` are behind us: ids start with a character below 0xff.
          query.after === ''
          ? new Uint8Array(0)
          : concatBytes(utf8Encode(query.after), new Uint8Array([0, 0xff]))
        : concatBytes(utf8Encode(query.after), new Uint8Array([0]), utf8Encode(query.afterUploadId))
    return list(this.#uploads, bucket, query, after, UPLOAD_ID_LENGTH + 1, (key, value, rest) =>
      decodeUploadRow(utf8Decode(key), utf8Decode(rest.subarray(1)), value),
    )
  }

  part(uploadId: string, partNumber: number): PartRow | undefined {
    const bytes = this.#parts.get(partKey(uploadId, partNumber))
    return bytes && decodePartRow(partNumber, bytes)
  }

  /** In order of their numbers. */
  *parts(uploadId: string, after = 0): Iterable<PartRow> {
    for (const { key, value } of this.#parts.range(partKey(uploadId, after + 1), partKey(uploadId, 0xffff))) {
      yield decodePartRow((key[key.length - 2]! << 8) | key[key.length - 1]!, value)
    }
  }

  // Segments

  segment(territory: bigint, segment: number): SegmentRow | undefined {
    const bytes = this.#segments.get(segmentKey(territory, segment))
    return bytes && decodeSegmentRow(bytes)
  }

  *segments(territory: bigint): Iterable<SegmentRow> {
    for (const { value } of this.#segments.range(territoryKey(territory), territoryKey(territory + 1n))) {
      yield decodeSegmentRow(value)
    }
  }

  liveBytes(territory: bigint, segment: number): number {
    const bytes = this.#live.get(segmentKey(territory, segment))
    return bytes ? new ByteReader(bytes).u53() : 0
  }

  /** Highest segment number that anything refers to, or 0. */
  lastSegment(territory: bigint): number {
    let last = 0
    for (const { key } of this.#live.range(territoryKey(territory), territoryKey(territory + 1n))) {
      last = new ByteReader(key.slice(8).reverse()).u53()
    }
    return last
  }

  setSegmentState(territory: bigint, segment: number, state: SegmentState): void {
    this.#store.transact(() => {
      const row = this.segment(territory, segment)
      if (row) this.#putSegment(territory, { ...row, state })
    })
  }

  /** Forgets a segment that was released. @returns segments of which nothing is needed any more now */
  dropSegment(territory: bigint, segment: number): number[] {
    return this.#store.transact(() => {
      const row = this.segment(territory, segment)
      this.#liveDeltas.clear()
      if (row && row.recordSegment !== segment) this.#count(territory, row.recordSegment, -row.recordBytes)
      this.#segments.delete(segmentKey(territory, segment))
      const dead = this.#settleLive()
      this.#live.delete(segmentKey(territory, segment))
      return dead
    })
  }

  #putSegment(territory: bigint, row: SegmentRow): void {
    this.#segments.put(
      segmentKey(territory, row.segment),
      new ByteWriter(1024)
        .u8(STATES.indexOf(row.state))
        .bytes(encodeRow(row, (writer) => writeSegment(writer, row)))
        .finish(),
    )
  }
}

/** Upload ids have this length, so that they can be told from the key before them. */
export const UPLOAD_ID_LENGTH = 32

/**
 * One page of a listing. Common prefixes are skipped as a whole: a bucket with a million keys under one prefix costs one seek.
 *
 * @param suffixLength bytes of the row's key after the listed key
 */
function list<Item>(
  table: Table,
  bucket: string,
  query: ListQuery,
  after: Uint8Array,
  suffixLength: number,
  decode: (key: Uint8Array, value: Uint8Array, suffix: Uint8Array) => Item & { readonly key: string },
): ListPage<Item> {
  const page: { items: Item[]; prefixes: string[] } = { items: [], prefixes: [] }
  if (query.limit === 0) return { ...page, truncated: false }
  const base = concatBytes(utf8Encode(bucket), new Uint8Array([0]))
  const prefix = utf8Encode(query.prefix)
  const delimiter = utf8Encode(query.delimiter)
  const end = successor(concatBytes(base, prefix))
  const afterKey = utf8Encode(query.after)
  let next: string | undefined
  // The first key after `after` is `after` followed by a zero byte.
  let start =
    after.length > 0 && compareBytes(after, prefix) >= 0
      ? concatBytes(base, after, new Uint8Array([0]))
      : concatBytes(base, prefix)
  // Rows of keys that continue `after` sort behind `after 00`; with a suffix that is where its own rows lie, already handled by `after`.
  scan: for (;;) {
    for (const { key: rowKey, value } of table.range(start, end)) {
      const key = rowKey.subarray(base.length, rowKey.length - suffixLength)
      const common = delimiter.length > 0 ? commonPrefix(key, prefix.length, delimiter) : undefined
      if (common) {
        start = successor(concatBytes(base, common))!
        if (afterKey.length > 0 && compareBytes(common, afterKey) <= 0) continue scan
        if (page.items.length + page.prefixes.length === query.limit) return { ...page, truncated: true, next }
        next = utf8Decode(common)
        page.prefixes.push(next)
        continue scan
      }
      if (page.items.length + page.prefixes.length === query.limit) return { ...page, truncated: true, next }
      const item = decode(key, value, rowKey.subarray(rowKey.length - suffixLength))
      page.items.push(item)
      next = item.key
    }
    return { ...page, truncated: false }
  }
}

/** `key` up to and with the first delimiter after its first `from` bytes. */
function commonPrefix(key: Uint8Array, from: number, delimiter: Uint8Array): Uint8Array | undefined {
  const at = Buffer.from(key.buffer, key.byteOffset, key.byteLength).indexOf(delimiter, from)
  return at < 0 ? undefined : key.subarray(0, at + delimiter.length)
}

/** The least byte string above all that start with `bytes`; never needed for all 0xff, since names are UTF-8. */
function successor(bytes: Uint8Array): Uint8Array | undefined {
  for (let last = bytes.length - 1; last >= 0; last--) {
    if (bytes[last] === 0xff) continue
    const above = bytes.slice(0, last + 1)
    above[last]!++
    return above
  }
  return undefined
}

function bucketRange(bucket: string): [Uint8Array, Uint8Array] {
  const name = utf8Encode(bucket)
  return [concatBytes(name, new Uint8Array([0])), concatBytes(name, new Uint8Array([1]))]
}

function objectKey(bucket: string, key: string): Uint8Array {
  return utf8Encode(`${bucket}\0${key}`)
}

function uploadKey(bucket: string, key: string, uploadId: string): Uint8Array {
  return utf8Encode(`${bucket}\0${key}\0${uploadId}`)
}

function partKey(uploadId: string, partNumber: number): Uint8Array {
  return concatBytes(utf8Encode(uploadId), new Uint8Array([0, partNumber >> 8, partNumber & 0xff]))
}

function territoryKey(territory: bigint): Uint8Array {
  return new ByteWriter(16).u64(territory).finish().reverse()
}

function segmentKey(territory: bigint, segment: number): Uint8Array {
  return new ByteWriter(16).u53(segment).u64(territory).finish().reverse()
}

function encodeRow(record: RecordRef, write: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter(384).u53(record.sequence).u53(record.recordSegment).u32(record.recordBytes)
  write(writer)
  return writer.finish()
}

function readRecordRef(reader: ByteReader): RecordRef {
  return { sequence: reader.u53(), recordSegment: reader.u53(), recordBytes: reader.u32() }
}

function encodeBucketRow(owner: OwnerId, territory: bigint, record: RecordRef, bucket: StoredBucket): Uint8Array {
  return new ByteWriter(128)
    .u64(territory)
    .text(owner)
    .bytes(encodeRow(record, (writer) => writeBucket(writer, bucket)))
    .finish()
}

function decodeBucketRow(name: string, bytes: Uint8Array): BucketRow {
  const reader = new ByteReader(bytes)
  reader.u64()
  const owner = reader.text(1024)
  return { name, owner, ...readRecordRef(reader), ...readBucket(reader) }
}

function decodeUploadRow(key: string, uploadId: string, bytes: Uint8Array): UploadRow {
  const reader = new ByteReader(bytes)
  return { key, uploadId, ...readRecordRef(reader), ...readUpload(reader) }
}

function decodePartRow(partNumber: number, bytes: Uint8Array): PartRow {
  const reader = new ByteReader(bytes)
  return { partNumber, ...readRecordRef(reader), ...readStoredPart(reader) }
}

function decodeSegmentRow(bytes: Uint8Array): SegmentRow {
  const reader = new ByteReader(bytes)
  const state = STATES[reader.u8()]!
  return { state, ...readRecordRef(reader), ...readSegment(reader) }
}
