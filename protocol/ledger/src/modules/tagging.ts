import { concatBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import type { Address } from '@cumulus/types'
import { require } from '../framework/index.ts'
import { addCount, bitCount, inAtLeast, locate, nthBit, totalCount } from './bitmap.ts'
import { miners } from './miners.ts'
import { ZERO_ADDRESS } from './rules.ts'
import { type C, classOf, membersOf } from './storage-state.ts'
import { teeWorkers } from './tee-workers.ts'

/** Which stripes of which seats have tags, and who makes them: part of the Storage module. */

/** Groups that one chain block gives another tagger: each clears up to 12 · 16 words. */
const TAKEN_OVER_PER_BLOCK = 2
/** Groups without a tagger that one chain block gives one. */
const ASSIGNED_PER_BLOCK = 4
/** Seats of miners put out that one chain block lists. */
const VACATED_PER_BLOCK = 8
/** Seats of one miner that one challenge looks at. */
const SEATS_SCANNED_MAX = 256

/** For tagging one segment, by its bytes: CESS gives 180 points for 16 MiB (pallet scheduler-credit). */
const TAG_POINTS = 180n
const TAG_POINTS_BYTES = 16n * 2n ** 20n

/** A miner's seat as one number. */
export function seatKey(group: number, seat: number): bigint {
  return BigInt(group) * 256n + BigInt(seat)
}

function seatOfKey(key: bigint): { group: number; seat: number } {
  return { group: Number(key >> 8n), seat: Number(key & 0xffn) }
}

/** What is left of `bits` of a word of stripes: those committed and not released. */
function live(c: C, group: number, word: number, bits: bigint): bigint {
  return bits & c.s.committed.at(group).get(word) & ~c.s.tombstones.at(group).get(word)
}

function setTagged(c: C, at: { group: number; seat: number; word: number }, before: bigint, after: bigint): number {
  const change = bitCount(after) - bitCount(before)
  c.s.tagged.at(at.group).at(at.seat).set(at.word, after)
  const counts = c.s.taggedCounts.at(at.group).at(at.seat)
  counts.set(addCount(counts.get(), at.word, change))
  return change
}

/** Takes bits from a seat's tagged stripes; says which were there. */
function untag(c: C, at: { group: number; seat: number; word: number }, member: Address, bits: bigint): bigint {
  const before = c.s.tagged.at(at.group).at(at.seat).get(at.word)
  const lost = before & bits
  if (lost === 0n) return 0n
  c.ask(miners).tag(member, setTagged(c, at, before, before & ~lost))
  return lost
}

/** Where `account` sits in a group. */
export function seatMember(c: C, group: number, account: Address): number | undefined {
  const seat = membersOf(c, group).indexOf(account)
  return seat < 0 ? undefined : seat
}

function callersSeat(c: C, group: number, account: Address): number {
  const seat = seatMember(c, group, account)
  require(seat !== undefined, `no seat in group ${group}`)
  return seat
}

function wordOf(c: C, firstStripe: number): number {
  require(firstStripe % 256 === 0 && firstStripe < c.params.stripesPerGroup, 'first stripe is no multiple of 256')
  return firstStripe >>> 8
}

/** Takes a member's word that it has the tags of some stripes. What is not live, or known already, is left out. */
export function confirmTags(
  c: C,
  account: Address,
  { group, firstStripe, stripes, tagger }: { group: number; firstStripe: number; stripes: bigint; tagger: Address },
): { seat: number; count: number } {
  const seat = callersSeat(c, group, account)
  // Who was put out and has come back is a stranger here: it would be paid for what no challenge asks for.
  require(((c.s.vacated.get(group) >> BigInt(seat)) & 1n) === 0n, `seat ${seat} of group ${group} is vacant`)
  const word = wordOf(c, firstStripe)
  const current = c.s.groups.at(group).field('tagger').get()
  require(current !== ZERO_ADDRESS && current === tagger, `${tagger} is not the tagger of group ${group}`)
  const before = c.s.tagged.at(group).at(seat).get(word)
  const after = before | live(c, group, word, stripes)
  if (after === before) return { seat, count: 0 }
  const count = setTagged(c, { group, seat, word }, before, after)
  c.ask(miners).tag(account, count)
  creditTagging(c, group, word, tagger)
  return { seat, count }
}

/** Credits the tagger with stripes once most seats have their tags: the word of one friend is not enough. */
function creditTagging(c: C, group: number, word: number, tagger: Address): void {
  const { seatCount, dataCount, fragmentBytes } = classOf(c.params, c.s.groups.at(group).field('classId').get())
  const seats = Array.from({ length: seatCount }, (_, seat) => c.s.tagged.at(group).at(seat).get(word))
  const credited = c.s.credited.at(group).at(word)
  const before = credited.get()
  const fresh = inAtLeast(seats, (seatCount >> 1) + 1) & ~before
  if (fresh === 0n) return
  credited.set(before | fresh)
  const bytes = BigInt(bitCount(fresh)) * BigInt(dataCount) * BigInt(fragmentBytes)
  c.ask(teeWorkers).credit(tagger, (bytes * TAG_POINTS) / TAG_POINTS_BYTES)
}

/** Takes stripes out of the caller's proven ones, which it says it has lost. */
export function reportLoss(
  c: C,
  account: Address,
  { group, firstStripe, stripes }: { group: number; firstStripe: number; stripes: bigint },
): { seat: number; lost: bigint } {
  const seat = callersSeat(c, group, account)
  return { seat, lost: untag(c, { group, seat, word: wordOf(c, firstStripe) }, account, stripes) }
}

/** Released stripes are proven no more, by no seat. */
export function untagReleased(c: C, group: number, word: number, bits: bigint): void {
  membersOf(c, group).forEach((member, seat) => {
    untag(c, { group, seat, word }, member, bits)
  })
}

/** A seat with tagged stripes, as a challenge draws from it. */
export interface TaggedSeat {
  readonly group: number
  readonly seat: number
  readonly tagger: Address
  readonly stripeCount: number
  readonly fragmentBytes: number
}

/** Seats of a miner with tagged stripes: of at most `SEATS_SCANNED_MAX`, in a window of its list where `seed` says. */
export function taggedSeats(c: C, account: Address, seed: bigint): TaggedSeat[] {
  const seats = c.s.seatsOf.at(account)
  const count = seats.length()
  const first = count <= SEATS_SCANNED_MAX ? 0 : Number(seed % BigInt(count))
  const found: TaggedSeat[] = []
  for (let i = 0; i < Math.min(count, SEATS_SCANNED_MAX); i++) {
    const { group, seat } = seatOfKey(seats.get((first + i) % count))
    const stripeCount = totalCount(c.s.taggedCounts.at(group).get(seat))
    if (stripeCount === 0) continue
    const { tagger, classId } = c.s.groups.at(group).get()
    found.push({ group, seat, tagger, stripeCount, fragmentBytes: classOf(c.params, classId).fragmentBytes })
  }
  return found
}

/** The n-th tagged stripe of a seat. */
export function nthTagged(c: C, group: number, seat: number, n: number): number {
  const { word, rank } = locate(c.s.taggedCounts.at(group).get(seat), n)
  return word * 256 + nthBit(c.s.tagged.at(group).at(seat).get(word), rank)
}

/** Gives a group without tagger one of the active markers. False if there is none. */
export function assignTagger(c: C, group: number, seed: Uint8Array): boolean {
  const marker = c.ask(teeWorkers).drawMarker(BigInt(`0x${seed.toHex()}`))
  if (marker === undefined) return false
  c.s.groups.at(group).update({ tagger: marker.account, taggerAttestation: marker.attestation })
  c.s.groupsOf.at(marker.account).push(group)
  c.ask(teeWorkers).engage(marker.account, 1)
  c.emit.TaggerAssigned(group, marker.account, marker.attestation)
  return true
}

/** Nothing of a group is tagged any more: the next worker starts anew. */
function dismissTagger(c: C, group: number): void {
  const words = Math.ceil(c.s.groups.at(group).field('stripeCount').get() / 256)
  membersOf(c, group).forEach((member, seat) => {
    if (c.s.taggedCounts.at(group).get(seat) === 0n) return
    for (let word = 0; word < words; word++) untag(c, { group, seat, word }, member, ALL)
  })
  c.s.groups.at(group).update({ tagger: ZERO_ADDRESS, taggerAttestation: 0 })
  c.emit.TaggerAssigned(group, ZERO_ADDRESS, 0)
}

const ALL = (1n << 256n) - 1n

/** Gives groups whose worker is gone, or that have none, to another one; a few in each chain block. */
export function tendTaggers(c: C): void {
  const gone = c.ask(teeWorkers).nextGone()
  if (gone !== undefined) {
    const groups = c.s.groupsOf.at(gone)
    for (let i = 0, left = groups.length(); i < TAKEN_OVER_PER_BLOCK && left > 0; i++, left--) {
      const group = groups.get(left - 1)
      groups.pop()
      c.ask(teeWorkers).engage(gone, -1)
      dismissTagger(c, group)
      c.s.untagged.push(group)
    }
  }
  const untagged = c.s.untagged
  for (let i = 0, left = untagged.length(); i < ASSIGNED_PER_BLOCK && left > 0; i++, left--) {
    const group = untagged.get(left - 1)
    const number = new Uint8Array(4)
    new DataView(number.buffer).setUint32(0, group)
    if (!assignTagger(c, group, keccak256(concatBytes(c.block.prevRandao, number)))) return
    untagged.pop()
  }
}

/** Lists the seats of miners that were put out, a few in each chain block. What they held is proven no more. */
export function vacateSeats(c: C): void {
  const { putOut } = c.s
  let left = putOut.length()
  for (let done = 0; done < VACATED_PER_BLOCK && left > 0; done++) {
    const account = putOut.get(left - 1)
    const seats = c.s.seatsOf.at(account)
    const count = seats.length()
    if (count === 0) {
      putOut.pop()
      left--
      continue
    }
    const key = seats.get(count - 1)
    const { group, seat } = seatOfKey(key)
    const words = Math.ceil(c.s.groups.at(group).field('stripeCount').get() / 256)
    for (let word = 0; word < words; word++) untag(c, { group, seat, word }, account, ALL)
    seats.pop()
    c.s.vacant.push(key)
    const vacated = c.s.vacated.at(group)
    vacated.set(vacated.get() | (1n << BigInt(seat)))
    // Nothing more is written to a group with an empty seat; a reservation takes it from the list of open ones.
    c.s.groups.at(group).update({ open: false })
    c.emit.SeatVacated(group, seat, account)
  }
}
