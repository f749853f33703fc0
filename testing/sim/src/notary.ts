import { ByteWriter, utf8Encode } from '@cumulus/bytes'
import { type BlsScheme, type Committee, createCommittee, VoteCollector, voteMessage } from '@cumulus/certificate'
import { sha256 } from '@cumulus/hash'
import type { Block, Commit, HeaderVote } from '@cumulus/r2s'
import { type Checker, hashCommit } from './checker.ts'
import { Random } from './random.ts'
import { StandInBls } from './stand-ins.ts'

/** As in a node: what fits into one block. */
const VOTES_PER_BLOCK_MAX = 8
/** Votes that wait for an own block; older ones are of no use to anybody. */
const WAITING_MAX = 64

interface NotaryInit {
  readonly committee: Committee
  readonly member: number
  readonly checker: Checker
  /** A traitor who votes for headers that are none, for two at once, or with signatures that are none. */
  readonly splits: boolean
  readonly seed: number
}

/**
 * Stands for execution and certificates: the chain block of each decided round is a hash of its commit, its height is the round. Votes go
 * out with own blocks and come in with all accepted ones; the collector is the one that ships.
 */
export class Notary {
  readonly #init: NotaryInit
  readonly #random: Random
  readonly #bls: BlsScheme = new StandInBls()
  #collector: VoteCollector
  #waiting: HeaderVote[] = []
  certifiedHeight = 0

  constructor(init: NotaryInit) {
    this.#init = init
    this.#random = new Random(init.seed ^ (init.member * 0x9e37) ^ 0x707e)
    this.#collector = this.#newCollector(0)
  }

  /** Votes in memory do not survive; those for replayed commits are cast again, alike. */
  restart(certifiedHeight: number): void {
    this.#waiting = []
    this.certifiedHeight = certifiedHeight
    this.#collector = this.#newCollector(certifiedHeight)
  }

  /** Certificates that came with chain blocks from others. */
  adopted(certifiedHeight: number): void {
    this.certifiedHeight = Math.max(this.certifiedHeight, certifiedHeight)
    this.#collector.forget(BigInt(this.certifiedHeight))
  }

  committed(commit: Commit): void {
    const headerHash = headerHashOf(commit)
    if (!this.#init.splits) {
      this.#vote(commit.round, headerHash)
      return
    }
    const other = this.#random.bytes(32)
    if (this.#random.chance(0.5)) this.#vote(commit.round, other)
    this.#vote(commit.round, headerHash)
    const last = this.#waiting.at(-1)!
    if (this.#random.chance(0.5)) this.#waiting.splice(-1, 1, { ...last, signature: this.#random.bytes(96) })
    if (this.#random.chance(0.3)) this.#vote(commit.round + this.#random.below(1000), other)
  }

  /** For the next own block. */
  take(): HeaderVote[] {
    return this.#waiting.splice(0, VOTES_PER_BLOCK_MAX)
  }

  /** A block that was accepted, or is the own one. */
  accepted(block: Block): void {
    const { checker, member } = this.#init
    for (const vote of block.header.votes) {
      const { certificate, doubleVote, wrongVotes } = this.#collector.add(block.header.author, vote)
      const watched = checker.isHonest(member)
      if (watched && doubleVote) checker.blamed(doubleVote.member, 'two votes')
      for (const author of watched ? wrongVotes : []) checker.blamed(author, 'wrong vote')
      if (!certificate) continue
      if (watched) checker.certified(member, certificate, this.#init.committee)
      this.certifiedHeight = Math.max(this.certifiedHeight, Number(certificate.height))
      this.#collector.forget(certificate.height)
    }
  }

  #vote(round: number, headerHash: Uint8Array): void {
    const { committee, member } = this.#init
    const height = BigInt(round)
    const message = voteMessage({ chainId: committee.chainId, era: committee.era, height, headerHash })
    this.#waiting.push({ height, headerHash, signature: StandInBls.sign(member, message) })
    if (this.#waiting.length > WAITING_MAX) this.#waiting.shift()
  }

  #newCollector(certifiedHeight: number): VoteCollector {
    return new VoteCollector({ committee: this.#init.committee, bls: this.#bls, floor: BigInt(certifiedHeight) })
  }
}

const HEADER_DOMAIN = utf8Encode('simulated header')

/** What stands for the hash of the chain block of a round. */
export function headerHashOf(commit: Commit): Uint8Array {
  return sha256(new ByteWriter(64).bytes(HEADER_DOMAIN).u32(commit.round).u53(hashCommit(commit)).finish())
}

/** A committee whose keys are the numbers of its members. */
export function standInCommittee(size: number): Committee {
  return createCommittee({
    chainId: 1,
    era: 1,
    members: Array.from({ length: size }, (_, member) => ({
      account: `0x${member.toString(16).padStart(40, '0')}` as const,
      peerKey: new Uint8Array(32).fill(member),
      blsKey: StandInBls.keyOf(member),
      address: '',
    })),
  })
}
