import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import { minimal, type Params } from '@cumulus/params'
import type { Address } from '@cumulus/types'
import fc from 'fast-check'
import { encodeFunctionData } from 'viem'
import { intrinsicGas } from '../../src/chain/execute-transaction.ts'
import { module } from '../../src/framework/index.ts'
import { definition } from '../../src/modules/audit-state.ts'
import { audit, minerCause, minerState, miners, modulesFor, storage, treasury } from '../../src/modules/index.ts'
import { earn } from '../../src/modules/rewards.ts'
import { AuditNetwork } from './audit-network.ts'
import { account, owner, stranger } from './test-network.ts'

const ERA = minimal.epochsPerEra
const one = account(1)
const two = account(2)

/** Audits in which whoever the test says has passed: points come without challenges. */
class EarningNetwork extends AuditNetwork {
  constructor(params: Params = minimal, minerCount = 3) {
    super({ params, minerCount })
  }

  earn(miner: Address, points: bigint, cost = 0n): void {
    const probe = module({ ...definition.definition, storage: definition.definition.storage }).onBlock((c) =>
      earn(c as never, miner, points, cost),
    )
    this.endHooks([probe])
  }

  /** An era further, its pots filled. */
  nextEra(eras = 1): void {
    for (let i = 0; i < eras; i++) {
      this.advance({ epochs: ERA - (this.block.epoch % ERA), blocks: 1n })
      this.endHooks(modulesFor(this.params).slice(0, 1))
    }
  }

  pot(era: number): bigint {
    return this.call(treasury, 'eraPotOf', [1, BigInt(era)])
  }

  claim(miner: Address): bigint {
    return this.call(audit, 'claim', [], { from: miner })
  }
}

describe('a reward', () => {
  it('is a share of the pot of the era by points; half of it is free at once', () => {
    const network = new EarningNetwork()
    network.earn(one, 30n)
    network.earn(one, 30n)
    network.earn(two, 40n)
    assert.deepEqual(network.rewards(one), { claimable: 0n, locked: 0n, paid: 0n })
    assert.throws(() => network.claim(one), /NothingToClaim/)
    network.nextEra()
    const pot = network.pot(0)
    const share = (pot * 60n) / 100n
    const now = share / 2n
    assert.deepEqual(network.rewards(one), { claimable: now, locked: share - now, paid: 0n })
    const before = network.world.getBalance(one)
    const { events } = network.transact(audit, 'claim', [], { from: one })
    assert.deepEqual(events, [
      { name: 'Rewarded', args: { miner: one, era: 0n, nowAmount: now, lockedAmount: share - now } },
      { name: 'RewardClaimed', args: { miner: one, to: one, amount: now } },
    ])
    assert.equal(network.world.getBalance(one) - before, now)
    assert.deepEqual(network.rewards(one), { claimable: 0n, locked: share - now, paid: now })
    assert.throws(() => network.claim(stranger), /NothingToClaim/)
  })

  it('comes free evenly over ninety days of epochs, and all of it in the end', () => {
    const network = new EarningNetwork()
    network.earn(one, 1n)
    network.nextEra()
    const { claimable, locked } = network.rewards(one)
    network.claim(one)
    const lock = BigInt(minimal.audit.rewardLockEpochs)
    let paid = claimable
    for (const epochs of [1, 7, 500, 1_000, 651]) {
      network.advance({ epochs })
      const elapsed = BigInt(network.block.epoch - ERA)
      paid += network.claim(one)
      assert.equal(paid, claimable + (locked * elapsed) / lock)
    }
    network.advance({ epochs: 10_000 })
    paid += network.claim(one)
    assert.equal(paid, claimable + locked)
    assert.deepEqual(network.rewards(one), { claimable: 0n, locked: 0n, paid })
    assert.throws(() => network.claim(one), /NothingToClaim/)
  })

  it('goes to the beneficiary of the moment, and to the account when the miner has left', () => {
    const network = new EarningNetwork()
    network.earn(one, 1n)
    network.nextEra()
    network.call(miners, 'setBeneficiary', [stranger], { from: one })
    const before = network.world.getBalance(stranger)
    const paid = network.claim(one)
    assert.equal(network.world.getBalance(stranger) - before, paid)
    network.call(miners, 'exit', [], { from: one })
    network.advance({ epochs: 100 })
    const own = network.world.getBalance(one)
    assert.equal(network.claim(one), network.world.getBalance(one) - own)
  })

  it('gives back what accepted proofs cost before it is divided, as far as the pot goes', () => {
    const network = new EarningNetwork()
    network.earn(one, 1n, 500n)
    network.earn(one, 0n, 300n)
    network.earn(two, 3n, 200n)
    network.nextEra()
    const pot = network.pot(0) - 1_000n
    const share = pot / 4n
    assert.deepEqual(network.rewards(one), { claimable: 800n + share / 2n, locked: share - share / 2n, paid: 0n })
    const dear = network.pot(0)
    network.earn(one, 1n, dear)
    network.earn(two, 1n, 3n * dear)
    network.nextEra()
    const before = network.rewards(two).claimable
    assert.equal(before >= (network.pot(1) * 3n) / 4n, true)
    const sum = network.claim(one) + network.claim(two)
    assert.ok(sum <= network.pot(0) + network.pot(1))
  })

  it('covers the base fee of a proof’s transaction, but for a thousand gas', () => {
    const network = new AuditNetwork()
    network.registerWorker()
    const { group, stripes } = network.store(4)
    network.confirmAll({ group, stripes })
    network.tick()
    network.block = { ...network.block, baseFee: 7n }
    const [miner, { seed, entries }] = [...network.announced][0]!
    const proof = network.prove(network.asked(miner))
    const { gasUsed } = network.submit(miner, proof)
    const args = [seed, entries, 0n, bytesToHex(proof)] as const
    const data = hexToBytes(encodeFunctionData({ abi: audit.abi, functionName: 'submitProof', args }))
    const { intrinsic } = intrinsicGas({ to: audit.address, data, accessList: [], authorizations: [] })
    network.toEpoch(ERA)
    network.tick()
    // All points of the era are its own: what it gets above the halves of the pot is the cost.
    const { claimable, locked } = network.rewards(miner)
    const pot = network.call(treasury, 'eraPotOf', [1, 0n])
    assert.ok(claimable + locked <= pot && claimable + locked >= pot - 1n)
    const cost = claimable - locked
    const paid = (gasUsed + intrinsic) * 7n
    assert.ok(cost <= paid && cost > paid - 7n * 1_000n, `${cost} of ${paid}`)
  })

  it('waits until the era’s pot is known', () => {
    const network = new EarningNetwork()
    network.earn(one, 1n)
    network.advance({ epochs: 3 * ERA })
    assert.equal(network.rewards(one).claimable, 0n)
    network.earn(one, 1n)
    for (let i = 0; i < 4; i++) network.endHooks(modulesFor(network.params).slice(0, 1))
    // Two eras have passed since its vesting began, though nobody could know how much it is.
    const half = network.pot(0) / 2n
    const vested = (half * BigInt(2 * ERA)) / BigInt(minimal.audit.rewardLockEpochs)
    assert.equal(network.rewards(one).claimable, half + vested)
    network.nextEra()
    network.claim(one)
    assert.ok(network.rewards(one).paid > network.pot(0) / 2n)
  })

  it('is never more than the pots, never less than what was shown, and the same whenever it is claimed', () => {
    const step = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constant('earn' as const),
          miner: fc.nat(2),
          points: fc.bigInt(0n, 10n ** 9n),
          cost: fc.oneof(fc.constant(0n), fc.bigInt(0n, 10n ** 24n)),
        }),
      },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('claim' as const), miner: fc.nat(2) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('era' as const), eras: fc.integer({ min: 1, max: 4 }) }) },
      {
        weight: 1,
        arbitrary: fc.record({ do: fc.constant('epochs' as const), epochs: fc.integer({ min: 1, max: 20 }) }),
      },
    )
    // A lock of five eras: many vestings begin and end.
    const params = { ...minimal, audit: { ...minimal.audit, rewardLockEpochs: 5 * ERA + 1 } }
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) => {
        const often = new EarningNetwork(params, 0)
        const seldom = new EarningNetwork(params, 0)
        const claimed = [0n, 0n, 0n]
        for (const one of steps) {
          for (const network of [often, seldom]) {
            if (one.do === 'earn') network.earn(account(one.miner + 1), one.points, one.cost)
            else if (one.do === 'era') network.nextEra(one.eras)
            else if (one.do === 'epochs') {
              const left = ERA - (network.block.epoch % ERA) - 1
              network.advance({ epochs: Math.min(one.epochs, left) })
            }
          }
          if (one.do !== 'claim') continue
          const miner = account(one.miner + 1)
          const { claimable, locked } = often.rewards(miner)
          if (claimable === 0n) continue
          assert.equal(often.claim(miner), claimable)
          assert.equal(often.rewards(miner).locked, locked)
          claimed[one.miner]! += claimable
        }
        // Everything there is, in the end.
        for (const network of [often, seldom]) network.nextEra(7)
        const eras = Array.from({ length: often.block.era }, (_, era) => often.pot(era))
        let total = 0n
        for (const [index, before] of claimed.entries()) {
          const miner = account(index + 1)
          for (const network of [often, seldom]) {
            // More eras than one call settles.
            while (network.rewards(miner).claimable > 0n) network.claim(miner)
            assert.equal(network.rewards(miner).locked, 0n)
          }
          const { paid } = seldom.rewards(miner)
          assert.equal(often.rewards(miner).paid, paid)
          assert.ok(paid >= before)
          total += paid
        }
        assert.ok(total <= eras.reduce((sum, pot) => sum + pot, 0n))
        assert.equal(often.call(treasury, 'potOf', [1]).paid, total)
      }),
      { numRuns: 30 },
    )
  })
})

describe('a miner that was punished', () => {
  /** Below the limit, as it would be after two proofs that failed. */
  function punished(basisPoints: number) {
    const network = new EarningNetwork()
    const services = module({ name: 'Probe', address: account(999), storage: {} }).onBlock((c) => {
      c.ask(miners).penalise(one, basisPoints)
    })
    network.endHooks([services])
    const { collateralLimit } = network.minerOf(one)
    network.fund(one, 10n * collateralLimit)
    return { network, limit: collateralLimit, again: () => network.endHooks([services]) }
  }

  it('is frozen: no stripes, no rewards, until it tops up', () => {
    const { network, limit } = punished(500)
    const { state, cause, stake, debt } = network.minerOf(one)
    assert.deepEqual(
      { state, cause, stake, debt },
      { state: minerState.frozen, cause: minerCause.stakeBelowLimit, stake: (limit * 95n) / 100n, debt: 0n },
    )
    assert.equal(network.call(audit, 'powerOf', [one]), 0n)
    network.call(miners, 'topUp', [], { from: one, value: limit / 20n - 1n })
    assert.equal(network.minerOf(one).state, minerState.frozen)
    const { events } = network.transact(miners, 'topUp', [], { from: one, value: 1n })
    assert.deepEqual(
      events.map(({ name }) => name),
      ['MinerStateChanged', 'MinerUpdated'],
    )
    assert.equal(network.minerOf(one).state, minerState.active)
  })

  it('may as well declare less', () => {
    const { network } = punished(500)
    network.call(miners, 'declareUnits', [95], { from: one })
    assert.equal(network.minerOf(one).state, minerState.active)
  })

  it('owes what its stake does not cover, and pays debts before anything else', () => {
    const { network, limit, again } = punished(8_000)
    again()
    const { stake, debt, cause } = network.minerOf(one)
    assert.deepEqual({ stake, debt, cause }, { stake: 0n, debt: (limit * 6n) / 10n, cause: minerCause.debt })
    for (let i = 0; i < 5; i++) again()
    assert.equal(network.minerOf(one).debt, limit, 'never more than the limit')
    assert.throws(() => network.call(miners, 'exit', [], { from: one }), /InDebt/)
    assert.throws(() => network.call(miners, 'declareUnits', [1], { from: one }), /InDebt/)
    const community = () => network.call(treasury, 'potOf', [2]).held
    const before = community()
    network.call(miners, 'topUp', [], { from: one, value: limit / 4n })
    assert.equal(network.minerOf(one).debt, (limit * 3n) / 4n)
    assert.equal(community() - before, limit / 4n)
    network.call(miners, 'topUp', [], { from: one, value: (limit * 3n) / 4n + 5n })
    assert.deepEqual([network.minerOf(one).debt, network.minerOf(one).stake], [0n, 5n])
  })

  it('pays debts out of its rewards', () => {
    const { network, limit, again } = punished(10_000)
    again()
    network.earn(one, 1n)
    network.nextEra()
    const { claimable } = network.rewards(one)
    assert.ok(claimable > limit)
    const before = network.world.getBalance(one)
    const community = network.call(treasury, 'potOf', [2]).held
    const { events } = network.transact(audit, 'claim', [], { from: one })
    assert.equal(network.world.getBalance(one) - before, claimable - limit)
    assert.equal(network.call(treasury, 'potOf', [2]).held - community, limit)
    assert.equal(network.minerOf(one).debt, 0n)
    assert.equal(network.rewards(one).paid, claimable - limit)
    assert.equal(events.at(-1)!.args['amount'], claimable - limit)
    // Nothing is owed, but the stake is still gone.
    assert.equal(network.minerOf(one).cause, minerCause.stakeBelowLimit)
  })

  it('that was put out gets the rest of its stake when nothing of it is in use', () => {
    const network = new EarningNetwork(minimal, 12)
    network.registerWorker()
    const { group, stripes } = network.store(2)
    network.endHooks([
      module({ name: 'Probe', address: account(999), storage: {} }).onBlock((c) => c.ask(miners).putOut(one)),
    ])
    assert.equal(network.minerOf(one).cause, minerCause.putOut)
    assert.throws(() => network.call(miners, 'exit', [], { from: one }), /UnitsInUse\(0,2\)/)
    assert.throws(() => network.call(miners, 'declareUnits', [100], { from: one }), /not active/)
    assert.throws(() => network.confirm(one, group, stripes), /the miner was put out/)
    assert.throws(() => network.reserve(network.mint(), 1), /NoRoom\(12,11,1\)/)
    network.call(storage, 'release', [group, stripes], { from: owner })
    const { stake } = network.minerOf(one)
    const before = network.world.getBalance(one)
    network.call(miners, 'exit', [], { from: one })
    assert.equal(network.world.getBalance(one) - before, stake)
    assert.equal(network.minerOf(one).state, minerState.none)
  })
})
