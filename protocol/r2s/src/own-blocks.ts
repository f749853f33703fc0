import { acceptAll, enter } from './acceptance.ts'
import { sealBlock } from './block.ts'
import { type Contents, giveBack, type MemberState } from './member-state.ts'
import { chooseParents, hasQuorumAt, isBehind } from './parents.ts'

export function advance(m: MemberState): void {
  if (m.silent || m.inquiry !== null) return
  if (m.production.stage === 'building') {
    build(m, m.production.round, m.production.contents)
    return
  }
  if (m.production.stage !== 'idle') return
  const round = nextRound(m)
  if (!hasQuorumAt(m, round - 1) || m.nowMs < dueMs(m, round)) return
  m.production = { stage: 'proposing', round }
  const { params, coin, member } = m.config
  const coinRound = round - (params.waveLength - 1)
  const share = coin.mode === 'threshold' && coinRound >= 1 && (coin.holders & (1 << member)) !== 0
  // Backpressure (SPEC 2.9): the round goes on, for it decides others, but brings nothing new.
  const full = m.pressure || isFarBehind(m, round) || round - m.rule.firstUndecidedRound > params.undecidedRoundsMax
  m.effects.push({
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
export function nextRound(m: MemberState): number {
  const next = m.lastOwnRound + 1
  const reachable = next - 1 > m.dag.gcRound || m.dag.gcRound === 0
  return reachable ? next : Math.max(next, m.rule.firstUndecidedRound)
}

/** SPEC 2.8. Whoever finds the others already in the round is late, and waits for nothing. */
export function dueMs(m: MemberState, round: number): number {
  if (hasQuorumAt(m, round)) return Number.NEGATIVE_INFINITY
  const undecidedCount = round - m.rule.firstUndecidedRound
  if (undecidedCount > m.config.params.undecidedRoundsStop) return m.producedAtMs + m.config.params.stalledRoundMs
  const quiet = !m.workPending && m.contentCount === 0 && m.evidence.length === 0
  return m.producedAtMs + (quiet ? m.config.params.idleRoundMs : m.config.params.minRoundMs)
}

/**
 * The others may not be able to cite this block any more when it comes to them (SPEC 2.5). What it brought would be given back only when it is
 * collected away, so it brings nothing.
 */
function isFarBehind(m: MemberState, round: number): boolean {
  return isBehind(m, round + Math.ceil(m.config.params.parentDepthRounds / 2))
}

export function proposal(m: MemberState, round: number, contents: Contents): void {
  if (m.production.stage !== 'proposing' || m.production.round !== round) {
    // It was given up meanwhile.
    giveBack(m, contents)
    return
  }
  m.production = { stage: 'building', round, contents }
}

export function build(m: MemberState, round: number, contents: Contents): void {
  const parents = chooseParents(m, round)
  if (!parents) return
  const { chainId, era, member, params } = m.config
  let tsMs = Math.max(0, Math.floor(m.nowMs))
  for (const parent of parents) tsMs = Math.max(tsMs, parent.tsMs)
  const header = {
    chainId,
    era,
    round,
    author: member,
    tsMs,
    exposed: m.dag.exposedBy(parents, round, params.exposureDepthRounds),
    parents: parents.map((parent) => parent.ref),
    coinShare: contents.coinShare,
    votes: contents.votes,
    evidence: isFarBehind(m, round) ? null : (m.evidence.shift() ?? null),
    txCount: contents.txCount,
  }
  const block = sealBlock(header, contents.payload, m.config.sign)
  m.production = { stage: 'persisting', block, parents }
  m.producedAtMs = m.nowMs
  m.movedAtMs = m.nowMs
  m.effects.push({ kind: 'persist', block })
}

export function persisted(m: MemberState, round: number): void {
  const production = m.production
  if (production.stage !== 'persisting' || production.block.header.round !== round) return
  const { block, parents } = production
  m.production = { stage: 'idle' }
  m.lastOwnRound = round
  // Fallen silent meanwhile: whoever has the key as well may have signed this round, and nobody has seen this block.
  if (m.silent) return
  const present = parents.filter((parent) => parent.round === 0 || parent.round > m.dag.gcRound)
  m.effects.push({ kind: 'broadcast', message: { kind: 'block', block } })
  if (round <= m.dag.gcRound) return // a disk that slept for 64 rounds
  const vertex = m.dag.vertexOf(block, present, { checked: true, clean: true })
  m.lastOwn = vertex
  enter(m, vertex)
  for (const parked of m.parking.resolve(vertex.ref)) acceptAll(m, parked)
}
