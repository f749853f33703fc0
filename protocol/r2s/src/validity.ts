import { equalBytes } from '@cumulus/bytes'
import { type Block, type BlockRef, type Evidence, signedMessage } from './block.ts'
import type { CoinRule } from './coin.ts'
import type { Dag, Vertex } from './dag.ts'
import type { R2sParams } from './r2s-params.ts'

/** Why a block or message was not taken. */
export type RefusalCode =
  | 'MALFORMED'
  | 'NOT_A_MEMBER'
  | 'WRONG_CHAIN'
  | 'WRONG_ERA'
  | 'BAD_AUTHOR'
  | 'BAD_ROUND'
  | 'PAYLOAD_TOO_BIG'
  | 'BAD_PARENTS'
  | 'TOO_FEW_PARENTS'
  | 'PARENT_TOO_OLD'
  | 'BAD_GENESIS'
  | 'BAD_COIN_SHARE'
  | 'BAD_EVIDENCE'
  | 'BAD_SIGNATURE'
  | 'TIME_BEFORE_PARENT'
  | 'BAD_EXPOSED'
  | 'EXPOSED_PARENT'
  | 'INVALID_PARENT'
  | 'TOO_MANY_ANSWERS'
  | 'BAD_COIN'
  /** More blocks to judge than a member is given time for. An honest one may be told so once after a long outage. */
  | 'TOO_MANY_BLOCKS'

export interface Era {
  readonly chainId: bigint
  readonly era: number
  readonly size: number
  readonly quorum: number
  readonly params: R2sParams
  readonly coin: CoinRule
  /** Whether `signature` is the member's for `message`. */
  verify(author: number, message: Uint8Array, signature: Uint8Array): boolean
}

/**
 * SPEC 2.2, the part that needs nothing but the block. Every check is objective: two honest nodes never differ.
 * The signature is not checked here, for it is the costly one.
 */
export function judgeHeader(block: Block, era: Era, genesis: readonly Vertex[]): RefusalCode | null {
  const { header } = block
  const { params, size } = era
  if (header.chainId !== era.chainId) return 'WRONG_CHAIN'
  if (header.era !== era.era) return 'WRONG_ERA'
  if (header.author >= size) return 'BAD_AUTHOR'
  if (header.round < 1) return 'BAD_ROUND'
  if (header.payloadBytes > params.payloadBytesMax) return 'PAYLOAD_TOO_BIG'
  if (header.exposed >= 2 ** size) return 'BAD_EXPOSED'
  return judgeParents(header, era, genesis) ?? judgeCoinShare(header, era) ?? judgeEvidence(header.evidence, era)
}

function judgeParents(
  header: Block['header'],
  { size, quorum, params }: Era,
  genesis: readonly Vertex[],
): RefusalCode | null {
  const { round, parents } = header
  const own = parents[0]!
  if (own.author !== header.author) return 'BAD_PARENTS'
  let atPrevious = own.round === round - 1 ? 1 : 0
  let group: BlockRef | null = null
  for (let i = 0; i < parents.length; i++) {
    const parent = parents[i]!
    if (parent.author >= size || parent.round >= round) return 'BAD_PARENTS'
    if (parent.round === 0) {
      if (!equalBytes(parent.digest, genesis[parent.author]!.digest)) return 'BAD_GENESIS'
    }
    if (parent.round < round - params.parentDepthRounds && !(i === 0 && parent.round === 0)) return 'PARENT_TOO_OLD'
    if (header.exposed & (1 << parent.author)) return 'EXPOSED_PARENT'
    if (i === 0) continue
    if (parent.author === header.author) return 'BAD_PARENTS'
    // First the round before, ascending by author; then older ones, again ascending by author.
    const strong = parent.round === round - 1
    if (strong) atPrevious++
    if (group !== null) {
      const groupStrong = group.round === round - 1
      if (strong && !groupStrong) return 'BAD_PARENTS'
      if (strong === groupStrong && parent.author <= group.author) return 'BAD_PARENTS'
    }
    group = parent
  }
  return atPrevious < quorum ? 'TOO_FEW_PARENTS' : null
}

function judgeCoinShare(header: Block['header'], { params, coin }: Era): RefusalCode | null {
  const due =
    coin.mode === 'threshold' &&
    header.round - (params.waveLength - 1) >= 1 &&
    (coin.holders & (1 << header.author)) !== 0
  if (!due) return header.coinShare === null ? null : 'BAD_COIN_SHARE'
  return header.coinShare !== null && coin.wellFormed(header.coinShare) ? null : 'BAD_COIN_SHARE'
}

function judgeEvidence(evidence: Evidence | null, era: Era): RefusalCode | null {
  return evidence === null || isEvidence(evidence, era) ? null : 'BAD_EVIDENCE'
}

/** Whether somebody really signed two blocks of one round. */
export function isEvidence(evidence: Evidence, era: Era): boolean {
  const { author, round, firstDigest, secondDigest } = evidence
  if (author >= era.size || round < 1 || equalBytes(firstDigest, secondDigest)) return false
  const place = { chainId: era.chainId, era: era.era, round, author }
  return (
    era.verify(author, signedMessage(place, firstDigest), evidence.firstSignature) &&
    era.verify(author, signedMessage(place, secondDigest), evidence.secondSignature)
  )
}

/**
 * SPEC 2.2, the part that needs the parents. What was collected away cannot be looked at; `checked` says that nothing was
 * missing, and only then are two nodes sure to agree (SPEC 2.3).
 */
export function judgeAmongParents(
  block: Block,
  parents: readonly Vertex[],
  checked: boolean,
  dag: Dag,
  params: R2sParams,
): RefusalCode | null {
  const { header } = block
  for (const parent of parents) if (header.tsMs < parent.tsMs) return 'TIME_BEFORE_PARENT'
  if (checked && dag.exposedBy(parents, header.round, params.exposureDepthRounds) !== header.exposed)
    return 'BAD_EXPOSED'
  return null
}
