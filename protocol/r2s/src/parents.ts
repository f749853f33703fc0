import { memberCount } from './committee.ts'
import type { Vertex } from './dag.ts'
import type { MemberState } from './member-state.ts'

/**
 * SPEC 2.5: the own block before; of each other author the first accepted block of the round before; then, of each, the newest older
 * one that is not in the cone of these: his own new chain must not hide one that he gave up. null while too few may be cited.
 */
export function chooseParents(m: MemberState, round: number): Vertex[] | null {
  const stalled = m.nowMs >= stalledAtMs(m, round)
  const usual = unexposed(m, round, m.equivocators, stalled)
  if (usual && stalled) m.citesUnclean = true
  return usual ?? (isBehind(m, round) ? unexposed(m, round, 0, stalled) : null)
}

/**
 * SPEC 2.5: from when on a block of this round may cite what could not be checked in full. Soon after joining everything is
 * such, until it is in the order; a member that the others cannot do without must not wait for the order then. Once it has cited
 * such a block, more of them add no risk.
 */
export function stalledAtMs(m: MemberState, round: number): number {
  const { exposureDepthRounds, waveLength, stallMs, joinStallMs } = m.config.params
  const isJoining = m.joinRound > 0 && round <= m.joinRound + exposureDepthRounds + 4 * waveLength
  if (!isJoining) return m.movedAtMs + stallMs
  return m.citesUnclean ? m.movedAtMs : m.movedAtMs + joinStallMs
}

/** Parents of whom none is exposed in the cone they make, without the authors in the mask `excluded`. */
export function unexposed(m: MemberState, round: number, excluded: number, stalled: boolean): Vertex[] | null {
  const { params, member } = m.config
  for (;;) {
    const parents = candidates(m, round, excluded, stalled)
    const strongCount = parents.filter((parent) => parent.round === round - 1).length
    if (strongCount < m.committee.quorum) return null
    const exposed = m.dag.exposedBy(parents, round, params.exposureDepthRounds)
    if (!parents.some((parent) => exposed & (1 << parent.author) && parent.author !== member)) return parents
    excluded |= exposed & ~(1 << member)
    m.equivocators |= excluded & exposed
  }
}

export function candidates(m: MemberState, round: number, excluded: number, stalled: boolean): Vertex[] {
  const { params, member } = m.config
  const mayCite = (vertex: Vertex | undefined): vertex is Vertex =>
    vertex !== undefined && (stalled || m.dag.isClean(vertex))
  const strong: Vertex[] = []
  const slow: Vertex[] = []
  for (let author = 0; author < m.committee.size; author++) {
    if (author === member || excluded & (1 << author)) continue
    const vertex = m.dag.slot(round - 1, author)[0]
    if (!mayCite(vertex)) continue
    if (m.fetchShare[author]! > params.slowAuthorShare) slow.push(vertex)
    else strong.push(vertex)
  }
  let own = ownParent(m, round)
  // Begins no new chain where the own block is one of the quorum; alone, a member would never get on.
  const needed = strong.length + slow.length < m.committee.quorum
  if (needed && m.lastOwn.round === round - 1) own = m.lastOwn
  const ownCount = own.round === round - 1 ? 1 : 0
  while (strong.length + ownCount < m.committee.quorum && slow.length > 0) strong.push(slow.shift()!)
  strong.sort((a, b) => a.author - b.author)

  const lowest = Math.max(round - params.parentDepthRounds, m.dag.gcRound + 1, 1)
  const tops = [own, ...strong]
  const cited = m.dag.markCone(tops, lowest)
  const weak: Vertex[] = []
  for (let author = 0; author < m.committee.size; author++) {
    if (author === member || excluded & (1 << author)) continue
    const late = m.fetchShare[author]! > params.slowAuthorShare
    for (let r = Math.min(m.dag.newest[author]!.round, round - (late ? 3 : 2)); r >= lowest; r--) {
      const vertex = m.dag.slot(r, author)[0]
      if (!vertex) continue
      // Below there may be one that he gave up; or, of an equivocator, a twin that would expose him.
      if (vertex.mark === cited && !(m.equivocators & (1 << author))) continue
      if (vertex.mark !== cited && mayCite(vertex)) weak.push(vertex)
      break
    }
  }
  return [...tops, ...weak]
}

/**
 * The own block before, unless it is out of reach or hangs on a long chain of own blocks that nobody has cited: reaching
 * down to where others collect garbage it could not be checked by them, so a new chain is begun. Whoever was away makes that many
 * blocks at once, before any of them can be cited; the others then cite both chains.
 */
export function ownParent(m: MemberState, round: number): Vertex {
  const lowest = Math.max(round - m.config.params.parentDepthRounds, m.dag.gcRound + 1)
  let oldest = m.lastOwn
  while (oldest.round >= lowest && !oldest.citedByOthers) {
    const before = oldest.parents[0]
    if (!before || before.author !== m.config.member || before.round === 0) break
    oldest = before
  }
  const reachable = m.lastOwn.round >= lowest && oldest.round >= lowest
  return reachable ? m.lastOwn : m.dag.genesis[m.config.member]!
}

/**
 * Enough blocks of `round` to build on. Known equivocators do not count, but where others have built upon this round,
 * for a member that is late: then nothing better will come.
 */
export function hasQuorumAt(m: MemberState, round: number): boolean {
  const present = m.dag.present(round)
  const counted = isBehind(m, round + 1) ? present : present & ~m.equivocators
  return memberCount(counted) >= m.committee.quorum
}

/** Somebody trustworthy has a block of `round`. */
export function isBehind(m: MemberState, round: number): boolean {
  return (m.dag.present(round) & ~m.equivocators & ~(1 << m.config.member)) !== 0
}
