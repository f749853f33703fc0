/** Why a certificate or a committee is refused. Stable. */
export type CertificateErrorCode =
  /** Not the layout, or JSON with other fields. */
  | 'MALFORMED'
  /** A committee that could not decide alone or would count somebody twice. */
  | 'BAD_COMMITTEE'
  /** Of another era than the committee it is held against. */
  | 'WRONG_ERA'
  /** Names a signer whom the committee does not have. */
  | 'UNKNOWN_SIGNER'
  /** Fewer signers than the quorum. */
  | 'BELOW_QUORUM'
  /** The signature is not that of these signers for this header. */
  | 'BAD_SIGNATURE'

export class CertificateError extends Error {
  readonly code: CertificateErrorCode
  constructor(code: CertificateErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CertificateError'
    this.code = code
  }
}
