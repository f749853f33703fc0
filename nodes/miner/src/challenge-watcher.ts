import { equalBytes } from '@cumulus/bytes'
import type { Params } from '@cumulus/params'
import {
  type BlockPlace,
  blockBytes,
  blockCount,
  type ChallengedPlace,
  decodeEntries,
  type PodrParams,
  TAG_BYTES,
  tagsOfSeat,
} from '@cumulus/podr2'
import { type Logger, sleep } from '@cumulus/service'
import { type FragmentKey, type SlabStore, StoreError } from '@cumulus/store'
import { type Address, seat as seatNumber } from '@cumulus/types'
import type { ChainChallenge, ChallengedEvent } from './audit-chain.ts'
import type { Authority } from './authority.ts'
import { isSameAccount, type KeptTags } from './kept-tags.ts'
import type { Losses } from './losses.ts'
import type { MinerMetrics } from './metrics.ts'
import type { ChainGroup, MinerChain } from './miner-chain.ts'
import type { TaggerRef } from './proof-protocol.ts'
import { type Blocks, type Prover, ProverError } from './prover.ts'
import type { TagKeeper } from './tag-keeper.ts'
import { PowersUnavailable, type Taggers } from './taggers.ts'

export interface ChallengeWatcherComponents {
  readonly chain: MinerChain
  readonly store: SlabStore
  readonly authority: Authority
  readonly taggers: Taggers
  readonly kept: KeptTags
  readonly keeper: Pick<TagKeeper, 'recover'>
  readonly losses: Pick<Losses, 'add'>
  readonly prover: Pick<Prover, 'prove' | 'check'>
  readonly params: Params
  readonly podr: PodrParams
  readonly metrics: MinerMetrics
  readonly log: Logger
  /** ms since 1970: deadlines are of the chain's clock. */
  readonly now?: () => number
}

/** How the last challenge went, for who looks after the miner. */
export interface ProofReport {
  readonly epoch: string
  readonly outcome: ProofOutcome
  readonly entries: number
  readonly seconds: number
  readonly atMs: number
  readonly reason?: string
}

/**
 * `submitted`: the chain has the proof · `void`: all that was asked for is released, or tagged by another worker now ·
 * `lost`: a fragment or its tags are damaged or gone, so there is no honest proof · `late`: the window closed first · `over`: it had been answered, or was no longer open.
 */
export type ProofOutcome = 'submitted' | 'void' | 'lost' | 'late' | 'over'

/** Something that may be otherwise in a moment is in the way. */
class NotYet extends Error {}

/** Fragments of the challenge that are not as they were confirmed. */
class Lost extends Error {
  readonly keys: readonly FragmentKey[]
  constructor(keys: readonly FragmentKey[]) {
    super(`${keys.length} fragments of the challenge are damaged or gone`)
    this.keys = keys
  }
}

/** Fragments of the challenge whose tags are wrong or gone; the worker was asked for them. */
class Untagged extends Error {
  readonly keys: readonly FragmentKey[]
  constructor(keys: readonly FragmentKey[]) {
    super(`tags of ${keys.length} fragments of the challenge are missing and were asked for`)
    this.keys = keys
  }
}

/** Between two tries to answer. */
const RETRY_MS = 500
/** Between two looks whether a challenge is open that no event told of: a third of the window, at most. */
const LOOK_MS_MAX = 15_000
/** Whether the window is over the chain says, whose clock may be another one. If it says nothing, it is over after so many. */
const WINDOWS_MAX = 10
/** Share of the window in which the worker may still bring tags. */
const TAGS_SHARE = 0.5

/**
 * Answers every challenge of the own miner within its window. What is open is always read from the chain itself: at the
 * start, whenever an event comes, and every now and then, so that neither a restart nor a node that loses logs costs a
 * window. Tries go on until the proof is in the chain or the window is over.
 */
export class ChallengeWatcher {
  readonly #parts: ChallengeWatcherComponents
  readonly #now: () => number
  #answering: { readonly seed: Uint8Array; readonly done: Promise<void> } | undefined
  lastReport: ProofReport | undefined

  constructor(parts: ChallengeWatcherComponents) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
  }

  /** Watches until `signal` aborts. */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    const { chain } = this.#parts
    // The height first: what is issued after it comes as an event, what was before is open now.
    const fromBlock = (await this.#untilAnswered(() => chain.blockNumber(), signal)) + 1n
    await Promise.all([this.#follow(fromBlock, signal), this.#look(signal)])
    await this.#answering?.done
  }

  async #follow(fromBlock: bigint, signal: AbortSignal): Promise<void> {
    try {
      for await (const event of this.#parts.chain.challenged({ fromBlock, signal })) this.#begin(event, signal)
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { chain, params, log } = this.#parts
    const lookMs = Math.min(LOOK_MS_MAX, (params.audit.windowSlots * params.slotMs) / 3)
    while (!signal.aborted) {
      try {
        const challenge = await chain.challenge()
        const isKnown = challenge && this.#answering && equalBytes(this.#answering.seed, challenge.seed)
        if (challenge?.state === 'open' && !isKnown) this.#begin(await this.#eventOf(challenge, signal), signal)
      } catch (error) {
        if (signal.aborted) return
        log.debug('the challenge is not known', { error })
      }
      await sleep(lookMs, signal).catch(() => undefined) // the loop sees the abort
    }
  }

  /** The chain keeps a digest of the entries: the event has them all. */
  async #eventOf(challenge: ChainChallenge, signal: AbortSignal): Promise<ChallengedEvent> {
    const found = new AbortController()
    const either = AbortSignal.any([signal, found.signal, AbortSignal.timeout(10_000)])
    try {
      const init = { fromBlock: challenge.issuedAtBlock, signal: either }
      for await (const event of this.#parts.chain.challenged(init))
        if (equalBytes(event.seed, challenge.seed)) return event
    } finally {
      found.abort()
    }
    throw new Error('the chain stopped telling events')
  }

  #begin(event: ChallengedEvent, signal: AbortSignal): void {
    if (this.#answering && equalBytes(this.#answering.seed, event.seed)) return
    const before = this.#answering?.done ?? Promise.resolve()
    const done = before.then(() => this.#answer(event, signal))
    this.#answering = { seed: event.seed, done }
  }

  /** Never rejects. */
  async #answer(event: ChallengedEvent, signal: AbortSignal): Promise<void> {
    const { metrics, log } = this.#parts
    const startedAtMs = performance.now()
    const entries = event.entries.length / 12
    let outcome: ProofOutcome = 'late'
    let reason: string | undefined
    try {
      ;({ outcome, reason } = await this.#untilDeadline(event, signal))
    } catch (error) {
      if (signal.aborted) return
      reason = (error as Error).message
      log.error('a challenge could not be answered', { epoch: event.epoch, error })
    }
    const seconds = (performance.now() - startedAtMs) / 1000
    const atMs = this.#now()
    metrics.proofs.inc({ outcome })
    if (outcome === 'submitted') metrics.proofSeconds.observe(seconds)
    this.lastReport = {
      epoch: String(event.epoch),
      outcome,
      entries,
      seconds: Number(seconds.toFixed(3)),
      atMs,
      reason,
    }
    if (outcome === 'submitted' || outcome === 'void') log.info('challenge answered', { ...this.lastReport })
    else if (outcome !== 'over') log.error('a challenge was not answered', { ...this.lastReport })
  }

  async #untilDeadline(
    event: ChallengedEvent,
    signal: AbortSignal,
  ): Promise<{ outcome: ProofOutcome; reason?: string }> {
    const { chain, log, params } = this.#parts
    const windowMs = params.audit.windowSlots * params.slotMs
    const startedAtMs = performance.now()
    let reason = ''
    let isLost = false
    while (performance.now() - startedAtMs < WINDOWS_MAX * windowMs) {
      try {
        const known = await chain.challenge()
        const isOpen = known?.state === 'open' && equalBytes(known.seed, event.seed)
        if (known && !isOpen) {
          if (known.state !== 'missed') return { outcome: 'over' }
          return { outcome: isLost ? 'lost' : 'late', reason }
        }
        return { outcome: await this.#try(event, signal) }
      } catch (error) {
        signal.throwIfAborted()
        const before = reason
        reason = (error as Error).message
        if (reason !== before) log.warn('a try to answer a challenge failed', { epoch: event.epoch, error })
        const isGivenUp = error instanceof Untagged && performance.now() - startedAtMs > windowMs * TAGS_SHARE
        if (error instanceof Lost || isGivenUp) {
          // Said now, it is audited no more, and the next challenge can be passed. This one too, if it is mended in time.
          for (const key of error.keys) this.#parts.losses.add(key)
          isLost = true
        }
      }
      await sleep(RETRY_MS, signal)
    }
    return { outcome: isLost ? 'lost' : 'late', reason }
  }

  /** One try: reads, proves, verifies, submits. */
  async #try(event: ChallengedEvent, signal: AbortSignal): Promise<ProofOutcome> {
    const { chain, prover, podr } = this.#parts
    const { worker } = event
    const entries = decodeEntries(event.entries)
    const places = await Promise.all(entries.map((entry) => this.#placeOf(entry)))
    const tagger = await this.#tagger(worker)
    const dropped = await this.#dropped(places, worker, tagger !== undefined)
    const answer = { seed: event.seed, entries: event.entries, dropped }
    if (dropped === (1n << BigInt(places.length)) - 1n) {
      await chain.submitProof({ ...answer, proof: new Uint8Array(0) }, signal)
      return 'void'
    }
    const kept = places.filter((_, i) => ((dropped >> BigInt(i)) & 1n) === 0n)
    if (!tagger) throw new NotYet(`the powers of TEE worker ${worker} cannot be had`)
    await this.#requireAll(kept, worker, signal)
    const blocks = this.#blocks(kept, worker)
    let proof: Uint8Array
    try {
      proof = await prover.prove(tagger, { seed: event.seed, places, dropped, params: podr, blocks }, signal)
    } catch (error) {
      if (!isOfTags(error)) throw error
      throw await this.#withoutWrongTags(kept, worker, tagger, event.seed, signal)
    }
    await chain.submitProof({ ...answer, proof }, signal)
    return 'submitted'
  }

  /** Undefined if there is nothing to prove by: the worker has left, or its powers are nowhere. */
  async #tagger(worker: Address): Promise<TaggerRef | undefined> {
    try {
      return await this.#parts.taggers.ready(worker)
    } catch (error) {
      if (!(error instanceof PowersUnavailable)) throw error
      this.#parts.log.debug('there are no powers to prove by', { worker, error })
      return undefined
    }
  }

  async #placeOf(entry: ChallengedPlace): Promise<BlockPlace> {
    const { authority } = this.#parts
    const seat = authority.seatIn(await authority.group(entry.group, (group) => authority.seatIn(group) !== undefined))
    if (seat === undefined) throw new NotYet(`no seat in group ${entry.group}`)
    return { ...entry, seat: seatNumber(seat) }
  }

  /**
   * Entries that the chain lets be left out, of those that cannot be proven: their stripes were released since the challenge,
   * or another worker has taken their group and the tags went with it.
   */
  async #dropped(places: readonly BlockPlace[], worker: Address, isProvable: boolean): Promise<bigint> {
    const { store, authority, kept } = this.#parts
    let dropped = 0n
    const isTakers = ({ tagger }: ChainGroup): boolean => !isSameAccount(tagger, worker)
    await Promise.all(
      places.map(async (place, i) => {
        const isHere = store.info(place)?.corrupt === false
        if (isHere && isProvable && kept.get(place, worker)) return
        // What says that it is still the old one's is asked again.
        if (isTakers(await authority.group(place.group, isTakers))) dropped |= 1n << BigInt(i)
        else if (!store.info(place)) {
          const { state } = await authority.freshStripe(place.group, place.stripe)
          if (state === 'released') dropped |= 1n << BigInt(i)
        }
      }),
    )
    return dropped
  }

  /** Fragments and tags of all places are here and whole, as far as is known. @throws Lost, Untagged */
  async #requireAll(places: readonly BlockPlace[], worker: Address, signal: AbortSignal): Promise<void> {
    const { store, kept, keeper } = this.#parts
    const lost = places.filter((place) => store.info(place)?.corrupt !== false)
    if (lost.length > 0) throw new Lost(distinct(lost))
    const untagged: FragmentKey[] = []
    // One after the other: they are asked for and checked, which is seldom, and a stranger answers.
    for (const key of distinct(places.filter((place) => !kept.get(place, worker)))) {
      if (!(await keeper.recover(key, signal))) untagged.push(key)
    }
    if (untagged.length > 0) throw new Untagged(untagged)
  }

  /**
   * The proof did not hold, and fragments are checked as they are read: so tags have been spoilt since they passed. They are
   * found by halves and dropped, and the worker is asked for them at the next try.
   */
  async #withoutWrongTags(
    places: readonly BlockPlace[],
    worker: Address,
    tagger: TaggerRef,
    seed: Uint8Array,
    signal: AbortSignal,
  ): Promise<Error> {
    const { store, log, metrics } = this.#parts
    const bad = distinct(await this.#wrong(places, worker, tagger, seed, signal))
    for (const key of bad) {
      const bytes = store.getTags(key)
      if (bytes) await store.dropTags(key, bytes)
      log.error('tags that had passed their check are spoilt: they are dropped', { ...key, worker })
      metrics.tags.inc({ outcome: 'spoilt' })
    }
    return bad.length > 0 ? new Untagged(bad) : new NotYet('a proof did not hold, and no tag is to blame')
  }

  async #wrong(
    places: readonly BlockPlace[],
    worker: Address,
    tagger: TaggerRef,
    seed: Uint8Array,
    signal: AbortSignal,
  ): Promise<readonly BlockPlace[]> {
    const { prover, podr } = this.#parts
    const combination = { seed, places, params: podr, blocks: this.#blocks(places, worker) }
    if (await prover.check(tagger, combination, signal, { isUrgent: true })) return []
    if (places.length === 1) return places
    const middle = places.length >> 1
    const lower = await this.#wrong(places.slice(0, middle), worker, tagger, seed, signal)
    return [...lower, ...(await this.#wrong(places.slice(middle), worker, tagger, seed, signal))]
  }

  /** Reads the ranges of the challenged blocks, and nothing else. */
  async *#blocks(places: readonly BlockPlace[], worker: Address): AsyncGenerator<Blocks> {
    const { store, kept, podr } = this.#parts
    const size = blockBytes(podr)
    for (const place of places) {
      const info = store.info(place)
      const stored = kept.get(place, worker)
      if (!info || !stored) throw new NotYet('a stripe went while it was being proven')
      const group = await this.#parts.authority.group(place.group)
      const tags = tagsOfSeat(stored.record.tags, place.seat, group.peerKeys.length)
      if (tags.length !== this.#blockCount(group.classId) * TAG_BYTES)
        throw new NotYet('tags of another length are kept')
      const tag = tags.slice(place.block * TAG_BYTES, (place.block + 1) * TAG_BYTES)
      const offset = place.block * size
      const length = Math.min(size, info.length - offset)
      // Past the end of a short fragment there are only zeros.
      const bytes = length > 0 ? await this.#read(place, offset, length) : new Uint8Array(0)
      yield { bytes, count: 1, tags: tag }
    }
  }

  async #read(key: FragmentKey, offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const { store, metrics, log } = this.#parts
    try {
      const range = await store.read(key, { offset, length })
      try {
        return new Uint8Array(range.bytes)
      } finally {
        range.release()
      }
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      if (error.code === 'NOT_FOUND') throw new NotYet('a stripe went while it was being proven')
      if (error.code !== 'FRAGMENT_CORRUPT') throw error
      metrics.corrupt.inc()
      log.error('a challenged fragment is damaged', { ...key })
      throw new Lost([key])
    }
  }

  #blockCount(classId: number): number {
    const { params, podr } = this.#parts
    const kind = Object.values(params.classes).find(({ id }) => id === classId)
    if (!kind) throw new Error(`unknown class ${classId}`)
    return blockCount(kind.fragmentBytes, podr)
  }

  async #untilAnswered<Value>(ask: () => Promise<Value>, signal: AbortSignal): Promise<Value> {
    for (;;) {
      try {
        return await ask()
      } catch (error) {
        signal.throwIfAborted()
        this.#parts.log.warn('the chain does not answer', { error })
        await sleep(1_000, signal)
      }
    }
  }
}

/** What a wrong tag does to a proof. */
function isOfTags(error: unknown): boolean {
  return error instanceof ProverError && (error.code === 'PROOF_WRONG' || error.code === 'MALFORMED_TAG')
}

function distinct(places: readonly FragmentKey[]): FragmentKey[] {
  const byName = new Map(
    places.map(({ group, stripe, seat }) => [`${group}/${stripe}`, { group, stripe, seat }] as const),
  )
  return [...byName.values()]
}
