import { type ByteReader, type ByteWriter, DecodeError } from '@cumulus/bytes'
import type { Checksum, ChecksumAlgorithm, ChecksumRequest, ObjectMetadata } from '../object-layer.ts'
import { WRAPPED_KEY_BYTES } from '../owner-keys.ts'

/** A run of ciphertext in a segment of the owner. Segments go by the owner's own numbers: where one lies may change. */
export interface Extent {
  readonly segment: number
  readonly offset: number
  readonly length: number
}

/** A run of plaintext under one key: a whole simple object, or one part of a multipart one. */
export interface Part {
  /** AES key wrap of 32 random bytes, 40 bytes. */
  readonly wrappedKey: Uint8Array
  /** Bytes of plaintext. */
  readonly size: number
  /** Ciphertext in order; every extent but the last holds whole chunks. */
  readonly extents: readonly Extent[]
}

export interface StoredObject {
  readonly size: number
  readonly modifiedMs: number
  readonly etag: string
  /** Empty = the owner of the bucket. */
  readonly owner: string
  readonly metadata: ObjectMetadata
  readonly checksum?: Checksum
  /** Made by multipart upload of this id (empty = no): completing the same upload again answers the same. */
  readonly uploadId: string
  readonly parts: readonly Part[]
}

export interface StoredBucket {
  readonly createdMs: number
  readonly region: string
}

export interface StoredUpload {
  readonly owner: string
  readonly initiatedMs: number
  readonly metadata: ObjectMetadata
  readonly checksum?: ChecksumRequest
}

export interface StoredPart {
  readonly etag: string
  readonly modifiedMs: number
  readonly checksum?: Checksum
  readonly part: Part
}

/** Where a segment lies, as the journal tells it: once it is on its seats, and again whenever it moves. */
export interface StoredSegment {
  readonly segment: number
  /** 0 = data only, 1 = pack (journal and footer at its end). */
  readonly kind: 0 | 1
  readonly group: number
  readonly stripe: number
  readonly reservation: bigint
  readonly descriptor: Uint8Array
  /** Bit i = seat i has signed. */
  readonly seats: number
  /** 64 bytes for each set bit, ascending; empty once the stripe is committed on chain. */
  readonly signatures: Uint8Array
  /** Keys whose bytes are in a data segment, so that they can be found when it is compacted. */
  readonly users: readonly { readonly bucket: string; readonly key: string }[]
}

export const KEY_BYTES_MAX = 1024
const BUCKET_BYTES_MAX = 255
const TEXT_BYTES_MAX = 64 * 1024
/** S3 allows 10,000; and 5 TiB in 32 MiB segments are 163,840 extents. */
const PARTS_MAX = 10_000
const EXTENTS_MAX = 2 ** 20

const ALGORITHMS: readonly ChecksumAlgorithm[] = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256']

export function writeObject(writer: ByteWriter, object: StoredObject): void {
  writer.u53(object.size).u53(object.modifiedMs).text(object.etag).text(object.owner).text(object.uploadId)
  writeMetadata(writer, object.metadata)
  writeChecksum(writer, object.checksum)
  writer.u32(object.parts.length)
  for (const part of object.parts) writePart(writer, part)
}

/** All but the parts, which come last: a listing does not decode ten thousand of them. */
export function readObjectHead(reader: ByteReader): Omit<StoredObject, 'parts'> {
  const size = reader.u53()
  const modifiedMs = reader.u53()
  const etag = reader.text(TEXT_BYTES_MAX)
  const owner = reader.text(TEXT_BYTES_MAX)
  const uploadId = reader.text(TEXT_BYTES_MAX)
  const metadata = readMetadata(reader)
  return { size, modifiedMs, etag, owner, uploadId, metadata, checksum: readChecksum(reader) }
}

export function readObject(reader: ByteReader): StoredObject {
  const head = readObjectHead(reader)
  const count = limited(reader, reader.u32(), PARTS_MAX, 'parts')
  const parts: Part[] = []
  for (let i = 0; i < count; i++) parts.push(readPart(reader))
  return { ...head, parts }
}

export function writeBucket(writer: ByteWriter, bucket: StoredBucket): void {
  writer.u53(bucket.createdMs).text(bucket.region)
}

export function readBucket(reader: ByteReader): StoredBucket {
  return { createdMs: reader.u53(), region: reader.text(TEXT_BYTES_MAX) }
}

export function writeUpload(writer: ByteWriter, upload: StoredUpload): void {
  writer.text(upload.owner).u53(upload.initiatedMs)
  writeMetadata(writer, upload.metadata)
  writeChecksum(writer, upload.checksum && { ...upload.checksum, value: '' })
}

export function readUpload(reader: ByteReader): StoredUpload {
  const owner = reader.text(TEXT_BYTES_MAX)
  const initiatedMs = reader.u53()
  const metadata = readMetadata(reader)
  const checksum = readChecksum(reader)
  return {
    owner,
    initiatedMs,
    metadata,
    checksum: checksum && { algorithm: checksum.algorithm, type: checksum.type },
  }
}

export function writeStoredPart(writer: ByteWriter, part: StoredPart): void {
  writer.text(part.etag).u53(part.modifiedMs)
  writeChecksum(writer, part.checksum)
  writePart(writer, part.part)
}

export function readStoredPart(reader: ByteReader): StoredPart {
  const etag = reader.text(TEXT_BYTES_MAX)
  const modifiedMs = reader.u53()
  const checksum = readChecksum(reader)
  return { etag, modifiedMs, checksum, part: readPart(reader) }
}

export function writeSegment(writer: ByteWriter, segment: StoredSegment): void {
  writer.u53(segment.segment).u8(segment.kind).u32(segment.group).u32(segment.stripe).u64(segment.reservation)
  writer.prefixed(segment.descriptor).u32(segment.seats).prefixed(segment.signatures)
  writer.u32(segment.users.length)
  for (const { bucket, key } of segment.users) writer.text(bucket).text(key)
}

export function readSegment(reader: ByteReader): StoredSegment {
  const segment = reader.u53()
  const kind = reader.u8()
  if (kind !== 0 && kind !== 1) throw new DecodeError(`segment of unknown kind ${kind}`, reader.offset - 1)
  const group = reader.u32()
  const stripe = reader.u32()
  const reservation = reader.u64()
  const descriptor = reader.prefixed(TEXT_BYTES_MAX).slice()
  const seats = reader.u32()
  const signatures = reader.prefixed(TEXT_BYTES_MAX).slice()
  const count = limited(reader, reader.u32(), PARTS_MAX, 'users')
  const users: { bucket: string; key: string }[] = []
  for (let i = 0; i < count; i++) users.push({ bucket: reader.text(BUCKET_BYTES_MAX), key: reader.text(KEY_BYTES_MAX) })
  return { segment, kind, group, stripe, reservation, descriptor, seats, signatures, users }
}

export function writeBucketName(writer: ByteWriter, bucket: string): void {
  writer.text(bucket)
}

export function readBucketName(reader: ByteReader): string {
  return reader.text(BUCKET_BYTES_MAX)
}

export function readKey(reader: ByteReader): string {
  return reader.text(KEY_BYTES_MAX)
}

export function readShortText(reader: ByteReader): string {
  return reader.text(BUCKET_BYTES_MAX)
}

function writePart(writer: ByteWriter, part: Part): void {
  if (part.wrappedKey.length !== WRAPPED_KEY_BYTES) throw new RangeError('a wrapped key has 40 bytes')
  writer.bytes(part.wrappedKey).u53(part.size).u32(part.extents.length)
  for (const extent of part.extents) writer.u53(extent.segment).u32(extent.offset).u32(extent.length)
}

function readPart(reader: ByteReader): Part {
  const wrappedKey = reader.bytes(WRAPPED_KEY_BYTES).slice()
  const size = reader.u53()
  const count = limited(reader, reader.u32(), EXTENTS_MAX, 'extents')
  const extents: Extent[] = []
  for (let i = 0; i < count; i++) extents.push({ segment: reader.u53(), offset: reader.u32(), length: reader.u32() })
  return { wrappedKey, size, extents }
}

function writeMetadata(writer: ByteWriter, metadata: ObjectMetadata): void {
  const entries = Object.entries(metadata)
  writer.u16(entries.length)
  for (const [name, value] of entries) writer.text(name).text(value)
}

function readMetadata(reader: ByteReader): ObjectMetadata {
  const count = reader.u16()
  const entries: [string, string][] = []
  for (let i = 0; i < count; i++) entries.push([reader.text(TEXT_BYTES_MAX), reader.text(TEXT_BYTES_MAX)])
  return Object.fromEntries(entries)
}

function writeChecksum(writer: ByteWriter, checksum: Checksum | undefined): void {
  if (!checksum) {
    writer.u8(0)
    return
  }
  writer
    .u8(1 + ALGORITHMS.indexOf(checksum.algorithm))
    .u8(checksum.type === 'COMPOSITE' ? 1 : 0)
    .text(checksum.value)
}

function readChecksum(reader: ByteReader): Checksum | undefined {
  const code = reader.u8()
  if (code === 0) return undefined
  const algorithm = ALGORITHMS[code - 1]
  if (!algorithm) throw new DecodeError(`unknown checksum ${code}`, reader.offset - 1)
  return {
    algorithm,
    type: reader.u8() === 1 ? 'COMPOSITE' : 'FULL_OBJECT',
    value: reader.text(TEXT_BYTES_MAX),
  }
}

function limited(reader: ByteReader, count: number, max: number, what: string): number {
  if (count > max) throw new DecodeError(`${count} ${what}, at most ${max}`, reader.offset - 4)
  return count
}
