import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { GroupId, Seat, StripeNumber } from '@cumulus/types'
import { chal, challengeSeed } from '../src/index.ts'
import { noise, params } from './fixture.ts'

describe('a miner that lost a share f of its blocks', () => {
  // A block that is gone makes a proof impossible (soundness.test.ts), so an audit finds a loss if it draws a lost block.
  const stripeCount = 4096
  const blockCount = 9
  const range = { group: 1 as GroupId, seat: 0 as Seat, firstStripe: 0 as StripeNumber, stripeCount, blockCount }
  const audits = 600

  for (const [lostShare, challengedCount] of [
    [0.01, 100],
    [0.05, 20],
    [0.2, 5],
  ] as const) {
    it(`is found with 1 − (1 − f)^c: f = ${lostShare}, c = ${challengedCount}`, () => {
      // Which blocks are lost is fixed, in whole stripes as when cells are dropped.
      const lostStripes = Math.round(stripeCount * lostShare)
      const share = lostStripes / stripeCount
      let found = 0
      for (let n = 0; n < audits; n++) {
        const seed = challengeSeed(1, noise(32, `audit ${n}`), noise(20, `${lostShare}`))
        const { entries } = chal(seed, [range], { ...params, challengedCount })!
        if (entries.some(({ stripe }) => stripe < lostStripes)) found++
      }
      const expected = 1 - (1 - share) ** challengedCount
      const deviation = Math.sqrt((expected * (1 - expected)) / audits)
      assert.ok(Math.abs(found / audits - expected) < 4 * deviation, `${found / audits}, expected ${expected}`)
    })
  }
})
