import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { windowing } from '../src/g1-sum.ts'
import { FR_ORDER, frReduce, G1, G1Vector, SUM_COUNT_MAX, sumOfHashes, sumOfMultiples } from '../src/index.ts'
import { anyMessage, anyPoint, anyScalar } from './arbitraries.ts'
import { OracleG1, oracleBytes, oraclePoint } from './oracle.ts'

const few = { numRuns: 20 }
const dst = new TextEncoder().encode('test')

function oneByOne(points: readonly G1[], scalars: readonly bigint[]): G1 {
  return points.reduce((sum, point, i) => sum.add(point.multiply(frReduce(scalars[i]!))), G1.zero)
}

describe('a sum of multiples', () => {
  it('is the sum of the multiples, infinity and repeated points among them', () => {
    const somePoints = fc.array(fc.tuple(anyPoint, anyScalar), { maxLength: 40 })
    fc.assert(
      fc.property(somePoints, (terms) => {
        // Every term twice, and once cancelled: doublings and opposite points meet in one bucket.
        const points = [...terms, ...terms, ...terms].map(([point]) => point)
        const scalars = [...terms, ...terms]
          .map(([, scalar]) => scalar)
          .concat(terms.map(([, scalar]) => frReduce(-scalar)))
        assert.ok(sumOfMultiples(points, scalars).equals(oneByOne(points, scalars)))
      }),
      few,
    )
  })

  it('agrees with the oracle', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(anyPoint, anyScalar), { minLength: 1, maxLength: 8 }), (terms) => {
        const expected = terms.reduce(
          (sum, [point, scalar]) => (scalar === 0n ? sum : sum.add(oraclePoint(point).multiply(scalar))),
          OracleG1.ZERO,
        )
        const actual = sumOfMultiples(
          terms.map(([point]) => point),
          terms.map(([, scalar]) => scalar),
        )
        assert.deepEqual(actual.toBytes(), oracleBytes(expected, 48))
      }),
      { numRuns: 10 },
    )
  })

  it('takes whole numbers up to 2^256, not only residues', () => {
    const point = G1.generator.multiply(3n)
    for (const scalar of [2n ** 256n - 1n, FR_ORDER, FR_ORDER + 1n, 2n ** 255n]) {
      assert.ok(sumOfMultiples([point], [scalar]).equals(point.multiply(frReduce(scalar))))
    }
    assert.throws(() => sumOfMultiples([point], [2n ** 256n]), { code: 'BAD_SCALAR' })
    assert.throws(() => sumOfMultiples([point], [-1n]), { code: 'BAD_SCALAR' })
  })

  it('is right for every length of scalars, so for every width of windows', () => {
    const points = Array.from({ length: 5 }, (_, i) => G1.generator.multiply(BigInt(i + 2)))
    for (let bits = 1; bits <= 256; bits += 5) {
      const scalars = points.map((_, i) => 2n ** BigInt(bits) - 1n - BigInt(i % 2))
      assert.ok(sumOfMultiples(points, scalars).equals(oneByOne(points, scalars)), `${bits} bits`)
    }
  })

  it('is right for thousands of points, many to a bucket and all in one', () => {
    // P, 2P, 3P, …: the sum of s_i · iP is (Σ s_i · i) · P.
    const points: G1[] = [G1.generator]
    while (points.length < 3000) points.push(points.at(-1)!.add(G1.generator))
    const vector = G1Vector.of(points)
    let state = 1n
    const random = points.map(() => (state = frReduce(state * 0x1234567890abcdef1234567890abcdefn + 12345n)))
    for (const scalars of [random, points.map(() => 5n), points.map((_, i) => (i % 2 === 0 ? 7n : FR_ORDER - 7n))]) {
      const total = scalars.reduce((sum, scalar, i) => sum + scalar * BigInt(i + 1), 0n)
      assert.ok(sumOfMultiples(vector, scalars).equals(G1.generator.multiply(frReduce(total))))
    }
    assert.ok(sumOfMultiples(vector.first(2), [10n, 1n]).equals(G1.generator.multiply(12n)))
  })

  it('of nothing is zero, and lists of unequal length are refused', () => {
    assert.ok(sumOfMultiples([], []).isZero())
    assert.ok(sumOfMultiples([G1.generator], [0n]).isZero())
    assert.throws(() => sumOfMultiples([G1.generator], []), { code: 'BAD_COUNT' })
    const tooMany = Array.from({ length: SUM_COUNT_MAX + 1 }, () => G1.generator)
    assert.throws(() => G1Vector.of(tooMany), { code: 'BAD_COUNT' })
    assert.throws(() => G1Vector.of([]).first(1), { code: 'BAD_COUNT' })
  })

  it('is cut into wider windows the more points there are', () => {
    const widths = [1, 100, 1000, 10_000, 65_536].map((count) => windowing(count, 255).width)
    assert.deepEqual(
      widths,
      widths.toSorted((a, b) => a - b),
    )
    assert.ok(widths[0]! < widths.at(-1)!)
    for (const count of [0, 1, 65_536]) assert.ok(windowing(count, 1).windowsAtOnce >= 1)
  })
})

describe('a sum of hashes', () => {
  it('is the sum of multiples of the hashes', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(anyMessage, anyScalar), { maxLength: 12 }), (terms) => {
        const messages = terms.map(([message]) => message)
        const scalars = terms.map(([, scalar]) => scalar)
        const expected = oneByOne(
          messages.map((message) => G1.hash(message, dst)),
          scalars,
        )
        assert.ok(sumOfHashes(messages, dst, scalars).equals(expected))
      }),
      few,
    )
  })

  it('of one message is its hash', () => {
    fc.assert(
      fc.property(anyMessage, (message) => assert.ok(sumOfHashes([message], dst, [1n]).equals(G1.hash(message, dst)))),
      few,
    )
  })

  it('takes whole numbers that are no residues: points are not yet in the subgroup where they meet', () => {
    const message = Uint8Array.of(1, 2, 3)
    for (const scalar of [FR_ORDER, FR_ORDER + 5n, 2n ** 256n - 1n]) {
      const expected = G1.hash(message, dst).multiply(frReduce(scalar))
      assert.ok(sumOfHashes([message], dst, [scalar]).equals(expected))
    }
  })

  it('refuses lists of unequal length and bad domain tags', () => {
    assert.throws(() => sumOfHashes([new Uint8Array(1)], dst, []), { code: 'BAD_COUNT' })
    assert.throws(() => sumOfHashes([new Uint8Array(1)], new Uint8Array(0), [1n]), { code: 'BAD_LENGTH' })
  })
})
