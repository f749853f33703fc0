import { G1, type G1Vector, sumOfMultiples, sumOfPackedMultiples } from '@cumulus/bls'
import { Combination } from '@cumulus/polynomial'
import type { Challenge } from './chal.ts'
import { PodrError } from './podr-error.ts'
import { blockBytes } from './podr-params.ts'
import { encodeProof } from './proof.ts'

/**
 * ProofGen, block by block: P = Σ ν·F, y = P(z), ψ = the commitment to (P − y) / (X − z), σ = Σ ν·σ.
 *
 * The caller reads the challenged blocks in any order and hands over each with its tag; one block is in memory at a time.
 * Takes 182 bytes a sector, and for the sum of the powers some 20 MB that all proofs of a thread share.
 */
export class ProofBuilder {
  readonly #challenge: Challenge
  readonly #combination: Combination
  readonly #tags: (G1 | undefined)[]

  constructor(challenge: Challenge) {
    this.#challenge = challenge
    this.#combination = new Combination(challenge.params.sectorCount)
    this.#tags = challenge.entries.map(() => undefined)
  }

  /**
   * Takes one challenged block.
   *
   * @param index of the entry in the challenge
   * @param block its bytes; the last of a fragment may be short
   * @param tag 48 bytes
   * @throws PodrError `WRONG_ENTRY`, `BAD_BLOCK`, `MALFORMED_TAG`
   */
  add(index: number, block: Uint8Array, tag: Uint8Array): void {
    const entry = this.#challenge.entries[index]
    if (entry === undefined) throw new PodrError('WRONG_ENTRY', `the challenge has no entry ${index}`)
    if (this.#tags[index] !== undefined) throw new PodrError('WRONG_ENTRY', `entry ${index} was given before`)
    if (block.length > blockBytes(this.#challenge.params)) {
      throw new PodrError('BAD_BLOCK', `block of ${block.length} bytes`)
    }
    let point: G1
    try {
      // Membership was checked with the tag itself, before it was used for anything. A wrong tag makes the whole proof wrong,
      // which counts against the miner: it verifies what it is about to send.
      point = G1.trustedFromBytes(tag)
    } catch (cause) {
      throw new PodrError('MALFORMED_TAG', `tag of entry ${index} is no point`, { cause })
    }
    this.#combination.add(block, entry.coefficient)
    this.#tags[index] = point
  }

  /**
   * The proof, 128 bytes. Ends this builder.
   *
   * @param powers of the tagger of the challenged blocks
   * @throws PodrError `WRONG_ENTRY` if blocks are missing, `WRONG_POWERS`
   */
  finish(powers: G1Vector): Uint8Array {
    const { entries, params, z } = this.#challenge
    if (powers.count !== params.sectorCount - 1) {
      throw new PodrError('WRONG_POWERS', `${powers.count} powers for ${params.sectorCount} sectors`)
    }
    const tags = this.#tags.map((tag, index) => {
      if (tag === undefined) throw new PodrError('WRONG_ENTRY', `entry ${index} is missing`)
      return tag
    })
    const { value, quotient } = this.#combination.divide(z)
    return encodeProof({
      sigma: sumOfMultiples(
        tags,
        entries.map(({ coefficient }) => coefficient),
      ),
      y: value,
      psi: sumOfPackedMultiples(powers, quotient),
    })
  }
}
