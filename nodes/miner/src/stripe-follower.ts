import { ByteReader, ByteWriter, equalBytes } from '@cumulus/bytes'
import { type Logger, sleep } from '@cumulus/service'
import type { SlabStore } from '@cumulus/store'
import type { Authority } from './authority.ts'
import type { MinerMetrics } from './metrics.ts'
import type { ChainStripe, FollowInit, MinerChain } from './miner-chain.ts'

export interface StripeFollowerComponents {
  readonly chain: MinerChain
  readonly store: SlabStore
  readonly authority: Authority
  readonly metrics: MinerMetrics
  readonly log: Logger
}

/** Between two looks at fragments whose stripe is neither committed nor released. */
const RECONCILE_MS = 10 * 60_000
/** How often progress is saved where nothing happens. */
const PROGRESS_MS = 60_000
/** What one chain view shows. */
const STRIPES_PER_VIEW = 256

/**
 * Does to the store what the chain says of stripes: committed ones are marked, released and expired ones dropped. Where
 * each stream of events stands is kept beside the index; an event seen twice changes nothing.
 */
export class StripeFollower {
  readonly #chain: MinerChain
  readonly #store: SlabStore
  readonly #authority: Authority
  readonly #metrics: MinerMetrics
  readonly #log: Logger

  constructor(components: StripeFollowerComponents) {
    this.#chain = components.chain
    this.#store = components.store
    this.#authority = components.authority
    this.#metrics = components.metrics
    this.#log = components.log
  }

  /** Follows until `signal` aborts. @param fromBlock where to begin if nothing was followed before */
  async run({ fromBlock, signal }: { fromBlock: bigint; signal: AbortSignal }): Promise<void> {
    await Promise.all([
      this.#follow(
        'committed',
        fromBlock,
        signal,
        (init) => this.#chain.committed(init),
        async (event) => {
          this.#authority.learn(event.group, event.stripe, { state: 'committed', root: event.root })
          await this.#committed(event.group, event.stripe, event.root)
        },
      ),
      this.#follow(
        'released',
        fromBlock,
        signal,
        (init) => this.#chain.released(init),
        async (event) => {
          this.#authority.learn(event.group, event.stripe, { state: 'released' })
          await this.#released(event.group, event.stripe)
        },
      ),
      this.#reconcileForEver(signal),
    ])
  }

  /**
   * Asks the chain about every fragment whose stripe was not seen committed: a put may have crossed the event that
   * ended its stripe.
   */
  async reconcile(signal: AbortSignal): Promise<void> {
    const pending = [...this.#store.pendingKeys()]
    for (let i = 0; i < pending.length; ) {
      signal.throwIfAborted()
      const { group, stripe: first } = pending[i]!
      let end = i + 1
      while (end < pending.length && pending[end]!.group === group && pending[end]!.stripe - first < STRIPES_PER_VIEW) {
        end++
      }
      const count = pending[end - 1]!.stripe - first + 1
      const stripes = await this.#chain.stripes(group, first, count)
      for (const { stripe } of pending.slice(i, end)) {
        const known: ChainStripe | undefined = stripes[stripe - first]
        if (known?.state === 'committed') await this.#committed(group, stripe, known.root)
        if (known?.state === 'released') await this.#released(group, stripe)
      }
      i = end
    }
  }

  async #reconcileForEver(signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        await this.reconcile(signal)
        await sleep(RECONCILE_MS, signal)
      } catch (error) {
        if (signal.aborted) return
        this.#log.warn('stripes could not be compared with the chain', { error })
        await sleep(30_000, signal).catch(() => undefined) // the loop sees the abort
      }
    }
  }

  async #follow<Event>(
    name: string,
    fromBlock: bigint,
    signal: AbortSignal,
    events: (init: FollowInit) => AsyncIterable<Event>,
    handle: (event: Event) => Promise<void>,
  ): Promise<void> {
    const note = `followed/${name}`
    const saved = this.#store.getNote(note)
    let unsaved = 0
    let savedAtMs = performance.now()
    const onProgress = (block: bigint): void => {
      if (unsaved === 0 && performance.now() - savedAtMs < PROGRESS_MS) return
      unsaved = 0
      savedAtMs = performance.now()
      // Not waited for: what is lost in a crash is followed again.
      this.#store.setNote(note, new ByteWriter(16).u64(block + 1n).finish()).catch((error: unknown) => {
        this.#log.debug('progress not saved', { note, error })
      })
    }
    try {
      for await (const event of events({
        fromBlock: saved ? new ByteReader(saved).u64() : fromBlock,
        signal,
        onProgress,
      })) {
        await handle(event)
        unsaved++
      }
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  async #committed(group: number, stripe: number, root: Uint8Array): Promise<void> {
    for (const key of this.#store.keysOfStripe(group, stripe)) {
      const info = this.#store.info(key)
      if (!info) continue
      if (equalBytes(info.segmentRoot, root)) {
        await this.#store.markCommitted(key)
      } else {
        // Put before the stripe was committed with another segment: nobody can ever ask for it.
        this.#log.warn('dropped a fragment that the chain has another segment for', { ...key })
        if (await this.#store.delete(key)) this.#metrics.freed.inc({ reason: 'other-root' })
      }
    }
  }

  async #released(group: number, stripe: number): Promise<void> {
    for (const key of this.#store.keysOfStripe(group, stripe)) {
      if (!(await this.#store.delete(key))) continue
      this.#metrics.freed.inc({ reason: 'released' })
      this.#log.debug('cell freed', { ...key })
    }
  }
}
