import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { TAG_BYTES } from '@cumulus/podr2'
import type { Address } from '@cumulus/types'
import { audit, minerCause, minerState, miners, treasury } from '../../src/modules/index.ts'
import { Reverted } from '../framework/test-chain.ts'
import { AuditNetwork, blockOf, fragmentAt, placeOf, type Reader, readHonestly, tagsAt } from './audit-network.ts'
import { account } from './test-network.ts'

type Behaviour = 'honest' | 'drops' | 'stranger' | 'replays' | 'late' | 'off'
type Outcome = 'passed' | 'failed' | 'missed'

const MINERS = 12
const STRIPES = 20
const EPOCHS = 10
/** Its seat has lost one cell of twenty. */
const LOST_STRIPE = 7

const behaviourOf = (miner: Address): Behaviour =>
  (['honest', 'drops', 'stranger', 'replays', 'late', 'off'] as const)[Number(miner) % 100] ?? 'honest'

const all = Array.from({ length: MINERS }, (_, i) => account(i + 1))
const honest = all.filter((miner) => behaviourOf(miner) === 'honest')

const dropsOne: Reader = (entry, by, index) => {
  const read = readHonestly(entry, by, index)
  return entry.stripe === LOST_STRIPE ? { ...read, data: new Uint8Array(read.data.length) } : read
}
/** Data and tags of the neighbour's seat, which are right in their place. */
const anothers: Reader = (entry, by) => {
  const place = placeOf(entry.group, entry.stripe, (entry.seat + 1) % MINERS)
  const tag = tagsAt(place, by).subarray(entry.block * TAG_BYTES, (entry.block + 1) * TAG_BYTES)
  return { data: blockOf(fragmentAt(place), entry.block), tag }
}

/** Twelve miners over some epochs: what became of every challenge, as the test saw it. */
class Play {
  readonly network = new AuditNetwork({ minerCount: MINERS })
  readonly group: number
  readonly outcomes = new Map<Address, { epoch: number; outcome: Outcome }[]>(all.map((miner) => [miner, []]))
  readonly points = new Map<number, Map<Address, bigint>>()
  readonly #firstProofs = new Map<Address, Uint8Array>()
  readonly refusals: string[] = []
  readonly events: { name: string; args: Record<string, unknown> }[] = []

  constructor() {
    const { network } = this
    network.registerWorker()
    const land = network.mint()
    const first = network.store(16, land)
    const second = network.store(STRIPES - 16, land)
    this.group = first.group
    assert.equal(second.group, first.group)
    network.confirmAll({ group: first.group, stripes: [...first.stripes, ...second.stripes] })
  }

  run(): this {
    const { network } = this
    const late: { miner: Address; proof: Uint8Array; entries: `0x${string}`; atBlock: bigint }[] = []
    while (network.block.epoch < EPOCHS) {
      for (const event of network.tick()) {
        this.#note(event)
        if (event.name !== 'Challenged') continue
        const miner = event.args['miner'] as Address
        if (behaviourOf(miner) === 'late') {
          const proof = network.prove(network.asked(miner))
          late.push({
            miner,
            proof,
            entries: network.announced.get(miner)!.entries,
            atBlock: network.block.number + BigInt(network.params.audit.windowSlots),
          })
        } else {
          this.#answer(miner)
        }
      }
      for (const { miner, proof, entries } of late.filter(({ atBlock }) => atBlock === network.block.number)) {
        try {
          network.submit(miner, proof, { entries })
        } catch (error) {
          if (!(error instanceof Reverted)) throw error
          this.refusals.push(error.message)
        }
      }
    }
    return this
  }

  #answer(miner: Address): void {
    const { network } = this
    const asked = network.asked(miner)
    switch (behaviourOf(miner)) {
      case 'honest':
        network.submit(miner, network.prove(asked))
        break
      case 'drops':
        network.submit(miner, network.prove(asked, { read: dropsOne }))
        break
      case 'stranger':
        network.submit(miner, network.prove(asked, { read: anothers }))
        break
      case 'replays': {
        const proof = this.#firstProofs.get(miner) ?? network.prove(asked)
        this.#firstProofs.set(miner, proof)
        network.submit(miner, proof)
      }
    }
  }

  #note({ name, args }: { name: string; args: Record<string, unknown> }): void {
    this.events.push({ name, args })
    const outcome = ({ ProofPassed: 'passed', ProofFailed: 'failed', ProofMissed: 'missed' } as const)[
      name as 'ProofPassed'
    ]
    if (outcome === undefined) return
    this.outcomes.get(args['miner'] as Address)!.push({ epoch: Number(args['epoch']), outcome })
  }
}

/** Section 5 of the design, written down once more in the plainest way. */
function expected(outcomes: readonly Outcome[], limit: bigint) {
  let stake = limit
  let debt = 0n
  let failedInRow = 0
  let missedInRow = 0
  let isDead = false
  /** For each pass, whether the miner earned by it. */
  const earning: boolean[] = []
  const punish = (percent: bigint) => {
    const amount = (limit * percent) / 100n
    debt += amount > stake ? amount - stake : 0n
    stake -= amount > stake ? stake : amount
  }
  for (const outcome of outcomes) {
    if (outcome === 'passed') {
      failedInRow = 0
      missedInRow = 0
      earning.push(stake === limit)
    } else if (outcome === 'failed') {
      if (++failedInRow >= 2) punish(5n)
    } else {
      missedInRow++
      if (missedInRow === 2) punish(5n)
      if (missedInRow > 2) punish(15n)
      isDead ||= missedInRow === 5
    }
  }
  return { stake, debt, failedInRow, missedInRow, isDead, earning }
}

describe('over two eras, of twelve miners', () => {
  let play: Play
  const limit = () => play.network.minerOf(account(1)).collateralLimit
  const outcomesOf = (miner: Address) => play.outcomes.get(miner)!.map(({ outcome }) => outcome)
  before(() => {
    play = new Play().run()
  })

  it('the honest seven pass every audit, one an epoch, and lose nothing', () => {
    assert.equal(honest.length, 7)
    for (const miner of honest) {
      const epochs = play.outcomes.get(miner)!.map(({ epoch }) => epoch)
      assert.ok(epochs.length >= EPOCHS - 1, `${epochs}`)
      assert.equal(new Set(epochs).size, epochs.length)
      assert.ok(outcomesOf(miner).every((outcome) => outcome === 'passed'))
      const { state, cause, stake, debt } = play.network.minerOf(miner)
      assert.deepEqual(
        { state, cause, stake, debt },
        { state: minerState.active, cause: minerCause.none, stake: limit(), debt: 0n },
      )
    }
  })

  it('who has dropped a twentieth fails exactly when a lost block is asked for', () => {
    const miner = all.find((one) => behaviourOf(one) === 'drops')!
    const asked = play.events.filter(({ name, args }) => name === 'Challenged' && args['miner'] === miner)
    const hits = asked.map(({ args }) =>
      play.network.asked(miner, args as never).entries.some((e) => e.stripe === LOST_STRIPE),
    )
    const outcomes = outcomesOf(miner)
    assert.deepEqual(
      outcomes,
      hits.slice(0, outcomes.length).map((isHit) => (isHit ? 'failed' : 'passed')),
    )
    assert.ok(outcomes.includes('failed') && outcomes.includes('passed'), `${outcomes}`)
  })

  it("who answers with another's data fails every time", () => {
    const miner = all.find((one) => behaviourOf(one) === 'stranger')!
    assert.deepEqual(new Set(outcomesOf(miner)), new Set(['failed']))
  })

  it('who replays an old proof passes once', () => {
    const miner = all.find((one) => behaviourOf(one) === 'replays')!
    const [first, ...later] = outcomesOf(miner)
    assert.equal(first, 'passed')
    assert.deepEqual(new Set(later), new Set(['failed']))
  })

  it('who is late is refused, and who is off is missed; both are put out after five', () => {
    for (const behaviour of ['late', 'off'] as const) {
      const miner = all.find((one) => behaviourOf(one) === behaviour)!
      assert.deepEqual(outcomesOf(miner), ['missed', 'missed', 'missed', 'missed', 'missed'])
      assert.equal(play.network.minerOf(miner).state, minerState.dead)
      assert.equal(play.network.minerOf(miner).cause, minerCause.putOut)
      assert.equal(play.network.minerOf(miner).taggedUnits, 0)
    }
    assert.ok(play.refusals.length >= 5)
    for (const refusal of play.refusals) assert.match(refusal, /^TooLate\(/)
    const vacated = play.events.filter(({ name }) => name === 'SeatVacated')
    assert.equal(vacated.length, 2)
  })

  it('each has exactly the stake, debts and rows that section 5 leaves it', () => {
    for (const miner of all) {
      const { stake, debt, failedInRow, missedInRow, isDead } = expected(outcomesOf(miner), limit())
      const record = play.network.record(miner)
      const found = play.network.minerOf(miner)
      assert.deepEqual(
        { stake: found.stake, debt: found.debt, failedInRow: record.failedInRow, missedInRow: record.missedInRow },
        { stake, debt, failedInRow, missedInRow },
        behaviourOf(miner),
      )
      const frozen = stake < limit() && !isDead
      if (frozen) assert.equal(found.state, minerState.frozen)
      for (const outcome of ['passed', 'failed', 'missed'] as const) {
        assert.equal(record[outcome], outcomesOf(miner).filter((one) => one === outcome).length)
      }
    }
  })

  it('what is taken from stakes goes to the community', () => {
    const lost = all.reduce((sum, miner) => sum + limit() - play.network.minerOf(miner).stake, 0n)
    assert.ok(lost > 0n)
    const community = play.network.call(treasury, 'potOf', [2])
    const fromEras = [0n, 1n].reduce((sum, era) => sum + play.network.call(treasury, 'eraPotOf', [2, era]), 0n)
    assert.equal(community.held - fromEras, lost)
  })

  it('the first era is divided by power and passed audits', () => {
    const { network } = play
    const pot = network.call(treasury, 'eraPotOf', [1, 0n])
    assert.ok(pot > 0n)
    const rewarded = new Map<Address, bigint>()
    for (const { name, args } of play.events) {
      if (name !== 'Rewarded' || args['era'] !== 0n) continue
      rewarded.set(args['miner'] as Address, (args['nowAmount'] as bigint) + (args['lockedAmount'] as bigint))
    }
    // All have as much, so a passed audit is worth the same to everybody who earned by it.
    const passesInEra = passesByEra(play)
    const total = [...passesInEra.values()].reduce((sum, count) => sum + count, 0)
    for (const miner of all) {
      const share = (pot * BigInt(passesInEra.get(miner) ?? 0)) / BigInt(total)
      const { claimable, locked } = network.rewards(miner)
      if (rewarded.has(miner)) assert.equal(rewarded.get(miner), share, behaviourOf(miner))
      else assert.equal(claimable + locked, share, behaviourOf(miner))
    }
    assert.ok([...rewarded.values()].reduce((sum, amount) => sum + amount, 0n) <= pot)
  })

  it('what is claimed comes from the pot, and no token comes from nowhere', () => {
    const { network } = play
    network.toEpoch(EPOCHS + 7)
    const tokens = network.world.totalBalance()
    const pots = [0n, 1n, 2n].reduce((sum, era) => sum + network.call(treasury, 'eraPotOf', [1, era]), 0n)
    let paid = 0n
    for (const miner of all) {
      const { claimable, locked } = network.rewards(miner)
      const before = network.world.getBalance(miner)
      const { debt } = network.minerOf(miner)
      if (claimable === 0n) {
        assert.throws(() => network.call(audit, 'claim', [], { from: miner }), /NothingToClaim/)
        continue
      }
      network.call(audit, 'claim', [], { from: miner })
      const forDebt = claimable < debt ? claimable : debt
      assert.equal(network.world.getBalance(miner) - before, claimable - forDebt)
      assert.equal(network.minerOf(miner).debt, debt - forDebt)
      assert.deepEqual(network.rewards(miner), { claimable: 0n, locked, paid: claimable - forDebt })
      paid += claimable
    }
    assert.ok(paid > 0n && paid <= pots)
    assert.equal(network.world.totalBalance(), tokens)
    const stakes = network.call(miners, 'miners', [0n, 100n]).reduce((sum, { stake }) => sum + stake, 0n)
    assert.equal(network.world.getBalance(miners.address), stakes)
  })
})

/** Audits that earned, and were verified in the first era: points count when the chain sees the proof. */
function passesByEra(play: Play): Map<Address, number> {
  const counts = new Map<Address, number>()
  const { network } = play
  for (const miner of all) {
    const limit = network.minerOf(miner).collateralLimit
    const outcomes = play.outcomes.get(miner)!
    const { earning } = expected(
      outcomes.map(({ outcome }) => outcome),
      limit,
    )
    const passes = outcomes.filter(({ outcome }) => outcome === 'passed')
    counts.set(miner, passes.filter(({ epoch }, i) => earning[i] && epoch < network.params.epochsPerEra).length)
  }
  return counts
}
