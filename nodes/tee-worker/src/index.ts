export type { RegistrationWish } from './registration.ts'
export {
  runTeeWorker,
  startTeeWorker,
  type TeeWorkerConfig,
  type TeeWorkerTuning,
  type WorkerMode,
} from './start-tee-worker.ts'
export { TeeWorkerError, type TeeWorkerErrorCode } from './tee-worker-error.ts'
export type {
  AttestationKind,
  ChainGroup,
  ChainStripe,
  ChainWorker,
  CommittedEvent,
  Evidence,
  FollowInit,
  PendingQuote,
  WorkerChain,
  WorkerRegistration,
  WorkerState,
} from './worker-chain.ts'
