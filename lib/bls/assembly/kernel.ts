// The group G1 in bulk, compiled by AssemblyScript to WebAssembly: sums of many multiples, and the costly part of hashing
// to the curve. The memory is imported and belongs to the caller; nothing here allocates. Addresses and sizes in bytes.

import {
  addAffine, addPairs, addProjective, copyPoint, double, invert, isInfinite, negatePoint, setInfiniteProjective,
  toAffine, yOf,
} from './curve'
import { add, copy, ELEMENT_BYTES, equal, isZero, multiply, pack, power, square, subtract, unpack } from './field'
import {
  FROM_MCL, FROM_MONTGOMERY, MAP_A, MAP_B, MAP_ROOT, MAP_Z, ONE, POINT_BYTES, POWER_TABLE, PROJECTIVE_BYTES,
  ROOT_EXPONENT, temporary, TO_MCL, TO_MONTGOMERY, TWO_256, ZERO,
} from './layout'

/** Pairs that share an inversion. It costs 400 multiplications, so 0.2 a pair; and the room for 2,048 stays in L2. */
const PAIRS_MAX: usize = 2048

/** Affine points from the coordinates of mcl (2 × 48 bytes each, x·2^384, little-endian). */
export function fromMcl(points: usize, coordinates: usize, count: usize): void {
  for (let i: usize = 0; i < count * 2; i++) {
    const out = points + i * ELEMENT_BYTES
    unpack(out, coordinates + i * 48)
    multiply(out, out, FROM_MCL)
  }
}

/** The inverse of `fromMcl` for one point, which is not infinite. */
export function toMcl(coordinates: usize, point: usize): void {
  const t = temporary(0)
  multiply(t, point, TO_MCL)
  pack(coordinates, t)
  multiply(t, yOf(point), TO_MCL)
  pack(coordinates + 48, t)
}

/** A point from plain coordinates below p, 2 × 48 bytes, little-endian. */
export function fromPlain(point: usize, coordinates: usize): void {
  unpack(point, coordinates)
  multiply(point, point, TO_MONTGOMERY)
  unpack(yOf(point), coordinates + 48)
  multiply(yOf(point), yOf(point), TO_MONTGOMERY)
}

/** The inverse of `fromPlain`; the point is not infinite. */
export function toPlain(coordinates: usize, point: usize): void {
  const t = temporary(0)
  multiply(t, point, FROM_MONTGOMERY)
  pack(coordinates, t)
  multiply(t, yOf(point), FROM_MONTGOMERY)
  pack(coordinates + 48, t)
}

/** Whether the point is the one at infinity. */
export function isPointInfinite(point: usize): bool {
  return isInfinite(point)
}

/** Bytes that `sum` needs from `work` on. */
export function sumWorkBytes(count: usize, bits: u32, width: u32, windowsAtOnce: u32): usize {
  const windows = (bits / width + 1) as usize
  const buckets = (windowsAtOnce as usize) << (width - 1)
  return (
    align(windows * count * 2) + (windows + 2) * PROJECTIVE_BYTES + buckets * 8 +
    (windowsAtOnce as usize) * count * POINT_BYTES + PAIRS_MAX * (8 + 2 * ELEMENT_BYTES) + 512
  )
}

// @ts-ignore: decorator
@inline
function align(address: usize): usize {
  return (address + 63) & ~63
}

/**
 * out (affine) = Σ scalar_i · point_i by the method of Pippenger. The scalars are whole numbers, not residues: points need not
 * have the order r.
 *
 * Scalars are cut into windows of `width` bits with digits −2^(width−1) < digit ≤ 2^(width−1). Within a window, points of
 * equal |digit| are copied side by side into a bucket, negated where the digit is negative, and buckets are summed as binary
 * trees, all buckets level by level, so that many affine additions share an inversion.
 *
 * @param scalars `scalarBytes` each, little-endian, below 2^bits; `scalarBytes` is a multiple of 4
 * @param windowsAtOnce windows whose buckets are summed together, for few points
 */
export function sum(
  out: usize, points: usize, scalars: usize, scalarBytes: usize, count: usize,
  bits: u32, width: u32, windowsAtOnce: u32, work: usize,
): void {
  const windows = bits / width + 1
  const half: usize = 1 << (width - 1)
  const digits = align(work)
  const windowSums = digits + align((windows as usize) * count * 2)
  const running = windowSums + (windows as usize) * PROJECTIVE_BYTES
  const total = running + PROJECTIVE_BYTES
  const counts = align(total + PROJECTIVE_BYTES)
  const buckets = (windowsAtOnce as usize) * half
  const ends = counts + buckets * 4
  const pairs = align(ends + buckets * 4)
  const divisors = pairs + PAIRS_MAX * 8
  const products = divisors + PAIRS_MAX * ELEMENT_BYTES
  const entries = align(products + PAIRS_MAX * ELEMENT_BYTES)

  for (let i: usize = 0; i < count; i++) {
    recode(scalars + i * scalarBytes, scalarBytes, digits + i * 2, count * 2, windows, width)
  }

  for (let first: u32 = 0; first < windows; first += windowsAtOnce) {
    const last = min(first + windowsAtOnce, windows)
    // Counting sort of the points by bucket.
    memory.fill(counts, 0, buckets * 4)
    for (let w = first; w < last; w++) {
      const row = digits + (w as usize) * count * 2
      const base = counts + ((w - first) as usize) * half * 4
      for (let i: usize = 0; i < count; i++) {
        const digit = load<i16>(row + i * 2) as i32
        if (digit == 0) continue
        const at = base + ((abs(digit) - 1) as usize) * 4
        store<u32>(at, load<u32>(at) + 1)
      }
    }
    let start: u32 = 0
    let longest: u32 = 0
    for (let b: usize = 0; b < buckets; b++) {
      const length = load<u32>(counts + b * 4)
      store<u32>(ends + b * 4, start)
      start += length
      if (length > longest) longest = length
    }
    for (let w = first; w < last; w++) {
      const row = digits + (w as usize) * count * 2
      const base = ends + ((w - first) as usize) * half * 4
      for (let i: usize = 0; i < count; i++) {
        const digit = load<i16>(row + i * 2) as i32
        if (digit == 0) continue
        const at = base + ((abs(digit) - 1) as usize) * 4
        const place = load<u32>(at)
        store<u32>(at, place + 1)
        const entry = entries + (place as usize) * POINT_BYTES
        copyPoint(entry, points + i * POINT_BYTES)
        if (digit < 0) negatePoint(entry)
      }
    }
    sumBuckets(entries, counts, ends, buckets, longest, pairs, divisors, products)

    // Σ j · bucket_j: from the top, add each bucket to a running sum, and each running sum to the total.
    for (let w = first; w < last; w++) {
      setInfiniteProjective(running)
      setInfiniteProjective(total)
      const base = ((w - first) as usize) * half
      for (let j = half; j > 0; j--) {
        const at = (base + j - 1) * 4
        const length = load<u32>(counts + at)
        if (length != 0) addAffine(running, entries + ((load<u32>(ends + at) - length) as usize) * POINT_BYTES)
        addProjective(total, running)
      }
      memory.copy(windowSums + (w as usize) * PROJECTIVE_BYTES, total, PROJECTIVE_BYTES)
    }
  }

  setInfiniteProjective(total)
  for (let w = windows; w > 0; w--) {
    for (let i: u32 = 0; i < width; i++) double(total)
    addProjective(total, windowSums + ((w - 1) as usize) * PROJECTIVE_BYTES)
  }
  toAffine(out, total)
}

/** Sums each bucket into its first place. Level by level, so that additions of one level never depend on each other. */
function sumBuckets(
  entries: usize, counts: usize, ends: usize, buckets: usize, longest: u32,
  pairs: usize, divisors: usize, products: usize,
): void {
  for (let stride: u32 = 1; stride < longest; stride <<= 1) {
    let pending: usize = 0
    for (let b: usize = 0; b < buckets; b++) {
      const length = load<u32>(counts + b * 4)
      if (length <= stride) continue
      const first = entries + ((load<u32>(ends + b * 4) - length) as usize) * POINT_BYTES
      for (let i: u32 = 0; i + stride < length; i += stride << 1) {
        store<u32>(pairs + (pending << 3), (first + (i as usize) * POINT_BYTES) as u32)
        store<u32>(pairs + (pending << 3), (first + ((i + stride) as usize) * POINT_BYTES) as u32, 4)
        if (++pending == PAIRS_MAX) {
          addPairs(pairs, pending, divisors, products)
          pending = 0
        }
      }
    }
    if (pending != 0) addPairs(pairs, pending, divisors, products)
  }
}

/** Signed digits of a scalar, the lowest first, `stride` bytes apart, as i16. The top window takes the last carry. */
function recode(scalar: usize, scalarBytes: usize, out: usize, stride: usize, windows: u32, width: u32): void {
  const full: u32 = 1 << width
  let carry: u32 = 0
  for (let w: u32 = 0; w < windows; w++) {
    const bit = w * width
    const at = ((bit >> 5) << 2) as usize
    let chunk: u64 = 0
    if (at < scalarBytes) chunk = load<u32>(scalar + at) as u64
    if (at + 4 < scalarBytes) chunk |= (load<u32>(scalar + at, 4) as u64) << 32
    let digit = (((chunk >> ((bit & 31) as u64)) as u32) & (full - 1)) + carry
    carry = 0
    if (digit > full >> 1) {
      digit -= full
      carry = 1
    }
    store<i16>(out + (w as usize) * stride, digit as i16)
  }
}

/**
 * For each of `count` numbers its point on the isogenous curve, affine: the simplified SWU map of RFC 9380 (6.6.2, F.2). The
 * sum of two, the isogeny and the cofactor are the caller's business, for all messages at once.
 *
 * @param uniform 64 bytes, big-endian, for each number: output of expand_message
 * @param points room for as many points
 * @param work room for 2 × as many elements
 */
export function mapToCurve(points: usize, uniform: usize, count: usize, work: usize): void {
  const denominators = work
  const products = work + count * ELEMENT_BYTES
  const u = temporary(16), running = temporary(17), t = temporary(18)
  for (let i: usize = 0; i < count; i++) {
    reduce(u, uniform + i * 64)
    mapOne(points + i * POINT_BYTES, denominators + i * ELEMENT_BYTES, u)
  }
  // x is a fraction so far; one inversion for all of them. No denominator is zero.
  copy(running, ONE)
  for (let i: usize = 0; i < count; i++) {
    copy(products + i * ELEMENT_BYTES, running)
    multiply(running, running, denominators + i * ELEMENT_BYTES)
  }
  invert(running, running)
  for (let at: usize = count; at > 0; at--) {
    const i = at - 1
    multiply(t, running, products + i * ELEMENT_BYTES)
    multiply(running, running, denominators + i * ELEMENT_BYTES)
    multiply(points + i * POINT_BYTES, points + i * POINT_BYTES, t)
  }
}

/** 512 bits, big-endian, modulo p: high half · 2^256 + low half. */
function reduce(out: usize, bytes: usize): void {
  const high = temporary(20)
  halfElement(high, bytes)
  multiply(high, high, TWO_256)
  halfElement(out, bytes + 32)
  add(out, out, high)
}

/** 32 bytes, big-endian, as an element. */
function halfElement(out: usize, bytes: usize): void {
  const reversed = temporary(19)
  memory.fill(reversed, 0, 48)
  for (let i: usize = 0; i < 32; i++) store<u8>(reversed + i, load<u8>(bytes + 31 - i))
  unpack(out, reversed)
  multiply(out, out, TO_MONTGOMERY)
}

/** RFC 9380, F.2, with the names used there; x is left as numerator (in `point`) and denominator. */
function mapOne(point: usize, denominator: usize, u: usize): void {
  const tv1 = temporary(21), tv2 = temporary(22), tv3 = temporary(23), tv4 = denominator
  const tv5 = temporary(25), tv6 = temporary(26), y1 = temporary(27)
  square(tv1, u)
  multiply(tv1, MAP_Z, tv1)
  square(tv2, tv1)
  add(tv2, tv2, tv1)
  add(tv3, tv2, ONE)
  multiply(tv3, MAP_B, tv3)
  if (isZero(tv2)) copy(tv4, MAP_Z)
  else subtract(tv4, ZERO, tv2)
  multiply(tv4, MAP_A, tv4)
  square(tv2, tv3)
  square(tv6, tv4)
  multiply(tv5, MAP_A, tv6)
  add(tv2, tv2, tv5)
  multiply(tv2, tv2, tv3)
  multiply(tv6, tv6, tv4)
  multiply(tv5, MAP_B, tv6)
  add(tv2, tv2, tv5)
  const y = yOf(point)
  if (rootOfRatio(y1, tv2, tv6)) {
    copy(point, tv3)
    copy(y, y1)
  } else {
    multiply(point, tv1, tv3)
    multiply(y, tv1, u)
    multiply(y, y, y1)
  }
  if (isOdd(u) != isOdd(y)) subtract(y, ZERO, y)
}

/** out = √(u / v) if it exists, else √(Z·u / v); tells which. RFC 9380, F.2.1.2, for p = 3 modulo 4. */
function rootOfRatio(out: usize, u: usize, v: usize): bool {
  const tv1 = temporary(28), tv2 = temporary(29), tv3 = temporary(30)
  square(tv1, v)
  multiply(tv2, u, v)
  multiply(tv1, tv1, tv2)
  power(out, tv1, ROOT_EXPONENT, POWER_TABLE, ONE)
  multiply(out, out, tv2)
  square(tv3, out)
  multiply(tv3, tv3, v)
  if (equal(tv3, u)) return true
  multiply(out, out, MAP_ROOT)
  return false
}

/** The sign of RFC 9380, 4.1: the lowest bit of the number itself. */
function isOdd(a: usize): bool {
  const t = temporary(31)
  multiply(t, a, FROM_MONTGOMERY)
  return (load<u32>(t) & 1) != 0
}

/**
 * For tests: out = a ∘ b of plain numbers below p, 48 bytes each, little-endian.
 *
 * @param operation 0: sum, 1: difference, 2: product, 3: square of a, 4: inverse of a
 */
export function compute(out: usize, a: usize, b: usize, operation: i32): void {
  const x = temporary(16), y = temporary(17)
  unpack(x, a)
  multiply(x, x, TO_MONTGOMERY)
  unpack(y, b)
  multiply(y, y, TO_MONTGOMERY)
  if (operation == 0) add(x, x, y)
  else if (operation == 1) subtract(x, x, y)
  else if (operation == 2) multiply(x, x, y)
  else if (operation == 3) square(x, x)
  else invert(x, x)
  multiply(x, x, FROM_MONTGOMERY)
  pack(out, x)
}
