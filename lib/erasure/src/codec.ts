import { ErasureError } from './erasure-error.ts'

/** Systematic Reed-Solomon code from a Vandermonde matrix, byte for byte that of klauspost/reedsolomon and Backblaze. */
export const CODEC_VANDERMONDE = 1

/**
 * The additive FFT over three cosets of {0, 1, 2, 3}, for 4+8 only.
 *
 * With these cosets it is the *same code* as `CODEC_VANDERMONDE` 4+8, bytes included: both evaluate at 0..11 the cubic
 * that takes the data as its values at 0..3. So codec 1 runs on the FFT as well, and the two ids read each other's fragments.
 */
export const CODEC_FFT_4_8 = 2

/** As written in manifests. */
export type Codec = typeof CODEC_VANDERMONDE | typeof CODEC_FFT_4_8

/** Points of GF(2^8), hence the most fragments a code can have. */
export const FRAGMENT_COUNT_MAX = 256

/** Which code: `dataCount` fragments of data, `parityCount` of parity; any `dataCount` of them rebuild the others. */
export interface CodeShape {
  /** At least 1. */
  dataCount: number
  /** At least 0; with `dataCount` at most 256. */
  parityCount: number
  /** `CODEC_VANDERMONDE` unless given. */
  codec?: Codec
}

/** @throws ErasureError `BAD_SHAPE` */
export function checkShape({ dataCount, parityCount, codec = CODEC_VANDERMONDE }: CodeShape): void {
  const counts = Number.isInteger(dataCount) && dataCount >= 1 && Number.isInteger(parityCount) && parityCount >= 0
  const known = codec === CODEC_VANDERMONDE || (codec === CODEC_FFT_4_8 && dataCount === 4 && parityCount === 8)
  if (!counts || !known || dataCount + parityCount > FRAGMENT_COUNT_MAX) {
    throw new ErasureError('BAD_SHAPE', { dataCount, parityCount, codec })
  }
}

/** Whether parity is computed by the additive FFT; see `CODEC_FFT_4_8` for why the codec does not matter. */
export function encodesByFft({ dataCount, parityCount }: CodeShape): boolean {
  return dataCount === 4 && parityCount === 8
}
