import { BlsError, G1, type G1Vector } from '@cumulus/bls'
import type { FragmentPlace } from './block-name.ts'
import { chal } from './chal.ts'
import type { TaggerKey } from './key-gen.ts'
import { blockBytes, blockCount, type PodrParams } from './podr-params.ts'
import { ProofBuilder } from './proof-gen.ts'
import { TAG_BYTES } from './tag-gen.ts'
import { verify } from './verify.ts'

/**
 * Whether tags that a worker returned are those of a fragment: a miner challenges itself over all its blocks. Tags that pass
 * will pass in every audit. Costs one proof and one verification.
 *
 * @param seed 32 bytes the worker could not know when it made the tags
 */
export function checkTags(
  fragment: Uint8Array,
  tags: Uint8Array,
  place: FragmentPlace,
  tagger: { readonly key: TaggerKey; readonly powers: G1Vector },
  seed: Uint8Array,
  params: PodrParams,
): boolean {
  const count = blockCount(fragment.length, params)
  if (tags.length !== count * TAG_BYTES) return false
  const range = { group: place.group, seat: place.seat, firstStripe: place.stripe, stripeCount: 1, blockCount: count }
  const challenge = chal(seed, [range], { ...params, challengedCount: count })
  if (challenge === undefined) return false
  const builder = new ProofBuilder(challenge)
  const size = blockBytes(params)
  for (let block = 0; block < count; block++) {
    const tag = tags.subarray(block * TAG_BYTES, (block + 1) * TAG_BYTES)
    if (!isMember(tag)) return false
    builder.add(block, fragment.subarray(block * size, (block + 1) * size), tag)
  }
  return verify({ proof: builder.finish(tagger.powers), challenge, key: tagger.key }).ok
}

/** A tag off the subgroup would pass here by chance, when its coefficient happens to cancel what is wrong with it. */
function isMember(tag: Uint8Array): boolean {
  try {
    G1.fromBytes(tag)
    return true
  } catch (error) {
    if (error instanceof BlsError) return false
    throw error
  }
}
