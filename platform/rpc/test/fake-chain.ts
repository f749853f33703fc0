import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import type { Address } from '@cumulus/types'
import type {
  CallOptions,
  CallOutcome,
  CallRequest,
  ChainView,
  GasEstimate,
  Hash,
  PendingContent,
  PendingView,
  PlacedLog,
  StateView,
  TraceConfig,
  ViewBlock,
  ViewLog,
  ViewReceipt,
  ViewTransaction,
} from '../src/chain-view.ts'
import { RpcError } from '../src/rpc-error.ts'

export const alice: Address = `0x${'a1'.repeat(20)}`
export const token: Address = `0x${'70'.repeat(20)}`

export function word(value: number | bigint): Hash {
  return `0x${value.toString(16).padStart(64, '0')}`
}

/** A chain in memory that does what a test tells it: each block has one transaction with the given logs. */
export class FakeChain implements ChainView {
  readonly chainId = 27_103
  readonly clientVersion = 'cumulus/test'
  readonly minTip = 7n
  readonly blocks: { block: ViewBlock; receipts: ViewReceipt[]; logs: PlacedLog[] }[] = []
  /** What calls do; replaced by tests. */
  onCall: (request: CallRequest) => Promise<CallOutcome> = async () => ({
    kind: 'returned',
    data: new Uint8Array(32),
    gasUsed: 21_000n,
  })
  code: () => Uint8Array = () => Uint8Array.of(0xfe)
  /** What traces do; replaced by tests. */
  onTrace: (hash: Hash, config: TraceConfig, signal: AbortSignal) => Promise<object> = async (hash, config) => ({
    hash,
    config,
  })
  /** The overrides of the last call. */
  overrides: CallOptions | undefined
  /** All of alice's; the first can be executed. */
  waitingTransactions: ViewTransaction[] = []
  submitted: Uint8Array[] = []
  /** Whether what was submitted is taken to be the transaction of the head. */
  submittedIsMined = false
  submitError: Error | undefined
  readonly #blockListeners = new Set<(block: ViewBlock) => void>()
  readonly #pendingListeners = new Set<(hash: Hash) => void>()

  constructor() {
    this.append([])
  }

  append(logs: readonly ViewLog[]): ViewBlock {
    const number = BigInt(this.blocks.length)
    const transaction: ViewTransaction = {
      hash: bytesToHex(keccak256(new TextEncoder().encode(`transaction ${number}`))),
      raw: Uint8Array.of(2, 0xc0),
      type: 2,
      from: alice,
      to: token,
      nonce: number,
      gasLimit: 100_000n,
      value: 5n,
      data: Uint8Array.of(1, 2, 3),
      maxFeePerGas: 100n,
      maxPriorityFeePerGas: 9n,
      accessList: [],
      chainId: 27_103n,
      v: 1n,
      r: 2n,
      s: 3n,
    }
    const logsBloom = bloomOf(logs)
    const block: ViewBlock = {
      number,
      hash: bytesToHex(keccak256(new TextEncoder().encode(`block ${number}`))),
      parentHash: this.blocks.at(-1)?.block.hash ?? word(0),
      stateRoot: word(1),
      transactionsRoot: word(2),
      receiptsRoot: word(3),
      logsBloom,
      miner: alice,
      mixHash: word(4),
      gasLimit: 1_000_000n,
      gasUsed: 50_000n,
      baseFeePerGas: 20n,
      timestamp: 1_700_000_000n + number,
      extraData: '0x',
      sizeBytes: 600,
      transactions: [transaction],
    }
    const receipt: ViewReceipt = {
      ok: true,
      gasUsed: 50_000n,
      cumulativeGasUsed: 50_000n,
      effectiveGasPrice: 29n,
      contractAddress: null,
      logsBloom,
      logs,
    }
    const placed = logs.map((log, logIndex) => ({
      ...log,
      transactionHash: transaction.hash,
      transactionIndex: 0,
      logIndex,
    }))
    this.blocks.push({ block, receipts: [receipt], logs: placed })
    for (const listener of this.#blockListeners) listener(block)
    return block
  }

  waiting(from: Address): PendingContent {
    const mine = from === alice ? this.waitingTransactions : []
    return { pending: mine.slice(0, 1), queued: mine.slice(1) }
  }

  announce(hash: Hash): void {
    for (const listener of this.#pendingListeners) listener(hash)
  }

  get listenerCount(): number {
    return this.#blockListeners.size + this.#pendingListeners.size
  }

  head = () => this.blocks.at(-1)!.block
  finalizedNumber = () => this.head().number
  nextBaseFee = () => 21n
  /** The first block that is kept; replaced by tests. */
  oldest = 0n
  oldestNumber = () => this.oldest
  block = (number: bigint) => {
    this.decoded.push(number)
    return this.header(number)
  }
  /** As of a node that began with a snapshot: what lies before it is an error. */
  header = (number: bigint) => {
    if (number < this.oldest) throw new RpcError('NOT_FOUND', `block ${number} is not kept here`)
    return this.blocks[Number(number)]?.block
  }
  /** Blocks that were decoded as a whole. */
  decoded: bigint[] = []
  payments = (number: bigint) => this.blocks[Number(number)]?.receipts
  bloom = (number: bigint) => this.header(number)?.logsBloom
  numberOf = (hash: Hash) => this.blocks.find(({ block }) => block.hash === hash)?.block.number
  raw = (number: bigint) =>
    this.block(number) && {
      header: Uint8Array.of(0xc0, Number(number)),
      block: Uint8Array.of(0xc1),
      receipts: [Uint8Array.of(0xc2)],
    }
  traceTransaction = async (hash: Hash, config: TraceConfig, signal: AbortSignal) => this.onTrace(hash, config, signal)
  traceBlock = async (number: bigint, config: TraceConfig, signal: AbortSignal) => [
    await this.onTrace(this.block(number)!.transactions[0]!.hash, config, signal),
  ]
  receipts = (number: bigint) => this.blocks[Number(number)]?.receipts
  logs = (number: bigint) => this.blocks[Number(number)]?.logs ?? []
  place = (hash: Hash) => {
    const isSubmitted = this.submitted.some((raw) => bytesToHex(keccak256(raw)) === hash)
    if (this.submittedIsMined && isSubmitted) return { blockNumber: this.head().number, index: 0 }
    const at = this.blocks.findIndex(({ block }) => block.transactions[0]?.hash === hash)
    return at < 0 ? undefined : { blockNumber: BigInt(at), index: 0 }
  }

  /** Only the head's state is kept. */
  state = (at: bigint | 'latest'): StateView | undefined => {
    if (at !== 'latest' && at !== this.head().number) return undefined
    return {
      balance: () => 1_000n,
      nonce: () => 3n,
      code: () => this.code(),
      storage: (_, slot) => slot * 2n,
      proof: (_, slots) => ({
        balance: 1_000n,
        nonce: 3n,
        codeHash: word(5),
        storageHash: word(6),
        accountProof: [Uint8Array.of(1)],
        storageProof: slots.map((slot) => ({ slot, value: slot * 2n, proof: [] })),
      }),
      call: (request, overrides) => {
        this.overrides = overrides
        return this.onCall(request)
      },
      traceCall: async (request, config, options) => {
        this.overrides = options
        return { to: request.to, config }
      },
      createAccessList: async () => ({
        accessList: [{ address: token, storageKeys: [word(1)] }],
        gasUsed: 30_000n,
      }),
      estimateGas: async (request, overrides): Promise<GasEstimate> => {
        this.overrides = overrides
        const outcome = await this.onCall(request)
        return outcome.kind === 'returned' ? { kind: 'estimated', gas: outcome.gasUsed } : outcome
      },
    }
  }

  readonly pending: PendingView = {
    counts: () => ({ pending: 2, queued: 1 }),
    bytes: 300,
    senders: () => [alice],
    content: (from) => this.waiting(from),
    transaction: (hash) => this.waitingTransactions.find((one) => one.hash === hash),
    nextNonce: () => 5n,
    submit: async (raw) => {
      if (this.submitError) throw this.submitError
      this.submitted.push(raw)
      return bytesToHex(keccak256(raw))
    },
  }

  onBlock = (listener: (block: ViewBlock) => void) => {
    this.#blockListeners.add(listener)
    return () => this.#blockListeners.delete(listener)
  }
  onPending = (listener: (hash: Hash) => void) => {
    this.#pendingListeners.add(listener)
    return () => this.#pendingListeners.delete(listener)
  }
  peerCount = () => 3
  syncing = () => undefined
  status = () => ({ height: this.head().number.toString() })
}

/** The yellow paper's M3:2048, written down naively. */
export function bloomOf(logs: readonly ViewLog[]): Uint8Array {
  const bloom = new Uint8Array(256)
  for (const log of logs) {
    for (const item of [log.address, ...log.topics]) {
      const digest = keccak256(hexToBytes(item))
      for (const at of [0, 2, 4]) {
        const bit = (digest[at]! * 256 + digest[at + 1]!) % 2048
        bloom[255 - Math.floor(bit / 8)]! |= 1 << (bit % 8)
      }
    }
  }
  return bloom
}

export function log(topic: number | bigint, address: Address = token): ViewLog {
  return { address, topics: [word(topic), word(99)], data: Uint8Array.of(7) }
}
