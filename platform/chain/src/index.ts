export { ChainClient, type ChainClientInit, type EventsInit, type SendInit } from './chain-client.ts'
export { ChainError, type ChainErrorCode } from './chain-error.ts'
export type { Finality } from './head-watcher.ts'
export type {
  AnyChainEvent,
  ChainEvent,
  EventArgs,
  EventFilter,
  EventName,
  ModuleName,
  ReadArgs,
  ReadName,
  ReadResult,
  SendArgs,
  SendName,
  SendResult,
} from './modules.ts'
export type { ConnectionLimits } from './rpc-connection.ts'
export type { SenderLimits } from './sender.ts'
