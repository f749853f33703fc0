// Where constants and temporaries lie in memory. src/kernel.ts writes the constants; the caller's part begins at 8192.

import { ELEMENT_BYTES } from './field'

export const ZERO: usize = 0
export const ONE: usize = 64
/** Coefficient a of the curve at hand, y² = x³ + a·x + b: 0 on the curve itself, not 0 on the isogenous one. */
export const CURVE_A: usize = 128
/** 2^396 modulo p: from x·2^384, the form of mcl, to x·2^390. */
export const FROM_MCL: usize = 192
/** 2^384 modulo p, and back. */
export const TO_MCL: usize = 256
/** 2^780 modulo p: into Montgomery form. */
export const TO_MONTGOMERY: usize = 320
/** The number 1, which is not the element 1: out of Montgomery form. */
export const FROM_MONTGOMERY: usize = 384
/** 2^256, an element. */
export const TWO_256: usize = 448
/** Constants of the map to the isogenous curve: A, B, Z and the root of −Z. */
export const MAP_A: usize = 512
export const MAP_B: usize = 576
export const MAP_Z: usize = 640
export const MAP_ROOT: usize = 704
/** Exponents, 48 bytes each: p − 2 inverts, (p − 3) / 4 takes roots. */
export const INVERT_EXPONENT: usize = 768
export const ROOT_EXPONENT: usize = 832

/** 16 elements for `power`. */
export const POWER_TABLE: usize = 1024
/** Temporaries, a row for each user, since they call each other. */
const TEMPORARIES: usize = 2048

// @ts-ignore: decorator
@inline
export function temporary(i: usize): usize {
  return TEMPORARIES + i * 64
}

export const POINT_BYTES: usize = 2 * ELEMENT_BYTES
export const PROJECTIVE_BYTES: usize = 4 * ELEMENT_BYTES
