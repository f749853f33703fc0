import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { measureCosts } from '../bench/costs.ts'

describe('the bench of BLS operations', () => {
  it('runs each of them', () => {
    const costs = measureCosts(1)
    assert.equal(Object.keys(costs).length, 9)
    for (const ms of Object.values(costs)) assert(ms >= 0)
  })
})
