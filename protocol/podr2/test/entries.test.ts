import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { GroupId, StripeNumber } from '@cumulus/types'
import fc from 'fast-check'
import { challengeOver, decodeEntries, encodeEntries, verify, withoutEntries } from '../src/index.ts'
import { noise, TestMiner, worker } from './fixture.ts'

const u32 = fc.nat(0xffff_ffff)
const anyPlace = fc
  .record({
    group: u32.map((n) => n as GroupId),
    stripe: u32.map((n) => n as StripeNumber),
    block: fc.nat(65_535),
  })
  .map((place) => ({ ...place }))

describe('the entries of a challenge', () => {
  it('survive encoding, 12 bytes each, big-endian', () => {
    fc.assert(
      fc.property(fc.array(anyPlace, { maxLength: 20 }), (places) => {
        const bytes = encodeEntries(places)
        assert.equal(bytes.length, 12 * places.length)
        assert.deepEqual(decodeEntries(bytes), places)
      }),
    )
    const one = encodeEntries([{ group: 1 as GroupId, stripe: 2 as StripeNumber, block: 3 }])
    assert.equal(one.toHex(), '000000010000000200000003')
  })

  it('of a broken length or an impossible block are refused', () => {
    assert.throws(() => decodeEntries(new Uint8Array(13)), { code: 'BAD_ENTRIES' })
    assert.throws(() => decodeEntries(new Uint8Array(12).fill(1)), { code: 'BAD_ENTRIES' })
  })
})

describe('a challenge over given places', () => {
  const miner = new TestMiner(1, 2)
  const drawn = miner.challenge(1)
  const seed = noise(32, 'seed')
  const challenge = challengeOver(seed, drawn.entries, drawn.params)

  it('is answered like one that was drawn', () => {
    assert.ok(verify({ proof: miner.prove(challenge), challenge, key: worker.key }).ok)
  })

  it('keeps the coefficients of the rest when entries are left out', () => {
    const rest = withoutEntries(challenge, 0b101n)
    assert.deepEqual(
      rest.entries,
      challenge.entries.filter((_, i) => i !== 0 && i !== 2),
    )
    const proof = miner.prove(rest)
    assert.ok(verify({ proof, challenge: rest, key: worker.key }).ok)
    assert.ok(!verify({ proof, challenge, key: worker.key }).ok)
    assert.equal(withoutEntries(challenge, 0n), challenge)
  })

  it('wants a seed of 32 bytes', () => {
    assert.throws(() => challengeOver(new Uint8Array(31), [], drawn.params), { code: 'BAD_RANGES' })
  })
})
