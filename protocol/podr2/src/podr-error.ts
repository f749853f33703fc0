/**
 * What is wrong with bytes from outside, or with what a caller hands in.
 *
 * | code | meaning |
 * |---|---|
 * | `MALFORMED_PROOF` | not 128 bytes, or a part is no canonical point or scalar; `cause` says which |
 * | `MALFORMED_KEY` | a public key that does not decode, has a zero, or whose proof of knowledge is wrong |
 * | `MALFORMED_POWERS` | powers of another length, with a bad point, or not those of the key |
 * | `MALFORMED_TAG` | a tag that is no point of the curve: the miner's own copy is damaged |
 * | `BAD_SECRET` | secret material of a wrong length, or zero |
 * | `BAD_BLOCK` | a block longer than S sectors, or a block number the codec cannot hold |
 * | `BAD_RANGES` | ranges that overlap, are empty, or are more than the limit |
 * | `BAD_ENTRIES` | a challenge's entries, as announced, that do not decode |
 * | `WRONG_ENTRY` | a block given twice, missing, or not in the challenge |
 * | `WRONG_POWERS` | not as many powers as the challenge has sectors |
 */
export type PodrErrorCode =
  | 'MALFORMED_PROOF'
  | 'MALFORMED_KEY'
  | 'MALFORMED_POWERS'
  | 'MALFORMED_TAG'
  | 'BAD_SECRET'
  | 'BAD_BLOCK'
  | 'BAD_RANGES'
  | 'BAD_ENTRIES'
  | 'WRONG_ENTRY'
  | 'WRONG_POWERS'

/** The one error of this package; `code` is stable. */
export class PodrError extends Error {
  override readonly name = 'PodrError'
  readonly code: PodrErrorCode

  constructor(code: PodrErrorCode, message: string, options?: ErrorOptions) {
    super(`${code}: ${message}`, options)
    this.code = code
  }
}
