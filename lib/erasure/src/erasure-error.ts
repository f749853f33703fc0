/**
 * What a caller got wrong.
 *
 * | code | meaning |
 * |---|---|
 * | `BAD_SHAPE` | counts no code can have (dataCount ≥ 1, parityCount ≥ 0, at most 256 together), or an unknown codec |
 * | `WRONG_COUNT` | a list of fragments is longer or shorter than the code asks for |
 * | `UNEQUAL_LENGTHS` | fragments of one call differ in length |
 * | `BAD_INDEX` | a fragment index is out of range or given twice |
 * | `TOO_FEW_FRAGMENTS` | fewer than `dataCount` fragments are present: nothing can be rebuilt |
 * | `BAD_LENGTH` | a fragment length is not a whole number, or exceeds the capacity or layout of the arena |
 */
export type ErasureErrorCode =
  | 'BAD_SHAPE'
  | 'WRONG_COUNT'
  | 'UNEQUAL_LENGTHS'
  | 'BAD_INDEX'
  | 'TOO_FEW_FRAGMENTS'
  | 'BAD_LENGTH'

/** The one error of this package; `code` is stable, `details` carries the numbers that matter. */
export class ErasureError extends Error {
  override readonly name = 'ErasureError'
  readonly code: ErasureErrorCode
  readonly details: Readonly<Record<string, number>>

  constructor(code: ErasureErrorCode, details: Readonly<Record<string, number>>, options?: ErrorOptions) {
    const numbers = Object.entries(details).map(([name, value]) => `${name} ${value}`)
    super(`${code}: ${numbers.join(', ')}`, options)
    this.code = code
    this.details = details
  }
}
