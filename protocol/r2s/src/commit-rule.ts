import { leaderOrder } from './coin.ts'
import { memberCount } from './committee.ts'
import type { Dag, Vertex } from './dag.ts'
import { R2sPanic } from './errors.ts'
import { certificates, voteOf } from './support.ts'

export const UNDECIDED = 0
export const SKIP = 1
export const COMMIT = 2
type Status = typeof UNDECIDED | typeof SKIP | typeof COMMIT

/** The slots of one leader round, in the order the coin gave them. */
export interface Wave {
  readonly round: number
  /** Members in the order they lead, once the coin is known. */
  order: Uint8Array | null
  coin: Uint8Array | null
  /** By slot k. Final once not UNDECIDED. */
  readonly status: Uint8Array
  readonly leader: (Vertex | null)[]
  /** By slot k: decided by its own wave, not by a later anchor. */
  readonly direct: boolean[]
  undecidedCount: number
  /** By author: mask of the members that blame his slot. */
  readonly blame: number[]
  /** By author: the block some accepted block certifies. There cannot be two. */
  readonly certified: (Vertex | null)[]
}

/**
 * SPEC 2.7. Round r leads, v = r+w-2 votes, d = r+w-1 decides; slot (r, k) belongs to member order(coin(r))[k].
 * Counts votes as blocks are accepted, so that a slot is judged from two masks.
 */
export class CommitRule {
  readonly #dag: Dag
  readonly #size: number
  readonly #quorum: number
  readonly #waveLength: number
  readonly #leaders: number
  readonly #waves = new Map<number, Wave>()
  /** The first round with a slot that is not decided: everything below was handed out. */
  firstUndecidedRound = 1
  #changed = false

  constructor(dag: Dag, options: { quorum: number; waveLength: number; leadersPerRound: number }) {
    this.#dag = dag
    this.#size = dag.size
    this.#quorum = options.quorum
    this.#waveLength = options.waveLength
    this.#leaders = options.leadersPerRound
  }

  /** Counts the votes of a newly accepted block. @throws R2sPanic if more members lie than the rule survives */
  observe(vertex: Vertex): void {
    const voted = vertex.round - (this.#waveLength - 2)
    if (voted >= this.firstUndecidedRound) {
      const wave = this.#wave(voted)
      for (let author = 0; author < this.#size; author++) {
        if (voteOf(vertex, author, this.#size, this.#waveLength) === null) wave.blame[author]! |= 1 << vertex.author
      }
      this.#changed = true
    }
    const decided = voted - 1
    if (decided >= this.firstUndecidedRound) {
      const wave = this.#wave(decided)
      vertex.certs = certificates(vertex.parents, vertex.round, this.#size, this.#quorum, this.#waveLength)
      for (let author = 0; author < this.#size; author++) {
        const leader = vertex.certs[author]!
        if (leader === null) continue
        const other = wave.certified[author]!
        if (other !== null && other !== leader) {
          throw new R2sPanic('TWO_CERTIFIED_TWINS', { round: decided, author })
        }
        wave.certified[author] = leader
        leader.certifiedBy |= 1 << vertex.author
      }
      this.#changed = true
    }
  }

  /** The coin of a round became known. */
  reveal(round: number, coin: Uint8Array): void {
    if (round < this.firstUndecidedRound) return
    const wave = this.#wave(round)
    if (wave.order !== null) return
    wave.coin = coin
    wave.order = leaderOrder(coin, this.#size)
    this.#changed = true
  }

  isRevealed(round: number): boolean {
    return round < this.firstUndecidedRound || this.#waves.get(round)?.order != null
  }

  /** SPEC 2.7, decide: from the highest round with a decision round down, later slots first, for they are anchors. */
  decide(): void {
    if (!this.#changed) return
    this.#changed = false
    for (let round = this.#dag.highestRound - this.#waveLength + 1; round >= this.firstUndecidedRound; round--) {
      const wave = this.#waves.get(round)
      if (!wave || wave.order === null || wave.undecidedCount === 0) continue
      let anchor: Vertex | null | undefined
      let deciders: Vertex[] | undefined
      for (let k = this.#leaders - 1; k >= 0; k--) {
        if (wave.status[k] !== UNDECIDED) continue
        const author = wave.order[k]!
        if (this.#decideDirectly(wave, k, author)) continue
        anchor ??= this.#anchorOf(round)
        if (anchor === null) continue
        deciders ??= this.#dag.coneAt(anchor, round + this.#waveLength - 1)
        const leader = certifiedBy(deciders, author)
        this.#settle(wave, k, leader ? COMMIT : SKIP, leader, false)
      }
    }
  }

  /** The next round in order once all its slots are decided, or null. */
  takeDecided(): Wave | null {
    const wave = this.#waves.get(this.firstUndecidedRound)
    if (!wave || wave.order === null || wave.undecidedCount > 0) return null
    this.#waves.delete(this.firstUndecidedRound)
    this.firstUndecidedRound++
    return wave
  }

  /** Everything below `round` was decided elsewhere (SPEC 2.10). */
  skipTo(round: number): void {
    for (const known of [...this.#waves.keys()]) if (known < round) this.#waves.delete(known)
    this.firstUndecidedRound = round
  }

  /** A slot is skipped when a quorum saw *nothing* of its author: blaming one twin says nothing about the other. */
  #decideDirectly(wave: Wave, k: number, author: number): boolean {
    if (memberCount(wave.blame[author]!) >= this.#quorum) {
      this.#settle(wave, k, SKIP, null, true)
      return true
    }
    let committed: Vertex | null = null
    for (const candidate of this.#dag.slot(wave.round, author)) {
      if (memberCount(candidate.certifiedBy) < this.#quorum) continue
      if (committed !== null) throw new R2sPanic('TWO_COMMITTED_TWINS', { round: wave.round, author })
      committed = candidate
    }
    if (committed === null) return false
    this.#settle(wave, k, COMMIT, committed, true)
    return true
  }

  /** The first committed slot from round + w on, with nothing undecided before it. */
  #anchorOf(round: number): Vertex | null {
    for (let later = round + this.#waveLength; later <= this.#dag.highestRound; later++) {
      const wave = this.#waves.get(later)
      if (!wave || wave.order === null) return null
      for (let k = 0; k < this.#leaders; k++) {
        if (wave.status[k] === UNDECIDED) return null
        if (wave.status[k] === COMMIT) return wave.leader[k]!
      }
    }
    return null
  }

  #settle(wave: Wave, k: number, status: Status, leader: Vertex | null, direct: boolean): void {
    wave.status[k] = status
    wave.leader[k] = leader
    wave.direct[k] = direct
    wave.undecidedCount--
  }

  #wave(round: number): Wave {
    let wave = this.#waves.get(round)
    if (!wave) {
      wave = {
        round,
        order: null,
        coin: null,
        status: new Uint8Array(this.#leaders),
        leader: new Array<Vertex | null>(this.#leaders).fill(null),
        direct: new Array<boolean>(this.#leaders).fill(false),
        undecidedCount: this.#leaders,
        blame: new Array<number>(this.#size).fill(0),
        certified: new Array<Vertex | null>(this.#size).fill(null),
      }
      this.#waves.set(round, wave)
    }
    return wave
  }
}

function certifiedBy(deciders: readonly Vertex[], author: number): Vertex | null {
  for (const decider of deciders) {
    const leader = decider.certs[author]
    if (leader) return leader
  }
  return null
}
