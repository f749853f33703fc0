export type {
  AccessList,
  AccessListOutcome,
  AccountOverride,
  AccountProof,
  BlockOverrides,
  CallOptions,
  CallOutcome,
  CallRequest,
  ChainView,
  GasEstimate,
  Hash,
  Hex,
  Payment,
  PendingContent,
  PendingView,
  PlacedLog,
  ProtocolModule,
  ProtocolModules,
  RawBlock,
  StateView,
  TraceConfig,
  TransactionPlace,
  ViewAuthorization,
  ViewBlock,
  ViewHeader,
  ViewLog,
  ViewReceipt,
  ViewTransaction,
} from './chain-view.ts'
export type { CommitteeInfo, ConsensusView, RpcCertificate, RpcCommittee } from './consensus-view.ts'
export { defaultLimits, type RpcLimits } from './limits.ts'
export type { AccessRules } from './origin.ts'
export { errorNumbers, RpcError, type RpcErrorName } from './rpc-error.ts'
export { type RpcServer, startRpcServer } from './server.ts'
