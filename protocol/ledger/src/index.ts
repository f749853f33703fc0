export { nextBaseFee } from './chain/base-fee.ts'
export { bloomOf } from './chain/bloom.ts'
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
export {
  type CallRequest,
  type CallResult,
  type DecidedBatch,
  type DroppedTransaction,
  type ExecutedBlock,
  HOOK_RECEIPT_TYPE,
  hookTransactionHash,
  Ledger,
  type LedgerInit,
  type LedgerLimits,
  type LedgerModules,
  type LogFilter,
  type PlacedLog,
  type StoredBlock,
  type TransactionPlace,
} from './chain/ledger.ts'
export type { Receipt } from './chain/receipt.ts'
export {
  type AccessListItem,
  type Authorization,
  decodeTransaction,
  TRANSACTION_BYTES_MAX,
  type Transaction,
  type TransactionType,
} from './chain/transaction.ts'
export * from './framework/index.ts'
export { LedgerError, type LedgerErrorCode, LedgerHalt } from './ledger-error.ts'
export * from './modules/index.ts'
export type { Account } from './state/account.ts'
export type { StateLimits } from './state/journaled-state.ts'
export {
  LEDGER_TABLES,
  type LedgerStore,
  type LedgerTable,
  type LedgerWrite,
  MemoryLedgerStore,
} from './state/ledger-store.ts'
export { decodeRlp, encodeRlp, type Rlp, type RlpInput } from './trie/rlp.ts'
export type { AccountProof } from './trie/state-trie.ts'
export { FORK } from './vm/ethereum-vm.ts'
export type { Log } from './vm/vm.ts'
export type { WorldState } from './world-state.ts'
