import {
  type Block,
  COIN_BYTES,
  type CoinRule,
  type Commit,
  checkR2sParams,
  defaultR2sParams,
  digestKey,
  encodeMessage,
  type Message,
  R2s,
  type R2sEffect,
  type R2sEvent,
  type R2sParams,
  type R2sStart,
} from '@cumulus/r2s'
import { Checker, hashCommit, type SizeBounds, Violation } from './checker.ts'
import { Disk } from './disk.ts'
import { EventQueue } from './event-queue.ts'
import { LeaderStarver } from './leader-starver.ts'
import { Network } from './network.ts'
import { headerHashOf, Notary, standInCommittee } from './notary.ts'
import { type FaultKind, MEAN_DELAY_MS, MISHAPS, type Plan } from './plan.ts'
import { Random } from './random.ts'
import { StandInCoin, standInSign, standInVerify } from './stand-ins.ts'
import { accusing, endlessOf, type Liar, oldParentsOf, orphanOf, versionsOf, wrongBlock } from './traitors.ts'

/** Calm after which a committee that still stands still has stalled. */
const CALM_MS_MAX = 8000
/** A run of eleven has some 6,000. */
const EVENTS_MAX = 500_000
/** Rounds to be decided in the calm, above the highest round there was when it began. */
const CALM_ROUNDS = 24
/** A block of the calm is in the order so many rounds above those there were when it was shown. */
const INCLUDED_ROUNDS = 10
/**
 * Where many rounds are decided at once, late, they are voted for eight a block, and the votes take as long as blocks: so many rounds more
 * until certificates must be there.
 */
const VOTING_ROUNDS = 24
/** While it comes to somebody, with what is missing below it, so many rounds go by. */
const ARRIVAL_ROUNDS = 4

/** The directed adversary: some members run as two whole honest personas, each with half of the honest members. */
export interface Twins {
  readonly members: number
  /** Until then the halves, each with its personas, do not hear of each other. */
  readonly healMs: number
}

export interface RunResult {
  readonly plan: Plan
  readonly violation: Violation | null
  /** Equal for equal runs. */
  readonly trace: number
  readonly rounds: number
  readonly blocks: number
  readonly events: number
  readonly evidence: number
  readonly certificates: number
  readonly directCommits: number
  readonly directSkips: number
  readonly indirectCommits: number
  readonly indirectSkips: number
  /** Leaders committed before the calm began. */
  readonly committedInChaos: number
  /** From showing an own block to its place in the order of each honest member, over all of these; and how many they were. */
  readonly latencyMs: number
  readonly latencies: number
}

/** A running core with a disk. A twin has two of them under one name. */
interface Persona {
  readonly member: number
  readonly kinds: ReadonlySet<FaultKind>
  readonly disk: Disk
  readonly coin: StandInCoin
  readonly notary: Notary
  readonly skewMs: number
  /** Other traitors, or only itself: whom it can incriminate. */
  readonly accomplices: readonly number[]
  /** Members that get what this persona sends. */
  readonly reach: number
  /** Half of a directed split, or -1. */
  readonly half: number
  core: R2s
  alive: boolean
  incarnation: number
  working: boolean
  pressed: boolean
  decidedRound: number
  /** The last round it told, over all its lives. */
  toldRound: number
  /** Other versions of own blocks an equivocator has shown around. */
  readonly variants: Map<number, Block>
}

/** One committee, one thread, one seed: virtual time jumps from event to event. */
export class World {
  readonly plan: Plan
  readonly checker: Checker
  readonly #random: Random
  readonly #network: Network
  readonly #queue = new EventQueue<() => void>()
  readonly #personas: Persona[] = []
  readonly #byMember: Persona[][]
  readonly #params: R2sParams
  readonly #twins: Twins | null
  readonly #coinRule: CoinRule
  readonly #starver: LeaderStarver | null
  readonly #bounds: SizeBounds
  /** By digest: when the honest author showed the block. */
  readonly #shownAtMs = new Map<number, number>()
  #latencyMs = 0
  #latencies = 0
  #committedInChaos = 0
  #nowMs = 0
  #trace = 0
  #events = 0
  #evidence = 0
  #calmTip = 0
  /** Where the others were when one who was catching up last showed a block in the calm: the run goes on until that is judged. */
  #lateTip = 0
  #isAdopting = false

  constructor(plan: Plan, twins: Twins | null = null) {
    this.plan = plan
    this.#twins = twins
    this.#random = new Random(plan.seed ^ 0x5eed)
    this.#network = new Network(plan, this.#random)
    this.#params = paramsOf(plan)
    checkR2sParams(this.#params, plan.size)
    this.#coinRule = coinRuleOf(plan)
    this.#starver = plan.starvesLeaders ? new LeaderStarver(plan.size, plan.waveLength, PUBLIC_SEED) : null
    this.#bounds = boundsOf(plan)
    this.#byMember = Array.from({ length: plan.size }, () => [])
    const members = Array.from({ length: plan.size }, (_, member) => {
      const kinds = new Set(plan.faults.find((candidate) => candidate.member === member)?.kinds)
      const twin = twins ? member < twins.members : kinds.has('twin')
      return { member, kinds, twin, honest: !twin && kinds.isSubsetOf(MISHAPS) }
    })
    const honest = members.reduce((mask, { member, honest }) => (honest ? mask | (1 << member) : mask), 0)
    this.checker = new Checker(plan.size, honest, headerHashOf)
    const traitors = members.filter((candidate) => !candidate.honest).map(({ member }) => member)
    for (const { member, kinds, twin } of members) this.#addPersonas(member, kinds, twin, traitors)
  }

  run(): RunResult {
    let violation: Violation | null = null
    try {
      this.#play()
    } catch (error) {
      if (!(error instanceof Violation)) throw error
      violation = error
    }
    return {
      plan: this.plan,
      violation,
      trace: this.#trace >>> 0,
      rounds: this.checker.agreedRound,
      blocks: this.checker.blockCount,
      events: this.#events,
      evidence: this.#evidence,
      certificates: this.checker.certificateCount,
      directCommits: this.checker.directCount,
      directSkips: this.checker.skipCount,
      indirectCommits: this.checker.indirectCommitCount,
      indirectSkips: this.checker.indirectSkipCount,
      committedInChaos: this.#committedInChaos,
      latencyMs: this.#latencyMs,
      latencies: this.#latencies,
    }
  }

  // ------------------------------------------------------------------ the play

  #play(): void {
    for (const persona of this.#personas) this.#start(persona, { kind: 'fresh' })
    this.#planFaults()
    const chaosMs = this.#twins ? this.#twins.healMs : this.plan.chaosMs
    this.#queue.push(chaosMs, () => {}) // or what is held back until then would wait for an event that does not come
    let calm = false
    for (let next = this.#queue.pop(); next; next = this.#queue.pop()) {
      this.#nowMs = next.atMs
      if (!calm && next.atMs >= chaosMs) {
        calm = true
        this.#committedInChaos = this.checker.directCount + this.checker.indirectCommitCount
        this.#starver?.end()
        for (const persona of this.#honestPersonas()) {
          this.#calmTip = Math.max(this.#calmTip, persona.core.dag.highestRound)
        }
      }
      next.item()
      if (this.#events++ > EVENTS_MAX)
        throw new Violation('STALL', `${EVENTS_MAX} events and no end: time stands still`)
      if (calm && this.#events % 16 === 0 && this.#allArrived()) break
      if (next.atMs > chaosMs + CALM_MS_MAX) throw this.#stall()
    }
    if (!this.#allArrived()) throw this.#stall()
    this.#judgeEnd()
  }

  #honestPersonas(): Persona[] {
    return this.#personas.filter((persona) => this.checker.isHonest(persona.member))
  }

  #allArrived(): boolean {
    const honest = this.#honestPersonas()
    const tip = honest.reduce((round, { core }) => Math.max(round, core.lastOwnRound), 0)
    const due = Math.max(this.#calmTip + CALM_ROUNDS, this.#lateTip + INCLUDED_ROUNDS)
    // While a coin is summed rounds go on.
    const summedRounds = Math.ceil(this.plan.coinMs / MEAN_DELAY_MS)
    const areDecided = honest.every((persona) => {
      const behind = 2 * this.plan.waveLength + this.#heldRounds(persona) + summedRounds
      return persona.decidedRound >= Math.max(due, tip - behind)
    })
    if (!areDecided || tip > due + VOTING_ROUNDS) return areDecided
    const certifiedLeast = this.#certifiedLeast()
    return honest.every(({ notary }) => notary.certifiedHeight >= certifiedLeast)
  }

  /**
   * How far a member is behind for good because its clock is: blocks whose time is more than `clockSkewMsMax` ahead of it wait (SPEC 2.2),
   * and a round takes no less than the mean delay.
   */
  #heldRounds({ skewMs }: Persona): number {
    return Math.ceil(Math.max(0, this.plan.skewMs - skewMs - this.#params.clockSkewMsMax) / MEAN_DELAY_MS)
  }

  #stall(): Violation {
    const at = this.#honestPersonas().map(({ member, core }) => `${member}: ${core.decidedRound}/${core.lastOwnRound}`)
    return new Violation('STALL', `tip ${this.#calmTip} at calm; decided/own ${at.join(', ')}`)
  }

  /** Height up to which everybody has certificates in the end. */
  #certifiedLeast(): number {
    // Whose clock is beyond the bound votes late, like a traitor who does not vote at all: with more than f of both nothing is promised.
    const held = this.#honestPersonas().map((persona) => this.#heldRounds(persona))
    const promptCount = held.filter((rounds) => rounds === 0).length
    const arePrompt = promptCount >= this.plan.size - Math.floor((this.plan.size - 1) / 3)
    return arePrompt ? this.#calmTip + CALM_ROUNDS / 2 - Math.max(...held) : 0
  }

  #judgeEnd(): void {
    const certifiedLeast = this.#certifiedLeast()
    for (const { member, core, kinds, notary } of this.#honestPersonas()) {
      if (kinds.size === 0) {
        this.checker.assertIncluded(member, {
          fromTip: this.#calmTip + ARRIVAL_ROUNDS,
          toTip: this.checker.agreedRound - INCLUDED_ROUNDS,
          reach: this.#params.parentDepthRounds - ARRIVAL_ROUNDS,
          gcRound: core.gcRound,
        })
      }
      // Votes go out with the next own block and come in with all others: some rounds behind the order.
      if (notary.certifiedHeight < certifiedLeast) {
        throw new Violation('NOT_CERTIFIED', `member ${member}: ${notary.certifiedHeight} of ${core.decidedRound}`)
      }
    }
  }

  // --------------------------------------------------------------- the personas

  #addPersonas(member: number, kinds: ReadonlySet<FaultKind>, twin: boolean, traitors: readonly number[]): void {
    const all = 2 ** this.plan.size - 1
    const side = this.#random.below(all + 1)
    const halves = this.#twins ? (twin ? [0, 1] : [member & 1]) : [-1]
    const committee = standInCommittee(this.plan.size)
    const reaches = this.#twins || !twin ? halves.map(() => all) : [side, all & ~side]
    reaches.forEach((reach, i) => {
      const skewMs = kinds.has('edge-time')
        ? this.#random.pick(EDGE_SKEWS_MS)
        : kinds.has('clock')
          ? this.#random.between(-500, 2500)
          : this.#random.between(0, this.plan.skewMs)
      const coin = new StandInCoin(this.plan.seed, member)
      const half = halves[i] ?? -1
      const persona: Persona = {
        member,
        kinds,
        disk: new Disk(),
        coin,
        notary: new Notary({
          committee,
          member,
          checker: this.checker,
          splits: !kinds.isDisjointFrom(VOTE_SPLITTERS),
          seed: this.plan.seed,
        }),
        skewMs,
        accomplices: traitors.length > 1 ? traitors.filter((traitor) => traitor !== member) : [member],
        reach,
        half,
        core: this.#newCore(member),
        alive: true,
        incarnation: 0,
        working: false,
        pressed: false,
        decidedRound: 0,
        toldRound: 0,
        variants: new Map(),
      }
      this.#personas.push(persona)
      this.#byMember[member]!.push(persona)
    })
  }

  #newCore(member: number): R2s {
    return new R2s({
      chainId: 1n,
      era: 1,
      eraAnchor: ANCHOR,
      committeeSize: this.plan.size,
      member,
      params: this.#params,
      coin: this.#coinRule,
      sign: (message) => standInSign(member, message),
      verify: standInVerify,
    })
  }

  #start(persona: Persona, start: R2sStart): void {
    this.#apply(persona, persona.core.start(start, this.#nowMs + persona.skewMs))
    if (!this.plan.idle) this.#step(persona, { kind: 'work', pending: true, nowMs: 0 })
  }

  #step(persona: Persona, event: R2sEvent): void {
    if (!persona.alive) return
    this.#apply(persona, persona.core.step({ ...event, nowMs: this.#nowMs + persona.skewMs }))
  }

  /** `run` in `delayMs`, unless the persona has been killed by then. */
  #later(persona: Persona, delayMs: number, run: () => void): void {
    const { incarnation } = persona
    this.#queue.push(this.#nowMs + delayMs, () => {
      if (persona.alive && persona.incarnation === incarnation) run()
    })
  }

  #apply(persona: Persona, effects: readonly R2sEffect[]): void {
    const watched = this.checker.isHonest(persona.member)
    if (watched) this.checker.sized(persona.member, persona.core.sizes, persona.disk.length, this.#bounds)
    for (const effect of effects) {
      switch (effect.kind) {
        case 'store':
          persona.disk.append({ kind: 'block', block: effect.block })
          persona.notary.accepted(effect.block)
          break
        case 'store-coin':
          persona.disk.append({ kind: 'coin', coin: effect.coin })
          break
        case 'persist':
          this.#persist(persona, effect.block)
          break
        case 'send':
          this.#send(persona, effect.to, effect.message)
          break
        case 'broadcast':
          this.#broadcast(persona, effect.message)
          break
        case 'propose':
          this.#later(persona, 0, () => this.#propose(persona, effect))
          break
        case 'combine': {
          const sum = persona.coin.combine(effect.round, effect.shares)
          const value = 'value' in sum ? sum.value : null
          const badShares = 'badShares' in sum ? sum.badShares : []
          const { round } = effect
          const { coinMs } = this.plan
          this.#later(persona, coinMs, () => this.#step(persona, { kind: 'coin', round, value, badShares, nowMs: 0 }))
          break
        }
        case 'verify-coin': {
          const { round } = effect
          const isRight = persona.coin.verify(round, effect.value)
          const { coinMs } = this.plan
          this.#later(persona, coinMs, () => this.#step(persona, { kind: 'coin-verified', round, isRight, nowMs: 0 }))
          break
        }
        case 'commit':
          persona.decidedRound = effect.commit.round
          if (watched) this.checker.committed(persona.member, effect.commit)
          persona.notary.committed(effect.commit)
          if (watched) this.#committed(persona, effect.commit)
          break
        case 'wake': {
          // No timer is finer than a microsecond; below what a double can add to the time, it would never pass.
          const delayMs = Math.max(0.001, effect.atMs - persona.skewMs - this.#nowMs)
          this.#later(persona, delayMs, () => this.#step(persona, { kind: 'tick', nowMs: 0 }))
          break
        }
        case 'equivocation':
          this.#evidence++
          this.#judgeBlame(watched, effect.evidence.author, 'equivocation')
          break
        case 'bad-shares':
          for (const author of effect.authors) this.#judgeBlame(watched, author, 'bad coin share')
          break
        case 'refuse':
          this.#judgeBlame(watched, effect.from, effect.code)
          break
        case 'behind':
          this.#later(persona, 2 * MEAN_DELAY_MS, () => this.#catchUp(persona))
          break
        case 'silenced':
          if (watched) throw new Violation('HONEST_EQUIVOCATION', `member ${persona.member} met itself`)
          break
        case 'halt':
          if (watched) throw new Violation('PANIC', `${effect.code}, round ${effect.round}, author ${effect.author}`)
          persona.alive = false
          break
        case 'returned':
          if (watched) this.checker.returned(persona.member, effect.payload, this.#isAdopting)
          break
      }
    }
  }

  #committed(persona: Persona, commit: Commit): void {
    this.#mix(hashCommit(commit) % 2 ** 32)
    if (commit.round > persona.toldRound) {
      persona.toldRound = commit.round
      for (const { digest } of commit.blocks) {
        const shownAtMs = this.#shownAtMs.get(digestKey(digest))
        if (shownAtMs === undefined) continue
        this.#latencyMs += this.#nowMs - shownAtMs
        this.#latencies++
      }
    }
    const { compactions, pressureChance } = this.plan
    const { blocks, knownCoins } = persona.core.sizes
    const mustRotate = persona.disk.length > ROTATE_FACTOR * (blocks + knownCoins) + ROTATE_RECORDS
    if (mustRotate || (compactions && this.#random.chance(0.05))) this.#later(persona, 0, () => this.#compact(persona))
    if (pressureChance > 0 && this.#random.chance(pressureChance)) {
      persona.pressed = !persona.pressed
      const high = persona.pressed
      this.#later(persona, 0, () => this.#step(persona, { kind: 'pressure', high, nowMs: 0 }))
    }
  }

  /** An honest member lets others see its own block. */
  #shown(persona: Persona, block: Block): void {
    const tip = this.checker.shown(block)
    const isCatchingUp = tip - block.header.round >= INCLUDED_ROUNDS + this.#heldRounds(persona)
    if (this.#calmTip > 0 && isCatchingUp) this.#lateTip = tip
    const key = digestKey(block.digest)
    if (!this.#shownAtMs.has(key)) this.#shownAtMs.set(key, this.#nowMs)
  }

  #judgeBlame(watched: boolean, author: number, reason: string): void {
    if (watched) this.checker.blamed(author, reason)
  }

  #propose(persona: Persona, effect: R2sEffect & { kind: 'propose' }): void {
    const speaks = effect.payloadBytesMax > 0 && (this.plan.idle ? persona.working : this.#random.chance(0.7))
    const payload = speaks ? this.#random.bytes(8) : EMPTY
    let coinShare = effect.coinRound === null ? null : persona.coin.share(effect.coinRound)
    if (persona.kinds.has('no-share')) coinShare = null
    if (coinShare && persona.kinds.has('bad-share')) {
      coinShare = Uint8Array.from(coinShare)
      coinShare[this.#random.chance(0.8) ? 95 : 0]! ^= 1
    }
    const { round } = effect
    this.#step(persona, {
      kind: 'proposal',
      round,
      payload,
      txCount: 0,
      votes: persona.notary.take(),
      coinShare,
      nowMs: 0,
    })
    if (speaks && persona.working) {
      persona.working = false
      this.#step(persona, { kind: 'work', pending: false, nowMs: 0 })
    }
  }

  // ------------------------------------------------------------------- the disk

  #persist(persona: Persona, block: Block): void {
    persona.disk.append({ kind: 'block', block })
    this.#starver?.built(persona.member, block.header.round)
    const upTo = persona.disk.length
    const { fsyncMs, slowFsyncChance } = this.plan
    const slow = this.#random.chance(slowFsyncChance) && this.#nowMs < this.plan.chaosMs
    const delayMs = slow ? Math.min(100, this.plan.chaosMs - this.#nowMs) : fsyncMs * this.#random.between(0.5, 1.5)
    this.#later(persona, delayMs, () => {
      persona.disk.sync(upTo)
      persona.notary.accepted(block)
      this.#step(persona, { kind: 'persisted', round: block.header.round, nowMs: 0 })
    })
  }

  #compact(persona: Persona): void {
    const { core, disk } = persona
    // An own block under way is not in the window yet and must not be lost.
    const unsent = disk.records.filter(
      (record) =>
        record.kind === 'block' &&
        record.block.header.author === persona.member &&
        record.block.header.round > core.lastOwnRound,
    )
    disk.replace([
      { kind: 'checkpoint', checkpoint: core.checkpoint() },
      ...core.coins().map((coin) => ({ kind: 'coin' as const, coin })),
      ...core.window().map((block) => ({ kind: 'block' as const, block })),
      ...unsent,
    ])
  }

  #kill(persona: Persona, downMs: number, memory: Memory): void {
    if (!persona.alive) return
    persona.alive = false
    persona.incarnation++
    persona.disk.crash(this.#random)
    if (memory === 'lost' || memory === 'fresh') persona.disk.wipe()
    persona.pressed = false
    if (downMs === Number.POSITIVE_INFINITY) return
    const upMs = Math.min(this.#nowMs + downMs, Math.max(this.plan.chaosMs, this.#nowMs))
    this.#queue.push(upMs, () => {
      if (persona.alive) return
      persona.alive = true
      persona.core = this.#newCore(persona.member)
      const start = this.#startFrom(persona.disk, memory)
      const from = start.kind === 'log' && start.checkpoint ? start.checkpoint.round : 1
      if (start.kind === 'log' && this.checker.isHonest(persona.member)) {
        for (const block of start.blocks) if (block.header.author === persona.member) this.checker.shown(block)
      }
      this.checker.restarted(persona.member, from)
      persona.decidedRound = from - 1
      // Certificates are stored as they come; a log that was lost took them along.
      persona.notary.restart(start.kind === 'log' ? persona.notary.certifiedHeight : 0)
      this.#start(persona, start)
      for (let peer = 0; peer < this.plan.size; peer++) if (peer !== persona.member) this.#connect(persona.member, peer)
    })
  }

  #startFrom(disk: Disk, memory: Memory): R2sStart {
    if (memory === 'damaged') return disk.loadDamaged(this.#random)
    if (memory !== 'log') return { kind: memory }
    return disk.load(this.plan.codecs || this.#random.chance(0.3), this.#random)
  }

  /** What a far-behind member learns from certified chain blocks: where the most advanced honest member stands. */
  #catchUp(persona: Persona): void {
    const ahead = this.#honestPersonas()
      .filter((other) => other.alive)
      .reduce((a, b) => (b.decidedRound > a.decidedRound ? b : a))
    const checkpoint = ahead.core.checkpoint()
    if (checkpoint.round <= persona.core.decidedRound + 1) return
    if (this.checker.isHonest(persona.member)) this.checker.restarted(persona.member, checkpoint.round)
    persona.decidedRound = checkpoint.round - 1
    persona.disk.append({ kind: 'checkpoint', checkpoint })
    persona.notary.adopted(ahead.notary.certifiedHeight)
    this.#isAdopting = true
    this.#step(persona, { kind: 'adopt', checkpoint, nowMs: 0 })
    this.#isAdopting = false
    // As a snapshot would be written: the old records lie below it.
    this.#compact(persona)
  }

  // ---------------------------------------------------------------- the network

  #connect(a: number, b: number): void {
    for (const persona of this.#byMember[a]!) this.#step(persona, { kind: 'connected', peer: b, nowMs: 0 })
    for (const persona of this.#byMember[b]!) this.#step(persona, { kind: 'connected', peer: a, nowMs: 0 })
  }

  #broadcast(persona: Persona, message: Message): void {
    if (message.kind === 'block' && this.checker.isHonest(persona.member)) this.#shown(persona, message.block)
    if (persona.kinds.has('equivocator') && message.kind === 'block') {
      this.#spread(persona, [message.block, ...versionsOf(this.#liar(persona), message.block)])
    } else {
      const hidden = persona.kinds.has('withholder') ? this.#random.below(2 ** this.plan.size) : 0
      for (let to = 0; to < this.plan.size; to++) {
        if (to !== persona.member && !(hidden & (1 << to))) this.#send(persona, to, message)
      }
    }
    this.#lie(persona, message)
  }

  #send(persona: Persona, to: number, message: Message): void {
    if (message.kind === 'block' && message.block.header.author === persona.member) {
      if (this.checker.isHonest(persona.member)) this.#shown(persona, message.block)
    }
    if (!(persona.reach & (1 << to))) return
    if (persona.kinds.has('withholder') && ANSWERS.has(message.kind) && this.#random.chance(0.5)) return
    if (persona.kinds.has('bad-share') && message.kind === 'coins') {
      message = {
        kind: 'coins',
        coins: message.coins.map(({ round }) => ({ round, value: this.#random.bytes(COIN_BYTES) })),
      }
    }
    if (this.#starver && this.#nowMs < this.plan.chaosMs) {
      if (this.#starver.holds(message, () => this.#deliver(persona, to, message))) return
    }
    this.#deliver(persona, to, message)
  }

  #deliver(persona: Persona, to: number, message: Message): void {
    const late = persona.kinds.has('late') ? 5 * MEAN_DELAY_MS : 0
    for (const receiver of this.#byMember[to]!) {
      const fate = this.#network.fate(persona.member, to, this.#nowMs)
      if (fate === 'lost') continue
      const held = this.#twins && receiver.half !== persona.half ? Math.max(0, this.#twins.healMs - this.#nowMs) : 0
      for (const delayMs of fate) this.#arrive(persona.member, receiver, message, delayMs + late + held)
    }
  }

  #arrive(from: number, receiver: Persona, message: Message, delayMs: number): void {
    const bytes = this.plan.codecs ? encodeMessage(message) : null
    this.#queue.push(this.#nowMs + delayMs, () => {
      if (!receiver.alive) return
      this.#mix(Math.floor(this.#nowMs * 1000) ^ (from << 8) ^ receiver.member)
      if (receiver.variants.size > 0 && message.kind === 'fetch') this.#serveVariants(receiver, from, message)
      const event = bytes ? { kind: 'frame' as const, bytes } : { kind: 'message' as const, message }
      this.#step(receiver, { ...event, from, nowMs: 0 })
    })
  }

  #mix(value: number): void {
    this.#trace = Math.imul(this.#trace ^ value, 0x85eb_ca6b)
    this.#trace ^= this.#trace >>> 13
  }

  // --------------------------------------------------------------- the traitors

  #planFaults(): void {
    const { plan } = this
    for (const { fromMs: _, toMs, side, cuts } of plan.partitions) {
      if (!cuts) continue
      this.#queue.push(toMs, () => {
        for (let a = 0; a < plan.size; a++) {
          for (let b = a + 1; b < plan.size; b++) if (((side >> a) & 1) !== ((side >> b) & 1)) this.#connect(a, b)
        }
      })
    }
    for (const { member, atMs, downMs } of plan.restarts) {
      this.#queue.push(atMs, () => this.#kill(this.#byMember[member]![0]!, downMs, 'log'))
    }
    for (const persona of this.#personas) {
      const atMs = this.#random.between(5, plan.chaosMs)
      for (const [kind, memory] of ENDS) {
        const downMs = kind === 'silent' ? Number.POSITIVE_INFINITY : 10
        if (persona.kinds.has(kind)) this.#queue.push(atMs, () => this.#kill(persona, downMs, memory))
      }
      if (plan.idle) this.#speakUp(persona)
    }
  }

  #speakUp(persona: Persona): void {
    this.#queue.push(this.#nowMs + this.#random.between(50, 500), () => {
      persona.working = true
      this.#step(persona, { kind: 'work', pending: true, nowMs: 0 })
      this.#speakUp(persona)
    })
  }

  #liar({ member, core }: Persona): Liar {
    return { member, core, random: this.#random, size: this.plan.size, params: this.#params }
  }

  /** One of these to each, and now and then two. */
  #spread(persona: Persona, versions: readonly Block[]): void {
    for (const version of versions.slice(1)) persona.variants.set(digestKey(version.digest), version)
    for (let to = 0; to < this.plan.size; to++) {
      if (to === persona.member) continue
      this.#send(persona, to, { kind: 'block', block: this.#random.pick(versions) })
      if (this.#random.chance(0.1)) this.#send(persona, to, { kind: 'block', block: this.#random.pick(versions) })
    }
  }

  /** What some traitors send beside their blocks. */
  #lie(persona: Persona, message: Message): void {
    const { kinds, accomplices } = persona
    if (kinds.has('garbage')) this.#litter(persona, message)
    if (message.kind !== 'block') return
    const { block } = message
    const liar = this.#liar(persona)
    const random = this.#random
    const tell = (lie: Block): void => {
      const to = random.below(this.plan.size)
      if (to !== persona.member) this.#send(persona, to, { kind: 'block', block: lie })
    }
    if (kinds.has('flooder')) {
      for (let i = 0; i < 3; i++) tell(orphanOf(liar, block))
      if (random.chance(0.2)) this.#spread(persona, [block, oldParentsOf(liar, block)])
    }
    if (kinds.has('edge-time') && random.chance(0.1)) tell(endlessOf(liar, block))
    if (kinds.has('evidence-spam') && random.chance(0.5)) {
      this.#spread(persona, [
        block,
        accusing(liar, block, random.pick(accomplices)),
        accusing(liar, block, random.pick(accomplices)),
      ])
    }
  }

  #serveVariants(persona: Persona, to: number, question: Message & { kind: 'fetch' }): void {
    const blocks = []
    for (const ref of question.wanted) {
      const variant = persona.variants.get(digestKey(ref.digest))
      if (variant) blocks.push(variant)
    }
    if (blocks.length > 0) this.#send(persona, to, { kind: 'blocks', blocks, gcRound: 0 })
  }

  /** What a stranger might send: bytes of nothing, and blocks that are wrong in one place. */
  #litter(persona: Persona, message: Message): void {
    const to = this.#random.below(this.plan.size)
    const receiver = this.#byMember[to]![0]!
    if (to === persona.member) return
    if (this.#random.chance(0.4) || message.kind !== 'block') {
      const bytes = encodeMessage(message)
      for (let i = 0; i < 3; i++) bytes[this.#random.below(bytes.length)] = this.#random.below(256)
      const cut = this.#random.chance(0.5) ? bytes.subarray(0, this.#random.below(bytes.length)) : bytes
      this.#queue.push(this.#nowMs + MEAN_DELAY_MS, () =>
        this.#step(receiver, { kind: 'frame', from: persona.member, bytes: cut, nowMs: 0 }),
      )
      return
    }
    const block = wrongBlock(this.#liar(persona), message.block)
    if (block) this.#send(persona, to, { kind: 'block', block })
  }
}

const ANSWERS: ReadonlySet<Message['kind']> = new Set(['blocks', 'coins'])

/** Traitors of these kinds also lie about headers. */
const VOTE_SPLITTERS: ReadonlySet<FaultKind> = new Set(['equivocator', 'garbage', 'bad-share', 'twin'])

/** What a crash of these kinds leaves of the log. */
const ENDS = [
  ['silent', 'log'],
  ['amnesiac', 'fresh'],
  ['lost-log', 'lost'],
  ['bit-flip', 'damaged'],
] as const
type Memory = (typeof ENDS)[number][1]

/** Always the time of the parents, the most a block may be ahead, and just more. */
const EDGE_SKEWS_MS = [-1e6, 500, 501]

/** As nodes do: a log this much longer than what it would be cut down to is cut. */
const ROTATE_FACTOR = 4
const ROTATE_RECORDS = 64

const PUBLIC_SEED = new Uint8Array(32).fill(3)
const ANCHOR = new Uint8Array(32).fill(7)
const EMPTY = new Uint8Array(0)

function paramsOf(plan: Plan): R2sParams {
  return {
    ...defaultR2sParams(plan.size),
    waveLength: plan.waveLength,
    leadersPerRound: plan.leaders,
    gcDepthRounds: plan.gcDepth,
    parentDepthRounds: Math.floor((plan.gcDepth * 3) / 8),
    exposureDepthRounds: Math.floor(plan.gcDepth / 4),
    minRoundMs: 1,
    idleRoundMs: 100,
    fetchRetryMs: 2.5 * MEAN_DELAY_MS,
    parkedPerAuthorMax: plan.parkedMax,
    replyBytesMax: plan.replyBytesMax,
    stallMs: 2000,
    joinStallMs: 4 * MEAN_DELAY_MS,
    undecidedRoundsMax: Math.min(48, plan.undecidedStop),
    undecidedRoundsStop: plan.undecidedStop,
    stalledRoundMs: 4 * MEAN_DELAY_MS,
    coinAskMs: plan.impatient ? 0 : 10 * MEAN_DELAY_MS,
  }
}

function coinRuleOf({ coin, shareless, size }: Plan): CoinRule {
  if (coin === 'public') return { mode: 'public', seed: PUBLIC_SEED }
  const holders = (2 ** size - 1) & (shareless === null ? -1 : ~(1 << shareless))
  return { mode: 'threshold', holders, wellFormed: StandInCoin.wellFormed }
}

/**
 * What a member may keep. Twins double the blocks of a round at most: others are only kept if somebody honest waits for
 * them. A log grows to what makes it be cut, and then by what is not decided.
 */
function boundsOf({ size, gcDepth, parkedMax, undecidedStop }: Plan): SizeBounds {
  const rounds = gcDepth + UNDECIDED_MAX
  const blocks = 2 * size * rounds
  const parked = 2 * size * parkedMax
  const knownCoins = 4 * undecidedStop + gcDepth + UNDECIDED_MAX
  const sizes = {
    blocks,
    parked,
    wanted: parked * 2 * size,
    refused: 4096,
    coins: rounds,
    knownCoins,
    shownCoins: rounds,
    output: blocks,
  }
  return { ...sizes, logRecords: (ROTATE_FACTOR + 1) * (blocks + knownCoins) + ROTATE_RECORDS }
}

/** Rounds that may be undecided in the short time that a run takes. */
const UNDECIDED_MAX = 128
