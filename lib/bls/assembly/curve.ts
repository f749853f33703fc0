// Points of y² = x³ + a·x + b in two forms.
//
// Affine: x, y (104 bytes). The point at infinity has a first limb of all ones, which no element has.
// XYZZ: X, Y, ZZ, ZZZ (208 bytes) with x = X/ZZ, y = Y/ZZZ, ZZ³ = ZZZ²; infinity has ZZ = 0. No inversion, and cheaper to add
// affine points to than Jacobian coordinates. Formulas: hyperelliptic.org/EFD, "short Weierstrass, xyzz":
// madd-2008-s, add-2008-s, dbl-2008-s-1. All special cases are handled: the inputs come from strangers.

import { add, copy, ELEMENT_BYTES, equal, isZero, multiply, power, square, subtract } from './field'
import {
  CURVE_A, INVERT_EXPONENT, ONE, POINT_BYTES, POWER_TABLE, PROJECTIVE_BYTES, temporary, ZERO,
} from './layout'

const INFINITE: u32 = 0xffff_ffff

// @ts-ignore: decorator
@inline
export function yOf(point: usize): usize {
  return point + ELEMENT_BYTES
}

// @ts-ignore: decorator
@inline
function zzOf(point: usize): usize {
  return point + 2 * ELEMENT_BYTES
}

// @ts-ignore: decorator
@inline
function zzzOf(point: usize): usize {
  return point + 3 * ELEMENT_BYTES
}

export function isInfinite(point: usize): bool {
  return load<u32>(point) == INFINITE
}

export function setInfinite(point: usize): void {
  store<u32>(point, INFINITE)
}

export function copyPoint(out: usize, point: usize): void {
  memory.copy(out, point, POINT_BYTES)
}

export function negatePoint(point: usize): void {
  if (!isInfinite(point)) subtract(yOf(point), ZERO, yOf(point))
}

export function invert(out: usize, a: usize): void {
  power(out, a, INVERT_EXPONENT, POWER_TABLE, ONE)
}

export function setInfiniteProjective(point: usize): void {
  memory.fill(point, 0, PROJECTIVE_BYTES)
}

function isInfiniteProjective(point: usize): bool {
  return isZero(zzOf(point))
}

/** p = 2·p. */
export function double(p: usize): void {
  if (isInfiniteProjective(p)) return
  const u = temporary(0), v = temporary(1), w = temporary(2), s = temporary(3), m = temporary(4), t = temporary(5)
  add(u, yOf(p), yOf(p))
  if (isZero(u)) {
    setInfiniteProjective(p)
    return
  }
  square(v, u)
  multiply(w, u, v)
  multiply(s, p, v)
  square(t, p)
  add(m, t, t)
  add(m, m, t)
  if (!isZero(CURVE_A)) {
    square(t, zzOf(p))
    multiply(t, t, CURVE_A)
    add(m, m, t)
  }
  multiply(t, w, yOf(p))
  square(p, m)
  subtract(p, p, s)
  subtract(p, p, s)
  subtract(s, s, p)
  multiply(yOf(p), m, s)
  subtract(yOf(p), yOf(p), t)
  multiply(zzOf(p), v, zzOf(p))
  multiply(zzzOf(p), w, zzzOf(p))
}

/** p = p + q, both XYZZ, distinct places. */
export function addProjective(p: usize, q: usize): void {
  if (isInfiniteProjective(q)) return
  if (isInfiniteProjective(p)) {
    memory.copy(p, q, PROJECTIVE_BYTES)
    return
  }
  const u1 = temporary(6), difference = temporary(7), s1 = temporary(8), r = temporary(9)
  multiply(u1, p, zzOf(q))
  multiply(difference, q, zzOf(p))
  multiply(s1, yOf(p), zzzOf(q))
  multiply(r, yOf(q), zzzOf(p))
  subtract(difference, difference, u1)
  subtract(r, r, s1)
  if (isZero(difference)) {
    meet(p, r)
    return
  }
  multiply(zzOf(p), zzOf(p), zzOf(q))
  multiply(zzzOf(p), zzzOf(p), zzzOf(q))
  finishAddition(p, u1, s1, difference, r)
}

/** p = p + q, p XYZZ, q affine. */
export function addAffine(p: usize, q: usize): void {
  if (isInfinite(q)) return
  if (isInfiniteProjective(p)) {
    copyPoint(p, q)
    copy(zzOf(p), ONE)
    copy(zzzOf(p), ONE)
    return
  }
  const u1 = temporary(6), difference = temporary(7), s1 = temporary(8), r = temporary(9)
  multiply(difference, q, zzOf(p))
  multiply(r, yOf(q), zzzOf(p))
  subtract(difference, difference, p)
  subtract(r, r, yOf(p))
  if (isZero(difference)) {
    meet(p, r)
    return
  }
  copy(u1, p)
  copy(s1, yOf(p))
  finishAddition(p, u1, s1, difference, r)
}

/** Sum of two points of equal x: twice p if the difference r of their y is zero too, else infinity. */
function meet(p: usize, r: usize): void {
  if (isZero(r)) double(p)
  else setInfiniteProjective(p)
}

/** What both additions share, once ZZ and ZZZ of p hold the products of both; `difference` = U2 − U1, `r` = S2 − S1. */
function finishAddition(p: usize, u1: usize, s1: usize, difference: usize, r: usize): void {
  const t = temporary(10)
  square(t, difference)
  multiply(zzOf(p), zzOf(p), t)
  multiply(difference, difference, t)
  multiply(zzzOf(p), zzzOf(p), difference)
  multiply(t, u1, t)
  square(p, r)
  subtract(p, p, difference)
  subtract(p, p, t)
  subtract(p, p, t)
  subtract(t, t, p)
  multiply(t, r, t)
  multiply(s1, s1, difference)
  subtract(yOf(p), t, s1)
}

/** out (affine) = p (XYZZ). */
export function toAffine(out: usize, p: usize): void {
  if (isInfiniteProjective(p)) {
    setInfinite(out)
    return
  }
  const t = temporary(0), x = temporary(1)
  multiply(t, zzOf(p), zzzOf(p))
  invert(t, t)
  multiply(x, t, zzzOf(p))
  multiply(x, x, p)
  multiply(t, t, zzOf(p))
  multiply(yOf(out), t, yOf(p))
  copy(out, x)
}

/**
 * Adds pairs of affine points, first += second, with one inversion for all (Montgomery's trick): six multiplications a sum
 * instead of ten. No point may occur in two pairs.
 *
 * @param pairs addresses, two 32-bit words each
 * @param divisors,products room for `count` elements each
 */
export function addPairs(pairs: usize, count: usize, divisors: usize, products: usize): void {
  const running = temporary(11), inverse = temporary(12), slope = temporary(13), x = temporary(14), t = temporary(15)
  copy(running, ONE)
  for (let i: usize = 0; i < count; i++) {
    const p = load<u32>(pairs + (i << 3)) as usize, q = load<u32>(pairs + (i << 3), 4) as usize
    const divisor = divisors + i * ELEMENT_BYTES
    copy(products + i * ELEMENT_BYTES, running)
    copy(divisor, ONE)
    if (isInfinite(p) || isInfinite(q)) continue
    subtract(divisor, q, p)
    if (isZero(divisor)) {
      if (equal(yOf(p), yOf(q))) add(divisor, yOf(p), yOf(p))
      if (isZero(divisor)) copy(divisor, ONE)
    }
    multiply(running, running, divisor)
  }
  invert(inverse, running)
  for (let at: usize = count; at > 0; at--) {
    const i = at - 1
    const p = load<u32>(pairs + (i << 3)) as usize, q = load<u32>(pairs + (i << 3), 4) as usize
    if (isInfinite(q)) continue
    if (isInfinite(p)) {
      copyPoint(p, q)
      continue
    }
    // 1 / divisor, and the inverse of the product of those before.
    multiply(t, inverse, products + i * ELEMENT_BYTES)
    multiply(inverse, inverse, divisors + i * ELEMENT_BYTES)
    subtract(slope, yOf(q), yOf(p))
    if (equal(p, q)) {
      if (!isZero(slope) || isZero(yOf(p))) {
        setInfinite(p)
        continue
      }
      square(x, p)
      add(slope, x, x)
      add(slope, slope, x)
      add(slope, slope, CURVE_A)
    }
    multiply(slope, slope, t)
    square(x, slope)
    subtract(x, x, p)
    subtract(x, x, q)
    subtract(t, p, x)
    multiply(t, slope, t)
    subtract(yOf(p), t, yOf(p))
    copy(p, x)
  }
}
