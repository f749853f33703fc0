/**
 * What a caller got wrong.
 *
 * | code | meaning |
 * |---|---|
 * | `BAD_LENGTH` | data is longer than the polynomial, or a degree is outside its range |
 * | `BAD_COEFFICIENT` | a coefficient is not below 2^128, or a point not below r |
 * | `TOO_MANY_BLOCKS` | more blocks in one combination than its columns can hold |
 * | `FINISHED` | a combination was used after its result was taken |
 */
export type PolynomialErrorCode = 'BAD_LENGTH' | 'BAD_COEFFICIENT' | 'TOO_MANY_BLOCKS' | 'FINISHED'

/** The one error of this package; `code` is stable. */
export class PolynomialError extends Error {
  override readonly name = 'PolynomialError'
  readonly code: PolynomialErrorCode

  constructor(code: PolynomialErrorCode, message: string, options?: ErrorOptions) {
    super(`${code}: ${message}`, options)
    this.code = code
  }
}
