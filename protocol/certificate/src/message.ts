import { ByteWriter, utf8Encode } from '@cumulus/bytes'

/** All that a member's BLS keys ever sign, apart by their first bytes. */
const VOTE_DOMAIN = utf8Encode('cumulus/vote/1')
const COIN_DOMAIN = utf8Encode('cumulus/coin/1')

/**
 * What a member signs for a chain block that it has executed: `cumulus/vote/1 | chainId u64 | era u32 | height u64 |
 * headerHash 32`, little-endian.
 */
export function voteMessage(vote: {
  readonly chainId: number
  readonly era: number
  readonly height: bigint
  readonly headerHash: Uint8Array
}): Uint8Array {
  const writer = new ByteWriter(80).bytes(VOTE_DOMAIN).u53(vote.chainId).u32(vote.era).u64(vote.height)
  return writer.bytes(vote.headerHash).finish()
}

/** What a share of the coin of a round signs: `cumulus/coin/1 | chainId u64 | era u32 | round u32`, little-endian. */
export function coinMessage(coin: {
  readonly chainId: number
  readonly era: number
  readonly round: number
}): Uint8Array {
  return new ByteWriter(32).bytes(COIN_DOMAIN).u53(coin.chainId).u32(coin.era).u32(coin.round).finish()
}
