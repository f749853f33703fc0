import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { G1, G2, pairingProductIsOne } from '@cumulus/bls'
import { referenceEvaluate } from '@cumulus/polynomial'
import { blockCount, blockName, checkTags, NAME_DST, TAG_BYTES } from '../src/index.ts'
import { BLOCK_BYTES, BLOCK_COUNT, FRAGMENT_BYTES, noise, otherWorker, params, place, worker } from './fixture.ts'

const fragment = noise(FRAGMENT_BYTES, 'fragment')
const here = place(3, 14, 5)
const tags = worker.tagger.tagFragment(fragment, here)
const seed = noise(32, 'seed')

describe('a name', () => {
  it('is laid out as written, and differs in every field', () => {
    const name = blockName(0x0102, { ...place(0x03040506, 0x0708090a, 0x0b), block: 0x0c0d })
    const domain = Buffer.from('cumulus/podr2/block/1').toString('hex')
    assert.equal(name.toHex(), `${domain}${'0201000000000000'}${'06050403'}${'0a090807'}${'0b'}${'0d0c'}`)
  })

  it('has block numbers of 16 bits', () => {
    for (const block of [-1, 65_536, 0.5]) {
      assert.throws(() => blockName(1, { ...here, block }), { code: 'BAD_BLOCK' })
    }
  })
})

describe('a tag', () => {
  it('is x·(H(name) + F(α)·g1), in 48 bytes a block', () => {
    assert.equal(tags.length, BLOCK_COUNT * TAG_BYTES)
    assert.equal(blockCount(FRAGMENT_BYTES, params), BLOCK_COUNT)
    const { x, alpha } = worker.secret
    for (let block = 0; block < BLOCK_COUNT; block++) {
      const value = referenceEvaluate(fragment.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES), alpha)
      const name = G1.hash(blockName(params.chainId, { ...here, block }), NAME_DST)
      const sum = name.add(G1.generator.multiply(value))
      const tag = G1.fromBytes(tags.subarray(block * TAG_BYTES, (block + 1) * TAG_BYTES))
      assert.ok(tag.equals(sum.multiply(x)))
      assert.ok(
        pairingProductIsOne([
          [tag.negate(), G2.generator],
          [sum, worker.key.v],
        ]),
      )
    }
  })

  it('of a short block is that of the block filled up with zeros', () => {
    const padded = new Uint8Array(BLOCK_COUNT * BLOCK_BYTES)
    padded.set(fragment)
    assert.deepEqual(worker.tagger.tagFragment(padded, here), tags)
  })

  it('is refused for blocks that are too long and fragments of no or too many blocks', () => {
    assert.throws(() => worker.tagger.tagBlock(new Uint8Array(BLOCK_BYTES + 1), { ...here, block: 0 }), {
      code: 'BAD_BLOCK',
    })
    assert.throws(() => worker.tagger.tagFragment(new Uint8Array(0), here), { code: 'BAD_BLOCK' })
    assert.throws(() => blockCount(65_537 * BLOCK_BYTES, params), { code: 'BAD_BLOCK' })
  })
})

describe('a miner that checks the tags of a fragment', () => {
  const check = (bytes: Uint8Array, of = fragment, at = here, by = worker) => checkTags(of, bytes, at, by, seed, params)

  it('accepts those of an honest worker', () => {
    assert.ok(check(tags))
  })

  it('refuses tags of other data, of another place, of another worker, of too few blocks, and bytes that are no tags', () => {
    const flipped = fragment.with(FRAGMENT_BYTES - 1, fragment.at(-1)! ^ 0x80)
    assert.ok(!check(tags, flipped))
    for (const elsewhere of [place(4, 14, 5), place(3, 15, 5), place(3, 14, 6)])
      assert.ok(!check(tags, fragment, elsewhere))
    assert.ok(!check(tags, fragment, here, otherWorker))
    assert.ok(!check(tags.subarray(TAG_BYTES)))
    assert.ok(!check(tags.with(0, 0)))
  })

  it('refuses a tag outside the subgroup, which some challenges would let pass', () => {
    // A point of order 3 added to a good tag vanishes whenever 3 divides the coefficient.
    const low = new Uint8Array(48)
    low[0] = 0x80 // x = 0: (0, ±2) has order 3
    assert.throws(() => G1.fromBytes(low), { code: 'NOT_IN_SUBGROUP' })
    const point = G1.trustedFromBytes(low)
    assert.ok(point.add(point).equals(point.negate()))
    const bad = tags.slice()
    bad.set(G1.fromBytes(tags.subarray(0, 48)).add(point).toBytes())
    for (let i = 0; i < 12; i++) assert.ok(!checkTags(fragment, bad, here, worker, noise(32, `seed ${i}`), params))
  })
})
