import { ByteReader, ByteWriter, bytesToHex, DecodeError, hexToBytes } from '@cumulus/bytes'
import { blake3, HASH_BYTES } from '@cumulus/hash'
import type { Address } from '@cumulus/types'

/** Tags of a whole stripe, with who vouches for them. */
export interface TagRecord {
  /** Account of the TEE worker. */
  readonly tagger: Address
  readonly segmentRoot: Uint8Array
  /** Ed25519 by the worker's peer key over `stripeTagsMessage`, 64 bytes. */
  readonly signature: Uint8Array
  /**
   * `keyIdOf` the tagger key by which those of the own seat passed the check in full; zeros = nobody has checked them. A worker
   * that leaves and comes back with another key is another tagger.
   */
  readonly checkedBy: Uint8Array
  /** Of all seats: see `stripeTagsBytes`. */
  readonly tags: Uint8Array
}

const VERSION = 2
/** Had no `checkedBy`: whatever it says is checked anew. */
const VERSION_UNCHECKED = 1
const ADDRESS_BYTES = 20
const SIGNATURE_BYTES = 64

/** No key. */
export const UNCHECKED = new Uint8Array(HASH_BYTES)

/** @param taggerKey as registered, 288 bytes */
export function keyIdOf(taggerKey: Uint8Array): Uint8Array {
  return blake3(taggerKey)
}

/**
 *     offset  bytes  field
 *     0       1      version, 2
 *     1       20     tagger
 *     21      32     segment root
 *     53      64     signature
 *     117     32     checked by
 *     149            tags, seat after seat
 */
export function encodeTagRecord({ tagger, segmentRoot, signature, checkedBy, tags }: TagRecord): Uint8Array {
  return new ByteWriter(149 + tags.length)
    .u8(VERSION)
    .bytes(hexToBytes(tagger))
    .bytes(segmentRoot)
    .bytes(signature)
    .bytes(checkedBy)
    .bytes(tags)
    .finish()
}

/** @throws DecodeError */
export function decodeTagRecord(bytes: Uint8Array): TagRecord {
  const reader = new ByteReader(bytes)
  const version = reader.u8()
  if (version !== VERSION && version !== VERSION_UNCHECKED) {
    throw new DecodeError(`tag record of unknown version ${version}`, 0)
  }
  return {
    tagger: bytesToHex(reader.bytes(ADDRESS_BYTES)) as Address,
    segmentRoot: reader.bytes(HASH_BYTES),
    signature: reader.bytes(SIGNATURE_BYTES),
    checkedBy: version === VERSION ? reader.bytes(HASH_BYTES) : UNCHECKED,
    tags: reader.bytes(reader.remaining),
  }
}
