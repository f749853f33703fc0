import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { spaceBudget, usableUnits } from '../src/index.ts'

const MiB = 2 ** 20

describe('declared space', () => {
  it('is never exceeded by cells, logs and index together', () => {
    const anySpace = fc.integer({ min: 0, max: 2 ** 45 })
    fc.assert(
      fc.property(anySpace, fc.constantFrom(4096, 8 * MiB), (space, unit) => {
        const { units, logBytes, indexBytes } = spaceBudget(space, unit)
        assert.ok(units >= 0 && logBytes >= 0 && indexBytes >= 0)
        assert.ok(units * unit + logBytes + indexBytes <= space)
      }),
    )
  })

  it('of 1 GiB holds 120 units of 8 MiB, of 1 TiB 122,880', () => {
    assert.equal(usableUnits(1024 * MiB, 8 * MiB), 120)
    assert.equal(usableUnits(2 ** 40, 8 * MiB), 122_880)
    assert.equal(usableUnits(8 * MiB, 8 * MiB), 0)
  })

  it('keeps room for the index of a full miner', () => {
    for (const space of [1024 * MiB, 2 ** 36, 2 ** 44]) {
      const { units, indexBytes } = spaceBudget(space, 8 * MiB)
      // Index pages and the largest inline fragment for every unit, within five eighths of the limit.
      assert.ok(units * (8 + 72) * 1024 <= indexBytes * 0.625, `${space}`)
    }
  })
})
