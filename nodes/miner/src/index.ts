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
  Registration,
  StripeEvent,
} from './miner-chain.ts'
export { MinerError, type MinerErrorCode } from './miner-error.ts'
export { type MinerConfig, type MinerTuning, runMiner, startMiner } from './start-miner.ts'
