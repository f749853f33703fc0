/**
 * What is wrong with bytes or arguments that came from outside.
 *
 * | code | meaning |
 * |---|---|
 * | `BAD_LENGTH` | an encoding has not exactly the length of its type |
 * | `NOT_COMPRESSED` | the flag of the compressed form is not set |
 * | `NOT_CANONICAL` | a coordinate or scalar is not below its modulus, or infinity is not written in its one form |
 * | `NOT_ON_CURVE` | no point has this x |
 * | `NOT_IN_SUBGROUP` | a point of the curve, but not of the group of order r |
 * | `BAD_SCALAR` | a number outside the range a function takes |
 * | `BAD_COUNT` | lists differ in length or exceed their limit |
 */
export type BlsErrorCode =
  | 'BAD_LENGTH'
  | 'NOT_COMPRESSED'
  | 'NOT_CANONICAL'
  | 'NOT_ON_CURVE'
  | 'NOT_IN_SUBGROUP'
  | 'BAD_SCALAR'
  | 'BAD_COUNT'

/** The one error of this package; `code` is stable. */
export class BlsError extends Error {
  override readonly name = 'BlsError'
  readonly code: BlsErrorCode

  constructor(code: BlsErrorCode, message: string, options?: ErrorOptions) {
    super(`${code}: ${message}`, options)
    this.code = code
  }
}
