export {
  type Block,
  type BlockRef,
  COIN_BYTES,
  COIN_SHARE_BYTES,
  DIGEST_BYTES,
  decodeBlock,
  decodeHeader,
  type Evidence,
  encodeBlock,
  encodeHeader,
  encodePayload,
  genesisDigest,
  type Header,
  type HeaderVote,
  SIGNATURE_BYTES,
  sealBlock,
  signedMessage,
  transactionsIn,
  transactionsOf,
} from './block.ts'
export { type Coin, type CoinRule, type CoinShare, leaderOrder, publicCoin, type RoundCoin } from './coin.ts'
export { COMMITTEE_SIZE_MAX, type Committee, committeeOf, memberCount } from './committee.ts'
export { type MemberSizes, R2s } from './consensus.ts'
export { Dag, Vertex } from './dag.ts'
export { digestKey } from './digest-map.ts'
export { R2sPanic } from './errors.ts'
export type { Checkpoint, Commit, R2sEffect, R2sEvent, SlotDecision } from './events.ts'
export {
  decodeCheckpoint,
  encodeCheckpoint,
  encodeLogRecord,
  type LogContents,
  type LogRecord,
  readLog,
} from './log.ts'
export { decodeMessage, encodeMessage, type Message } from './message.ts'
export type { R2sConfig, R2sStart } from './r2s-config.ts'
export { checkR2sParams, defaultR2sParams, type R2sParams } from './r2s-params.ts'
export { type Era, isEvidence, judgeHeader, type RefusalCode } from './validity.ts'
