import { bytesToHex } from '@cumulus/bytes'
import { moduleAbis } from '@cumulus/ledger/modules'
import type { Params } from '@cumulus/params'
import { type Logger, type Metrics, sleep } from '@cumulus/service'
import type { Abi, Address, Hex, RpcLog, RpcTransactionReceipt } from 'viem'
import { type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts'
import { decodeFunctionResult, encodeFunctionData } from 'viem/utils'
import { abortable } from './abortable.ts'
import { ChainError } from './chain-error.ts'
import { decodeLog, logQuery } from './event-log.ts'
import { type Finality, HeadWatcher, headOf } from './head-watcher.ts'
import { type ChainMetrics, createChainMetrics } from './metrics.ts'
import type {
  ChainEvent,
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
import { callFailure, isHex, revertError } from './revert.ts'
import {
  type ConnectionLimits,
  defaultConnectionLimits,
  RpcConnection,
  RpcRefusal,
  resultOf,
} from './rpc-connection.ts'
import { defaultSenderLimits, Sender, type SenderLimits } from './sender.ts'

export interface ChainClientInit {
  /** JSON-RPC over HTTP. The first that answers is used until it fails. */
  readonly urls: readonly string[]
  /** 32 bytes: the account that sends. */
  readonly privateKey: Uint8Array
  readonly params: Params
  readonly log: Logger
  readonly metrics?: Metrics
  /** Ends the client: all that waits is rejected. */
  readonly signal: AbortSignal
  /** How long `connect` waits for a first answer. */
  readonly connectTimeoutMs?: number
  /** Between two looks for new blocks, while somebody follows events. Default: half a slot, at most 500 ms. */
  readonly pollMs?: number
  readonly connection?: Partial<ConnectionLimits>
  readonly sender?: Partial<SenderLimits>
}

export interface SendInit {
  /** In wei. */
  readonly value?: bigint
  /** Gas limit; estimated if absent. */
  readonly gas?: bigint
  readonly signal?: AbortSignal
}

export interface EventsInit<Module extends ModuleName, Name extends EventName<Module>> {
  /** First block looked at. Default: the next one. */
  readonly fromBlock?: bigint
  /** Resume behind this event: `fromBlock` is its block then. */
  readonly after?: { readonly blockNumber: bigint; readonly logIndex: number }
  /** Values that indexed parameters must have. */
  readonly args?: EventFilter<Module, Name>
  /** Up to where the chain is followed. Default: the latest block. */
  readonly finality?: Finality
  /** Called with each block up to which everything has been yielded: what to remember, also where nothing happens. */
  readonly onProgress?: (blockNumber: bigint) => void
  readonly signal?: AbortSignal
}

const CONNECT_TIMEOUT_MS = 60_000
/** Blocks asked for in one search; halved when a node finds it too much. */
const EVENT_RANGE_BLOCKS = 5_000n
/** Estimates are for the state of now; the transaction runs on a later one. What is not used is not paid. */
const gasWithMargin = (estimate: bigint) => (estimate * 3n) / 2n + 20_000n
/** EIP-7825. */
const TRANSACTION_GAS_MAX = 1n << 24n

/** The chain as a role sees it: reads, transactions and events of the protocol modules, typed by their ABIs. */
export class ChainClient {
  readonly account: Address
  readonly params: Params
  readonly #connection: RpcConnection
  readonly #sender: Sender
  readonly #heads: Readonly<Record<Finality, HeadWatcher>>
  readonly #log: Logger
  readonly #signal: AbortSignal

  private constructor(
    init: ChainClientInit,
    connection: RpcConnection,
    account: PrivateKeyAccount,
    metrics?: ChainMetrics,
  ) {
    const { log, signal, params } = init
    this.account = account.address
    this.params = params
    this.#connection = connection
    this.#log = log
    this.#signal = signal
    this.#sender = new Sender(
      { connection, account, chainId: params.chainId, log, metrics, signal },
      { ...defaultSenderLimits, ...init.sender },
    )
    const polling = { log, signal, pollMs: init.pollMs ?? Math.min(500, params.slotMs / 2) }
    this.#heads = {
      latest: new HeadWatcher(connection, polling),
      finalized: new HeadWatcher(connection, { ...polling, finality: 'finalized' }),
    }
  }

  /**
   * Waits until a node answers, and checks that it is on the right chain.
   *
   * @throws ChainError UNREACHABLE, WRONG_CHAIN
   */
  static async connect(init: ChainClientInit): Promise<ChainClient> {
    const { urls, log, signal, params } = init
    const metrics = init.metrics && createChainMetrics(init.metrics)
    const account = privateKeyToAccount(bytesToHex(init.privateKey))
    const connection = new RpcConnection(
      { urls, log, metrics, signal },
      { ...defaultConnectionLimits, ...init.connection },
    )
    const giveUpAtMs = performance.now() + (init.connectTimeoutMs ?? CONNECT_TIMEOUT_MS)
    for (;;) {
      try {
        const chainId = Number(await connection.request('eth_chainId', []))
        if (chainId === params.chainId) return new ChainClient(init, connection, account, metrics)
        throw new ChainError(
          'WRONG_CHAIN',
          `the node is on chain ${chainId}, not on ${params.chainId} (${params.name})`,
          {
            details: { chainId, expected: params.chainId },
          },
        )
      } catch (error) {
        const isDown = error instanceof ChainError && error.code === 'UNREACHABLE'
        if (!isDown || performance.now() > giveUpAtMs) throw error
        await sleep(200, signal)
      }
    }
  }

  /** Transactions handed to a node and not yet in the chain. */
  get inFlight(): number {
    return this.#sender.inFlight
  }

  /** @throws ChainError UNREACHABLE */
  async blockNumber(finality: Finality = 'latest'): Promise<bigint> {
    return await headOf(this.#connection, finality)
  }

  /**
   * A chain block by its number: what of it is signed, stamped and hashed elsewhere.
   *
   * @returns undefined if there is none yet
   * @throws ChainError UNREACHABLE
   */
  async block(number: bigint): Promise<{ readonly hash: Hex; readonly timestampSeconds: bigint } | undefined> {
    const block = (await this.#connection.request('eth_getBlockByNumber', [hexOf(number), false])) as {
      hash: Hex
      timestamp: Hex
    } | null
    return block ? { hash: block.hash, timestampSeconds: BigInt(block.timestamp) } : undefined
  }

  /**
   * What a transaction called with.
   *
   * @throws ChainError UNREACHABLE
   */
  async calldata(hash: Hex): Promise<{ readonly from: Address; readonly to: Address; readonly data: Hex } | undefined> {
    const transaction = (await this.#connection.request('eth_getTransactionByHash', [hash])) as {
      from: Address
      to: Address
      input: Hex
    } | null
    return transaction ? { from: transaction.from, to: transaction.to, data: transaction.input } : undefined
  }

  /**
   * Balance in wei; of the own account if none is given.
   *
   * @throws ChainError UNREACHABLE
   */
  async balanceOf(account: Address = this.account): Promise<bigint> {
    return BigInt((await this.#connection.request('eth_getBalance', [account, 'latest'])) as string)
  }

  /** The height, as soon as it is `number` or above. Waits through outages until the signal aborts. */
  async reached(number: bigint, { signal }: { signal?: AbortSignal } = {}): Promise<bigint> {
    return await this.#heads.latest.above(number - 1n, this.#either(signal))
  }

  /**
   * Calls a view function of a module on the latest state, or the certified one. Reads made in the same turn share one HTTP request, so
   * `Promise.all` of many is the way to read many.
   *
   * @throws ChainError REVERTED, UNREACHABLE
   */
  async read<
    Module extends ModuleName,
    Name extends ReadName<Module>,
    const Args extends ReadArgs<Module, Name> = ReadArgs<Module, Name>,
  >(
    module: Module,
    name: Name,
    args: Args,
    { signal, finality = 'latest' }: { signal?: AbortSignal; finality?: Finality } = {},
  ): Promise<ReadResult<Module, Name, Args>> {
    const { address } = moduleAbis[module]
    const abi = moduleAbis[module].abi as Abi
    const data = encodeFunctionData({ abi, functionName: name as string, args: args as readonly unknown[] })
    const call = [{ from: this.account, to: address, data }, finality]
    const result = await this.#ask(`${module}.${name}`, 'eth_call', call, signal)
    return decodeFunctionResult({ abi, functionName: name as string, data: result as Hex }) as ReadResult<
      Module,
      Name,
      Args
    >
  }

  /**
   * Sends a transaction to a module and waits until it is in the chain. If it throws a ChainError, the call did not
   * happen and never will: calling again is safe. If `signal` aborts, it may still happen.
   *
   * @throws ChainError REVERTED, INSUFFICIENT_FUNDS, REFUSED, BUSY, UNREACHABLE, LOST
   */
  async send<Module extends ModuleName, Name extends SendName<Module>>(
    module: Module,
    name: Name,
    args: SendArgs<Module, Name>,
    init: SendInit = {},
  ): Promise<SendResult> {
    const { address } = moduleAbis[module]
    const abi = moduleAbis[module].abi as Abi
    const data = encodeFunctionData({ abi, functionName: name as string, args: args as readonly unknown[] })
    const receipt = await this.#transact(`${module}.${name}`, address, data, init)
    return {
      transactionHash: receipt.transactionHash,
      blockNumber: BigInt(receipt.blockNumber),
      gasUsed: BigInt(receipt.gasUsed),
      events: receipt.logs.map((log) => decodeLog(log as RpcLog)).filter((event) => event !== undefined),
    }
  }

  /**
   * Sends tokens.
   *
   * @throws ChainError as `send`
   */
  async transfer(to: Address, value: bigint, { signal }: { signal?: AbortSignal } = {}): Promise<SendResult> {
    const receipt = await this.#transact('transfer', to, '0x', { value, signal })
    const { transactionHash, blockNumber, gasUsed } = receipt
    return { transactionHash, blockNumber: BigInt(blockNumber), gasUsed: BigInt(gasUsed), events: [] }
  }

  /**
   * Follows an event, or several of a module, for ever, in order, each one exactly once, through outages, fail-over and restarts of nodes. Memory is
   * bounded: the next blocks are asked for when the last ones have been taken.
   */
  async *events<Module extends ModuleName, Name extends EventName<Module>>(
    module: Module,
    name: Name | readonly Name[],
    init: EventsInit<Module, Name> = {},
  ): AsyncGenerator<ChainEvent<Module, Name>, void, undefined> {
    const signal = this.#either(init.signal)
    const query = logQuery(module, name, init.args)
    const heads = this.#heads[init.finality ?? 'latest']
    const { after } = init
    const first = after?.blockNumber ?? init.fromBlock
    let next: bigint = first ?? (await heads.above(-1n, signal)) + 1n
    for (let range = EVENT_RANGE_BLOCKS; ; ) {
      const head = await heads.above(next - 1n, signal)
      const last = next + range - 1n
      const to = last < head ? last : head
      const found = await abortable(this.#search(query, next, to), signal)
      if (found === 'behind') {
        await sleep(200, signal)
        continue
      }
      if (found === 'too much') {
        if (range === 1n) throw new ChainError('REFUSED', `block ${next} has more events than a node answers`)
        range = range / 4n + 1n
        continue
      }
      for (const log of found) {
        const event = decodeLog(log)
        if (!event) continue
        const isOld = after && event.blockNumber === after.blockNumber && event.logIndex <= after.logIndex
        if (!isOld) yield event as unknown as ChainEvent<Module, Name>
      }
      init.onProgress?.(to)
      next = to + 1n
      // Where it was too much, it may not be for long.
      if (range < EVENT_RANGE_BLOCKS) range = range * 2n < EVENT_RANGE_BLOCKS ? range * 2n : EVENT_RANGE_BLOCKS
    }
  }

  /** Logs of a range, from a node that has all of it: one that lags would leave out what it does not know. */
  async #search(
    query: { address: string; topics: unknown },
    from: bigint,
    to: bigint,
  ): Promise<RpcLog[] | 'behind' | 'too much'> {
    const range = { fromBlock: hexOf(from), toBlock: hexOf(to) }
    try {
      const [height, logs] = await this.#connection.batch([
        { method: 'eth_blockNumber', params: [] },
        { method: 'eth_getLogs', params: [{ ...query, ...range }] },
      ])
      if (BigInt(resultOf(height!) as string) < to) return 'behind'
      return resultOf(logs!) as RpcLog[]
    } catch (error) {
      if (error instanceof RpcRefusal) {
        if (error.number === LIMIT_EXCEEDED || /range|more than|too many/i.test(error.message)) return 'too much'
        this.#log.warn('events refused', { error })
        return 'behind'
      }
      this.#signal.throwIfAborted()
      if (error instanceof ChainError) return 'behind'
      throw error
    }
  }

  async #transact(what: string, to: Address, data: Hex, init: SendInit): Promise<RpcTransactionReceipt> {
    const { value = 0n } = init
    const signal = this.#either(init.signal)
    let gas = init.gas
    if (gas === undefined) {
      const call = [{ from: this.account, to, data, value: hexOf(value) }, 'latest']
      gas = capped(gasWithMargin(BigInt((await this.#ask(what, 'eth_estimateGas', call, signal)) as string)))
    }
    for (;;) {
      const receipt = await this.#sender.send({ to, data, value, gas }, signal)
      if (receipt.status === '0x1') return receipt
      // The state has moved on since the estimate: a failed transaction did nothing, so it may be tried with more.
      const isOutOfGas = BigInt(receipt.gasUsed) >= (gas * 63n) / 64n
      if (isOutOfGas && init.gas === undefined && gas < TRANSACTION_GAS_MAX) {
        gas = capped(gas * 4n)
        continue
      }
      throw await this.#whyReverted(what, { to, data, value: hexOf(value) }, receipt)
    }
  }

  /**
   * Receipts do not say why. A node that traces runs the transaction once more where it stood; of another one the same call is asked
   * on the state of now, which may have another reason to refuse it, or none.
   */
  async #whyReverted(
    what: string,
    call: { to: Address; data: Hex; value: Hex },
    receipt: RpcTransactionReceipt,
  ): Promise<ChainError> {
    const { transactionHash } = receipt
    const kept = (receipt as { revertReason?: unknown }).revertReason
    if (isHex(kept)) return revertError(kept, what, { transactionHash })
    try {
      const tracer = { tracer: 'callTracer', tracerConfig: { onlyTopCall: true } }
      const trace = await this.#connection.request('debug_traceTransaction', [transactionHash, tracer])
      const { output = '0x' } = trace as { output?: unknown }
      if (isHex(output)) return revertError(output, what, { transactionHash })
    } catch {} // it does not trace, or no more
    try {
      await this.#connection.request('eth_call', [{ from: this.account, ...call }, 'latest'])
    } catch (error) {
      if (error instanceof RpcRefusal && isHex(error.data)) return revertError(error.data, what, { transactionHash })
    }
    return revertError('0x', what, { transactionHash })
  }

  async #ask(what: string, method: string, params: readonly unknown[], signal?: AbortSignal): Promise<unknown> {
    try {
      return await abortable(this.#connection.request(method, params), signal)
    } catch (error) {
      if (error instanceof RpcRefusal) throw callFailure(error, what)
      throw error
    }
  }

  #either(signal: AbortSignal | undefined): AbortSignal {
    return signal ? AbortSignal.any([this.#signal, signal]) : this.#signal
  }
}

/** EIP-1474. */
const LIMIT_EXCEEDED = -32005

function hexOf(value: bigint): Hex {
  return `0x${value.toString(16)}`
}

function capped(gas: bigint): bigint {
  return gas < TRANSACTION_GAS_MAX ? gas : TRANSACTION_GAS_MAX
}
