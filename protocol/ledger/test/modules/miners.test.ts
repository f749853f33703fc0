import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bytesToHex } from '@cumulus/bytes'
import { minimal } from '@cumulus/params'
import { minerCause, minerState, miners, storage } from '../../src/modules/index.ts'
import { account, bytes32, owner, peerKeyOf, stranger, TestNetwork } from './test-network.ts'

const one = account(1)
const zero = account(0)

describe('a miner', () => {
  it('registers with its stake, and is found by account, by peer key and in the list', () => {
    const network = new TestNetwork()
    const { events } = network.registerMiner(one, { units: 10 })
    const peerKey = bytesToHex(peerKeyOf(one).publicKey)
    assert.deepEqual(events, [{ name: 'MinerRegistered', args: { account: one, peerKey, declaredUnits: 10 } }])
    const miner = {
      account: one,
      peerKey,
      beneficiary: one,
      addresses: '/ip4/127.0.0.1/tcp/1',
      region: 'eu',
      state: minerState.active,
      declaredUnits: 10,
      idleUnits: 10,
      lockedUnits: 0,
      serviceUnits: 0,
      stake: 10n * minimal.stakePerUnit,
      registeredAtBlock: 1n,
      taggedUnits: 0,
      cause: minerCause.none,
      collateralLimit: 10n * minimal.stakePerUnit,
      debt: 0n,
    }
    assert.deepEqual(network.minerOf(one), miner)
    assert.deepEqual(network.call(miners, 'minerByPeerKey', [peerKey]), miner)
    assert.deepEqual(network.call(miners, 'miners', [0n, 100n]), [miner])
    assert.equal(network.call(miners, 'minerCount', []), 1n)
    assert.equal(network.world.getBalance(miners.address), miner.stake)
  })

  it('that does not exist is all zeros', () => {
    const network = new TestNetwork({ minerCount: 1 })
    const { account: found, state, peerKey, stake } = network.minerOf(stranger)
    assert.deepEqual({ found, state, peerKey, stake }, { found: zero, state: 0, peerKey: bytes32(0), stake: 0n })
    assert.equal(network.call(miners, 'minerByPeerKey', [bytes32(5)]).account, zero)
  })

  it('cannot register twice, with a foreign key, without stake, without units, or with endless texts', () => {
    const network = new TestNetwork({ minerCount: 1 })
    const two = account(2)
    const value = minimal.stakePerUnit
    network.fund(one, 10n * value)
    network.fund(two, 10n * value)
    const key = bytesToHex(peerKeyOf(two).publicKey)
    const valid = [key, '', two, 1, '', network.peerSignature(two)] as const
    const attempt = (changes: Partial<Record<number, unknown>>, options: object = {}) => {
      const args = valid.map((value, i) => (i in changes ? changes[i] : value)) as unknown as typeof valid
      return () => network.call(miners, 'register', [...args], { from: two, value, ...options })
    }
    assert.throws(attempt({}, { from: one }), /already registered/)
    assert.throws(attempt({ 0: bytesToHex(peerKeyOf(one).publicKey) }), /belongs to another miner/)
    assert.throws(attempt({ 0: bytes32(0) }), /peer key is zero/)
    assert.throws(attempt({}, { from: stranger }), /did not sign for this account/)
    assert.throws(attempt({ 5: '0x1234' }), /did not sign/)
    assert.throws(attempt({ 5: network.peerSignature(two, peerKeyOf(one)) }), /did not sign/)
    assert.throws(attempt({}, { value: value - 1n }), /StakeTooLow\(10000000000000000,9999999999999999\)/)
    assert.throws(attempt({ 3: 0 }), /no units declared/)
    assert.throws(attempt({ 1: 'x'.repeat(1025) }), /addresses is longer than 1024 bytes/)
    assert.throws(attempt({ 4: 'ö'.repeat(33) }), /region is longer than 64 bytes/)
    attempt({})()
    assert.equal(network.call(miners, 'minerCount', []), 2n)
  })

  it('is its own beneficiary unless it names one', () => {
    const network = new TestNetwork()
    network.registerMiner(one, { beneficiary: zero })
    assert.equal(network.minerOf(one).beneficiary, one)
    network.call(miners, 'setBeneficiary', [owner], { from: one })
    assert.equal(network.minerOf(one).beneficiary, owner)
    assert.throws(() => network.call(miners, 'setBeneficiary', [zero], { from: one }), /beneficiary is zero/)
  })

  it('changes its addresses and region', () => {
    const network = new TestNetwork({ minerCount: 1 })
    network.call(miners, 'update', ['/ip4/10.0.0.1/tcp/2', 'asia'], { from: one })
    const { addresses, region } = network.minerOf(one)
    assert.deepEqual({ addresses, region }, { addresses: '/ip4/10.0.0.1/tcp/2', region: 'asia' })
    assert.throws(() => network.call(miners, 'update', ['', 'x'.repeat(65)], { from: one }), /region is longer/)
    assert.throws(() => network.call(miners, 'update', ['', ''], { from: stranger }), /not a miner/)
  })

  it('declares more units with more stake, and fewer down to those in use', () => {
    const network = new TestNetwork({ minerCount: 12, units: 20 })
    network.fund(one, 100n * minimal.stakePerUnit)
    const declare = (units: number, value = 0n) => network.call(miners, 'declareUnits', [units], { from: one, value })
    assert.throws(() => declare(21), /StakeTooLow/)
    declare(25, 5n * minimal.stakePerUnit)
    assert.equal(network.minerOf(one).idleUnits, 25)
    const { group } = network.reserve(network.mint(), 8)
    assert.equal(group, 1)
    declare(8)
    const { idleUnits, lockedUnits, declaredUnits, stake } = network.minerOf(one)
    assert.deepEqual(
      { idleUnits, lockedUnits, declaredUnits, stake },
      { idleUnits: 0, lockedUnits: 8, declaredUnits: 8, stake: 25n * minimal.stakePerUnit },
    )
    assert.throws(() => declare(7), /UnitsInUse\(8,0\)/)
    assert.throws(() => declare(0), /no units declared/)
    network.call(miners, 'topUp', [], { from: one, value: 3n })
    assert.equal(network.minerOf(one).stake, 25n * minimal.stakePerUnit + 3n)
  })

  it('leaves with its stake if nothing is kept there, and may come back', () => {
    const network = new TestNetwork({ minerCount: 3 })
    const { stake } = network.minerOf(one)
    const { events } = network.transact(miners, 'exit', [], { from: one })
    assert.deepEqual(events, [{ name: 'MinerStateChanged', args: { account: one, state: minerState.none } }])
    assert.equal(network.world.getBalance(one), stake)
    assert.equal(network.minerOf(one).account, zero)
    assert.deepEqual(
      network.call(miners, 'miners', [0n, 100n]).map((miner) => miner.account),
      [account(3), account(2)],
    )
    network.registerMiner(one)
    assert.equal(network.call(miners, 'minerCount', []), 3n)
    for (const number of [3, 2, 1]) network.call(miners, 'exit', [], { from: account(number) })
    assert.equal(network.world.slotsOf(miners.address).size, 0)
    assert.equal(network.world.getBalance(miners.address), 0n)
  })

  it('with units in use is Exiting: drawn for nothing new, gone once the last unit is free', () => {
    const network = new TestNetwork({ minerCount: 12, units: 20 })
    const territory = network.mint()
    const { group, firstStripe } = network.reserve(territory, 4)
    network.call(miners, 'exit', [], { from: one })
    assert.equal(network.minerOf(one).state, minerState.exiting)
    assert.throws(() => network.call(miners, 'exit', [], { from: one }), /UnitsInUse\(4,0\)/)
    assert.throws(() => network.call(miners, 'declareUnits', [30], { from: one }), /not active/)
    assert.throws(() => network.reserve(territory, 1), /NoRoom\(12,11,1\)/)
    network.call(storage, 'release', [group, [0, 1, 2, 3].map((i) => firstStripe + i)], { from: owner })
    network.call(miners, 'exit', [], { from: one })
    assert.equal(network.minerOf(one).state, minerState.none)
  })

  it('list comes in pages of at most 100', () => {
    const network = new TestNetwork({ minerCount: 5 })
    const page = (offset: bigint, limit: bigint) =>
      network.call(miners, 'miners', [offset, limit]).map((miner) => Number(miner.account))
    assert.deepEqual(page(1n, 2n), [2, 3])
    assert.deepEqual(page(4n, 100n), [5])
    assert.deepEqual(page(5n, 1n), [])
    assert.deepEqual(page(2n ** 255n, 1n), [])
    assert.throws(() => page(0n, 101n), /limit is over 100/)
  })
})
