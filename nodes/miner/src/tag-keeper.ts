import { randomBytes } from 'node:crypto'
import { equalBytes } from '@cumulus/bytes'
import { type FrameMessage, FrameOp, RemoteError, type Session } from '@cumulus/network'
import type { Params } from '@cumulus/params'
import { blockCount, type PodrParams, TAG_BYTES, tagsOfSeat } from '@cumulus/podr2'
import { type Logger, sleep } from '@cumulus/service'
import { type FragmentKey, type SlabStore, StoreError } from '@cumulus/store'
import { type Address, groupId, seat, stripeNumber } from '@cumulus/types'
import type { Authority } from './authority.ts'
import type { MinerMetrics } from './metrics.ts'
import type { MinerChain } from './miner-chain.ts'
import type { Blocks, Prover } from './prover.ts'
import { decodeTagRecord, type TagRecord } from './tag-record.ts'
import { PowersUnavailable, type Taggers } from './taggers.ts'

export interface TagKeeperComponents {
  readonly chain: Pick<MinerChain, 'tagged' | 'confirmTags'>
  readonly store: SlabStore
  readonly authority: Authority
  readonly taggers: Taggers
  readonly prover: Pick<Prover, 'check' | 'isProofWaiting'>
  /** Checks and keeps tags that were asked for. */
  readonly take: (key: FragmentKey, frame: FrameMessage, session: Session) => Promise<unknown>
  readonly params: Params
  readonly podr: PodrParams
  readonly metrics: MinerMetrics
  readonly log: Logger
}

export interface TagKeeperInit {
  /** From the first new tags to their check: what comes together is checked together. Default 1 s. */
  readonly gatherMs?: number
  /** Between two comparisons with the chain. Default ten minutes. */
  readonly reconcileMs?: number
  /** After what could not be done. Default 15 s. */
  readonly retryMs?: number
}

/** Fragments of one check: 256 MiB are read. */
const BATCH_MAX = 32
/** Fragments looked at for a batch: what cannot be checked now must not hide what can. */
const SCANNED_MAX = 4_096
/** What one chain word says. */
const STRIPES_PER_WORD = 256
const GATHER_MS = 1_000
const RECONCILE_MS = 10 * 60_000
/** After what could not be done: no powers, no chain, no session with the worker. */
const RETRY_MS = 15_000
/** Lost tags asked for in one comparison. */
const ASKED_MAX = 64
const ASK_MS = 5_000

interface Candidate {
  readonly key: FragmentKey
  readonly record: TagRecord
}

/**
 * Says on chain which fragments this miner can prove: never before it has checked their tags in full, since a wrong tag
 * would fail an honest proof. Tags that are wrong are dropped, and the worker makes them again or loses its name.
 */
export class TagKeeper {
  readonly #parts: TagKeeperComponents
  readonly #gatherMs: number
  readonly #reconcileMs: number
  readonly #retryMs: number
  /** Tags that passed the check and are not on chain yet. */
  readonly #checked = new Set<string>()
  #news = Promise.withResolvers<void>()

  constructor(parts: TagKeeperComponents, init: TagKeeperInit = {}) {
    this.#parts = parts
    this.#gatherMs = init.gatherMs ?? GATHER_MS
    this.#reconcileMs = init.reconcileMs ?? RECONCILE_MS
    this.#retryMs = init.retryMs ?? RETRY_MS
  }

  /** New tags were put. */
  wake(): void {
    this.#news.resolve()
  }

  /** Checks and confirms until `signal` aborts. */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    await Promise.all([this.#confirmForEver(signal), this.#reconcileForEver(signal)])
  }

  async #confirmForEver(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#news = Promise.withResolvers()
      let done = 0
      try {
        done = await this.confirmSome(signal)
      } catch (error) {
        if (signal.aborted) return
        this.#parts.log.warn('tags could not be confirmed', { error })
      }
      // As long as there is more, on; else until something comes, or what could not be done may be tried again.
      if (done > 0) continue
      const waiting = new AbortController()
      const either = AbortSignal.any([signal, waiting.signal])
      await Promise.race([this.#news.promise, sleep(this.#retryMs, either).catch(() => undefined)])
      waiting.abort()
      await sleep(this.#gatherMs, signal).catch(() => undefined)
    }
  }

  /** One batch: checked, and said on chain. @returns fragments that are settled now, one way or the other */
  async confirmSome(signal: AbortSignal): Promise<number> {
    const { store } = this.#parts
    const byTagger = new Map<Address, Candidate[]>()
    let settled = 0
    let scanned = 0
    for (const key of store.unconfirmedKeys()) {
      if (++scanned > SCANNED_MAX) break
      const candidate = await this.#candidate(key)
      if (candidate === 'useless') {
        await store.dropTags(key)
        settled++
      } else if (candidate !== 'not now') {
        const { tagger } = candidate.record
        const batch = byTagger.get(tagger) ?? []
        byTagger.set(tagger, batch)
        if (batch.push(candidate) === BATCH_MAX) break
      }
    }
    for (const [tagger, batch] of byTagger) settled += await this.#settle(tagger, batch, signal)
    return settled
  }

  async #candidate(key: FragmentKey): Promise<Candidate | 'useless' | 'not now'> {
    const { store, authority } = this.#parts
    const value = store.getTags(key)
    const info = store.info(key)
    if (!value || !info) return 'useless'
    const record = decodeTagRecord(value)
    if (!equalBytes(record.segmentRoot, info.segmentRoot)) return 'useless'
    if (info.corrupt) return 'not now'
    const isTagger = ({ tagger }: { tagger: Address }): boolean => tagger.toLowerCase() === record.tagger.toLowerCase()
    if (!isTagger(await authority.group(key.group, isTagger))) return 'useless'
    return { key, record }
  }

  async #settle(tagger: Address, batch: readonly Candidate[], signal: AbortSignal): Promise<number> {
    const { log, metrics, store } = this.#parts
    const unchecked = batch.filter(({ key }) => !this.#checked.has(nameOf(key)))
    let dropped = 0
    if (unchecked.length > 0) {
      let bad: readonly Candidate[]
      try {
        bad = await this.#findBad(tagger, unchecked, signal)
      } catch (error) {
        if (signal.aborted || !isPassing(error)) throw error
        log.debug('tags are checked later', { tagger, error })
        return 0
      }
      for (const candidate of unchecked) if (!bad.includes(candidate)) this.#checked.add(nameOf(candidate.key))
      for (const { key } of bad) {
        log.error('a TEE worker sent wrong tags: they are dropped', { ...key, tagger })
        metrics.tags.inc({ outcome: 'wrong' })
        await store.dropTags(key)
        dropped++
      }
    }
    return dropped + (await this.#confirm(tagger, batch, signal))
  }

  /** All at once; where something is wrong, by halves. */
  async #findBad(tagger: Address, batch: readonly Candidate[], signal: AbortSignal): Promise<readonly Candidate[]> {
    if (await this.#check(tagger, batch, signal)) return []
    if (batch.length === 1) return batch
    const middle = batch.length >> 1
    const lower = await this.#findBad(tagger, batch.slice(0, middle), signal)
    return [...lower, ...(await this.#findBad(tagger, batch.slice(middle), signal))]
  }

  async #check(tagger: Address, batch: readonly Candidate[], signal: AbortSignal): Promise<boolean> {
    const { taggers, prover, podr, authority } = this.#parts
    const ref = await taggers.ready(tagger)
    const counts: number[] = []
    const seatCounts: number[] = []
    for (const { key } of batch) {
      const group = await authority.group(key.group)
      counts.push(this.#blockCount(group.classId))
      seatCounts.push(group.peerKeys.length)
    }
    const places = batch.flatMap(({ key }, i) => {
      const place = { group: groupId(key.group), stripe: stripeNumber(key.stripe), seat: seat(key.seat) }
      return Array.from({ length: counts[i]! }, (_, block) => ({ ...place, block }))
    })
    const blocks = this.#fragments(batch, counts, seatCounts)
    return await prover.check(ref, { seed: new Uint8Array(randomBytes(32)), places, params: podr, blocks }, signal)
  }

  async *#fragments(
    batch: readonly Candidate[],
    counts: readonly number[],
    seatCounts: readonly number[],
  ): AsyncGenerator<Blocks> {
    const { store, prover } = this.#parts
    for (const [i, { key, record }] of batch.entries()) {
      if (prover.isProofWaiting) throw new MakeRoom('a proof is due')
      const range = await store.read(key)
      let bytes: Uint8Array<ArrayBuffer>
      try {
        bytes = new Uint8Array(range.bytes)
      } finally {
        range.release()
      }
      const tags = tagsOfSeat(record.tags, seat(key.seat), seatCounts[i]!)
      if (tags.length !== counts[i]! * TAG_BYTES) throw new Error('tags of another length were kept')
      yield { bytes, count: counts[i]!, tags }
    }
  }

  #blockCount(classId: number): number {
    const { params, podr } = this.#parts
    const kind = Object.values(params.classes).find(({ id }) => id === classId)
    if (!kind) throw new Error(`unknown class ${classId}`)
    return blockCount(kind.fragmentBytes, podr)
  }

  /** One transaction for each word of 256 stripes of a group. */
  async #confirm(tagger: Address, batch: readonly Candidate[], signal: AbortSignal): Promise<number> {
    const { chain, store, metrics, log } = this.#parts
    const checked = batch.filter(({ key }) => this.#checked.has(nameOf(key)))
    const words = Map.groupBy(checked, ({ key }) => `${key.group}/${wordOf(key.stripe)}`)
    let confirmed = 0
    for (const members of words.values()) {
      signal.throwIfAborted()
      const { group, stripe } = members[0]!.key
      const first = wordOf(stripe)
      const stripes = members.reduce((bits, { key }) => bits | (1n << BigInt(key.stripe - first)), 0n)
      try {
        await chain.confirmTags(group, first, stripes, tagger)
      } catch (error) {
        log.warn('the chain did not take confirmed tags', { group, first, error })
        continue
      }
      for (const { key } of members) {
        await store.markConfirmed(key, true)
        this.#checked.delete(nameOf(key))
      }
      confirmed += members.length
      metrics.tags.inc({ outcome: 'confirmed' }, members.length)
      log.debug('tags confirmed', { group, first, count: members.length })
    }
    return confirmed
  }

  // ---- What the chain believes, and what is here

  async #reconcileForEver(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      let waitMs = this.#reconcileMs
      try {
        if (!(await this.reconcile(signal))) waitMs = Math.min(waitMs, this.#retryMs)
      } catch (error) {
        if (signal.aborted) return
        this.#parts.log.warn('tags could not be compared with the chain', { error })
        waitMs = Math.min(waitMs, this.#retryMs)
      }
      await sleep(waitMs, signal).catch(() => undefined) // the loop sees the abort
    }
  }

  /**
   * Compares tags here with what the chain believes to be here. Confirmed ones that it does not know are confirmed anew;
   * those it counts on and that are gone are asked for.
   *
   * @returns whether everything that the chain counts on is here
   */
  async reconcile(signal: AbortSignal): Promise<boolean> {
    const { chain, store } = this.#parts
    let word: { group: number; seat: number; first: number; bits: bigint } | undefined
    const lost: FragmentKey[] = []
    for (const key of store.keys()) {
      signal.throwIfAborted()
      const { group, stripe, seat: at } = key
      const first = wordOf(stripe)
      if (!word || word.group !== group || word.seat !== at || word.first !== first) {
        word = { group, seat: at, first, bits: await chain.tagged(group, at, first) }
      }
      const isKnown = ((word.bits >> BigInt(stripe - first)) & 1n) === 1n
      if (!isKnown && store.isConfirmed(key)) await store.markConfirmed(key, false)
      if (isKnown && !store.getTags(key) && lost.length < ASKED_MAX) lost.push(key)
    }
    this.wake()
    let isWhole = true
    for (const key of lost) isWhole = (await this.ask(key)) && isWhole
    return isWhole
  }

  /** Asks the worker for the tags of a fragment. They come now, or later by themselves. @returns whether they are here */
  async ask(key: FragmentKey): Promise<boolean> {
    const { authority, taggers, store, log } = this.#parts
    const { tagger } = await authority.group(key.group)
    const session = taggers.session(tagger)
    if (!session) return false
    try {
      const signal = AbortSignal.timeout(ASK_MS)
      await this.#parts.take(key, await session.request(FrameOp.getTags, { ...key }, { signal }), session)
      return store.getTags(key) !== undefined
    } catch (error) {
      const isPending = error instanceof RemoteError && error.code === 'PENDING'
      if (!isPending) log.debug('a TEE worker did not give tags', { ...key, error })
      return false
    }
  }
}

/** A check steps aside. */
class MakeRoom extends Error {}

/** What makes a check impossible now and not for ever. */
function isPassing(error: unknown): boolean {
  return error instanceof MakeRoom || error instanceof PowersUnavailable || error instanceof StoreError
}

function nameOf({ group, stripe, seat: at }: FragmentKey): string {
  return `${group}/${stripe}/${at}`
}

function wordOf(stripe: number): number {
  return stripe - (stripe % STRIPES_PER_WORD)
}
