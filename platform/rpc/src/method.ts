import type { PublicRpcSchema, RpcFeeHistory, RpcTransaction, RpcTransactionReceipt, WalletRpcSchema } from 'viem'
import type { Hex } from './chain-view.ts'
import type { RpcCertificate, RpcCommittee } from './consensus-view.ts'
import type { Decoder } from './decode.ts'
import { RpcError } from './rpc-error.ts'

type Schema = PublicRpcSchema[number] | WalletRpcSchema[number]

/** Methods that viem's table lacks or types for its own side only. */
interface OwnReturnTypes {
  eth_subscribe: Hex
  eth_unsubscribe: boolean
  eth_syncing: false | { startingBlock: Hex; currentBlock: Hex; highestBlock: Hex }
  eth_feeHistory: RpcFeeHistory
  eth_getBlockReceipts: RpcTransactionReceipt[] | null
  eth_getHeaderByNumber: Record<string, unknown> | null
  eth_getHeaderByHash: Record<string, unknown> | null
  eth_createAccessList: { accessList: { address: Hex; storageKeys: Hex[] }[]; gasUsed: Hex; error?: string }
  eth_getStorageValues: Record<Hex, Hex[]>
  net_version: string
  txpool_status: { pending: Hex; queued: Hex }
  txpool_content: TxpoolContent<RpcTransaction>
  txpool_contentFrom: { pending: Record<string, RpcTransaction>; queued: Record<string, RpcTransaction> }
  txpool_inspect: TxpoolContent<string>
  debug_traceTransaction: object
  debug_traceBlockByNumber: object[]
  debug_traceBlockByHash: object[]
  debug_traceCall: object
  debug_getRawHeader: Hex
  debug_getRawBlock: Hex
  debug_getRawReceipts: Hex[]
  debug_getRawTransaction: Hex | null
  cumulus_status: object
  cumulus_getGroup: object | null
  cumulus_getChallenges: object[]
  cumulus_getCertificate: RpcCertificate | null
  cumulus_getCommittee: RpcCommittee | null
  cumulus_consensusStatus: object | null
}

/** By sender, then by nonce in decimal digits. */
interface TxpoolContent<Item> {
  pending: Record<Hex, Record<string, Item>>
  queued: Record<Hex, Record<string, Item>>
}

export type MethodName = Schema['Method'] | keyof OwnReturnTypes

/** What a method answers, as viem declares it for its own requests. */
export type ReturnOf<Name extends MethodName> = Name extends keyof OwnReturnTypes
  ? OwnReturnTypes[Name]
  : Extract<PublicRpcSchema[number], { Method: Name }> extends { ReturnType: infer Return }
    ? Return
    : Extract<WalletRpcSchema[number], { Method: Name }>['ReturnType']

/** Where a request came from. Only a WebSocket can be sent to. */
export interface Caller {
  readonly socket?: SubscriberSocket
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal
}

export interface SubscriberSocket {
  subscribe(kind: string, start: (send: (result: unknown) => void) => () => void): Hex
  unsubscribe(id: Hex): boolean
}

/** One entry of the table: how its parameters are read, and what answers. */
export interface Method {
  readonly decoders: readonly Decoder<unknown>[]
  readonly answer: (args: readonly unknown[], caller: Caller) => unknown
}

type Decoded<Decoders extends readonly Decoder<unknown>[]> = {
  [Index in keyof Decoders]: Decoders[Index] extends Decoder<infer Value> ? Value : never
}

export type MethodTable = Partial<Record<MethodName, Method>>

/** Declares a method: its answer is checked against viem's type for that name. */
export function method<Name extends MethodName, const Decoders extends readonly Decoder<unknown>[]>(
  _name: Name,
  decoders: Decoders,
  answer: (args: Decoded<Decoders>, caller: Caller) => ReturnOf<Name> | Promise<ReturnOf<Name>>,
): { [Key in Name]: Method } {
  return { [_name]: { decoders, answer: answer as Method['answer'] } } as unknown as { [Key in Name]: Method }
}

/** Decodes `params`: a list, or nothing at all where a client leaves it out. */
export function decodeParams(entry: Method, params: unknown): unknown[] {
  if (params === undefined || params === null) params = []
  if (!Array.isArray(params)) throw new RpcError('INVALID_PARAMS', 'params must be a list')
  const list = params as unknown[]
  if (list.length > entry.decoders.length) {
    // Trailing nulls say nothing.
    const extra = list.findIndex((value, index) => index >= entry.decoders.length && value !== null)
    if (extra >= 0) {
      throw new RpcError(
        'INVALID_PARAMS',
        `too many parameters: ${list.length}, at most ${entry.decoders.length} are taken`,
      )
    }
  }
  return entry.decoders.map((decode, index) => decode(list[index], `parameter ${index + 1}`))
}
