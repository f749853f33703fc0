import type { Logger } from '@cumulus/service'
import { CallQueue } from '../call-queue.ts'
import type { ChainView, Hash, StateView, ViewBlock, ViewHeader } from '../chain-view.ts'
import { type BlockReference, blockReference, type Decoder, optional } from '../decode.ts'
import type { Filters } from '../filters.ts'
import type { RpcLimits } from '../limits.ts'
import { overLimit, RpcError } from '../rpc-error.ts'
import { Turns } from '../turns.ts'

/** A block parameter that may be left out. */
export const latest: Decoder<BlockReference> = (value, name) => optional(blockReference)(value, name) ?? 'latest'

/** What all methods share: the chain, the limits, and how a block parameter is understood. */
export class MethodContext {
  readonly chain: ChainView
  readonly limits: RpcLimits
  readonly filters: Filters
  /** Whatever executes contract code waits here for its turn. */
  readonly calls: CallQueue
  /** Whatever looks at many blocks. */
  readonly searches: CallQueue
  readonly traces: CallQueue
  /** Wall clock. */
  readonly nowMs: () => number
  readonly log: Logger | undefined
  #waits = 0

  constructor(
    chain: ChainView,
    limits: RpcLimits,
    filters: Filters,
    { log, nowMs = Date.now }: { log?: Logger; nowMs?: () => number } = {},
  ) {
    this.nowMs = nowMs
    this.log = log
    this.chain = chain
    this.limits = limits
    this.filters = filters
    this.calls = new CallQueue({
      limit: 'calls',
      atOnceMax: limits.callsAtOnceMax,
      waitingMax: limits.callsWaitingMax,
    })
    this.searches = new CallQueue({
      limit: 'searches',
      atOnceMax: limits.searchesAtOnceMax,
      waitingMax: limits.searchesWaitingMax,
    })
    this.traces = new CallQueue({ limit: 'traces', atOnceMax: 1, waitingMax: limits.tracesWaitingMax })
  }

  /** Undefined if there is no such block (yet). */
  numberOf(reference: BlockReference): bigint | undefined {
    const head = this.chain.head().number
    if (typeof reference === 'bigint') return reference <= head ? reference : undefined
    if (typeof reference === 'object') return this.chain.numberOf(reference.hash)
    if (reference === 'earliest') return 0n
    return reference === 'safe' || reference === 'finalized' ? this.chain.finalizedNumber() : head
  }

  blockAt(reference: BlockReference): ViewBlock | undefined {
    if (reference === 'latest' || reference === 'pending') return this.chain.head()
    const number = this.numberOf(reference)
    return number === undefined ? undefined : this.chain.block(number)
  }

  headerAt(reference: BlockReference): ViewHeader | undefined {
    const number = this.numberOf(reference)
    return number === undefined ? undefined : this.chain.header(number)
  }

  blockOf(hash: Hash): ViewBlock | undefined {
    return this.blockAt({ hash })
  }

  /** @throws RpcError NOT_FOUND */
  requireHeader(reference: BlockReference): ViewHeader {
    const header = this.headerAt(reference)
    if (!header) throw new RpcError('NOT_FOUND', 'header not found: there is no such block (yet)')
    return header
  }

  /** @throws RpcError NOT_FOUND */
  requireBlock(reference: BlockReference): ViewBlock {
    const block = this.blockAt(reference)
    if (!block) throw new RpcError('NOT_FOUND', 'header not found: there is no such block (yet)')
    return block
  }

  /** @throws RpcError NOT_FOUND, REFUSED */
  stateAt(reference: BlockReference): StateView {
    const number = this.numberOf(reference)
    if (number === undefined) throw new RpcError('NOT_FOUND', 'header not found: there is no such block (yet)')
    // A tag means the state at the time of the answer; a number or a hash means that block and no other.
    const isLatest = typeof reference === 'string' && reference !== 'earliest' && number === this.chain.head().number
    const state = this.chain.state(isLatest ? 'latest' : number)
    if (!state) {
      throw new RpcError(
        'REFUSED',
        `state of block ${number} is not kept any more; the head is ${this.chain.head().number}`,
      )
    }
    return state
  }

  /**
   * Executes contract code, when its turn comes, for as long as it may.
   *
   * @param signal of the asker
   * @throws RpcError LIMIT_EXCEEDED
   */
  execute<Value>(work: (signal: AbortSignal) => Promise<Value>, signal: AbortSignal): Promise<Value> {
    return this.calls.run(() => withinTime(work, this.limits.callMsMax, signal), signal)
  }

  /**
   * Looks at many blocks, when its turn comes, step by step, for as long as it may.
   *
   * @param signal of the asker
   * @throws RpcError LIMIT_EXCEEDED
   */
  search<Value>(work: (turns: Turns) => Promise<Value>, signal: AbortSignal): Promise<Value> {
    return this.searches.run(() => work(this.turns(signal)), signal)
  }

  turns(signal: AbortSignal): Turns {
    const advice = 'ask for less at a time'
    return new Turns({ limit: 'search_time', msMax: this.limits.searchMsMax, advice, signal })
  }

  /** `execute`, watched: much slower, so one at a time, with more time. */
  trace<Value>(work: (signal: AbortSignal) => Promise<Value>, signal: AbortSignal): Promise<Value> {
    return this.traces.run(() => withinTime(work, this.limits.traceMsMax, signal), signal)
  }

  /** Asks `look` now and after each block, until it finds something; null after `ms`. */
  async nextBlocks<Value>(look: () => Value | null, ms: number, signal: AbortSignal): Promise<Value | null> {
    if (this.#waits >= this.limits.syncSendsMax) {
      throw overLimit('sync_sends', `${this.#waits} requests wait for a block; send without waiting`)
    }
    this.#waits++
    const found = Promise.withResolvers<Value | null>()
    const tryIt = () => {
      const value = look()
      if (value !== null) found.resolve(value)
    }
    const giveUp = () => found.resolve(null)
    const stop = this.chain.onBlock(tryIt)
    const timer = setTimeout(giveUp, ms)
    signal.addEventListener('abort', giveUp)
    try {
      tryIt()
      return await found.promise
    } finally {
      this.#waits--
      stop()
      clearTimeout(timer)
      signal.removeEventListener('abort', giveUp)
    }
  }
}

/** @throws RpcError LIMIT_EXCEEDED if `work` obeys its signal */
async function withinTime<Value>(
  work: (signal: AbortSignal) => Promise<Value>,
  ms: number,
  signal: AbortSignal,
): Promise<Value> {
  const timeout = AbortSignal.timeout(ms)
  try {
    return await work(AbortSignal.any([signal, timeout]))
  } catch (error) {
    if (timeout.aborted && error === timeout.reason) {
      throw overLimit('execution_time', `execution aborted (timeout = ${ms} ms)`)
    }
    throw error
  }
}
