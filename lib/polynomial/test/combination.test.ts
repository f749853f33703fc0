import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FR_ORDER } from '@cumulus/bls'
import fc from 'fast-check'
import { Combination, evaluatePolynomial, referenceCoefficients, SECTOR_BYTES } from '../src/index.ts'
import { anyFilling, anyScalar, makeData } from './arbitraries.ts'

const anyCoefficient = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }),
  fc.constantFrom(0n, 1n, 2n ** 128n - 1n, 2n ** 24n - 1n),
)

function readScalars(bytes: Uint8Array): bigint[] {
  return Array.from({ length: bytes.length / 32 }, (_, i) =>
    BigInt(
      `0x${bytes
        .slice(32 * i, 32 * i + 32)
        .reverse()
        .toHex()}`,
    ),
  )
}

describe('a combination of blocks', () => {
  it('has the value of the same combination of polynomials, and divides by X − z', () => {
    const anyBlocks = fc.array(
      fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), anyFilling, fc.nat(), anyCoefficient),
      { maxLength: 6 },
    )
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), anyBlocks, anyScalar, anyScalar, (sectors, blocks, z, at) => {
        const combination = new Combination(sectors)
        const expected = Array<bigint>(sectors).fill(0n)
        for (const [share, filling, seed, coefficient] of blocks) {
          const block = makeData(Math.floor(share * sectors * SECTOR_BYTES), filling, seed)
          combination.add(block, coefficient)
          referenceCoefficients(block).forEach((value, j) => {
            expected[j] = (expected[j]! + coefficient * value) % FR_ORDER
          })
        }
        const { value, quotient } = combination.divide(z)
        assert.equal(value, evaluatePolynomial(expected, z))
        const coefficients = readScalars(quotient)
        assert.equal(coefficients.length, sectors - 1)
        assert.ok(coefficients.every((coefficient) => coefficient < FR_ORDER))
        // Q(at)·(at − z) + y = P(at), at a point of its own.
        const left = evaluatePolynomial(coefficients, at) * (at - z + FR_ORDER) + value
        assert.equal(left % FR_ORDER, evaluatePolynomial(expected, at))
      }),
      { numRuns: 150 },
    )
  })

  it('holds a thousand blocks of extremes without overflow', () => {
    const block = makeData(60, 'all 32767', 1)
    const coefficient = 2n ** 128n - 1n
    const combination = new Combination(2)
    for (let i = 0; i < 1000; i++) combination.add(block, coefficient)
    const expected = referenceCoefficients(block).map((value) => (value * coefficient * 1000n) % FR_ORDER)
    assert.equal(combination.divide(3n).value, evaluatePolynomial(expected, 3n))
  })

  it('is used once', () => {
    const combination = new Combination(2)
    combination.divide(1n)
    assert.throws(() => combination.divide(1n), { code: 'FINISHED' })
    assert.throws(() => combination.add(new Uint8Array(1), 1n), { code: 'FINISHED' })
  })

  it('refuses long blocks, coefficients and points out of range, and sizes out of range', () => {
    const combination = new Combination(2)
    assert.throws(() => combination.add(new Uint8Array(61), 1n), { code: 'BAD_LENGTH' })
    assert.throws(() => combination.add(new Uint8Array(60), 2n ** 128n), { code: 'BAD_COEFFICIENT' })
    assert.throws(() => combination.add(new Uint8Array(60), -1n), { code: 'BAD_COEFFICIENT' })
    assert.throws(() => combination.divide(FR_ORDER), { code: 'BAD_COEFFICIENT' })
    for (const count of [0, -1, 1.5, 65_537]) assert.throws(() => new Combination(count), { code: 'BAD_LENGTH' })
  })

  it('refuses more blocks than its columns hold', () => {
    const combination = new Combination(1)
    const block = new Uint8Array(1)
    for (let i = 0; i < 10_000; i++) combination.add(block, 1n)
    assert.throws(() => combination.add(block, 1n), { code: 'TOO_MANY_BLOCKS' })
  })
})
