import { equalBytes } from '@cumulus/bytes'
import { type Block, type BlockRef, type Evidence, type Header, refOf, signedMessage } from './block.ts'
import { collectShare } from './coin-shares.ts'
import type { Vertex } from './dag.ts'
import { heard } from './fetching.ts'
import { type MemberState, refuse } from './member-state.ts'
import type { Parked } from './parking.ts'
import { ACCEPTED_STOPS } from './r2s-params.ts'
import { judgeAmongParents, judgeHeader, type RefusalCode } from './validity.ts'

/** Refused digests remembered; beyond it they are judged again. */
const INVALID_MAX = 4096
/** Who sends too much is told on so often. */
const REFUSAL_MS = 1_000

export function receive(m: MemberState, block: Block, from: number, fetched: boolean): void {
  const { round, author } = block.header
  // What is known already comes first: to judge a header costs a hundred times as much, and answers to questions bring the same blocks again.
  if (m.parking.has(block.digest) || m.dag.find({ author, round, digest: block.digest })) return
  if (m.invalid.has(block.digest)) return
  if (m.isFollowing && author !== m.config.member) return // the checkpoint will be far above
  if (!mayJudge(m, block, from)) return
  const code = judgeHeader(block, m.era, m.dag.genesis)
  if (code) {
    refuse(m, from, code)
    return
  }
  if (round <= m.dag.gcRound) return // late, nobody's fault
  const wanted = m.parking.isWanted(refOf(block))
  // What an equivocator pushes may still be an ancestor of an honest block; then somebody will want it.
  if (m.equivocators & (1 << author) && !wanted) return
  if (!m.config.verify(author, signedMessage(block.header, block.digest), block.signature)) {
    refuse(m, from, 'BAD_SIGNATURE')
    return
  }
  if (author === m.config.member && !meetSelf(m, round)) return
  lookForTwin(m, block)

  const missing: BlockRef[] = []
  for (const ref of block.header.parents) {
    if (m.invalid.has(ref.digest)) {
      reject(m, block, from, 'INVALID_PARENT')
      return
    }
    if (isMissing(m, ref)) missing.push(ref)
  }
  const early = block.header.tsMs > m.nowMs + m.config.params.clockSkewMsMax
  const notBeforeMs = early ? block.header.tsMs - m.config.params.clockSkewMsMax : 0
  const parked: Parked = { block, from, fetched: fetched && wanted, missingCount: missing.length, notBeforeMs }
  if (missing.length === 0 && !early) acceptAll(m, parked)
  else m.parking.park(parked, missing, m.nowMs)
}

/** One member's blocks shall not keep this one busy. What is left out here and is needed will be asked for again. */
function mayJudge(m: MemberState, { header }: Block, from: number): boolean {
  const budget = m.judging[from]!
  if (budget.signatures.has(m.nowMs)) {
    budget.signatures.spend(1 + (header.coinShare ? 1 : 0) + (header.evidence ? 2 : 0))
    return true
  }
  if (m.nowMs - budget.refusedAtMs >= REFUSAL_MS) {
    budget.refusedAtMs = m.nowMs
    refuse(m, from, 'TOO_MANY_BLOCKS')
  }
  return false
}

/** Whether a block that cites it has to wait for it. */
export function isMissing(m: MemberState, ref: BlockRef): boolean {
  if (ref.round <= m.dag.gcRound || m.dag.find(ref)) return false
  return ref.round >= m.neededFromRound || !m.outputElsewhere.has(ref.digest)
}

/** Accepts a block whose ancestors are complete, and then all that waited for it. */
export function acceptAll(m: MemberState, first: Parked): void {
  const ready = [first]
  for (let parked = ready.shift(); parked; parked = ready.shift()) {
    if (!accept(m, parked)) continue
    ready.push(...m.parking.resolve(refOf(parked.block)))
  }
}

export function accept(m: MemberState, { block, from, fetched }: Parked): boolean {
  const { header } = block
  if (header.round <= m.dag.gcRound) return false
  // Whoever builds upon it later will have it asked for again. What the log holds was accepted, and the coins of it come later.
  // Own blocks stop long before: members differ in how much they have decided, and nobody shall miss a block that others count.
  const roundMax = m.rule.firstUndecidedRound + ACCEPTED_STOPS * m.config.params.undecidedRoundsStop
  if (header.round > roundMax && !m.restoring) return false
  const parents: Vertex[] = []
  for (const ref of header.parents) {
    const parent = m.dag.find(ref)
    if (parent) parents.push(parent)
  }
  const checked = isCheckable(m, header, parents.length)
  const code = judgeAmongParents(block, parents, checked, m.dag, m.config.params)
  if (code) {
    reject(m, block, from, code)
    return false
  }
  const share = m.fetchShare[header.author]!
  m.fetchShare[header.author] = share + ((fetched ? 1 : 0) - share) / 16
  if (!m.restoring) m.effects.push({ kind: 'store', block })
  enter(m, m.dag.vertexOf(block, parents, { checked, clean: false }))
  return true
}

/** Whether nothing that the validity of a block depends on has been collected away. */
export function isCheckable(m: MemberState, header: Header, presentCount: number): boolean {
  const goneRound = Math.max(m.dag.gcRound, m.joinRound)
  return (
    presentCount === header.parents.length &&
    (goneRound === 0 || header.round - m.config.params.exposureDepthRounds > goneRound)
  )
}

/** Into the DAG, with all that follows from it. The block is in the log already, or asked to be: an own one by `persist`. */
export function enter(m: MemberState, vertex: Vertex): void {
  const block = vertex.block!
  const { header } = block
  m.dag.isClean(vertex)
  m.dag.add(vertex)
  heard(m)
  if (m.outputElsewhere.delete(block.digest)) vertex.output = true
  else if (vertex.hasContent) m.contentCount++
  if (header.evidence) convict(m, header.evidence)
  m.rule.observe(vertex)
  collectShare(m, header)
}

export function reject(m: MemberState, block: Block, from: number, code: RefusalCode): void {
  refuse(m, from, code)
  remember(m, block)
  for (const child of m.parking.reject(refOf(block))) {
    remember(m, child.block)
    refuse(m, child.from, 'INVALID_PARENT')
  }
}

export function remember(m: MemberState, { header: { author, round }, digest }: Block): void {
  if (m.invalid.size >= INVALID_MAX) m.invalid.clear()
  m.invalid.set(digest, { author, round, digest })
}

/** A block signed with the own key that is not known here. Returns whether to go on with it. */
export function meetSelf(m: MemberState, round: number): boolean {
  if (m.inquiry) {
    m.inquiry.floor = Math.max(m.inquiry.floor, round)
    return true
  }
  if (round <= m.lastOwnRound && m.dag.slot(round, m.config.member).length === 0) return true
  if (!m.silent) {
    m.silent = true
    m.effects.push({ kind: 'silenced', round })
  }
  return true
}

export function lookForTwin(m: MemberState, block: Block): void {
  const { author, round } = block.header
  if (m.equivocators & (1 << author)) return
  const other = m.dag.slot(round, author)[0]?.block ?? m.parking.at(round, author)
  if (!other || equalBytes(other.digest, block.digest)) return
  convict(m, {
    author,
    round,
    firstDigest: other.digest,
    firstSignature: other.signature,
    secondDigest: block.digest,
    secondSignature: block.signature,
  })
}

/** From now on the author is not cited; the next own block tells everybody why. */
export function convict(m: MemberState, evidence: Evidence): void {
  if (m.equivocators & (1 << evidence.author)) return
  m.equivocators |= 1 << evidence.author
  m.evidence.push(evidence)
  m.effects.push({ kind: 'equivocation', evidence })
}
