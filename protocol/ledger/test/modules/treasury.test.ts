import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { allocationAmount, mainnet, mainnetAllocations, minimal, type Params, presets } from '@cumulus/params'
import fc from 'fast-check'
import { module } from '../../src/framework/index.ts'
import { eraIssuance, GOVERNANCE_ADDRESS, modulesFor, parameters, potKind, treasury } from '../../src/modules/index.ts'
import { divide } from '../../src/modules/issuance.ts'
import { TestChain } from '../framework/test-chain.ts'
import { account, owner, stranger, TestNetwork, TOKEN } from './test-network.ts'

const { economy } = mainnet

/** What years 0 to `years` - 1 issue together. */
function issuedIn(years: number): bigint {
  let sum = 0n
  for (let year = 0; year < years; year++) {
    sum += BigInt(economy.erasPerYear) * eraIssuance(economy, year * economy.erasPerYear)
  }
  return sum
}

/** Pays out of pots at anybody's wish. */
const payer = module({ name: 'Payer', address: '0x0000000000000000000000000000000000000cfe', storage: {} }).fn(
  'function pay(address to, uint256 amount) returns (uint256)',
  0,
  (c, to, amount) => c.ask(treasury).pay('miners', to, amount),
)

class TreasuryNetwork extends TestNetwork {
  /** Ends as many eras, in one block each. */
  endEras(count: number) {
    const logs = []
    for (let i = 0; i < count; i++) {
      this.advance({ blocks: 1n, epochs: this.params.epochsPerEra })
      logs.push(...this.endBlock())
    }
    return this.events(logs, [treasury])
  }

  setParameter(name: string, value: bigint) {
    return this.transact(parameters, 'set', [name, value], { from: GOVERNANCE_ADDRESS })
  }

  supply() {
    return this.call(treasury, 'supply', [])
  }

  pots() {
    return Object.values(potKind).reduce((sum, kind) => sum + this.call(treasury, 'potOf', [kind]).held, 0n)
  }
}

describe('the issuance schedule', () => {
  it('gives 324,688 tokens to storage in each era of the first year', () => {
    assert.equal((eraIssuance(economy, 0) * 2n) / 3n, 324_688n * TOKEN)
    assert.equal(eraIssuance(economy, economy.erasPerYear - 1), eraIssuance(economy, 0))
  })

  it('falls by the decay each year and by half every four', () => {
    const ofYear = (year: number) => eraIssuance(economy, year * economy.erasPerYear)
    for (let year = 0; year < 40; year++) {
      assert.ok(ofYear(year + 1) < ofYear(year))
      if (year % 4 !== 3) assert.equal(ofYear(year + 1), (ofYear(year) * 841n) / 1000n)
      const half = ofYear(year) / 2n
      const difference = half - ofYear(year + 4)
      assert.ok(difference >= -3n && difference <= 3n, `year ${year}`)
    }
  })

  it('never adds up to more than the cap leaves, however long the chain lives', () => {
    const forever = issuedIn(1_000)
    assert.equal(issuedIn(1_100), forever)
    assert.ok(forever <= 4_480_000_000n * TOKEN)
    // The table of CESS gives 55 % out in genesis and leaves 45 % for storage and consensus.
    const given = mainnetAllocations.reduce((sum, part) => sum + allocationAmount(part), 0n)
    assert.equal(given, 5_500_000_000n * TOKEN)
    assert.ok(given + forever <= mainnet.economy.supplyCap)
    assert.ok(forever > 4_470_000_000n * TOKEN)
    fc.assert(
      fc.property(fc.nat(2 ** 40), fc.nat(2 ** 40), (a, b) => {
        const [early, late] = a < b ? [a, b] : [b, a]
        assert.ok(eraIssuance(economy, late) <= eraIssuance(economy, early))
      }),
    )
    assert.equal(eraIssuance(economy, Number.MAX_SAFE_INTEGER), 0n)
  })

  it('cuts amounts into parts that add up', () => {
    const weights = fc.array(fc.bigInt(0n, 1_000_000n), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 100n), weights, (amount, weights) => {
        const parts = divide(amount, weights)
        const sum = weights.reduce((a, b) => a + b)
        assert.equal(
          parts.reduce((a, b) => a + b),
          sum === 0n ? 0n : amount,
        )
        for (const [i, part] of parts.entries()) assert.ok(part >= 0n && (weights[i]! > 0n || part === 0n))
      }),
    )
  })
})

describe('the treasury', () => {
  it('issues each era when it is over, divided by weight', () => {
    const network = new TreasuryNetwork()
    const before = network.world.totalBalance()
    const [issued, ...rest] = network.endEras(1)
    assert.equal(rest.length, 0)
    const amount = eraIssuance(minimal.economy, 0)
    assert.deepEqual(issued!.args, {
      era: 0n,
      amount,
      toValidators: amount / 3n,
      toMiners: (amount / 3n) * 2n,
      toCommunity: 0n,
    })
    assert.equal(network.world.totalBalance() - before, amount)
    assert.equal(network.call(treasury, 'issuedOf', [0n]), amount)
    assert.equal(network.call(treasury, 'eraPotOf', [potKind.miners, 0n]), 324_688n * TOKEN)
    assert.equal(network.call(treasury, 'eraPotOf', [potKind.miners, 1n]), 0n)
    assert.equal(network.call(treasury, 'nextEra', []), 1n)
    assert.equal(network.endBlock().length, 0, 'and once only')
  })

  it('catches up after a standstill, one era a block', () => {
    const network = new TreasuryNetwork()
    network.advance({ blocks: 1n, epochs: 5 * minimal.epochsPerEra + 1 })
    for (let era = 0; era < 5; era++) {
      assert.equal(network.call(treasury, 'nextEra', []), BigInt(era))
      assert.deepEqual(network.events(network.endBlock(), [treasury])[0]!.args['era'], BigInt(era))
    }
    assert.equal(network.endBlock().length, 0)
  })

  it('divides the rent of an era between miners, community and nobody', () => {
    const network = new TreasuryNetwork()
    network.mint({ stripes: 100 })
    const rent = network.call(treasury, 'received', [])
    assert.ok(rent > 0n)
    const before = network.world.totalBalance()
    const events = network.endEras(1)
    const { toMiners, toCommunity, burnt } = events[1]!.args as Record<string, bigint>
    assert.deepEqual([toCommunity, burnt], [(rent * 20n) / 100n, (rent * 10n) / 100n])
    assert.equal(toMiners! + toCommunity! + burnt!, rent)
    assert.deepEqual(network.call(treasury, 'burnt', []), [burnt, 0n])
    assert.equal(network.world.totalBalance() - before, eraIssuance(minimal.economy, 0) - burnt!)
    assert.equal(network.endEras(1).length, 1, 'no rent, no division')
  })

  it('follows the weights that governance sets', () => {
    const network = new TreasuryNetwork()
    network.setParameter('treasury.issuance.community', 1n)
    network.setParameter('treasury.issuance.miners', 0n)
    const amount = eraIssuance(minimal.economy, 0)
    const { args } = network.endEras(1)[0]!
    assert.deepEqual([args['toValidators'], args['toMiners'], args['toCommunity']], [amount / 2n, 0n, amount / 2n])
    for (const name of ['validators', 'community']) network.setParameter(`treasury.issuance.${name}`, 0n)
    for (const name of ['miners', 'community', 'burn']) network.setParameter(`treasury.rent.${name}`, 0n)
    network.mint({ stripes: 100 })
    assert.equal(network.endEras(1).length, 0, 'nothing is issued, and rent waits')
    network.setParameter('treasury.rent.burn', 1n)
    assert.equal(network.endEras(1)[0]!.args['burnt'], network.call(treasury, 'received', []))
  })

  it('pays no more than a pot holds', () => {
    const chain = new TestChain([...modulesFor(minimal), payer])
    assert.equal(chain.call(payer, 'pay', [stranger, 1n]), 0n)
    chain.advance({ epochs: minimal.epochsPerEra })
    chain.endBlock()
    const { held } = chain.call(treasury, 'potOf', [potKind.miners])
    assert.equal(chain.call(payer, 'pay', [stranger, held - 1n]), held - 1n)
    assert.equal(chain.call(payer, 'pay', [stranger, 5n]), 1n)
    assert.equal(chain.call(payer, 'pay', [stranger, 5n]), 0n)
    assert.equal(chain.world.getBalance(stranger), held)
    assert.deepEqual(chain.call(treasury, 'potOf', [potKind.miners]), { held: 0n, received: held, paid: held })
  })

  it("lets governance alone spend what is the community's", () => {
    const network = new TreasuryNetwork()
    network.setParameter('treasury.issuance.community', 1n)
    network.endEras(1)
    const { held } = network.call(treasury, 'potOf', [potKind.community])
    const to = account(77)
    assert.throws(() => network.call(treasury, 'spend', [to, 1n], { from: owner }), /only governance/)
    const from = GOVERNANCE_ADDRESS
    assert.throws(() => network.call(treasury, 'spend', [to, held + 1n], { from }), /not so much/)
    network.call(treasury, 'spend', [to, held], { from })
    assert.equal(network.world.getBalance(to), held)
    assert.throws(() => network.call(treasury, 'potOf', [3]), /no such pot/)
    assert.throws(() => network.call(treasury, 'eraPotOf', [3, 0n]), /no such pot/)
  })

  it('stops at the cap, genesis included', () => {
    const allocated = economy.supplyCap - eraIssuance(economy, 0) - 5n
    const params: Params = { ...minimal, faucetGrant: 0n }
    const chain = new TestChain(modulesFor(params), { params, genesis: { allocated } })
    const issued = [1, 2, 3].map(() => {
      chain.advance({ epochs: params.epochsPerEra })
      chain.endBlock()
      return chain.call(treasury, 'supply', []).issued
    })
    assert.deepEqual(issued, [economy.supplyCap - allocated - 5n, economy.supplyCap - allocated, issued[1]])
    const beyond = { params, genesis: { allocated: economy.supplyCap + 1n } }
    assert.throws(() => new TestChain(modulesFor(params), beyond), /more than the cap/)
    for (const params of Object.values(presets)) {
      const supply = new TestChain(modulesFor(params), { params }).call(treasury, 'supply', [])
      assert.equal(supply.genesis, params.faucetGrant * 1_000_000n)
    }
  })

  it('keeps count of every token: supply changes by issuance less what is burnt, and pots are covered', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('rent' as const), stripes: fc.integer({ min: 1, max: 50 }) }),
      fc.record({ kind: fc.constant('era' as const), count: fc.integer({ min: 1, max: 3 }) }),
      fc.record({
        kind: fc.constant('weight' as const),
        name: fc.constantFrom('issuance.validators', 'issuance.community', 'rent.miners', 'rent.burn'),
        value: fc.bigInt(0n, 5n),
      }),
      fc.record({ kind: fc.constant('spend' as const), percent: fc.bigInt(0n, 100n) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const network = new TreasuryNetwork()
        // What the test network gives its accounts comes from outside.
        const outside = network.world.totalBalance() - network.supply().current
        for (const step of steps) {
          if (step.kind === 'rent') network.mint({ stripes: step.stripes })
          if (step.kind === 'era') network.endEras(step.count)
          if (step.kind === 'weight') network.setParameter(`treasury.${step.name}`, step.value)
          if (step.kind === 'spend') {
            const { held } = network.call(treasury, 'potOf', [potKind.community])
            network.call(treasury, 'spend', [stranger, (held * step.percent) / 100n], { from: GOVERNANCE_ADDRESS })
          }
          const supply = network.supply()
          assert.equal(network.world.totalBalance() - outside, supply.current)
          assert.ok(supply.genesis + supply.issued <= supply.cap)
          assert.ok(network.world.getBalance(treasury.address) >= network.pots())
        }
        // Everything divided: the pots are the balance.
        network.setParameter('treasury.rent.miners', 1n)
        network.endEras(1)
        assert.equal(network.world.getBalance(treasury.address), network.pots())
      }),
      { numRuns: 30 },
    )
  })
})

describe('parameters', () => {
  it('are changed by governance alone, within their bounds', () => {
    const network = new TreasuryNetwork()
    const name = 'treasury.rent.burn'
    assert.equal(network.call(parameters, 'valueOf', [name]), 10n)
    assert.throws(() => network.call(parameters, 'set', [name, 1n], { from: owner }), /only governance/)
    assert.throws(() => network.setParameter('toString', 1n), /no such parameter/)
    assert.throws(() => network.call(parameters, 'valueOf', ['']), /no such parameter/)
    assert.throws(() => network.setParameter(name, 1_000_001n), /must be 0 to 1000000/)
    assert.throws(() => network.setParameter('staking.minSelfStake', 1n), /must be/)
    const { events } = network.setParameter(name, 0n)
    const { name: named, value, fromEra } = events[0]!.args
    assert.deepEqual([named, value, fromEra], [name, 0n, 1n])
  })

  it('change at the start of the next era, for everybody at once; the last change of an era counts', () => {
    const network = new TreasuryNetwork()
    const name = 'treasury.rent.burn'
    const shown = () => network.call(parameters, 'parameters', [0n, 100n]).find((one) => one.name === name)!
    network.setParameter(name, 20n)
    network.setParameter(name, 30n)
    assert.equal(network.call(parameters, 'valueOf', [name]), 10n)
    assert.deepEqual([shown().value, shown().next, shown().nextEra], [10n, 30n, 1n])
    network.advance({ epochs: minimal.epochsPerEra - 1 })
    assert.equal(network.call(parameters, 'valueOf', [name]), 10n)
    network.advance({ epochs: 1 })
    assert.equal(network.call(parameters, 'valueOf', [name]), 30n)
    assert.deepEqual([shown().value, shown().next, shown().nextEra], [30n, 30n, 0n])
    network.setParameter(name, 0n)
    assert.equal(network.call(parameters, 'valueOf', [name]), 30n)
    network.advance({ epochs: 3 * minimal.epochsPerEra })
    assert.equal(network.call(parameters, 'valueOf', [name]), 0n)
  })

  it('are within their bounds from the start, in every preset', () => {
    for (const params of Object.values(presets)) {
      const network = new TestNetwork({ params })
      for (const { name, value, min, max } of network.call(parameters, 'parameters', [0n, 100n])) {
        assert.ok(min <= value && value <= max && max < 2n ** 112n - 1n, `${params.name}: ${name}`)
      }
    }
  })

  it('are listed with what they mean', () => {
    const network = new TreasuryNetwork()
    const count = network.call(parameters, 'parameterCount', [])
    const list = network.call(parameters, 'parameters', [0n, 100n])
    assert.equal(BigInt(list.length), count)
    for (const { name, about } of list) assert.ok(about.length > 0, name)
    assert.equal(network.call(parameters, 'parameters', [count - 1n, 100n]).length, 1)
  })
})
