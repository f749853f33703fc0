/** Why a member of a committee does not start, or stops. Stable. */
export type ConsensusErrorCode =
  /** The folder's key is of nobody in the committee. */
  | 'NOT_A_MEMBER'
  /** A key of the folder is missing, damaged, or not the one that the genesis names. */
  | 'BAD_KEY'
  /** The log is of another chain or seat. */
  | 'OTHER_LOG'
  /** The log cannot be written: nothing may be signed any more. */
  | 'LOG_FAILED'
  /** More members lie than the rule can bear. */
  | 'FAULT_BOUND_BROKEN'
  /** The others certified another block than this node executed. */
  | 'DIVERGED'
  /** The others are so far ahead that only chain blocks help, and nobody gives them. */
  | 'BEHIND'

export class ConsensusError extends Error {
  readonly code: ConsensusErrorCode
  readonly details: Readonly<Record<string, unknown>>
  constructor(
    code: ConsensusErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.name = 'ConsensusError'
    this.code = code
    this.details = details
  }
}
