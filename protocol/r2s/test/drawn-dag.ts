import { utf8Encode } from '@cumulus/bytes'
import { sha256 } from '@cumulus/hash'
import { leaderOrder } from '../src/coin.ts'
import { COMMIT, CommitRule, SKIP } from '../src/commit-rule.ts'
import { committeeOf } from '../src/committee.ts'
import { Dag, type Vertex } from '../src/dag.ts'

/**
 * A DAG drawn as text: a line per member, a column per round, in each cell the members whose blocks of the round before
 * are parents, in order. `-` is no block. A second line for the same member holds its twins; `a'` cites a twin.
 *
 *          1     2     3
 *     A    abcd  abcd  abc
 *     B    abcd  abcd  abc
 */
export class DrawnDag {
  readonly dag: Dag
  readonly rule: CommitRule
  readonly #named = new Map<string, Vertex>()

  constructor(drawing: string, options: { size: number; waveLength?: number; leaders?: number }) {
    const { size, waveLength = 4, leaders = size } = options
    this.dag = new Dag(size, waveLength, new Uint8Array(32))
    const { quorum } = committeeOf(size)
    this.rule = new CommitRule(this.dag, { quorum, waveLength, leadersPerRound: leaders })
    const rows = drawing
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter((cells) => /^[A-Z]'?$/.test(cells[0]!))
    for (const [author, vertex] of this.dag.genesis.entries()) this.#named.set(`${letter(author)}0`, vertex)
    const rounds = Math.max(...rows.map((cells) => cells.length - 1))
    for (let round = 1; round <= rounds; round++) {
      for (const [name, ...cells] of rows) {
        const cell = cells[round - 1]
        if (cell !== undefined && cell !== '-') this.#add(name!, round, cell)
      }
    }
  }

  vertex(name: string): Vertex {
    return this.#named.get(name.toLowerCase())!
  }

  /** A coin for `round` that makes the members lead in this order. */
  reveal(round: number, order: string): void {
    for (let i = 0; ; i++) {
      const coin = sha256(utf8Encode(`${round} ${i}`))
      const drawn = [...leaderOrder(coin, this.dag.size)].map(letter).join('')
      if (!drawn.startsWith(order.toLowerCase())) continue
      this.rule.reveal(round, coin)
      return
    }
  }

  /** Decisions of the next decided round, as `A1 skip, B1 commit` with `'` for indirect ones; null if it is not. */
  decide(): string | null {
    this.rule.decide()
    const wave = this.rule.takeDecided()
    if (!wave) return null
    return [...wave.status]
      .map((status, k) => {
        const word = status === COMMIT ? 'commit' : status === SKIP ? 'skip' : '?'
        const leader = wave.leader[k]
        const name = leader ? this.#nameOf(leader) : `${letter(wave.order![k]!)}${wave.round}`
        return `${name.toUpperCase()} ${word}${wave.direct[k] ? '' : ' by anchor'}`
      })
      .join(', ')
  }

  #add(name: string, round: number, cell: string): void {
    const author = name.charCodeAt(0) - 65
    const parents = [...cell.matchAll(/[a-z]'?/g)].map(([parent]) => {
      const vertex = this.#named.get(`${parent}${round - 1}`)
      if (!vertex) throw new Error(`${name}${round} cites ${parent}${round - 1}, which is not drawn`)
      return vertex
    })
    const digest = sha256(utf8Encode(`${name}${round}`))
    const header = { author, round, tsMs: 0, exposed: 0, evidence: null }
    const block = { header, digest, payload: new Uint8Array(0) } as never
    const vertex = this.dag.vertexOf(block, parents, { checked: true, clean: true })
    this.dag.add(vertex)
    this.#named.set(`${name.toLowerCase()}${round}`, vertex)
    this.rule.observe(vertex)
  }

  #nameOf(vertex: Vertex): string {
    for (const [name, other] of this.#named) if (other === vertex) return name
    return '?'
  }
}

function letter(author: number): string {
  return String.fromCharCode(97 + author)
}
