import { randomBytes } from 'node:crypto'
import { bytesToHex } from '@cumulus/bytes'
import type { RpcLog, RpcTransaction } from 'viem'
import type { ChainView, Hash, Hex } from './chain-view.ts'
import type { LogQuery } from './decode.ts'
import { formatTransaction } from './format.ts'
import type { RpcLimits } from './limits.ts'
import { searchLogs } from './log-search.ts'
import type { RpcMetrics } from './metrics.ts'
import { overLimit, RpcError } from './rpc-error.ts'
import type { Turns } from './turns.ts'

type Filter = { askedAtMs: number } & (
  | { readonly kind: 'logs'; readonly query: LogQuery; nextBlock: bigint }
  | { readonly kind: 'blocks'; nextBlock: bigint }
  | { readonly kind: 'pending'; hashes: Hash[]; readonly full: boolean }
)

/**
 * Filters installed by `eth_newFilter` and its kin. Logs and blocks are searched when the filter is asked, from where
 * it was asked last: an idle filter costs a few bytes. Hashes of pending transactions are kept, up to a limit.
 */
export class Filters {
  readonly #chain: ChainView
  readonly #limits: RpcLimits
  readonly #metrics: RpcMetrics
  readonly #nowMs: () => number
  readonly #filters = new Map<Hex, Filter>()
  #stopPending: (() => void) | undefined

  constructor(chain: ChainView, limits: RpcLimits, metrics: RpcMetrics, nowMs: () => number) {
    this.#chain = chain
    this.#limits = limits
    this.#metrics = metrics
    this.#nowMs = nowMs
  }

  get count(): number {
    return this.#filters.size
  }

  addLogs(query: LogQuery): Hex {
    if (query.blockHash) throw new RpcError('INVALID_PARAMS', 'a filter follows a range; ask eth_getLogs for one block')
    return this.#add({ kind: 'logs', query, nextBlock: this.#chain.head().number + 1n, askedAtMs: 0 })
  }

  addBlocks(): Hex {
    return this.#add({ kind: 'blocks', nextBlock: this.#chain.head().number + 1n, askedAtMs: 0 })
  }

  /** @param full answers with whole transactions, as far as they still wait */
  addPending(full = false): Hex {
    const id = this.#add({ kind: 'pending', hashes: [], full, askedAtMs: 0 })
    this.#stopPending ??= this.#chain.onPending((hash) => this.#collect(hash))
    return id
  }

  /** What is new since the filter was last asked. */
  async changes(id: Hex, turns: Turns): Promise<RpcLog[] | Hash[] | RpcTransaction[]> {
    const filter = this.#get(id)
    if (filter.kind === 'pending') {
      const hashes = filter.hashes.splice(0)
      if (!filter.full) return hashes
      const waiting = hashes.map((hash) => this.#chain.pending.transaction(hash))
      return waiting.filter((one) => one !== undefined).map((one) => formatTransaction(one))
    }

    // A long silence is caught up in steps of the log range, one per question. The place moves only after the search
    // succeeded: a refused answer loses nothing.
    const from = filter.nextBlock
    const head = this.#chain.head().number
    const last = from + BigInt(this.#limits.logRangeBlocksMax) - 1n
    const to = head < last ? head : last
    if (to < from) return []
    let found: RpcLog[] | Hash[]
    if (filter.kind === 'blocks') found = await this.#hashes(from, to, turns)
    else {
      const { query } = filter
      const first = typeof query.fromBlock === 'bigint' && query.fromBlock > from ? query.fromBlock : from
      const end = typeof query.toBlock === 'bigint' && query.toBlock < to ? query.toBlock : to
      found = await searchLogs(this.#chain, query, first, end, this.#limits, turns)
    }
    // Asked twice at once, both get the same answer; the place moves once.
    if (filter.nextBlock === from) filter.nextBlock = to + 1n
    return found
  }

  /** The query of a log filter, for `eth_getFilterLogs`. */
  query(id: Hex): LogQuery {
    const filter = this.#get(id)
    if (filter.kind !== 'logs') throw new RpcError('INVALID_PARAMS', `filter ${id} is not a log filter`)
    return filter.query
  }

  remove(id: Hex): boolean {
    const removed = this.#filters.delete(id)
    if (removed) this.#counted()
    return removed
  }

  /** Uninstalls what nobody asked for in time. Called on a timer and before a filter is refused for want of room. */
  expire(): void {
    const oldest = this.#nowMs() - this.#limits.filterIdleMs
    for (const [id, filter] of this.#filters) if (filter.askedAtMs < oldest) this.#filters.delete(id)
    this.#counted()
  }

  close(): void {
    this.#filters.clear()
    this.#counted()
  }

  async #hashes(from: bigint, to: bigint, turns: Turns): Promise<Hash[]> {
    const hashes: Hash[] = []
    for (let number = from; number <= to; number++) {
      const pause = turns.next()
      if (pause) await pause
      const header = this.#chain.header(number)
      if (header) hashes.push(header.hash)
    }
    return hashes
  }

  #add(filter: Filter): Hex {
    if (this.#filters.size >= this.#limits.filtersMax) this.expire()
    if (this.#filters.size >= this.#limits.filtersMax) {
      throw overLimit('filters', `${this.#limits.filtersMax} filters are installed; uninstall one, or use eth_getLogs`)
    }
    // Not guessable: filters of others cannot be read or removed.
    const id = bytesToHex(randomBytes(16))
    filter.askedAtMs = this.#nowMs()
    this.#filters.set(id, filter)
    this.#counted()
    return id
  }

  #get(id: Hex): Filter {
    const filter = this.#filters.get(id)
    if (!filter) {
      throw new RpcError(
        'REFUSED',
        `filter not found: ${id} was never installed, or was idle for ${this.#limits.filterIdleMs / 1000} s`,
      )
    }
    filter.askedAtMs = this.#nowMs()
    return filter
  }

  #collect(hash: Hash): void {
    for (const [id, filter] of this.#filters) {
      if (filter.kind !== 'pending') continue
      if (filter.hashes.length >= this.#limits.filterBacklogMax) {
        this.#filters.delete(id)
        this.#metrics.limitHits.inc({ limit: 'filter_backlog' })
      } else filter.hashes.push(hash)
    }
    this.#counted()
  }

  #counted(): void {
    this.#metrics.filters.set(this.#filters.size)
    const pending = this.#filters.values().some((filter) => filter.kind === 'pending')
    if (!pending) {
      this.#stopPending?.()
      this.#stopPending = undefined
    }
  }
}
