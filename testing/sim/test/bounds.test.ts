import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { drawPlan, FAULT_KINDS, type Plan } from '../src/plan.ts'
import { World } from '../src/world.ts'

/** Long enough for garbage to be collected a hundred times over, under whoever fills memory best. */
describe('a long run', () => {
  for (const kinds of [['flooder', 'edge-time'], ['evidence-spam'], ['equivocator', 'garbage']] as const) {
    it(`keeps memory and log within bounds beside a member that is ${kinds.join(' and ')}`, () => {
      const plan: Plan = {
        ...drawPlan(5, 4),
        coin: 'threshold',
        leaders: 4,
        gcDepth: 16,
        parkedMax: 6,
        faults: [{ member: 1, kinds }],
        partitions: [],
        restarts: [{ member: 2, atMs: 3000, downMs: 1500 }],
        idle: false,
        compactions: false,
        skewMs: 0,
        chaosMs: 10_000,
      }
      const { violation, rounds } = new World(plan).run()
      assert.equal(violation, null)
      assert.ok(rounds > 20 * plan.gcDepth, `${rounds} rounds`)
    })
  }
})

describe('plans', () => {
  it('draw every kind of fault, alone and with another, for four and for eleven', () => {
    for (const size of [4, 11]) {
      const plans = Array.from({ length: 2000 }, (_, seed) => drawPlan(seed, size))
      const faults = plans.flatMap((plan) => plan.faults)
      for (const kind of FAULT_KINDS) assert.ok(faults.filter(({ kinds }) => kinds.includes(kind)).length > 20, kind)
      assert.ok(faults.some(({ kinds }) => kinds.length > 1))
      const rare = [
        plans.filter(({ coin }) => coin === 'public'),
        plans.filter(({ shareless }) => shareless !== null),
        plans.filter(({ gcDepth }) => gcDepth === 256),
        plans.filter(({ gcDepth }) => gcDepth < 64),
        plans.filter(({ parkedMax }) => parkedMax === 2),
        plans.filter(({ replyBytesMax }) => replyBytesMax < 2 ** 22),
        plans.filter(({ starvesLeaders }) => starvesLeaders),
        plans.filter(({ idle }) => idle),
        plans.filter(({ pressureChance }) => pressureChance > 0),
      ]
      for (const [i, some] of rare.entries()) assert.ok(some.length > 50, `rare path ${i}: ${some.length}`)
    }
  })
})
