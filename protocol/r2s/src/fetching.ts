import { receive } from './acceptance.ts'
import type { Block, BlockRef } from './block.ts'
import type { Vertex } from './dag.ts'
import { isPeer, type MemberState, refuse, send } from './member-state.ts'
import { FETCH_REFS_MAX, REPLY_BLOCKS_MAX } from './message.ts'

/** Questions of one member that are answered within a retry time, if its bytes are not used up; it will repeat the others. */
const SERVES_PER_RETRY_MAX = 64
const BLOCK_OVERHEAD_BYTES = 2 + 64
/** To look at a block of the DAG and leave it out costs as much as sending so many bytes. */
const LOOK_BYTES = 128
/** So many retry times without a new block, and longer than the idle pace: then something may have been lost for good. */
const QUIET_RETRIES = 20

/** Asks for what is missing, one message per member. */
export function ask(m: MemberState): void {
  if (m.isFollowing) return
  const asks = m.parking.due(m.nowMs)
  if (asks.length === 0) return
  const { size } = m.committee
  const { member } = m.config
  const byPeer: BlockRef[][] = Array.from({ length: size }, () => [])
  for (const { to, ref } of asks) {
    for (let peer = 0; peer < size; peer++) {
      if (peer !== member && (to === -1 || peer === to % size)) byPeer[peer]!.push(ref)
    }
    // "One other" turned out to be this member itself.
    if (to % size === member) byPeer[(member + 1) % size]!.push(ref)
  }
  byPeer.forEach((refs, peer) => {
    for (let i = 0; i < refs.length; i += FETCH_REFS_MAX) askFor(m, peer, refs.slice(i, i + FETCH_REFS_MAX))
  })
}

function askFor(m: MemberState, peer: number, wanted: readonly BlockRef[]): void {
  // Exact, also for equivocators of whom another chain may be missing: every block of an answer that is cut short is
  // then new, and what lies below a missing twin is asked for by name.
  const have = m.dag.newest.map((vertex) => vertex.round)
  send(m, peer, { kind: 'fetch', wanted, have })
}

/** An answer that brought something, but not all: its sender is asked for more at once, whatever the others are asked and when. */
function askOn(m: MemberState, peer: number): void {
  const wanted = m.parking.wanted(FETCH_REFS_MAX)
  if (wanted.length > 0) askFor(m, peer, wanted)
}

/** Answers with a causally closed set in the order of rounds, the lowest first if it is too much. */
export function serve(m: MemberState, to: number, wanted: readonly BlockRef[], have: readonly number[]): void {
  if (!mayServe(m, to)) return
  const closure = new Set<Vertex>()
  for (const ref of wanted) {
    const vertex = m.dag.find(ref)
    if (vertex?.block) closure.add(vertex)
  }
  for (const vertex of closure) {
    for (const parent of vertex.parents) {
      if (parent.round > have[parent.author]! && parent.round > m.dag.gcRound) closure.add(parent)
    }
  }
  const sorted = [...closure].sort((a, b) => a.round - b.round || a.author - b.author)
  const blocks: Block[] = []
  let bytes = 0
  for (const { block } of sorted) {
    bytes += BLOCK_OVERHEAD_BYTES + block!.headerBytes.length + block!.payload.length
    if (blocks.length > 0 && (bytes > m.config.params.replyBytesMax || blocks.length >= REPLY_BLOCKS_MAX)) break
    blocks.push(block!)
  }
  m.served[to]!.bytes.spend(bytes + closure.size * LOOK_BYTES)
  const gone = wanted.some((ref) => ref.round <= m.dag.gcRound)
  if (blocks.length > 0 || gone) send(m, to, { kind: 'blocks', blocks, gcRound: m.dag.gcRound })
}

export function mayServe(m: MemberState, to: number): boolean {
  const served = m.served[to]!
  if (m.nowMs - served.sinceMs >= m.config.params.fetchRetryMs) {
    served.sinceMs = m.nowMs
    served.count = 0
  }
  return served.bytes.has(m.nowMs) && served.count++ < SERVES_PER_RETRY_MAX
}

export function fetched(m: MemberState, from: number, blocks: readonly Block[], gcRound: number): void {
  if (blocks.length > REPLY_BLOCKS_MAX) {
    refuse(m, from, 'TOO_MANY_ANSWERS')
    return
  }
  const before = m.dag.blockCount
  for (const block of blocks) receive(m, block, from, true)
  if (m.dag.blockCount > before) askOn(m, from)
  // One member may lie about how far it is; more than f do not.
  m.goneAt[from] = gcRound
  const known = Math.max(m.dag.highestRound, m.rule.firstUndecidedRound - 1)
  const missing = m.parking.size > 0 && known < gcRound
  if (!missing || m.nowMs < m.behindAtMs + m.config.params.fetchRetryMs) return
  const beyond = m.goneAt.filter((gone) => gone >= known)
  if (beyond.length <= m.committee.faultCount) return
  m.behindAtMs = m.nowMs
  m.isFollowing = true
  m.effects.push({ kind: 'behind', gcRound: Math.min(...beyond) })
}

/** Says what is here of the peer's own blocks, so that it sends the rest. */
export function greet(m: MemberState, peer: number): void {
  send(m, peer, { kind: 'hello', round: Math.max(m.dag.newest[peer]!.round, m.parking.highestRound(peer)) })
}

/** A block came in, or was made. */
export function heard(m: MemberState): void {
  const { fetchRetryMs, idleRoundMs } = m.config.params
  m.greetAtMs = m.nowMs + Math.max(QUIET_RETRIES * fetchRetryMs, 2 * idleRoundMs)
}

/** When to ask the others for what may be lost. */
export function greetMs(m: MemberState): number {
  return m.committee.size > 1 ? m.greetAtMs : Number.POSITIVE_INFINITY
}

/**
 * A block is pushed once. While rounds go on, later ones lead to what was lost; where they stand still because of it, or where
 * blocks far above were not kept, nobody would send it again.
 */
export function greetWhenQuiet(m: MemberState): void {
  if (m.isFollowing || m.nowMs < m.greetAtMs) return
  heard(m)
  for (let peer = 0; peer < m.committee.size; peer++) if (isPeer(m, peer)) greet(m, peer)
}

/**
 * The peer has own blocks up to `round`: the newest are sent again, as many as one answer holds. The very newest is always
 * among them, and leads the peer to all that is missing below.
 */
export function hello(m: MemberState, peer: number, round: number): void {
  // Somebody else speaks for this seat. What others cite of it they ask for by name.
  if (m.silent || !mayServe(m, peer)) return
  const { member, params } = m.config
  const blocks: Block[] = []
  let bytes = 0
  for (let next = m.lastOwnRound; next > Math.max(round, m.dag.gcRound); next--) {
    const block = m.dag.slot(next, member)[0]?.block
    if (!block) continue
    bytes += BLOCK_OVERHEAD_BYTES + block.headerBytes.length + block.payload.length
    if (blocks.length > 0 && bytes > params.replyBytesMax) break
    blocks.push(block)
  }
  m.served[peer]!.bytes.spend(bytes)
  for (const block of blocks.reverse()) send(m, peer, { kind: 'block', block })
}
