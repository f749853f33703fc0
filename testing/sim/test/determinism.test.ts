import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { runScenario, runSeed, tallySeeds } from '../src/campaign.ts'
import { minimise } from '../src/minimise.ts'
import { drawPlan, type Plan } from '../src/plan.ts'
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

describe('a failing plan', () => {
  it('is made smaller and still fails in the same way', () => {
    // Two of four silent from early on: nothing can be decided.
    const plan: Plan = {
      ...drawPlan(3, 4),
      faults: [
        { member: 0, kinds: ['silent', 'garbage'] },
        { member: 1, kinds: ['silent'] },
        { member: 2, kinds: ['late'] },
      ],
    }
    assert.equal(new World(plan).run().violation?.code, 'STALL')
    const small = minimise({ plan, twins: null })
    assert.equal(runScenario(small).violation?.code, 'STALL')
    assert.ok(small.plan.faults.length <= 2)
    assert.ok(small.plan.faults.every(({ kinds }) => kinds.length === 1))
    assert.deepEqual([small.plan.restarts, small.plan.partitions, small.plan.losses], [[], [], 0])
  })
})
