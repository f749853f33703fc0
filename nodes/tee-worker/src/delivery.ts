import { FrameOp, NetworkError, RemoteError } from '@cumulus/network'
import { type Logger, sleep } from '@cumulus/service'
import type { WorkerMetrics } from './metrics.ts'
import type { MinerSessions } from './miner-sessions.ts'
import type { StripeKey, TagRecords } from './tag-records.ts'
import type { ChainGroup } from './worker-chain.ts'

export interface DeliveryComponents {
  readonly records: TagRecords
  readonly sessions: MinerSessions
  /** The group at the certified head; undefined if it is not this worker's. */
  readonly groupOf: (id: number) => Promise<ChainGroup | undefined>
  readonly metrics: WorkerMetrics
  readonly log: Logger
}

const PUT_MS = 30_000
/** Between two rounds over what some seat has not taken; a miner that comes back starts one earlier. */
const ROUND_MS = 30_000
/** From a session to the round for it: whoever restarts dials with many others. */
const SETTLE_MS = 500
/** A round asks once for a group, and again after so long: it may take minutes, and tens of thousands of stripes be kept. */
const GROUP_MS = 10_000
/** A seat that refuses is asked again later and later. */
const REFUSED_MS_MIN = 15_000
const REFUSED_MS_MAX = 10 * 60_000
const REFUSED_REMEMBERED_MAX = 65_536

/** Hands the tags of whole stripes to all seats, again and again until each has taken them. */
export class TagDelivery {
  readonly #parts: DeliveryComponents
  /** By stripe and seat: how often it refused, and until when it is left alone. */
  readonly #refused = new Map<string, { readonly count: number; readonly untilMs: number }>()
  #somebodyCame = Promise.withResolvers<void>()

  constructor(parts: DeliveryComponents) {
    this.#parts = parts
  }

  /** A miner dialled: it may lack tags. */
  minerCame(): void {
    this.#somebodyCame.resolve()
  }

  /** One try for each seat that has not taken the tags of this stripe and is there. Drops them once all have. */
  async deliver(key: StripeKey, group: ChainGroup, signal: AbortSignal): Promise<void> {
    const { records, sessions, metrics, log } = this.#parts
    const signed = records.kept(key)
    if (!signed) return
    const before = records.delivered(key)
    let delivered = before
    await Promise.all(
      group.peerKeys.map(async (peerKey, seat) => {
        if ((delivered >>> seat) & 1) return
        const session = sessions.of(peerKey)
        const name = `${key.group}/${key.stripe}/${seat}`
        if (!session || (this.#refused.get(name)?.untilMs ?? 0) > performance.now()) return
        try {
          const patience = AbortSignal.any([signal, AbortSignal.timeout(PUT_MS)])
          const { root: hash, signature: meta, tags: body } = signed
          await session.request(FrameOp.putTags, { ...key, seat, hash, meta, body }, { signal: patience })
          delivered |= 1 << seat
          this.#refused.delete(name)
          metrics.deliveries.inc({ code: 'ok' })
        } catch (error) {
          if (signal.aborted) return
          // A seat that has no fragment, or another one, takes the tags when it has the right one: later, or never.
          metrics.deliveries.inc({ code: codeOf(error) })
          if (error instanceof RemoteError) this.#leaveAlone(name)
          log.debug('a seat did not take tags', { ...key, seat, error })
        }
      }),
    )
    const everybody = 2 ** group.peerKeys.length - 1
    if (delivered >>> 0 === everybody) await records.drop(key)
    else if (delivered !== before) await records.setDelivered(key, delivered >>> 0)
  }

  /** Rounds over everything kept, until `signal` aborts. */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    while (!signal.aborted) {
      this.#somebodyCame = Promise.withResolvers()
      const waiting = new AbortController()
      const either = AbortSignal.any([signal, waiting.signal])
      await Promise.race([this.#somebodyCame.promise, sleep(ROUND_MS, either).catch(() => undefined)])
      waiting.abort()
      await sleep(SETTLE_MS, signal).catch(() => undefined)
      await this.#round(signal)
    }
  }

  #leaveAlone(name: string): void {
    if (this.#refused.size >= REFUSED_REMEMBERED_MAX) this.#refused.clear()
    const count = (this.#refused.get(name)?.count ?? 0) + 1
    const ms = Math.min(REFUSED_MS_MAX, REFUSED_MS_MIN * 2 ** (count - 1))
    this.#refused.set(name, { count, untilMs: performance.now() + ms })
  }

  async #round(signal: AbortSignal): Promise<void> {
    const { records, groupOf, log } = this.#parts
    // Stripes come in the order of their groups.
    let known: { readonly id: number; readonly group: ChainGroup | undefined; readonly atMs: number } | undefined
    for (const key of records.keptKeys()) {
      if (signal.aborted) return
      try {
        if (known?.id !== key.group || performance.now() - known.atMs > GROUP_MS) {
          known = { id: key.group, group: await groupOf(key.group), atMs: performance.now() }
        }
        const { group } = known
        // Another worker tags this group now.
        if (!group) await records.drop(key)
        else await this.deliver(key, group, signal)
      } catch (error) {
        if (signal.aborted) return
        log.warn('tags could not be delivered', { ...key, error })
        return
      }
    }
  }
}

function codeOf(error: unknown): string {
  if (error instanceof RemoteError) return KNOWN_REFUSALS.has(error.code) ? error.code : 'other'
  if (error instanceof NetworkError) return error.code
  return 'TIMEOUT'
}

/** Codes come from strangers: only these become labels. */
const KNOWN_REFUSALS = new Set([
  'NOT_FOUND',
  'WRONG_ROOT',
  'NOT_YOUR_SEAT',
  'NOT_TAGGER',
  'BAD_TAGS',
  'FRAGMENT_CORRUPT',
  'NO_SPACE',
  'OVERLOADED',
  'CHAIN_UNREACHABLE',
  'STOPPING',
  'INTERNAL',
])
