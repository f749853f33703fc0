import { ByteReader, ByteWriter, DecodeError } from '@cumulus/bytes'
import { blake3, HASH_BYTES } from '@cumulus/hash'
import { merkleRoot } from '@cumulus/merkle'

/**
 * What a segment is. Every seat keeps it beside its fragment, and the chain keeps its root: whoever holds the
 * descriptor can prove any fragment.
 *
 *     offset  bytes  field
 *     0       1      version, 1
 *     1       1      class id
 *     2       1      codec id
 *     3       1      n, fragments
 *     4       1      k, data fragments
 *     5       3      zero
 *     8       4      length of the segment in bytes, little-endian
 *     12      32     journal digest (zero = the segment carries no journal)
 *     44      32 n   fragment ids by seat
 */
export interface SegmentDescriptor {
  readonly classId: number
  readonly codec: number
  /** k: any so many fragments rebuild the segment. */
  readonly dataCount: number
  /** Bytes of ciphertext in the segment. */
  readonly length: number
  /** BLAKE3 of the journal inside the segment, 32 bytes; zeros where there is none. */
  readonly journalDigest: Uint8Array
  /** 32 bytes each, by seat; n = their count. */
  readonly fragmentIds: readonly Uint8Array[]
}

const VERSION = 1
/** Fragments are padded to whole pages, so that a cell can be written with O_DIRECT. */
const PAGE_BYTES = 4096
const ROOT_DOMAIN = new TextEncoder().encode('cumulus/segment/1')

/**
 * Length of each fragment of a segment: a k-th, rounded up to 4 KiB. Fragment i < k holds bytes
 * [i · fragmentLength, (i + 1) · fragmentLength) of the segment, zeros past its end.
 */
export function fragmentLength(segmentBytes: number, dataCount: number): number {
  return Math.max(PAGE_BYTES, Math.ceil(Math.ceil(segmentBytes / dataCount) / PAGE_BYTES) * PAGE_BYTES)
}

export function encodeDescriptor(descriptor: SegmentDescriptor): Uint8Array {
  const writer = new ByteWriter(44 + HASH_BYTES * descriptor.fragmentIds.length)
  writer.u8(VERSION).u8(descriptor.classId).u8(descriptor.codec)
  writer.u8(descriptor.fragmentIds.length).u8(descriptor.dataCount).bytes(new Uint8Array(3))
  writer.u32(descriptor.length).bytes(descriptor.journalDigest)
  for (const id of descriptor.fragmentIds) writer.bytes(id)
  return writer.finish()
}

/** @throws DecodeError if the bytes are not exactly one descriptor */
export function decodeDescriptor(bytes: Uint8Array): SegmentDescriptor {
  const reader = new ByteReader(bytes)
  const version = reader.u8()
  if (version !== VERSION) throw new DecodeError(`segment descriptor of unknown version ${version}`, 0)
  const classId = reader.u8()
  const codec = reader.u8()
  const seatCount = reader.u8()
  const dataCount = reader.u8()
  if (dataCount < 1 || dataCount > seatCount) throw new DecodeError(`k = ${dataCount} of n = ${seatCount}`, 4)
  if (reader.bytes(3).some((byte) => byte !== 0)) throw new DecodeError('reserved bytes are not zero', 5)
  const length = reader.u32()
  const journalDigest = reader.bytes(HASH_BYTES).slice()
  const fragmentIds = Array.from({ length: seatCount }, () => reader.bytes(HASH_BYTES).slice())
  reader.end()
  return { classId, codec, dataCount, length, journalDigest, fragmentIds }
}

/**
 * The segment root that the chain stores: Merkle root whose first leaf hashes everything but the fragment ids and
 * whose further leaves are the fragment ids by seat.
 */
export function segmentRoot(descriptor: SegmentDescriptor): Uint8Array {
  const head = encodeDescriptor(descriptor).subarray(0, 44)
  const headLeaf = blake3(new ByteWriter(80).bytes(ROOT_DOMAIN).bytes(head).finish())
  return merkleRoot([headLeaf, ...descriptor.fragmentIds])
}
