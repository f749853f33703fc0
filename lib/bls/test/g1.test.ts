import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { FP_ORDER } from '../src/encoding.ts'
import { FixedBase, FR_ORDER, G1 } from '../src/index.ts'
import { anyMessage, anyPoint, anyScalar } from './arbitraries.ts'
import { OracleG1, oracle, oracleBytes, oraclePoint } from './oracle.ts'

const few = { numRuns: 20 }

describe('G1', () => {
  it('adds, subtracts, negates and multiplies as the oracle does', () => {
    fc.assert(
      fc.property(anyPoint, anyPoint, anyScalar, (a, b, scalar) => {
        const [p, q] = [oraclePoint(a), oraclePoint(b)]
        assert.deepEqual(a.add(b).toBytes(), oracleBytes(p.add(q), 48))
        assert.deepEqual(a.subtract(b).toBytes(), oracleBytes(p.subtract(q), 48))
        assert.deepEqual(a.negate().toBytes(), oracleBytes(p.negate(), 48))
        const product = scalar === 0n || p.is0() ? OracleG1.ZERO : p.multiply(scalar)
        assert.deepEqual(a.multiply(scalar).toBytes(), oracleBytes(product, 48))
        assert.deepEqual(a.multiplySecret(scalar).toBytes(), oracleBytes(product, 48))
      }),
      few,
    )
  })

  it('has a neutral element', () => {
    const g = G1.generator
    assert.ok(g.subtract(g).isZero())
    assert.ok(g.multiply(0n).isZero())
    assert.ok(g.add(G1.zero).equals(g))
    assert.ok(G1.fromBytes(G1.zero.toBytes()).isZero())
    assert.ok(G1.generator.multiply(FR_ORDER - 1n).equals(g.negate()))
    assert.ok(!g.isZero() && !g.equals(G1.zero) && !g.equals(g.negate()))
  })

  it('refuses scalars that are no residues', () => {
    for (const scalar of [-1n, FR_ORDER]) {
      assert.throws(() => G1.generator.multiply(scalar), { code: 'BAD_SCALAR' })
      assert.throws(() => G1.generator.multiplySecret(scalar), { code: 'BAD_SCALAR' })
    }
  })

  it('comes back from its bytes, which are those of the oracle', () => {
    fc.assert(
      fc.property(anyPoint, (point) => {
        const bytes = point.toBytes()
        assert.deepEqual(bytes, oracleBytes(oraclePoint(point), 48))
        assert.ok(G1.fromBytes(bytes).equals(point))
        assert.ok(G1.trustedFromBytes(bytes).equals(point))
      }),
      few,
    )
  })

  it('multiplies one point by table', () => {
    const point = G1.generator.multiply(77n)
    const base = new FixedBase(point)
    fc.assert(
      fc.property(anyScalar, (scalar) => assert.ok(base.multiply(scalar).equals(point.multiply(scalar)))),
      few,
    )
    assert.throws(() => base.multiply(FR_ORDER), { code: 'BAD_SCALAR' })
  })
})

describe('bytes that are no member of G1', () => {
  const good = G1.generator.multiply(12345n).toBytes()
  const changed = (change: (bytes: Uint8Array) => void) => {
    const bytes = good.slice()
    change(bytes)
    return bytes
  }

  it('are refused when too short or too long', () => {
    for (const length of [0, 47, 49, 96])
      assert.throws(() => G1.fromBytes(new Uint8Array(length)), { code: 'BAD_LENGTH' })
  })

  it('are refused without the flag of the compressed form', () => {
    assert.throws(() => G1.fromBytes(changed((bytes) => (bytes[0]! &= 0x7f))), { code: 'NOT_COMPRESSED' })
    assert.throws(() => G1.fromBytes(new Uint8Array(48)), { code: 'NOT_COMPRESSED' })
  })

  it('are refused when x is p or more', () => {
    const encode = (x: bigint) => {
      const bytes = Uint8Array.fromHex(x.toString(16).padStart(96, '0'))
      bytes[0]! |= 0x80
      return bytes
    }
    assert.throws(() => G1.fromBytes(encode(FP_ORDER)), { code: 'NOT_CANONICAL' })
    assert.throws(() => G1.fromBytes(encode(2n ** 381n - 1n)), { code: 'NOT_CANONICAL' })
    // The same x below p decodes: x + p would be a second encoding.
    const x = BigInt(`0x${changed((bytes) => (bytes[0]! &= 0x1f)).toHex()}`)
    const second = x + FP_ORDER
    if (second < 2n ** 381n) assert.throws(() => G1.fromBytes(encode(second)), { code: 'NOT_CANONICAL' })
  })

  it('are refused when infinity carries other bits', () => {
    const infinity = G1.zero.toBytes()
    assert.equal(infinity[0], 0xc0)
    for (const index of [1, 47]) {
      const bytes = infinity.slice()
      bytes[index] = 1
      assert.throws(() => G1.fromBytes(bytes), { code: 'NOT_CANONICAL' })
    }
    for (const first of [0xe0, 0xc1]) {
      const bytes = infinity.slice()
      bytes[0] = first
      assert.throws(() => G1.fromBytes(bytes), { code: 'NOT_CANONICAL' })
    }
  })

  it('are refused off the curve and outside the subgroup, and told apart', () => {
    const seen = { NOT_ON_CURVE: 0, NOT_IN_SUBGROUP: 0 }
    for (let x = 1; x <= 40; x++) {
      const bytes = new Uint8Array(48)
      bytes[0] = 0x80
      bytes[47] = x
      // Almost no point of the curve is a member: the cofactor has 126 bits.
      assert.throws(
        () => G1.fromBytes(bytes),
        (error: { code: keyof typeof seen }) => {
          seen[error.code]++
          return true
        },
      )
      if (seen.NOT_IN_SUBGROUP === 1) assert.ok(!G1.trustedFromBytes(bytes).isZero())
    }
    assert.ok(seen.NOT_ON_CURVE > 5 && seen.NOT_IN_SUBGROUP > 5)
    assert.equal(seen.NOT_ON_CURVE + seen.NOT_IN_SUBGROUP, 40)
  })

  it('are refused where the oracle refuses them, whatever single bit is flipped', () => {
    for (let bit = 0; bit < 384; bit += 7) {
      const bytes = changed((target) => (target[bit >> 3]! ^= 1 << (bit & 7)))
      let accepted = true
      try {
        OracleG1.fromBytes(bytes).assertValidity()
      } catch {
        accepted = false
      }
      if (accepted) assert.deepEqual(G1.fromBytes(bytes).toBytes(), bytes)
      else assert.throws(() => G1.fromBytes(bytes), { name: 'BlsError' })
    }
  })
})

describe('hashing to G1', () => {
  // RFC 9380, J.9.1: x of P.
  const dst = new TextEncoder().encode('QUUX-V01-CS02-with-BLS12381G1_XMD:SHA-256_SSWU_RO_')
  const vectors = [
    ['', '052926add2207b76ca4fa57a8734416c8dc95e24501772c814278700eed6d1e4e8cf62d9c09db0fac349612b759e79a1'],
    ['abc', '03567bc5ef9c690c2ab2ecdf6a96ef1c139cc0b2f284dca0a9a7943388a49a3aee664ba5379a7655d3c68900be2f6903'],
  ] as const

  it('gives the points of RFC 9380', () => {
    for (const [message, x] of vectors) {
      const bytes = G1.hash(new TextEncoder().encode(message), dst).toBytes()
      bytes[0]! &= 0x1f
      assert.equal(bytes.toHex(), x)
    }
  })

  it('agrees with the oracle', () => {
    fc.assert(
      fc.property(anyMessage, fc.uint8Array({ minLength: 1, maxLength: 255 }), (message, tag) => {
        const expected = oracle.G1.hashToCurve(message, { DST: tag }).toBytes()
        assert.deepEqual(G1.hash(message, tag).toBytes(), expected)
      }),
      few,
    )
  })

  it('refuses tags and messages out of range', () => {
    assert.throws(() => G1.hash(new Uint8Array(1), new Uint8Array(0)), { code: 'BAD_LENGTH' })
    assert.throws(() => G1.hash(new Uint8Array(1), new Uint8Array(256)), { code: 'BAD_LENGTH' })
    assert.throws(() => G1.hash(new Uint8Array(4097), dst), { code: 'BAD_LENGTH' })
  })
})
