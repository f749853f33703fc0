import { ByteWriter, utf8Encode } from '@cumulus/bytes'
import { blake3, HASH_BYTES } from '@cumulus/hash'
import type { Seat, StripeRef } from '@cumulus/types'
import { PodrError } from './podr-error.ts'
import { blockCount, type PodrParams } from './podr-params.ts'
import { TAG_BYTES } from './tag-gen.ts'

/**
 * Tags of all seats of a stripe: every seat keeps them all, so that whoever rebuilds a fragment finds its tags at any
 * neighbour. Seat after seat, block after block, 48 bytes each.
 *
 * @param fragmentBytes length of a full fragment: the chain does not know how short a segment is, so all blocks have tags, and
 *   what is not there counts as zeros
 */
export function stripeTagsBytes(fragmentBytes: number, seatCount: number, params: PodrParams): number {
  return seatCount * blockCount(fragmentBytes, params) * TAG_BYTES
}

/** The tags of one seat, a view. @throws PodrError `MALFORMED_TAG` if the bytes are not tags of so many seats */
export function tagsOfSeat(tags: Uint8Array, seat: Seat, seatCount: number): Uint8Array {
  if (tags.length === 0 || tags.length % (seatCount * TAG_BYTES) !== 0 || seat >= seatCount) {
    throw new PodrError('MALFORMED_TAG', `${tags.length} bytes are not the tags of ${seatCount} seats`)
  }
  const bytes = tags.length / seatCount
  return tags.subarray(seat * bytes, (seat + 1) * bytes)
}

const STRIPE_TAGS_DOMAIN = utf8Encode('cumulus/podr2/stripe-tags/1')

/**
 * What a worker's peer key signs when it hands out the tags of a stripe: domain ‖ chain id u64 ‖ group u32 ‖ stripe u32 ‖
 * segment root 32 ‖ BLAKE3 of the tags 32, little-endian. It says who is to blame for wrong ones, and lets
 * neighbours pass them on.
 */
export function stripeTagsMessage(
  chainId: number,
  { group, stripe }: StripeRef,
  segmentRoot: Uint8Array,
  tags: Uint8Array,
): Uint8Array {
  if (segmentRoot.length !== HASH_BYTES) throw new PodrError('MALFORMED_TAG', 'a segment root has 32 bytes')
  return new ByteWriter(128)
    .bytes(STRIPE_TAGS_DOMAIN)
    .u64(BigInt(chainId))
    .u32(group)
    .u32(stripe)
    .bytes(segmentRoot)
    .bytes(blake3(tags))
    .finish()
}
