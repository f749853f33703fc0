import { acceptAll } from './acceptance.ts'
import type { Block } from './block.ts'
import { forgetCoins } from './coin-asking.ts'
import { COMMIT, type Wave } from './commit-rule.ts'
import type { Vertex } from './dag.ts'
import { DigestMap } from './digest-map.ts'
import type { Checkpoint, SlotDecision } from './events.ts'
import { linearise } from './linearise.ts'
import { giveBack, type MemberState } from './member-state.ts'

export function commitWave(m: MemberState, wave: Wave): void {
  const order = wave.order!
  const slots: SlotDecision[] = []
  const blocks: Block[] = []
  const ejected: number[] = []
  let gcRound = m.dag.gcRound
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
    gcRound = Math.max(gcRound, leader.round - m.config.params.gcDepthRounds)
    for (const vertex of linearise(leader, gcRound, order)) {
      if (vertex.hasContent) m.contentCount--
      const block = vertex.block!
      m.output.push(vertex.ref)
      const from = m.ejectedFrom[vertex.author]!
      if (from !== null && vertex.round >= from) continue
      blocks.push(block)
      const offender = block.header.evidence?.author
      if (offender !== undefined && m.ejectedFrom[offender] === null) {
        m.ejectedFrom[offender] = wave.round + 2 * m.config.params.waveLength + 1
        ejected.push(offender)
      }
    }
  }
  m.coins.delete(wave.round)
  forgetCoins(m)
  m.output = m.output.filter((ref) => ref.round > gcRound)
  const checkpoint = {
    round: wave.round + 1,
    gcRound,
    output: m.output.slice(),
    ejectedFrom: [...m.ejectedFrom],
  }
  const { coin, round } = wave
  m.effects.push({
    kind: 'commit',
    commit: { round, coin: coin!, slots, blocks, medianTsMs, gcRound, ejected, checkpoint },
  })
  collectGarbage(m, gcRound)
}

/** SPEC 2.9. The cut follows from the commits alone. */
export function collectGarbage(m: MemberState, gcRound: number): void {
  if (gcRound <= m.dag.gcRound) return
  for (const vertex of m.dag.prune(gcRound)) {
    if (vertex.output || vertex.block === null) continue
    if (vertex.hasContent) m.contentCount--
    if (vertex.author !== m.config.member) continue
    const { payload, header } = vertex.block
    giveBack(m, { payload, txCount: header.txCount })
    // Perhaps nobody else has seen both.
    if (header.evidence && m.ejectedFrom[header.evidence.author] === null) m.evidence.push(header.evidence)
  }
  abandonUnbuildable(m)
  for (const ref of [...m.invalid.values()]) if (ref.round <= gcRound) m.invalid.delete(ref.digest)
  for (const ref of [...m.outputElsewhere.values()]) {
    if (ref.round <= gcRound) m.outputElsewhere.delete(ref.digest)
  }
  for (const parked of m.parking.prune(gcRound)) acceptAll(m, parked)
  m.rule.decide()
}

/** The parents of the own block under way are gone: the member goes on where its decisions end (SPEC 2.4). */
function abandonUnbuildable(m: MemberState): void {
  const { production } = m
  if (production.stage !== 'proposing' && production.stage !== 'building') return
  if (production.round - 1 > m.dag.gcRound) return
  if (production.stage === 'building') giveBack(m, production.contents)
  m.production = { stage: 'idle' }
}

/** @param logged blocks that are about to be restored */
export function adopt(m: MemberState, checkpoint: Checkpoint, logged: readonly Block[] = []): void {
  // What was sent while this member was behind was too far above to be kept, or was passed over.
  if (!m.restoring) m.greetAtMs = m.nowMs
  m.isFollowing = false
  if (checkpoint.round <= m.rule.firstUndecidedRound) return
  const here = new DigestMap<true>()
  for (const { digest } of logged) here.set(digest, true)
  // The leaders of its first round take their time from the blocks of the one before.
  m.neededFromRound = checkpoint.round - 1
  m.citesUnclean = false
  m.rule.skipTo(checkpoint.round)
  for (const round of [...m.coins.keys()]) if (round < checkpoint.round) m.coins.delete(round)
  forgetCoins(m)
  for (const ref of checkpoint.output) {
    const vertex = m.dag.find(ref)
    if (!vertex) {
      m.outputElsewhere.set(ref.digest, ref)
      if (!here.has(ref.digest)) m.joinRound = Math.max(m.joinRound, ref.round)
    } else if (!vertex.output) {
      vertex.output = true
      if (vertex.hasContent) m.contentCount--
    }
  }
  m.output = [...checkpoint.output]
  checkpoint.ejectedFrom.forEach((from, author) => {
    m.ejectedFrom[author] = from
    if (from !== null) m.equivocators |= 1 << author
  })
  collectGarbage(m, checkpoint.gcRound)
  for (const ref of [...m.outputElsewhere.values()]) {
    if (ref.round >= m.neededFromRound) continue
    for (const parked of m.parking.resolve(ref)) acceptAll(m, parked)
  }
}

/** Lower median of the times of the parents of the round before; all of them are at hand wherever the leader is. */
function medianOfParents(leader: Vertex): number {
  const times = leader.parents.filter((parent) => parent.round === leader.round - 1).map((parent) => parent.tsMs)
  return times.sort((a, b) => a - b)[(times.length - 1) >> 1] ?? 0
}
