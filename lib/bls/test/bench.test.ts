import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { benchGroups } from '../bench/groups.ts'

describe('the benchmark', () => {
  it('runs, and its contenders agree', () => {
    for (const group of benchGroups(60, 5, 1)) {
      assert.equal(new Set(group.map(({ checksum }) => checksum)).size, 1, group[0]!.name)
      for (const { msBest } of group) assert.ok(msBest >= 0)
    }
  })
})
