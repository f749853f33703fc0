import { frReduce, frToBytes, G1, G2, pairingProductIsOne, sumOfHashes, sumOfMultiples } from '@cumulus/bls'
import { concatBytes, utf8Encode } from '@cumulus/bytes'
import { blake3 } from '@cumulus/hash'
import { blockName, NAME_DST } from './block-name.ts'
import { type Challenge, challengeDigest } from './chal.ts'
import type { TaggerKey } from './key-gen.ts'
import { PodrError } from './podr-error.ts'
import { decodeProof, type Proof } from './proof.ts'
import { coefficients } from './random.ts'

/** One proof to be judged. */
export interface ProofClaim {
  /** As it came; need not be 128 bytes. */
  readonly proof: Uint8Array
  readonly challenge: Challenge
  /** Of the tagger of the challenged blocks. */
  readonly key: TaggerKey
}

/** `MALFORMED`: not the bytes of a proof. `WRONG`: the equation does not hold. Both are the prover's fault. */
export type ProofVerdict = { readonly ok: true } | { readonly ok: false; readonly code: 'MALFORMED' | 'WRONG' }

const ACCEPTED: ProofVerdict = { ok: true }
const MALFORMED: ProofVerdict = { ok: false, code: 'MALFORMED' }
const WRONG: ProofVerdict = { ok: false, code: 'WRONG' }

const WEIGHT_DOMAIN = utf8Encode('cumulus/podr2/batch/1')

/** Names hashed in one sum; more are split. 10,000 names of two points each stay below the limit of a sum. */
const NAMES_AT_ONCE = 10_000
/** Taggers in one product of pairings: two pairs each, and one more. */
const TAGGERS_AT_ONCE = 100

/** Verify, for one proof: e(σ, g2) = e(Σ ν·H(name) + y·g1, v) · e(ψ, w − z·v). */
export function verify(claim: ProofClaim): ProofVerdict {
  return verifyBatch([claim])[0]!
}

/**
 * Verifies proofs together and tells which hold. All nodes that judge the same claims in the same order do the same.
 *
 * Each equation is raised to a weight of 128 bits, hashed from all claims (so that nobody can choose proofs whose errors
 * cancel), and all are multiplied: one pairing product for the batch. If it fails, halves are tried, down to the culprits. The
 * costly part, hashing names, is done once for the batch, and once more for each claim when there is a culprit.
 */
export function verifyBatch(claims: readonly ProofClaim[]): ProofVerdict[] {
  const verdicts: ProofVerdict[] = claims.map(() => MALFORMED)
  const equations: Equation[] = []
  claims.forEach((claim, index) => {
    const { challenge, key } = claim
    const proof = tryDecode(claim.proof)
    if (proof === undefined || challenge.entries.length === 0) return
    equations.push({ index, proof, challenge, key, weight: 0n })
  })
  for (const batch of split(equations)) {
    const weights = batchWeights(batch)
    batch.forEach((equation, i) => {
      equation.weight = weights[i]!
    })
    judge(batch, verdicts)
  }
  return verdicts
}

/** A decoded claim, with its weight and, once it was needed alone, its sum of names. */
interface Equation extends Omit<ProofClaim, 'proof'> {
  readonly index: number
  readonly proof: Proof
  weight: bigint
  names?: G1
}

function tryDecode(bytes: Uint8Array): Proof | undefined {
  try {
    return decodeProof(bytes)
  } catch (error) {
    if (error instanceof PodrError) return undefined
    throw error
  }
}

/** Batches within the limits of sums and pairings. */
function split(equations: readonly Equation[]): Equation[][] {
  const batches: Equation[][] = []
  let names = 0
  let taggers = new Set<TaggerKey>()
  for (const equation of equations) {
    names += equation.challenge.entries.length
    taggers.add(equation.key)
    if (batches.length === 0 || names > NAMES_AT_ONCE || taggers.size > TAGGERS_AT_ONCE) {
      batches.push([])
      names = equation.challenge.entries.length
      taggers = new Set([equation.key])
    }
    batches.at(-1)!.push(equation)
  }
  return batches
}

/** Fiat-Shamir: the weights depend on every byte of every claim. */
export function batchWeights(batch: readonly { proof: Proof; challenge: Challenge; key: TaggerKey }[]): bigint[] {
  const transcript = blake3(
    concatBytes(
      ...batch.flatMap(({ proof, challenge, key }) => [
        challengeDigest(challenge),
        key.v.toBytes(),
        key.w.toBytes(),
        proof.sigma.toBytes(),
        frToBytes(proof.y),
        proof.psi.toBytes(),
      ]),
    ),
  )
  return coefficients(WEIGHT_DOMAIN, transcript, batch.length)
}

/** Writes the verdicts of a batch: all at once if the product holds, else by halves. */
function judge(batch: Equation[], verdicts: ProofVerdict[]): void {
  if (holds(batch, hashTogether)) {
    for (const { index } of batch) verdicts[index] = ACCEPTED
    return
  }
  if (batch.length === 1) {
    verdicts[batch[0]!.index] = WRONG
    return
  }
  for (const half of [batch.slice(0, batch.length >> 1), batch.slice(batch.length >> 1)]) bisect(half, verdicts)
}

function bisect(batch: Equation[], verdicts: ProofVerdict[]): void {
  if (holds(batch, hashApart)) {
    for (const { index } of batch) verdicts[index] = ACCEPTED
  } else if (batch.length === 1) {
    verdicts[batch[0]!.index] = WRONG
  } else {
    bisect(batch.slice(0, batch.length >> 1), verdicts)
    bisect(batch.slice(batch.length >> 1), verdicts)
  }
}

/**
 * Whether Π over claims of (e(−σ, g2) · e(Σ ν·H + y·g1 − z·ψ, v) · e(ψ, w))^weight is 1. The last two factors are the equation
 * of `verify` with e(ψ, w − z·v) taken apart, so that claims of one tagger share their pairings.
 */
function holds(batch: readonly Equation[], sumNames: (equations: readonly Equation[]) => G1): boolean {
  const pairs: [G1, G2][] = []
  const sigma = weightedSum(batch, ({ proof }) => proof.sigma)
  pairs.push([sigma.negate(), G2.generator])
  for (const equations of byTagger(batch)) {
    const { key } = equations[0]!
    const y = equations.reduce((sum, { weight, proof }) => sum + weight * proof.y, 0n)
    const openings = sumOfMultiples(
      [G1.generator, ...equations.map(({ proof }) => proof.psi)],
      [frReduce(y), ...equations.map(({ weight, challenge }) => frReduce(-weight * challenge.z))],
    )
    pairs.push([sumNames(equations).add(openings), key.v])
    pairs.push([weightedSum(equations, ({ proof }) => proof.psi), key.w])
  }
  return pairingProductIsOne(pairs)
}

function weightedSum(equations: readonly Equation[], point: (equation: Equation) => G1): G1 {
  return sumOfMultiples(
    equations.map(point),
    equations.map(({ weight }) => weight),
  )
}

function byTagger(batch: readonly Equation[]): Equation[][] {
  // By value: two claims may carry the same key in two objects.
  const taggers = Map.groupBy(batch, ({ key }) => `${key.v.toBytes().toHex()}${key.w.toBytes().toHex()}`)
  return [...taggers.values()]
}

/** Σ weight · Σ ν·H(name) in one sum: products of two numbers of 128 bits are whole numbers below 2^256. */
function hashTogether(equations: readonly Equation[]): G1 {
  const names: Uint8Array[] = []
  const numbers: bigint[] = []
  for (const { challenge, weight } of equations) {
    for (const entry of challenge.entries) {
      names.push(blockName(challenge.params.chainId, entry))
      numbers.push(entry.coefficient * weight)
    }
  }
  return sumOfHashes(names, NAME_DST, numbers)
}

/** The same from the sums of each claim, which are kept for the next halving. */
function hashApart(equations: readonly Equation[]): G1 {
  return weightedSum(equations, (equation) => {
    equation.names ??= sumOfHashes(
      equation.challenge.entries.map((entry) => blockName(equation.challenge.params.chainId, entry)),
      NAME_DST,
      equation.challenge.entries.map(({ coefficient }) => coefficient),
    )
    return equation.names
  })
}
