import type { Logger } from '@cumulus/service'
import { BloomQuery } from './bloom.ts'
import type { ChainView } from './chain-view.ts'
import type { LogFilter } from './decode.ts'
import { formatLog } from './format.ts'
import { matches } from './log-search.ts'
import { Turns } from './turns.ts'

interface Subscriber {
  readonly filter: LogFilter
  readonly bloom: BloomQuery
  readonly send: (result: unknown) => void
  /** The first block that it hears of. */
  readonly from: bigint
}

/**
 * Tells subscribers of new logs, block by block, each its own. A block can have twenty thousand logs and there can be a
 * thousand subscribers, so this takes turns with everything else, and falls behind the chain rather than hold it up: what
 * is still to be told is in the chain, not in memory.
 */
export class LogFeed {
  readonly #chain: ChainView
  readonly #log: Logger | undefined
  readonly #subscribers = new Set<Subscriber>()
  #stop: (() => void) | undefined
  /** The next block to tell of. */
  #next = 0n
  #isTelling = false

  constructor(chain: ChainView, log?: Logger) {
    this.#chain = chain
    this.#log = log
  }

  /** Returns what ends it. */
  add(filter: LogFilter, send: (result: unknown) => void): () => void {
    const from = this.#chain.head().number + 1n
    const subscriber = { filter, bloom: new BloomQuery(filter), send, from }
    if (this.#subscribers.size === 0) {
      this.#next = from
      this.#stop = this.#chain.onBlock(() => {
        this.#tell().catch((error: unknown) => this.#log?.error('logs cannot be told to subscribers', { error }))
      })
    }
    this.#subscribers.add(subscriber)
    return () => {
      this.#subscribers.delete(subscriber)
      if (this.#subscribers.size === 0) this.#stop?.()
    }
  }

  async #tell(): Promise<void> {
    if (this.#isTelling) return
    this.#isTelling = true
    const turns = new Turns({ limit: 'log_feed', msMax: Number.POSITIVE_INFINITY, advice: '' })
    try {
      while (this.#next <= this.#chain.head().number && this.#subscribers.size > 0) {
        const number = this.#next++
        const bits = this.#chain.bloom(number)
        if (!bits) continue
        for (const subscriber of this.#subscribers) {
          const pause = turns.next()
          if (pause) await pause
          if (subscriber.from <= number && subscriber.bloom.mayMatch(bits))
            await this.#tellOne(subscriber, number, turns)
        }
      }
    } finally {
      this.#isTelling = false
    }
  }

  /** Waits for nothing as long as its turn lasts. */
  #tellOne(subscriber: Subscriber, number: bigint, turns: Turns): Promise<void> | undefined {
    const header = this.#chain.header(number)!
    const logs = this.#chain.logs(number)
    const go = (first: number): Promise<void> | undefined => {
      for (let index = first; index < logs.length && this.#subscribers.has(subscriber); index++) {
        const log = logs[index]!
        if (matches(subscriber.filter, log)) subscriber.send(formatLog(log, header))
        const pause = turns.next()
        if (pause) return pause.then(() => go(index + 1))
      }
      return undefined
    }
    return go(0)
  }
}
