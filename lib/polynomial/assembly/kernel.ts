// Data as polynomials over the scalar field of BLS12-381, compiled by AssemblyScript to WebAssembly SIMD.
//
// A sector is 15 little-endian signed 16-bit words s_k, 30 bytes, and stands for the coefficient Σ s_k·2^(16k). The memory is
// imported and belongs to the caller; nothing here allocates. Addresses and sizes in bytes. Constants and the place of
// temporaries are laid out in src/kernel.ts.

import { add, ELEMENT_BYTES, multiply } from './field'

/** Constants, written by src/kernel.ts: elements are multiplied by R = 2^261. */
const R_SQUARED: usize = 64
const R_CUBED: usize = 128
const ONE_PLAIN: usize = 192
/** −2^296·R: what `chunkValue` adds to stay positive is taken off again. */
const MINUS_OFFSET: usize = 256
const LOW: usize = 320
const HIGH: usize = 384

const SECTOR_BYTES: usize = 30
/** Words of one SIMD step, and steps after which the 32-bit sums are emptied: 15 · 2 · 2^15 · 2^11 is just below 2^31. */
const STEP_BYTES: usize = 16
const STEP_COUNT: usize = 15
/** Data of one row: 8 sectors. */
const ROW_BYTES: usize = STEP_BYTES * STEP_COUNT
/** Digits of 12 bits in a weight. */
const DIGIT_COUNT: usize = 22
const DIGIT_BITS: i64 = 12
const TABLE_ROW_BYTES: usize = DIGIT_COUNT * ROW_BYTES

/** sums[0..1] += the four 32-bit sums of `lanes`, as two 64-bit ones. */
// @ts-ignore: decorator
@inline
function flush(sums: usize, lanes: v128): void {
  const wide = i64x2.add(i64x2.extend_low_i32x4_s(lanes), i64x2.extend_high_i32x4_s(lanes))
  v128.store(sums, i64x2.add(v128.load(sums), wide))
}

/**
 * Dot products of one chunk with each of the 22 rows of digits: sums[digit] (two 64-bit halves, 16 bytes) += Σ word · digit.
 *
 * @param table for each row of 240 bytes of data: 22 × 240 bytes of digits, in the order of the words
 */
export function dotOne(data: usize, rows: usize, table: usize, sums: usize): void {
  for (let row: usize = 0; row < rows; row++, data += ROW_BYTES) {
    for (let digit: usize = 0; digit < DIGIT_COUNT; digit += 2, table += 2 * ROW_BYTES) {
      let a = i64x2.splat(0), b = a
      for (let at: usize = 0; at < ROW_BYTES; at += STEP_BYTES) {
        const x = v128.load(data + at)
        a = i32x4.add(a, i32x4.dot_i16x8_s(x, v128.load(table + at)))
        b = i32x4.add(b, i32x4.dot_i16x8_s(x, v128.load(table + at, ROW_BYTES)))
      }
      flush(sums + digit * 16, a)
      flush(sums + digit * 16 + 16, b)
    }
  }
}

/**
 * `dotOne` of four whole chunks side by side, so that a digit is loaded once for four products. Two digits at a time: eight
 * sums, four words and two digits are what 16 registers hold.
 *
 * @param chunkBytes distance of the chunks, and their length
 * @param sums 22 × 16 bytes for each chunk
 */
export function dotFour(data: usize, chunkBytes: usize, table: usize, sums: usize): void {
  const size = DIGIT_COUNT * 16
  const end = data + chunkBytes
  for (; data < end; data += ROW_BYTES) {
    for (let digit: usize = 0; digit < DIGIT_COUNT; digit += 2, table += 2 * ROW_BYTES) {
      let a0 = i64x2.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0
      let p0 = data
      let digits = table
      for (let step: usize = 0; step < STEP_COUNT; step++) {
        const ta = v128.load(digits), tb = v128.load(digits, ROW_BYTES)
        const p1 = p0 + chunkBytes, p2 = p1 + chunkBytes, p3 = p2 + chunkBytes
        let x = v128.load(p0)
        a0 = i32x4.add(a0, i32x4.dot_i16x8_s(x, ta))
        b0 = i32x4.add(b0, i32x4.dot_i16x8_s(x, tb))
        x = v128.load(p1)
        a1 = i32x4.add(a1, i32x4.dot_i16x8_s(x, ta))
        b1 = i32x4.add(b1, i32x4.dot_i16x8_s(x, tb))
        x = v128.load(p2)
        a2 = i32x4.add(a2, i32x4.dot_i16x8_s(x, ta))
        b2 = i32x4.add(b2, i32x4.dot_i16x8_s(x, tb))
        x = v128.load(p3)
        a3 = i32x4.add(a3, i32x4.dot_i16x8_s(x, ta))
        b3 = i32x4.add(b3, i32x4.dot_i16x8_s(x, tb))
        p0 += STEP_BYTES
        digits += STEP_BYTES
      }
      const at = sums + digit * 16
      flush(at, a0), flush(at + 16, b0)
      flush(at + size, a1), flush(at + size + 16, b1)
      flush(at + 2 * size, a2), flush(at + 2 * size + 16, b2)
      flush(at + 3 * size, a3), flush(at + 3 * size + 16, b3)
    }
  }
}

/** value = value · factor + the chunk's value Σ sums[digit]·2^(12·digit). All in Montgomery form. Empties the sums. */
export function addChunk(value: usize, factor: usize, sums: usize): void {
  // Carried, the sums are 22 digits of 12 bits, 264 bits, and a last carry, which may be negative: 2^32 is added to it.
  let limbIndex: usize = 0
  let pending: u64 = 0
  let bits: u64 = 0
  let carry: i64 = 0
  memory.fill(HIGH, 0, ELEMENT_BYTES)
  for (let digit: usize = 0; digit < DIGIT_COUNT; digit++) {
    const at = sums + digit * 16
    const total = load<i64>(at) + load<i64>(at, 8) + carry
    v128.store(at, i64x2.splat(0))
    pending |= ((total & 0xfff) as u64) << bits
    carry = total >> DIGIT_BITS
    bits += 12
    if (bits >= 29) {
      store<u32>(LOW + (limbIndex++ << 2), (pending & 0x1fff_ffff) as u32)
      pending >>= 29
      bits -= 29
    }
  }
  // Nine limbs took 261 bits; three bits of the digits are left, then 34 of the carry.
  pending |= ((carry + 0x1_0000_0000) as u64) << bits
  store<u32>(HIGH, (pending & 0x1fff_ffff) as u32)
  store<u32>(HIGH + 4, (pending >> 29) as u32)
  multiply(value, value, factor)
  multiply(LOW, LOW, R_SQUARED)
  add(value, value, LOW)
  multiply(HIGH, HIGH, R_CUBED)
  add(value, value, HIGH)
  add(value, value, MINUS_OFFSET)
}

/**
 * columns += coefficient · sectors, without a reduction: for each sector 15 columns of 64 bits, worth 2^(24·i).
 *
 * The words of a sector are made unsigned by adding 2^15 to each (flipping its top bit); `reduceColumns` takes that off again.
 * A sector then is 10 limbs of 24 bits and a coefficient of 128 bits is 6, so a column gains less than 6 · 2^48 a call and takes
 * 10,900 calls.
 *
 * @param coefficient 6 × 32 bits
 */
export function accumulate(columns: usize, sectors: usize, count: usize, coefficient: usize): void {
  const c0 = load<u32>(coefficient) as u64, c1 = load<u32>(coefficient, 4) as u64, c2 = load<u32>(coefficient, 8) as u64
  const c3 = load<u32>(coefficient, 12) as u64, c4 = load<u32>(coefficient, 16) as u64
  const c5 = load<u32>(coefficient, 20) as u64
  for (let i: usize = 0; i < count; i++, sectors += SECTOR_BYTES, columns += 120) {
    let a0 = load<u64>(columns), a1 = load<u64>(columns, 8), a2 = load<u64>(columns, 16), a3 = load<u64>(columns, 24)
    let a4 = load<u64>(columns, 32), a5 = load<u64>(columns, 40)
    for (let k: usize = 0; k < 10; k += 2) {
      // A limb at an even byte holds the top of one word, one at an odd byte those of two.
      const x = ((load<u32>(sectors + 3 * k) ^ 0x008000) & 0xff_ffff) as u64
      const y = ((load<u32>(sectors + 3 * k, 3) ^ 0x800080) & 0xff_ffff) as u64
      const at = columns + (k << 3)
      store<u64>(at, a0 + x * c0)
      store<u64>(at, a1 + x * c1 + y * c0, 8)
      a0 = a2 + x * c2 + y * c1
      a1 = a3 + x * c3 + y * c2
      a2 = a4 + x * c4 + y * c3
      a3 = a5 + x * c5 + y * c4
      a4 = load<u64>(at, 48) + y * c5
      a5 = k == 8 ? 0 : load<u64>(at, 56)
    }
    store<u64>(columns, a0, 80)
    store<u64>(columns, a1, 88)
    store<u64>(columns, a2, 96)
    store<u64>(columns, a3, 104)
    store<u64>(columns, a4, 112)
  }
}

/**
 * Elements of the field from columns.
 *
 * @param correction the element to add to each: −Σ coefficients · Σ 2^15·2^(16k)
 */
export function reduceColumns(elements: usize, columns: usize, count: usize, correction: usize): void {
  for (let i: usize = 0; i < count; i++, columns += 120, elements += ELEMENT_BYTES) {
    memory.fill(HIGH, 0, ELEMENT_BYTES)
    let out = LOW
    let pending: u64 = 0
    let bits: u64 = 0
    let carry: u64 = 0
    let limbs: u32 = 0
    // 15 columns and the carry of the last, 24 bits at a time: 18 limbs of 29 bits hold the 384 that there can be.
    for (let k: usize = 0; k < 18; k++) {
      if (k < 15) carry += load<u64>(columns + (k << 3))
      pending |= (carry & 0xff_ffff) << bits
      carry >>= 24
      bits += 24
      if (bits < 29) continue
      store<u32>(out, (pending & 0x1fff_ffff) as u32)
      out = ++limbs == 9 ? HIGH : out + 4
      pending >>= 29
      bits -= 29
    }
    store<u32>(out, pending as u32)
    multiply(LOW, LOW, R_SQUARED)
    multiply(HIGH, HIGH, R_CUBED)
    add(elements, LOW, HIGH)
    add(elements, elements, correction)
  }
}

/**
 * Divides by X − z: the elements 0 … count−1 of a polynomial P become the count − 1 coefficients of (P − P(z)) / (X − z), plain, 32
 * bytes each, little-endian, and P(z) as well.
 *
 * @param z in Montgomery form
 * @param value 32 bytes
 */
export function divide(quotient: usize, value: usize, elements: usize, count: usize, z: usize): void {
  const running = HIGH
  memory.fill(running, 0, ELEMENT_BYTES)
  for (let i = count; i > 0; i--) {
    multiply(running, running, z)
    add(running, running, elements + (i - 1) * ELEMENT_BYTES)
    writePlain(i == 1 ? value : quotient + (i - 2) * 32, running)
  }
}

/** Out of Montgomery form, 32 bytes, little-endian. */
export function writePlain(out: usize, element: usize): void {
  multiply(LOW, element, ONE_PLAIN)
  let pending: u64 = 0
  let bits: u64 = 0
  for (let i: usize = 0; i < 9; i++) {
    pending |= (load<u32>(LOW + (i << 2)) as u64) << bits
    bits += 29
    if (bits < 32) continue
    store<u32>(out, pending as u32)
    out += 4
    pending >>= 32
    bits -= 32
  }
}
