import { frFromUniform } from '@cumulus/bls'
import { ByteWriter, utf8Encode } from '@cumulus/bytes'
import { blake3, HASH_BYTES } from '@cumulus/hash'
import type { GroupId, Seat, StripeNumber } from '@cumulus/types'
import { type BlockPlace, blockName } from './block-name.ts'
import { PodrError } from './podr-error.ts'
import { BLOCK_COUNT_MAX, type PodrParams } from './podr-params.ts'
import { coefficients, drawer, uniform } from './random.ts'

/** Stripes that follow each other in one seat, live, tagged by one tagger, of as many blocks each. */
export interface TaggedRange {
  readonly group: GroupId
  readonly seat: Seat
  readonly firstStripe: StripeNumber
  readonly stripeCount: number
  /** Blocks of each fragment. */
  readonly blockCount: number
}

/** A challenged block and its coefficient ν, 128 bits. */
export interface ChallengeEntry extends BlockPlace {
  readonly coefficient: bigint
}

/**
 * What a miner has to answer. Everybody derives the same one from a seed and the places that are asked for; the ledger announces
 * both, since places are drawn from bitmaps that go on changing, and miners send the places back.
 */
export interface Challenge {
  readonly params: PodrParams
  /** Distinct, in the order of the ranges. */
  readonly entries: readonly ChallengeEntry[]
  /** The point at which the combination is opened, a residue. */
  readonly z: bigint
}

/** Most ranges of one challenge. A miner in 100 groups with a tombstone in every second stripe would have 200,000. */
export const RANGE_COUNT_MAX = 2 ** 20

const SEED_DOMAIN = utf8Encode('cumulus/podr2/challenge/1')
const POSITION_DOMAIN = utf8Encode('cumulus/podr2/position/1')
const COEFFICIENT_DOMAIN = utf8Encode('cumulus/podr2/coefficient/1')
const POINT_DOMAIN = utf8Encode('cumulus/podr2/point/1')
const TAGGER_DOMAIN = utf8Encode('cumulus/podr2/tagger/1')

/**
 * The seed of a miner's challenge: bound to chain, beacon and miner, so that no two miners and no two moments share one.
 *
 * @param beacon 32 bytes that nobody could know before
 * @param miner its account or any other name that all agree on
 */
export function challengeSeed(chainId: number, beacon: Uint8Array, miner: Uint8Array): Uint8Array {
  if (beacon.length !== HASH_BYTES) throw new PodrError('BAD_RANGES', `a beacon has 32 bytes, not ${beacon.length}`)
  return blake3(new ByteWriter(128).bytes(SEED_DOMAIN).u64(BigInt(chainId)).bytes(beacon).prefixed(miner).finish())
}

/**
 * Which tagger's stripes are challenged: index of a weight, drawn in proportion.
 *
 * @param weights stripes of the miner under each tagger, whole numbers; their sum is below 2^53
 * @returns undefined if there are none
 */
export function drawTagger(seed: Uint8Array, weights: readonly number[]): number | undefined {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  if (!Number.isSafeInteger(total) || weights.some((weight) => !Number.isInteger(weight) || weight < 0)) {
    throw new PodrError('BAD_RANGES', 'weights are not whole numbers')
  }
  if (total === 0) return undefined
  let ticket = drawer(TAGGER_DOMAIN, seed)(0, total)
  return weights.findIndex((weight) => (ticket -= weight) < 0)
}

/**
 * Chal: c distinct blocks of the ranges (all, if there are no more), each with a coefficient, and the point z.
 *
 * Everybody with the same seed and the same ranges in the same order derives the same. O(c + ranges).
 *
 * @param seed 32 bytes, see `challengeSeed`
 * @returns undefined if the ranges hold no block: nothing to prove
 * @throws PodrError `BAD_RANGES`
 */
export function chal(seed: Uint8Array, ranges: readonly TaggedRange[], params: PodrParams): Challenge | undefined {
  if (seed.length !== HASH_BYTES) throw new PodrError('BAD_RANGES', `a seed has 32 bytes, not ${seed.length}`)
  const total = countBlocks(ranges)
  if (total === 0) return undefined
  const positions = drawDistinct(seed, total, Math.min(total, params.challengedCount))
  return challengeOver(seed, placesOf(positions, ranges), params)
}

/**
 * The challenge over places that are given: what `chal` makes of a seed, where the places were drawn otherwise. The
 * coefficient of a place depends on the seed and its number in the list alone, so places may be left out afterwards.
 *
 * @param seed 32 bytes, see `challengeSeed`
 * @param places distinct; their seats filled in
 * @throws PodrError `BAD_RANGES`
 */
export function challengeOver(seed: Uint8Array, places: readonly BlockPlace[], params: PodrParams): Challenge {
  if (seed.length !== HASH_BYTES) throw new PodrError('BAD_RANGES', `a seed has 32 bytes, not ${seed.length}`)
  const numbers = coefficients(COEFFICIENT_DOMAIN, seed, places.length)
  return {
    params,
    entries: places.map((place, i) => ({ ...place, coefficient: numbers[i]! })),
    z: frFromUniform(uniform(POINT_DOMAIN, seed, 0)),
  }
}

/**
 * A challenge without some of its entries, as a miner answers it when stripes were released meanwhile.
 *
 * @param dropped bit i stands for entry i
 */
export function withoutEntries(challenge: Challenge, dropped: bigint): Challenge {
  if (dropped === 0n) return challenge
  return { ...challenge, entries: challenge.entries.filter((_, i) => ((dropped >> BigInt(i)) & 1n) === 0n) }
}

/** Identifies a challenge in the transcript of a batch. */
export function challengeDigest({ params, entries, z }: Challenge): Uint8Array {
  const writer = new ByteWriter(64 * (entries.length + 1)).u32(params.sectorCount).u32(entries.length)
  for (const entry of entries) {
    writer
      .bytes(blockName(params.chainId, entry))
      .u64(entry.coefficient & U64)
      .u64(entry.coefficient >> 64n)
  }
  for (let shift = 0n; shift < 256n; shift += 64n) writer.u64((z >> shift) & U64)
  return blake3(writer.finish())
}

const U64 = 2n ** 64n - 1n

function countBlocks(ranges: readonly TaggedRange[]): number {
  if (ranges.length > RANGE_COUNT_MAX) throw new PodrError('BAD_RANGES', `${ranges.length} ranges`)
  let total = 0
  const ends = new Map<string, number>()
  for (const { group, seat, firstStripe, stripeCount, blockCount } of ranges) {
    if (!Number.isInteger(stripeCount) || stripeCount < 1) throw new PodrError('BAD_RANGES', `${stripeCount} stripes`)
    if (!Number.isInteger(blockCount) || blockCount < 1 || blockCount > BLOCK_COUNT_MAX) {
      throw new PodrError('BAD_RANGES', `${blockCount} blocks`)
    }
    // A stripe that came twice could be drawn twice: within a seat, ranges ascend.
    const seatOfGroup = `${group}/${seat}`
    if (firstStripe < (ends.get(seatOfGroup) ?? 0))
      throw new PodrError('BAD_RANGES', `ranges of ${seatOfGroup} overlap`)
    ends.set(seatOfGroup, firstStripe + stripeCount)
    total += stripeCount * blockCount
  }
  if (!Number.isSafeInteger(total)) throw new PodrError('BAD_RANGES', 'too many blocks')
  return total
}

/** `count` distinct whole numbers below `total`, ascending, all subsets alike likely: Floyd's method, one draw for each. */
function drawDistinct(seed: Uint8Array, total: number, count: number): number[] {
  const drawn = new Set<number>()
  const draw = drawer(POSITION_DOMAIN, seed)
  for (let i = 0; i < count; i++) {
    const last = total - count + i
    const candidate = draw(i, last + 1)
    drawn.add(drawn.has(candidate) ? last : candidate)
  }
  return [...drawn].sort((a, b) => a - b)
}

/** Positions, ascending, counted through the ranges block by block, as places. */
function placesOf(positions: readonly number[], ranges: readonly TaggedRange[]): BlockPlace[] {
  const places: BlockPlace[] = []
  let start = 0
  let next = 0
  for (const range of ranges) {
    const end = start + range.stripeCount * range.blockCount
    for (; next < positions.length && positions[next]! < end; next++) {
      const offset = positions[next]! - start
      const stripe = (range.firstStripe + Math.floor(offset / range.blockCount)) as StripeNumber
      places.push({ group: range.group, stripe, seat: range.seat, block: offset % range.blockCount })
    }
    start = end
  }
  return places
}
