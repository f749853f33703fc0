// GF(2^8) as polynomials over GF(2) modulo x^8 + x^4 + x^3 + x^2 + 1 (0x11d), of which 2 is a generator.
// Addition is xor. These scalar functions build matrices and tables; the bytes of fragments go through WebAssembly.

const POLYNOMIAL = 0x11d
const GROUP_ORDER = 255

/** Powers of 2, twice over, so that a sum of two logarithms needs no reduction. */
const EXP = new Uint8Array(2 * GROUP_ORDER)
const LOG = new Uint8Array(256)
for (let exponent = 0, power = 1; exponent < GROUP_ORDER; exponent++) {
  EXP[exponent] = power
  EXP[exponent + GROUP_ORDER] = power
  LOG[power] = exponent
  power <<= 1
  if (power & 0x100) power ^= POLYNOMIAL
}

/** a · b; both 0..255. */
export function multiply(a: number, b: number): number {
  return a === 0 || b === 0 ? 0 : EXP[LOG[a]! + LOG[b]!]!
}

/** The b with a · b = 1; a is 1..255. Zero has none: the caller makes sure. */
export function inverse(a: number): number {
  return EXP[GROUP_ORDER - LOG[a]!]!
}

/** base^exponent, with 0^0 = 1 as Vandermonde matrices want it. */
export function power(base: number, exponent: number): number {
  if (exponent === 0) return 1
  return base === 0 ? 0 : EXP[(LOG[base]! * exponent) % GROUP_ORDER]!
}

/** Bytes of one table pair. */
export const TABLE_PAIR_BYTES = 32

/** Writes the table pair the kernel multiplies by `coefficient` with: its products with 0..15, then with 0, 16, .. 240. */
export function writeTablePair(target: Uint8Array, offset: number, coefficient: number): void {
  for (let half = 0; half < 16; half++) {
    target[offset + half] = multiply(coefficient, half)
    target[offset + 16 + half] = multiply(coefficient, half << 4)
  }
}
