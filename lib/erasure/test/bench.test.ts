import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { benchKernels } from '../bench/kernel.ts'

describe('the benchmark', () => {
  it('runs, and its contenders agree on every encoding and rebuilding', () => {
    const checksums = new Map<string, Set<string>>()
    for (const { name, checksum, mbPerSecondBest } of benchKernels(4096, 1)) {
      const operation = name.startsWith('encode') ? 'encode' : name.slice(0, 'rebuild 1'.length)
      checksums.set(operation, (checksums.get(operation) ?? new Set()).add(checksum))
      assert.ok(mbPerSecondBest > 0)
    }
    assert.deepEqual([...checksums.keys()], ['encode', 'rebuild 1', 'rebuild 2', 'rebuild 3', 'rebuild 4'])
    assert.ok([...checksums.values()].every((same) => same.size === 1))
  })
})
