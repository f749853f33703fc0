import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { MutationName } from '../src/mutations.ts'
import { runCampaign } from '../src/pool.ts'

const SEEDS = 8

/** Agreement holds exactly while 2q - n > b, where b members run as twins. */
const CASES: { size: number; twins: number; mutation?: MutationName }[] = [
  { size: 4, twins: 1 },
  { size: 4, twins: 2 },
  { size: 4, twins: 1, mutation: 'quorum one less' },
  { size: 7, twins: 2 },
  { size: 7, twins: 3 },
  { size: 7, twins: 2, mutation: 'quorum one less' },
  { size: 10, twins: 3 },
  { size: 10, twins: 3, mutation: 'quorum one less' },
  { size: 11, twins: 3 },
  { size: 11, twins: 4 },
  { size: 11, twins: 5 },
  { size: 11, twins: 3, mutation: 'quorum one less' },
]

describe('the directed twins', () => {
  for (const { size, twins, mutation } of CASES) {
    const quorum = size - Math.floor((size - 1) / 3) - (mutation ? 1 : 0)
    const holds = 2 * quorum - size > twins
    it(`${holds ? 'never' : 'always'} split n = ${size}, q = ${quorum} with ${twins} of them`, async () => {
      const tally = await runCampaign({ size, twins }, 0, SEEDS, { workers: 2, mutation })
      assert.equal(tally.violations.length, holds ? 0 : SEEDS)
      if (!holds) {
        for (const { code } of tally.violations) assert.match(code, /^(DISAGREEMENT|PANIC)$/)
      }
    })
  }
})
