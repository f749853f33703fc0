/** What a certificate vouches for. */
export interface CertifiedBlock {
  readonly height: bigint
  readonly headerHash: Uint8Array
}

/** Judges the certificates of the committee that a network has. */
export interface CertificateVerifier {
  /**
   * What the certificate says, without looking at its signatures: cheap.
   *
   * @throws if it is none
   */
  read(certificate: Uint8Array): CertifiedBlock
  /** @throws if it is not what a quorum of its era's committee signed */
  verify(certificate: Uint8Array): void | Promise<void>
}

/** Certificates that a node keeps, by height. Not every height need have one: each vouches for all blocks below it. */
export interface CertificateSource {
  /** Highest height with a certificate, at or below the head; undefined before the first. */
  readonly highest: bigint | undefined
  at(height: bigint): Uint8Array | undefined
}

export interface CertificateStore extends CertificateSource {
  /** Keeps a certificate that was verified, of a block that is stored. */
  put(height: bigint, certificate: Uint8Array): void
}
