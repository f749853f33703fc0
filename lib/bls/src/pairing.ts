import { BlsError } from './bls-error.ts'
import { G1 } from './g1.ts'
import { G2 } from './g2.ts'
import { MCL_G1_BYTES, MCL_G2_BYTES, mcl, mclMemory, PAIRING_COUNT_MAX, place } from './mcl.ts'

/**
 * Whether the product of e(a, b) over all pairs is 1. The pairs share one final exponentiation: 2 ms, and 0.6 to 1.2 ms a pair.
 *
 * @param pairs at most `PAIRING_COUNT_MAX`; the empty product is 1
 * @throws BlsError `BAD_COUNT`
 */
export function pairingProductIsOne(pairs: readonly (readonly [G1, G2])[]): boolean {
  // e(0, b) = e(a, 0) = 1
  const finite = pairs.filter(([a, b]) => !a.isZero() && !b.isZero())
  if (finite.length > PAIRING_COUNT_MAX) {
    throw new BlsError('BAD_COUNT', `${finite.length} pairs, at most ${PAIRING_COUNT_MAX}`)
  }
  if (finite.length === 0) return true
  const memory = mclMemory()
  finite.forEach(([a, b], i) => {
    memory.set(G1.mclCoordinates(a), place.g1List + i * MCL_G1_BYTES)
    memory.set(G2.mclCoordinates(b), place.g2List + i * MCL_G2_BYTES)
  })
  mcl._mclBn_millerLoopVec(place.gt, place.g1List, place.g2List, finite.length)
  mcl._mclBn_finalExp(place.gt, place.gt)
  return mcl._mclBnGT_isOne(place.gt) === 1
}
