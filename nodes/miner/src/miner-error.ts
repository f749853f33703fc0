export type MinerErrorCode =
  /** The account is registered with another peer key: the folder is not the one it was registered from. */
  | 'OTHER_PEER_KEY'
  /** More units are declared on chain than the space on disk can hold. */
  | 'SPACE_TOO_SMALL'
  /** The declared space does not hold one cell. */
  | 'NO_UNITS'

/** The miner cannot start as it is configured. */
export class MinerError extends Error {
  readonly code: MinerErrorCode
  readonly details: Readonly<Record<string, unknown>>
  constructor(code: MinerErrorCode, message: string, details: Readonly<Record<string, unknown>> = {}) {
    super(message)
    this.name = 'MinerError'
    this.code = code
    this.details = details
  }
}
