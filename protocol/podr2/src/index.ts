export { type BlockPlace, blockName, type FragmentPlace, NAME_DST } from './block-name.ts'
export {
  type Challenge,
  type ChallengeEntry,
  chal,
  challengeDigest,
  challengeOver,
  challengeSeed,
  drawTagger,
  RANGE_COUNT_MAX,
  type TaggedRange,
  withoutEntries,
} from './chal.ts'
export { checkTags, TagCheck } from './check-tags.ts'
export { type ChallengedPlace, decodeEntries, ENTRY_BYTES, encodeEntries } from './entries.ts'
export {
  decodePowers,
  decodeTaggerKey,
  encodePowers,
  encodeTaggerKey,
  keyGen,
  powersHash,
  SECRET_SEED_BYTES,
  TAGGER_KEY_BYTES,
  type TaggerKey,
  type TaggerSecret,
  taggerKeyOf,
  trustedDecodePowers,
  trustedDecodeTaggerKey,
} from './key-gen.ts'
export { PodrError, type PodrErrorCode } from './podr-error.ts'
export {
  BLOCK_COUNT_MAX,
  blockBytes,
  blockCount,
  MAINNET_CHALLENGED_COUNT,
  MAINNET_SECTOR_COUNT,
  type PodrParams,
} from './podr-params.ts'
export { decodeProof, encodeProof, PROOF_BYTES, type Proof } from './proof.ts'
export { ProofBuilder } from './proof-gen.ts'
export { stripeTagsBytes, stripeTagsMessage, tagsOfSeat } from './stripe-tags.ts'
export { TAG_BYTES, Tagger } from './tag-gen.ts'
export { type ProofClaim, type ProofVerdict, verify, verifyBatch } from './verify.ts'
