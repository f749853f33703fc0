import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { FR_ORDER, frReduce, G1, G2, PAIRING_COUNT_MAX, pairingProductIsOne } from '../src/index.ts'
import { OracleG1, OracleG2, oracle } from './oracle.ts'

const nonZero = fc.bigInt({ min: 1n, max: FR_ORDER - 1n })

describe('a product of pairings', () => {
  it('is 1 exactly when the exponents cancel', () => {
    fc.assert(
      fc.property(nonZero, nonZero, nonZero, nonZero, (a, b, c, d) => {
        // a·b + c·d + e = 0
        const e = frReduce(-(a * b + c * d))
        const g1 = (k: bigint) => G1.generator.multiply(k)
        const g2 = (k: bigint) => G2.generator.multiply(k)
        const pairs = [[g1(a), g2(b)] as const, [g1(c), g2(d)] as const, [g1(e), G2.generator] as const]
        assert.ok(pairingProductIsOne(pairs))
        assert.ok(!pairingProductIsOne([...pairs, [G1.generator, G2.generator]]))
        assert.ok(!pairingProductIsOne(pairs.slice(1)) || frReduce(a * b) === 0n)
      }),
      { numRuns: 10 },
    )
  })

  it('agrees with the oracle on e(a, b) = e(ab, 1)', () => {
    const [a, b] = [123456789n, 987654321n]
    const left = oracle.pairing(OracleG1.BASE.multiply(a), OracleG2.BASE.multiply(b))
    const right = oracle.pairing(OracleG1.BASE.multiply(a * b), OracleG2.BASE)
    assert.ok(oracle.fields.Fp12.eql(left, right))
    const pairs = [
      [G1.generator.multiply(a), G2.generator.multiply(b)] as const,
      [G1.generator.multiply(a * b).negate(), G2.generator] as const,
    ]
    assert.ok(pairingProductIsOne(pairs))
  })

  it('leaves zeros out', () => {
    assert.ok(pairingProductIsOne([]))
    assert.ok(
      pairingProductIsOne([
        [G1.zero, G2.generator],
        [G1.generator, G2.zero],
      ]),
    )
    assert.ok(
      !pairingProductIsOne([
        [G1.generator, G2.generator],
        [G1.zero, G2.generator],
      ]),
    )
  })

  it('has a limit', () => {
    const pairs = Array.from({ length: PAIRING_COUNT_MAX + 1 }, () => [G1.generator, G2.generator] as const)
    assert.throws(() => pairingProductIsOne(pairs), { code: 'BAD_COUNT' })
  })
})
