/** Tuning of one era (SPEC 2). Everything here is agreed in genesis or in the era's header, but for the local paces. */
export interface R2sParams {
  /** w: 4, or 5 where leaders are known in advance or the network is hostile. Leader r, voting r+w-2, decision r+w-1. */
  readonly waveLength: 4 | 5
  /** l: leader slots per round, 1 to n; n unless a test wants fewer. */
  readonly leadersPerRound: number
  /** Rounds kept below the last committed leader. */
  readonly gcDepthRounds: number
  /** How far below a block its parents may lie. With gc depth 64 that leaves room to check a late block (SPEC 2.3). */
  readonly parentDepthRounds: number
  /** How far below a block twins in its cone are looked for (SPEC 2.2). */
  readonly exposureDepthRounds: number
  readonly payloadBytesMax: number

  /** Least time between two own blocks. 20 on a LAN of four, 50 over a WAN, 100 for eleven on one machine. */
  readonly minRoundMs: number
  /** Longest pause while nobody has anything to say. */
  readonly idleRoundMs: number
  /** Blocks from further in the future than this wait for their time. */
  readonly clockSkewMsMax: number
  /** About one round trip: after it another member is asked for what is missing, then all. */
  readonly fetchRetryMs: number
  /** Undecided rounds above which own blocks carry no payload. */
  readonly undecidedRoundsMax: number
  /**
   * Undecided rounds above which own blocks come `stalledRoundMs` apart. So many are never undecided by chance: shares of the coin are
   * missing, which late blocks may still bring, or somebody who knows the coin rules the network. Blocks four times as far above the
   * last decision are not accepted: memory and log stay finite.
   */
  readonly undecidedRoundsStop: number
  readonly stalledRoundMs: number
  /** Blocks parked per author; in all 2 × n × this. */
  readonly parkedPerAuthorMax: number
  /** Most bytes of one answer to a fetch. */
  readonly replyBytesMax: number
  /** Share of an author's blocks that had to be fetched, above which it is cited late (SPEC 2.6). Above 1: never. */
  readonly slowAuthorShare: number
  /** After this long without a new own block, blocks that could not be checked in full are cited too (SPEC 2.5). */
  readonly stallMs: number
  /** The same soon after joining the order, where hardly anything can be checked in full. */
  readonly joinStallMs: number
  /** After this long without a coin that others have built upon, they are asked for it. Its shares take less (SPEC 3). */
  readonly coinAskMs: number
}

export function defaultR2sParams(size: number): R2sParams {
  return {
    waveLength: 4,
    leadersPerRound: size,
    gcDepthRounds: 64,
    parentDepthRounds: 24,
    exposureDepthRounds: 16,
    payloadBytesMax: 2 ** 20,
    minRoundMs: size <= 4 ? 20 : 100,
    idleRoundMs: 1000,
    clockSkewMsMax: 500,
    fetchRetryMs: 100,
    undecidedRoundsMax: 48,
    undecidedRoundsStop: 1_024,
    stalledRoundMs: 60_000,
    parkedPerAuthorMax: 64,
    replyBytesMax: 4 * 2 ** 20,
    slowAuthorShare: 0.3,
    stallMs: 10_000,
    joinStallMs: 250,
    coinAskMs: 400,
  }
}

/** No block further above the last decided round is accepted, in multiples of `undecidedRoundsStop`. */
export const ACCEPTED_STOPS = 4

/** Decided rounds whose coins are kept: nobody asks for older ones (SPEC 3). */
export function keptCoins({ undecidedRoundsStop, gcDepthRounds }: R2sParams): number {
  return ACCEPTED_STOPS * undecidedRoundsStop + gcDepthRounds
}

/** @throws RangeError where the numbers cannot work together */
export function checkR2sParams(params: R2sParams, size: number): void {
  const { waveLength, leadersPerRound, gcDepthRounds, parentDepthRounds, exposureDepthRounds } = params
  const wrong =
    (waveLength !== 4 && waveLength !== 5 && 'the wave length is 4 or 5') ||
    (!(leadersPerRound >= 1 && leadersPerRound <= size) && 'leaders per round are 1 to n') ||
    (gcDepthRounds < 2 * waveLength && 'gc depth is at least two waves') ||
    (parentDepthRounds > Math.min(gcDepthRounds / 2, 255) && 'parents lie at most half the gc depth below') ||
    (parentDepthRounds < 2 && 'parents lie at least 2 rounds below') ||
    (exposureDepthRounds > gcDepthRounds / 2 && 'exposure depth is at most half the gc depth') ||
    (params.undecidedRoundsStop < params.undecidedRoundsMax && 'rounds slow down after their payloads went') ||
    (params.payloadBytesMax > PAYLOAD_BYTES_LIMIT && 'a payload has at most 4 MiB')
  if (wrong) throw new RangeError(`R2S parameters: ${wrong}`)
}

/** No era may allow more. */
export const PAYLOAD_BYTES_LIMIT = 4 * 2 ** 20
/** A header of 31 members with everything in it has 3.6 KB. */
export const HEADER_BYTES_MAX = 8 * 2 ** 10
export const HEADER_VOTES_MAX = 8
export const TRANSACTION_BYTES_MAX = 128 * 2 ** 10
