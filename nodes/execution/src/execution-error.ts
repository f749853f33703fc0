/** Why a chain node does not start, or stops. Stable. */
export type ExecutionErrorCode =
  /** There is no genesis file, or it cannot be read. */
  | 'GENESIS_MISSING'
  /** The file is not what its format says; `details.path` names the field. */
  | 'GENESIS_MALFORMED'
  /** The folder holds the chain of another genesis. */
  | 'GENESIS_MISMATCH'
  /** A snapshot was not read to its end: the folder holds no chain yet. */
  | 'SNAPSHOT_UNFINISHED'
  /** Another process has this folder open. */
  | 'FOLDER_IN_USE'
  /** A file with a secret of the validator is missing, open to others, or holds none. */
  | 'KEY_FILE'
  /** LMDB cannot open or write the chain. */
  | 'STORE_FAILED'
  /** Execution contradicts itself: the node stops rather than guess. */
  | 'HALTED'

export class ExecutionError extends Error {
  readonly code: ExecutionErrorCode
  readonly details: Readonly<Record<string, unknown>>
  constructor(
    code: ExecutionErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.name = 'ExecutionError'
    this.code = code
    this.details = details
  }
}
