import { compareBytes, equalBytes } from '@cumulus/bytes'
import type { BlsScheme } from './bls-scheme.ts'
import { type Certificate, HASH_BYTES, SIGNATURE_BYTES } from './certificate.ts'
import type { Committee } from './committee.ts'
import { voteMessage } from './message.ts'

/** A member's word for one chain block, as it comes in a block of the order. */
export interface Vote {
  readonly height: bigint
  readonly headerHash: Uint8Array
  readonly signature: Uint8Array
}

/** Whether the vote is the member's. 0.8 ms. */
export function verifyVote(member: number, vote: Vote, committee: Committee, bls: BlsScheme): boolean {
  const key = committee.members[member]?.blsKey
  if (key === undefined || vote.headerHash.length !== HASH_BYTES) return false
  const { chainId, era } = committee
  return bls.verifyBls(vote.signature, voteMessage({ chainId, era, ...vote }), key)
}

/** Two words of one member for one height, both with its signature: nobody honest says that. */
export interface DoubleVote {
  readonly member: number
  /** In the order of their hashes, so that everybody has the same evidence. */
  readonly votes: readonly [Vote, Vote]
}

/** What became of a vote. */
export interface VoteOutcome {
  /** `repeated`: said before, or no longer needed. `far`: outside the window. `wrong`: not this member's signature. */
  readonly kind: 'kept' | 'repeated' | 'far' | 'wrong'
  /** The vote, or that it was found out, completed this. */
  readonly certificate?: Certificate
  readonly doubleVote?: DoubleVote
  /** Whose votes at this height turned out not to be theirs, and are forgotten. */
  readonly wrongVotes: readonly number[]
}

interface HeldVote extends Vote {
  verified: boolean
}

interface Height {
  readonly votes: (HeldVote | undefined)[]
  isCertified: boolean
}

interface VoteCollectorInit {
  readonly committee: Committee
  readonly bls: BlsScheme
  /** Votes at or below are not wanted. */
  readonly floor: bigint
  /** Heights above the floor for which votes are kept: others wait for nobody. */
  readonly windowHeights?: number
}

const WINDOW_HEIGHTS = 256
/** So long after its certificate a second vote for a height still convicts its author. */
const PAST_HEIGHTS = 64n
/** Of whom so many votes were wrong, no further one is verified: at 0.8 ms each they would keep everybody busy. */
const WRONG_VOTES_MAX = 64

/**
 * Makes certificates of votes. Nothing is verified when a vote comes: once a quorum agrees on a hash, its signatures are summed and
 * the sum is verified, once for all. If that fails, votes are verified one by one, the wrong ones forgotten, and their
 * authors' votes verified on arrival from then on: so a liar costs everybody one round of single verifications, not many. (Halving the
 * set instead would save nothing at 8 votes, and two liars whose errors cancel out would slip through.)
 *
 * Votes of the last certified heights are kept as well, since who waits for the certificate before it says something else shall not
 * get away with it.
 *
 * Memory: (`windowHeights` + 64) · n votes of about 250 bytes.
 */
export class VoteCollector {
  readonly #committee: Committee
  readonly #bls: BlsScheme
  readonly #windowHeights: bigint
  readonly #heights = new Map<bigint, Height>()
  /** The last ones at or below the floor. */
  readonly #past = new Map<bigint, Height>()
  /** Members of whom a wrong vote was seen. */
  readonly #distrusted = new Set<number>()
  /** By member: votes that turned out wrong. */
  readonly #wrongCounts: number[]
  /** Members of whom a double vote was reported. */
  readonly #convicted = new Set<number>()
  #floor: bigint

  constructor({ committee, bls, floor, windowHeights = WINDOW_HEIGHTS }: VoteCollectorInit) {
    this.#committee = committee
    this.#bls = bls
    this.#floor = floor
    this.#windowHeights = BigInt(windowHeights)
    this.#wrongCounts = committee.members.map(() => 0)
  }

  /** Heights with votes in memory. */
  get pendingHeights(): number {
    return this.#heights.size
  }

  /** What is at or below `height` is certified, and the certificate is stored: votes for it serve as evidence only. */
  forget(height: bigint): void {
    if (height <= this.#floor) return
    this.#floor = height
    for (const [known, votes] of this.#heights) {
      if (known > height) continue
      this.#heights.delete(known)
      this.#past.set(known, votes)
    }
    for (const known of this.#past.keys()) if (!this.#isPast(known)) this.#past.delete(known)
  }

  #isPast(height: bigint): boolean {
    return height > 0n && height <= this.#floor && height > this.#floor - PAST_HEIGHTS
  }

  /** @param member whose block carried the vote: that much is known of it */
  add(member: number, vote: Vote): VoteOutcome {
    const { members } = this.#committee
    if (
      members[member] === undefined ||
      vote.headerHash.length !== HASH_BYTES ||
      vote.signature.length !== SIGNATURE_BYTES
    ) {
      return outcome('wrong', { wrongVotes: [member] })
    }
    const isPast = this.#isPast(vote.height)
    if (!isPast && (vote.height <= this.#floor || vote.height > this.#floor + this.#windowHeights))
      return outcome('far')
    const height = (isPast ? this.#past : this.#heights).get(vote.height)
    const before = height?.votes[member]
    if (before) return this.#second(member, before, vote, height!)
    if (isPast || height?.isCertified) {
      this.#hold(member, { ...vote, verified: false }, height)
      return outcome('repeated')
    }
    const verified = this.#distrusted.has(member)
    if (verified && !this.#isRight(member, vote)) return outcome('wrong', { wrongVotes: [member] })
    return this.#certify(this.#hold(member, { ...vote, verified }, height), vote.headerHash)
  }

  #hold(member: number, vote: HeldVote, known: Height | undefined): Height {
    const height = known ?? { votes: new Array(this.#committee.members.length).fill(undefined), isCertified: false }
    if (!known) (this.#isPast(vote.height) ? this.#past : this.#heights).set(vote.height, height)
    height.votes[member] = vote
    return height
  }

  /** Another word for the same height: nothing new, a wrong one before, or evidence. */
  #second(member: number, before: HeldVote, vote: Vote, height: Height): VoteOutcome {
    if (equalBytes(before.headerHash, vote.headerHash)) return outcome('repeated')
    if (this.#convicted.has(member) || !this.#isRight(member, vote)) return outcome('wrong', { wrongVotes: [member] })
    if (!before.verified && !this.#isRight(member, before)) {
      this.#distrusted.add(member)
      this.#hold(member, { ...vote, verified: true }, height)
      return { ...this.#certify(height, vote.headerHash), wrongVotes: [member] }
    }
    before.verified = true
    this.#convicted.add(member)
    const votes: [Vote, Vote] = [plain(before), plain(vote)]
    votes.sort((a, b) => compareBytes(a.headerHash, b.headerHash))
    return outcome('repeated', { doubleVote: { member, votes } })
  }

  #certify(height: Height, headerHash: Uint8Array): VoteOutcome {
    const wrongVotes: number[] = []
    for (;;) {
      const agreeing = [...height.votes.entries()].filter(([, vote]) => vote && equalBytes(vote.headerHash, headerHash))
      if (height.isCertified || agreeing.length < this.#committee.quorum) return outcome('kept', { wrongVotes })
      const certificate = this.#tryCertificate(agreeing as [number, HeldVote][])
      if (certificate) {
        height.isCertified = true
        return outcome('kept', { certificate, wrongVotes })
      }
      for (const [member, vote] of agreeing as [number, HeldVote][]) {
        vote.verified ||= this.#isRight(member, vote)
        if (vote.verified) continue
        height.votes[member] = undefined
        this.#distrusted.add(member)
        wrongVotes.push(member)
      }
      // Right votes make a right sum: without this, a broken scheme would make us spin.
      if (agreeing.every(([, vote]) => vote!.verified)) throw new Error('right votes do not make a certificate')
    }
  }

  #tryCertificate(votes: readonly (readonly [number, Vote])[]): Certificate | undefined {
    const { chainId, era, members } = this.#committee
    const { height, headerHash } = votes[0]![1]
    let signature: Uint8Array
    try {
      signature = this.#bls.aggregateSignatures(votes.map(([, vote]) => vote.signature))
    } catch {
      return undefined // one of them is no point
    }
    const keys = votes.map(([member]) => members[member]!.blsKey)
    if (!this.#bls.fastAggregateVerify(signature, voteMessage({ chainId, era, height, headerHash }), keys)) {
      return undefined
    }
    const signers = votes.reduce((mask, [member]) => mask | (1 << member), 0)
    return { era, height, headerHash, signers, signature }
  }

  #isRight(member: number, vote: Vote): boolean {
    if (this.#wrongCounts[member]! >= WRONG_VOTES_MAX) return false
    const isRight = verifyVote(member, vote, this.#committee, this.#bls)
    if (!isRight) this.#wrongCounts[member]!++
    return isRight
  }
}

function outcome(kind: VoteOutcome['kind'], more: Partial<VoteOutcome> = {}): VoteOutcome {
  return { kind, wrongVotes: [], ...more }
}

function plain({ height, headerHash, signature }: Vote): Vote {
  return { height, headerHash, signature }
}
