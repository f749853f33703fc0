import { ByteWriter, utf8Encode } from '@cumulus/bytes'
import { blake3 } from '@cumulus/hash'

/** A miner as placement sees it. */
export interface MinerCandidate<Id> {
  readonly id: Id
  /** Who runs it: no group has two miners of one operator. */
  readonly operator: string
  /** Idle units: the weight in the draw. 0 = cannot be drawn. */
  readonly idleUnits: number
}

const DOMAIN = utf8Encode('cumulus/draw-members/1')

/**
 * The members of a new group, by seat: drawn without replacement with chances in proportion to idle units, from
 * distinct operators. Everybody with the same candidates in the same order and the same seed draws the same.
 * O(seats · candidates).
 *
 * @param seed 32 bytes of the beacon, bound to the group's id by the caller
 * @returns undefined if fewer than `seatCount` operators have an idle unit
 */
export function drawMembers<Id>(
  candidates: readonly MinerCandidate<Id>[],
  seatCount: number,
  seed: Uint8Array,
): Id[] | undefined {
  const operators = new Set<string>()
  const members: Id[] = []
  for (let seat = 0; seat < seatCount; seat++) {
    let total = 0n
    for (const candidate of candidates) if (!operators.has(candidate.operator)) total += BigInt(candidate.idleUnits)
    if (total === 0n) return undefined
    let ticket = random256(seed, seat) % total
    for (const candidate of candidates) {
      if (operators.has(candidate.operator)) continue
      ticket -= BigInt(candidate.idleUnits)
      if (ticket >= 0n) continue
      operators.add(candidate.operator)
      members.push(candidate.id)
      break
    }
  }
  return members
}

/** 256 bits: the bias of `%` by a total below 2^64 is below 2^-192. */
function random256(seed: Uint8Array, index: number): bigint {
  const digest = blake3(new ByteWriter(80).bytes(DOMAIN).bytes(seed).u32(index).finish())
  return BigInt(`0x${digest.toHex()}`)
}
