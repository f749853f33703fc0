import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { benchAudit } from '../bench/audit.ts'
import { rsaBench } from '../bench/rsa.ts'

describe('the benchmark', () => {
  it('runs, and all its verdicts are right', () => {
    const result = benchAudit({ chainId: 1, sectorCount: 16, challengedCount: 5 }, 4, rsaBench(5, 2))
    // Throws if a verdict is wrong.
    for (const time of Object.values(result.round())) assert.ok(time > 0)
    assert.equal(result.proofBytes, 128)
    assert.equal(result.tagBytesPerFragment, 9 * 48)
    assert.equal(result.rsaProofBytes, 3 * 256)
  })
})
