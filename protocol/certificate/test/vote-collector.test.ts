import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { aggregateSignatures } from '@cumulus/threshold'
import fc from 'fast-check'
import {
  type BlsScheme,
  type Certificate,
  signersOf,
  VoteCollector,
  verifyCertificate,
  verifyVote,
} from '../src/index.ts'
import { bls, committeeOfSize, hashOf, voteOf } from './fixture.ts'

const committee = committeeOfSize(4)

/** Real signatures, counted: what the lazy way saves is a promise of the package. */
function counting() {
  const counts = { single: 0, aggregate: 0 }
  const scheme: BlsScheme = {
    aggregateSignatures: bls.aggregateSignatures,
    verifyBls: (...values) => {
      counts.single++
      return bls.verifyBls(...values)
    },
    fastAggregateVerify: (...values) => {
      counts.aggregate++
      return bls.fastAggregateVerify(...values)
    },
  }
  return { counts, scheme }
}

function collectorWith(scheme: BlsScheme = bls, init: { floor?: bigint; windowHeights?: number } = {}) {
  return new VoteCollector({ committee, bls: scheme, floor: init.floor ?? 0n, windowHeights: init.windowHeights })
}

describe('votes', () => {
  it('become a certificate at the quorum, once, with one verification', () => {
    const { counts, scheme } = counting()
    const collector = collectorWith(scheme)
    const found: Certificate[] = []
    for (const member of [3, 1, 0, 2]) {
      const { certificate } = collector.add(member, voteOf(member, committee, 1n))
      if (certificate) found.push(certificate)
    }
    assert.equal(found.length, 1)
    assert.deepEqual(signersOf(found[0]!), [0, 1, 3])
    verifyCertificate(found[0]!, committee, bls)
    assert.deepEqual(counts, { single: 0, aggregate: 1 })
  })

  it('of whatever order make certificates for the same headers', () => {
    const votes = [1n, 2n, 3n].flatMap((height) =>
      [0, 1, 2, 3].map((member) => ({ member, vote: voteOf(member, committee, height, hashOf(Number(height))) })),
    )
    fc.assert(
      fc.property(fc.shuffledSubarray(votes, { minLength: votes.length }), (order) => {
        const collector = collectorWith()
        const heights = order.flatMap(({ member, vote }) => collector.add(member, vote).certificate?.height ?? [])
        assert.deepEqual(
          heights.toSorted((a, b) => Number(a - b)),
          [1n, 2n, 3n],
        )
      }),
      { numRuns: 10 },
    )
  })

  it('for different headers do not add up', () => {
    const collector = collectorWith()
    for (const member of [0, 1]) collector.add(member, voteOf(member, committee, 1n, hashOf(1)))
    for (const member of [2, 3]) {
      assert.equal(collector.add(member, voteOf(member, committee, 1n, hashOf(2))).certificate, undefined)
    }
  })

  it('that are wrong are found out when the sum fails, and the right ones still certify', () => {
    const wrongOnes = [
      voteOf(1, committee, 1n), // somebody else's
      { ...voteOf(0, committee, 2n), height: 1n }, // of another height
      { ...voteOf(0, committee, 1n), signature: new Uint8Array(96) }, // no point
    ]
    for (const wrong of wrongOnes) {
      const { counts, scheme } = counting()
      const collector = collectorWith(scheme)
      assert.equal(collector.add(0, wrong).kind, 'kept')
      collector.add(1, voteOf(1, committee, 1n))
      const third = collector.add(2, voteOf(2, committee, 1n))
      assert.deepEqual([third.certificate, third.wrongVotes], [undefined, [0]])
      assert.equal(counts.single, 3)
      // From now on this member is verified when it speaks.
      assert.equal(collector.add(0, { ...voteOf(0, committee, 1n), height: 2n }).kind, 'wrong')
      const { certificate } = collector.add(3, voteOf(3, committee, 1n))
      assert.deepEqual(signersOf(certificate!), [1, 2, 3])
      verifyCertificate(certificate!, committee, bls)
    }
  })

  it('may be said again rightly after they were wrong', () => {
    const collector = collectorWith()
    collector.add(0, voteOf(1, committee, 1n))
    collector.add(1, voteOf(1, committee, 1n))
    collector.add(2, voteOf(2, committee, 1n))
    const { certificate } = collector.add(0, voteOf(0, committee, 1n))
    assert.deepEqual(signersOf(certificate!), [0, 1, 2])
  })

  it('whose errors cancel out certify nothing less: the sum is that of these signers', () => {
    const collector = collectorWith()
    const error = voteOf(3, committee, 9n).signature
    const negative = error.slice()
    negative[0]! ^= 0x20
    for (const [member, shift] of [
      [0, error],
      [1, negative],
    ] as const) {
      const vote = voteOf(member, committee, 1n)
      collector.add(member, { ...vote, signature: aggregateSignatures([vote.signature, shift]) })
    }
    const { certificate } = collector.add(2, voteOf(2, committee, 1n))
    verifyCertificate(certificate!, committee, bls)
  })

  it('of one member for two headers are evidence, once, the same for everybody', () => {
    const [one, two] = [voteOf(0, committee, 1n, hashOf(1)), voteOf(0, committee, 1n, hashOf(2))]
    for (const [first, second] of [
      [one, two],
      [two, one],
    ] as const) {
      const collector = collectorWith()
      assert.equal(collector.add(0, first).doubleVote, undefined)
      assert.deepEqual(collector.add(0, second).doubleVote, { member: 0, votes: [one, two] })
      assert.equal(collector.add(0, voteOf(0, committee, 1n, hashOf(3))).doubleVote, undefined)
      for (const vote of [one, two]) assert(verifyVote(0, vote, committee, bls))
    }
  })

  it('cannot be put into the mouth of a member', () => {
    const collector = collectorWith()
    collector.add(0, voteOf(0, committee, 1n, hashOf(1)))
    const forged = { ...voteOf(1, committee, 1n, hashOf(2)) }
    assert.deepEqual(collector.add(0, forged), { kind: 'wrong', wrongVotes: [0] })
    // And a forged first one gives way to the true second one.
    const other = collectorWith()
    other.add(0, forged)
    assert.deepEqual(other.add(0, voteOf(0, committee, 1n, hashOf(1))), { kind: 'kept', wrongVotes: [0] })
    assert.equal(verifyVote(7, voteOf(0, committee, 1n), committee, bls), false)
  })

  it('are forgotten well below the floor, and not taken far above it', () => {
    const collector = collectorWith(bls, { floor: 10n, windowHeights: 3 })
    for (const height of [0n, 14n, 2n ** 60n]) {
      assert.equal(collector.add(0, voteOf(0, committee, height)).kind, 'far')
    }
    for (const height of [11n, 12n, 13n]) assert.equal(collector.add(0, voteOf(0, committee, height)).kind, 'kept')
    assert.equal(collector.pendingHeights, 3)
    collector.forget(12n)
    collector.forget(5n)
    assert.equal(collector.pendingHeights, 1)
    assert.equal(collector.add(0, voteOf(0, committee, 12n)).kind, 'repeated')
    assert.equal(collector.add(0, voteOf(0, committee, 13n)).kind, 'repeated')
    assert.equal(collector.add(0, voteOf(0, committee, 15n)).kind, 'kept')
    collector.forget(100n)
    assert.equal(collector.add(0, voteOf(0, committee, 36n)).kind, 'far')
    assert.equal(collector.add(0, voteOf(0, committee, 37n)).kind, 'repeated')
  })

  it('convict who waits for the certificate before it says something else, and who speaks late both times', () => {
    const [one, two] = [voteOf(3, committee, 1n, hashOf(1)), voteOf(3, committee, 1n, hashOf(2))]
    for (const isForgotten of [false, true]) {
      for (const isFirstInTime of [false, true]) {
        const collector = collectorWith()
        if (isFirstInTime) collector.add(3, one)
        for (const member of [0, 1, 2]) collector.add(member, voteOf(member, committee, 1n, hashOf(1)))
        if (isForgotten) collector.forget(1n)
        if (!isFirstInTime) assert.equal(collector.add(3, one).kind, 'repeated')
        assert.deepEqual(collector.add(3, two).doubleVote, { member: 3, votes: [one, two] })
      }
    }
  })

  it('that are wrong again and again are not verified any longer, and no honest one is lost by it', () => {
    const { counts, scheme } = counting()
    const collector = collectorWith(scheme)
    collector.add(0, voteOf(0, committee, 1n, hashOf(1)))
    const forged = voteOf(1, committee, 1n, hashOf(2))
    for (let i = 0; i < 500; i++) assert.equal(collector.add(0, forged).kind, 'wrong')
    assert.equal(counts.single, 64)
    collector.add(1, voteOf(1, committee, 1n, hashOf(1)))
    verifyCertificate(collector.add(2, voteOf(2, committee, 1n, hashOf(1))).certificate!, committee, bls)
  })

  it('of nobody, or of another shape, are wrong', () => {
    const collector = collectorWith()
    const vote = voteOf(0, committee, 1n)
    for (const member of [-1, 4, 0.5]) assert.equal(collector.add(member, vote).kind, 'wrong')
    assert.equal(collector.add(0, { ...vote, signature: new Uint8Array(95) }).kind, 'wrong')
    assert.equal(collector.add(0, { ...vote, headerHash: new Uint8Array(33) }).kind, 'wrong')
    assert.equal(collector.pendingHeights, 0)
  })
})
