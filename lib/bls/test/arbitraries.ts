import fc from 'fast-check'
import { FR_ORDER, G1 } from '../src/index.ts'

/** Residues, the ends of the range more often than chance would have them. */
export const anyScalar: fc.Arbitrary<bigint> = fc.oneof(
  fc.bigInt({ min: 0n, max: FR_ORDER - 1n }),
  fc.constantFrom(0n, 1n, 2n, FR_ORDER - 1n, FR_ORDER - 2n, 1n << 128n, (1n << 254n) - 1n),
)

/** Members of G1, infinity among them. */
export const anyPoint: fc.Arbitrary<G1> = anyScalar.map((scalar) => G1.generator.multiply(scalar))

/** Messages of every length around a block of SHA-256. */
export const anyMessage: fc.Arbitrary<Uint8Array> = fc.uint8Array({ maxLength: 130 })
