// Arithmetic modulo r, the order of the groups of BLS12-381, 255 bits.
//
// An element is 9 limbs of 29 bits, little-endian, each in a 32-bit word (36 bytes), below r, in Montgomery form x·2^261.
// With 29 bits the 18 products that meet in one column fit 64 bits, so nothing is carried inside `multiply`.

export const ELEMENT_BYTES: usize = 36

const BITS: u64 = 29
const MASK: u64 = 0x1fff_ffff
const R0: u64 = 0x1
const R1: u64 = 0x1ffffff8
const R2: u64 = 0x1f96ffbf
const R3: u64 = 0x1b4805ff
const R4: u64 = 0x1d80553b
const R5: u64 = 0xc0404d0
const R6: u64 = 0x1520cce7
const R7: u64 = 0xa6533af
const R8: u64 = 0x73eda7
/** −1/r modulo 2^29. */
const MU: u32 = 0x1fff_ffff

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

/** Stores 9 carried limbs below 2r, less r where they are not below it. The borrow of a limb is bit 63 of its difference. */
// @ts-ignore: decorator
@inline
function storeReduced(
  out: usize, t0: u64, t1: u64, t2: u64, t3: u64, t4: u64, t5: u64, t6: u64, t7: u64, t8: u64,
): void {
  const d0 = t0 - R0
  const d1 = t1 - R1 - (d0 >> 63)
  const d2 = t2 - R2 - (d1 >> 63)
  const d3 = t3 - R3 - (d2 >> 63)
  const d4 = t4 - R4 - (d3 >> 63)
  const d5 = t5 - R5 - (d4 >> 63)
  const d6 = t6 - R6 - (d5 >> 63)
  const d7 = t7 - R7 - (d6 >> 63)
  const d8 = t8 - R8 - (d7 >> 63)
  if (d8 >> 63) {
    setLimb(out, 0, t0), setLimb(out, 1, t1), setLimb(out, 2, t2), setLimb(out, 3, t3), setLimb(out, 4, t4)
    setLimb(out, 5, t5), setLimb(out, 6, t6), setLimb(out, 7, t7), setLimb(out, 8, t8)
  } else {
    setLimb(out, 0, d0 & MASK), setLimb(out, 1, d1 & MASK), setLimb(out, 2, d2 & MASK), setLimb(out, 3, d3 & MASK)
    setLimb(out, 4, d4 & MASK), setLimb(out, 5, d5 & MASK), setLimb(out, 6, d6 & MASK), setLimb(out, 7, d7 & MASK)
    setLimb(out, 8, d8 & MASK)
  }
}

/** out = a·b / 2^261 modulo r. One factor may be any number below 2^261. `out` may be `a` or `b`. */
export function multiply(out: usize, a: usize, b: usize): void {
  const b0 = limb(b, 0), b1 = limb(b, 1), b2 = limb(b, 2), b3 = limb(b, 3), b4 = limb(b, 4)
  const b5 = limb(b, 5), b6 = limb(b, 6), b7 = limb(b, 7), b8 = limb(b, 8)
  let t0: u64 = 0, t1: u64 = 0, t2: u64 = 0, t3: u64 = 0, t4: u64 = 0, t5: u64 = 0, t6: u64 = 0, t7: u64 = 0, t8: u64 = 0
  for (let i: usize = 0; i < 9; i++) {
    const x = limb(a, i)
    const t = t0 + x * b0
    const q = (((t as u32) * MU) & (MASK as u32)) as u64
    t0 = t1 + x * b1 + q * R1 + ((t + q * R0) >> BITS)
    t1 = t2 + x * b2 + q * R2
    t2 = t3 + x * b3 + q * R3
    t3 = t4 + x * b4 + q * R4
    t4 = t5 + x * b5 + q * R5
    t5 = t6 + x * b6 + q * R6
    t6 = t7 + x * b7 + q * R7
    t7 = t8 + x * b8 + q * R8
    t8 = 0
  }
  t1 += t0 >> BITS, t0 &= MASK
  t2 += t1 >> BITS, t1 &= MASK
  t3 += t2 >> BITS, t2 &= MASK
  t4 += t3 >> BITS, t3 &= MASK
  t5 += t4 >> BITS, t4 &= MASK
  t6 += t5 >> BITS, t5 &= MASK
  t7 += t6 >> BITS, t6 &= MASK
  t8 += t7 >> BITS, t7 &= MASK
  storeReduced(out, t0, t1, t2, t3, t4, t5, t6, t7, t8)
}

/** out = a + b, both below r. */
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
  storeReduced(
    out, t0 & MASK, t1 & MASK, t2 & MASK, t3 & MASK, t4 & MASK, t5 & MASK, t6 & MASK, t7 & MASK, t8,
  )
}
