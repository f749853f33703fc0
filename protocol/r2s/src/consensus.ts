import { DecodeError, equalBytes } from '@cumulus/bytes'
import {
  type Block,
  type BlockRef,
  type Evidence,
  type Header,
  type HeaderVote,
  sealBlock,
  signedMessage,
} from './block.ts'
import { type CoinRule, publicCoin } from './coin.ts'
import { COMMIT, CommitRule, type Wave } from './commit-rule.ts'
import { type Committee, committeeOf, memberCount } from './committee.ts'
import { Dag, type Vertex } from './dag.ts'
import { DigestMap } from './digest-map.ts'
import { R2sPanic } from './errors.ts'
import type { Checkpoint, R2sEffect, R2sEvent, SlotDecision } from './events.ts'
import { linearise } from './linearise.ts'
import { decodeMessage, FETCH_REFS_MAX, type Message, REPLY_BLOCKS_MAX } from './message.ts'
import { type Parked, Parking } from './parking.ts'
import { checkR2sParams, type R2sParams } from './r2s-params.ts'
import { type Era, judgeAmongParents, judgeHeader, type RefusalCode } from './validity.ts'

export interface R2sConfig {
  readonly chainId: bigint
  readonly era: number
  /** Hash of the certified last header of the era before. */
  readonly eraAnchor: Uint8Array
  readonly committeeSize: number
  /** This member's seat. */
  readonly member: number
  readonly params: R2sParams
  readonly coin: CoinRule
  /** Ed25519 of this member. */
  sign(message: Uint8Array): Uint8Array
  /** Ed25519 of any member. */
  verify(author: number, message: Uint8Array, signature: Uint8Array): boolean
}

/**
 * How a member comes to life. `fresh`: it certainly never signed anything in this era. `log`: this is what its log
 * holds, everything durable included. `lost`: it may have signed blocks it knows nothing of.
 */
export type R2sStart =
  | { readonly kind: 'fresh' }
  | { readonly kind: 'log'; readonly checkpoint: Checkpoint | null; readonly blocks: Iterable<Block> }
  | { readonly kind: 'lost' }

/** Shares of one round's coin. */
interface CoinState {
  readonly shares: (Uint8Array | null)[]
  have: number
  bad: number
  asked: boolean
}

/** What an own block under way waits for. */
type Production =
  | { readonly stage: 'idle' }
  | { readonly stage: 'proposing'; readonly round: number }
  /** The contents are there; parents are chosen when enough are. */
  | { readonly stage: 'building'; readonly round: number; readonly contents: Contents }
  | { readonly stage: 'persisting'; readonly block: Block; readonly parents: readonly Vertex[] }

interface Contents {
  readonly payload: Uint8Array
  readonly txCount: number
  readonly votes: readonly HeaderVote[]
  readonly coinShare: Uint8Array | null
}

/** SPEC 2.10: a member that lost its log asks before it signs. */
interface Inquiry {
  /** Mask of the members whose answer counts. */
  answered: number
  /** Answers whose block is not accepted yet. */
  readonly waiting: { readonly peer: number; readonly block: Block }[]
  /** Nothing at or below may be signed. */
  floor: number
  askAtMs: number
}

/** Questions of one member that are answered within a retry time; it will repeat the others. */
const SERVES_PER_RETRY_MAX = 64
/** Refused digests remembered; beyond it they are judged again. */
const INVALID_MAX = 4096
const BLOCK_OVERHEAD_BYTES = 2 + 64

/**
 * One member of the committee (SPEC 2): takes an event, returns what should happen. Reads no clock, draws no random
 * number and does no IO; equal events give equal effects.
 */
export class R2s {
  readonly committee: Committee
  readonly dag: Dag
  readonly #config: R2sConfig
  readonly #era: Era
  readonly #rule: CommitRule
  readonly #parking: Parking
  readonly #invalid = new DigestMap<BlockRef>()
  readonly #coins = new Map<number, CoinState>()
  readonly #evidence: Evidence[] = []
  /** Output blocks of an adopted checkpoint that have not arrived here. */
  readonly #outputElsewhere = new DigestMap<BlockRef>()
  /** Those of lower rounds are done with: neither votes nor times of what is undecided hang on them. */
  #neededFromRound = 0
  /** The highest round of which such a block was missing when the checkpoint was adopted. */
  #joinRound = 0
  /** Since it joined. */
  #citesUnclean = false
  /** Linearised blocks above gcRound, in their order. */
  #output: BlockRef[] = []
  readonly #ejectedFrom: (number | null)[]
  /** By author: how often his blocks had to be fetched, lately. */
  readonly #fetchShare: number[]
  readonly #served: { count: number; sinceMs: number }[]
  readonly #goneAt: number[]
  #inquiry: Inquiry | null = null
  #equivocators = 0
  #nowMs = 0
  #production: Production = { stage: 'idle' }
  #lastOwn: Vertex
  #lastOwnRound = 0
  #producedAtMs = Number.NEGATIVE_INFINITY
  /** When the last own block was built, or the member started. */
  #movedAtMs = 0
  #contentCount = 0
  #workPending = false
  #pressure = false
  #silent = false
  #halted = false
  #restoring = false
  #wakeAtMs = Number.POSITIVE_INFINITY
  #behindAtMs = Number.NEGATIVE_INFINITY
  #effects: R2sEffect[] = []

  /** @throws RangeError if the parameters do not fit */
  constructor(config: R2sConfig) {
    const { committeeSize: size, params, eraAnchor } = config
    this.committee = committeeOf(size)
    checkR2sParams(params, size)
    if (!(config.member >= 0 && config.member < size)) throw new RangeError(`member ${config.member} of ${size}`)
    this.#config = config
    this.#era = {
      chainId: config.chainId,
      era: config.era,
      size,
      quorum: this.committee.quorum,
      params,
      coin: config.coin,
      verify: config.verify,
    }
    this.dag = new Dag(size, params.waveLength, eraAnchor)
    this.#rule = new CommitRule(this.dag, {
      quorum: this.committee.quorum,
      waveLength: params.waveLength,
      leadersPerRound: params.leadersPerRound,
    })
    this.#parking = new Parking(size, params.parkedPerAuthorMax)
    this.#lastOwn = this.dag.genesis[config.member]!
    this.#ejectedFrom = new Array<number | null>(size).fill(null)
    this.#fetchShare = new Array<number>(size).fill(0)
    this.#served = Array.from({ length: size }, () => ({ count: 0, sinceMs: 0 }))
    this.#goneAt = new Array<number>(size).fill(-1)
  }

  /** Round of the newest own block that may have been seen by others. */
  get lastOwnRound(): number {
    return this.#lastOwnRound
  }

  /** Rounds below are decided. */
  get decidedRound(): number {
    return this.#rule.firstUndecidedRound - 1
  }

  get gcRound(): number {
    return this.dag.gcRound
  }

  get halted(): boolean {
    return this.#halted
  }

  /** Whether the member still asks what it signed before it lost its log. */
  get inquiring(): boolean {
    return this.#inquiry !== null
  }

  /** Mask of members known here to have signed two blocks of one round. */
  get equivocators(): number {
    return this.#equivocators
  }

  /** Blocks waiting for ancestors or their time. */
  get parkedCount(): number {
    return this.#parking.size
  }

  /** Call once, before the first event. Commits that the log holds are told again. */
  start(start: R2sStart, nowMs: number): R2sEffect[] {
    this.#nowMs = nowMs
    this.#movedAtMs = nowMs
    return this.#run(() => {
      if (start.kind === 'lost' && this.committee.size > 1) {
        this.#inquiry = { answered: 0, waiting: [], floor: 0, askAtMs: nowMs }
      }
      if (start.kind === 'log') {
        this.#restoring = true
        const blocks = [...start.blocks]
        if (start.checkpoint) this.#adopt(start.checkpoint, blocks)
        for (const block of blocks) this.#restore(block)
        this.#restoring = false
      }
    })
  }

  step(event: R2sEvent): R2sEffect[] {
    if (this.#halted) return []
    this.#nowMs = Math.max(this.#nowMs, event.nowMs)
    return this.#run(() => {
      switch (event.kind) {
        case 'message':
          this.#message(event.from, event.message)
          return
        case 'frame':
          this.#frame(event.from, event.bytes)
          return
        case 'connected':
          this.#connected(event.peer)
          return
        case 'persisted':
          this.#persisted(event.round)
          return
        case 'proposal':
          this.#proposal(event.round, event)
          return
        case 'coin':
          this.#coin(event.round, event.value, event.badShares)
          return
        case 'work':
          this.#workPending = event.pending
          return
        case 'pressure':
          this.#pressure = event.high
          return
        case 'adopt':
          this.#adopt(event.checkpoint)
          return
        case 'tick':
          this.#wakeAtMs = Number.POSITIVE_INFINITY // even if the timer fired early: then another is asked for
          return
      }
    })
  }

  /** The start of a new, shorter log: this, then the blocks of `window()`. */
  checkpoint(): Checkpoint {
    return {
      round: this.#rule.firstUndecidedRound,
      gcRound: this.dag.gcRound,
      output: [...this.#output],
      ejectedFrom: [...this.#ejectedFrom],
    }
  }

  /** Accepted blocks above `gcRound`, parents before children. */
  window(): Block[] {
    return Array.from(this.dag.window(), (vertex) => vertex.block!)
  }

  #run(handle: () => void): R2sEffect[] {
    this.#effects = []
    try {
      handle()
      this.#progress()
    } catch (error) {
      if (!(error instanceof R2sPanic)) throw error
      this.#halted = true
      this.#effects.push({ kind: 'halt', code: error.code, ...error.details })
    }
    return this.#effects
  }

  #progress(): void {
    for (const parked of this.#parking.release(this.#nowMs)) this.#acceptAll(parked)
    this.#inquire()
    this.#rule.decide()
    for (let wave = this.#rule.takeDecided(); wave; wave = this.#rule.takeDecided()) this.#commit(wave)
    this.#advance()
    this.#ask()
    this.#wake()
  }

  // ---------------------------------------------------------------- messages

  #frame(from: number, bytes: Uint8Array): void {
    if (!this.#isPeer(from)) {
      this.#refuse(from, 'NOT_A_MEMBER')
      return
    }
    try {
      this.#message(from, decodeMessage(bytes, this.committee.size))
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.#refuse(from, 'MALFORMED')
    }
  }

  #message(from: number, message: Message): void {
    if (!this.#isPeer(from)) {
      this.#refuse(from, 'NOT_A_MEMBER')
      return
    }
    switch (message.kind) {
      case 'block':
        this.#receive(message.block, from, false)
        return
      case 'fetch':
        this.#serve(from, message.wanted, message.have)
        return
      case 'blocks':
        this.#fetched(from, message.blocks, message.gcRound)
        return
      case 'hello':
        this.#hello(from, message.round)
        return
      case 'ask-newest':
        this.#tellNewest(from)
        return
      case 'newest':
        this.#toldNewest(from, message.yours, message.mine)
        return
    }
  }

  #isPeer(from: number): boolean {
    return Number.isInteger(from) && from >= 0 && from < this.committee.size && from !== this.#config.member
  }

  #refuse(from: number, code: RefusalCode): void {
    this.#effects.push({ kind: 'refuse', from, code })
  }

  #send(to: number, message: Message): void {
    this.#effects.push({ kind: 'send', to, message })
  }

  // ------------------------------------------- acceptance and missing ancestors (SPEC 2.3)

  #receive(block: Block, from: number, fetched: boolean): void {
    const { round, author } = block.header
    const code = judgeHeader(block, this.#era, this.dag.genesis)
    if (code) {
      this.#refuse(from, code)
      return
    }
    if (round <= this.dag.gcRound) return // late, nobody's fault
    if (this.#parking.has(block.digest) || this.dag.find({ author, round, digest: block.digest })) return
    if (this.#invalid.has(block.digest)) return
    const wanted = this.#parking.isWanted(block.digest)
    // What an equivocator pushes may still be an ancestor of an honest block; then somebody will want it.
    if (this.#equivocators & (1 << author) && !wanted) return
    if (!this.#config.verify(author, signedMessage(block.header, block.digest), block.signature)) {
      this.#refuse(from, 'BAD_SIGNATURE')
      return
    }
    if (author === this.#config.member && !this.#meetSelf(round)) return
    this.#lookForTwin(block)

    const missing: BlockRef[] = []
    for (const ref of block.header.parents) {
      if (this.#invalid.has(ref.digest)) {
        this.#reject(block, from, 'INVALID_PARENT')
        return
      }
      if (this.#isMissing(ref)) missing.push(ref)
    }
    const early = block.header.tsMs > this.#nowMs + this.#config.params.clockSkewMsMax
    const notBeforeMs = early ? block.header.tsMs - this.#config.params.clockSkewMsMax : 0
    const parked: Parked = { block, from, fetched: fetched && wanted, missingCount: missing.length, notBeforeMs }
    if (missing.length === 0 && !early) this.#acceptAll(parked)
    else this.#parking.park(parked, missing, this.#nowMs)
  }

  /** Whether a block that cites it has to wait for it. */
  #isMissing(ref: BlockRef): boolean {
    if (ref.round <= this.dag.gcRound || this.dag.find(ref)) return false
    return ref.round >= this.#neededFromRound || !this.#outputElsewhere.has(ref.digest)
  }

  /** Accepts a block whose ancestors are complete, and then all that waited for it. */
  #acceptAll(first: Parked): void {
    const ready = [first]
    for (let parked = ready.shift(); parked; parked = ready.shift()) {
      if (!this.#accept(parked)) continue
      ready.push(...this.#parking.resolve(parked.block.digest))
    }
  }

  #accept({ block, from, fetched }: Parked): boolean {
    const { header } = block
    if (header.round <= this.dag.gcRound) return false
    const parents: Vertex[] = []
    for (const ref of header.parents) {
      const parent = this.dag.find(ref)
      if (parent) parents.push(parent)
    }
    const checked = this.#isCheckable(header, parents.length)
    const code = judgeAmongParents(block, parents, checked, this.dag, this.#config.params)
    if (code) {
      this.#reject(block, from, code)
      return false
    }
    const share = this.#fetchShare[header.author]!
    this.#fetchShare[header.author] = share + ((fetched ? 1 : 0) - share) / 16
    this.#enter(this.dag.vertexOf(block, parents, { checked, clean: false }))
    return true
  }

  /** Whether nothing that the validity of a block depends on has been collected away. */
  #isCheckable(header: Header, presentCount: number): boolean {
    const goneRound = Math.max(this.dag.gcRound, this.#joinRound)
    return (
      presentCount === header.parents.length &&
      (goneRound === 0 || header.round - this.#config.params.exposureDepthRounds > goneRound)
    )
  }

  #enter(vertex: Vertex): void {
    const block = vertex.block!
    const { header } = block
    this.dag.isClean(vertex)
    this.dag.add(vertex)
    if (this.#outputElsewhere.delete(block.digest)) vertex.output = true
    else if (vertex.hasContent) this.#contentCount++
    if (!this.#restoring) this.#effects.push({ kind: 'store', block })
    if (header.evidence) this.#convict(header.evidence)
    this.#rule.observe(vertex)
    this.#collectShare(header)
  }

  #reject(block: Block, from: number, code: RefusalCode): void {
    this.#refuse(from, code)
    this.#remember(block)
    for (const child of this.#parking.reject(block.digest)) {
      this.#remember(child.block)
      this.#refuse(child.from, 'INVALID_PARENT')
    }
  }

  #remember({ header: { author, round }, digest }: Block): void {
    if (this.#invalid.size >= INVALID_MAX) this.#invalid.clear()
    this.#invalid.set(digest, { author, round, digest })
  }

  /** Asks for what is missing, one message per member. */
  #ask(): void {
    const asks = this.#parking.due(this.#nowMs, this.#config.params.fetchRetryMs)
    if (asks.length === 0) return
    const { size } = this.committee
    const { member } = this.#config
    const byPeer: BlockRef[][] = Array.from({ length: size }, () => [])
    for (const { to, ref } of asks) {
      for (let peer = 0; peer < size; peer++) {
        if (peer !== member && (to === -1 || peer === to % size)) byPeer[peer]!.push(ref)
      }
      // "One other" turned out to be this member itself.
      if (to % size === member) byPeer[(member + 1) % size]!.push(ref)
    }
    // Exact, also for equivocators of whom another chain may be missing: every block of an answer that is cut short is
    // then new, and what lies below a missing twin is asked for by name.
    const have = this.dag.newest.map((vertex) => vertex.round)
    byPeer.forEach((refs, peer) => {
      for (let i = 0; i < refs.length; i += FETCH_REFS_MAX) {
        this.#send(peer, { kind: 'fetch', wanted: refs.slice(i, i + FETCH_REFS_MAX), have })
      }
    })
  }

  /** Answers with a causally closed set in the order of rounds, the lowest first if it is too much. */
  #serve(to: number, wanted: readonly BlockRef[], have: readonly number[]): void {
    if (!this.#mayServe(to)) return
    const closure = new Set<Vertex>()
    for (const ref of wanted) {
      const vertex = this.dag.find(ref)
      if (vertex?.block) closure.add(vertex)
    }
    for (const vertex of closure) {
      for (const parent of vertex.parents) {
        if (parent.round > have[parent.author]! && parent.round > this.dag.gcRound) closure.add(parent)
      }
    }
    const sorted = [...closure].sort((a, b) => a.round - b.round || a.author - b.author)
    const blocks: Block[] = []
    let bytes = 0
    for (const { block } of sorted) {
      bytes += BLOCK_OVERHEAD_BYTES + block!.headerBytes.length + block!.payload.length
      if (blocks.length > 0 && (bytes > this.#config.params.replyBytesMax || blocks.length >= REPLY_BLOCKS_MAX)) break
      blocks.push(block!)
    }
    const gone = wanted.some((ref) => ref.round <= this.dag.gcRound)
    if (blocks.length > 0 || gone) this.#send(to, { kind: 'blocks', blocks, gcRound: this.dag.gcRound })
  }

  #mayServe(to: number): boolean {
    const served = this.#served[to]!
    if (this.#nowMs - served.sinceMs >= this.#config.params.fetchRetryMs) {
      served.sinceMs = this.#nowMs
      served.count = 0
    }
    return served.count++ < SERVES_PER_RETRY_MAX
  }

  #fetched(from: number, blocks: readonly Block[], gcRound: number): void {
    if (blocks.length > REPLY_BLOCKS_MAX) {
      this.#refuse(from, 'TOO_MANY_ANSWERS')
      return
    }
    for (const block of blocks) this.#receive(block, from, true)
    // One member may lie about how far it is; more than f do not.
    this.#goneAt[from] = gcRound
    const known = Math.max(this.dag.highestRound, this.decidedRound)
    const missing = this.#parking.size > 0 && known < gcRound
    if (!missing || this.#nowMs < this.#behindAtMs + this.#config.params.fetchRetryMs) return
    const beyond = this.#goneAt.filter((gone) => gone >= known)
    if (beyond.length <= this.committee.faultCount) return
    this.#behindAtMs = this.#nowMs
    this.#effects.push({ kind: 'behind', gcRound: Math.min(...beyond) })
  }

  #connected(peer: number): void {
    if (!this.#isPeer(peer)) return
    const round = Math.max(this.dag.newest[peer]!.round, this.#parking.highestRound(peer))
    this.#send(peer, { kind: 'hello', round })
    if (this.#inquiry) this.#send(peer, { kind: 'ask-newest' })
    // Before it signs, unasked: where all have lost their logs, what the first of them signs must not keep the others from it.
    if (this.#lastOwnRound === 0) this.#tellNewest(peer)
  }

  /**
   * The peer has own blocks up to `round`: the newest are sent again, as many as one answer holds. The very newest is always
   * among them, and leads the peer to all that is missing below.
   */
  #hello(peer: number, round: number): void {
    if (!this.#mayServe(peer)) return
    const { member, params } = this.#config
    const blocks: Block[] = []
    let bytes = 0
    for (let next = this.#lastOwnRound; next > Math.max(round, this.dag.gcRound); next--) {
      const block = this.dag.slot(next, member)[0]?.block
      if (!block) continue
      bytes += BLOCK_OVERHEAD_BYTES + block.headerBytes.length + block.payload.length
      if (blocks.length > 0 && bytes > params.replyBytesMax) break
      blocks.push(block)
    }
    for (const block of blocks.reverse()) this.#send(peer, { kind: 'block', block })
  }

  // -------------------------------------------------- equivocation (SPEC 2.6)

  #lookForTwin(block: Block): void {
    const { author, round } = block.header
    if (this.#equivocators & (1 << author)) return
    const other = this.dag.slot(round, author)[0]?.block ?? this.#parking.at(round, author)
    if (!other || equalBytes(other.digest, block.digest)) return
    this.#convict({
      author,
      round,
      firstDigest: other.digest,
      firstSignature: other.signature,
      secondDigest: block.digest,
      secondSignature: block.signature,
    })
  }

  /** From now on the author is not cited; the next own block tells everybody why. */
  #convict(evidence: Evidence): void {
    if (this.#equivocators & (1 << evidence.author)) return
    this.#equivocators |= 1 << evidence.author
    this.#evidence.push(evidence)
    this.#effects.push({ kind: 'equivocation', evidence })
  }

  // --------------------------------------------------------- coin (SPEC 3.2)

  #collectShare({ round, author, coinShare }: Header): void {
    const coinRound = round - (this.#config.params.waveLength - 1)
    if (coinRound < 1 || this.#rule.isRevealed(coinRound)) return
    if (this.#config.coin.mode === 'public') {
      this.#rule.reveal(coinRound, publicCoin(this.#config.coin.seed, coinRound))
      return
    }
    if (coinShare === null) return
    let state = this.#coins.get(coinRound)
    if (!state) {
      state = { shares: new Array(this.committee.size).fill(null), have: 0, bad: 0, asked: false }
      this.#coins.set(coinRound, state)
    }
    if (state.have & (1 << author)) return
    state.have |= 1 << author
    state.shares[author] = coinShare
    this.#combine(coinRound, state)
  }

  /** The threshold is all that is asked for: shares are unique, so whichever come first give the same value. */
  #combine(round: number, state: CoinState): void {
    const usable = state.have & ~state.bad
    if (state.asked || memberCount(usable) < this.committee.coinThreshold) return
    const shares = []
    for (let author = 0; shares.length < this.committee.coinThreshold; author++) {
      if (usable & (1 << author)) shares.push({ author, share: state.shares[author]! })
    }
    state.asked = true
    this.#effects.push({ kind: 'combine', round, shares })
  }

  #coin(round: number, value: Uint8Array | null, badShares: readonly number[]): void {
    const state = this.#coins.get(round)
    if (!state) return
    if (value) {
      this.#coins.delete(round)
      this.#rule.reveal(round, value)
      return
    }
    for (const author of badShares) state.bad |= 1 << author
    if (badShares.length > 0) this.#effects.push({ kind: 'bad-shares', round, authors: badShares })
    state.asked = false
    if (badShares.length > 0) this.#combine(round, state)
  }

  // ------------------------------------- decided rounds (SPEC 2.7, 2.9, 2.10)

  #commit(wave: Wave): void {
    const order = wave.order!
    const slots: SlotDecision[] = []
    const blocks: Block[] = []
    const ejected: number[] = []
    let gcRound = this.dag.gcRound
    let medianTsMs = 0
    for (let k = 0; k < wave.status.length; k++) {
      const leader = wave.leader[k] ?? null
      const slot = { author: order[k]!, digest: leader?.digest ?? null, direct: wave.direct[k]! }
      if (wave.status[k] !== COMMIT || leader === null) {
        slots.push(slot)
        continue
      }
      if (!slots.some((slot) => slot.digest !== null)) medianTsMs = medianOfParents(leader)
      slots.push(slot)
      gcRound = Math.max(gcRound, leader.round - this.#config.params.gcDepthRounds)
      for (const vertex of linearise(leader, gcRound, order)) {
        if (vertex.hasContent) this.#contentCount--
        const block = vertex.block!
        this.#output.push(vertex.ref)
        const from = this.#ejectedFrom[vertex.author]!
        if (from !== null && vertex.round >= from) continue
        blocks.push(block)
        const offender = block.header.evidence?.author
        if (offender !== undefined && this.#ejectedFrom[offender] === null) {
          this.#ejectedFrom[offender] = wave.round + 2 * this.#config.params.waveLength + 1
          ejected.push(offender)
        }
      }
    }
    this.#coins.delete(wave.round)
    this.#output = this.#output.filter((ref) => ref.round > gcRound)
    const checkpoint = {
      round: wave.round + 1,
      gcRound,
      output: this.#output.slice(),
      ejectedFrom: [...this.#ejectedFrom],
    }
    const { coin, round } = wave
    this.#effects.push({
      kind: 'commit',
      commit: { round, coin: coin!, slots, blocks, medianTsMs, gcRound, ejected, checkpoint },
    })
    this.#collectGarbage(gcRound)
  }

  /** SPEC 2.9. The cut follows from the commits alone. */
  #collectGarbage(gcRound: number): void {
    if (gcRound <= this.dag.gcRound) return
    for (const vertex of this.dag.prune(gcRound)) {
      if (vertex.output || vertex.block === null) continue
      if (vertex.hasContent) this.#contentCount--
      if (vertex.author === this.#config.member) this.#effects.push({ kind: 'returned', block: vertex.block })
    }
    for (const ref of [...this.#invalid.values()]) if (ref.round <= gcRound) this.#invalid.delete(ref.digest)
    for (const ref of [...this.#outputElsewhere.values()]) {
      if (ref.round <= gcRound) this.#outputElsewhere.delete(ref.digest)
    }
    for (const parked of this.#parking.prune(gcRound)) this.#acceptAll(parked)
    this.#rule.decide()
  }

  /** @param logged blocks that are about to be restored */
  #adopt(checkpoint: Checkpoint, logged: readonly Block[] = []): void {
    if (checkpoint.round <= this.#rule.firstUndecidedRound) return
    const here = new DigestMap<true>()
    for (const { digest } of logged) here.set(digest, true)
    // The leaders of its first round take their time from the blocks of the one before.
    this.#neededFromRound = checkpoint.round - 1
    this.#citesUnclean = false
    this.#rule.skipTo(checkpoint.round)
    for (const round of [...this.#coins.keys()]) if (round < checkpoint.round) this.#coins.delete(round)
    for (const ref of checkpoint.output) {
      const vertex = this.dag.find(ref)
      if (!vertex) {
        this.#outputElsewhere.set(ref.digest, ref)
        if (!here.has(ref.digest)) this.#joinRound = Math.max(this.#joinRound, ref.round)
      } else if (!vertex.output) {
        vertex.output = true
        if (vertex.hasContent) this.#contentCount--
      }
    }
    this.#output = [...checkpoint.output]
    checkpoint.ejectedFrom.forEach((from, author) => {
      this.#ejectedFrom[author] = from
      if (from !== null) this.#equivocators |= 1 << author
    })
    this.#collectGarbage(checkpoint.gcRound)
    for (const ref of [...this.#outputElsewhere.values()]) {
      if (ref.round >= this.#neededFromRound) continue
      for (const parked of this.#parking.resolve(ref.digest)) this.#acceptAll(parked)
    }
  }

  // ----------------------------------------- own blocks (SPEC 2.4, 2.5, 2.8)

  #advance(): void {
    if (this.#silent || this.#inquiry !== null) return
    if (this.#production.stage === 'building') {
      this.#build(this.#production.round, this.#production.contents)
      return
    }
    if (this.#production.stage !== 'idle') return
    const round = this.#nextRound()
    if (!this.#hasQuorumAt(round - 1) || this.#nowMs < this.#dueMs(round)) return
    this.#production = { stage: 'proposing', round }
    const { params, coin, member } = this.#config
    const coinRound = round - (params.waveLength - 1)
    const share = coin.mode === 'threshold' && coinRound >= 1 && (coin.holders & (1 << member)) !== 0
    // Backpressure (SPEC 2.9): the round goes on, for it decides others, but brings nothing new.
    const full = this.#pressure || round - this.#rule.firstUndecidedRound > params.undecidedRoundsMax
    this.#effects.push({
      kind: 'propose',
      round,
      coinRound: share ? coinRound : null,
      payloadBytesMax: full ? 0 : params.payloadBytesMax,
    })
  }

  /**
   * Never a round left out: others may need this member's block of each. Only when the parents of the next one have been
   * collected away, after a long outage, it goes on where its decisions end (SPEC 2.4).
   */
  #nextRound(): number {
    const next = this.#lastOwnRound + 1
    const reachable = next - 1 > this.dag.gcRound || this.dag.gcRound === 0
    return reachable ? next : Math.max(next, this.#rule.firstUndecidedRound)
  }

  /**
   * Enough blocks of `round` to build on. Known equivocators do not count, but where others have built upon this round,
   * for a member that is late: then nothing better will come.
   */
  #hasQuorumAt(round: number): boolean {
    const present = this.dag.present(round)
    const counted = this.#isBehind(round + 1) ? present : present & ~this.#equivocators
    return memberCount(counted) >= this.committee.quorum
  }

  /** Somebody trustworthy has a block of `round`. */
  #isBehind(round: number): boolean {
    return (this.dag.present(round) & ~this.#equivocators & ~(1 << this.#config.member)) !== 0
  }

  /** SPEC 2.8. Whoever finds the others already in the round is late, and waits for nothing. */
  #dueMs(round: number): number {
    if (this.#hasQuorumAt(round)) return Number.NEGATIVE_INFINITY
    const quiet = !this.#workPending && this.#contentCount === 0 && this.#evidence.length === 0
    return this.#producedAtMs + (quiet ? this.#config.params.idleRoundMs : this.#config.params.minRoundMs)
  }

  #proposal(round: number, contents: Contents): void {
    if (this.#production.stage !== 'proposing' || this.#production.round !== round) return
    this.#production = { stage: 'building', round, contents }
  }

  #build(round: number, contents: Contents): void {
    const parents = this.#chooseParents(round)
    if (!parents) return
    const { chainId, era, member, params } = this.#config
    let tsMs = Math.max(0, Math.floor(this.#nowMs))
    for (const parent of parents) tsMs = Math.max(tsMs, parent.tsMs)
    const header = {
      chainId,
      era,
      round,
      author: member,
      tsMs,
      exposed: this.dag.exposedBy(parents, round, params.exposureDepthRounds),
      parents: parents.map((parent) => parent.ref),
      coinShare: contents.coinShare,
      votes: contents.votes,
      evidence: this.#evidence.shift() ?? null,
      txCount: contents.txCount,
    }
    const block = sealBlock(header, contents.payload, this.#config.sign)
    this.#production = { stage: 'persisting', block, parents }
    this.#producedAtMs = this.#nowMs
    this.#movedAtMs = this.#nowMs
    this.#effects.push({ kind: 'persist', block })
  }

  #persisted(round: number): void {
    const production = this.#production
    if (production.stage !== 'persisting' || production.block.header.round !== round) return
    const { block, parents } = production
    this.#production = { stage: 'idle' }
    this.#lastOwnRound = round
    const present = parents.filter((parent) => parent.round === 0 || parent.round > this.dag.gcRound)
    this.#effects.push({ kind: 'broadcast', message: { kind: 'block', block } })
    if (round <= this.dag.gcRound) return // a disk that slept for 64 rounds
    const vertex = this.dag.vertexOf(block, present, { checked: true, clean: true })
    this.#lastOwn = vertex
    this.#enter(vertex)
    for (const parked of this.#parking.resolve(block.digest)) this.#acceptAll(parked)
  }

  /**
   * SPEC 2.5: the own block before; of each other author the first accepted block of the round before; then, of whoever is
   * not in the cone of these, the newest. null while too few may be cited.
   */
  #chooseParents(round: number): Vertex[] | null {
    const stalled = this.#nowMs >= this.#stalledAtMs(round)
    const usual = this.#unexposed(round, this.#equivocators, stalled)
    if (usual && stalled) this.#citesUnclean = true
    return usual ?? (this.#isBehind(round) ? this.#unexposed(round, 0, stalled) : null)
  }

  /**
   * SPEC 2.5: from when on a block of this round may cite what could not be checked in full. Soon after joining everything is
   * such, until it is in the order; a member that the others cannot do without must not wait for the order then. Once it has cited
   * such a block, more of them add no risk.
   */
  #stalledAtMs(round: number): number {
    const { exposureDepthRounds, waveLength, stallMs, joinStallMs } = this.#config.params
    const isJoining = this.#joinRound > 0 && round <= this.#joinRound + exposureDepthRounds + 4 * waveLength
    if (!isJoining) return this.#movedAtMs + stallMs
    return this.#citesUnclean ? this.#movedAtMs : this.#movedAtMs + joinStallMs
  }

  /** Parents of whom none is exposed in the cone they make, without the authors in the mask `excluded`. */
  #unexposed(round: number, excluded: number, stalled: boolean): Vertex[] | null {
    const { params, member } = this.#config
    for (;;) {
      const parents = this.#candidates(round, excluded, stalled)
      const strongCount = parents.filter((parent) => parent.round === round - 1).length
      if (strongCount < this.committee.quorum) return null
      const exposed = this.dag.exposedBy(parents, round, params.exposureDepthRounds)
      if (!parents.some((parent) => exposed & (1 << parent.author) && parent.author !== member)) return parents
      excluded |= exposed & ~(1 << member)
      this.#equivocators |= excluded & exposed
    }
  }

  #candidates(round: number, excluded: number, stalled: boolean): Vertex[] {
    const { params, member } = this.#config
    const mayCite = (vertex: Vertex | undefined): vertex is Vertex =>
      vertex !== undefined && (stalled || this.dag.isClean(vertex))
    const strong: Vertex[] = []
    const slow: Vertex[] = []
    for (let author = 0; author < this.committee.size; author++) {
      if (author === member || excluded & (1 << author)) continue
      const vertex = this.dag.slot(round - 1, author)[0]
      if (!mayCite(vertex)) continue
      if (this.#fetchShare[author]! > params.slowAuthorShare) slow.push(vertex)
      else strong.push(vertex)
    }
    let own = this.#ownParent(round)
    // Begins no new chain where the own block is one of the quorum; alone, a member would never get on.
    const needed = strong.length + slow.length < this.committee.quorum
    if (needed && this.#lastOwn.round === round - 1) own = this.#lastOwn
    const ownCount = own.round === round - 1 ? 1 : 0
    while (strong.length + ownCount < this.committee.quorum && slow.length > 0) strong.push(slow.shift()!)
    strong.sort((a, b) => a.author - b.author)

    const lowest = Math.max(round - params.parentDepthRounds, this.dag.gcRound + 1, 1)
    const tops = [own, ...strong]
    const cited = this.dag.markCone(tops, lowest)
    const weak: Vertex[] = []
    for (let author = 0; author < this.committee.size; author++) {
      if (author === member || excluded & (1 << author)) continue
      const late = this.#fetchShare[author]! > params.slowAuthorShare
      for (let r = Math.min(this.dag.newest[author]!.round, round - (late ? 3 : 2)); r >= lowest; r--) {
        const vertex = this.dag.slot(r, author)[0]
        if (!vertex) continue
        if (vertex.mark !== cited && mayCite(vertex)) weak.push(vertex)
        break
      }
    }
    return [...tops, ...weak]
  }

  /**
   * The own block before, unless it is out of reach or hangs on a long chain of own blocks that nobody has cited: reaching
   * down to where others collect garbage it could not be checked by them, so a new chain is begun.
   */
  #ownParent(round: number): Vertex {
    const lowest = Math.max(round - this.#config.params.parentDepthRounds, this.dag.gcRound + 1)
    let oldest = this.#lastOwn
    while (oldest.round >= lowest && !oldest.citedByOthers) {
      const before = oldest.parents[0]
      if (!before || before.author !== this.#config.member || before.round === 0) break
      oldest = before
    }
    const reachable = this.#lastOwn.round >= lowest && oldest.round >= lowest
    return reachable ? this.#lastOwn : this.dag.genesis[this.#config.member]!
  }

  // ------------------------------------------------------ recovery (SPEC 2.10)

  /** A block from the own log: everything about it was checked before it was written. */
  #restore(block: Block): void {
    const { author, round, digest, parents } = { ...block.header, digest: block.digest }
    if (author === this.#config.member) this.#lastOwnRound = Math.max(this.#lastOwnRound, round)
    if (round <= this.dag.gcRound || this.dag.find({ author, round, digest })) return
    const missing = parents.filter((ref) => this.#isMissing(ref))
    const parked = { block, from: author, fetched: false, missingCount: missing.length, notBeforeMs: 0 }
    this.#lookForTwin(block)
    if (missing.length > 0) this.#parking.park(parked, missing, this.#nowMs)
    else this.#acceptAll(parked)
    const own = author === this.#config.member ? this.dag.find({ author, round, digest }) : undefined
    if (own && own.round >= this.#lastOwn.round) {
      own.clean = true
      this.#lastOwn = own
    }
    this.#rule.decide()
    for (let wave = this.#rule.takeDecided(); wave; wave = this.#rule.takeDecided()) this.#commit(wave)
  }

  /** A block signed with the own key that is not known here. Returns whether to go on with it. */
  #meetSelf(round: number): boolean {
    if (this.#inquiry) {
      this.#inquiry.floor = Math.max(this.#inquiry.floor, round)
      return true
    }
    if (round <= this.#lastOwnRound && this.dag.slot(round, this.#config.member).length === 0) return true
    if (!this.#silent) {
      this.#silent = true
      this.#effects.push({ kind: 'silenced', round })
    }
    return true
  }

  #tellNewest(to: number): void {
    if (!this.#mayServe(to)) return
    const mine = this.#lastOwnRound > 0 ? this.#lastOwn.block : null
    this.#send(to, { kind: 'newest', yours: this.dag.newest[to]!.block, mine })
  }

  #toldNewest(from: number, yours: Block | null, mine: Block | null): void {
    const inquiry = this.#inquiry
    if (!inquiry || inquiry.answered & (1 << from)) return
    if (mine && mine.header.author !== from) {
      this.#refuse(from, 'BAD_AUTHOR')
      return
    }
    if (yours && yours.header.author !== this.#config.member) {
      this.#refuse(from, 'BAD_AUTHOR')
      return
    }
    if (yours) this.#receive(yours, from, true)
    if (!mine) {
      inquiry.answered |= 1 << from
      return
    }
    this.#receive(mine, from, true)
    const at = inquiry.waiting.findIndex(({ peer }) => peer === from)
    if (at >= 0) inquiry.waiting.splice(at, 1)
    inquiry.waiting.push({ peer: from, block: mine })
  }

  /**
   * An answer counts once the answerer's own newest block is accepted, so that nobody can name a round that does not
   * exist. Among q answers is one of an honest member of whose block of the round before my last was a parent: hence
   * my last round is at most one above the highest answer, and everything above that is safe to sign.
   */
  #inquire(): void {
    const inquiry = this.#inquiry
    if (!inquiry) return
    const { size, quorum } = this.committee
    for (const { peer, block } of inquiry.waiting.splice(0)) {
      const { author, round } = block.header
      if (this.dag.find({ author, round, digest: block.digest }) || round <= this.dag.gcRound) {
        inquiry.answered |= 1 << peer
        inquiry.floor = Math.max(inquiry.floor, round + 1)
      } else inquiry.waiting.push({ peer, block })
    }
    if (memberCount(inquiry.answered) >= Math.min(quorum, size - 1)) {
      this.#inquiry = null
      this.#lastOwnRound = Math.max(this.#lastOwnRound, inquiry.floor)
      const newest = this.dag.newest[this.#config.member]!
      if (newest.round > this.#lastOwn.round) this.#lastOwn = newest
      return
    }
    if (this.#nowMs < inquiry.askAtMs) return
    inquiry.askAtMs = this.#nowMs + 2 * this.#config.params.fetchRetryMs
    for (let peer = 0; peer < size; peer++) {
      if (this.#isPeer(peer) && !(inquiry.answered & (1 << peer))) this.#send(peer, { kind: 'ask-newest' })
    }
  }

  // ------------------------------------------------------------------- timer

  #wake(): void {
    let at = this.#parking.nextMs()
    if (this.#inquiry) at = Math.min(at, this.#inquiry.askAtMs)
    else if (!this.#silent && this.#production.stage === 'idle') {
      const round = this.#nextRound()
      if (this.#hasQuorumAt(round - 1)) at = Math.min(at, this.#dueMs(round))
    } else if (this.#production.stage === 'building') {
      const stalledAtMs = this.#stalledAtMs(this.#production.round)
      if (stalledAtMs > this.#nowMs) at = Math.min(at, stalledAtMs)
    }
    if (at === Number.POSITIVE_INFINITY) return
    if (at <= this.#nowMs) at = this.#nowMs + 1
    if (this.#wakeAtMs > this.#nowMs && this.#wakeAtMs <= at) return
    this.#wakeAtMs = at
    this.#effects.push({ kind: 'wake', atMs: at })
  }
}

/** Lower median of the times of the parents of the round before; all of them are at hand wherever the leader is. */
function medianOfParents(leader: Vertex): number {
  const times = leader.parents.filter((parent) => parent.round === leader.round - 1).map((parent) => parent.tsMs)
  return times.sort((a, b) => a - b)[(times.length - 1) >> 1] ?? 0
}
