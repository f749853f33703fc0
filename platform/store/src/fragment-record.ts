import { ByteReader, ByteWriter, DecodeError } from '@cumulus/bytes'
import { HASH_BYTES } from '@cumulus/hash'

/** Which fragment: numbers as the chain gives them. */
export interface FragmentKey {
  readonly group: number
  readonly stripe: number
  readonly seat: number
}

/** What the index knows about a fragment. */
export interface FragmentRecord {
  readonly length: number
  /** Cell that holds it; undefined = in LMDB. */
  readonly cell: number | undefined
  /** 32 bytes. */
  readonly fragmentId: Uint8Array
  /** 32 bytes. */
  readonly segmentRoot: Uint8Array
  readonly descriptor: Uint8Array
  /** BLAKE3 of every 64 KiB piece, 32 bytes each. */
  readonly pieceHashes: Uint8Array
}

const KEY_BYTES = 9
const VERSION = 1
const NO_CELL = 0xffff_ffff

/** group ‖ stripe ‖ seat, big-endian: the order of keys is the order of numbers. */
export function encodeKey({ group, stripe, seat }: FragmentKey): Uint8Array {
  const key = new Uint8Array(KEY_BYTES)
  const view = new DataView(key.buffer)
  view.setUint32(0, group)
  view.setUint32(4, stripe)
  view.setUint8(8, seat)
  return key
}

export function decodeKey(key: Uint8Array): FragmentKey {
  if (key.length !== KEY_BYTES) throw new DecodeError(`a fragment key has ${KEY_BYTES} bytes`, key.length)
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength)
  return { group: view.getUint32(0), stripe: view.getUint32(4), seat: view.getUint8(8) }
}

/**
 *     offset  bytes  field, little-endian
 *     0       1      version, 1
 *     1       1      zero
 *     2       2      d, bytes of the descriptor
 *     4       4      length of the fragment
 *     8       4      cell, 0xffffffff = the fragment is in the table `inline`
 *     12      32     fragment id
 *     44      32     segment root
 *     76      d      descriptor
 *     76 + d  32 p   piece hashes to the end
 */
export function encodeRecord(record: FragmentRecord): Uint8Array {
  const writer = new ByteWriter(76 + record.descriptor.length + record.pieceHashes.length)
  writer
    .u8(VERSION)
    .u8(0)
    .u16(record.descriptor.length)
    .u32(record.length)
    .u32(record.cell ?? NO_CELL)
  return writer
    .bytes(record.fragmentId)
    .bytes(record.segmentRoot)
    .bytes(record.descriptor)
    .bytes(record.pieceHashes)
    .finish()
}

export function decodeRecord(bytes: Uint8Array): FragmentRecord {
  const reader = new ByteReader(bytes)
  const version = reader.u8()
  if (version !== VERSION) throw new DecodeError(`fragment record of unknown version ${version}`, 0)
  reader.u8()
  const descriptorLength = reader.u16()
  const length = reader.u32()
  const cell = reader.u32()
  const fragmentId = reader.bytes(HASH_BYTES)
  const segmentRoot = reader.bytes(HASH_BYTES)
  const descriptor = reader.bytes(descriptorLength)
  const pieceHashes = reader.bytes(reader.remaining)
  if (pieceHashes.length % HASH_BYTES !== 0) throw new DecodeError('piece hashes are 32 bytes each', bytes.length)
  return { length, cell: cell === NO_CELL ? undefined : cell, fragmentId, segmentRoot, descriptor, pieceHashes }
}
