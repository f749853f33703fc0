import type { Address } from '@cumulus/types'
import type { Abi } from 'viem'
import type { ConsensusView } from './consensus-view.ts'

/** Bytes as `0x` and lower-case hex. */
export type Hex = `0x${string}`
/** 32 bytes. */
export type Hash = Hex

type Awaitable<Value> = Value | Promise<Value>

/** A transaction as its sender signed it. Fields that its type does not have are absent. */
export interface ViewTransaction {
  readonly hash: Hash
  /** As it was sent. */
  readonly raw: Uint8Array
  /** 0 legacy, 1 EIP-2930, 2 EIP-1559, 4 EIP-7702. */
  readonly type: number
  readonly from: Address
  /** null creates a contract. */
  readonly to: Address | null
  readonly nonce: bigint
  readonly gasLimit: bigint
  readonly value: bigint
  readonly data: Uint8Array
  /** Types 0 and 1. */
  readonly gasPrice?: bigint
  /** Types 2 and 4. */
  readonly maxFeePerGas?: bigint
  readonly maxPriorityFeePerGas?: bigint
  readonly accessList?: AccessList
  readonly authorizationList?: readonly ViewAuthorization[]
  /** Absent from a legacy transaction signed without replay protection. */
  readonly chainId?: bigint
  readonly v: bigint
  readonly r: bigint
  readonly s: bigint
}

/** EIP-2930. */
export type AccessList = readonly { readonly address: Address; readonly storageKeys: readonly Hash[] }[]

/** An account's consent to run the code of `address` (EIP-7702). */
export interface ViewAuthorization {
  readonly chainId: bigint
  readonly address: Address
  readonly nonce: bigint
  readonly yParity: bigint
  readonly r: bigint
  readonly s: bigint
}

/** A block without what it holds. */
export interface ViewHeader {
  readonly number: bigint
  readonly hash: Hash
  readonly parentHash: Hash
  readonly stateRoot: Hash
  readonly transactionsRoot: Hash
  readonly receiptsRoot: Hash
  readonly logsBloom: Uint8Array
  readonly miner: Address
  readonly mixHash: Hash
  readonly gasLimit: bigint
  readonly gasUsed: bigint
  readonly baseFeePerGas: bigint
  /** Seconds, as in the header. */
  readonly timestamp: bigint
  readonly extraData: Hex
  /** Header fields beyond those above, under their JSON-RPC names, already in hex. */
  readonly extra?: Readonly<Record<string, Hex>>
}

export interface ViewBlock extends ViewHeader {
  /** Size of the encoded block in bytes. */
  readonly sizeBytes: number
  readonly transactions: readonly ViewTransaction[]
}

export interface ViewLog {
  readonly address: Address
  readonly topics: readonly Hash[]
  readonly data: Uint8Array
}

/** A log with its place. Module hooks emit logs outside of any transaction: those have a stand-in for its hash. */
export interface PlacedLog extends ViewLog {
  readonly transactionHash: Hash
  readonly transactionIndex: number
  /** Position among all logs of the block. */
  readonly logIndex: number
}

export interface ViewReceipt {
  readonly ok: boolean
  readonly gasUsed: bigint
  readonly cumulativeGasUsed: bigint
  readonly effectiveGasPrice: bigint
  readonly contractAddress: Address | null
  readonly logsBloom: Uint8Array
  readonly logs: readonly ViewLog[]
}

/** What one transaction of a block used, and what it paid for each gas. */
export interface Payment {
  readonly gasUsed: bigint
  readonly effectiveGasPrice: bigint
}

/** A block as it is hashed. */
export interface RawBlock {
  readonly header: Uint8Array
  /** Header, transactions, no uncles, no withdrawals. */
  readonly block: Uint8Array
  /** Those under the receipts root. */
  readonly receipts: readonly Uint8Array[]
}

/** Where a transaction stands in the chain. */
export interface TransactionPlace {
  readonly blockNumber: bigint
  readonly index: number
}

export interface CallRequest {
  readonly from?: Address
  readonly to?: Address
  readonly gas?: bigint
  /** Fee the call pretends to pay; absent = 0. */
  readonly gasPrice?: bigint
  readonly value?: bigint
  readonly data?: Uint8Array
  readonly accessList?: AccessList
  readonly authorizationList?: readonly ViewAuthorization[]
}

/** What an account is to look like for one call. Absent fields stay as they are. */
export interface AccountOverride {
  readonly balance?: bigint
  readonly nonce?: bigint
  readonly code?: Uint8Array
  /** All of its storage; every other slot is zero. */
  readonly state?: ReadonlyMap<bigint, bigint>
  /** Some of its slots. Never together with `state`. */
  readonly stateDiff?: ReadonlyMap<bigint, bigint>
}

/** What the block is to look like for one call. */
export interface BlockOverrides {
  readonly number?: bigint
  /** Seconds. */
  readonly timestamp?: bigint
  readonly gasLimit?: bigint
  readonly coinbase?: Address
  readonly prevRandao?: Hash
  readonly baseFee?: bigint
}

/** How a call is made. */
export interface CallOptions {
  readonly accounts?: ReadonlyMap<Address, AccountOverride>
  readonly block?: BlockOverrides
  /** Breaks the call off; it rejects with the signal's reason. */
  readonly signal: AbortSignal
}

/** What a trace shows, in geth's words: the tree of calls, or every step. */
export type TraceConfig =
  | { readonly tracer: 'callTracer'; readonly onlyTopCall?: boolean; readonly withLog?: boolean }
  | {
      readonly tracer?: undefined
      readonly disableStorage?: boolean
      readonly disableStack?: boolean
      readonly enableMemory?: boolean
      readonly enableReturnData?: boolean
      /** Steps; all if absent. */
      readonly limit?: number
    }

export interface AccessListOutcome {
  readonly accessList: AccessList
  readonly gasUsed: bigint
  /** Why the call failed, if it did: the list is what it touched until then. */
  readonly error?: string
}

/** Expected outcomes of a simulated call. */
export type CallOutcome =
  | { readonly kind: 'returned'; readonly data: Uint8Array; readonly gasUsed: bigint }
  | { readonly kind: 'reverted'; readonly data: Uint8Array; readonly gasUsed: bigint }
  /** Out of gas, invalid opcode, missing funds …: no data. */
  | { readonly kind: 'failed'; readonly reason: string; readonly gasUsed: bigint }

export type GasEstimate =
  | { readonly kind: 'estimated'; readonly gas: bigint }
  | Exclude<CallOutcome, { readonly kind: 'returned' }>

export interface AccountProof {
  readonly balance: bigint
  readonly nonce: bigint
  readonly codeHash: Hash
  readonly storageHash: Hash
  readonly accountProof: readonly Uint8Array[]
  readonly storageProof: readonly {
    readonly slot: bigint
    readonly value: bigint
    readonly proof: readonly Uint8Array[]
  }[]
}

/** State after one chain block. Calls and proofs may find that it is gone by their turn, and then throw RpcError. */
export interface StateView {
  balance(address: Address): bigint
  nonce(address: Address): bigint
  code(address: Address): Uint8Array
  storage(address: Address, slot: bigint): bigint
  /** @param signal breaks it off; it rejects with the signal's reason */
  proof(address: Address, slots: readonly bigint[], signal: AbortSignal): Awaitable<AccountProof>
  call(request: CallRequest, options: CallOptions): Promise<CallOutcome>
  estimateGas(request: CallRequest, options: CallOptions): Promise<GasEstimate>
  createAccessList(request: CallRequest, options: CallOptions): Promise<AccessListOutcome>
  /** Plain JSON in geth's form. */
  traceCall(request: CallRequest, config: TraceConfig, options: CallOptions): Promise<object>
}

/** Waiting transactions of one sender in order of nonces: executable now, and behind a missing nonce. */
export interface PendingContent {
  readonly pending: readonly ViewTransaction[]
  readonly queued: readonly ViewTransaction[]
}

/** Transactions that wait for a chain block. */
export interface PendingView {
  /** Executable now / waiting for an earlier nonce. */
  counts(): { readonly pending: number; readonly queued: number }
  /** Bytes of all of them. */
  readonly bytes: number
  senders(): readonly Address[]
  content(from: Address): PendingContent
  transaction(hash: Hash): ViewTransaction | undefined
  /** Nonce that the next transaction of this sender needs, waiting ones counted. */
  nextNonce(address: Address): bigint
  /**
   * Takes a signed transaction; resolves once it waits for a block, to its hash.
   *
   * @throws an error with a string `code`, which the caller is shown together with the message
   */
  submit(raw: Uint8Array): Promise<Hash>
}

/** A protocol module: where it is called, and how. */
export interface ProtocolModule {
  readonly address: Address
  readonly abi: Abi
}

/** Those that `cumulus_getGroup` and `cumulus_getChallenges` ask. */
export interface ProtocolModules {
  /** Has `groupOf`. */
  readonly storage: ProtocolModule
  /** Has `minerCount` and `miners`. */
  readonly miners: ProtocolModule
  /** Has `challengeOf`. */
  readonly audit: ProtocolModule
}

/**
 * A chain that can be asked. Validators and full nodes implement it; the RPC server knows nothing else of them.
 * All but calls and proofs are answered at once, from memory or a memory-mapped file.
 */
export interface ChainView {
  readonly chainId: number
  /** As `web3_clientVersion` shows it: `cumulus/v0.1.0/linux-x64/node26`. */
  readonly clientVersion: string
  /** Smallest tip that has a chance, in wei per gas. */
  readonly minTip: bigint
  /** Last executed block. */
  head(): ViewBlock
  /** Highest block that can never be replaced: `safe` and `finalized`. */
  finalizedNumber(): bigint
  /** Base fee of the next block. */
  nextBaseFee(): bigint
  /** The first block that is kept here. Those below it were never here, and whoever asks for one gets an RpcError. */
  oldestNumber(): bigint
  block(number: bigint): ViewBlock | undefined
  /** For whoever looks at many blocks: decoding what one holds can take tens of ms. */
  header(number: bigint): ViewHeader | undefined
  /** What the transactions of a block paid, in their order; cheaper than its receipts. */
  payments(number: bigint): readonly Payment[] | undefined
  /** Bloom of a block, cheaper than the block: log searches read one for each block of their range. */
  bloom(number: bigint): Uint8Array | undefined
  numberOf(hash: Hash): bigint | undefined
  /** A block's encoded form; undefined if there is no such block. */
  raw(number: bigint): RawBlock | undefined
  /** Receipts of a block, one for each of its transactions. */
  receipts(number: bigint): readonly ViewReceipt[] | undefined
  /** All logs of a block in order; none if there is no such block. */
  logs(number: bigint): readonly PlacedLog[]
  place(hash: Hash): TransactionPlace | undefined
  /**
   * State after a block, or undefined if that state is no longer (or not yet) kept. `latest` is whatever is latest at the
   * moment a call gets its turn.
   */
  state(at: bigint | 'latest'): StateView | undefined
  /** Executes it again. Plain JSON in geth's form; may find that the state before it is gone, and then throws RpcError. */
  traceTransaction(hash: Hash, config: TraceConfig, signal: AbortSignal): Promise<object>
  /** All transactions of a block: `{ txHash, result }` each. */
  traceBlock(number: bigint, config: TraceConfig, signal: AbortSignal): Promise<object[]>
  readonly pending: PendingView
  /** Calls back after each block that became visible, in order; returns what ends it. */
  onBlock(listener: (block: ViewBlock) => void): () => void
  /** Calls back with the hash of each transaction that entered the pool; returns what ends it. */
  onPending(listener: (hash: Hash) => void): () => void
  /** Nodes that this one is connected to. */
  peerCount(): number
  /** For `eth_syncing`: undefined when caught up. */
  syncing():
    | { readonly startingBlock: bigint; readonly currentBlock: bigint; readonly highestBlock: bigint }
    | undefined
  /** Absent on a chain without them. */
  readonly modules?: ProtocolModules
  /** Absent where one validator orders alone. */
  readonly consensus?: ConsensusView
  /** For `cumulus_status`. Plain JSON. */
  status(): object | Promise<object>
}
