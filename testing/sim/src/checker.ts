import { crc32 } from 'node:zlib'
import { bytesToPlainHex, equalBytes } from '@cumulus/bytes'
import { type Certificate, CertificateError, type Committee, verifyCertificate } from '@cumulus/certificate'
import { type Block, type BlockRef, type Commit, digestKey, encodeCheckpoint, type MemberSizes } from '@cumulus/r2s'
import { StandInBls } from './stand-ins.ts'

/** A broken promise. */
export class Violation extends Error {
  readonly code: ViolationCode
  constructor(code: ViolationCode, detail: string) {
    super(`${code}: ${detail}`)
    this.name = 'Violation'
    this.code = code
  }
}

export type ViolationCode =
  | 'DISAGREEMENT'
  | 'GAP'
  | 'OUTPUT_TWICE'
  | 'OUTPUT_BEFORE_PARENT'
  | 'FORGED'
  | 'HONEST_EQUIVOCATION'
  | 'HONEST_BLAMED'
  | 'PANIC'
  | 'STALL'
  | 'CENSORED'
  | 'LOST'
  | 'ORDERED_AND_RETURNED'
  | 'UNBOUNDED'
  | 'WRONG_CERTIFICATE'
  | 'NOT_CERTIFIED'

/** The most that a member may keep of each. */
export interface SizeBounds extends MemberSizes {
  readonly logRecords: number
}

interface Shown {
  readonly key: number
  /** The highest round of all that honest members had shown when it was shown first. */
  readonly tip: number
  /** Random bytes, so that no two are alike; or null. */
  readonly payload: string | null
}

interface AgreedRound {
  readonly hash: number
  /** Of the checkpoint: chain headers bind it, so members must have the same. */
  readonly checkpoint: number
  /** Of the chain block of this round. */
  readonly headerHash: Uint8Array
  readonly by: number
}

/**
 * Watches all honest members at every step. Knows the rule of the game, nothing of how the core plays it: what
 * one member committed for a round, every other must commit, in order; no block twice, none before its parents,
 * none in an honest name that its owner did not sign, and no owner signs two.
 */
export class Checker {
  readonly #honest: number
  readonly #size: number
  readonly #headerHashOf: (commit: Commit) => Uint8Array
  readonly #agreed: AgreedRound[] = []
  readonly #output = new Set<number>()
  /** Payloads of honest blocks in the order. */
  readonly #ordered = new Set<string>()
  /** Such as their owners were told will never be there. */
  readonly #returned = new Set<string>()
  /** By author and round: the honest blocks that others may have seen. */
  readonly #signed: Map<number, Shown>[]
  readonly #committedUpTo: number[]
  #tip = 0
  blockCount = 0
  directCount = 0
  indirectCommitCount = 0
  indirectSkipCount = 0
  skipCount = 0
  certificateCount = 0

  constructor(size: number, honest: number, headerHashOf: (commit: Commit) => Uint8Array) {
    this.#size = size
    this.#honest = honest
    this.#headerHashOf = headerHashOf
    this.#signed = Array.from({ length: size }, () => new Map<number, Shown>())
    this.#committedUpTo = new Array<number>(size).fill(0)
  }

  get agreedRound(): number {
    return this.#agreed.length
  }

  isHonest(member: number): boolean {
    return (this.#honest & (1 << member)) !== 0
  }

  isOutput(ref: BlockRef): boolean {
    return this.#output.has(digestKey(ref.digest))
  }

  /** An honest member is about to show its own block. Returns the highest round there was when it did so first. */
  shown(block: Block): number {
    const { author, round } = block.header
    const key = digestKey(block.digest)
    const before = this.#signed[author]!.get(round)
    if (before && before.key !== key) {
      throw new Violation('HONEST_EQUIVOCATION', `member ${author} signed two blocks of round ${round}`)
    }
    if (before) return before.tip
    this.#tip = Math.max(this.#tip, round)
    const payload = block.payload.length > 0 ? bytesToPlainHex(block.payload) : null
    this.#signed[author]!.set(round, { key, tip: this.#tip, payload })
    return this.#tip
  }

  /** `member` starts over from its log; it may tell commits again from `round` on. */
  restarted(member: number, round: number): void {
    this.#committedUpTo[member] = round - 1
  }

  committed(member: number, commit: Commit): void {
    const { round } = commit
    if (round !== this.#committedUpTo[member]! + 1) {
      throw new Violation('GAP', `member ${member} committed ${round} after ${this.#committedUpTo[member]}`)
    }
    this.#committedUpTo[member] = round
    const hash = hashCommit(commit)
    const checkpoint = crc32(encodeCheckpoint(commit.checkpoint))
    const agreed = this.#agreed[round - 1]
    if (agreed) {
      if (agreed.hash !== hash || agreed.checkpoint !== checkpoint) {
        throw new Violation('DISAGREEMENT', `round ${round} at member ${member} is not that of member ${agreed.by}`)
      }
      return
    }
    this.#agreed[round - 1] = { hash, checkpoint, headerHash: this.#headerHashOf(commit), by: member }
    for (const slot of commit.slots) {
      if (slot.direct) slot.digest ? this.directCount++ : this.skipCount++
      else slot.digest ? this.indirectCommitCount++ : this.indirectSkipCount++
    }
    for (const block of commit.blocks) this.#judgeOutput(block, commit.gcRound)
  }

  /** A member holds a certificate: of the chain block that all execute at this height, or somebody has signed another. */
  certified(member: number, certificate: Certificate, committee: Committee): void {
    this.certificateCount++
    const { height, headerHash } = certificate
    try {
      verifyCertificate(certificate, committee, new StandInBls())
    } catch (error) {
      if (!(error instanceof CertificateError)) throw error
      throw new Violation('WRONG_CERTIFICATE', `height ${height} at member ${member}: ${error.message}`)
    }
    const agreed = this.#agreed[Number(height) - 1]
    if (!agreed || !equalBytes(agreed.headerHash, headerHash)) {
      throw new Violation('WRONG_CERTIFICATE', `height ${height} at member ${member}`)
    }
  }

  /** After every step: memory and disk are bounded whatever the others do. */
  sized(member: number, sizes: MemberSizes, logRecords: number, bounds: SizeBounds): void {
    for (const what of SIZES) {
      if (sizes[what] > bounds[what]) throw new Violation('UNBOUNDED', `member ${member}: ${sizes[what]} ${what}`)
    }
    if (logRecords > bounds.logRecords) throw new Violation('UNBOUNDED', `member ${member}: ${logRecords} records`)
  }

  /** A member says that another did what no honest one does. */
  blamed(author: number, reason: string): void {
    if (this.isHonest(author)) throw new Violation('HONEST_BLAMED', `member ${author}: ${reason}`)
  }

  #judgeOutput(block: Block, gcRound: number): void {
    const { author, round, parents } = block.header
    const key = digestKey(block.digest)
    if (this.#output.has(key)) throw new Violation('OUTPUT_TWICE', `block of ${author}, round ${round}`)
    this.#output.add(key)
    this.blockCount++
    if (this.isHonest(author)) this.#judgeFate(author, block.payload, this.#ordered)
    if (author >= this.#size || (this.isHonest(author) && this.#signed[author]!.get(round)?.key !== key)) {
      throw new Violation('FORGED', `a block of round ${round} that member ${author} never showed`)
    }
    // Blocks of an ejected author may be left out of the order, and he is no honest one.
    for (const parent of parents) {
      if (parent.round <= gcRound || !this.isHonest(parent.author)) continue
      if (!this.#output.has(digestKey(parent.digest))) {
        throw new Violation('OUTPUT_BEFORE_PARENT', `block of ${author}, round ${round}`)
      }
    }
  }

  /**
   * An honest member is told that an own payload will not be in the order. Where it adopts a checkpoint it cannot know what the rounds
   * passed over have brought, and learns that from their chain blocks.
   */
  returned(member: number, payload: Uint8Array, passesOver: boolean): void {
    if (passesOver && this.#ordered.has(bytesToPlainHex(payload))) return
    this.#judgeFate(member, payload, this.#returned)
  }

  #judgeFate(author: number, payload: Uint8Array, fate: Set<string>): void {
    if (payload.length === 0) return
    const hex = bytesToPlainHex(payload)
    fate.add(hex)
    if (this.#returned.has(hex) && this.#ordered.has(hex)) {
      throw new Violation('ORDERED_AND_RETURNED', `a payload of member ${author}`)
    }
  }

  /**
   * After the calm. What a member showed while the highest round of all was between these, at most `reach` below it, is in the
   * order (SPEC 2.5). What is not and was collected away was given back (SPEC 2.9).
   */
  assertIncluded(member: number, calm: { fromTip: number; toTip: number; reach: number; gcRound: number }): void {
    for (const [round, { key, tip, payload }] of this.#signed[member]!) {
      if (this.#output.has(key)) continue
      const what = `block of ${member}, round ${round}, shown when others were in ${tip}, is in no commit up to ${this.agreedRound}`
      const isInReach = round >= tip - calm.reach
      if (isInReach && tip >= calm.fromTip && tip <= calm.toTip) throw new Violation('CENSORED', what)
      const isGivenBack = payload === null || this.#returned.has(payload)
      if (round <= calm.gcRound && !isGivenBack) throw new Violation('LOST', what)
    }
  }
}

const SIZES = Object.keys({
  blocks: true,
  parked: true,
  wanted: true,
  refused: true,
  coins: true,
  knownCoins: true,
  shownCoins: true,
  output: true,
} satisfies Record<keyof MemberSizes, true>) as (keyof MemberSizes)[]

/** 53 bits over everything members must agree on. */
export function hashCommit(commit: Commit): number {
  let low = commit.round
  let high = commit.gcRound
  const mix = (value: number): void => {
    low = Math.imul(low ^ value, 0x85eb_ca6b)
    low ^= low >>> 15
    high = Math.imul(high ^ (value / 2 ** 16), 0xc2b2_ae35) + low
    high ^= high >>> 13
  }
  for (const slot of commit.slots) {
    mix(slot.author)
    mix(slot.digest ? digestKey(slot.digest) % 2 ** 32 : 0)
  }
  for (const block of commit.blocks) mix(digestKey(block.digest) % 2 ** 32)
  for (const author of commit.ejected) mix(author + 1)
  mix(commit.medianTsMs % 2 ** 32)
  return (high >>> 11) * 2 ** 32 + (low >>> 0)
}
