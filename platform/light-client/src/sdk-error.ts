/** Why the light client does not believe what it was told, or was told nothing. Stable. */
export type SdkErrorCode =
  /** The genesis names no committee, or is none. */
  | 'BAD_GENESIS'
  /** No endpoint answers. */
  | 'UNREACHABLE'
  /** An answer that is not what the method promises, or an error instead of one. */
  | 'BAD_ANSWER'
  /** The endpoint is of another chain than the genesis. */
  | 'WRONG_CHAIN'
  /** Nothing vouches for the block (yet). */
  | 'NOT_CERTIFIED'
  /** A header that is not the one certified. */
  | 'WRONG_HEADER'
  /** A proof that does not lead from the certified state to what it claims. */
  | 'BAD_PROOF'

export class SdkError extends Error {
  readonly code: SdkErrorCode
  constructor(code: SdkErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'SdkError'
    this.code = code
  }
}
