import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { minimal, type Params } from '@cumulus/params'
import type { Address } from '@cumulus/types'
import fc from 'fast-check'
import { gateways, miners, storage, stripeState, territories, treasury } from '../../src/modules/index.ts'
import { Reverted } from '../framework/test-chain.ts'
import { account, bytes32, gateway, owner, stranger, TestNetwork, TOKEN } from './test-network.ts'

/** Small groups of three, so that they fill, close and run out of miners within a few calls. */
const params: Params = {
  ...minimal,
  stripesPerGroup: 6,
  reservationStripesMax: 4,
  reservationEpochs: 2,
  classes: {
    ...minimal.classes,
    standard: { ...minimal.classes.standard, seatCount: 3, writeQuorum: 2, dataCount: 1 },
  },
}

interface ModelStripe {
  state: number
  readonly territory: bigint
  readonly reservation: bigint
  readonly gateway: Address
  readonly metered: boolean
}

/** What the chain should hold, written down in the plainest way. */
interface Model {
  readonly groups: Map<number, { members: readonly Address[]; stripes: ModelStripe[] }>
}

type Action =
  | { do: 'reserve'; stripes: number; from: Address; territory: number }
  | { do: 'commit'; reservation: number; picks: number[]; from: Address; sensible: boolean }
  | { do: 'release'; group: number; picks: number[]; from: Address; sensible: boolean }
  | { do: 'expire'; reservation: number }
  | { do: 'declare'; miner: number; units: number }
  | { do: 'exit'; miner: number }
  | { do: 'register'; miner: number }
  | { do: 'transfer'; territory: number }
  | { do: 'time' }
  | { do: 'block' }

const who = fc.constantFrom(owner, gateway, stranger)
/** Whether an action takes what is there, asked by who may: nonsense alone would seldom get anywhere. */
const sensible = fc.integer({ min: 0, max: 3 }).map((value) => value > 0)
const picks = fc.uniqueArray(fc.nat({ max: 6 }), { minLength: 1, maxLength: 5 })
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('reserve' as const),
      stripes: fc.integer({ min: 1, max: 4 }),
      from: who,
      territory: fc.nat({ max: 1 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('commit' as const),
      reservation: fc.integer({ min: 1, max: 6 }),
      picks,
      sensible,
      from: who,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('release' as const),
      group: fc.integer({ min: 1, max: 4 }),
      picks,
      sensible,
      from: who,
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('expire' as const), reservation: fc.integer({ min: 1, max: 6 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('declare' as const),
      miner: fc.integer({ min: 1, max: 5 }),
      units: fc.nat({ max: 12 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('exit' as const), miner: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('register' as const), miner: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('transfer' as const), territory: fc.nat({ max: 1 }) }) },
  { weight: 2, arbitrary: fc.constant<Action>({ do: 'time' }) },
  { weight: 1, arbitrary: fc.constant<Action>({ do: 'block' }) },
)

function pick<Item>(list: readonly Item[], index: number): Item | undefined {
  return list[index % Math.max(1, list.length)]
}

function reservationsOf(model: Model): bigint[] {
  const all = [...model.groups.values()].flatMap(({ stripes }) => stripes.map(({ reservation }) => reservation))
  return [...new Set(all)]
}

function perform(network: TestNetwork, lands: bigint[], model: Model, one: Action): void {
  switch (one.do) {
    case 'reserve': {
      const territory = lands[one.territory]!
      const { id, group, firstStripe } = network.reserve(territory, one.stripes, { from: one.from })
      const metered = network.call(territories, 'ownerOf', [territory]) !== one.from
      const known = model.groups.get(group) ?? {
        members: network.call(storage, 'groupOf', [group]).members,
        stripes: [],
      }
      model.groups.set(group, known)
      assert.equal(firstStripe, known.stripes.length, 'stripe numbers only grow')
      for (let i = 0; i < one.stripes; i++) {
        known.stripes.push({ state: stripeState.reserved, territory, reservation: id, gateway: one.from, metered })
      }
      return
    }
    case 'commit': {
      const known = reservationsOf(model)
      const id = pick(known, one.reservation) ?? BigInt(one.reservation)
      const { group, gateway: reserver, firstStripe, stripeCount } = network.call(storage, 'reservationOf', [id])
      const from = one.sensible ? reserver : one.from
      const stripes = one.picks
        .map((at) => firstStripe + at)
        .filter((at) => !one.sensible || at < firstStripe + stripeCount)
      const commits = group === 0 ? [] : stripes.map((stripe) => network.receipts(group, stripe, { seats: [0, 2] }))
      network.call(storage, 'commit', [id, commits], { from })
      for (const stripe of stripes) model.groups.get(group)!.stripes[stripe]!.state = stripeState.committed
      return
    }
    case 'release': {
      const group = pick([...model.groups.keys()], one.group) ?? one.group
      const { stripes: known = [] } = model.groups.get(group) ?? {}
      const stripes = one.picks.filter((at) => !one.sensible || at < known.length)
      const first = known[stripes[0] ?? 0]
      const from = one.sensible && first ? network.call(territories, 'ownerOf', [first.territory]) : one.from
      network.call(storage, 'release', [group, stripes], { from })
      for (const stripe of stripes) known[stripe]!.state = stripeState.released
      return
    }
    case 'expire': {
      const id = pick(reservationsOf(model), one.reservation) ?? BigInt(one.reservation)
      network.call(storage, 'expire', [id], { from: stranger })
      expireInModel(model, id)
      return
    }
    case 'declare': {
      network.call(miners, 'declareUnits', [one.units], { from: account(one.miner), value: TOKEN })
      return
    }
    case 'exit':
      network.call(miners, 'exit', [], { from: account(one.miner) })
      return
    case 'register':
      network.registerMiner(account(one.miner), { units: 8 })
      return
    case 'transfer': {
      const id = lands[one.territory]!
      const from = network.call(territories, 'ownerOf', [id])
      const to = from === owner ? stranger : owner
      network.call(territories, 'transferFrom', [from, to, id], { from })
      return
    }
    case 'time':
      network.advance({ epochs: 1, blocks: 1n })
      return
    case 'block': {
      const logs = network.events(network.endBlock(), [storage])
      for (const { args } of logs) {
        const stripe = model.groups.get(args['group'] as number)!.stripes[args['stripe'] as number]!
        assert.equal(stripe.state, stripeState.reserved)
        stripe.state = stripeState.released
      }
    }
  }
}

function expireInModel(model: Model, id: bigint): void {
  for (const { stripes } of model.groups.values()) {
    for (const stripe of stripes) {
      if (stripe.reservation === id && stripe.state === stripeState.reserved) stripe.state = stripeState.released
    }
  }
}

/** Every count on chain is what follows from the list of stripes. */
function check(network: TestNetwork, lands: bigint[], model: Model, roots: Map<string, string>): void {
  const all = [...model.groups.values()].flatMap(({ members, stripes }) =>
    stripes.map((stripe) => ({ ...stripe, members })),
  )
  const count = (state: number, matches: (stripe: (typeof all)[number]) => boolean) =>
    all.filter((stripe) => stripe.state === state && matches(stripe)).length

  for (const miner of network.call(miners, 'miners', [0n, 100n])) {
    const sits = ({ members }: { members: readonly Address[] }) => members.includes(miner.account)
    assert.equal(miner.lockedUnits, count(stripeState.reserved, sits))
    assert.equal(miner.serviceUnits, count(stripeState.committed, sits))
    assert.equal(miner.idleUnits + miner.lockedUnits + miner.serviceUnits, miner.declaredUnits)
    assert.ok(miner.stake >= BigInt(miner.declaredUnits) * params.stakePerUnit)
  }
  for (const id of lands) {
    const land = network.call(territories, 'territoryOf', [id])
    const inside = (stripe: ModelStripe) => stripe.territory === id
    assert.equal(land.lockedBytes, BigInt(count(stripeState.reserved, inside)) * network.stripeBytes)
    assert.equal(land.usedBytes, BigInt(count(stripeState.committed, inside)) * network.stripeBytes)
    assert.ok(land.usedBytes + land.lockedBytes <= land.capacityBytes)
    const grant = network.call(gateways, 'grantOf', [id, gateway])
    const metered = (stripe: ModelStripe) => inside(stripe) && stripe.metered && stripe.gateway === gateway
    const spent = count(stripeState.reserved, metered) + count(stripeState.committed, metered)
    if (grant.expiresAtBlock > 0n) assert.equal(grant.usedBytes, BigInt(spent) * network.stripeBytes)
  }
  for (const [group, { stripes }] of model.groups) {
    const onChain = network.call(storage, 'stripesOf', [group, 0, 256])
    assert.deepEqual(
      onChain.map(({ state, territory, reservation, gateway }) => ({ state, territory, reservation, gateway })),
      stripes.map(({ state, territory, reservation, gateway }) => ({ state, territory, reservation, gateway })),
    )
    for (const [stripe, { root }] of onChain.entries()) {
      const before = roots.get(`${group}/${stripe}`)
      assert.ok(before === undefined || before === root, 'the root of a stripe never changes')
      if (root !== bytes32(0)) roots.set(`${group}/${stripe}`, root)
    }
  }
  const stakes = network.call(miners, 'miners', [0n, 100n]).reduce((sum, { stake }) => sum + stake, 0n)
  assert.equal(network.world.getBalance(miners.address), stakes)
}

describe('the accounts of units and bytes', () => {
  it('follow from the stripes alone, after any calls in any order', () => {
    const accepted: Record<string, number> = {}
    fc.assert(
      fc.property(fc.array(action, { minLength: 15, maxLength: 40, size: 'max' }), (actions) => {
        const network = new TestNetwork({ params, minerCount: 5, units: 8 })
        for (let i = 1; i <= 5; i++) network.fund(account(i), 1_000n * TOKEN)
        const lands = [network.mint({ stripes: 9, epochs: 6 }), network.mint({ stripes: 5, epochs: 3 })]
        for (const land of lands) network.grant(land, { quota: 4n * network.stripeBytes })
        const model: Model = { groups: new Map() }
        const roots = new Map<string, string>()
        // An era that begins brings tokens by schedule and burns its part of the rent, and nothing else does either.
        const tokens = () => {
          const { issued, burnt } = network.call(treasury, 'supply', [])
          return network.world.totalBalance() - issued + burnt
        }
        for (const one of actions) {
          const before = network.world.snapshot()
          const issued = tokens()
          try {
            perform(network, lands, model, one)
            accepted[one.do] = (accepted[one.do] ?? 0) + 1
          } catch (error) {
            if (!(error instanceof Reverted)) throw error
            if (one.do !== 'register') assert.equal(network.world.snapshot(), before, 'a refused call changes nothing')
          }
          if (one.do !== 'register') assert.equal(tokens(), issued, 'no token from nowhere')
          check(network, lands, model, roots)
        }
      }),
      { numRuns: 40 },
    )
    // Otherwise the test would look at nothing.
    for (const [name, least] of Object.entries({ reserve: 30, commit: 15, release: 20, exit: 5 })) {
      assert.ok((accepted[name] ?? 0) >= least, `${name}: accepted ${accepted[name]} times`)
    }
  })
})
