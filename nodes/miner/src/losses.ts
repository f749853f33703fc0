import { ChainError } from '@cumulus/chain'
import { type Logger, sleep } from '@cumulus/service'
import type { FragmentKey, SlabStore } from '@cumulus/store'
import type { MinerMetrics } from './metrics.ts'
import type { MinerChain } from './miner-chain.ts'

export interface LossesComponents {
  readonly chain: Pick<MinerChain, 'reportLoss'>
  readonly store: SlabStore
  readonly metrics: MinerMetrics
  readonly log: Logger
}

export interface LossesInit {
  /** After a report that the chain did not take. Default 15 s. */
  readonly retryMs?: number
}

/** What one chain word says. */
export const STRIPES_PER_WORD = 256
/** Transactions of one round. */
const WORDS_PER_ROUND = 32
/** Damaged fragments looked at for one round. */
const SCANNED_MAX = 65_536
/** Named losses that wait; more are found again by comparing with the chain. */
const NAMED_MAX = 4_096
const RETRY_MS = 15_000

/**
 * Says on chain what this miner cannot prove any more: every damaged fragment that the chain counts on, as soon as it is known,
 * whoever came upon it. What is said before an audit asks for it costs the pay for that fragment, and nothing else; what is
 * found by an audit counts as missed.
 */
export class Losses {
  readonly #parts: LossesComponents
  readonly #retryMs: number
  /** What the store does not call damaged, by word and stripe: fragments that are gone, and those whose tags are. */
  readonly #named = new Map<string, FragmentKey>()
  #news = Promise.withResolvers<void>()

  constructor(parts: LossesComponents, init: LossesInit = {}) {
    this.#parts = parts
    this.#retryMs = init.retryMs ?? RETRY_MS
  }

  /** A fragment was found damaged: the store knows which. */
  wake(): void {
    this.#news.resolve()
  }

  /** The chain counts on a fragment that cannot be proven. */
  add(key: FragmentKey): void {
    if (this.#named.size < NAMED_MAX) this.#named.set(nameOf(key), key)
    this.wake()
  }

  /** Reports until `signal` aborts. */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    while (!signal.aborted) {
      this.#news = Promise.withResolvers()
      let isDone = false
      try {
        isDone = await this.reportSome(signal)
      } catch (error) {
        if (signal.aborted) return
        this.#parts.log.warn('losses could not be reported', { error })
      }
      if (isDone) {
        const waiting = new AbortController()
        const either = AbortSignal.any([signal, waiting.signal])
        const rest = sleep(2 ** 31 - 1, either).catch(() => undefined)
        await Promise.race([this.#news.promise, rest])
        waiting.abort()
      } else await sleep(this.#retryMs, signal).catch(() => undefined) // the loop sees the abort
    }
  }

  /** One round, one transaction for each word of 256 stripes. @returns whether nothing is left to be said */
  async reportSome(signal: AbortSignal): Promise<boolean> {
    const { chain, store, log, metrics } = this.#parts
    const words = new Map<string, Map<number, FragmentKey>>()
    let isAll = true
    const collect = (key: FragmentKey): void => {
      const name = `${key.group}/${key.seat}/${wordOf(key.stripe)}`
      const word = words.get(name)
      if (word) word.set(key.stripe, key)
      else if (words.size < WORDS_PER_ROUND) words.set(name, new Map([[key.stripe, key]]))
      else isAll = false
    }
    for (const key of this.#named.values()) collect(key)
    let scanned = 0
    for (const key of store.corruptKeys()) {
      if (++scanned > SCANNED_MAX) break
      if (store.isConfirmed(key)) collect(key)
    }
    for (const members of words.values()) {
      signal.throwIfAborted()
      const keys = [...members.values()]
      const { group, stripe } = keys[0]!
      const first = wordOf(stripe)
      const stripes = keys.reduce((bits, key) => bits | (1n << BigInt(key.stripe - first)), 0n)
      try {
        await chain.reportLoss(group, first, stripes)
      } catch (error) {
        log.warn('a loss could not be reported', { group, first, error })
        // What the chain refuses it does not count on: a seat that is another's. The next comparison would find it again.
        if (!(error instanceof ChainError) || error.code !== 'REVERTED') {
          isAll = false
          continue
        }
        await this.#settle(keys)
        continue
      }
      await this.#settle(keys)
      log.error('a loss was reported', { group, first, count: keys.length })
      metrics.losses.inc(keys.length)
    }
    return isAll
  }

  /** Confirmed again once it is mended. */
  async #settle(keys: readonly FragmentKey[]): Promise<void> {
    const { store } = this.#parts
    for (const key of keys) {
      this.#named.delete(nameOf(key))
      const tags = store.getTags(key)
      if (tags) await store.markConfirmed(key, tags, false)
    }
  }
}

export function wordOf(stripe: number): number {
  return stripe - (stripe % STRIPES_PER_WORD)
}

export function nameOf({ group, stripe, seat }: FragmentKey): string {
  return `${group}/${stripe}/${seat}`
}
