// Arithmetic modulo the prime p of BLS12-381, 381 bits.
//
// An element is 13 limbs of 30 bits, little-endian, each in a 32-bit word (52 bytes), always below p, in Montgomery form
// x·2^390. 30 bits, because a 64-bit register then holds 16 products before anything must be carried; with 32-bit limbs
// every product would carry. WebAssembly multiplies 64 × 64 bits to the low 64 only, so one multiplication of the
// processor yields one product of limbs, and 13² · 2 of them, one a cycle, are the cost of `multiply`.

export const ELEMENT_BYTES: usize = 52

const BITS: u64 = 30
const MASK: u64 = 0x3fff_ffff
const P0: u64 = 0x3fffaaab
const P1: u64 = 0x27fbffff
const P2: u64 = 0x153ffffb
const P3: u64 = 0x2affffac
const P4: u64 = 0x30f6241e
const P5: u64 = 0x34a83da
const P6: u64 = 0x112bf673
const P7: u64 = 0x12e13ce1
const P8: u64 = 0x2cd76477
const P9: u64 = 0x1ed90d2e
const P10: u64 = 0x29a4b1ba
const P11: u64 = 0x3a8e5ff9
const P12: u64 = 0x1a0111
/** −1/p modulo 2^30. */
const MU: u32 = 0x3ffcfffd

// @ts-ignore: decorator
@inline
function limb(a: usize, i: usize): u64 {
  return load<u32>(a + (i << 2)) as u64
}

// @ts-ignore: decorator
@inline
function setLimb(a: usize, i: usize, value: u64): void {
  store<u32>(a + (i << 2), value as u32)
}

/** The factor q that makes t + q·p divisible by 2^30. */
// @ts-ignore: decorator
@inline
function quotient(t: u64): u64 {
  return (((t as u32) * MU) & (MASK as u32)) as u64
}

/** Stores 13 limbs below 2p, given carried, less p where they are not below it. */
// @ts-ignore: decorator
@inline
function storeReduced(
  out: usize,
  t0: u64, t1: u64, t2: u64, t3: u64, t4: u64, t5: u64, t6: u64, t7: u64, t8: u64, t9: u64, t10: u64, t11: u64, t12: u64,
): void {
  // The borrow of each limb is bit 63 of its difference.
  const d0 = t0 - P0
  const d1 = t1 - P1 - (d0 >> 63)
  const d2 = t2 - P2 - (d1 >> 63)
  const d3 = t3 - P3 - (d2 >> 63)
  const d4 = t4 - P4 - (d3 >> 63)
  const d5 = t5 - P5 - (d4 >> 63)
  const d6 = t6 - P6 - (d5 >> 63)
  const d7 = t7 - P7 - (d6 >> 63)
  const d8 = t8 - P8 - (d7 >> 63)
  const d9 = t9 - P9 - (d8 >> 63)
  const d10 = t10 - P10 - (d9 >> 63)
  const d11 = t11 - P11 - (d10 >> 63)
  const d12 = t12 - P12 - (d11 >> 63)
  if (d12 >> 63) {
    setLimb(out, 0, t0), setLimb(out, 1, t1), setLimb(out, 2, t2), setLimb(out, 3, t3), setLimb(out, 4, t4)
    setLimb(out, 5, t5), setLimb(out, 6, t6), setLimb(out, 7, t7), setLimb(out, 8, t8), setLimb(out, 9, t9)
    setLimb(out, 10, t10), setLimb(out, 11, t11), setLimb(out, 12, t12)
  } else {
    setLimb(out, 0, d0 & MASK), setLimb(out, 1, d1 & MASK), setLimb(out, 2, d2 & MASK), setLimb(out, 3, d3 & MASK)
    setLimb(out, 4, d4 & MASK), setLimb(out, 5, d5 & MASK), setLimb(out, 6, d6 & MASK), setLimb(out, 7, d7 & MASK)
    setLimb(out, 8, d8 & MASK), setLimb(out, 9, d9 & MASK), setLimb(out, 10, d10 & MASK), setLimb(out, 11, d11 & MASK)
    setLimb(out, 12, d12 & MASK)
  }
}

/** out = a·b / 2^390 modulo p. `out` may be `a` or `b`. */
export function multiply(out: usize, a: usize, b: usize): void {
  const b0 = limb(b, 0), b1 = limb(b, 1), b2 = limb(b, 2), b3 = limb(b, 3), b4 = limb(b, 4), b5 = limb(b, 5), b6 = limb(b, 6)
  const b7 = limb(b, 7), b8 = limb(b, 8), b9 = limb(b, 9), b10 = limb(b, 10), b11 = limb(b, 11), b12 = limb(b, 12)
  let t0: u64 = 0, t1: u64 = 0, t2: u64 = 0, t3: u64 = 0, t4: u64 = 0, t5: u64 = 0, t6: u64 = 0
  let t7: u64 = 0, t8: u64 = 0, t9: u64 = 0, t10: u64 = 0, t11: u64 = 0, t12: u64 = 0
  let c: u64 = 0
  for (let i: usize = 0; i < 13; i++) {
    const x = limb(a, i)
    const t = t0 + x * b0
    const q = quotient(t)
    t0 = t1 + x * b1 + q * P1 + ((t + q * P0) >> BITS)
    t1 = t2 + x * b2 + q * P2
    t2 = t3 + x * b3 + q * P3
    t3 = t4 + x * b4 + q * P4
    t4 = t5 + x * b5 + q * P5
    t5 = t6 + x * b6 + q * P6
    t6 = t7 + x * b7 + q * P7
    t7 = t8 + x * b8 + q * P8
    t8 = t9 + x * b9 + q * P9
    t9 = t10 + x * b10 + q * P10
    t10 = t11 + x * b11 + q * P11
    t11 = t12 + x * b12 + q * P12
    t12 = 0
    if (i == 6) {
      // A sum holds 14 products of 60 bits by now; two more rows could overflow it.
      c = t0 >> BITS, t0 &= MASK
      t1 += c, c = t1 >> BITS, t1 &= MASK
      t2 += c, c = t2 >> BITS, t2 &= MASK
      t3 += c, c = t3 >> BITS, t3 &= MASK
      t4 += c, c = t4 >> BITS, t4 &= MASK
      t5 += c, c = t5 >> BITS, t5 &= MASK
      t6 += c, c = t6 >> BITS, t6 &= MASK
      t7 += c, c = t7 >> BITS, t7 &= MASK
      t8 += c, c = t8 >> BITS, t8 &= MASK
      t9 += c, c = t9 >> BITS, t9 &= MASK
      t10 += c, c = t10 >> BITS, t10 &= MASK
      t11 += c, t12 = t11 >> BITS, t11 &= MASK
    }
  }
  c = t0 >> BITS, t0 &= MASK
  t1 += c, c = t1 >> BITS, t1 &= MASK
  t2 += c, c = t2 >> BITS, t2 &= MASK
  t3 += c, c = t3 >> BITS, t3 &= MASK
  t4 += c, c = t4 >> BITS, t4 &= MASK
  t5 += c, c = t5 >> BITS, t5 &= MASK
  t6 += c, c = t6 >> BITS, t6 &= MASK
  t7 += c, c = t7 >> BITS, t7 &= MASK
  t8 += c, c = t8 >> BITS, t8 &= MASK
  t9 += c, c = t9 >> BITS, t9 &= MASK
  t10 += c, c = t10 >> BITS, t10 &= MASK
  t11 += c, c = t11 >> BITS, t11 &= MASK
  t12 += c
  storeReduced(out, t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12)
}

/** out = a² / 2^390 modulo p: 91 products instead of 169, then 169 to reduce. */
export function square(out: usize, a: usize): void {
  const a0 = limb(a, 0), a1 = limb(a, 1), a2 = limb(a, 2), a3 = limb(a, 3), a4 = limb(a, 4), a5 = limb(a, 5), a6 = limb(a, 6)
  const a7 = limb(a, 7), a8 = limb(a, 8), a9 = limb(a, 9), a10 = limb(a, 10), a11 = limb(a, 11), a12 = limb(a, 12)
  // Columns of the square, carried one after the other: none holds more than 13 products.
  let c: u64 = 0
  c = a0 * a0
  const s0 = c & MASK
  c >>= BITS
  c = ((a0 * a1) << 1) + c
  const s1 = c & MASK
  c >>= BITS
  c = ((a0 * a2) << 1) + a1 * a1 + c
  const s2 = c & MASK
  c >>= BITS
  c = ((a0 * a3 + a1 * a2) << 1) + c
  const s3 = c & MASK
  c >>= BITS
  c = ((a0 * a4 + a1 * a3) << 1) + a2 * a2 + c
  const s4 = c & MASK
  c >>= BITS
  c = ((a0 * a5 + a1 * a4 + a2 * a3) << 1) + c
  const s5 = c & MASK
  c >>= BITS
  c = ((a0 * a6 + a1 * a5 + a2 * a4) << 1) + a3 * a3 + c
  const s6 = c & MASK
  c >>= BITS
  c = ((a0 * a7 + a1 * a6 + a2 * a5 + a3 * a4) << 1) + c
  const s7 = c & MASK
  c >>= BITS
  c = ((a0 * a8 + a1 * a7 + a2 * a6 + a3 * a5) << 1) + a4 * a4 + c
  const s8 = c & MASK
  c >>= BITS
  c = ((a0 * a9 + a1 * a8 + a2 * a7 + a3 * a6 + a4 * a5) << 1) + c
  const s9 = c & MASK
  c >>= BITS
  c = ((a0 * a10 + a1 * a9 + a2 * a8 + a3 * a7 + a4 * a6) << 1) + a5 * a5 + c
  const s10 = c & MASK
  c >>= BITS
  c = ((a0 * a11 + a1 * a10 + a2 * a9 + a3 * a8 + a4 * a7 + a5 * a6) << 1) + c
  const s11 = c & MASK
  c >>= BITS
  c = ((a0 * a12 + a1 * a11 + a2 * a10 + a3 * a9 + a4 * a8 + a5 * a7) << 1) + a6 * a6 + c
  const s12 = c & MASK
  c >>= BITS
  c = ((a1 * a12 + a2 * a11 + a3 * a10 + a4 * a9 + a5 * a8 + a6 * a7) << 1) + c
  const s13 = c & MASK
  c >>= BITS
  c = ((a2 * a12 + a3 * a11 + a4 * a10 + a5 * a9 + a6 * a8) << 1) + a7 * a7 + c
  const s14 = c & MASK
  c >>= BITS
  c = ((a3 * a12 + a4 * a11 + a5 * a10 + a6 * a9 + a7 * a8) << 1) + c
  const s15 = c & MASK
  c >>= BITS
  c = ((a4 * a12 + a5 * a11 + a6 * a10 + a7 * a9) << 1) + a8 * a8 + c
  const s16 = c & MASK
  c >>= BITS
  c = ((a5 * a12 + a6 * a11 + a7 * a10 + a8 * a9) << 1) + c
  const s17 = c & MASK
  c >>= BITS
  c = ((a6 * a12 + a7 * a11 + a8 * a10) << 1) + a9 * a9 + c
  const s18 = c & MASK
  c >>= BITS
  c = ((a7 * a12 + a8 * a11 + a9 * a10) << 1) + c
  const s19 = c & MASK
  c >>= BITS
  c = ((a8 * a12 + a9 * a11) << 1) + a10 * a10 + c
  const s20 = c & MASK
  c >>= BITS
  c = ((a9 * a12 + a10 * a11) << 1) + c
  const s21 = c & MASK
  c >>= BITS
  c = ((a10 * a12) << 1) + a11 * a11 + c
  const s22 = c & MASK
  c >>= BITS
  c = ((a11 * a12) << 1) + c
  const s23 = c & MASK
  c >>= BITS
  c = a12 * a12 + c
  const s24 = c & MASK
  c >>= BITS
  const s25 = c
  // Montgomery reduction by columns: q0 to q12 make the low half vanish.
  c = 0
  c += s0
  const q0 = quotient(c)
  c = (c + q0 * P0) >> BITS
  c += s1 + q0 * P1
  const q1 = quotient(c)
  c = (c + q1 * P0) >> BITS
  c += s2 + q0 * P2 + q1 * P1
  const q2 = quotient(c)
  c = (c + q2 * P0) >> BITS
  c += s3 + q0 * P3 + q1 * P2 + q2 * P1
  const q3 = quotient(c)
  c = (c + q3 * P0) >> BITS
  c += s4 + q0 * P4 + q1 * P3 + q2 * P2 + q3 * P1
  const q4 = quotient(c)
  c = (c + q4 * P0) >> BITS
  c += s5 + q0 * P5 + q1 * P4 + q2 * P3 + q3 * P2 + q4 * P1
  const q5 = quotient(c)
  c = (c + q5 * P0) >> BITS
  c += s6 + q0 * P6 + q1 * P5 + q2 * P4 + q3 * P3 + q4 * P2 + q5 * P1
  const q6 = quotient(c)
  c = (c + q6 * P0) >> BITS
  c += s7 + q0 * P7 + q1 * P6 + q2 * P5 + q3 * P4 + q4 * P3 + q5 * P2 + q6 * P1
  const q7 = quotient(c)
  c = (c + q7 * P0) >> BITS
  c += s8 + q0 * P8 + q1 * P7 + q2 * P6 + q3 * P5 + q4 * P4 + q5 * P3 + q6 * P2 + q7 * P1
  const q8 = quotient(c)
  c = (c + q8 * P0) >> BITS
  c += s9 + q0 * P9 + q1 * P8 + q2 * P7 + q3 * P6 + q4 * P5 + q5 * P4 + q6 * P3 + q7 * P2 + q8 * P1
  const q9 = quotient(c)
  c = (c + q9 * P0) >> BITS
  c += s10 + q0 * P10 + q1 * P9 + q2 * P8 + q3 * P7 + q4 * P6 + q5 * P5 + q6 * P4 + q7 * P3 + q8 * P2 + q9 * P1
  const q10 = quotient(c)
  c = (c + q10 * P0) >> BITS
  c += s11 + q0 * P11 + q1 * P10 + q2 * P9 + q3 * P8 + q4 * P7 + q5 * P6 + q6 * P5 + q7 * P4 + q8 * P3 + q9 * P2 +
    q10 * P1
  const q11 = quotient(c)
  c = (c + q11 * P0) >> BITS
  c += s12 + q0 * P12 + q1 * P11 + q2 * P10 + q3 * P9 + q4 * P8 + q5 * P7 + q6 * P6 + q7 * P5 + q8 * P4 + q9 * P3 +
    q10 * P2 + q11 * P1
  const q12 = quotient(c)
  c = (c + q12 * P0) >> BITS
  c += s13 + q1 * P12 + q2 * P11 + q3 * P10 + q4 * P9 + q5 * P8 + q6 * P7 + q7 * P6 + q8 * P5 + q9 * P4 + q10 * P3 +
    q11 * P2 + q12 * P1
  const t0 = c & MASK
  c >>= BITS
  c += s14 + q2 * P12 + q3 * P11 + q4 * P10 + q5 * P9 + q6 * P8 + q7 * P7 + q8 * P6 + q9 * P5 + q10 * P4 + q11 * P3 +
    q12 * P2
  const t1 = c & MASK
  c >>= BITS
  c += s15 + q3 * P12 + q4 * P11 + q5 * P10 + q6 * P9 + q7 * P8 + q8 * P7 + q9 * P6 + q10 * P5 + q11 * P4 + q12 * P3
  const t2 = c & MASK
  c >>= BITS
  c += s16 + q4 * P12 + q5 * P11 + q6 * P10 + q7 * P9 + q8 * P8 + q9 * P7 + q10 * P6 + q11 * P5 + q12 * P4
  const t3 = c & MASK
  c >>= BITS
  c += s17 + q5 * P12 + q6 * P11 + q7 * P10 + q8 * P9 + q9 * P8 + q10 * P7 + q11 * P6 + q12 * P5
  const t4 = c & MASK
  c >>= BITS
  c += s18 + q6 * P12 + q7 * P11 + q8 * P10 + q9 * P9 + q10 * P8 + q11 * P7 + q12 * P6
  const t5 = c & MASK
  c >>= BITS
  c += s19 + q7 * P12 + q8 * P11 + q9 * P10 + q10 * P9 + q11 * P8 + q12 * P7
  const t6 = c & MASK
  c >>= BITS
  c += s20 + q8 * P12 + q9 * P11 + q10 * P10 + q11 * P9 + q12 * P8
  const t7 = c & MASK
  c >>= BITS
  c += s21 + q9 * P12 + q10 * P11 + q11 * P10 + q12 * P9
  const t8 = c & MASK
  c >>= BITS
  c += s22 + q10 * P12 + q11 * P11 + q12 * P10
  const t9 = c & MASK
  c >>= BITS
  c += s23 + q11 * P12 + q12 * P11
  const t10 = c & MASK
  c >>= BITS
  c += s24 + q12 * P12
  const t11 = c & MASK
  c >>= BITS
  c += s25
  const t12 = c
  storeReduced(out, t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12)
}

/** out = a + b. */
export function add(out: usize, a: usize, b: usize): void {
  const t0 = limb(a, 0) + limb(b, 0)
  const t1 = limb(a, 1) + limb(b, 1) + (t0 >> BITS)
  const t2 = limb(a, 2) + limb(b, 2) + (t1 >> BITS)
  const t3 = limb(a, 3) + limb(b, 3) + (t2 >> BITS)
  const t4 = limb(a, 4) + limb(b, 4) + (t3 >> BITS)
  const t5 = limb(a, 5) + limb(b, 5) + (t4 >> BITS)
  const t6 = limb(a, 6) + limb(b, 6) + (t5 >> BITS)
  const t7 = limb(a, 7) + limb(b, 7) + (t6 >> BITS)
  const t8 = limb(a, 8) + limb(b, 8) + (t7 >> BITS)
  const t9 = limb(a, 9) + limb(b, 9) + (t8 >> BITS)
  const t10 = limb(a, 10) + limb(b, 10) + (t9 >> BITS)
  const t11 = limb(a, 11) + limb(b, 11) + (t10 >> BITS)
  const t12 = limb(a, 12) + limb(b, 12) + (t11 >> BITS)
  storeReduced(
    out,
    t0 & MASK, t1 & MASK, t2 & MASK, t3 & MASK, t4 & MASK, t5 & MASK, t6 & MASK, t7 & MASK, t8 & MASK, t9 & MASK,
    t10 & MASK, t11 & MASK, t12,
  )
}

/** out = a − b. */
export function subtract(out: usize, a: usize, b: usize): void {
  const d0 = limb(a, 0) - limb(b, 0)
  const d1 = limb(a, 1) - limb(b, 1) - (d0 >> 63)
  const d2 = limb(a, 2) - limb(b, 2) - (d1 >> 63)
  const d3 = limb(a, 3) - limb(b, 3) - (d2 >> 63)
  const d4 = limb(a, 4) - limb(b, 4) - (d3 >> 63)
  const d5 = limb(a, 5) - limb(b, 5) - (d4 >> 63)
  const d6 = limb(a, 6) - limb(b, 6) - (d5 >> 63)
  const d7 = limb(a, 7) - limb(b, 7) - (d6 >> 63)
  const d8 = limb(a, 8) - limb(b, 8) - (d7 >> 63)
  const d9 = limb(a, 9) - limb(b, 9) - (d8 >> 63)
  const d10 = limb(a, 10) - limb(b, 10) - (d9 >> 63)
  const d11 = limb(a, 11) - limb(b, 11) - (d10 >> 63)
  const d12 = limb(a, 12) - limb(b, 12) - (d11 >> 63)
  // All ones where the difference is negative: p is added back.
  const m: u64 = 0 - (d12 >> 63)
  const t0 = (d0 & MASK) + (P0 & m)
  const t1 = (d1 & MASK) + (P1 & m) + (t0 >> BITS)
  const t2 = (d2 & MASK) + (P2 & m) + (t1 >> BITS)
  const t3 = (d3 & MASK) + (P3 & m) + (t2 >> BITS)
  const t4 = (d4 & MASK) + (P4 & m) + (t3 >> BITS)
  const t5 = (d5 & MASK) + (P5 & m) + (t4 >> BITS)
  const t6 = (d6 & MASK) + (P6 & m) + (t5 >> BITS)
  const t7 = (d7 & MASK) + (P7 & m) + (t6 >> BITS)
  const t8 = (d8 & MASK) + (P8 & m) + (t7 >> BITS)
  const t9 = (d9 & MASK) + (P9 & m) + (t8 >> BITS)
  const t10 = (d10 & MASK) + (P10 & m) + (t9 >> BITS)
  const t11 = (d11 & MASK) + (P11 & m) + (t10 >> BITS)
  const t12 = (d12 & MASK) + (P12 & m) + (t11 >> BITS)
  setLimb(out, 0, t0 & MASK), setLimb(out, 1, t1 & MASK), setLimb(out, 2, t2 & MASK), setLimb(out, 3, t3 & MASK)
  setLimb(out, 4, t4 & MASK), setLimb(out, 5, t5 & MASK), setLimb(out, 6, t6 & MASK), setLimb(out, 7, t7 & MASK)
  setLimb(out, 8, t8 & MASK), setLimb(out, 9, t9 & MASK), setLimb(out, 10, t10 & MASK), setLimb(out, 11, t11 & MASK)
  setLimb(out, 12, t12 & MASK)
}

export function copy(out: usize, a: usize): void {
  memory.copy(out, a, ELEMENT_BYTES)
}

export function isZero(a: usize): bool {
  let any: u32 = 0
  for (let i: usize = 0; i < 13; i++) any |= load<u32>(a + (i << 2))
  return any == 0
}

/** Elements are kept below p, so equal elements have equal limbs. */
export function equal(a: usize, b: usize): bool {
  let different: u32 = 0
  for (let i: usize = 0; i < 13; i++) different |= load<u32>(a + (i << 2)) ^ load<u32>(b + (i << 2))
  return different == 0
}

/**
 * out = base^exponent, four bits at a time. `out` may be `base`.
 *
 * @param exponent 48 bytes, little-endian
 * @param table room for 16 elements
 * @param one the element 1
 */
export function power(out: usize, base: usize, exponent: usize, table: usize, one: usize): void {
  copy(table, one)
  copy(table + ELEMENT_BYTES, base)
  for (let i: usize = 2; i < 16; i++) multiply(table + i * ELEMENT_BYTES, table + (i - 1) * ELEMENT_BYTES, base)
  copy(out, one)
  for (let i: i32 = 95; i >= 0; i--) {
    square(out, out)
    square(out, out)
    square(out, out)
    square(out, out)
    const digit = ((load<u8>(exponent + (i >> 1)) >> (((i & 1) << 2) as u8)) & 15) as usize
    if (digit != 0) multiply(out, out, table + digit * ELEMENT_BYTES)
  }
}

/** Unpacks 48 bytes, little-endian, below p, into limbs; no Montgomery form yet. */
export function unpack(out: usize, bytes: usize): void {
  for (let i: usize = 0; i < 13; i++) {
    const bit = i * 30
    // The last limb has 24 bits: read from byte 45 it would take in bytes after the number.
    const at: usize = i == 12 ? 40 : bit >> 3
    setLimb(out, i, (load<u64>(bytes + at) >> ((bit - (at << 3)) as u64)) & MASK)
  }
}

/** Packs limbs below p into 48 bytes, little-endian. */
export function pack(bytes: usize, a: usize): void {
  let pending: u64 = 0
  let bits: u64 = 0
  let at = bytes
  for (let i: usize = 0; i < 13; i++) {
    pending |= limb(a, i) << bits
    bits += 30
    while (bits >= 32) {
      store<u32>(at, pending as u32)
      at += 4
      pending >>= 32
      bits -= 32
    }
  }
  // 390 bits came in, 12 words are 384: the last six are zeros and stay behind.
}
