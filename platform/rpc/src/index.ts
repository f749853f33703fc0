export type {
  AccountProof,
  CallOutcome,
  CallRequest,
  ChainView,
  GasEstimate,
  Hash,
  Hex,
  PendingView,
  PlacedLog,
  StateView,
  TransactionPlace,
  ViewBlock,
  ViewLog,
  ViewReceipt,
  ViewTransaction,
} from './chain-view.ts'
export { defaultLimits, type RpcLimits } from './limits.ts'
export type { AccessRules } from './origin.ts'
export { errorNumbers, RpcError, type RpcErrorName } from './rpc-error.ts'
export { type RpcServer, startRpcServer } from './server.ts'
