/**
 * Members are seats 0..n-1 and sets of members are bit masks in one number, which is why a committee has at most 31.
 */
export const COMMITTEE_SIZE_MAX = 31

/** Numbers that follow from the size of a committee (SPEC 1). */
export interface Committee {
  /** n: members, 1 to 31. */
  readonly size: number
  /** f = ⌊(n-1)/3⌋: members that may fail in any way. */
  readonly faultCount: number
  /** q = n - f. Not 2f+1: for n = 11 that is 8, and 7 would break agreement with 3 traitors. */
  readonly quorum: number
  /** t = 2f+1 shares make the coin: more than f traitors have, and one fewer than an honest quorum where q allows it. */
  readonly coinThreshold: number
}

/** @throws RangeError unless 1 ≤ size ≤ 31 */
export function committeeOf(size: number): Committee {
  if (!Number.isInteger(size) || size < 1 || size > COMMITTEE_SIZE_MAX) {
    throw new RangeError(`a committee of ${size} is outside 1..${COMMITTEE_SIZE_MAX}`)
  }
  const faultCount = Math.floor((size - 1) / 3)
  const quorum = size - faultCount
  return { size, faultCount, quorum, coinThreshold: 2 * faultCount + 1 }
}

/** The members that a mask names, ascending. */
export function membersIn(mask: number): number[] {
  const members: number[] = []
  for (let member = 0; member < COMMITTEE_SIZE_MAX; member++) if (mask & (1 << member)) members.push(member)
  return members
}

/** How many members a mask names. */
export function memberCount(mask: number): number {
  mask -= (mask >>> 1) & 0x5555_5555
  mask = (mask & 0x3333_3333) + ((mask >>> 2) & 0x3333_3333)
  return (((mask + (mask >>> 4)) & 0x0f0f_0f0f) * 0x0101_0101) >>> 24
}
