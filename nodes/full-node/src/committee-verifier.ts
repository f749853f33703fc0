import { type Committee, decodeCertificate, verifyCertificate } from '@cumulus/certificate'
import { fastAggregateVerify } from '@cumulus/threshold'
import type { CertificateVerifier } from './finality.ts'

/** Judges certificates by the keys of one committee. A check costs about a millisecond. */
export function committeeVerifier(committee: Committee): CertificateVerifier {
  return {
    read: (bytes) => decodeCertificate(bytes),
    verify: (bytes) => verifyCertificate(decodeCertificate(bytes), committee, { fastAggregateVerify }),
  }
}
