import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hexToBytes } from '@cumulus/bytes'
import { minimal, type Params } from '@cumulus/params'
import { decodeEntries } from '@cumulus/podr2'
import { audit, storage } from '../../src/modules/index.ts'
import { AuditNetwork } from './audit-network.ts'
import { owner } from './test-network.ts'

// Challenges as the chain derives them, over bitmaps with holes. That a lost block cannot be answered for is shown elsewhere
// (audit.test.ts): here it counts whether one is asked for.

/** Nobody answers, and nobody is put out for it. */
const patient = (challengedCount: number): Params => ({
  ...minimal,
  stripesPerGroup: 256,
  reservationStripesMax: 256,
  audit: { ...minimal.audit, challengedCount, missPenalty: 0, laterMissPenalty: 0, missesToDeath: 1_000_000 },
  classes: {
    ...minimal.classes,
    standard: { ...minimal.classes.standard, dataCount: 2, seatCount: 3, writeQuorum: 2 },
  },
})

describe('a seat that lost a share f of its stripes', () => {
  for (const [lost, challengedCount] of [
    [12, 20],
    [24, 8],
    [3, 50],
  ] as const) {
    it(`is found with 1 − (1 − f)^c: f = ${lost} of 240, c = ${challengedCount}`, () => {
      const network = new AuditNetwork({ params: patient(challengedCount), minerCount: 3, units: 256 })
      network.registerWorker()
      const { group, stripes } = network.store(256, network.mint({ stripes: 256 }), 2)
      network.confirmAll({ group, stripes })
      // Every sixteenth is released, and some of those between are lost.
      network.call(storage, 'release', [group, stripes.filter((stripe) => stripe % 16 === 5)], { from: owner })
      const isLost = (stripe: number) => stripe % 10 === 2 && stripe < lost * 10
      const lostCount = stripes.filter((stripe) => isLost(stripe) && stripe % 16 !== 5).length
      let audits = 0
      let found = 0
      while (audits < 400) {
        for (const { name, args } of network.tick(2)) {
          if (name !== 'Challenged') continue
          audits++
          const entries = decodeEntries(hexToBytes(args['entries'] as `0x${string}`))
          if (entries.some(({ stripe }) => isLost(stripe))) found++
        }
      }
      const expected = 1 - (1 - lostCount / 240) ** challengedCount
      const deviation = Math.sqrt((expected * (1 - expected)) / audits)
      assert.ok(Math.abs(found / audits - expected) < 4 * deviation, `${found / audits}, expected ${expected}`)
    })
  }
})

describe('the hooks of a chain with 1,000 miners', () => {
  it('challenge everybody once an epoch, a few in each block, with bounded work', () => {
    const params: Params = {
      ...patient(8),
      slotsPerEpoch: 80,
      reservationStripesMax: 16,
      stripesPerGroup: 2,
      classes: {
        ...minimal.classes,
        standard: { ...minimal.classes.standard, dataCount: 2, seatCount: 20, writeQuorum: 2 },
      },
    }
    const minerCount = 1_000
    const network = new AuditNetwork({ params, minerCount, units: 16 })
    network.registerWorker()
    const land = network.mint({ stripes: 1_000 })
    // Enough groups that nearly everybody sits somewhere.
    for (let i = 0; i < 60; i++) network.confirmAll(network.store(1, land, 2))
    const seated = network.call(storage, 'groupCount', []) * 20
    assert.ok(seated >= 400)
    network.toEpoch(1)
    const { world } = network
    let reads = 0
    const getStorage = world.getStorage.bind(world)
    world.getStorage = (...args) => {
      reads++
      return getStorage(...args)
    }
    const asked = new Map<string, number>()
    let most = 0
    let mostReads = 0
    while (network.block.epoch === 1) {
      reads = 0
      const challenged = network.tick().filter(({ name }) => name === 'Challenged')
      for (const { args } of challenged)
        asked.set(args['miner'] as string, (asked.get(args['miner'] as string) ?? 0) + 1)
      most = Math.max(most, challenged.length)
      mostReads = Math.max(mostReads, reads)
    }
    assert.ok(asked.size >= 200, `${asked.size}`)
    assert.ok([...asked.values()].every((times) => times === 1))
    assert.ok(most <= params.audit.challengesPerBlockMax, `${most} challenges`)
    // Some 50 reads for a challenge of one seat, and as many for one that is missed.
    assert.ok(mostReads < 4_000, `${mostReads} reads`)
    assert.ok(network.world.slotsOf(audit.address).size < 20 * minerCount)
  })
})
