import { equalBytes } from '@cumulus/bytes'
import {
  type BlsScheme,
  type Certificate,
  type Committee,
  type DoubleVote,
  encodeCertificate,
  VoteCollector,
  voteMessage,
} from '@cumulus/certificate'
import type { CertificateStore } from '@cumulus/execution'
import type { HashedHeader } from '@cumulus/ledger'
import type { HeaderVote } from '@cumulus/r2s'
import type { Logger } from '@cumulus/service'
import { aggregateSignatures, type BlsKey, fastAggregateVerify, verifyBls } from '@cumulus/threshold'
import { ConsensusError } from './consensus-error.ts'
import type { ConsensusMetrics } from './consensus-metrics.ts'

/** The headers of executed blocks. A `Ledger` is one. */
export interface ExecutedChain {
  readonly head: HashedHeader
  header(number: bigint): HashedHeader | undefined
}

interface CertifierComponents {
  readonly committee: Committee
  /** Own seat and its BLS key. */
  readonly self: number
  readonly key: BlsKey
  readonly chain: ExecutedChain
  readonly certificates: Pick<CertificateStore, 'highest' | 'put'>
  /** A certificate was stored. */
  readonly certified: (height: bigint) => void
  /** Others certified another block than the one executed here. */
  readonly diverged: (error: ConsensusError) => void
  readonly doubleVote: (evidence: DoubleVote) => void
  readonly metrics: ConsensusMetrics
  readonly log: Logger
  readonly nowMs: () => number
}

/** Votes in one own block. */
const VOTES_PER_BLOCK_MAX = 8
/** Heights whose votes wait for an own block; the lowest are given up first, since higher ones vouch for them. */
const OWN_VOTES_MAX = 64
/** Below this under the head a certificate is not waited for any longer: votes of that time are gone. */
const GIVE_UP_BLOCKS = 64n
/** Votes further ahead of the last certificate are not kept. */
const WINDOW_HEIGHTS = 256

const bls: BlsScheme = { aggregateSignatures, fastAggregateVerify, verifyBls }

/**
 * Makes certificates (R²S, section 5.2): signs the headers of executed blocks, collects what other members sign, and keeps the sum
 * of a quorum. What is certified and not what was executed here stops the node: it never follows blindly.
 */
export class Certifier {
  readonly #components: CertifierComponents
  readonly #collector: VoteCollector
  readonly #ownVotes: HeaderVote[] = []
  /** Certificates of blocks that are not executed here yet. */
  readonly #ahead = new Map<bigint, Certificate>()
  /** Members of whom a wrong vote was logged; the others of theirs are counted. */
  readonly #warnedOf = new Set<number>()
  readonly #executedAtMs = new Map<bigint, number>()
  #floor: bigint

  constructor(components: CertifierComponents) {
    this.#components = components
    const { committee, certificates, chain } = components
    const { number } = chain.head
    const highest = certificates.highest ?? 0n
    this.#floor = highest > number - GIVE_UP_BLOCKS ? highest : number - GIVE_UP_BLOCKS
    if (this.#floor < 0n) this.#floor = 0n
    this.#collector = new VoteCollector({ committee, bls, floor: this.#floor, windowHeights: WINDOW_HEIGHTS })
    // Votes that were under way when the process ended: signed again, the same ones.
    for (let height = this.#floor + 1n; height <= number; height++) this.#vote(chain.header(height)!)
  }

  get certifiedHeight(): bigint {
    return this.#components.certificates.highest ?? 0n
  }

  /** Executed blocks above the last certificate, as far as one can still be expected. */
  get behind(): number {
    return Number(this.#components.chain.head.number - this.#floor)
  }

  get hasVotes(): boolean {
    return this.#ownVotes.length > 0
  }

  /** Votes for the next own block. */
  takeVotes(): HeaderVote[] {
    return this.#ownVotes.splice(0, VOTES_PER_BLOCK_MAX)
  }

  /** A chain block was executed and stored. */
  executed(header: HashedHeader): void {
    const { number, hash } = header
    if (this.behind > 3 * Number(GIVE_UP_BLOCKS)) this.#raiseFloor(number - GIVE_UP_BLOCKS)
    this.#executedAtMs.set(number, this.#components.nowMs())
    const certificate = this.#ahead.get(number)
    if (certificate) {
      this.#ahead.delete(number)
      if (!this.#isOwn(certificate, hash)) return
      this.#store(certificate)
    }
    // Of what is certified already nobody needs a further vote.
    if (number > this.#floor) this.#vote(header)
  }

  /** Votes that came in an accepted block of `member`. */
  observe(member: number, votes: readonly HeaderVote[]): void {
    for (const vote of votes) {
      const { certificate, doubleVote, wrongVotes } = this.#collector.add(member, vote)
      for (const author of wrongVotes) {
        this.#components.metrics.refused.inc({ code: 'WRONG_VOTE' })
        if (this.#warnedOf.has(author)) continue
        this.#warnedOf.add(author)
        this.#components.log.warn('a vote is not signed by its member', { member: author, height: vote.height })
      }
      if (doubleVote) this.#components.doubleVote(doubleVote)
      if (certificate) this.#certified(certificate)
    }
  }

  /** A certificate that came with blocks from others, verified. */
  adopted(height: bigint): void {
    this.#raiseFloor(height)
  }

  #certified(certificate: Certificate): void {
    const { chain } = this.#components
    const { height } = certificate
    const header = height <= chain.head.number ? chain.header(height) : undefined
    if (header) {
      if (this.#isOwn(certificate, header.hash)) this.#store(certificate)
      return
    }
    this.#ahead.set(height, certificate)
    if (this.#ahead.size > WINDOW_HEIGHTS) this.#ahead.delete(this.#ahead.keys().next().value!)
  }

  #isOwn(certificate: Certificate, ownHash: Uint8Array): boolean {
    const { height, headerHash } = certificate
    if (equalBytes(headerHash, ownHash)) return true
    const details = { height, certified: headerHash, executed: ownHash, certificate: encodeCertificate(certificate) }
    this.#components.diverged(
      new ConsensusError('DIVERGED', `block ${height} was certified as another than the one executed here`, details),
    )
    return false
  }

  #store(certificate: Certificate): void {
    const { certificates, certified, metrics, nowMs } = this.#components
    const { height } = certificate
    certificates.put(height, encodeCertificate(certificate))
    const executedAtMs = this.#executedAtMs.get(height)
    if (executedAtMs !== undefined) metrics.certificateSeconds.observe(Math.max(0, nowMs() - executedAtMs) / 1000)
    this.#raiseFloor(height)
    certified(height)
  }

  #raiseFloor(height: bigint): void {
    if (height <= this.#floor) return
    this.#floor = height
    this.#collector.forget(height)
    while (this.#ownVotes.length > 0 && this.#ownVotes[0]!.height <= height) this.#ownVotes.shift()
    for (const known of this.#ahead.keys()) if (known <= height) this.#ahead.delete(known)
    for (const known of this.#executedAtMs.keys()) if (known <= height) this.#executedAtMs.delete(known)
  }

  #vote({ number: height, hash: headerHash }: HashedHeader): void {
    const { committee, key } = this.#components
    const { chainId, era } = committee
    const signature = key.sign(voteMessage({ chainId, era, height, headerHash }))
    this.#ownVotes.push({ height, headerHash, signature })
    if (this.#ownVotes.length > OWN_VOTES_MAX) this.#ownVotes.shift()
  }
}
