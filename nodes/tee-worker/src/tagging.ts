import { equalBytes } from '@cumulus/bytes'
import { FrameOp, type PeerIdentity, RemoteError } from '@cumulus/network'
import type { Params, StorageClass } from '@cumulus/params'
import { blockCount, type PodrParams, stripeTagsBytes, stripeTagsMessage } from '@cumulus/podr2'
import { type Logger, sleep } from '@cumulus/service'
import { verifyEd25519 } from '@cumulus/signature'
import { groupId, stripeNumber } from '@cumulus/types'
import type { TagDelivery } from './delivery.ts'
import type { WorkerMetrics } from './metrics.ts'
import type { MinerSessions } from './miner-sessions.ts'
import { type RootProver, RootUnproven } from './root-prover.ts'
import { type SegmentFetcher, SegmentUnavailable } from './segment-fetcher.ts'
import type { TagPool } from './tag-pool.ts'
import type { SignedTags, StripeKey, TagRecords } from './tag-records.ts'
import type { ChainGroup } from './worker-chain.ts'

export interface TaggingComponents {
  readonly params: Params
  readonly podr: PodrParams
  readonly identity: PeerIdentity
  readonly records: TagRecords
  readonly roots: Pick<RootProver, 'prove'>
  readonly sessions: MinerSessions
  readonly fetcher: Pick<SegmentFetcher, 'fetch'>
  readonly pool: Pick<TagPool, 'tag'>
  readonly delivery: Pick<TagDelivery, 'deliver'>
  readonly metrics: WorkerMetrics
  readonly log: Logger
}

/** A stripe to be tagged: what a node says that the certified chain has. */
export interface TagJob extends StripeKey {
  readonly root: Uint8Array
  readonly group: number
  readonly of: ChainGroup
}

/** Jobs that wait. More are not taken: whoever looks for missing tags finds them again. */
const JOBS_MAX = 16_384
/** Tags that a neighbour still has are asked for; one that does not answer at once is passed over. */
const NEIGHBOUR_MS = 3_000
const NEIGHBOURS_MAX = 3
/** A stripe whose seats were not there is left to the next look for missing tags; so that looks are cheap, not before this. */
const RETRY_MS = 15_000
/** All seats have taken the tags: time for them to say so on chain. */
const CONFIRM_MS = 5 * 60_000
const RESTS_MAX = 65_536

/** Tags stripes, `inFlight` at a time: prove the root, claim, fetch, rebuild and tag, sign, keep, deliver. */
export class Tagging {
  readonly #parts: TaggingComponents
  readonly #retryMs: number
  readonly #jobs = new Map<string, TagJob>()
  readonly #running = new Set<string>()
  /** Until when a stripe of this segment is not taken again. */
  readonly #rests = new Map<string, { readonly root: Uint8Array; readonly untilMs: number }>()
  #wake = Promise.withResolvers<void>()

  constructor(parts: TaggingComponents, init: { readonly retryMs?: number } = {}) {
    this.#parts = parts
    this.#retryMs = init.retryMs ?? RETRY_MS
  }

  /** Stripes that wait or are being tagged. */
  get backlog(): number {
    return this.#jobs.size + this.#running.size
  }

  /**
   * Takes a stripe, unless it is here already, was refused for good, is being delivered, or was done or out of reach a moment
   * ago. @param init.urgent the last of these do not count: a seat asks
   */
  add(job: TagJob, init: { readonly urgent?: boolean } = {}): 'taken' | 'known' | 'full' {
    const { records } = this.#parts
    const name = nameOf(job)
    if (this.#jobs.has(name) || this.#running.has(name) || records.refusal(job) || records.kept(job)) return 'known'
    const rest = this.#rests.get(name)
    const isResting = rest !== undefined && rest.untilMs > performance.now() && equalBytes(rest.root, job.root)
    if (isResting && !init.urgent) return 'known'
    if (this.#jobs.size >= JOBS_MAX) return 'full'
    this.#jobs.set(name, job)
    this.#wake.resolve()
    return 'taken'
  }

  /** Works until `signal` aborts. @param inFlight segments in memory at once, each up to k fragments */
  async run({ inFlight, signal }: { inFlight: number; signal: AbortSignal }): Promise<void> {
    await Promise.all(Array.from({ length: inFlight }, () => this.#work(signal)))
  }

  async #work(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const next = this.#jobs.entries().next()
      if (next.done) {
        this.#wake = Promise.withResolvers()
        const idle = new AbortController()
        const either = AbortSignal.any([signal, idle.signal])
        await Promise.race([this.#wake.promise, sleep(1_000, either).catch(() => undefined)])
        idle.abort()
        continue
      }
      const [name, job] = next.value
      this.#jobs.delete(name)
      this.#running.add(name)
      try {
        await this.#tag(job, signal)
        this.#rest(name, job.root, CONFIRM_MS)
      } catch (error) {
        if (signal.aborted) return
        this.#rest(name, job.root, this.#retryMs)
        const { group, stripe } = job
        if (error instanceof SegmentUnavailable)
          this.#parts.log.debug('a segment is out of reach', { group, stripe, error })
        else if (error instanceof RootUnproven && !error.isOutage)
          this.#parts.log.error('what a node says of a stripe is not certified: not tagged', { group, stripe, error })
        else this.#parts.log.warn('a stripe could not be tagged', { group, stripe, error })
      } finally {
        this.#running.delete(name)
      }
    }
  }

  async #tag(job: TagJob, signal: AbortSignal): Promise<void> {
    const { records, roots, delivery, log, metrics } = this.#parts
    const { group, stripe, root } = job
    // Before the name is claimed: a root that a node made up must not take it.
    await roots.prove(job, root, signal)
    // Durable before a tag exists: from here on this name belongs to this content, whatever the chain says later.
    const claim = await records.claim(job, root)
    if (claim === 'other') {
      await records.refuse(job, 'other-root')
      metrics.refused.inc({ reason: 'other-root' })
      log.error('the chain has another segment under a name that was tagged: never tagged again', {
        group,
        stripe,
        root,
      })
      return
    }
    const known = claim === 'again' ? await this.#askSeats(job, signal) : undefined
    const signed = known ?? (await this.#make(job, signal))
    if (!signed) return
    await records.keep(job, signed)
    await delivery.deliver(job, job.of, signal)
  }

  /** Fetches and tags. Undefined if there is nothing to tag under this name, ever. */
  async #make(job: TagJob, signal: AbortSignal): Promise<SignedTags | undefined> {
    const { params, fetcher, pool, records, metrics, log, podr, identity } = this.#parts
    const { group, stripe, root } = job
    const kind = classOf(params, job.of.classId)
    if (!kind) throw new Error(`group ${group} is of an unknown class ${job.of.classId}`)
    const segment = await fetcher.fetch(job, root, job.of.peerKeys, kind, signal)
    for (const { bytes } of segment.fragments) metrics.fetchedBytes.inc(bytes.length)
    const startedAtMs = performance.now()
    const result = await pool.tag(job, root, segment, blockCount(kind.fragmentBytes, podr))
    if ('refusal' in result) {
      await records.refuse(job, result.refusal)
      metrics.refused.inc({ reason: result.refusal })
      log.error('what was committed is no segment: it cannot be tagged', { group, stripe, root })
      return undefined
    }
    metrics.tagSeconds.observe((performance.now() - startedAtMs) / 1000)
    metrics.taggedStripes.inc()
    metrics.taggedBytes.inc(result.taggedBytes)
    const message = stripeTagsMessage(podr.chainId, placeOf(job), root, result.tags)
    return { root, tags: result.tags, signature: identity.sign(message) }
  }

  /** Tags that this worker signed before and some seat has kept: 5 KB instead of a segment. */
  async #askSeats(job: TagJob, signal: AbortSignal): Promise<SignedTags | undefined> {
    const { sessions, podr, identity, params } = this.#parts
    const { group, stripe, root, of } = job
    const bytes = stripeTagsBytes(classOf(params, of.classId)?.fragmentBytes ?? 1, of.peerKeys.length, podr)
    let asked = 0
    for (let seat = 0; seat < of.peerKeys.length && asked < NEIGHBOURS_MAX; seat++) {
      const session = sessions.of(of.peerKeys[seat]!)
      if (!session) continue
      try {
        const patience = AbortSignal.any([signal, AbortSignal.timeout(NEIGHBOUR_MS)])
        const reply = await session.request(FrameOp.getTags, { group, stripe, seat }, { signal: patience })
        if (reply.body.length !== bytes || !equalBytes(reply.hash, root)) continue
        const message = stripeTagsMessage(podr.chainId, placeOf(job), root, reply.body)
        // Only its own signature counts: it says that these tags were made here, of this very segment.
        if (!verifyEd25519(reply.meta, message, identity.publicKey)) continue
        return { root, tags: reply.body, signature: reply.meta }
      } catch (error) {
        signal.throwIfAborted()
        if (!(error instanceof RemoteError)) asked++
      }
    }
    return undefined
  }

  #rest(name: string, root: Uint8Array, ms: number): void {
    const now = performance.now()
    if (this.#rests.size >= RESTS_MAX) {
      for (const [other, { untilMs }] of this.#rests) if (untilMs <= now) this.#rests.delete(other)
      if (this.#rests.size >= RESTS_MAX) this.#rests.clear()
    }
    this.#rests.set(name, { root, untilMs: now + ms })
  }
}

export function classOf(params: Params, id: number): StorageClass | undefined {
  return Object.values(params.classes).find((kind) => kind.id === id)
}

function nameOf({ group, stripe }: StripeKey): string {
  return `${group}/${stripe}`
}

function placeOf({ group, stripe }: StripeKey) {
  return { group: groupId(group), stripe: stripeNumber(stripe) }
}
