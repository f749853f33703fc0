export type TeeWorkerErrorCode =
  /** What it is asked to be does not exist. */
  | 'MODE_UNSUPPORTED'
  /** Simulated attestation on a production network. */
  | 'SIMULATION_REFUSED'
  /** The account is registered with another peer key or another tagger key: the folder is not the one it was registered from. */
  | 'OTHER_KEY'
  /** The sealed key cannot be opened: another seal key, or a damaged file. */
  | 'SEAL_BROKEN'
  /** The key is there and the records of what it has tagged are not: it must not tag again. */
  | 'RECORDS_LOST'
  /** No quote of this enclave, or no collateral, can be had. */
  | 'NO_QUOTE'
  /** No genesis file there; or none named on a production network, where it must say who certifies the chain. */
  | 'GENESIS_MISSING'
  /** A genesis file that cannot be read, or of another network. */
  | 'GENESIS_MALFORMED'
  /** Miners have no address to dial. */
  | 'NO_ADDRESS'

/** The worker cannot start, or go on, as it is configured. */
export class TeeWorkerError extends Error {
  readonly code: TeeWorkerErrorCode
  readonly details: Readonly<Record<string, unknown>>
  constructor(
    code: TeeWorkerErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.name = 'TeeWorkerError'
    this.code = code
    this.details = details
  }
}
