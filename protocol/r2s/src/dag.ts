import { equalBytes } from '@cumulus/bytes'
import { type Block, type BlockRef, genesisDigest } from './block.ts'
import { supportTable } from './support.ts'

/** An accepted block with what this node knows about it. All its ancestors above `gcRound` are vertices too. */
export class Vertex {
  readonly author: number
  readonly round: number
  readonly digest: Uint8Array
  readonly tsMs: number
  /** null for the virtual blocks of round 0. */
  readonly block: Block | null
  /** In the block's own order; those below `gcRound` are left out, and all are dropped once this vertex is below it. */
  parents: readonly Vertex[]
  /** SPEC 2.7: support(this, author a, round - 1 - i) stands at [i × n + a], i < w-2. */
  support: readonly (Vertex | null)[]
  /** SPEC 2.7: by author a, the block of round - (w-1) this block certifies. */
  certs: readonly (Vertex | null)[] = []
  /** Authors with an accepted block that certifies this one. */
  certifiedBy = 0
  readonly exposed: number
  /** Every check of SPEC 2.2 that needs parents could be made. */
  readonly checked: boolean
  /** Known to be acceptable for every honest node (SPEC 2.3). Grows only from false to true. */
  clean: boolean
  /** Linearised in some commit. */
  output = false
  /** Some vertex has it as a parent. */
  cited = false
  citedByOthers = false
  /** Scratch of searches: the number of the search that came by last. */
  mark = 0

  constructor(
    place: BlockRef,
    block: Block | null,
    parents: readonly Vertex[],
    support: readonly (Vertex | null)[],
    checks: { readonly checked: boolean; readonly clean: boolean },
  ) {
    this.author = place.author
    this.round = place.round
    this.digest = place.digest
    this.block = block
    this.tsMs = block ? block.header.tsMs : 0
    this.exposed = block ? block.header.exposed : 0
    this.parents = parents
    this.support = support
    this.checked = checks.checked
    this.clean = checks.clean
  }

  get ref(): BlockRef {
    return { author: this.author, round: this.round, digest: this.digest }
  }

  get hasContent(): boolean {
    return this.block !== null && (this.block.payload.length > 0 || this.block.header.evidence !== null)
  }
}

/** Accepted blocks of one round, by author; more than one of an author are twins, in order of acceptance. */
interface Round {
  readonly slots: Vertex[][]
  /** Mask of authors with a block here. */
  present: number
}

/** The accepted part of the DAG above `gcRound` (SPEC 2.3). Finds blocks, follows cones; decides nothing. */
export class Dag {
  readonly size: number
  readonly waveLength: number
  readonly genesis: readonly Vertex[]
  /** Blocks at or below are neither kept, fetched, cited nor linearised (SPEC 2.9). */
  gcRound = 0
  highestRound = 0
  /** Blocks kept, without the virtual ones of round 0. */
  blockCount = 0
  /** By author: the first accepted block of his highest round. */
  readonly newest: Vertex[]
  #rounds: Round[] = []
  /** Round of `#rounds[0]`. */
  #base = 0
  /** By author: rounds with twins, ascending. */
  readonly #twinRounds: number[][]
  #search = 0

  constructor(size: number, waveLength: number, eraAnchor: Uint8Array) {
    this.size = size
    this.waveLength = waveLength
    this.genesis = Array.from({ length: size }, (_, author) => {
      const place = { author, round: 0, digest: genesisDigest(eraAnchor, author) }
      const vertex = new Vertex(place, null, [], [], { checked: true, clean: true })
      vertex.output = true
      return vertex
    })
    this.newest = [...this.genesis]
    this.#twinRounds = this.genesis.map(() => [])
    this.#rounds.push({ slots: this.genesis.map((vertex) => [vertex]), present: 2 ** size - 1 })
  }

  /** Accepted blocks of `author` in `round`, first accepted first. Do not keep or change it. */
  slot(round: number, author: number): readonly Vertex[] {
    return this.#rounds[round - this.#base]?.slots[author] ?? NONE
  }

  /** Mask of authors with an accepted block in `round`. */
  present(round: number): number {
    return this.#rounds[round - this.#base]?.present ?? 0
  }

  find(ref: BlockRef): Vertex | undefined {
    if (ref.round === 0) {
      const genesis = this.genesis[ref.author]
      return genesis && equalBytes(genesis.digest, ref.digest) ? genesis : undefined
    }
    for (const vertex of this.slot(ref.round, ref.author)) {
      if (equalBytes(vertex.digest, ref.digest)) return vertex
    }
    return undefined
  }

  /** Makes the vertex of a block whose parents above `gcRound` are all here. It is not part of the DAG until `add`. */
  vertexOf(block: Block, parents: readonly Vertex[], checks: { checked: boolean; clean: boolean }): Vertex {
    const { author, round } = block.header
    const support = supportTable(parents, round, this.size, this.waveLength)
    return new Vertex({ author, round, digest: block.digest }, block, parents, support, checks)
  }

  add(vertex: Vertex): void {
    const { round, author } = vertex
    while (this.#base + this.#rounds.length <= round) {
      this.#rounds.push({ slots: Array.from({ length: this.size }, () => []), present: 0 })
    }
    const place = this.#rounds[round - this.#base]!
    const slot = place.slots[author]!
    slot.push(vertex)
    this.blockCount++
    place.present |= 1 << author
    if (slot.length === 2) {
      const rounds = this.#twinRounds[author]!
      rounds.push(round)
      rounds.sort((a, b) => a - b)
    }
    for (const parent of vertex.parents) {
      parent.cited = true
      if (parent.author !== author) parent.citedByOthers = true
    }
    if (round > this.highestRound) this.highestRound = round
    if (round > this.newest[author]!.round) this.newest[author] = vertex
  }

  /** Forgets rounds at or below `gcRound`, cutting the references into them. Returns what was forgotten. */
  prune(gcRound: number): Vertex[] {
    const gone: Vertex[] = []
    if (gcRound <= this.gcRound) return gone
    this.gcRound = gcRound
    const count = Math.min(Math.max(0, gcRound + 1 - this.#base), this.#rounds.length)
    for (const { slots } of this.#rounds.splice(0, count)) {
      for (const slot of slots) {
        for (const vertex of slot) {
          vertex.parents = NONE
          vertex.support = NONE
          vertex.certs = NONE
          gone.push(vertex)
          if (vertex.block) this.blockCount--
        }
      }
    }
    this.#base = gcRound + 1
    for (const rounds of this.#twinRounds) while (rounds.length > 0 && rounds[0]! <= gcRound) rounds.shift()
    return gone
  }

  /** Vertices above `gcRound`, by round, author and acceptance: parents come before children. */
  *window(): IterableIterator<Vertex> {
    for (const { slots } of this.#rounds) {
      for (const slot of slots) for (const vertex of slot) if (vertex.round > 0) yield vertex
    }
  }

  /**
   * SPEC 2.2, exposure: authors the parents already show as exposed, and those of whom two blocks of one round at most
   * `depth` rounds down are in the cone that `parents` make.
   */
  exposedBy(parents: readonly Vertex[], round: number, depth: number): number {
    let exposed = 0
    for (const parent of parents) exposed |= parent.exposed
    let lowest = round
    for (let author = 0; author < this.size; author++) {
      if (exposed & (1 << author)) continue
      for (const twinRound of this.#twinRounds[author]!) {
        if (twinRound >= round - depth && twinRound < lowest && this.#reachable(twinRound, author, parents)) {
          lowest = twinRound
          break
        }
      }
    }
    if (lowest === round) return exposed
    const search = this.markCone(parents, lowest)
    for (let author = 0; author < this.size; author++) {
      if (exposed & (1 << author)) continue
      for (const twinRound of this.#twinRounds[author]!) {
        if (twinRound < lowest || twinRound >= round) continue
        let found = 0
        for (const vertex of this.slot(twinRound, author)) if (vertex.mark === search) found++
        if (found > 1) exposed |= 1 << author
      }
    }
    return exposed
  }

  /** A quick no: twins nobody cites are in no cone. */
  #reachable(round: number, author: number, parents: readonly Vertex[]): boolean {
    let count = 0
    for (const twin of this.slot(round, author)) if (twin.cited || parents.includes(twin)) count++
    return count > 1
  }

  /** Blocks of `round` in the cone of `top`, which lies above. */
  coneAt(top: Vertex, round: number): Vertex[] {
    const search = this.markCone([top], round)
    const found: Vertex[] = []
    for (let author = 0; author < this.size; author++) {
      for (const vertex of this.slot(round, author)) if (vertex.mark === search) found.push(vertex)
    }
    return found
  }

  /** Sets `mark` of all that is reachable from `tops` (themselves too) down to round `lowest` to the number returned. */
  markCone(tops: readonly Vertex[], lowest: number): number {
    const search = ++this.#search
    const stack: Vertex[] = []
    for (const top of tops) {
      if (top.round < lowest || top.mark === search) continue
      top.mark = search
      stack.push(top)
    }
    for (let vertex = stack.pop(); vertex; vertex = stack.pop()) {
      if (vertex.round === lowest) continue
      for (const parent of vertex.parents) {
        if (parent.round < lowest || parent.mark === search) continue
        parent.mark = search
        stack.push(parent)
      }
    }
    return search
  }

  /** Whether `vertex` is certain to be acceptable for every honest node, looking again at what was not clean before. */
  isClean(vertex: Vertex): boolean {
    if (vertex.clean) return true
    const settled = vertex.output || vertex.round <= this.gcRound
    if (!settled && !(vertex.checked && vertex.parents.every((parent) => this.isClean(parent)))) return false
    vertex.clean = true
    return true
  }
}

const NONE: readonly Vertex[] = []
