import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { minimal, type Params } from '@cumulus/params'
import { type ModuleName, storage } from '../../src/modules/index.ts'
import { AuditNetwork, TestWorker } from './audit-network.ts'
import { owner } from './test-network.ts'

/** Loads and stores that the hooks of a module may do in one chain block, however much has piled up. */
const LIMITS: Readonly<Record<ModuleName, number>> = {
  Treasury: 100,
  Parameters: 0,
  Staking: 50,
  R2S: 0,
  TeeWorkers: 500,
  Miners: 0,
  Territories: 0,
  Gateways: 0,
  Storage: 1_500,
  Audit: 4_000,
  Faucet: 0,
}

const params: Params = {
  ...minimal,
  slotsPerEpoch: 20,
  reservationStripesMax: 4,
  reservationEpochs: 2,
  stripesPerGroup: 4,
  audit: { ...minimal.audit, windowSlots: 4, missesToDeath: 3 },
}

/**
 * A network in which much falls due at once: reservations that expire, audits that nobody answers, miners that die of
 * it, a worker that leaves its groups behind, eras that nobody saw.
 */
function mostWork(minerCount: number): Record<string, number> {
  const network = new AuditNetwork({ params, minerCount, units: 400 })
  for (const number of [901, 902]) network.registerWorker(new TestWorker(number))
  const land = network.mint({ stripes: 4 * minerCount, epochs: 1_000 })
  for (let i = 0; i < minerCount / 4; i++) network.confirmAll(network.store(2, land))
  for (let i = 0; i < minerCount; i++) network.call(storage, 'reserve', [land, 1, 2], { from: owner })
  const most: Record<string, number> = {}
  const watch = () => {
    for (const [name, { loadCount, storeCount }] of network.registry.hookWork) {
      most[name] = Math.max(most[name] ?? 0, loadCount + storeCount)
    }
  }
  for (let block = 0; block < 100; block++) {
    network.tick()
    watch()
  }
  // A standstill, and then everything is late.
  network.tick(20 * params.slotsPerEpoch)
  for (let block = 0; block < 60; block++) {
    network.tick()
    watch()
  }
  return most
}

describe('the hooks of one chain block', () => {
  const [few, many] = [mostWork(120), mostWork(240)]

  for (const [name, limit] of Object.entries(LIMITS)) {
    it(`of ${name} touch at most ${limit} slots`, () => {
      assert.ok(many[name]! <= limit, `${many[name]} slots`)
    })
  }

  it('do something where there is something to do', () => {
    for (const name of ['Treasury', 'Staking', 'TeeWorkers', 'Storage', 'Audit']) assert.ok(many[name]! > 0, name)
  })

  it('do no more where twice as many are on the network', () => {
    for (const [name, count] of Object.entries(many)) {
      // So few do not fill what Audit may do in a block: see the simulation with a thousand.
      if (name !== 'Audit') assert.ok(count <= 1.1 * few[name]! + 10, `${name}: ${count} after ${few[name]}`)
    }
  })
})
