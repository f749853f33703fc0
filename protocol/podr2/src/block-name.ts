import { ByteWriter, utf8Encode } from '@cumulus/bytes'
import type { GroupId, Seat, StripeNumber } from '@cumulus/types'
import { PodrError } from './podr-error.ts'
import { BLOCK_COUNT_MAX } from './podr-params.ts'

/** Where a fragment lies: one seat of one stripe. */
export interface FragmentPlace {
  readonly group: GroupId
  readonly stripe: StripeNumber
  readonly seat: Seat
}

/** A block of a fragment, from 0. */
export interface BlockPlace extends FragmentPlace {
  readonly block: number
}

const DOMAIN = utf8Encode('cumulus/podr2/block/1')

/** Domain separation tag of names hashed to G1 (RFC 9380, 3.1). */
export const NAME_DST = utf8Encode('CUMULUS-PODR2-V01-CS01-with-BLS12381G1_XMD:SHA-256_SSWU_RO_')

/**
 * The name under which a block is tagged: 'cumulus/podr2/block/1' ‖ chain id u64 ‖ group u32 ‖ stripe u32 ‖ seat u8 ‖ block u16,
 * little-endian. A stripe holds one segment for life, so a name stands for one content.
 */
export function blockName(chainId: number, place: BlockPlace): Uint8Array {
  if (!Number.isInteger(place.block) || place.block < 0 || place.block >= BLOCK_COUNT_MAX) {
    throw new PodrError('BAD_BLOCK', `block ${place.block} is outside 0..${BLOCK_COUNT_MAX - 1}`)
  }
  return new ByteWriter(48)
    .bytes(DOMAIN)
    .u64(BigInt(chainId))
    .u32(place.group)
    .u32(place.stripe)
    .u8(place.seat)
    .u16(place.block)
    .finish()
}
