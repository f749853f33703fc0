export { BlockExecutor } from './block-executor.ts'
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
export { defaultMempoolLimits, Mempool, type MempoolLimits, type PoolState, type SettledBatch } from './mempool.ts'
export type { BatchRoom, DecidedBatch, Orderer, TransactionSource } from './orderer.ts'
export { PoolError, type PoolErrorCode } from './pool-error.ts'
export { nextRandao, SingleOrderer } from './single-orderer.ts'
export { openLedger, startValidator, type ValidatorConfig } from './validator.ts'
export { ValidatorError, type ValidatorErrorCode } from './validator-error.ts'
