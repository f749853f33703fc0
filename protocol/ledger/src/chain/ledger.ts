import assert from 'node:assert/strict'
import { DecodeError, equalBytes, hexToBytes } from '@cumulus/bytes'
import type { Params } from '@cumulus/params'
import type { Address } from '@cumulus/types'
import type { ModuleRegistry } from '../framework/index.ts'
import { type HaltScene, LedgerError, LedgerHalt } from '../ledger-error.ts'
import { type Account, decodeAccount, EMPTY_ACCOUNT, EMPTY_CODE_HASH } from '../state/account.ts'
import { History, type HistoryLimits } from '../state/history.ts'
import { JournaledState, type StateLimits, slotKey } from '../state/journaled-state.ts'
import { type LedgerStore, type LedgerWrite, plainStore } from '../state/ledger-store.ts'
import { readerOf, type StateReader } from '../state/state-reader.ts'
import { bytesToInteger } from '../trie/rlp.ts'
import { type AccountProof, StateTrie } from '../trie/state-trie.ts'
import { EMPTY_ROOT } from '../trie/trie.ts'
import { EthereumVm } from '../vm/ethereum-vm.ts'
import { Sandboxes } from '../vm/sandboxes.ts'
import type { Log, VmBlock } from '../vm/vm.ts'
import { nextBaseFee } from './base-fee.ts'
import { blockContext, type ChainRules, vmBlock } from './block-context.ts'
import { BlockStore, blockWrites, type StoredBlock, type TransactionPlace } from './block-store.ts'
import { addBloom, BLOOM_BYTES, bloomOf } from './bloom.ts'
import { type AccessListResult, type CallOptions, type CallRequest, type CallResult, Calls } from './calls.ts'
import { type DropCode, executeTransaction, judgeTransaction, min } from './execute-transaction.ts'
import { requireSameBlock } from './follow.ts'
import { buildGenesis, DEFAULT_BASE_FEE, GENESIS_PARENT, type Genesis, genesisDigest } from './genesis.ts'
import { type HashedHeader, hashHeader, NO_CONSENSUS_ROOT } from './header.ts'
import { META } from './keys.ts'
import { type LogFilter, type PlacedLog, placedLogs, queryLogs } from './logs.ts'
import { consensusReceipt, indexedRoot, type Receipt } from './receipt.ts'
import { beginBlock } from './system-contracts.ts'
import { type Trace, type TracerChoice, Tracing, type TransactionTrace } from './tracing.ts'
import { decodeTransaction, type Transaction } from './transaction.ts'

/** What the ledger needs of the protocol modules. */
export type LedgerModules = Pick<ModuleRegistry, 'addresses' | 'has' | 'genesis' | 'dispatch' | 'onBlock'>

export interface LedgerInit {
  readonly params: Params
  readonly genesis: Genesis
  readonly store: LedgerStore
  readonly modules: LedgerModules
  readonly limits?: LedgerLimits
  /**
   * Asked between transactions and every few hundred jumps within one, by blocks, calls and traces alike: whoever shares
   * the thread returns now and then what is to be waited for before work goes on.
   */
  pause?(): Promise<unknown> | undefined
}

export interface LedgerLimits {
  readonly state?: Partial<StateLimits>
  /** Trie nodes kept in memory, about 300 B each. */
  readonly trieNodes?: number
  /** Blocks that one log query may span. */
  readonly logBlocks?: number
  /** Logs that one query may return. */
  readonly logResults?: number
  /** Calls and estimates that may be under way at once, and those together with what waits for them. */
  readonly concurrentCalls?: number
  readonly waitingCalls?: number
  /** Traces that may be under way or waiting; one runs at a time. */
  readonly waitingTraces?: number
  /** What the result of one trace may take, about. */
  readonly traceBytes?: number
  /** How many blocks back the state can be read. */
  readonly history?: Partial<HistoryLimits>
}

const DEFAULT_LIMITS = {
  trieNodes: 100_000,
  logBlocks: 10_000,
  logResults: 10_000,
  concurrentCalls: 4,
  waitingCalls: 1_024,
  waitingTraces: 16,
  traceBytes: 64 * 2 ** 20,
}

/** What an orderer decided: the content of the next chain block, in its final order. */
export interface DecidedBatch {
  readonly number: bigint
  /** Consensus time; not before the parent's. */
  readonly timestampMs: number
  /** 32 bytes that nobody could know when the transactions were ordered. */
  readonly prevRandao: Uint8Array
  /** Gets the tips. */
  readonly coinbase: Address
  /** Raw ones are decoded here. None at all is a legal block. */
  readonly transactions: readonly (Uint8Array | Transaction)[]
  /** 32 bytes that bind the order to the header, where Ethereum has its beacon chain's root. Default: zeros. */
  readonly consensusRoot?: Uint8Array
  /** The orderer's own note of how far it is, kept together with the block: see `Ledger.mark`. */
  readonly mark?: Uint8Array
  /** The block that this must become, where others have agreed on it already; if it does not, the ledger halts. */
  readonly expected?: HashedHeader
}

export interface DroppedTransaction {
  /** Position in the batch. */
  readonly index: number
  /** Undefined if it could not be decoded. */
  readonly hash: Uint8Array | undefined
  readonly code: DropCode
}

/** A block with what its transactions did. */
export interface ExecutedBlock {
  readonly header: HashedHeader
  readonly transactions: readonly Transaction[]
  /** One for each transaction, in their order. */
  readonly receipts: readonly Receipt[]
  /** Of module hooks, outside of any transaction. */
  readonly hookLogs: readonly Log[]
  readonly dropped: readonly DroppedTransaction[]
}

/** Accounts, and slots of each, that are noted when a block fails. */
const HALT_KEYS_MAX = 1_000

const ZERO_ADDRESS: Address = '0x0000000000000000000000000000000000000000'
/** EIP-2718 type of the receipt that holds the logs of module hooks, behind those of the transactions. Not Ethereum's. */
export const HOOK_RECEIPT_TYPE = 0x7f

/**
 * The chain: takes decided batches, executes them, keeps blocks and state. It knows neither who orders nor what time it
 * is. One block is one atomic write, so whatever kills the process, the store holds whole blocks only.
 */
export class Ledger {
  readonly params: Params
  readonly modules: LedgerModules
  readonly #store: LedgerStore
  readonly #limits: typeof DEFAULT_LIMITS
  readonly #rules: ChainRules
  readonly #history: History
  readonly #state: JournaledState
  readonly #trie: StateTrie
  readonly #vm: EthereumVm
  readonly #calls: Calls
  readonly #tracing: Tracing
  readonly #pause: () => Promise<unknown> | undefined
  #head: HashedHeader
  /** Between the block before the head and the head. */
  #elapsedMs: number
  #genesisHash: Uint8Array
  #halted: LedgerHalt | undefined
  /** How far the block at hand is. */
  #progress: Omit<HaltScene, 'changed'> = {
    stage: 'begin',
    transactionIndex: undefined,
    transactionHash: undefined,
  }
  /** Ends when the blocks asked for so far are done: one at a time. */
  #turn: Promise<unknown> = Promise.resolve()
  /** While a block is being executed: calls wait for it. */
  #executing: Promise<unknown> | undefined

  private constructor(init: LedgerInit, head: HashedHeader, genesisHash: Uint8Array) {
    this.params = init.params
    this.modules = init.modules
    this.#store = init.store
    this.#limits = { ...DEFAULT_LIMITS, ...init.limits }
    this.#head = head
    this.#genesisHash = genesisHash
    const blocks = new BlockStore(init.store)
    const before = blocks.header(head.number - 1n)
    this.#elapsedMs = before ? head.timestampMs - before.timestampMs : 0
    this.#rules = { params: init.params, genesisMs: init.genesis.timestampMs, blocks }
    this.#history = new History(init.store, head.number, init.limits?.history)
    this.#state = new JournaledState(init.store, init.limits?.state)
    this.#trie = new StateTrie(readerOf(init.store), head.stateRoot, this.#limits.trieNodes)
    this.#pause = init.pause ?? (() => undefined)
    this.#vm = new EthereumVm(this.#state, init.modules, init.params.chainId)
    this.#vm.pause = this.#pause
    const sandboxes = (concurrent: number, waiting: number) =>
      new Sandboxes({
        modules: init.modules,
        chainId: init.params.chainId,
        concurrent,
        waiting,
        pause: () => this.#executing ?? this.#pause(),
      })
    const { concurrentCalls, waitingCalls, waitingTraces, traceBytes } = this.#limits
    this.#calls = new Calls(this.#rules, sandboxes(concurrentCalls, waitingCalls))
    this.#tracing = new Tracing(this.#rules, sandboxes(1, waitingTraces), traceBytes)
  }

  /**
   * Opens the chain in `store`, or begins it there.
   *
   * @throws LedgerError OTHER_GENESIS if the store holds a chain that began otherwise; BAD_GENESIS
   */
  static async open(given: LedgerInit): Promise<Ledger> {
    const init = { ...given, store: plainStore(given.store) }
    const genesis = await makeGenesis(init)
    const stored = init.store.get('meta', META.genesis)?.slice()
    if (stored === undefined) init.store.write(genesis.writes)
    else if (!equalBytes(stored, genesis.header.hash)) {
      throw new LedgerError('OTHER_GENESIS', 'the store holds a chain with another genesis', {
        stored: stored.toHex(),
        expected: genesis.header.hash.toHex(),
      })
    }
    const head = new BlockStore(init.store).head()
    assert(head !== undefined, 'the head of the chain is lost')
    return new Ledger(init, head, genesis.header.hash)
  }

  /** The last block. */
  get head(): HashedHeader {
    return this.#head
  }

  get genesisHash(): Uint8Array {
    return this.#genesisHash
  }

  /** Why the ledger refuses to go on, if it does. */
  get halted(): LedgerHalt | undefined {
    return this.#halted
  }

  /** The note that came with the last block that had one. */
  get mark(): Uint8Array | undefined {
    return this.#store.get('meta', META.mark)?.slice()
  }

  /** Base fee of the next block. */
  get nextBaseFee(): bigint {
    return nextBaseFee(this.#head, this.#elapsedMs, this.params)
  }

  /**
   * Executes and stores the next block. When the promise is fulfilled the block is durable.
   *
   * Transactions that cannot be executed are dropped and reported. A module that throws what is no revert, and a store
   * that fails, halt the ledger: it must be opened anew.
   *
   * @throws LedgerError BAD_BATCH if the batch does not follow the head; nothing has changed
   * @throws LedgerHalt
   */
  execute(batch: DecidedBatch): Promise<ExecutedBlock> {
    return this.#inTurn(async () => {
      const parent = this.#head
      if (batch.number !== parent.number + 1n || batch.timestampMs < parent.timestampMs) {
        throw new LedgerError('BAD_BATCH', `batch ${batch.number} cannot follow block ${parent.number}`, {
          number: batch.number,
          timestampMs: batch.timestampMs,
          parentTimestampMs: parent.timestampMs,
        })
      }
      if (
        batch.prevRandao.length !== 32 ||
        (batch.consensusRoot?.length ?? 32) !== 32 ||
        !Number.isSafeInteger(batch.timestampMs)
      ) {
        throw new LedgerError(
          'BAD_BATCH',
          'prevRandao and consensusRoot have 32 bytes, and time is a whole number of ms',
        )
      }
      const work = this.#execute(batch)
      this.#executing = work.catch(() => {})
      try {
        return await work
      } catch (cause) {
        const halt = cause instanceof LedgerHalt ? cause : new LedgerHalt(`block ${batch.number} failed`, cause)
        halt.scene = { ...this.#progress, changed: this.#state.changed(HALT_KEYS_MAX) }
        this.#halted = halt
        throw halt
      } finally {
        this.#executing = undefined
      }
    })
  }

  async #execute(batch: DecidedBatch): Promise<ExecutedBlock> {
    const parent = this.#head
    const state = this.#state
    const block = vmBlock(this.#rules, {
      number: batch.number,
      timestampMs: batch.timestampMs,
      prevRandao: batch.prevRandao.slice(),
      coinbase: batch.coinbase.toLowerCase() as Address,
      baseFee: this.nextBaseFee,
      gasLimit: this.params.blockGasLimit,
    })
    const transactions: Transaction[] = []
    const receipts: Receipt[] = []
    const dropped: DroppedTransaction[] = []
    this.#progress = { stage: 'begin', transactionIndex: undefined, transactionHash: undefined }
    const consensusRoot = batch.consensusRoot?.slice() ?? NO_CONSENSUS_ROOT
    beginBlock(state, { ...block, parentHash: parent.hash, consensusRoot })
    let gasUsed = 0n
    for (const [index, item] of batch.transactions.entries()) {
      const tx = item instanceof Uint8Array ? decodeOrUndefined(item) : item
      const code = tx === undefined ? 'MALFORMED' : judgeTransaction(tx, state, block, block.gasLimit - gasUsed)
      if (tx === undefined || code !== undefined) {
        dropped.push({ index, hash: tx?.hash, code: code ?? 'MALFORMED' })
        continue
      }
      this.#progress = { stage: 'transaction', transactionIndex: index, transactionHash: tx.hash }
      const { receipt } = await executeTransaction(tx, state, this.#vm, block, gasUsed)
      gasUsed = receipt.cumulativeGasUsed
      transactions.push(tx)
      receipts.push(receipt)
      const pause = this.#pause()
      if (pause) await pause
    }

    this.#progress = { stage: 'hooks', transactionIndex: undefined, transactionHash: undefined }
    // Base fees, and what contracts held that destroyed themselves. No transaction makes tokens.
    const burnt = -state.supplyChange()
    assert(burnt >= 0n, `tokens from nowhere: ${-burnt} wei`)
    const hookLogs = this.modules.onBlock(state, block, { coinbase: block.coinbase, burnt })
    const allReceipts = hookLogs.length === 0 ? receipts : [...receipts, hookReceipt(hookLogs, gasUsed)]
    this.#progress = { ...this.#progress, stage: 'root' }
    const logsBloom = new Uint8Array(BLOOM_BYTES)
    for (const { logs } of allReceipts) if (logs.length > 0) addBloom(logsBloom, bloomOf(logs))
    const applied = this.#trie.apply(state.writeSet())
    const raws = transactions.map((tx) => tx.raw)
    const header = hashHeader({
      number: batch.number,
      parentHash: parent.hash,
      coinbase: block.coinbase,
      stateRoot: applied.root,
      transactionsRoot: indexedRoot(raws),
      receiptsRoot: indexedRoot(allReceipts.map(consensusReceipt)),
      logsBloom,
      gasLimit: block.gasLimit,
      gasUsed,
      timestampMs: batch.timestampMs,
      prevRandao: block.prevRandao,
      baseFee: block.baseFee,
      consensusRoot,
    })
    requireSameBlock(batch.expected, header)
    const mark: LedgerWrite[] = batch.mark ? [{ table: 'meta', key: META.mark, value: batch.mark.slice() }] : []
    const past = this.#history.record(batch.number, applied.writes)
    const content = blockWrites(header, transactions, allReceipts)
    this.#progress = { ...this.#progress, stage: 'store' }
    this.#store.write([...applied.writes, ...past.writes, ...content, ...mark])
    past.advance()
    this.#elapsedMs = batch.timestampMs - parent.timestampMs
    state.endBlock(applied.storageRoots)
    this.#head = header
    return { header, transactions, receipts, hookLogs, dropped }
  }

  /** Header by number or hash. */
  header(at: bigint | Uint8Array): HashedHeader | undefined {
    if (typeof at === 'bigint' && at > this.#head.number) return undefined
    return this.#rules.blocks.header(at)
  }

  /** Block with transactions and receipts, by number or hash. */
  block(at: bigint | Uint8Array): StoredBlock | undefined {
    if (typeof at === 'bigint' && at > this.#head.number) return undefined
    return this.#rules.blocks.block(at)
  }

  /** A transaction of the chain by its hash. */
  transaction(hash: Uint8Array): TransactionPlace | undefined {
    return this.#rules.blocks.transaction(hash)
  }

  /**
   * Logs in chain order. Blocks whose bloom speaks against it are skipped unread.
   *
   * @throws LedgerError TOO_MUCH
   */
  logs(filter: LogFilter): PlacedLog[] {
    const toBlock = min(filter.toBlock, this.#head.number)
    return queryLogs(this.#rules.blocks, { ...filter, toBlock }, this.#limits)
  }

  /** All logs of a block. */
  logsOf(header: HashedHeader): PlacedLog[] {
    return placedLogs(this.#rules.blocks, header)
  }

  /**
   * An account as of a block. These four read what is stored, never a block half done.
   *
   * @param at block number; the head if absent
   * @throws LedgerError HISTORIC_STATE, NO_SUCH_BLOCK
   */
  account(address: Address, at?: bigint): Account {
    const rlp = this.#reader(at).get('account', hexToBytes(address))
    return rlp ? decodeAccount(rlp) : EMPTY_ACCOUNT
  }

  getBalance(address: Address, at?: bigint): bigint {
    return this.account(address, at).balance
  }

  getNonce(address: Address, at?: bigint): bigint {
    return this.account(address, at).nonce
  }

  getCode(address: Address, at?: bigint): Uint8Array {
    const { codeHash } = this.account(address, at)
    if (equalBytes(codeHash, EMPTY_CODE_HASH)) return new Uint8Array(0)
    const code = this.#store.get('code', codeHash)
    assert(code !== undefined, `code ${codeHash.toHex()} is lost`)
    return code.slice()
  }

  getStorage(address: Address, slot: bigint, at?: bigint): bigint {
    const value = this.#reader(at).get('slot', slotKey(hexToBytes(address), slot))
    return value ? bytesToInteger(value) : 0n
  }

  /**
   * Account and slots with their proofs against the state root of a block (EIP-1186).
   *
   * @throws LedgerError HISTORIC_STATE, NO_SUCH_BLOCK
   */
  async prove(address: Address, slots: readonly bigint[], at?: bigint): Promise<AccountProof> {
    const header = this.#headerAt(at)
    // A trie of its own loads the dozen nodes it needs, and leaves that of the blocks alone.
    return new StateTrie(this.#history.reader(header.number), header.stateRoot).prove(hexToBytes(address), slots)
  }

  /**
   * Executes a message on the state of a block, the head if `at` is absent, and forgets it. Nobody pays. Chain blocks are
   * executed meanwhile, and go first.
   *
   * @throws LedgerError HISTORIC_STATE, NO_SUCH_BLOCK, BUSY, BAD_OVERRIDE
   * @throws LedgerHalt if a module throws what is no revert; the ledger itself goes on, for nothing was decided
   */
  async call(request: CallRequest, at?: bigint, options: CallOptions = {}): Promise<CallResult> {
    this.#requireGoing()
    const header = this.#headerAt(at)
    return this.#calls.call(request, header, this.#history.reader(header.number), options)
  }

  /**
   * Least gas limit with which the message succeeds, to 1.5 %; or why it fails with the most there is.
   *
   * @throws LedgerError as `call`
   */
  async estimateGas(request: CallRequest, at?: bigint, options: CallOptions = {}): Promise<CallResult> {
    this.#requireGoing()
    const header = this.#headerAt(at)
    return this.#calls.estimateGas(request, header, this.#history.reader(header.number), options)
  }

  /**
   * The access list that a message should bring along.
   *
   * @throws LedgerError as `call`
   */
  async createAccessList(request: CallRequest, at?: bigint, options: CallOptions = {}): Promise<AccessListResult> {
    this.#requireGoing()
    const header = this.#headerAt(at)
    return this.#calls.createAccessList(request, header, this.#history.reader(header.number), options)
  }

  /**
   * How a transaction of the chain ran: it is executed again, behind those before it in its block. One trace at a time;
   * blocks are executed meanwhile, and go first.
   *
   * @param signal breaks it off; the promise rejects with the signal's reason
   * @throws LedgerError NO_SUCH_TRANSACTION, HISTORIC_STATE, BUSY; TOO_MUCH if the trace gets larger than its limit
   */
  async traceTransaction(
    hash: Uint8Array,
    choice: TracerChoice = {},
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<Trace> {
    const place = this.transaction(hash)
    if (place === undefined) {
      throw new LedgerError('NO_SUCH_TRANSACTION', 'there is no such transaction', { hash: hash.toHex() })
    }
    const { index, header } = place
    const [trace] = await this.#traceBlock(header.number, { first: index, last: index }, choice, signal)
    return trace!.result
  }

  /**
   * How each transaction of a block ran.
   *
   * @param at number or hash; block 0 has no transactions
   * @throws LedgerError as `traceTransaction`, NO_SUCH_BLOCK
   */
  async traceBlock(
    at: bigint | Uint8Array,
    choice: TracerChoice = {},
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<TransactionTrace[]> {
    const header = this.header(at)
    if (header === undefined) throw new LedgerError('NO_SUCH_BLOCK', 'there is no such block')
    if (header.number === 0n) return []
    return this.#traceBlock(header.number, { first: 0, last: Number.MAX_SAFE_INTEGER }, choice, signal)
  }

  /**
   * How a message would run on the state of a block: `call`, watched.
   *
   * @throws LedgerError as `call` and `traceTransaction`
   */
  async traceCall(
    request: CallRequest,
    at?: bigint,
    choice: TracerChoice = {},
    options: CallOptions = {},
  ): Promise<Trace> {
    this.#requireGoing()
    const header = this.#headerAt(at)
    return this.#tracing.traceCall(request, header, this.#history.reader(header.number), choice, options)
  }

  #traceBlock(
    number: bigint,
    range: { first: number; last: number },
    choice: TracerChoice,
    signal: AbortSignal | undefined,
  ): Promise<TransactionTrace[]> {
    this.#requireGoing()
    const parent = this.#history.reader(number - 1n)
    return this.#tracing.traceBlock(this.block(number)!, parent, range, choice, signal)
  }

  /** What of the state is in memory, and how many bytes of the store are there for the state of older blocks. */
  get memory(): { accounts: number; slots: number; codeBytes: number; trieNodes: number; historyBytes: bigint } {
    return { ...this.#state.cached, trieNodes: this.#trie.nodeCount, historyBytes: this.#history.bytes }
  }

  /** The oldest block whose state can still be read. */
  get oldestState(): bigint {
    return this.#history.oldest
  }

  #requireGoing(): void {
    if (this.#halted) throw this.#halted
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(() => {
      this.#requireGoing()
      return work()
    })
    this.#turn = result.catch(() => {})
    return result
  }

  #headerAt(at: bigint | undefined): HashedHeader {
    if (at === undefined || at === this.#head.number) return this.#head
    const header = this.header(at)
    if (header === undefined) throw new LedgerError('NO_SUCH_BLOCK', `there is no block ${at}`, { number: at })
    return header
  }

  #reader(at: bigint | undefined): StateReader {
    return this.#history.reader(this.#headerAt(at).number)
  }
}

/** Block 0 and everything it writes. Deterministic: the same for everybody with the same parameters and allocation. */
async function makeGenesis(init: LedgerInit): Promise<{ header: HashedHeader; writes: LedgerWrite[] }> {
  const { params, genesis, modules } = init
  if (!Number.isSafeInteger(genesis.timestampMs) || genesis.timestampMs < 0) {
    throw new LedgerError('BAD_GENESIS', `${genesis.timestampMs} is no time in ms`)
  }
  const nowhere: StateReader = { get: () => undefined, node: () => undefined }
  const state = new JournaledState(nowhere)
  const prevRandao = genesisDigest(params, genesis)
  const start = { number: 0n, timestampMs: genesis.timestampMs, prevRandao }
  const block: VmBlock = {
    ...blockContext(params, genesis.timestampMs, start),
    coinbase: ZERO_ADDRESS,
    gasLimit: params.blockGasLimit,
    baseFee: 0n,
    blockHash: () => new Uint8Array(32),
  }
  await buildGenesis(state, genesis, modules, new EthereumVm(state, modules, params.chainId), block)
  const applied = new StateTrie(nowhere).apply(state.writeSet())
  const header = hashHeader({
    ...start,
    parentHash: GENESIS_PARENT,
    coinbase: ZERO_ADDRESS,
    stateRoot: applied.root,
    transactionsRoot: EMPTY_ROOT,
    receiptsRoot: EMPTY_ROOT,
    logsBloom: new Uint8Array(BLOOM_BYTES),
    gasLimit: params.blockGasLimit,
    gasUsed: 0n,
    baseFee: genesis.baseFee ?? DEFAULT_BASE_FEE,
    consensusRoot: NO_CONSENSUS_ROOT,
  })
  const meta: LedgerWrite = { table: 'meta', key: META.genesis, value: header.hash }
  return { header, writes: [...applied.writes, ...blockWrites(header, [], []), meta] }
}

function hookReceipt(logs: readonly Log[], gasUsed: bigint): Receipt {
  return {
    type: HOOK_RECEIPT_TYPE,
    ok: true,
    cumulativeGasUsed: gasUsed,
    gasUsed: 0n,
    effectiveGasPrice: 0n,
    sender: ZERO_ADDRESS,
    contractAddress: undefined,
    logs,
  }
}

function decodeOrUndefined(raw: Uint8Array): Transaction | undefined {
  try {
    return decodeTransaction(raw)
  } catch (error) {
    if (error instanceof DecodeError) return undefined
    throw error
  }
}
