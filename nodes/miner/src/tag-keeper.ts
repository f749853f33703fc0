import { randomBytes } from 'node:crypto'
import { equalBytes } from '@cumulus/bytes'
import { type FrameMessage, FrameOp, RemoteError, type Session } from '@cumulus/network'
import type { Params } from '@cumulus/params'
import { blockCount, type PodrParams, TAG_BYTES, tagsOfSeat } from '@cumulus/podr2'
import { type Logger, sleep } from '@cumulus/service'
import { type FragmentKey, type SlabStore, StoreError } from '@cumulus/store'
import { type Address, groupId, seat, stripeNumber } from '@cumulus/types'
import type { Authority } from './authority.ts'
import { isSameAccount, type KeptTags, type StoredTags } from './kept-tags.ts'
import { type Losses, nameOf, wordOf } from './losses.ts'
import type { MinerMetrics } from './metrics.ts'
import type { MinerChain } from './miner-chain.ts'
import type { Blocks, Prover } from './prover.ts'
import { encodeTagRecord, keyIdOf } from './tag-record.ts'
import { PowersUnavailable, type Taggers } from './taggers.ts'

export interface TagKeeperComponents {
  readonly chain: Pick<MinerChain, 'tagged' | 'confirmTags'>
  readonly store: SlabStore
  readonly authority: Authority
  readonly taggers: Taggers
  readonly kept: KeptTags
  readonly losses: Pick<Losses, 'add'>
  readonly prover: Pick<Prover, 'check' | 'isProofWaiting'>
  /** Accounts, in lower case, of those whose tags are here: as many as tag the own groups. */
  readonly onTaggers: (accounts: ReadonlySet<string>) => void
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
/**
 * What comes within this time is checked together: a check costs a proof, however many tags it is of. Nobody waits for it but the next audit.
 */
const GATHER_MS = 10_000
const RECONCILE_MS = 10 * 60_000
/** After what could not be done: no powers, no chain, no session with the worker. */
const RETRY_MS = 15_000
/** Lost tags asked for in one comparison. */
const ASKED_MAX = 64
const ASK_MS = 5_000
/** Tags that the worker has not given after so many comparisons are given up: the fragment is neither audited nor paid for. */
const COMPARISONS_TO_GIVE_UP = 4

interface Candidate extends StoredTags {
  readonly key: FragmentKey
}

/**
 * Says on chain which fragments this miner can prove: never before it has checked their tags in full, since a wrong tag
 * would fail an honest proof. Only tags that have passed are kept, and only the bytes that were checked: what comes meanwhile waits for a
 * check of its own. Wrong ones are dropped, and the worker makes them again or loses its name.
 */
export class TagKeeper {
  readonly #parts: TagKeeperComponents
  readonly #gatherMs: number
  readonly #reconcileMs: number
  readonly #retryMs: number
  /** Tags that the chain counts on and that are gone: in how many comparisons. */
  #missing = new Map<string, number>()
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
      if (done >= BATCH_MAX) continue // more than one batch is waiting
      if (done === 0) {
        // Until something comes, or what could not be done may be tried again.
        const waiting = new AbortController()
        const either = AbortSignal.any([signal, waiting.signal])
        await Promise.race([this.#news.promise, sleep(this.#retryMs, either).catch(() => undefined)])
        waiting.abort()
      }
      await sleep(this.#gatherMs, signal).catch(() => undefined)
    }
  }

  /** One batch: checked, and said on chain. @returns fragments that are settled now, one way or the other */
  async confirmSome(signal: AbortSignal): Promise<number> {
    const settled = await this.#checkSome(signal)
    return settled + (await this.#confirmChecked(signal))
  }

  /** Checks what was offered: what passes is kept, the rest refused. Until then it touches nothing that is kept. */
  async #checkSome(signal: AbortSignal): Promise<number> {
    const { store, kept } = this.#parts
    const byTagger = new Map<Address, Candidate[]>()
    let settled = 0
    let scanned = 0
    for (const key of store.offeredKeys()) {
      if (++scanned > SCANNED_MAX) break
      const bytes = store.offeredTags(key)
      const stored = kept.offered(key)
      const state = stored ? await this.#stateOf(key, stored) : 'useless'
      if (state === 'useless' && bytes) {
        if (await store.refuseTags(key, bytes)) settled++
      } else if (stored && state === 'good') {
        const { tagger } = stored.record
        const batch = byTagger.get(tagger) ?? []
        byTagger.set(tagger, batch)
        if (batch.push({ key, ...stored }) === BATCH_MAX) break
      }
    }
    for (const [tagger, batch] of byTagger) settled += await this.#settle(tagger, batch, signal)
    return settled
  }

  async #stateOf(key: FragmentKey, { record }: StoredTags): Promise<'good' | 'useless' | 'not now'> {
    const { store, authority } = this.#parts
    const info = store.info(key)
    if (!info || !equalBytes(record.segmentRoot, info.segmentRoot)) return 'useless'
    if (info.corrupt) return 'not now'
    const isTagger = ({ tagger }: { tagger: Address }): boolean => isSameAccount(tagger, record.tagger)
    return isTagger(await authority.group(key.group, isTagger)) ? 'good' : 'useless'
  }

  async #settle(tagger: Address, batch: readonly Candidate[], signal: AbortSignal): Promise<number> {
    const { log, metrics, store, taggers } = this.#parts
    const worker = taggers.get(tagger)
    if (!worker) return 0
    // The key is read before the check: a worker that takes another one meanwhile has its tags checked again.
    const checkedBy = keyIdOf(worker.taggerKey)
    let bad: readonly Candidate[]
    try {
      bad = await this.#findBad(tagger, batch, signal)
    } catch (error) {
      if (signal.aborted || !isPassing(error)) throw error
      log.debug('tags are checked later', { tagger, error })
      return 0
    }
    let settled = 0
    for (const candidate of batch) {
      const { key, bytes, record } = candidate
      if (bad.includes(candidate)) {
        if (!(await store.refuseTags(key, bytes))) continue
        log.error('a TEE worker sent wrong tags: they are dropped', { ...key, tagger })
        metrics.tags.inc({ outcome: 'wrong' })
      } else if (!(await store.adoptTags(key, bytes, encodeTagRecord({ ...record, checkedBy })))) continue
      settled++
    }
    return settled
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

  /** Says on chain what has passed: one transaction for each word of 256 stripes of a group. */
  async #confirmChecked(signal: AbortSignal): Promise<number> {
    const { store, kept } = this.#parts
    const words = new Map<string, Candidate[]>()
    let settled = 0
    let scanned = 0
    for (const key of store.unconfirmedKeys()) {
      if (++scanned > SCANNED_MAX) break
      const stored = kept.get(key)
      if (!stored) {
        settled += await this.#checkAnew(key)
        continue
      }
      const state = await this.#stateOf(key, stored)
      if (state === 'useless') {
        if (await store.dropTags(key, stored.bytes)) settled++
      } else if (state === 'good') {
        const name = `${key.group}/${key.seat}/${wordOf(key.stripe)}/${stored.record.tagger}`
        const word = words.get(name)
        if (word) word.push({ key, ...stored })
        else words.set(name, [{ key, ...stored }])
      }
    }
    for (const members of words.values()) settled += await this.#confirm(members, signal)
    return settled
  }

  /** Tags that passed under another key, or under none that is known, are offered once more. */
  async #checkAnew(key: FragmentKey): Promise<number> {
    const { store, kept } = this.#parts
    const bytes = store.getTags(key)
    if (!bytes) return 0
    if (kept.stored(key) && !store.offeredTags(key)) await store.offerTags(key, bytes)
    return (await store.dropTags(key, bytes)) ? 1 : 0
  }

  async #confirm(members: readonly Candidate[], signal: AbortSignal): Promise<number> {
    const { chain, store, metrics, log } = this.#parts
    signal.throwIfAborted()
    const { key, record } = members[0]!
    const { group } = key
    const first = wordOf(key.stripe)
    const stripes = members.reduce((bits, { key: { stripe } }) => bits | (1n << BigInt(stripe - first)), 0n)
    try {
      await chain.confirmTags(group, first, stripes, record.tagger)
    } catch (error) {
      log.warn('the chain did not take confirmed tags', { group, first, error })
      return 0
    }
    let confirmed = 0
    // Just these tags: others may have come meanwhile.
    for (const { key: one, bytes } of members) if (await store.markConfirmed(one, bytes, true)) confirmed++
    metrics.tags.inc({ outcome: 'confirmed' }, confirmed)
    log.debug('tags confirmed', { group, first, count: confirmed })
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
   * those it counts on and that are gone are asked for, and given up if nobody has them: a fragment without tags cannot be
   * proven, and whoever says so first is not punished. So are fragments that are damaged or gone themselves.
   *
   * @returns whether everything that the chain counts on is here
   */
  async reconcile(signal: AbortSignal): Promise<boolean> {
    const { chain, store, kept, losses } = this.#parts
    let word: Word | undefined
    const lost: FragmentKey[] = []
    const taggers = new Set<string>()
    for (const key of store.keys()) {
      signal.throwIfAborted()
      const { group, stripe, seat: at } = key
      const first = wordOf(stripe)
      if (!word || word.group !== group || word.seat !== at || word.first !== first) {
        if (word) await this.#nameGone(word)
        word = { group, seat: at, first, bits: await chain.tagged(group, at, first), here: 0n }
      }
      const bit = 1n << BigInt(stripe - first)
      word.here |= bit
      const isKnown = (word.bits & bit) !== 0n
      const stored = kept.stored(key)
      const bytes = stored?.bytes ?? store.getTags(key)
      if (stored) taggers.add(stored.record.tagger.toLowerCase())
      if (!isKnown) {
        if (bytes && store.isConfirmed(key)) await store.markConfirmed(key, bytes, false)
      } else if (store.info(key)?.corrupt) losses.add(key)
      else if (!kept.get(key)) {
        if (bytes) await this.#checkAnew(key)
        lost.push(key)
      }
    }
    if (word) await this.#nameGone(word)
    this.#parts.onTaggers(taggers)
    this.wake()
    return await this.#regain(lost, signal)
  }

  /** Fragments that the chain counts on and of which nothing is left here. */
  async #nameGone({ group, seat: at, first, bits, here }: Word): Promise<void> {
    const { authority, losses, store } = this.#parts
    const gone = bits & ~here
    for (let i = 0; gone >> BigInt(i) > 0n; i++) {
      if (((gone >> BigInt(i)) & 1n) === 0n) continue
      const key = { group, stripe: first + i, seat: at }
      // It may have been released a moment ago, or put.
      if ((await authority.freshStripe(group, key.stripe)).state === 'committed' && !store.info(key)) losses.add(key)
    }
  }

  async #regain(lost: readonly FragmentKey[], signal: AbortSignal): Promise<boolean> {
    const { losses, log } = this.#parts
    const missing = new Map<string, number>()
    let isWhole = lost.length <= ASKED_MAX
    for (const [i, key] of lost.entries()) {
      if (i >= ASKED_MAX) break
      if (await this.recover(key, signal)) continue
      isWhole = false
      const name = nameOf(key)
      const comparisons = (this.#missing.get(name) ?? 0) + 1
      if (comparisons >= COMPARISONS_TO_GIVE_UP) {
        log.error('tags that the chain counts on cannot be had: they are given up', { ...key })
        losses.add(key)
      } else missing.set(name, comparisons)
    }
    this.#missing = missing
    return isWhole
  }

  /** Gets back tags that are needed: by those that wait for their check, or by asking. @returns whether they are here, checked */
  async recover(key: FragmentKey, signal: AbortSignal): Promise<boolean> {
    const { kept } = this.#parts
    for (const isHere of [() => kept.offered(key) !== undefined, () => this.#ask(key)]) {
      if (!(await isHere())) continue
      const offered = kept.offered(key)
      if (offered && (await this.#stateOf(key, offered)) === 'good') {
        await this.#settle(offered.record.tagger, [{ key, ...offered }], signal)
      }
      if (kept.get(key)) return true
    }
    return false
  }

  /** Asks the worker for the tags of a fragment. They come now, or later by themselves. @returns whether some are here */
  async #ask(key: FragmentKey): Promise<boolean> {
    const { authority, taggers, log } = this.#parts
    const { tagger } = await authority.group(key.group)
    const session = taggers.session(tagger)
    if (!session) return false
    try {
      const signal = AbortSignal.timeout(ASK_MS)
      await this.#parts.take(key, await session.request(FrameOp.getTags, { ...key }, { signal }), session)
      return true
    } catch (error) {
      const isPending = error instanceof RemoteError && error.code === 'PENDING'
      if (!isPending) log.debug('a TEE worker did not give tags', { ...key, error })
      return false
    }
  }
}

/** One word of a seat: what the chain counts on, and what is here. */
interface Word {
  readonly group: number
  readonly seat: number
  readonly first: number
  readonly bits: bigint
  here: bigint
}

/** A check steps aside. */
class MakeRoom extends Error {}

/** What makes a check impossible now and not for ever. */
function isPassing(error: unknown): boolean {
  return error instanceof MakeRoom || error instanceof PowersUnavailable || error instanceof StoreError
}
