export type { BlsScheme, BlsVerifier } from './bls-scheme.ts'
export {
  CERTIFICATE_BYTES,
  type Certificate,
  decodeCertificate,
  encodeCertificate,
  signersOf,
  verifyCertificate,
} from './certificate.ts'
export { CertificateError, type CertificateErrorCode } from './certificate-error.ts'
export {
  COMMITTEE_SIZE_MAX,
  type Committee,
  coinThresholdOf,
  committeeDigest,
  createCommittee,
  decodeCommittee,
  encodeCommittee,
  type Member,
  quorumOf,
} from './committee.ts'
export {
  type CertificateJson,
  type CommitteeJson,
  certificateFromJson,
  certificateToJson,
  committeeOfMembers,
  committeeToJson,
  type MemberJson,
} from './json.ts'
export { coinMessage, voteMessage } from './message.ts'
export { type DoubleVote, type Vote, VoteCollector, type VoteOutcome, verifyVote } from './vote-collector.ts'
