export {
  type BlsVerifier,
  type Certificate,
  CertificateError,
  type CertificateErrorCode,
  type Committee,
  certificateFromJson,
  committeeOfMembers,
} from '@cumulus/certificate'
export { isCodeOf, type ProvenAccount, verifyAccountProof } from './account-proof.ts'
export { type Header, headerFromJson, verifyHeader } from './header.ts'
export { type CertifiedHeader, genesisCommittee, LightClient, type LightClientInit } from './light-client.ts'
export { nobleBls } from './noble-bls.ts'
export { SdkError, type SdkErrorCode } from './sdk-error.ts'
export { valueInTrie } from './trie-proof.ts'
