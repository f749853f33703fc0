import { acceptAll, isMissing, lookForTwin, receive } from './acceptance.ts'
import type { Block } from './block.ts'
import { memberCount } from './committee.ts'
import { mayServe } from './fetching.ts'
import { isPeer, type MemberState, refuse, send } from './member-state.ts'
import { commitWave } from './output.ts'

/** A block from the own log: everything about it was checked before it was written. */
export function restore(m: MemberState, block: Block): void {
  const { author, round, digest, parents } = { ...block.header, digest: block.digest }
  if (author === m.config.member) m.lastOwnRound = Math.max(m.lastOwnRound, round)
  if (round <= m.dag.gcRound || m.dag.find({ author, round, digest })) return
  const missing = parents.filter((ref) => isMissing(m, ref))
  const parked = { block, from: author, fetched: false, missingCount: missing.length, notBeforeMs: 0 }
  lookForTwin(m, block)
  if (missing.length > 0) m.parking.park(parked, missing, m.nowMs)
  else acceptAll(m, parked)
  const own = author === m.config.member ? m.dag.find({ author, round, digest }) : undefined
  if (own && own.round >= m.lastOwn.round) {
    own.clean = true
    m.lastOwn = own
  }
  m.rule.decide()
  for (let wave = m.rule.takeDecided(); wave; wave = m.rule.takeDecided()) commitWave(m, wave)
}

export function tellNewest(m: MemberState, to: number): void {
  if (!mayServe(m, to)) return
  const mine = m.lastOwnRound > 0 ? m.lastOwn.block : null
  const yours = m.dag.newest[to]!.block
  m.served[to]!.bytes.spend((yours?.payload.length ?? 0) + (mine?.payload.length ?? 0))
  send(m, to, { kind: 'newest', yours, mine })
}

export function toldNewest(m: MemberState, from: number, yours: Block | null, mine: Block | null): void {
  const inquiry = m.inquiry
  if (!inquiry || inquiry.answered & (1 << from)) return
  if (mine && mine.header.author !== from) {
    refuse(m, from, 'BAD_AUTHOR')
    return
  }
  if (yours && yours.header.author !== m.config.member) {
    refuse(m, from, 'BAD_AUTHOR')
    return
  }
  if (yours) receive(m, yours, from, true)
  if (!mine) {
    inquiry.answered |= 1 << from
    return
  }
  receive(m, mine, from, true)
  const at = inquiry.waiting.findIndex(({ peer }) => peer === from)
  if (at >= 0) inquiry.waiting.splice(at, 1)
  inquiry.waiting.push({ peer: from, block: mine })
}

/**
 * An answer counts once the answerer's own newest block is accepted, so that nobody can name a round that does not
 * exist. Among q answers is one of an honest member of whose block of the round before my last was a parent: hence
 * my last round is at most one above the highest answer, and everything above that is safe to sign.
 */
export function inquire(m: MemberState): void {
  const inquiry = m.inquiry
  if (!inquiry) return
  const { size, quorum } = m.committee
  for (const { peer, block } of inquiry.waiting.splice(0)) {
    const { author, round } = block.header
    if (m.dag.find({ author, round, digest: block.digest }) || round <= m.dag.gcRound) {
      inquiry.answered |= 1 << peer
      inquiry.floor = Math.max(inquiry.floor, round + 1)
    } else inquiry.waiting.push({ peer, block })
  }
  if (memberCount(inquiry.answered) >= Math.min(quorum, size - 1)) {
    m.inquiry = null
    m.lastOwnRound = Math.max(m.lastOwnRound, inquiry.floor)
    const newest = m.dag.newest[m.config.member]!
    if (newest.round > m.lastOwn.round) m.lastOwn = newest
    return
  }
  if (m.nowMs < inquiry.askAtMs) return
  inquiry.askAtMs = m.nowMs + 2 * m.config.params.fetchRetryMs
  for (let peer = 0; peer < size; peer++) {
    if (isPeer(m, peer) && !(inquiry.answered & (1 << peer))) send(m, peer, { kind: 'ask-newest' })
  }
}
