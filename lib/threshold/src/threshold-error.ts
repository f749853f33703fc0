/** Why a key, a point or a set of shares is refused. Stable. */
export type ThresholdErrorCode =
  /** Seed, secret, key or signature of another length. */
  | 'BAD_LENGTH'
  /** Not the compressed form, or a coordinate that is not below p. */
  | 'BAD_ENCODING'
  /** x belongs to no point of the curve. */
  | 'NOT_ON_CURVE'
  /** On the curve, but outside the group of order r. */
  | 'NOT_IN_SUBGROUP'
  /** The neutral element: valid bytes, but the key or signature of nobody. */
  | 'INFINITE'
  /** A secret that is zero or not below r. */
  | 'BAD_SECRET'
  /** Counts or indices that do not fit: no shares, too few, one twice, one of nobody. */
  | 'BAD_COUNT'
  /** All shares are right, and their sum is not: the keys were not dealt together. */
  | 'INCONSISTENT_KEY'
  /** @chainsafe/blst publishes no build for this platform. */
  | 'NO_NATIVE_BUILD'

export class ThresholdError extends Error {
  readonly code: ThresholdErrorCode
  constructor(code: ThresholdErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ThresholdError'
    this.code = code
  }
}
