import { BlsError, G1, type G1Vector } from '@cumulus/bls'
import type { FragmentPlace } from './block-name.ts'
import { type Challenge, challengeOver } from './chal.ts'
import type { TaggerKey } from './key-gen.ts'
import { blockBytes, blockCount, type PodrParams } from './podr-params.ts'
import { ProofBuilder } from './proof-gen.ts'
import { TAG_BYTES } from './tag-gen.ts'
import { verify } from './verify.ts'

/**
 * Checks tags that a worker returned: a miner challenges itself over all blocks that they are of, of one fragment or of many
 * at once. Tags that pass will pass in every audit. Costs one proof and one verification in all, and 0.3 ms a tag.
 */
export class TagCheck {
  readonly #challenge: Challenge
  readonly #builder: ProofBuilder
  #areMembers = true

  /** @param challenge over the blocks, from a seed that the worker could not know when it made the tags */
  constructor(challenge: Challenge) {
    this.#challenge = challenge
    this.#builder = new ProofBuilder(challenge)
  }

  /** Takes one block with its tag, as `ProofBuilder.add`. */
  add(index: number, block: Uint8Array, tag: Uint8Array): void {
    this.#areMembers &&= isMember(tag)
    // Without membership nothing is proven, and the bytes may be of no point at all.
    if (this.#areMembers) this.#builder.add(index, block, tag)
  }

  /** Whether all tags are right. Ends this check. @throws PodrError `WRONG_ENTRY` if blocks are missing, `WRONG_POWERS` */
  holds({ key, powers }: { readonly key: TaggerKey; readonly powers: G1Vector }): boolean {
    if (!this.#areMembers) return false
    return verify({ proof: this.#builder.finish(powers), challenge: this.#challenge, key }).ok
  }
}

/**
 * Whether tags are those of one fragment: see `TagCheck`.
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
  const places = Array.from({ length: count }, (_, block) => ({ ...place, block }))
  const check = new TagCheck(challengeOver(seed, places, params))
  const size = blockBytes(params)
  for (let block = 0; block < count; block++) {
    const tag = tags.subarray(block * TAG_BYTES, (block + 1) * TAG_BYTES)
    check.add(block, fragment.subarray(block * size, (block + 1) * size), tag)
  }
  return check.holds(tagger)
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
