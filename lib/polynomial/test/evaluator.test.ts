import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FR_ORDER } from '@cumulus/bls'
import fc from 'fast-check'
import { EVALUATE_BYTES_MAX, Evaluator, referenceCoefficients, referenceEvaluate } from '../src/index.ts'
import { anyFilling, anyScalar, makeData } from './arbitraries.ts'

const CHUNK = 30_720

describe('data read as a polynomial', () => {
  it('have coefficients of 15 signed words each, the last filled up with zeros', () => {
    const data = Uint8Array.of(1, 0, 0xff, 0xff)
    assert.deepEqual(referenceCoefficients(data), [FR_ORDER + 1n - (1n << 16n)])
    const two = new Uint8Array(31)
    two[30] = 5
    assert.deepEqual(referenceCoefficients(two), [0n, 5n])
    assert.deepEqual(referenceCoefficients(new Uint8Array(0)), [])
  })

  it('have different coefficients when they differ in one bit', () => {
    const zero = referenceCoefficients(new Uint8Array(30))[0]
    const seen = new Set([zero])
    for (let bit = 0; bit < 240; bit++) {
      const data = new Uint8Array(30)
      data[bit >> 3]! |= 1 << (bit & 7)
      seen.add(referenceCoefficients(data)[0])
    }
    assert.equal(seen.size, 241)
  })
})

describe('an evaluator', () => {
  const point = 0x1234567890abcdef1234567890abcdef1234567890abcdef1234567890abcdefn
  const evaluator = new Evaluator(point)

  it('gives what the scalar reference gives, for any words and lengths', () => {
    fc.assert(
      fc.property(fc.nat(9000), anyFilling, fc.nat(), (length, filling, seed) => {
        const data = makeData(length, filling, seed)
        assert.equal(evaluator.evaluate(data), referenceEvaluate(data, point))
      }),
      { numRuns: 150 },
    )
  })

  it('is right at the ends of sectors, rows, chunks and groups of chunks', () => {
    const edges = [0, 30, 240, CHUNK, 4 * CHUNK, 5 * CHUNK, 8 * CHUNK]
    for (const length of edges.flatMap((edge) => [edge - 1, edge, edge + 1]).filter((length) => length >= 0)) {
      const data = makeData(length, 'noise', length)
      assert.equal(evaluator.evaluate(data), referenceEvaluate(data, point), `${length} bytes`)
    }
  })

  it('does not overflow on whole rows and chunks of extremes', () => {
    for (const filling of ['all −32768', 'all 32767', 'all −1', 'both extremes'] as const) {
      for (const length of [240, CHUNK, 4 * CHUNK + 240]) {
        const data = makeData(length, filling, 7)
        assert.equal(evaluator.evaluate(data), referenceEvaluate(data, point), `${length} bytes, ${filling}`)
      }
    }
  })

  it('is right when every digit of a weight is extreme', () => {
    // At X = 1 the weights of a sector are 2^(16k); these points make the first weight's digits −2048 or 2047 throughout.
    const digits = (digit: bigint) =>
      Array.from({ length: 21 }, (_, i) => digit << BigInt(12 * i)).reduce((a, b) => a + b)
    for (const extreme of [-2048n, 2047n, 2048n]) {
      const at = ((digits(extreme) % FR_ORDER) + FR_ORDER) % FR_ORDER
      const own = new Evaluator(at)
      for (const filling of ['all −32768', 'all 32767'] as const) {
        const data = makeData(480, filling, 1)
        assert.equal(own.evaluate(data), referenceEvaluate(data, at))
      }
    }
  })

  it('is right at any point', () => {
    fc.assert(
      fc.property(anyScalar, fc.nat(), (at, seed) => {
        const data = makeData(500, 'noise', seed)
        assert.equal(new Evaluator(at).evaluate(data), referenceEvaluate(data, at))
      }),
      { numRuns: 6 },
    )
  })

  it('keeps nothing of the data before', () => {
    const long = makeData(5 * CHUNK, 'noise', 3)
    const short = makeData(17, 'all −1', 3)
    const expected = evaluator.evaluate(short)
    evaluator.evaluate(long)
    assert.equal(evaluator.evaluate(short), expected)
  })

  it('refuses points that are no residues, and endless data', () => {
    assert.throws(() => new Evaluator(FR_ORDER), { code: 'BAD_COEFFICIENT' })
    assert.throws(() => new Evaluator(-1n), { code: 'BAD_COEFFICIENT' })
    assert.throws(() => evaluator.evaluate({ length: EVALUATE_BYTES_MAX + 1 } as Uint8Array), { code: 'BAD_LENGTH' })
  })
})
