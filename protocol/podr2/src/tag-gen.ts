import { FixedBase, frReduce, G1, G1_BYTES } from '@cumulus/bls'
import { Evaluator } from '@cumulus/polynomial'
import { type BlockPlace, blockName, type FragmentPlace, NAME_DST } from './block-name.ts'
import type { TaggerSecret } from './key-gen.ts'
import { PodrError } from './podr-error.ts'
import { blockBytes, blockCount, type PodrParams } from './podr-params.ts'

/** Length of the tag of one block. */
export const TAG_BYTES = G1_BYTES

/**
 * TagGen: σ = x·(H(name) + F(α)·g1) for each block F of a fragment. Holds the secret, 0.8 MiB of weights made from α, and
 * 1.2 MB of multiples of g1. One thread.
 *
 * It signs whatever it is given under whatever name: that a name is never used for two contents is the business of the
 * worker, who checks the fragment against the segment root of the chain first.
 */
export class Tagger {
  readonly #secret: TaggerSecret
  readonly #params: PodrParams
  readonly #evaluator: Evaluator
  readonly #base = new FixedBase(G1.generator)

  constructor(secret: TaggerSecret, params: PodrParams) {
    this.#secret = secret
    this.#params = params
    this.#evaluator = new Evaluator(secret.alpha)
  }

  /** The tags of all blocks of a fragment, 48 bytes each, one after the other. */
  tagFragment(fragment: Uint8Array, place: FragmentPlace): Uint8Array {
    const size = blockBytes(this.#params)
    const count = blockCount(fragment.length, this.#params)
    const tags = new Uint8Array(count * TAG_BYTES)
    for (let block = 0; block < count; block++) {
      const data = fragment.subarray(block * size, (block + 1) * size)
      tags.set(this.tagBlock(data, { ...place, block }), block * TAG_BYTES)
    }
    return tags
  }

  /** The tag of one block; a short one is filled up with zeros. @throws PodrError `BAD_BLOCK` */
  tagBlock(data: Uint8Array, place: BlockPlace): Uint8Array {
    if (data.length > blockBytes(this.#params)) throw new PodrError('BAD_BLOCK', `block of ${data.length} bytes`)
    const { x } = this.#secret
    const name = G1.hash(blockName(this.#params.chainId, place), NAME_DST)
    const value = this.#base.multiply(frReduce(this.#evaluator.evaluate(data)))
    return name.add(value).multiplySecret(x).toBytes()
  }
}
