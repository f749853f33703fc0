import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { FP_ORDER } from '../src/encoding.ts'
import { FR_ORDER, G2 } from '../src/index.ts'
import { anyScalar } from './arbitraries.ts'
import { OracleG2, oracleBytes, oraclePointG2 } from './oracle.ts'

describe('G2', () => {
  it('adds, subtracts, negates and multiplies as the oracle does', () => {
    fc.assert(
      fc.property(anyScalar, anyScalar, anyScalar, (first, second, scalar) => {
        const [a, b] = [G2.generator.multiply(first), G2.generator.multiply(second)]
        const [p, q] = [oraclePointG2(a), oraclePointG2(b)]
        assert.deepEqual(a.add(b).toBytes(), oracleBytes(p.add(q), 96))
        assert.deepEqual(a.subtract(b).toBytes(), oracleBytes(p.subtract(q), 96))
        assert.deepEqual(a.negate().toBytes(), oracleBytes(p.negate(), 96))
        const product = scalar === 0n || p.is0() ? OracleG2.ZERO : p.multiply(scalar)
        assert.deepEqual(a.multiply(scalar).toBytes(), oracleBytes(product, 96))
        assert.deepEqual(a.multiplySecret(scalar).toBytes(), oracleBytes(product, 96))
        assert.ok(G2.fromBytes(a.toBytes()).equals(a))
      }),
      { numRuns: 10 },
    )
  })

  it('refuses scalars that are no residues', () => {
    assert.throws(() => G2.generator.multiply(FR_ORDER), { code: 'BAD_SCALAR' })
    assert.throws(() => G2.generator.multiplySecret(-1n), { code: 'BAD_SCALAR' })
  })

  it('refuses bytes of a wrong form', () => {
    const good = G2.generator.toBytes()
    assert.throws(() => G2.fromBytes(good.subarray(1)), { code: 'BAD_LENGTH' })
    assert.throws(() => G2.fromBytes(good.with(0, good[0]! & 0x7f)), { code: 'NOT_COMPRESSED' })
    assert.throws(() => G2.fromBytes(G2.zero.toBytes().with(95, 1)), { code: 'NOT_CANONICAL' })
    // The second half of x is p.
    const wide = good.slice()
    wide.set(Uint8Array.fromHex(FP_ORDER.toString(16).padStart(96, '0')), 48)
    assert.throws(() => G2.fromBytes(wide), { code: 'NOT_CANONICAL' })
  })

  it('refuses points off the curve and outside the subgroup, and tells them apart', () => {
    const codes = new Set<string>()
    for (let x = 1; x <= 30; x++) {
      const bytes = new Uint8Array(96)
      bytes[0] = 0x80
      bytes[95] = x
      assert.throws(
        () => G2.fromBytes(bytes),
        (error: { code: string }) => codes.add(error.code) !== undefined,
      )
    }
    assert.deepEqual([...codes].sort(), ['NOT_IN_SUBGROUP', 'NOT_ON_CURVE'])
  })
})
