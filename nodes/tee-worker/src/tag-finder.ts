import { type Logger, sleep } from '@cumulus/service'
import type { TagRecords } from './tag-records.ts'
import type { Tagging } from './tagging.ts'
import type { ChainGroup, WorkerChain } from './worker-chain.ts'

export interface TagFinderComponents {
  readonly chain: WorkerChain
  readonly records: TagRecords
  readonly tagging: Pick<Tagging, 'add'>
  readonly log: Logger
}

export interface TagFinderInit {
  /** Between two looks at what the chain lacks of own groups. Default 60 s. */
  readonly lookMs?: number
}

/** What one chain view shows. */
const STRIPES_PER_VIEW = 256
/** Groups asked about at once. */
const GROUPS_PER_READ = 50
const GROUPS_REMEMBERED_MAX = 65_536
const LOOK_MS = 60_000
/** A group without anything missing is looked at again after so many looks, in case seats have lost their tags. */
const IDLE_LOOKS = 10

/**
 * Finds stripes to tag: as they are committed, and, since a worker may have been away and queues are bounded, by comparing
 * what is committed with what seats have confirmed. Everything is read at the certified head.
 */
export class TagFinder {
  readonly #chain: WorkerChain
  readonly #records: TagRecords
  readonly #tagging: Pick<Tagging, 'add'>
  readonly #log: Logger
  readonly #lookMs: number
  /** Groups whose tagger is this worker, and the looks until the next one. */
  readonly #own = new Map<number, number>()
  /** Groups of others, so that their commits cost nothing. */
  readonly #others = new Set<number>()

  constructor(components: TagFinderComponents, init: TagFinderInit = {}) {
    this.#chain = components.chain
    this.#records = components.records
    this.#tagging = components.tagging
    this.#log = components.log
    this.#lookMs = init.lookMs ?? LOOK_MS
  }

  get groupCount(): number {
    return this.#own.size
  }

  /** The group, if it is this worker's. */
  async ownGroup(id: number): Promise<ChainGroup | undefined> {
    const group = await this.#chain.group(id)
    const isOwn = group?.tagger.toLowerCase() === this.#chain.account.toLowerCase()
    if (isOwn) {
      this.#others.delete(id)
      if (!this.#own.has(id)) this.#own.set(id, 0)
      return group
    }
    this.#own.delete(id)
    if (this.#others.size >= GROUPS_REMEMBERED_MAX) this.#others.clear()
    this.#others.add(id)
    return undefined
  }

  /** Follows the chain until `signal` aborts. */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    // Heads first, then the look: nothing can come between them unseen.
    const fromBlock = (await this.#chain.certifiedNumber()) + 1n
    await this.#findGroups(signal)
    this.#log.info('groups found', { own: this.#own.size })
    await Promise.all([
      this.#followCommits(fromBlock, signal),
      this.#followGroups(fromBlock, signal),
      this.#lookForEver(signal),
    ])
  }

  /** One comparison of a group with the chain. @returns stripes that lacked tags of a seat that could have them */
  async look(id: number, signal: AbortSignal): Promise<number> {
    const group = await this.ownGroup(id)
    if (!group) return 0
    let missing = 0
    for (let first = 0; first < group.stripeCount; first += STRIPES_PER_VIEW) {
      signal.throwIfAborted()
      const count = Math.min(STRIPES_PER_VIEW, group.stripeCount - first)
      const [stripes, ...words] = await Promise.all([
        this.#chain.stripes(id, first, count),
        ...group.peerKeys.map((_, seat) => this.#chain.tagged(id, seat, first)),
      ])
      for (const [i, { state, root }] of stripes.entries()) {
        const key = { group: id, stripe: first + i }
        if (state !== 'committed') {
          if (state === 'released') await this.#records.drop(key)
          continue
        }
        if (words.every((word) => (word >> BigInt(i)) & 1n)) continue
        missing++
        if (this.#tagging.add({ ...key, root, of: group }) === 'full') return missing
      }
    }
    return missing
  }

  async #findGroups(signal: AbortSignal): Promise<void> {
    const count = await this.#untilAnswered(() => this.#chain.groupCount(), signal)
    for (let first = 1; first <= count; first += GROUPS_PER_READ) {
      const ids = Array.from({ length: Math.min(GROUPS_PER_READ, count - first + 1) }, (_, i) => first + i)
      await this.#untilAnswered(() => Promise.all(ids.map((id) => this.ownGroup(id))), signal)
    }
  }

  async #followCommits(fromBlock: bigint, signal: AbortSignal): Promise<void> {
    for await (const { group: id, stripe, root } of this.#chain.committed({ fromBlock, signal })) {
      if (this.#others.has(id)) continue
      const group = await this.#untilAnswered(() => this.ownGroup(id), signal)
      if (!group) continue
      if (this.#tagging.add({ group: id, stripe, root, of: group }) === 'full') this.#own.set(id, 0)
    }
  }

  async #followGroups(fromBlock: bigint, signal: AbortSignal): Promise<void> {
    for await (const id of this.#chain.groupChanges({ fromBlock, signal })) {
      const group = await this.#untilAnswered(() => this.ownGroup(id), signal)
      if (group) this.#own.set(id, 0)
    }
  }

  async #lookForEver(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        for (const [id, looks] of [...this.#own]) {
          if (looks > 0) {
            this.#own.set(id, looks - 1)
            continue
          }
          const missing = await this.look(id, signal)
          if (missing === 0 && this.#own.has(id)) this.#own.set(id, IDLE_LOOKS)
        }
      } catch (error) {
        if (signal.aborted) return
        this.#log.warn('groups could not be compared with the chain', { error })
      }
      await sleep(this.#lookMs, signal).catch(() => undefined) // the loop sees the abort
    }
  }

  /** A question to a chain that may be away for a while. */
  async #untilAnswered<Value>(ask: () => Promise<Value>, signal: AbortSignal): Promise<Value> {
    for (;;) {
      try {
        return await ask()
      } catch (error) {
        signal.throwIfAborted()
        this.#log.warn('the chain does not answer', { error })
        await sleep(1_000, signal)
      }
    }
  }
}
