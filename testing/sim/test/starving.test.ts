import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { drawPlan, type Plan } from '../src/plan.ts'
import { World } from '../src/world.ts'

const SEEDS = 3

/** Leaders committed while a scheduler that goes by the public coin starves them, over some seeds. Nobody fails but the network. */
function committed(size: number, change: Partial<Plan>): number {
  let sum = 0
  for (let seed = 0; seed < SEEDS; seed++) {
    const plan: Plan = {
      ...drawPlan(seed, size),
      waveLength: 4,
      leaders: 1,
      shareless: null,
      gcDepth: 64,
      parkedMax: 64,
      replyBytesMax: 2 ** 22,
      delays: 'uniform',
      starvesLeaders: true,
      duplicates: 0,
      losses: 0,
      fsyncMs: 0.2,
      slowFsyncChance: 0,
      skewMs: 0,
      codecs: false,
      compactions: false,
      idle: false,
      pressureChance: 0,
      impatient: false,
      coinMs: 0,
      undecidedStop: 1024,
      faults: [],
      partitions: [],
      restarts: [],
      chaosMs: 600,
      ...change,
    }
    const { violation, committedInChaos } = new World(plan).run()
    assert.equal(violation, null, 'safe at any time, and live once the network is calm')
    sum += committedInChaos
  }
  return sum
}

describe('a scheduler that starves leaders', () => {
  it('lets eleven members commit nothing where it knows them, and only slows them where it guesses', () => {
    assert.equal(committed(11, { coin: 'public' }), 0)
    const guessed = committed(11, { coin: 'threshold' })
    const calm = committed(11, { coin: 'threshold', starvesLeaders: false })
    assert.ok(guessed > calm / 2, `${guessed} of ${calm}`)
  })

  it('costs smaller committees most of their leaders where it knows them', () => {
    assert.ok(committed(4, { coin: 'public' }) < 0.7 * committed(4, { coin: 'threshold' }))
    assert.ok(committed(7, { coin: 'public' }) < 0.4 * committed(7, { coin: 'threshold' }))
  })

  it('cannot starve all of them where all lead in each round', () => {
    assert.ok(committed(11, { coin: 'public', leaders: 11 }) > committed(11, { coin: 'threshold', leaders: 1 }))
  })
})
