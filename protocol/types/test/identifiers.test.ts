import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { addressFromBytes, groupId, seat, stripeNumber } from '@cumulus/types'

describe('identifiers', () => {
  it('are whole numbers in their range', () => {
    assert.equal(groupId(0xffff_ffff), 0xffff_ffff)
    for (const wrong of [-1, 1.5, 2 ** 32, Number.NaN]) {
      for (const make of [groupId, stripeNumber, seat]) assert.throws(() => make(wrong), RangeError)
    }
    assert.throws(() => seat(255), /seat 255 is outside 0\.\.254/)
  })
  it('read addresses of 20 bytes', () => {
    assert.equal(addressFromBytes(new Uint8Array(20).fill(1)), `0x${'01'.repeat(20)}`)
    assert.throws(() => addressFromBytes(new Uint8Array(32)), RangeError)
  })
})
