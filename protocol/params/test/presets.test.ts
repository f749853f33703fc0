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
  it('give nothing away on the main net', () => assert.equal(preset('mainnet').faucetGrant, 0n))
  it('are found by name, and an unknown name is refused', () => {
    assert.equal(preset('dev').chainId, 27_102)
    assert.throws(() => preset('testnet'), /choose mainnet, dev or minimal/)
  })
})
