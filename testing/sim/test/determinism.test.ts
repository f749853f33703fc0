import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { runSeed, tallySeeds } from '../src/campaign.ts'
import { minimise } from '../src/minimise.ts'
import { drawPlan } from '../src/plan.ts'
import { runCampaign } from '../src/pool.ts'
import { World } from '../src/world.ts'

describe('a run', () => {
  it('is the same each time, on any number of threads', async () => {
    for (const size of [4, 11]) {
      const campaign = { size, twins: null }
      const once = tallySeeds(campaign, 100, 140)
      const again = await runCampaign(campaign, 100, 140, { workers: 2 })
      assert.deepEqual(again, once)
      assert.notEqual(tallySeeds(campaign, 140, 180).trace, once.trace)
    }
  })

  it('differs between seeds', () => {
    const traces = new Set(Array.from({ length: 20 }, (_, seed) => runSeed({ size: 4, twins: null }, seed).trace))
    assert.equal(traces.size, 20)
  })
})

describe('seeds that failed once', () => {
  const kept = JSON.parse(readFileSync(new URL('../seeds/n4.json', import.meta.url), 'utf8')) as {
    seed: number
    why: string
  }[]
  for (const { seed, why } of kept) {
    it(`no longer fail: ${seed}, ${why}`, () => {
      assert.equal(runSeed({ size: 4, twins: null }, seed).violation, null)
    })
  }
})

describe('a failing plan', () => {
  it('is made smaller and still fails in the same way', () => {
    // Two of four silent from early on: nothing can be decided.
    const plan = {
      ...drawPlan(3, 4),
      faults: [
        { member: 0, kind: 'silent' as const },
        { member: 1, kind: 'silent' as const },
        { member: 2, kind: 'late' as const },
      ],
    }
    assert.equal(new World(plan).run().violation?.code, 'STALL')
    const small = minimise(plan)
    assert.equal(new World(small).run().violation?.code, 'STALL')
    assert.ok(small.faults.length <= 2)
    assert.deepEqual([small.restarts, small.partitions, small.losses], [[], [], 0])
  })
})
