import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { runCampaign } from '../src/pool.ts'

/** The scale of continuous integration: under two minutes on two cores. */
const WORKERS = 2

describe('committees under random faults', () => {
  for (const { size, seeds } of [
    { size: 4, seeds: 2000 },
    { size: 11, seeds: 500 },
    { size: 1, seeds: 50 },
    { size: 2, seeds: 50 },
    { size: 3, seeds: 50 },
    { size: 7, seeds: 100 },
  ]) {
    it(`keep every promise, n = ${size}, ${seeds} seeds`, async (test) => {
      const startedMs = Date.now()
      const tally = await runCampaign({ size, twins: null }, 0, seeds, { workers: WORKERS })
      test.diagnostic(
        `${tally.withFaults} of ${seeds} with faults, ${tally.withEvidence} with equivocators, ${Date.now() - startedMs} ms`,
      )
      assert.deepEqual(tally.violations, [])
      assert.equal(tally.seeds, seeds)
      assert.ok(tally.certificates > 10 * seeds, 'headers are certified')
      if (size >= 4) {
        assert.ok(tally.withFaults > seeds / 4, 'faults are drawn')
        assert.ok(tally.withEvidence > seeds / 20, 'equivocation is met')
        assert.ok(
          tally.indirectCommits + tally.indirectSkips > 0 && tally.directSkips > 0,
          'every way of deciding is met',
        )
      }
    })
  }
})
