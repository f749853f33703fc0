/** Words of 256 bits, one for each stripe, and counts of sixteen of them in one word. */

/** Words of one seat whose counts fit one slot: 4,096 stripes. */
export const COUNTED_WORDS = 16

const COUNT_BITS = 16n
const COUNT_MASK = (1n << COUNT_BITS) - 1n

/** How many bits of `word` are set. */
export function bitCount(word: bigint): number {
  let count = 0
  for (let rest = word; rest > 0n; rest >>= 32n) {
    let bits = Number(rest & 0xffff_ffffn)
    bits -= (bits >>> 1) & 0x5555_5555
    bits = (bits & 0x3333_3333) + ((bits >>> 2) & 0x3333_3333)
    count += Math.imul((bits + (bits >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24
  }
  return count
}

/** Place of the n-th set bit, counted from 0. @throws RangeError if fewer are set */
export function nthBit(word: bigint, n: number): number {
  let left = n
  for (let start = 0; start < 256; start += 32) {
    const bits = (word >> BigInt(start)) & 0xffff_ffffn
    const count = bitCount(bits)
    if (left >= count) {
      left -= count
      continue
    }
    for (let i = 0; i < 32; i++) {
      if (((bits >> BigInt(i)) & 1n) === 1n && left-- === 0) return start + i
    }
  }
  throw new RangeError(`a word has no bit ${n}`)
}

/** The counts after word `index` has gained (or lost) some bits. */
export function addCount(counts: bigint, index: number, change: number): bigint {
  return counts + (BigInt(change) << (COUNT_BITS * BigInt(index)))
}

export function totalCount(counts: bigint): number {
  let total = 0
  for (let rest = counts; rest > 0n; rest >>= COUNT_BITS) total += Number(rest & COUNT_MASK)
  return total
}

/** In which word the n-th bit of all is, and how many bits of that word come before it. */
export function locate(counts: bigint, n: number): { word: number; rank: number } {
  let rank = n
  for (let word = 0; word < COUNTED_WORDS; word++) {
    const count = Number((counts >> (COUNT_BITS * BigInt(word))) & COUNT_MASK)
    if (rank < count) return { word, rank }
    rank -= count
  }
  throw new RangeError(`there is no bit ${n}`)
}

/** Bits that are set in at least `least` of the words. */
export function inAtLeast(words: readonly bigint[], least: number): bigint {
  // reached[k] has the bits that are set in more than k of the words so far.
  const reached: bigint[] = Array.from({ length: least }, () => 0n)
  for (const word of words) {
    for (let k = least - 1; k > 0; k--) reached[k]! |= reached[k - 1]! & word
    reached[0]! |= word
  }
  return reached[least - 1]!
}
