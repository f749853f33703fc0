import assert from 'node:assert/strict'
import { concatBytes, DecodeError, equalBytes, hexToBytes, utf8Encode } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import type { Params } from '@cumulus/params'
import type { Address } from '@cumulus/types'
import type { BlockContext, ModuleRegistry } from '../framework/index.ts'
import { LedgerError, LedgerHalt } from '../ledger-error.ts'
import { type Account, decodeAccount, EMPTY_ACCOUNT, EMPTY_CODE_HASH } from '../state/account.ts'
import { JournaledState, type StateLimits, slotKey } from '../state/journaled-state.ts'
import { type LedgerStore, type LedgerWrite, plainStore } from '../state/ledger-store.ts'
import { bytesToInteger, decodeRlp, encodeRlp } from '../trie/rlp.ts'
import { type AccountProof, StateTrie } from '../trie/state-trie.ts'
import { EMPTY_ROOT } from '../trie/trie.ts'
import { EthereumVm } from '../vm/ethereum-vm.ts'
import type { Log, VmBlock } from '../vm/vm.ts'
import { nextBaseFee } from './base-fee.ts'
import { addBloom, BLOOM_BYTES, bloomOf, mayContain } from './bloom.ts'
import {
  type DropCode,
  executeTransaction,
  intrinsicGas,
  judgeTransaction,
  min,
  type Runnable,
  runMessage,
  TRANSACTION_GAS_MAX,
} from './execute-transaction.ts'
import { requireSameBlock } from './follow.ts'
import { buildGenesis, DEFAULT_BASE_FEE, GENESIS_PARENT, type Genesis, genesisDigest } from './genesis.ts'
import {
  type BlockHeader,
  decodeHeader,
  encodeHeader,
  type HashedHeader,
  hashHeader,
  NO_CONSENSUS_ROOT,
} from './header.ts'
import { consensusReceipt, decodeReceipts, encodeReceipts, indexedRoot, type Receipt } from './receipt.ts'
import { type AccessListItem, decodeTransaction, type Transaction } from './transaction.ts'

/** What the ledger needs of the protocol modules. */
export type LedgerModules = Pick<ModuleRegistry, 'addresses' | 'has' | 'genesis' | 'dispatch' | 'onBlock'>

export interface LedgerInit {
  readonly params: Params
  readonly genesis: Genesis
  readonly store: LedgerStore
  readonly modules: LedgerModules
  readonly limits?: LedgerLimits
}

export interface LedgerLimits {
  readonly state?: Partial<StateLimits>
  /** Trie nodes kept in memory, about 300 B each. */
  readonly trieNodes?: number
  /** Blocks that one log query may span. */
  readonly logBlocks?: number
  /** Logs that one query may return. */
  readonly logResults?: number
  /** Calls and estimates that may wait for their turn. */
  readonly waitingCalls?: number
}

const DEFAULT_LIMITS = { trieNodes: 100_000, logBlocks: 10_000, logResults: 10_000, waitingCalls: 1_024 }

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

export interface StoredBlock {
  readonly header: HashedHeader
  readonly transactions: readonly Transaction[]
  readonly receipts: readonly Receipt[]
}

/** Where a transaction stands. */
export interface TransactionPlace {
  readonly transaction: Transaction
  readonly receipt: Receipt
  readonly header: HashedHeader
  readonly index: number
  /** Position of its first log among all of the block. */
  readonly firstLogIndex: number
}

/** A log with its place in the chain. */
export interface PlacedLog extends Log {
  readonly blockNumber: bigint
  readonly blockHash: Uint8Array
  readonly timestamp: bigint
  /** For logs of module hooks: `hookTransactionHash` of the block. */
  readonly transactionHash: Uint8Array
  readonly transactionIndex: number
  readonly logIndex: number
}

export interface LogFilter {
  readonly fromBlock: bigint
  readonly toBlock: bigint
  /** Any of them; all if empty or absent. */
  readonly addresses?: readonly Address[]
  /** By position: any of the topics there, or whatever where undefined. */
  readonly topics?: readonly (readonly Uint8Array[] | undefined)[]
}

export interface CallRequest {
  readonly from?: Address
  readonly to?: Address
  readonly value?: bigint
  readonly data?: Uint8Array
  /** Undefined: as much as a block has. */
  readonly gas?: bigint
  readonly gasPrice?: bigint
  readonly accessList?: readonly AccessListItem[]
}

export interface CallResult {
  readonly ok: boolean
  readonly error: string | undefined
  /** Return data, or revert data. */
  readonly output: Uint8Array
  readonly gasUsed: bigint
  readonly logs: readonly Log[]
}

const ZERO_ADDRESS: Address = '0x0000000000000000000000000000000000000000'
const HEAD = utf8Encode('head')
const GENESIS = utf8Encode('genesis')
const MARK = utf8Encode('mark')

/** EIP-2718 type of the receipt that holds the logs of module hooks, behind those of the transactions. Not Ethereum's. */
export const HOOK_RECEIPT_TYPE = 0x7f

/** Stands in for a transaction hash where a log comes from a module hook. */
export function hookTransactionHash(blockNumber: bigint): Uint8Array {
  return keccak256(concatBytes(utf8Encode('cumulus/hook/1'), u64Key(blockNumber)))
}

/**
 * The chain: takes decided batches, executes them, keeps blocks and state. It knows neither who orders nor what time it
 * is. One block is one atomic write, so whatever kills the process, the store holds whole blocks only.
 */
export class Ledger {
  readonly params: Params
  readonly modules: LedgerModules
  readonly #store: LedgerStore
  readonly #limits: typeof DEFAULT_LIMITS
  readonly #genesisMs: number
  readonly #state: JournaledState
  readonly #trie: StateTrie
  readonly #vm: EthereumVm
  #head: HashedHeader
  #genesisHash: Uint8Array
  #halted: LedgerHalt | undefined
  /** Ends when everything asked for so far is done: blocks and calls share the state, one at a time. */
  #turn: Promise<unknown> = Promise.resolve()
  #waitingCalls = 0

  private constructor(init: LedgerInit, head: HashedHeader, genesisHash: Uint8Array) {
    this.params = init.params
    this.modules = init.modules
    this.#store = init.store
    this.#limits = { ...DEFAULT_LIMITS, ...init.limits }
    this.#genesisMs = init.genesis.timestampMs
    this.#head = head
    this.#genesisHash = genesisHash
    this.#state = new JournaledState(init.store, init.limits?.state)
    this.#trie = new StateTrie(init.store, head.stateRoot, this.#limits.trieNodes)
    const host = {
      has: (address: Address) => init.modules.has(address),
      dispatch: (message: Parameters<ModuleRegistry['dispatch']>[0], block: BlockContext) =>
        init.modules.dispatch(message, this.#state, block),
    }
    this.#vm = new EthereumVm(this.#state, host, init.params.chainId)
  }

  /**
   * Opens the chain in `store`, or begins it there.
   *
   * @throws LedgerError OTHER_GENESIS if the store holds a chain that began otherwise; BAD_GENESIS
   */
  static async open(given: LedgerInit): Promise<Ledger> {
    const init = { ...given, store: plainStore(given.store) }
    const genesis = makeGenesis(init)
    const stored = init.store.get('meta', GENESIS)?.slice()
    if (stored === undefined) init.store.write(genesis.writes)
    else if (!equalBytes(stored, genesis.header.hash)) {
      throw new LedgerError('OTHER_GENESIS', 'the store holds a chain with another genesis', {
        stored: stored.toHex(),
        expected: genesis.header.hash.toHex(),
      })
    }
    const headKey = init.store.get('meta', HEAD)?.slice()
    const header = headKey && init.store.get('header', headKey)
    assert(header !== undefined, 'the head of the chain is lost')
    return new Ledger(init, decodeHeader(header), genesis.header.hash)
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
    return this.#store.get('meta', MARK)?.slice()
  }

  /** Base fee of the next block. */
  get nextBaseFee(): bigint {
    return nextBaseFee(this.#head)
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
      try {
        return await this.#execute(batch)
      } catch (cause) {
        this.#halted = cause instanceof LedgerHalt ? cause : new LedgerHalt(`block ${batch.number} failed`, cause)
        throw this.#halted
      }
    })
  }

  async #execute(batch: DecidedBatch): Promise<ExecutedBlock> {
    const parent = this.#head
    const state = this.#state
    const block = this.#vmBlock({
      number: batch.number,
      timestampMs: batch.timestampMs,
      prevRandao: batch.prevRandao.slice(),
      coinbase: batch.coinbase.toLowerCase() as Address,
      baseFee: nextBaseFee(parent),
    })
    const transactions: Transaction[] = []
    const receipts: Receipt[] = []
    const dropped: DroppedTransaction[] = []
    let gasUsed = 0n
    let burnt = 0n
    for (const [index, item] of batch.transactions.entries()) {
      const tx = item instanceof Uint8Array ? decodeOrUndefined(item) : item
      const code = tx === undefined ? 'MALFORMED' : judgeTransaction(tx, state, block, block.gasLimit - gasUsed)
      if (tx === undefined || code !== undefined) {
        dropped.push({ index, hash: tx?.hash, code: code ?? 'MALFORMED' })
        continue
      }
      const { receipt, burnt: burntByTx } = await executeTransaction(tx, state, this.#vm, block, gasUsed)
      gasUsed = receipt.cumulativeGasUsed
      burnt += burntByTx
      transactions.push(tx)
      receipts.push(receipt)
    }

    const hookLogs = this.modules.onBlock(state, block, { coinbase: block.coinbase, burnt })
    const allReceipts = hookLogs.length === 0 ? receipts : [...receipts, hookReceipt(hookLogs, gasUsed)]
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
      consensusRoot: batch.consensusRoot?.slice() ?? NO_CONSENSUS_ROOT,
    })
    requireSameBlock(batch.expected, header)
    const mark: LedgerWrite[] = batch.mark ? [{ table: 'meta', key: MARK, value: batch.mark.slice() }] : []
    this.#store.write([...applied.writes, ...blockWrites(header, transactions, allReceipts), ...mark])
    state.endBlock(applied.storageRoots)
    this.#head = header
    return { header, transactions, receipts, hookLogs, dropped }
  }

  /** Header by number or hash. */
  header(at: bigint | Uint8Array): HashedHeader | undefined {
    const key = this.#blockKey(at)
    const rlp = key && this.#store.get('header', key)
    return rlp && decodeHeader(rlp)
  }

  /** Block with transactions and receipts, by number or hash. */
  block(at: bigint | Uint8Array): StoredBlock | undefined {
    const header = this.header(at)
    return header && { header, ...this.#content(header.number) }
  }

  /** A transaction of the chain by its hash. */
  transaction(hash: Uint8Array): TransactionPlace | undefined {
    const place = this.#store.get('transaction', hash)
    if (place === undefined) return undefined
    const view = new DataView(place.buffer, place.byteOffset, place.byteLength)
    const [number, index] = [view.getBigUint64(0), view.getUint32(8)]
    const { transactions, receipts } = this.#content(number)
    const firstLogIndex = receipts.slice(0, index).reduce((count, { logs }) => count + logs.length, 0)
    return {
      transaction: transactions[index]!,
      receipt: receipts[index]!,
      header: this.header(number)!,
      index,
      firstLogIndex,
    }
  }

  /**
   * Logs in chain order. Blocks whose bloom speaks against it are skipped unread.
   *
   * @throws LedgerError TOO_MUCH
   */
  logs(filter: LogFilter): PlacedLog[] {
    const toBlock = min(filter.toBlock, this.#head.number)
    const { logBlocks, logResults } = this.#limits
    if (toBlock - filter.fromBlock >= BigInt(logBlocks)) {
      throw new LedgerError('TOO_MUCH', `a query spans at most ${logBlocks} blocks`, { limit: logBlocks })
    }
    const addresses = new Set(filter.addresses?.map((address) => address.toLowerCase()))
    const alternatives = [
      [...addresses].map((address) => hexToBytes(address)),
      ...(filter.topics ?? []).map((topics) => topics ?? []),
    ].filter((items) => items.length > 0)
    const found: PlacedLog[] = []
    for (let number = filter.fromBlock; number <= toBlock; number++) {
      const header = this.header(number)
      assert(header !== undefined, `block ${number} is lost`)
      if (!alternatives.every((items) => items.some((item) => mayContain(header.logsBloom, item)))) continue
      for (const log of this.logsOf(header)) {
        if (addresses.size > 0 && !addresses.has(log.address)) continue
        if (!(filter.topics ?? []).every((any, i) => matches(log.topics[i], any))) continue
        if (found.length === logResults) {
          throw new LedgerError('TOO_MUCH', `a query returns at most ${logResults} logs`, { limit: logResults })
        }
        found.push(log)
      }
    }
    return found
  }

  /** All logs of a block. */
  logsOf(header: HashedHeader): PlacedLog[] {
    const { transactions, receipts } = this.#content(header.number)
    let logIndex = 0
    return receipts.flatMap(({ logs }, transactionIndex) => {
      const transactionHash = transactions[transactionIndex]?.hash ?? hookTransactionHash(header.number)
      return logs.map((log) => ({
        ...log,
        blockNumber: header.number,
        blockHash: header.hash,
        timestamp: header.timestamp,
        transactionHash,
        transactionIndex,
        logIndex: logIndex++,
      }))
    })
  }

  /**
   * An account as of a block. These four read what is stored, never a block half done.
   *
   * @param at block number; the head if absent
   * @throws LedgerError HISTORIC_STATE, NO_SUCH_BLOCK
   */
  account(address: Address, at?: bigint): Account {
    this.#requireLatest(at)
    const rlp = this.#store.get('account', hexToBytes(address))
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
    this.#requireLatest(at)
    const value = this.#store.get('slot', slotKey(hexToBytes(address), slot))
    return value ? bytesToInteger(value) : 0n
  }

  /** Account and slots with their proofs against the state root of the head (EIP-1186). */
  prove(address: Address, slots: readonly bigint[], at?: bigint): Promise<AccountProof> {
    return this.#inTurn(async () => {
      this.#requireLatest(at)
      return this.#trie.prove(hexToBytes(address), slots)
    })
  }

  /**
   * Executes a message on the state of the head and forgets it. Nobody pays.
   *
   * @throws LedgerError HISTORIC_STATE, NO_SUCH_BLOCK, BUSY
   * @throws LedgerHalt if a module throws what is no revert; the ledger itself goes on, for nothing was decided
   */
  call(request: CallRequest, at?: bigint): Promise<CallResult> {
    return this.#trial(async () => {
      this.#requireLatest(at)
      return this.#try(request, request.gas ?? this.params.blockGasLimit)
    })
  }

  /**
   * Least gas limit with which the message succeeds on the state of the head, to 1.5 %; or why it fails with the most
   * there is.
   *
   * @throws LedgerError BUSY
   */
  estimateGas(request: CallRequest): Promise<CallResult> {
    return this.#trial(async () => {
      const ceiling = min(request.gas ?? TRANSACTION_GAS_MAX, min(TRANSACTION_GAS_MAX, this.params.blockGasLimit))
      const most = await this.#try(request, ceiling)
      if (!most.ok) return most
      // Gas that is given back at the end must be there in between: what was used is often too little.
      let low = most.gasUsed - 1n
      let high = ceiling
      for (let guess = most.gasUsed; low + 1n < high; guess = (low + high) >> 1n) {
        if ((await this.#try(request, guess)).ok) high = guess
        else low = guess
        if ((high - low) * 1000n < high * 15n) break
        // The first probes stay close to what was used: 63/64 rule and stipends need little more.
        if (high === ceiling && low < most.gasUsed * 2n) {
          const near = (low * 65n) / 64n + 2_300n
          if (near < high && (await this.#try(request, near)).ok) high = near
          else if (near < high) low = near
        }
      }
      return { ...most, gasUsed: high }
    })
  }

  async #try(request: CallRequest, gasLimit: bigint): Promise<CallResult> {
    const state = this.#state
    const head = this.#head
    const sender = (request.from ?? ZERO_ADDRESS).toLowerCase() as Address
    const runnable: Runnable = {
      to: request.to?.toLowerCase() as Address | undefined,
      value: request.value ?? 0n,
      data: request.data ?? new Uint8Array(0),
      gasLimit,
      accessList: request.accessList ?? [],
      authorizations: [],
    }
    const { intrinsic, floor } = intrinsicGas(runnable)
    if (gasLimit < intrinsic || gasLimit < floor) {
      return { ok: false, error: 'out of gas', output: new Uint8Array(0), gasUsed: gasLimit, logs: [] }
    }
    const block = this.#vmBlock(head)
    state.beginTransaction()
    state.checkpoint()
    try {
      state.setNonce(sender, state.getNonce(sender) + 1n)
      const { gasUsed, result } = await runMessage(runnable, sender, request.gasPrice ?? 0n, state, this.#vm, block)
      return { ok: result.ok, error: result.error, output: result.output, gasUsed, logs: result.logs }
    } finally {
      state.endTrial()
    }
  }

  #trial<T>(work: () => Promise<T>): Promise<T> {
    if (this.#waitingCalls >= this.#limits.waitingCalls) {
      return Promise.reject(new LedgerError('BUSY', 'too many calls are waiting', { limit: this.#limits.waitingCalls }))
    }
    this.#waitingCalls++
    return this.#inTurn(work).finally(() => {
      this.#waitingCalls--
    })
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(() => {
      if (this.#halted) throw this.#halted
      return work()
    })
    this.#turn = result.catch(() => {})
    return result
  }

  #vmBlock(block: Pick<BlockHeader, 'number' | 'timestampMs' | 'prevRandao' | 'coinbase' | 'baseFee'>): VmBlock {
    return {
      ...blockContext(this.params, this.#genesisMs, block),
      coinbase: block.coinbase,
      gasLimit: this.params.blockGasLimit,
      baseFee: block.baseFee,
      blockHash: (number) => this.header(number)?.hash ?? new Uint8Array(32),
    }
  }

  #requireLatest(at: bigint | undefined): void {
    if (at === undefined || at === this.#head.number) return
    const header = this.header(at)
    if (header === undefined) throw new LedgerError('NO_SUCH_BLOCK', `there is no block ${at}`, { number: at })
    if (equalBytes(header.stateRoot, this.#head.stateRoot)) return
    throw new LedgerError('HISTORIC_STATE', `the state of block ${at} is no longer kept`, {
      number: at,
      head: this.#head.number,
    })
  }

  #blockKey(at: bigint | Uint8Array): Uint8Array | undefined {
    if (at instanceof Uint8Array) return this.#store.get('number', at)?.slice()
    return at >= 0n && at <= this.#head.number ? u64Key(at) : undefined
  }

  #content(number: bigint): { transactions: Transaction[]; receipts: Receipt[] } {
    const key = u64Key(number)
    const [body, stored] = [this.#store.get('body', key)?.slice(), this.#store.get('receipts', key)?.slice()]
    assert(body !== undefined && stored !== undefined, `block ${number} is lost`)
    const receipts = decodeReceipts(stored)
    const transactions = (decodeRlp(body) as Uint8Array[]).map((raw, i) => decodeTransaction(raw, receipts[i]!.sender))
    return { transactions, receipts }
  }
}

/** Block 0 and everything it writes. Deterministic: the same for everybody with the same parameters and allocation. */
function makeGenesis(init: LedgerInit): { header: HashedHeader; writes: LedgerWrite[] } {
  const { params, genesis, modules } = init
  if (!Number.isSafeInteger(genesis.timestampMs) || genesis.timestampMs < 0) {
    throw new LedgerError('BAD_GENESIS', `${genesis.timestampMs} is no time in ms`)
  }
  const nowhere: LedgerStore = { get: () => undefined, write() {} }
  const state = new JournaledState(nowhere)
  const prevRandao = genesisDigest(params, genesis)
  const start = { number: 0n, timestampMs: genesis.timestampMs, prevRandao }
  buildGenesis(state, genesis, modules, blockContext(params, genesis.timestampMs, start))
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
  const meta: LedgerWrite = { table: 'meta', key: GENESIS, value: header.hash }
  return { header, writes: [...applied.writes, ...blockWrites(header, [], []), meta] }
}

function blockWrites(header: HashedHeader, transactions: readonly Transaction[], receipts: readonly Receipt[]) {
  const key = u64Key(header.number)
  const writes: LedgerWrite[] = [
    { table: 'header', key, value: encodeHeader(header) },
    { table: 'body', key, value: encodeRlp(transactions.map((tx) => tx.raw)) },
    { table: 'receipts', key, value: encodeReceipts(receipts) },
    { table: 'number', key: header.hash, value: key },
    { table: 'meta', key: HEAD, value: key },
  ]
  transactions.forEach((tx, index) => {
    const place = new Uint8Array(12)
    place.set(key)
    new DataView(place.buffer).setUint32(8, index)
    writes.push({ table: 'transaction', key: tx.hash, value: place })
  })
  return writes
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

/** Epochs and eras are counted from genesis, by consensus time alone. */
function blockContext(
  params: Params,
  genesisMs: number,
  block: Pick<BlockHeader, 'number' | 'timestampMs' | 'prevRandao'>,
): BlockContext {
  const epoch = Math.floor((block.timestampMs - genesisMs) / (params.slotMs * params.slotsPerEpoch))
  return {
    number: block.number,
    timestamp: BigInt(Math.floor(block.timestampMs / 1000)),
    prevRandao: block.prevRandao,
    chainId: params.chainId,
    params,
    epoch,
    era: Math.floor(epoch / params.epochsPerEra),
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

function matches(topic: Uint8Array | undefined, any: readonly Uint8Array[] | undefined): boolean {
  if (any === undefined || any.length === 0) return true
  return topic !== undefined && any.some((wanted) => equalBytes(wanted, topic))
}

function u64Key(value: bigint): Uint8Array {
  const key = new Uint8Array(8)
  new DataView(key.buffer).setBigUint64(0, value)
  return key
}
