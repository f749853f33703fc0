import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { ProofNetwork, patiently, WORKER, type WrittenStripe } from '../src/proof-network.ts'
import { RogueWorker } from '../src/rogue-worker.ts'

const MINERS = 3
const STRIPES = 8
const LATER_STRIPES = 4

/** In seconds. Each comes well before the suite's own end, so that what fails is named. */
const LIMITS = { start: 60, tagged: 60, passed: 60 }
const SUITE_MS = 600_000

describe('miners whose TEE worker is slow, or lies', { timeout: SUITE_MS }, () => {
  let network: ProofNetwork
  let worker: RogueWorker
  let first: WrittenStripe[]
  let later: WrittenStripe[]

  before(async () => {
    network = await ProofNetwork.start(MINERS)
    worker = await RogueWorker.start(network, WORKER + 1)
    await network.until('all miners have dialled it', () => worker.sessionCount === MINERS, LIMITS.start)
  })

  after(async () => {
    await network?.close()
    await worker?.close()
  })

  const passed = async () =>
    Promise.all(network.miners.map(async ({ account }) => (await network.record(account)).passed))

  async function pass(times: number): Promise<void> {
    const earlier = await patiently(passed)
    const enough = async () => (await passed()).every((count, i) => count >= earlier[i]! + times)
    await network.until(`all passed ${times} times more`, enough, LIMITS.passed)
  }

  async function epochs(count: number): Promise<void> {
    const { slotMs, slotsPerEpoch } = network.params
    const now = async () => (await network.observer.block(await network.observer.blockNumber()))!.timestampSeconds
    const end = (await patiently(now)) + BigInt(Math.ceil((count * slotMs * slotsPerEpoch) / 1_000))
    await network.until(`${count} epochs are over`, async () => (await now()) >= end, LIMITS.passed)
  }

  /** No proof was wrong, nothing was lost, nothing was taken. */
  async function nobodyIsHarmed(): Promise<void> {
    const told = await network.audits('ProofFailed', 'Penalised', 'LossReported')
    assert.deepEqual(
      told.map(({ name, args }) => `${name} ${args.miner}`),
      [],
    )
    for (const { account } of network.miners) {
      const { stake, debt, collateralLimit } = await network.observer.read('Miners', 'minerOf', [account])
      assert.deepEqual({ stake, debt }, { stake: collateralLimit, debt: 0n })
    }
  }

  /** What each miner has counted of its tags. */
  async function counted(outcome: string): Promise<number[]> {
    const pattern = new RegExp(`^cumulus_miner_tags_total\\{outcome="${outcome}"\\} (\\d+)`, 'm')
    return Promise.all(network.miners.map(async ({ role }) => Number(pattern.exec(await role!.metrics())?.[1] ?? 0)))
  }

  it('are not challenged while it serves other powers than it registered', async () => {
    worker.serves = 'other'
    first = await network.write(STRIPES, 'light')
    // Signed and right: but nobody can check them.
    assert.deepEqual(new Set(await worker.deliver(first)), new Set(['ok']))
    await network.until('all have asked for powers', () => worker.asked.powers >= MINERS, LIMITS.tagged)
    await epochs(2)
    assert.equal(await network.areTagged(first), false)
    assert.deepEqual(await counted('confirmed'), Array(MINERS).fill(0))
    assert.deepEqual(await network.audits('Challenged'), [])
    await nobodyIsHarmed()
    worker.serves = 'registered'
    await network.until('what it sent before is tagged', () => network.areTagged(first), LIMITS.tagged)
    await pass(1)
  })

  it('keep the tags that passed when it sends others for them, and pass', async () => {
    const earlier = await counted('refused')
    assert.deepEqual(new Set(await worker.deliver(first, { wrong: true })), new Set(['BAD_TAGS']))
    assert.deepEqual(
      await counted('refused'),
      earlier.map((count) => count + STRIPES),
    )
    await pass(2)
    await nobodyIsHarmed()
  })

  it('confirm nothing that is wrong from the beginning, and are not asked for it', async () => {
    later = await network.write(LATER_STRIPES, 'light')
    assert.deepEqual(new Set(await worker.deliver(later, { wrong: true })), new Set(['ok']))
    const areDropped = async () => (await counted('wrong')).every((count) => count === LATER_STRIPES)
    await network.until('all wrong tags are found and dropped', areDropped, LIMITS.tagged)
    await pass(1)
    for (const { group, stripe } of later) {
      for (let seat = 0; seat < MINERS; seat++) {
        const word = await network.observer.read('Audit', 'taggedOf', [group, seat, 0])
        assert.equal((word >> BigInt(stripe)) & 1n, 0n)
      }
    }
    await nobodyIsHarmed()
  })

  it('go on proving while it answers nothing, also after a restart, and take right tags epochs late', async () => {
    worker.serves = 'never'
    const { powers } = worker.asked
    await network.stopMiner(0)
    await network.startMiner(0)
    await pass(3)
    // What was checked once lies on the disk.
    assert.equal(worker.asked.powers, powers)
    await nobodyIsHarmed()
    await network.until('all have dialled it again', () => worker.sessionCount === MINERS, LIMITS.start)
    assert.deepEqual(new Set(await worker.deliver(later)), new Set(['ok']))
    await network.until('what came late is tagged', () => network.areTagged([...first, ...later]), LIMITS.tagged)
    await pass(2)
    await nobodyIsHarmed()
  })
})
