import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import {
  bloomOf,
  type CallResult,
  consensusReceipt,
  decodeRlp,
  encodeHeader,
  encodeRlp,
  type HashedHeader,
  HEADER_CONSTANTS,
  HOOK_RECEIPT_TYPE,
  type Ledger,
  type CallRequest as LedgerCall,
  type CallOptions as LedgerCallOptions,
  LedgerError,
  type PlacedLog as LedgerLog,
  moduleAbis,
  type StoredBlock,
} from '@cumulus/ledger'
import {
  type AccessListOutcome,
  type AccountProof,
  type CallOptions,
  type CallOutcome,
  type CallRequest,
  type ChainView,
  type ConsensusView,
  type GasEstimate,
  type Hash,
  type Payment,
  type PendingView,
  type PlacedLog,
  type ProtocolModules,
  type RawBlock,
  RpcError,
  type StateView,
  type TraceConfig,
  type TransactionPlace,
  type ViewBlock,
  type ViewHeader,
  type ViewReceipt,
} from '@cumulus/rpc'
import type { Address } from '@cumulus/types'
import type { CertificateStore } from './certificate-store.ts'
import type { Mempool } from './mempool.ts'
import { MempoolView } from './mempool-view.ts'
import { viewTransaction } from './view-transaction.ts'

interface LedgerViewComponents {
  /** The block whose state the chain here began with; what lies before it was never here. */
  readonly base?: bigint
  /** Nodes that this one is connected to; none if absent. */
  readonly peerCount?: () => number
  /** How far a node that follows others is behind them; undefined at the tip. Absent: this node is the tip. */
  readonly syncing?: ChainView['syncing']
  /** What a committee certified is final. Absent: one validator decides for ever, and all that is executed is final. */
  readonly certificates?: Pick<CertificateStore, 'highest'>
  readonly consensus?: ConsensusView
  readonly ledger: Ledger
  readonly mempool: Mempool
  readonly clientVersion: string
  status(): object | Promise<object>
}

/** Decoded blocks kept for readers: most questions are about the last few. A block holds 4 MiB at most. */
const RECENT_BLOCKS_MAX = 16

interface RecentBlock {
  readonly block: ViewBlock
  readonly receipts: readonly ViewReceipt[]
  /** Absent until asked for. */
  logs?: readonly PlacedLog[]
}

/** The ledger and the mempool as the RPC server sees them. Whoever executes blocks tells it of each by `publish`. */
export class LedgerView implements ChainView {
  readonly chainId: number
  readonly clientVersion: string
  readonly minTip: bigint
  readonly pending: PendingView
  readonly status: () => object | Promise<object>
  readonly peerCount: () => number
  readonly syncing: ChainView['syncing']
  readonly consensus: ConsensusView | undefined
  readonly modules: ProtocolModules = {
    storage: moduleAbis.Storage,
    miners: moduleAbis.Miners,
    audit: moduleAbis.Audit,
  }
  readonly #ledger: Ledger
  readonly #mempool: Mempool
  readonly #certificates: Pick<CertificateStore, 'highest'> | undefined
  readonly #base: bigint | undefined
  readonly #recent = new Map<bigint, RecentBlock>()
  readonly #blockListeners = new Set<(block: ViewBlock) => void>()

  constructor(components: LedgerViewComponents) {
    const { ledger, mempool, certificates, consensus, clientVersion, status, peerCount, syncing } = components
    this.#certificates = certificates
    this.#base = components.base
    this.consensus = consensus
    this.#ledger = ledger
    this.#mempool = mempool
    this.chainId = ledger.params.chainId
    this.clientVersion = clientVersion
    this.minTip = mempool.limits.minTip
    this.status = status
    this.peerCount = peerCount ?? (() => 0)
    this.syncing = syncing ?? (() => undefined)
    this.pending = new MempoolView(mempool)
  }

  /**
   * To be called when a block has been stored and the mempool knows of it.
   *
   * @param onFailure told what a listener throws: the others hear of the block all the same, and so does the next one
   */
  publish(number: bigint, onFailure: (error: unknown) => void): void {
    const block = this.block(number)!
    for (const listener of this.#blockListeners) {
      try {
        listener(block)
      } catch (error) {
        onFailure(error)
      }
    }
  }

  head(): ViewBlock {
    return this.block(this.#ledger.head.number)!
  }

  finalizedNumber(): bigint {
    const executed = this.#ledger.head.number
    if (!this.#certificates) return executed
    const certified = this.#certificates.highest ?? 0n
    return certified < executed ? certified : executed
  }

  nextBaseFee(): bigint {
    return this.#ledger.nextBaseFee
  }

  oldestNumber(): bigint {
    return this.#base ?? 0n
  }

  block(number: bigint): ViewBlock | undefined {
    return this.#at(number)?.block
  }

  header(number: bigint): ViewHeader | undefined {
    this.#requireKept(number)
    const recent = this.#recent.get(number)
    if (recent) return recent.block
    const header = this.#ledger.header(number)
    return header && viewHeader(header)
  }

  payments(number: bigint): readonly Payment[] | undefined {
    this.#requireKept(number)
    const recent = this.#recent.get(number)
    if (recent) return recent.receipts
    const header = this.#ledger.header(number)
    // Module hooks pay nothing.
    return header && this.#ledger.receiptsOf(header).filter(({ type }) => type !== HOOK_RECEIPT_TYPE)
  }

  bloom(number: bigint): Uint8Array | undefined {
    this.#requireKept(number)
    return this.#recent.get(number)?.block.logsBloom ?? this.#ledger.header(number)?.logsBloom
  }

  numberOf(hash: Hash): bigint | undefined {
    return this.#ledger.header(hexToBytes(hash))?.number
  }

  raw(number: bigint): RawBlock | undefined {
    this.#requireKept(number)
    const stored = this.#ledger.block(number)
    if (!stored) return undefined
    const { header, transactions, receipts } = stored
    const encoded = encodeHeader(header)
    // A typed transaction is a string in the list, a legacy one a list of its own (EIP-2718).
    const body = transactions.map(({ raw }) => (raw[0]! >= 0xc0 ? decodeRlp(raw) : raw))
    return {
      header: encoded,
      block: encodeRlp([decodeRlp(encoded), body, [], []]),
      receipts: receipts.map(consensusReceipt),
    }
  }

  receipts(number: bigint): readonly ViewReceipt[] | undefined {
    return this.#at(number)?.receipts
  }

  logs(number: bigint): readonly PlacedLog[] {
    this.#requireKept(number)
    const recent = this.#recent.get(number)
    if (recent?.logs) return recent.logs
    const header = this.#ledger.header(number)
    if (!header) return []
    const logs = this.#ledger.logsOf(header).map(viewLog)
    // A search through old blocks does not push out those that everybody asks for.
    if (recent) recent.logs = logs
    return logs
  }

  place(hash: Hash): TransactionPlace | undefined {
    const place = this.#ledger.transactionPlace(hexToBytes(hash))
    return place && { blockNumber: place.number, index: place.index }
  }

  state(at: bigint | 'latest'): StateView | undefined {
    const number = at === 'latest' ? undefined : at
    try {
      this.#ledger.account(ZERO_ADDRESS, number)
    } catch (error) {
      if (error instanceof LedgerError) return undefined
      throw error
    }
    return new LedgerState(this.#ledger, number)
  }

  traceTransaction(hash: Hash, config: TraceConfig, signal: AbortSignal): Promise<object> {
    return refusable(() => this.#ledger.traceTransaction(hexToBytes(hash), config, { signal }))
  }

  traceBlock(number: bigint, config: TraceConfig, signal: AbortSignal): Promise<object[]> {
    return refusable(() => this.#ledger.traceBlock(number, config, { signal }))
  }

  onBlock(listener: (block: ViewBlock) => void): () => void {
    this.#blockListeners.add(listener)
    return () => this.#blockListeners.delete(listener)
  }

  onPending(listener: (hash: Hash) => void): () => void {
    return this.#mempool.onAdded(({ hash }) => listener(bytesToHex(hash)))
  }

  /** @throws RpcError NOT_FOUND for a block that a node without snapshot would have */
  #requireKept(number: bigint): void {
    if (this.#base === undefined || number >= this.#base || number < 0n) return
    throw new RpcError('NOT_FOUND', `block ${number} is not kept here: this node began with block ${this.#base}`, {
      data: { code: 'BEFORE_SNAPSHOT', oldest: this.#base.toString() },
    })
  }

  #at(number: bigint): RecentBlock | undefined {
    let recent = this.#recent.get(number)
    if (!recent) {
      this.#requireKept(number)
      const stored = this.#ledger.block(number)
      if (!stored) return undefined
      recent = { block: viewBlock(stored), receipts: viewReceipts(stored) }
      if (this.#recent.size >= RECENT_BLOCKS_MAX) this.#recent.delete(this.#recent.keys().next().value!)
    } else this.#recent.delete(number)
    // Last used goes last.
    this.#recent.set(number, recent)
    return recent
  }
}

const ZERO_ADDRESS: Address = '0x0000000000000000000000000000000000000000'

/** State of the head, or of a block with the same state. */
class LedgerState implements StateView {
  readonly #ledger: Ledger
  readonly #at: bigint | undefined

  constructor(ledger: Ledger, at: bigint | undefined) {
    this.#ledger = ledger
    this.#at = at
  }

  balance(address: Address): bigint {
    return this.#ledger.getBalance(address, this.#at)
  }

  nonce(address: Address): bigint {
    return this.#ledger.getNonce(address, this.#at)
  }

  code(address: Address): Uint8Array {
    return this.#ledger.getCode(address, this.#at)
  }

  storage(address: Address, slot: bigint): bigint {
    return this.#ledger.getStorage(address, slot, this.#at)
  }

  async proof(address: Address, slots: readonly bigint[], signal: AbortSignal): Promise<AccountProof> {
    const { account, accountProof, storageProofs } = await refusable(() =>
      this.#ledger.prove(address, slots, this.#at, { signal }),
    )
    return {
      balance: account.balance,
      nonce: account.nonce,
      codeHash: bytesToHex(account.codeHash),
      storageHash: bytesToHex(account.storageRoot),
      accountProof,
      storageProof: storageProofs,
    }
  }

  async createAccessList(request: CallRequest, options: CallOptions): Promise<AccessListOutcome> {
    const { accessList, gasUsed, error } = await refusable(() =>
      this.#ledger.createAccessList(ledgerCall(request), this.#at, ledgerOptions(options)),
    )
    return {
      accessList: accessList.map(({ address, slots }) => ({ address, storageKeys: slots.map(bytesToHex) })),
      gasUsed,
      error,
    }
  }

  traceCall(request: CallRequest, config: TraceConfig, options: CallOptions): Promise<object> {
    return refusable(() => this.#ledger.traceCall(ledgerCall(request), this.#at, config, ledgerOptions(options)))
  }

  async call(request: CallRequest, options: CallOptions): Promise<CallOutcome> {
    const result = await refusable(() => this.#ledger.call(ledgerCall(request), this.#at, ledgerOptions(options)))
    return result.ok ? { kind: 'returned', data: result.output, gasUsed: result.gasUsed } : failure(result)
  }

  async estimateGas(request: CallRequest, options: CallOptions): Promise<GasEstimate> {
    const result = await refusable(() =>
      this.#ledger.estimateGas(ledgerCall(request), this.#at, ledgerOptions(options)),
    )
    return result.ok ? { kind: 'estimated', gas: result.gasUsed } : failure(result)
  }
}

function ledgerCall({ accessList, authorizationList, ...request }: CallRequest): LedgerCall {
  return {
    ...request,
    accessList: accessList?.map(({ address, storageKeys }) => ({ address, slots: storageKeys.map(hexToBytes) })),
    authorizations: authorizationList,
  }
}

function ledgerOptions({ accounts, block, signal }: CallOptions): LedgerCallOptions {
  const prevRandao = block?.prevRandao && hexToBytes(block.prevRandao)
  return { overrides: accounts, blockOverrides: block && { ...block, prevRandao }, signal }
}

function failure(result: CallResult): Exclude<CallOutcome, { kind: 'returned' }> {
  const { gasUsed, output, error } = result
  return error === 'revert'
    ? { kind: 'reverted', data: output, gasUsed }
    : { kind: 'failed', reason: error ?? 'execution failed', gasUsed }
}

/** What the ledger refuses for its own reasons is the asker's to know. */
async function refusable<Value>(work: () => Promise<Value>): Promise<Value> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error
    const init = { data: { code: error.code }, cause: error }
    const isLimit = error.code === 'TOO_MUCH' || error.code === 'BUSY'
    if (isLimit) throw new RpcError('LIMIT_EXCEEDED', error.message, { ...init, limit: error.code.toLowerCase() })
    throw new RpcError('REFUSED', error.message, init)
  }
}

function viewHeader(header: HashedHeader): ViewHeader {
  return {
    number: header.number,
    hash: bytesToHex(header.hash),
    parentHash: bytesToHex(header.parentHash),
    stateRoot: bytesToHex(header.stateRoot),
    transactionsRoot: bytesToHex(header.transactionsRoot),
    receiptsRoot: bytesToHex(header.receiptsRoot),
    logsBloom: header.logsBloom,
    miner: header.coinbase,
    mixHash: bytesToHex(header.prevRandao),
    gasLimit: header.gasLimit,
    gasUsed: header.gasUsed,
    baseFeePerGas: header.baseFee,
    timestamp: header.timestamp,
    extraData: bytesToHex(header.extraData),
    extra: { ...headerConstants, parentBeaconBlockRoot: bytesToHex(header.consensusRoot) },
  }
}

function viewBlock({ header, transactions }: StoredBlock): ViewBlock {
  let sizeBytes = encodeHeader(header).length
  for (const { raw } of transactions) sizeBytes += raw.length
  return { ...viewHeader(header), sizeBytes, transactions: transactions.map(viewTransaction) }
}

const headerConstants = {
  withdrawalsRoot: bytesToHex(HEADER_CONSTANTS.withdrawalsRoot),
  requestsHash: bytesToHex(HEADER_CONSTANTS.requestsHash),
  blobGasUsed: '0x0',
  excessBlobGas: '0x0',
} as const

/** Those of transactions: what module hooks did has a receipt in the ledger, but no transaction. */
function viewReceipts({ transactions, receipts }: StoredBlock): ViewReceipt[] {
  return transactions.map((_, index) => {
    const { ok, gasUsed, cumulativeGasUsed, effectiveGasPrice, contractAddress, logs } = receipts[index]!
    return {
      ok,
      gasUsed,
      cumulativeGasUsed,
      effectiveGasPrice,
      contractAddress: contractAddress ?? null,
      logsBloom: bloomOf(logs),
      logs: logs.map(({ address, topics, data }) => ({ address, topics: topics.map(bytesToHex), data })),
    }
  })
}

function viewLog({ address, topics, data, transactionHash, transactionIndex, logIndex }: LedgerLog): PlacedLog {
  const placed = { transactionHash: bytesToHex(transactionHash), transactionIndex, logIndex }
  return { address, topics: topics.map(bytesToHex), data, ...placed }
}
