export type {
  AuditChain,
  ChainChallenge,
  ChainRecord,
  ChainRewards,
  ChainWorker,
  ChallengedEvent,
  ChallengeState,
} from './audit-chain.ts'
export type { ProofOutcome, ProofReport } from './challenge-watcher.ts'
export type {
  ChainGateway,
  ChainGroup,
  ChainMiner,
  ChainReservation,
  ChainStripe,
  CommittedEvent,
  FollowInit,
  MinerChain,
  MinerState,
  RegisteredPeer,
  Registration,
  StripeEvent,
} from './miner-chain.ts'
export { MinerError, type MinerErrorCode } from './miner-error.ts'
export { type MinerConfig, type MinerTuning, runMiner, startMiner } from './start-miner.ts'
