import {
  type Block,
  checkR2sParams,
  committeeOf,
  defaultR2sParams,
  digestKey,
  encodeMessage,
  type Message,
  R2s,
  type R2sEffect,
  type R2sEvent,
  type R2sParams,
  type R2sStart,
  sealBlock,
} from '@cumulus/r2s'
import { Checker, hashCommit, Violation } from './checker.ts'
import { Disk } from './disk.ts'
import { EventQueue } from './event-queue.ts'
import { Network } from './network.ts'
import { headerHashOf, Notary, standInCommittee } from './notary.ts'
import { type FaultKind, MEAN_DELAY_MS, type Plan } from './plan.ts'
import { Random } from './random.ts'
import { StandInCoin, standInSign, standInVerify } from './stand-ins.ts'

/** Calm after which a committee that still stands still has stalled. */
const CALM_MS_MAX = 8000
/** A run of eleven has some 6,000. */
const EVENTS_MAX = 500_000
/** Rounds to be decided in the calm, above the highest round there was when it began. */
const CALM_ROUNDS = 24

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
  readonly indirect: number
}

/** A running core with a disk. A twin has two of them under one name. */
interface Persona {
  readonly member: number
  readonly fault: FaultKind | null
  readonly disk: Disk
  readonly coin: StandInCoin
  readonly notary: Notary
  readonly skewMs: number
  /** Members that get what this persona sends. */
  readonly reach: number
  /** Half of a directed split, or -1. */
  readonly half: number
  core: R2s
  alive: boolean
  incarnation: number
  working: boolean
  decidedRound: number
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
  #nowMs = 0
  #trace = 0
  #events = 0
  #evidence = 0
  #calmTip = 0

  constructor(plan: Plan, twins: Twins | null = null) {
    this.plan = plan
    this.#twins = twins
    this.#random = new Random(plan.seed ^ 0x5eed)
    this.#network = new Network(plan, this.#random)
    this.#params = paramsOf(plan)
    checkR2sParams(this.#params, plan.size)
    this.#byMember = Array.from({ length: plan.size }, () => [])
    const members = Array.from({ length: plan.size }, (_, member) => {
      const fault = plan.faults.find((candidate) => candidate.member === member)?.kind ?? null
      return { member, fault, twin: twins ? member < twins.members : fault === 'twin' }
    })
    const honest = members.reduce(
      (mask, { member, fault, twin }) =>
        twin || (fault !== null && fault !== 'lost-log') ? mask : mask | (1 << member),
      0,
    )
    this.checker = new Checker(plan.size, honest, headerHashOf)
    for (const { member, fault, twin } of members) this.#addPersonas(member, fault, twin)
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
      indirect: this.checker.indirectCount,
    }
  }

  // ------------------------------------------------------------------ the play

  #play(): void {
    for (const persona of this.#personas) this.#start(persona, { kind: 'fresh' })
    this.#planFaults()
    const chaosMs = this.#twins ? this.#twins.healMs : this.plan.chaosMs
    let calm = false
    for (let next = this.#queue.pop(); next; next = this.#queue.pop()) {
      this.#nowMs = next.atMs
      if (!calm && next.atMs >= chaosMs) {
        calm = true
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
    for (const persona of this.#personas) {
      if (this.checker.isHonest(persona.member) && persona.decidedRound < this.#calmTip + CALM_ROUNDS) return false
    }
    return true
  }

  #stall(): Violation {
    const at = this.#honestPersonas().map(({ member, core }) => `${member}: ${core.decidedRound}/${core.lastOwnRound}`)
    return new Violation('STALL', `tip ${this.#calmTip} at calm; decided/own ${at.join(', ')}`)
  }

  #judgeEnd(): void {
    for (const { member, core, fault, notary } of this.#honestPersonas()) {
      const lastRound = this.checker.agreedRound - 10
      if (fault === null) this.checker.assertIncluded(member, this.#calmTip + 4, lastRound)
      // Votes go out with the next own block and come in with all others: some rounds behind the order.
      if (notary.certifiedHeight < this.#calmTip + CALM_ROUNDS / 2) {
        throw new Violation('NOT_CERTIFIED', `member ${member}: ${notary.certifiedHeight} of ${core.decidedRound}`)
      }
      const bound = 2 * this.plan.size * (this.plan.gcDepth + 128)
      if (core.window().length > bound) throw new Violation('UNBOUNDED', `member ${member} keeps over ${bound} blocks`)
    }
  }

  // --------------------------------------------------------------- the personas

  #addPersonas(member: number, fault: FaultKind | null, twin: boolean): void {
    const all = 2 ** this.plan.size - 1
    const side = this.#random.below(all + 1)
    const halves = this.#twins ? (twin ? [0, 1] : [member & 1]) : [-1]
    const committee = standInCommittee(this.plan.size)
    const reaches = this.#twins || !twin ? halves.map(() => all) : [side, all & ~side]
    reaches.forEach((reach, i) => {
      const skewMs = fault === 'clock' ? this.#random.between(-500, 2500) : this.#random.between(0, this.plan.skewMs)
      const coin = new StandInCoin(this.plan.seed, member)
      const half = halves[i] ?? -1
      const persona: Persona = {
        member,
        fault,
        disk: new Disk(),
        coin,
        notary: new Notary({
          committee,
          member,
          checker: this.checker,
          splits: fault !== null && VOTE_SPLITTERS.has(fault),
          seed: this.plan.seed,
        }),
        skewMs,
        reach,
        half,
        core: this.#newCore(member),
        alive: true,
        incarnation: 0,
        working: false,
        decidedRound: 0,
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
      coin: { mode: 'threshold', holders: 2 ** this.plan.size - 1, wellFormed: StandInCoin.wellFormed },
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
    for (const effect of effects) {
      switch (effect.kind) {
        case 'store':
          persona.disk.append({ kind: 'block', block: effect.block })
          persona.notary.accepted(effect.block)
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
          this.#later(persona, 0, () => this.#step(persona, { kind: 'coin', round, value, badShares, nowMs: 0 }))
          break
        }
        case 'commit':
          persona.decidedRound = effect.commit.round
          if (watched) this.checker.committed(persona.member, effect.commit)
          persona.notary.committed(effect.commit)
          if (!watched) break
          this.#mix(hashCommit(effect.commit) % 2 ** 32)
          if (this.plan.compactions && this.#random.chance(0.05)) this.#later(persona, 0, () => this.#compact(persona))
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
          break
      }
    }
  }

  #judgeBlame(watched: boolean, author: number, reason: string): void {
    if (watched) this.checker.blamed(author, reason)
  }

  #propose(persona: Persona, effect: R2sEffect & { kind: 'propose' }): void {
    const speaks = effect.payloadBytesMax > 0 && (this.plan.idle ? persona.working : this.#random.chance(0.7))
    const payload = speaks ? this.#random.bytes(8) : EMPTY
    let coinShare = effect.coinRound === null ? null : persona.coin.share(effect.coinRound)
    if (coinShare && persona.fault === 'bad-share') {
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
    const unsent = disk.load(false, this.#random)
    const records = Array.from(unsent.blocks).filter(
      ({ header }) => header.author === persona.member && header.round > core.lastOwnRound,
    )
    disk.replace([
      { kind: 'checkpoint', checkpoint: core.checkpoint() },
      ...core.window().map((block) => ({ kind: 'block' as const, block })),
      ...records.map((block) => ({ kind: 'block' as const, block })),
    ])
  }

  #kill(persona: Persona, downMs: number, memory: 'log' | 'lost' | 'fresh'): void {
    if (!persona.alive) return
    persona.alive = false
    persona.incarnation++
    persona.disk.crash(this.#random)
    if (memory !== 'log') persona.disk.wipe()
    if (downMs === Number.POSITIVE_INFINITY) return
    const upMs = Math.min(this.#nowMs + downMs, Math.max(this.plan.chaosMs, this.#nowMs))
    this.#queue.push(upMs, () => {
      if (persona.alive) return
      persona.alive = true
      persona.core = this.#newCore(persona.member)
      const start = memory === 'log' ? persona.disk.load(this.plan.codecs, this.#random) : { kind: memory }
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
    this.#step(persona, { kind: 'adopt', checkpoint, nowMs: 0 })
    // As a snapshot would be written: the old records lie below it.
    this.#compact(persona)
  }

  // ---------------------------------------------------------------- the network

  #connect(a: number, b: number): void {
    for (const persona of this.#byMember[a]!) this.#step(persona, { kind: 'connected', peer: b, nowMs: 0 })
    for (const persona of this.#byMember[b]!) this.#step(persona, { kind: 'connected', peer: a, nowMs: 0 })
  }

  #broadcast(persona: Persona, message: Message): void {
    if (message.kind === 'block' && this.checker.isHonest(persona.member)) this.checker.shown(message.block)
    if (persona.fault === 'equivocator' && message.kind === 'block') {
      this.#equivocate(persona, message.block)
      return
    }
    const hidden = persona.fault === 'withholder' ? this.#random.below(2 ** this.plan.size) : 0
    for (let to = 0; to < this.plan.size; to++) {
      if (to !== persona.member && !(hidden & (1 << to))) this.#send(persona, to, message)
    }
    if (persona.fault === 'garbage') this.#litter(persona, message)
  }

  #send(persona: Persona, to: number, message: Message): void {
    if (message.kind === 'block' && message.block.header.author === persona.member) {
      if (this.checker.isHonest(persona.member)) this.checker.shown(message.block)
    }
    if (!(persona.reach & (1 << to))) return
    if (persona.fault === 'withholder' && message.kind === 'blocks' && this.#random.chance(0.5)) return
    const late = persona.fault === 'late' ? 5 * MEAN_DELAY_MS : 0
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
      if (persona.fault === 'silent') this.#queue.push(atMs, () => this.#kill(persona, Number.POSITIVE_INFINITY, 'log'))
      if (persona.fault === 'amnesiac') this.#queue.push(atMs, () => this.#kill(persona, 10, 'fresh'))
      if (persona.fault === 'lost-log') this.#queue.push(atMs, () => this.#kill(persona, 10, 'lost'))
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

  /** Two or three versions of a block, with other contents and other parents, to whom they will confuse. */
  #equivocate(persona: Persona, block: Block): void {
    const versions = [block]
    const quorum = committeeOf(this.plan.size).quorum
    for (let i = 0; i < 1 + this.#random.below(2); i++) {
      const { header } = block
      const parents = header.parents.filter((parent, j) => j === 0 || parent.round > 0 || this.#random.chance(0.9))
      while (this.#random.chance(0.6)) {
        const at = 1 + this.#random.below(parents.length)
        const strongCount = parents.filter((parent) => parent.round === header.round - 1).length
        const parent = parents[at]
        if (parent && (parent.round < header.round - 1 || strongCount > quorum)) parents.splice(at, 1)
      }
      const vertices = parents.map((ref) => persona.core.dag.find(ref)).filter((vertex) => vertex !== undefined)
      const exposed = persona.core.dag.exposedBy(vertices, header.round, this.#params.exposureDepthRounds)
      const changed = { ...header, parents, exposed, tsMs: header.tsMs + this.#random.below(2) }
      const version = sealBlock(changed, this.#random.bytes(4), (message) => standInSign(persona.member, message))
      versions.push(version)
      persona.variants.set(digestKey(version.digest), version)
    }
    for (let to = 0; to < this.plan.size; to++) {
      if (to === persona.member) continue
      this.#send(persona, to, { kind: 'block', block: this.#random.pick(versions) })
      if (this.#random.chance(0.1)) this.#send(persona, to, { kind: 'block', block: this.#random.pick(versions) })
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
    const { header, payload, signature } = message.block
    const victim = this.#random.below(this.plan.size)
    const digest = this.#random.bytes(32)
    const wrong = this.#random.pick([
      { ...header, author: victim },
      { ...header, round: header.round + 5 + this.#random.below(200) },
      { ...header, era: 2 },
      { ...header, parents: [...header.parents].reverse() },
      { ...header, parents: header.parents.slice(0, 1) },
      { ...header, parents: header.parents.map((parent, i) => (i === 1 ? { ...parent, digest } : parent)) },
      { ...header, coinShare: null },
      { ...header, exposed: header.exposed ^ (1 << victim) },
      {
        ...header,
        evidence: {
          author: victim,
          round: 1,
          firstDigest: digest,
          firstSignature: signature,
          secondDigest: header.payloadHash,
          secondSignature: signature,
        },
      },
    ])
    try {
      const block = sealBlock(wrong, payload, (bytes) => standInSign(persona.member, bytes))
      this.#send(persona, to, { kind: 'block', block })
    } catch (error) {
      if (!(error instanceof RangeError)) throw error // a parent out of reach of the layout
    }
  }
}

/** Traitors of these kinds also lie about headers. */
const VOTE_SPLITTERS: ReadonlySet<FaultKind> = new Set(['equivocator', 'garbage', 'bad-share', 'twin'])

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
  }
}
