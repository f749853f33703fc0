import assert from 'node:assert/strict'
import { equalBytes, hexToBytes } from '@cumulus/bytes'
import type { Params } from '@cumulus/params'
import type { Address } from '@cumulus/types'
import { type HaltScene, LedgerError, LedgerHalt } from '../ledger-error.ts'
import { type Account, decodeAccount, EMPTY_ACCOUNT, EMPTY_CODE_HASH } from '../state/account.ts'
import { History } from '../state/history.ts'
import { JournaledState, slotKey } from '../state/journaled-state.ts'
import { type LedgerStore, type LedgerWrite, plainStore } from '../state/ledger-store.ts'
import { readerOf, type StateReader } from '../state/state-reader.ts'
import { bytesToInteger } from '../trie/rlp.ts'
import { type AccountProof, StateTrie } from '../trie/state-trie.ts'
import { EthereumVm } from '../vm/ethereum-vm.ts'
import { Sandboxes } from '../vm/sandboxes.ts'
import { nextBaseFee } from './base-fee.ts'
import type { ChainRules } from './block-context.ts'
import { BlockStore, blockWrites, type StoredBlock, type TransactionPlace } from './block-store.ts'
import { addBloom, BLOOM_BYTES, bloomOf } from './bloom.ts'
import { type AccessListResult, type CallOptions, type CallRequest, type CallResult, Calls } from './calls.ts'
import { type DecidedBatch, type ExecutedBlock, executeBatch } from './execute-batch.ts'
import { min } from './execute-transaction.ts'
import { requireSameBlock } from './follow.ts'
import { openGenesis } from './genesis-block.ts'
import { type HashedHeader, hashHeader } from './header.ts'
import { META } from './keys.ts'
import { DEFAULT_LIMITS, type LedgerInit, type LedgerModules } from './ledger-init.ts'
import { type LogFilter, type PlacedLog, placedLogs, queryLogs } from './logs.ts'
import { consensusReceiptWith, hookReceipt, indexedRoot, type Receipt } from './receipt.ts'
import { type Trace, type TracerChoice, Tracing, type TransactionTrace } from './tracing.ts'

/** Accounts, and slots of each, that are noted when a block fails. */
const HALT_KEYS_MAX = 1_000

/**
 * The chain: takes decided batches, executes them, keeps blocks and state. It knows neither who orders nor what time it
 * is. One block is one atomic write, so whatever kills the process, the store holds whole blocks only.
 */
export class Ledger {
  readonly params: Params
  readonly modules: LedgerModules
  readonly #store: Required<LedgerStore>
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

  private constructor(
    init: LedgerInit & { readonly store: Required<LedgerStore> },
    head: HashedHeader,
    genesisHash: Uint8Array,
  ) {
    this.params = init.params
    this.modules = init.modules
    this.#store = init.store
    this.#limits = { ...DEFAULT_LIMITS, ...init.limits }
    this.#head = head
    this.#genesisHash = genesisHash
    const blocks = new BlockStore(init.store)
    const before = head.number === 0n ? head : blocks.header(head.number - 1n)
    assert(before !== undefined, 'the block before the head is lost: the next base fee follows from its time')
    this.#elapsedMs = head.timestampMs - before.timestampMs
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
    const genesisHash = await openGenesis(init)
    const head = new BlockStore(init.store).head()
    assert(head !== undefined, 'the head of the chain is lost')
    return new Ledger(init, head, genesisHash)
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
    const executed = await executeBatch(batch, {
      state,
      vm: this.#vm,
      modules: this.modules,
      rules: this.#rules,
      parent,
      baseFee: this.nextBaseFee,
      pause: this.#pause,
      progress: (progress) => {
        this.#progress = progress
      },
    })
    const { block, transactions, receipts, hookLogs, dropped, gasUsed, consensusRoot } = executed
    const allReceipts = hookLogs.length === 0 ? receipts : [...receipts, hookReceipt(hookLogs, gasUsed)]
    this.#progress = { ...this.#progress, stage: 'root' }
    const logsBloom = new Uint8Array(BLOOM_BYTES)
    const blooms = allReceipts.map(({ logs }) => bloomOf(logs))
    for (const bloom of blooms) addBloom(logsBloom, bloom)
    const applied = this.#trie.apply(state.writeSet())
    const raws = transactions.map((tx) => tx.raw)
    const header = hashHeader({
      number: batch.number,
      parentHash: parent.hash,
      coinbase: block.coinbase,
      stateRoot: applied.root,
      transactionsRoot: indexedRoot(raws),
      receiptsRoot: indexedRoot(allReceipts.map((receipt, i) => consensusReceiptWith(receipt, blooms[i]!))),
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
    // Whoever reads meanwhile, or is called in the middle of it, finds the block before, or this one as a whole.
    await this.#store.writeAside([...applied.writes, ...past.writes, ...content, ...mark], () => {
      past.advance()
      this.#elapsedMs = batch.timestampMs - parent.timestampMs
      state.endBlock(applied.storageRoots)
      this.#head = header
    })
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

  /** Where a transaction stands, by its hash. */
  transactionPlace(hash: Uint8Array): { number: bigint; index: number } | undefined {
    return this.#rules.blocks.place(hash)
  }

  /** Receipts of a block, without its transactions; those of module hooks are behind theirs. */
  receiptsOf(header: HashedHeader): Receipt[] {
    return this.#rules.blocks.receipts(header.number)
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
   * Account and slots with their proofs against the state root of a block (EIP-1186). A node of an old state may have to
   * be looked for in a thousand blocks, so there is a pause before each slot.
   *
   * @param signal breaks it off; the promise rejects with the signal's reason
   * @throws LedgerError HISTORIC_STATE, also if the state is given up meanwhile; NO_SUCH_BLOCK
   */
  async prove(
    address: Address,
    slots: readonly bigint[],
    at?: bigint,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<AccountProof> {
    const header = this.#headerAt(at)
    // A trie of its own loads the dozen nodes it needs, and leaves that of the blocks alone.
    const trie = new StateTrie(this.#history.reader(header.number), header.stateRoot)
    const key = hexToBytes(address)
    const proof = trie.prove(key, [])
    const storageProofs: AccountProof['storageProofs'][number][] = []
    for (const slot of slots) {
      const pause = this.#executing ?? this.#pause()
      if (pause) await pause
      signal?.throwIfAborted()
      storageProofs.push(...trie.prove(key, [slot]).storageProofs)
    }
    return { ...proof, storageProofs }
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
