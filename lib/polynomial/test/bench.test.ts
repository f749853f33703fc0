import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { benchEvaluate } from '../bench/evaluate.ts'

describe('the benchmark', () => {
  it('runs, and the kernel agrees with the scalar reference', () => {
    // 30,000 bytes or less: then both evaluate the same block.
    const results = benchEvaluate(1000, 1)
    const checksumOf = (start: string) => results.find(({ name }) => name.startsWith(start))!.checksum
    assert.equal(checksumOf('evaluate'), checksumOf('scalar reference'))
    for (const { mbPerSecondBest } of results) assert.ok(mbPerSecondBest > 0)
  })
})
