import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { GroupId, Seat, StripeNumber } from '@cumulus/types'
import fc from 'fast-check'
import { chal, challengeDigest, challengeSeed, drawTagger, type TaggedRange } from '../src/index.ts'
import { noise, params } from './fixture.ts'

const range = (
  group: number,
  seat: number,
  firstStripe: number,
  stripeCount: number,
  blockCount: number,
): TaggedRange => ({
  group: group as GroupId,
  seat: seat as Seat,
  firstStripe: firstStripe as StripeNumber,
  stripeCount,
  blockCount,
})

/** Ranges with gaps, in several seats. */
const anyRanges = fc
  .array(
    fc.record({ gap: fc.nat(5), stripes: fc.integer({ min: 1, max: 9 }), blocks: fc.integer({ min: 1, max: 9 }) }),
    {
      minLength: 1,
      maxLength: 12,
    },
  )
  .map((steps) => {
    const next = [0, 0, 0]
    return steps.map(({ gap, stripes, blocks }, i) => {
      const seat = i % 3
      const first = next[seat]! + gap
      next[seat] = first + stripes
      return range(7 + seat, seat, first, stripes, blocks)
    })
  })

const seedOf = (n: number) => challengeSeed(1, noise(32, `beacon ${n}`), noise(20, 'miner'))

describe('a challenge', () => {
  it('draws distinct blocks of the ranges, in their order, as many as asked for or all there are', () => {
    fc.assert(
      fc.property(anyRanges, fc.nat(), fc.integer({ min: 1, max: 60 }), (ranges, n, challengedCount) => {
        const { entries } = chal(seedOf(n), ranges, { ...params, challengedCount })!
        const all = ranges.flatMap(({ group, seat, firstStripe, stripeCount, blockCount }) =>
          Array.from({ length: stripeCount * blockCount }, (_, i) =>
            [group, seat, firstStripe + Math.floor(i / blockCount), i % blockCount].join('/'),
          ),
        )
        const positions = entries.map(({ group, seat, stripe, block }) =>
          all.indexOf([group, seat, stripe, block].join('/')),
        )
        assert.equal(entries.length, Math.min(challengedCount, all.length))
        assert.ok(positions.every((position, i) => position > (positions[i - 1] ?? -1)))
        assert.ok(entries.every(({ coefficient }) => coefficient >= 0n && coefficient < 2n ** 128n))
      }),
    )
  })

  it('is the same for everybody, and another for another beacon, miner or chain', () => {
    const ranges = [range(1, 2, 0, 1000, 9)]
    const seeds = [
      challengeSeed(1, noise(32, 'a'), noise(20, 'm')),
      challengeSeed(1, noise(32, 'b'), noise(20, 'm')),
      challengeSeed(1, noise(32, 'a'), noise(20, 'n')),
      challengeSeed(2, noise(32, 'a'), noise(20, 'm')),
    ]
    const challenges = seeds.map((seed) => chal(seed, ranges, params)!)
    assert.deepEqual(chal(seeds[0]!, structuredClone(ranges), params), challenges[0])
    assert.equal(new Set(challenges.map(({ z }) => z)).size, 4)
    assert.equal(new Set(challenges.map((challenge) => challengeDigest(challenge).toHex())).size, 4)
    assert.equal(
      new Set(challenges.map(({ entries }) => JSON.stringify(entries.map((e) => [e.stripe, e.block])))).size,
      4,
    )
  })

  it('has a digest that changes with every part of it', () => {
    const challenge = chal(seedOf(0), [range(1, 2, 0, 100, 9)], params)!
    const first = challenge.entries[0]!
    const withFirst = (change: object) => ({
      ...challenge,
      entries: [{ ...first, ...change }, ...challenge.entries.slice(1)],
    })
    const changed = [
      challenge,
      { ...challenge, z: challenge.z + 1n },
      { ...challenge, z: challenge.z ^ (1n << 200n) },
      { ...challenge, params: { ...params, chainId: 5 } },
      { ...challenge, params: { ...params, sectorCount: 17 } },
      { ...challenge, entries: challenge.entries.slice(1) },
      withFirst({ coefficient: first.coefficient ^ 1n }),
      withFirst({ coefficient: first.coefficient ^ (1n << 127n) }),
      withFirst({ block: first.block ^ 1 }),
      withFirst({ seat: 1 }),
      withFirst({ stripe: first.stripe + 1 }),
      withFirst({ group: 2 }),
    ]
    assert.equal(new Set(changed.map((each) => challengeDigest(each).toHex())).size, changed.length)
  })

  it('gives every block the same chance', () => {
    // 30 blocks in three uneven ranges, 8 a draw: each is expected 1,600 times in 6,000 draws, ± 5 standard deviations.
    const ranges = [range(1, 0, 0, 2, 5), range(1, 0, 9, 5, 1), range(2, 1, 3, 5, 3)]
    const seen = new Map<string, number>()
    const draws = 6000
    for (let n = 0; n < draws; n++) {
      for (const { group, stripe, block } of chal(seedOf(n), ranges, params)!.entries) {
        const key = `${group}/${stripe}/${block}`
        seen.set(key, (seen.get(key) ?? 0) + 1)
      }
    }
    const share = params.challengedCount / 30
    const deviation = Math.sqrt(draws * share * (1 - share))
    assert.equal(seen.size, 30)
    for (const count of seen.values()) assert.ok(Math.abs(count - draws * share) < 5 * deviation, `${count}`)
  })

  it('of nothing is none', () => {
    assert.equal(chal(seedOf(1), [], params), undefined)
  })

  it('refuses ranges in which a block could come twice, and numbers out of range', () => {
    const bad = [
      [range(1, 2, 0, 10, 3), range(1, 2, 9, 1, 3)],
      [range(1, 2, 10, 1, 3), range(1, 2, 0, 10, 3)],
      [range(1, 2, 0, 0, 3)],
      [range(1, 2, 0, 1.5, 3)],
      [range(1, 2, 0, 1, 0)],
      [range(1, 2, 0, 1, 65_537)],
      [range(1, 2, 0, Number.MAX_SAFE_INTEGER, 3)],
    ]
    for (const ranges of bad) assert.throws(() => chal(seedOf(1), ranges, params), { code: 'BAD_RANGES' })
    assert.throws(() => chal(new Uint8Array(31), [range(1, 2, 0, 1, 1)], params), { code: 'BAD_RANGES' })
    assert.throws(() => challengeSeed(1, new Uint8Array(31), noise(20, 'm')), { code: 'BAD_RANGES' })
    // The same stripes in another seat or group are other blocks.
    assert.ok(chal(seedOf(1), [range(1, 2, 0, 10, 3), range(1, 3, 0, 10, 3), range(2, 2, 0, 10, 3)], params))
  })
})

describe('the tagger of a challenge', () => {
  it('is drawn in proportion to its stripes', () => {
    const weights = [0, 30, 0, 10, 60]
    const counts = weights.map(() => 0)
    for (let n = 0; n < 5000; n++) counts[drawTagger(seedOf(n), weights)!]!++
    counts.forEach((count, i) => {
      const share = weights[i]! / 100
      assert.ok(Math.abs(count - 5000 * share) <= 5 * Math.sqrt(5000 * share * (1 - share)), `${counts}`)
    })
  })

  it('is nobody where nothing is tagged', () => {
    assert.equal(drawTagger(seedOf(1), []), undefined)
    assert.equal(drawTagger(seedOf(1), [0, 0]), undefined)
    assert.throws(() => drawTagger(seedOf(1), [-1, 2]), { code: 'BAD_RANGES' })
    assert.throws(() => drawTagger(seedOf(1), [2 ** 53]), { code: 'BAD_RANGES' })
  })
})
