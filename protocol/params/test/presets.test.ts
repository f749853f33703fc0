import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { preset, presets } from '@cumulus/params'

describe('parameters', () => {
  it('have distinct chain ids, so that no transaction of one network is valid on another', () => {
    assert.equal(new Set(Object.values(presets).map((params) => params.chainId)).size, Object.keys(presets).length)
  })
  it('have classes whose quorum lets any k survivors of the loss rebuild', () => {
    for (const { classes } of Object.values(presets)) {
      for (const c of Object.values(classes)) {
        assert.ok(c.dataCount <= c.writeQuorum && c.writeQuorum <= c.seatCount)
        assert.equal(c.fragmentBytes % 4096, 0)
      }
    }
  })
  it('leave time to answer a challenge, and room in one word for its blocks', () => {
    for (const { audit, slotsPerEpoch } of Object.values(presets)) {
      assert.ok(audit.challengedCount >= 1 && audit.challengedCount <= 256)
      assert.ok(audit.windowSlots >= 1 && audit.windowSlots < slotsPerEpoch)
      assert.equal(audit.servicePower + audit.idlePower, 10_000)
      for (const share of [audit.failurePenalty, audit.missPenalty, audit.laterMissPenalty, audit.rewardNow]) {
        assert.ok(share >= 0 && share <= 10_000)
      }
    }
  })
  it('give nothing away on the main net', () => assert.equal(preset('mainnet').faucetGrant, 0n))
  it('are found by name, and an unknown name is refused', () => {
    assert.equal(preset('dev').chainId, 27_102)
    assert.throws(() => preset('testnet'), /choose mainnet, dev or minimal/)
  })
})
