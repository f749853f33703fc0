import { ByteReader, ByteWriter, bytesToHex, DecodeError, hexToBytes } from '@cumulus/bytes'
import { HASH_BYTES } from '@cumulus/hash'
import type { Address } from '@cumulus/types'

/** Tags of a whole stripe, with who vouches for them. */
export interface TagRecord {
  /** Account of the TEE worker. */
  readonly tagger: Address
  readonly segmentRoot: Uint8Array
  /** Ed25519 by the worker's peer key over `stripeTagsMessage`, 64 bytes. */
  readonly signature: Uint8Array
  /** Of all seats: see `stripeTagsBytes`. */
  readonly tags: Uint8Array
}

const VERSION = 1
const ADDRESS_BYTES = 20
const SIGNATURE_BYTES = 64

/**
 *     offset  bytes  field
 *     0       1      version, 1
 *     1       20     tagger
 *     21      32     segment root
 *     53      64     signature
 *     117            tags, seat after seat
 */
export function encodeTagRecord({ tagger, segmentRoot, signature, tags }: TagRecord): Uint8Array {
  return new ByteWriter(117 + tags.length)
    .u8(VERSION)
    .bytes(hexToBytes(tagger))
    .bytes(segmentRoot)
    .bytes(signature)
    .bytes(tags)
    .finish()
}

/** @throws DecodeError */
export function decodeTagRecord(bytes: Uint8Array): TagRecord {
  const reader = new ByteReader(bytes)
  const version = reader.u8()
  if (version !== VERSION) throw new DecodeError(`tag record of unknown version ${version}`, 0)
  return {
    tagger: bytesToHex(reader.bytes(ADDRESS_BYTES)) as Address,
    segmentRoot: reader.bytes(HASH_BYTES),
    signature: reader.bytes(SIGNATURE_BYTES),
    tags: reader.bytes(reader.remaining),
  }
}
