// The 4+8 code by an additive FFT. Source: Lin, Chung, Han, "Novel polynomial basis and its application to Reed-Solomon
// erasure codes", FOCS 2014, cut down to three cosets of a two-dimensional subspace.
//
// Data d0..d3 are the values of one cubic f at the points of V = {0, 1, 2, 3}; parities are its values at 4 + V and 8 + V.
// In the basis 1, x, X(x), x·X(x) with X(x) = x(x+1) / 6, where 6 = 2·3 makes X vanish at 0 and 1 and be 1 at 2 and 3,
// f has coefficients a0..a3. On a coset y + V, X is s at y and y+1 and s + 1 at y+2 and y+3, where s = X(y). So
//
//     inverse on V        a0 = d0    a1 = d0+d1    a2 = d0+d2 + 2(d2+d3)    a3 = d0+d1+d2+d3
//     on y, y+1           c0 = a0 + s·a2     c1 = a1 + s·a3     f(y)   = c0 + y·c1          f(y+1) = f(y) + c1
//     on y+2, y+3         e0 = c0 + a2       e1 = c1 + a3       f(y+2) = e0 + (y+2)·e1      f(y+3) = f(y+2) + e1
//
// which is one multiplication for the inverse and four for each coset: nine a column, where the matrix takes 32.

import { inverse, multiply, TABLE_PAIR_BYTES, writeTablePair } from './field.ts'

/** Second basis vector of V; the first is 1. */
const V1 = 2

/** First points of the two cosets of parity. With V they are 0..11, the points of the Vandermonde code. */
const COSETS = [4, 8] as const

/** X(y), for the y of a coset. */
function cosetConstant(y: number): number {
  return multiply(multiply(y, y ^ 1), inverse(multiply(V1, V1 ^ 1)))
}

/** The eight parity bytes of one column of four data bytes: the scalar twin of `encodeFft` in assembly/kernel.ts. */
export function fftParityColumn(d0: number, d1: number, d2: number, d3: number): Uint8Array {
  const b = d2 ^ d3
  const a0 = d0
  const a1 = d0 ^ d1
  const a2 = d0 ^ d2 ^ multiply(V1, b)
  const a3 = a1 ^ b
  const parity: number[] = []
  for (const y of COSETS) {
    const s = cosetConstant(y)
    const c0 = a0 ^ multiply(s, a2)
    const c1 = a1 ^ multiply(s, a3)
    const f0 = c0 ^ multiply(y, c1)
    const e1 = c1 ^ a3
    const f2 = c0 ^ a2 ^ multiply(y ^ V1, e1)
    parity.push(f0, f0 ^ c1, f2, f2 ^ e1)
  }
  return Uint8Array.from(parity)
}

/** Table pairs in the kernel's order: v, then s, y, y+2 of each coset. 224 bytes. */
export function fftTables(): Uint8Array {
  const constants = [V1, ...COSETS.flatMap((y) => [cosetConstant(y), y, y ^ V1])]
  const tables = new Uint8Array(constants.length * TABLE_PAIR_BYTES)
  constants.forEach((constant, i) => {
    writeTablePair(tables, i * TABLE_PAIR_BYTES, constant)
  })
  return tables
}
