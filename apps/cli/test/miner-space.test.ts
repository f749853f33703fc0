import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { usableUnits } from '@cumulus/store'
import { leastSpace } from '../src/commands/miner.ts'

describe('the least space for some units', () => {
  it('holds them, and with one unit less of space it does not', () => {
    for (const unitBytes of [4_096, 2 ** 23]) {
      for (const units of [1, 7, 8, 9, 56, 119, 120, 121, 5_000, 245_760]) {
        const bytes = leastSpace(units, unitBytes)
        assert.ok(usableUnits(bytes, unitBytes) >= units, `${units} of ${unitBytes}`)
        assert.ok(usableUnits(bytes - unitBytes, unitBytes) < units, `${units} of ${unitBytes}`)
      }
    }
  })
})
