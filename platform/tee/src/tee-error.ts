export type TeeErrorCode =
  /** Not the bytes of a quote of version 3 to 5. */
  | 'MALFORMED_QUOTE'
  /** The collateral is not the JSON it should be, or over its limit. */
  | 'MALFORMED_COLLATERAL'
  /** A signature or certificate of the quote or its collateral does not hold: some byte is not what was signed. */
  | 'BAD_SIGNATURE'
  /** The collateral, or a certificate, was not in force at the time of the chain block. */
  | 'EXPIRED'
  /** A certificate of the platform was revoked. */
  | 'REVOKED'
  /** The platform needs updates that close known holes. */
  | 'OUT_OF_DATE'
  /** The enclave may be looked into: it protects nothing. */
  | 'DEBUG_ENCLAVE'
  /** The quote was made for another key, account, chain or block. */
  | 'OTHER_REPORT_DATA'
  /** An SGX quote where a TDX one was claimed, or the other way round. */
  | 'OTHER_KIND'
  /** Nobody has allowed this code. */
  | 'UNKNOWN_MEASUREMENT'
  /** This machine makes no quotes. */
  | 'NO_HARDWARE'
  /** Any other refusal of the verifying library. */
  | 'REFUSED'

/** A quote that proves nothing, or cannot be had. */
export class TeeError extends Error {
  readonly code: TeeErrorCode
  readonly details: Readonly<Record<string, unknown>>
  constructor(
    code: TeeErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.name = 'TeeError'
    this.code = code
    this.details = details
  }
}
