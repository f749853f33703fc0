export {
  aggregateSignatures,
  BLS_PUBLIC_KEY_BYTES,
  BLS_SECRET_BYTES,
  BLS_SEED_BYTES,
  BLS_SIGNATURE_BYTES,
  BlsKey,
  checkPublicKey,
  checkSignature,
  fastAggregateVerify,
  isSignature,
  verifyBls,
  verifyPossession,
} from './bls.ts'
export { type Combined, combine, type SignatureShare, verifyShare } from './combine.ts'
export { type Dealing, deal, isConsistent, SHARE_COUNT_MAX, type SharedKey } from './deal.ts'
export { ThresholdError, type ThresholdErrorCode } from './threshold-error.ts'
