import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import type { Scenario } from '../src/campaign.ts'
import { MUTATIONS, type MutationName } from '../src/mutations.ts'
import { runKept } from '../src/pool.ts'

/** Seeds for the network with which a kept scenario is run: it names who fails and when, the rest is drawn by the code of the day. */
const TRIES = 20

function read<Kept>(name: string): (Scenario & Kept)[] {
  return JSON.parse(readFileSync(new URL(`../seeds/${name}.json`, import.meta.url), 'utf8'))
}

describe('plans that failed once', () => {
  for (const { why, plan, twins } of read<{ why: string }>('failed')) {
    it(`no longer fail: n = ${plan.size}, seed ${plan.seed}, ${why}`, async () => {
      const tally = await runKept({ plan, twins }, TRIES)
      assert.deepEqual(tally.violations, [])
      assert.equal(tally.seeds, TRIES)
    })
  }
})

describe('the smallest plans', () => {
  const kept = read<{ control: MutationName }>('controls')

  it('are kept for every control but the rarest, and one of them for eleven', () => {
    // Only a drawn scenario in the tests of the core finds this one for certain.
    const names = Object.keys(MUTATIONS).filter((name) => name !== 'anchor past the undecided')
    assert.deepEqual(new Set(kept.map(({ control }) => control)), new Set(names))
    assert.ok(kept.some(({ plan }) => plan.size === 11))
  })

  for (const { control, plan, twins } of kept) {
    const what = `n = ${plan.size}, ${twins ? `${twins.members} twins` : `seed ${plan.seed}`}`
    it(`catch "${control}": ${what}`, async () => {
      const tally = await runKept({ plan, twins }, TRIES, control)
      assert.ok(tally.violations.length > 0, `${TRIES} networks and nothing seen`)
      assert.notEqual(tally.violations[0]!.code, 'STALL')
    })

    it(`and hold without it: ${what}`, async () => {
      assert.deepEqual((await runKept({ plan, twins }, 1)).violations, [])
    })
  }
})
