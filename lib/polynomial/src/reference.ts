import { FR_ORDER } from '@cumulus/bls'
import { SECTOR_BYTES, SECTOR_WORDS, sectorCount } from './sector.ts'

/** The coefficients that data stand for: Σ s_k·2^(16k) of the signed words of each sector, modulo r. One by one, for tests. */
export function referenceCoefficients(data: Uint8Array): bigint[] {
  const padded = new Uint8Array(sectorCount(data.length) * SECTOR_BYTES)
  padded.set(data)
  const view = new DataView(padded.buffer)
  return Array.from({ length: padded.length / SECTOR_BYTES }, (_, sector) => {
    let value = 0n
    for (let word = SECTOR_WORDS - 1; word >= 0; word--) {
      value = (value << 16n) + BigInt(view.getInt16(sector * SECTOR_BYTES + 2 * word, true))
    }
    return ((value % FR_ORDER) + FR_ORDER) % FR_ORDER
  })
}

/** The polynomial of the data at a point, by Horner's rule. 0.02 GB/s at best; what `Evaluator` is held to. */
export function referenceEvaluate(data: Uint8Array, point: bigint): bigint {
  return evaluatePolynomial(referenceCoefficients(data), point)
}

/** Σ coefficient_j · point^j modulo r. */
export function evaluatePolynomial(coefficients: readonly bigint[], point: bigint): bigint {
  let value = 0n
  for (let j = coefficients.length - 1; j >= 0; j--) value = (value * point + coefficients[j]!) % FR_ORDER
  return value
}
