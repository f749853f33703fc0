import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MUTATIONS, type MutationName } from '../src/mutations.ts'
import { runCampaign } from '../src/pool.ts'

/** Random faults find this one only once in thousands of seeds: a kept plan does, and a drawn scenario in the tests of the core. */
const RARE = 'anchor past the undecided'

/** Which adversary catches which control, and within how many seeds. */
const CONTROLS: Record<Exclude<MutationName, typeof RARE>, { twins: number | null; seedsMax: number }> = {
  'quorum one less': { twins: 1, seedsMax: 4 },
  'vote not unique': { twins: null, seedsMax: 100 },
  'skip by twin': { twins: 1, seedsMax: 20 },
  'send before fsync': { twins: null, seedsMax: 100 },
  'gc from the local round': { twins: null, seedsMax: 100 },
  'no inquiry after loss': { twins: null, seedsMax: 300 },
  'certificate not verified': { twins: null, seedsMax: 100 },
  'certificate without quorum': { twins: null, seedsMax: 100 },
}

describe('the checkers', () => {
  for (const name of Object.keys(MUTATIONS) as MutationName[]) {
    if (name === RARE) continue
    it(`catch "${name}"`, async () => {
      const { twins, seedsMax } = CONTROLS[name]
      const options = { workers: 2, mutation: name, stopAtFirst: true }
      const tally = await runCampaign({ size: 4, twins }, 0, seedsMax, options)
      assert.ok(tally.violations.length > 0, `${tally.seeds} seeds and nothing seen`)
      assert.notEqual(tally.violations[0]!.code, 'STALL')
    })
  }
})
