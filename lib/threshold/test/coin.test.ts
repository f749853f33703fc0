import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { utf8Encode } from '@cumulus/bytes'
import fc from 'fast-check'
import {
  aggregateSignatures,
  BlsKey,
  combine,
  type Dealing,
  deal,
  isConsistent,
  isSignature,
  type SignatureShare,
  verifyBls,
  verifyShare,
} from '../src/index.ts'
import { factorial, weightsAt } from '../src/lagrange.ts'
import { noble } from './noble.ts'

const message = utf8Encode('round 7')
const seed = (byte: number) => new Uint8Array(32).fill(byte)
const sharesOf = (key: Dealing, indices: readonly number[]): SignatureShare[] =>
  indices.map((index) => ({ index, signature: BlsKey.fromSecret(key.shares[index]!).sign(message) }))
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index)

/** n, t and t distinct indices below n, in any order. */
const anySubset = (sizeMax: number) =>
  fc
    .integer({ min: 1, max: sizeMax })
    .chain((n) => fc.tuple(fc.constant(n), fc.integer({ min: 1, max: n })))
    .chain(([n, t]) =>
      fc.record({
        n: fc.constant(n),
        t: fc.constant(t),
        indices: fc.shuffledSubarray(upTo(n), { minLength: t, maxLength: t }),
      }),
    )

describe("Lagrange's weights", () => {
  it('times n! are whole, and bring back every polynomial of the degree', () => {
    fc.assert(
      fc.property(
        anySubset(31),
        fc.array(fc.bigInt({ min: -100n, max: 100n }), { minLength: 31, maxLength: 31 }),
        fc.nat(31),
        ({ n, t, indices }, coefficients, x) => {
          const at = (x: bigint) => coefficients.slice(0, t).reduceRight((sum, c) => sum * x + c, 0n)
          const weights = weightsAt(x, indices, n)
          const sum = indices.reduce((total, own, i) => total + weights[i]! * at(BigInt(own + 1)), 0n)
          if (x <= n) assert.equal(sum, factorial(n) * at(BigInt(x)))
        },
      ),
    )
  })
})

describe('a shared key', () => {
  it('signs by any t of its shares, always the same, and as a plain key would', () => {
    const keys = new Map<string, Dealing>()
    fc.assert(
      fc.property(anySubset(7), ({ n, t, indices }) => {
        const id = `${n}/${t}`
        const key = keys.get(id) ?? deal({ n, t, randomness: seed(n) })
        keys.set(id, key)
        const { signature, badShares } = combine(key, message, sharesOf(key, indices))
        assert.deepEqual(badShares, [])
        assert(verifyBls(signature!, message, key.publicKey))
        assert.deepEqual(signature, combine(key, message, sharesOf(key, upTo(t))).signature)
      }),
      { numRuns: 30 },
    )
  })

  it('of 11 signs by 7, and another implementation verifies it', () => {
    const key = deal({ n: 11, t: 7, randomness: seed(5) })
    const { signature } = combine(key, message, sharesOf(key, [10, 2, 9, 4, 0, 7, 5]))
    assert.deepEqual(combine(key, message, sharesOf(key, upTo(11))).signature, signature)
    assert(noble.verify(signature!, message, key.publicKey))
  })

  it('of 31 signs by 21: the largest weights there are', () => {
    const key = deal({ n: 31, t: 21, randomness: seed(6) })
    const { signature } = combine(key, message, sharesOf(key, upTo(31).slice(10)))
    assert(verifyBls(signature!, message, key.publicKey))
  })

  it('does not sign by t - 1 shares, nor by one share counted twice', () => {
    const key = deal({ n: 4, t: 3, randomness: seed(1) })
    const [a, b] = sharesOf(key, [0, 1])
    assert.throws(() => combine(key, message, [a!, b!]), { code: 'BAD_COUNT' })
    assert.throws(() => combine(key, message, [a!, b!, b!]), { code: 'BAD_COUNT' })
    assert.throws(() => combine(key, message, [a!, b!, { ...b!, index: 4 }]), { code: 'BAD_COUNT' })
    assert(!verifyBls(aggregateSignatures([a!.signature, b!.signature]), message, key.publicKey))
  })

  it('names the holders of wrong shares, and signs by the right ones if they suffice', () => {
    const key = deal({ n: 7, t: 5, randomness: seed(2) })
    const right = combine(key, message, sharesOf(key, upTo(5))).signature
    const shares = sharesOf(key, upTo(7))
    const other = BlsKey.fromSecret(key.shares[1]!).sign(utf8Encode('round 8'))
    const wrong = [
      other, // a share of another round
      shares[2]!.signature, // somebody else's
      new Uint8Array(96), // no point
      Uint8Array.fromHex(`c0${'00'.repeat(95)}`), // the neutral element
      noble.strayG2(), // a point of another group
      shares[1]!.signature.subarray(1),
    ]
    for (const signature of wrong) {
      const bad = { index: 1, signature }
      assert.equal(verifyShare(key, message, bad), false)
      const enough = [shares[0]!, bad, ...shares.slice(2)]
      assert.deepEqual(combine(key, message, enough), { signature: right, badShares: [1] })
      assert.deepEqual(combine(key, message, enough.slice(0, 5)), { badShares: [1] })
    }
    const negative = shares[1]!.signature.slice()
    negative[0]! ^= 0x20
    assert(isSignature(negative))
    assert.deepEqual(combine(key, message, [{ index: 1, signature: negative }, ...shares.slice(2)]).badShares, [1])
  })

  it('is not fooled by wrong shares that cancel each other out', () => {
    // Two holders add and take away one and the same point, weighted so that the sum stays right: the sum is the signature then.
    const key = deal({ n: 4, t: 3, randomness: seed(3) })
    const [w0, w1] = weightsAt(0, [0, 1, 2], 4)
    assert.deepEqual([w0, w1], [72n, -72n])
    const shares = sharesOf(key, [0, 1, 2])
    const error = BlsKey.fromSeed(seed(9)).sign(message)
    const shifted = shares.map((share, i) =>
      i < 2 ? { ...share, signature: aggregateSignatures([share.signature, error]) } : share,
    )
    const { signature } = combine(key, message, shifted)
    assert.deepEqual(signature, combine(key, message, shares).signature)
    assert.equal(verifyShare(key, message, shifted[0]!), false)
  })

  it('is the same from the same randomness, and another from other', () => {
    assert.deepEqual(deal({ n: 4, t: 3, randomness: seed(1) }), deal({ n: 4, t: 3, randomness: seed(1) }))
    assert.notDeepEqual(
      deal({ n: 4, t: 3, randomness: seed(1) }).publicKey,
      deal({ n: 4, t: 3, randomness: seed(2) }).publicKey,
    )
    for (const [n, t] of [
      [0, 0],
      [32, 21],
      [4, 0],
      [4, 5],
      [4.5, 3],
      [4, 2.5],
    ] as const) {
      assert.throws(() => deal({ n, t, randomness: seed(1) }), { code: 'BAD_COUNT' })
    }
    assert.throws(() => deal({ n: 4, t: 3, randomness: new Uint8Array(31) }), { code: 'BAD_LENGTH' })
  })

  it('whose parts were not dealt together is seen to be so', () => {
    for (const [n, t] of [
      [1, 1],
      [4, 3],
      [4, 4],
      [11, 7],
      [31, 21],
    ] as const) {
      const key = deal({ n, t, randomness: seed(n) })
      const other = deal({ n, t, randomness: seed(n + 1) })
      assert.equal(isConsistent(key), true)
      assert.equal(isConsistent({ ...key, publicKey: other.publicKey }), false)
      for (const index of [0, t - 1, n - 1]) {
        const shareKeys = key.shareKeys.with(index, other.shareKeys[index]!)
        assert.equal(isConsistent({ ...key, shareKeys }), false)
      }
      if (t > 1) assert.equal(isConsistent({ ...key, threshold: t - 1 }), false)
    }
  })

  it('with right shares and another public key is called inconsistent', () => {
    const key = deal({ n: 4, t: 3, randomness: seed(1) })
    const foreign = { ...key, publicKey: deal({ n: 4, t: 3, randomness: seed(2) }).publicKey }
    assert.throws(() => combine(foreign, message, sharesOf(key, [0, 1, 2])), { code: 'INCONSISTENT_KEY' })
  })
})
