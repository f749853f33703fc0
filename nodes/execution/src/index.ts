export { BlockExecutor } from './block-executor.ts'
export { CertificateStore } from './certificate-store.ts'
export { clientVersion } from './client-version.ts'
export { consensusView } from './consensus-view.ts'
export { ExecutionError, type ExecutionErrorCode } from './execution-error.ts'
export { FolderLock } from './folder-lock.ts'
export { coinKeyOf, committeeOf } from './genesis-committee.ts'
export {
  createGenesis,
  type GenesisAllocation,
  type GenesisFile,
  paramsOf,
  parseGenesis,
  readGenesis,
  writeGenesis,
} from './genesis-file.ts'
export { LedgerView } from './ledger-view.ts'
export { LmdbLedgerStore } from './lmdb-ledger-store.ts'
export {
  createDevelopmentCommittee,
  type MemberKeys,
  readBlsKey,
  readCoinShare,
  writeMemberKeys,
} from './member-keys.ts'
export { Mempool, type PoolState, type SettledBatch, type TransactionOrigin } from './mempool.ts'
export { MempoolJournal } from './mempool-journal.ts'
export { defaultMempoolLimits, type MempoolLimits } from './mempool-limits.ts'
export { openLedger } from './open-ledger.ts'
export { openMempool } from './open-mempool.ts'
export type { BatchRoom, DecidedBatch, Orderer, TransactionSource } from './orderer.ts'
export { PoolError, type PoolErrorCode } from './pool-error.ts'
export { SenderRecovery } from './sender-recovery.ts'
