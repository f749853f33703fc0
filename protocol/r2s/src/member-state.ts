import type { Block, BlockRef, Evidence, HeaderVote } from './block.ts'
import { Budget } from './budget.ts'
import { CommitRule } from './commit-rule.ts'
import { type Committee, committeeOf } from './committee.ts'
import { Dag, type Vertex } from './dag.ts'
import { DigestMap } from './digest-map.ts'
import type { R2sEffect } from './events.ts'
import type { Message } from './message.ts'
import { Parking } from './parking.ts'
import type { R2sConfig } from './r2s-config.ts'
import { checkR2sParams } from './r2s-params.ts'
import type { Era, RefusalCode } from './validity.ts'

/** Shares of one round's coin. */
export interface CoinState {
  readonly shares: (Uint8Array | null)[]
  have: number
  bad: number
  asked: boolean
}

/** What an own block under way waits for. */
export type Production =
  | { readonly stage: 'idle' }
  | { readonly stage: 'proposing'; readonly round: number }
  /** The contents are there; parents are chosen when enough are. */
  | { readonly stage: 'building'; readonly round: number; readonly contents: Contents }
  | { readonly stage: 'persisting'; readonly block: Block; readonly parents: readonly Vertex[] }

export interface Contents {
  readonly payload: Uint8Array
  readonly txCount: number
  readonly votes: readonly HeaderVote[]
  readonly coinShare: Uint8Array | null
}

/** SPEC 2.10: a member that lost its log asks before it signs. */
export interface Inquiry {
  /** Mask of the members whose answer counts. */
  answered: number
  /** Answers whose block is not accepted yet. */
  readonly waiting: { readonly peer: number; readonly block: Block }[]
  /** Nothing at or below may be signed. */
  floor: number
  askAtMs: number
}

/** What one member is answered: twice what may wait for it, and then more than most lines carry. */
const REPLY_BYTES_BURST = 32 * 2 ** 20
const REPLY_BYTES_PER_SECOND = 16 * 2 ** 20
/** Signatures checked for one member, at about 0.1 ms each: a twentieth of a core. At full pace 31 members make 310 blocks a second. */
const SIGNATURES_PER_SECOND = 512
const SIGNATURES_BURST_MIN = 2_048

/** What a member knows and has under way: the functions of the files around `consensus.ts` work on it, one section of the SPEC each. */
export class MemberState {
  readonly committee: Committee
  readonly dag: Dag
  readonly config: R2sConfig
  readonly era: Era
  readonly rule: CommitRule
  readonly parking: Parking
  readonly invalid = new DigestMap<BlockRef>()
  readonly coins = new Map<number, CoinState>()
  /** Values, of decided rounds too: others may ask for them (SPEC 3). */
  readonly knownCoins = new Map<number, Uint8Array>()
  /** Values that others showed, until they are verified, and the round of the one that is being verified. */
  readonly shownCoins = new Map<number, { readonly from: number; readonly value: Uint8Array }>()
  verifyingRound: number | null = null
  /** All coins below are known, or their rounds decided. */
  unknownCoinRound = 1
  /** The first round whose coin is overdue, and when to ask for it. */
  lackingRound: number | null = null
  coinAskAtMs = Number.POSITIVE_INFINITY
  /** Masks: of whom an answer to the last question is to come; who showed coins that are none; who signed shares that are none. */
  coinAnswerers = 0
  coinLiars = 0
  badSharers = 0
  readonly evidence: Evidence[] = []
  /** Output blocks of an adopted checkpoint that have not arrived here. */
  readonly outputElsewhere = new DigestMap<BlockRef>()
  /** Those of lower rounds are done with: neither votes nor times of what is undecided hang on them. */
  neededFromRound = 0
  /** The highest round of which such a block was missing when the checkpoint was adopted. */
  joinRound = 0
  /** Since it joined. */
  citesUnclean = false
  /** Linearised blocks above gcRound, in their order. */
  output: BlockRef[] = []
  readonly ejectedFrom: (number | null)[]
  /** By author: how often his blocks had to be fetched, lately. */
  readonly fetchShare: number[]
  readonly served: { count: number; sinceMs: number; readonly bytes: Budget }[]
  /** By sender: time for blocks that nobody has judged yet. */
  readonly judging: { readonly signatures: Budget; refusedAtMs: number }[]
  readonly goneAt: number[]
  inquiry: Inquiry | null = null
  equivocators = 0
  nowMs = 0
  production: Production = { stage: 'idle' }
  lastOwn: Vertex
  lastOwnRound = 0
  producedAtMs = Number.NEGATIVE_INFINITY
  /** When the last own block was built, or the member started. */
  movedAtMs = 0
  contentCount = 0
  workPending = false
  pressure = false
  silent = false
  halted = false
  restoring = false
  wakeAtMs = Number.POSITIVE_INFINITY
  /** When to ask the others for what may be lost. */
  greetAtMs = Number.POSITIVE_INFINITY
  behindAtMs = Number.NEGATIVE_INFINITY
  /** It was left behind and takes chain blocks instead: until it adopts a checkpoint, blocks of others are of no use. */
  isFollowing = false
  effects: R2sEffect[] = []

  /** @throws RangeError if the parameters do not fit */
  constructor(config: R2sConfig) {
    const { committeeSize: size, params, eraAnchor } = config
    this.committee = committeeOf(size)
    checkR2sParams(params, size)
    if (!(config.member >= 0 && config.member < size)) throw new RangeError(`member ${config.member} of ${size}`)
    this.config = config
    this.era = {
      chainId: config.chainId,
      era: config.era,
      size,
      quorum: this.committee.quorum,
      params,
      coin: config.coin,
      verify: config.verify,
    }
    this.dag = new Dag(size, params.waveLength, eraAnchor)
    this.rule = new CommitRule(this.dag, {
      quorum: this.committee.quorum,
      waveLength: params.waveLength,
      leadersPerRound: params.leadersPerRound,
    })
    this.parking = new Parking(size, params)
    this.lastOwn = this.dag.genesis[config.member]!
    this.ejectedFrom = new Array<number | null>(size).fill(null)
    this.fetchShare = new Array<number>(size).fill(0)
    this.served = Array.from({ length: size }, () => ({
      count: 0,
      sinceMs: 0,
      bytes: new Budget(REPLY_BYTES_BURST, REPLY_BYTES_PER_SECOND),
    }))
    // All that a member that was away may have to fetch is there at once.
    const signaturesBurst = Math.max(SIGNATURES_BURST_MIN, 4 * size * params.gcDepthRounds)
    this.judging = Array.from({ length: size }, () => ({
      signatures: new Budget(signaturesBurst, SIGNATURES_PER_SECOND),
      refusedAtMs: Number.NEGATIVE_INFINITY,
    }))
    this.goneAt = new Array<number>(size).fill(-1)
  }
}

export function isPeer(m: MemberState, from: number): boolean {
  return Number.isInteger(from) && from >= 0 && from < m.committee.size && from !== m.config.member
}

export function refuse(m: MemberState, from: number, code: RefusalCode): void {
  m.effects.push({ kind: 'refuse', from, code })
}

/** What was taken from the mempool for an own block goes back. */
export function giveBack(m: MemberState, { payload, txCount }: Pick<Contents, 'payload' | 'txCount'>): void {
  m.effects.push({ kind: 'returned', payload, txCount })
}

export function send(m: MemberState, to: number, message: Message): void {
  m.effects.push({ kind: 'send', to, message })
}
