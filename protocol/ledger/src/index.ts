export { nextBaseFee } from './chain/base-fee.ts'
export type { StoredBlock, TransactionPlace } from './chain/block-store.ts'
export { bloomOf } from './chain/bloom.ts'
export type {
  AccessListResult,
  AccountOverride,
  BlockOverrides,
  CallOptions,
  CallRequest,
  CallResult,
} from './chain/calls.ts'
export type { DecidedBatch, DroppedTransaction, ExecutedBlock } from './chain/execute-batch.ts'
export {
  type DropCode,
  type IntrinsicGas,
  intrinsicGas,
  isDelegation,
  TRANSACTION_GAS_MAX,
} from './chain/execute-transaction.ts'
export { BlockMismatch, decodeForeignBody, decodeForeignHeader, type RawBlock, readRawBlock } from './chain/follow.ts'
export { DEFAULT_BASE_FEE, evenAlloc, type Genesis, type GenesisAccount } from './chain/genesis.ts'
export { type BlockHeader, encodeHeader, type HashedHeader, HEADER_CONSTANTS } from './chain/header.ts'
export { hookTransactionHash } from './chain/keys.ts'
export { Ledger } from './chain/ledger.ts'
export type { LedgerInit, LedgerLimits, LedgerModules } from './chain/ledger-init.ts'
export type { LogFilter, PlacedLog } from './chain/logs.ts'
export type { Predeploy } from './chain/predeploy.ts'
export { consensusReceipt, HOOK_RECEIPT_TYPE, type Receipt } from './chain/receipt.ts'
export type { Trace, TracerChoice, TransactionTrace } from './chain/tracing.ts'
export {
  type AccessListItem,
  type Authorization,
  decodeTransaction,
  HALF_ORDER,
  TRANSACTION_BYTES_MAX,
  type Transaction,
  type TransactionType,
} from './chain/transaction.ts'
export * from './framework/index.ts'
export { type HaltScene, LedgerError, type LedgerErrorCode, LedgerHalt } from './ledger-error.ts'
export * from './modules/index.ts'
export * from './snapshot/index.ts'
export type { Account } from './state/account.ts'
export type { HistoryLimits } from './state/history.ts'
export type { StateLimits } from './state/journaled-state.ts'
export {
  LEDGER_TABLES,
  type LedgerStore,
  type LedgerTable,
  type LedgerWrite,
  MemoryLedgerStore,
} from './state/ledger-store.ts'
export { RangeProofError, rootOfLeaves, type TrieLeaf, verifyRange } from './trie/range-proof.ts'
export { decodeRlp, encodeRlp, type Rlp, type RlpInput } from './trie/rlp.ts'
export type { AccountProof } from './trie/state-trie.ts'
export type { CallFrame, CallLog, CallTracerOptions } from './vm/call-tracer.ts'
export { FORK } from './vm/module-evm.ts'
export type { StructLog, StructLoggerOptions, StructLogTrace } from './vm/struct-logger.ts'
export type { Log } from './vm/vm.ts'
export type { WorldState } from './world-state.ts'
