import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import { minimal, type Params } from '@cumulus/params'
import type { Address } from '@cumulus/types'
import type { AbiParameter } from 'abitype'
import fc from 'fast-check'
import { type Abi, type AbiFunction, encodeFunctionData } from 'viem'
import { audit, minerState, miners, storage, teeWorkers } from '../../src/modules/index.ts'
import { AuditNetwork, otherWorker, worker } from './audit-network.ts'
import { account, owner, stranger, TOKEN } from './test-network.ts'

const params: Params = {
  ...minimal,
  stripesPerGroup: 8,
  audit: { ...minimal.audit, windowSlots: 3, missesToDeath: 3 },
  classes: {
    ...minimal.classes,
    standard: { ...minimal.classes.standard, dataCount: 2, seatCount: 4, writeQuorum: 3 },
  },
}

const modules: readonly { readonly address: Address; readonly abi: Abi }[] = [audit, teeWorkers, miners, storage]
const functions = modules.flatMap(({ address, abi }) =>
  abi.filter((item): item is AbiFunction => item.type === 'function').map((item) => ({ address, item })),
)
const actors = [
  ...Array.from({ length: 5 }, (_, i) => account(i + 1)),
  worker.account,
  otherWorker.account,
  owner,
  stranger,
]

/** Values of an ABI type: some that mean something here, some at the ends, some that are anything. */
function anyOf(parameter: AbiParameter): fc.Arbitrary<unknown> {
  const { type } = parameter
  if (type.endsWith('[]'))
    return fc.array(anyOf({ ...parameter, type: type.slice(0, -2) } as AbiParameter), { maxLength: 3 })
  if (type === 'tuple') {
    const { components } = parameter as { components: readonly AbiParameter[] }
    return fc.record(Object.fromEntries(components.map((one) => [one.name!, anyOf(one)])))
  }
  if (type === 'address') return fc.constantFrom(...actors, account(0))
  if (type === 'bool') return fc.boolean()
  if (type === 'string') return fc.string({ maxLength: 40 })
  if (type === 'bytes') return fc.uint8Array({ maxLength: 200 }).map((bytes) => bytesToHex(bytes))
  const uint = /^uint(\d+)$/.exec(type)
  if (uint) {
    const max = 2n ** BigInt(uint[1]!) - 1n
    const any = fc.oneof(
      fc.bigInt(0n, 5n),
      fc.constantFrom(0n, max, max - 1n, 256n < max ? 256n : max),
      fc.bigInt(0n, max),
    )
    return Number(uint[1]) <= 48 ? any.map(Number) : any
  }
  const size = Number(/^bytes(\d+)$/.exec(type)![1])
  return fc.uint8Array({ minLength: size, maxLength: size }).map((bytes) => bytesToHex(bytes))
}

type Step =
  | { do: 'call'; from: Address; address: Address; data: `0x${string}`; value: bigint }
  | { do: 'tick'; slots: number }
  | { do: 'answer'; miner: number; how: 'right' | 'wrong' | 'mangled'; dropped: bigint }
  | { do: 'confirm'; miner: number; stripes: bigint }
  | { do: 'store'; stripes: number }
  | { do: 'release'; stripes: number[] }

const anyCall = fc.constantFrom(...functions).chain(({ address, item }) =>
  fc.tuple(fc.constantFrom(...actors), fc.tuple(...item.inputs.map(anyOf)), fc.constantFrom(0n, 0n, 0n, 1n, TOKEN)).map(
    ([from, args, value]): Step => ({
      do: 'call',
      from,
      address,
      data: encodeFunctionData({ abi: [item], functionName: item.name, args }),
      value,
    }),
  ),
)
const rawCall = fc
  .tuple(fc.constantFrom(...actors), fc.constantFrom(...functions), fc.uint8Array({ maxLength: 300 }))
  .map(([from, { address, item }, tail]): Step => {
    return { do: 'call', from, address, data: `${selectorOf(item)}${tail.toHex()}`, value: 0n }
  })

function selectorOf(item: AbiFunction): `0x${string}` {
  const zeros = item.inputs.map((input) => fc.sample(anyOf(input), { numRuns: 1, seed: 1 })[0])
  return encodeFunctionData({ abi: [item], functionName: item.name, args: zeros }).slice(0, 10) as `0x${string}`
}

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: anyCall },
  { weight: 1, arbitrary: rawCall },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('tick' as const), slots: fc.constantFrom(0, 1, 1, 1, 2, 9) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('answer' as const),
      miner: fc.nat(4),
      how: fc.constantFrom('right' as const, 'right' as const, 'wrong' as const, 'mangled' as const),
      dropped: fc.constantFrom(0n, 0n, 1n, 255n, 2n ** 256n - 1n),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('confirm' as const),
      miner: fc.nat(4),
      stripes: fc.bigInt(0n, 2n ** 256n - 1n),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('store' as const), stripes: fc.integer({ min: 1, max: 3 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('release' as const),
      stripes: fc.uniqueArray(fc.nat(8), { minLength: 1, maxLength: 3 }),
    }),
  },
)

/** A network in which everything has begun. */
function begin(): { network: AuditNetwork; land: bigint } {
  const network = new AuditNetwork({ params, minerCount: 5, units: 12 })
  for (const actor of actors) network.fund(actor, 1_000n * TOKEN)
  network.registerWorker(worker)
  network.registerWorker(otherWorker)
  const land = network.mint()
  network.confirmAll(network.store(3, land))
  network.tick()
  return { network, land }
}

/** Does a step. Whatever the modules throw that is no refusal comes through `dispatch` and the hooks, and ends the test. */
function perform({ network, land }: { network: AuditNetwork; land: bigint }, one: Step): boolean {
  const call = (address: Address, data: Uint8Array, from: Address, value = 0n) =>
    network.send({ address }, data, { from, value }).ok
  const encode = (functionName: string, args: readonly unknown[]) =>
    hexToBytes(encodeFunctionData({ abi: audit.abi as Abi, functionName, args }))
  switch (one.do) {
    case 'tick':
      network.tick(one.slots)
      return true
    case 'call':
      if (one.value > network.world.getBalance(one.from)) return false
      return call(one.address, hexToBytes(one.data), one.from, one.value)
    case 'answer': {
      const miner = account(one.miner + 1)
      const announced = network.announced.get(miner)
      if (announced === undefined) return false
      const { worker: by } = network.challengeOf(miner)
      const key = [worker, otherWorker].find((one) => one.account === by) ?? worker
      const asked = network.asked(miner)
      const proof = network.prove(one.how === 'wrong' ? { ...asked, z: asked.z + 1n } : asked, { by: key })
      if (one.how === 'mangled') proof[60]! ^= 255
      const args = [announced.seed, announced.entries, one.dropped, bytesToHex(proof)]
      return call(audit.address, encode('submitProof', args), miner)
    }
    case 'confirm': {
      const group = network.call(storage, 'groupCount', [])
      const args = [group, 0, one.stripes, network.taggerOf(group)]
      return call(audit.address, encode('confirmTags', args), account(one.miner + 1))
    }
    case 'store': {
      const data = encodeFunctionData({ abi: storage.abi, functionName: 'reserve', args: [land, 1, one.stripes] })
      if (!call(storage.address, hexToBytes(data), owner)) return false
      const id = network.call(storage, 'reservationsOf', [land, 0n, 100n]).at(-1)!
      const commits = Array.from({ length: id.stripeCount }, (_, i) =>
        network.receipts(id.group, id.firstStripe + i, { seats: [0, 1, 2, 3] }),
      )
      const commit = encodeFunctionData({ abi: storage.abi, functionName: 'commit', args: [id.id, commits] })
      return call(storage.address, hexToBytes(commit), owner)
    }
    case 'release': {
      const group = network.call(storage, 'groupCount', [])
      const data = encodeFunctionData({ abi: storage.abi, functionName: 'release', args: [group, one.stripes] })
      return call(storage.address, hexToBytes(data), owner)
    }
  }
}

/** What always holds between the modules' variables. */
function check(network: AuditNetwork): void {
  const tagged = new Map<Address, number>()
  const groups = network.call(storage, 'groupCount', [])
  for (let group = 1; group <= groups; group++) {
    const stripes = network.call(storage, 'stripesOf', [group, 0, 256])
    const live = stripes.reduce((bits, { state }, i) => (state === 2 ? bits | (1n << BigInt(i)) : bits), 0n)
    network.members(group).forEach((member, seat) => {
      const bits = network.call(audit, 'taggedOf', [group, seat, 0])
      assert.equal(bits & ~live, 0n, 'only live stripes are tagged')
      if (BigInt(network.taggerOf(group)) === 0n) assert.equal(bits, 0n, 'and only where there is a worker')
      tagged.set(member, (tagged.get(member) ?? 0) + bits.toString(2).replaceAll('0', '').length)
    })
  }
  let stakes = 0n
  for (const miner of network.call(miners, 'miners', [0n, 100n])) {
    assert.equal(miner.taggedUnits, tagged.get(miner.account) ?? 0)
    assert.ok(miner.taggedUnits <= miner.serviceUnits)
    assert.equal(miner.idleUnits + miner.lockedUnits + miner.serviceUnits, miner.declaredUnits)
    assert.ok(miner.debt === 0n || miner.stake === 0n)
    if (miner.state === minerState.active) assert.ok(miner.stake >= miner.collateralLimit && miner.debt === 0n)
    stakes += miner.stake
  }
  assert.equal(network.world.getBalance(miners.address), stakes)
  for (const one of network.call(teeWorkers, 'workers', [0n, 100n])) {
    let count = 0
    for (let group = 1; group <= groups; group++) if (network.taggerOf(group) === one.account) count++
    assert.equal(one.groups, count)
  }
}

describe('audits, workers, miners and storage', () => {
  it('refuse what makes no sense, whatever is sent, and two nodes come to the same', () => {
    const accepted: Record<string, number> = {}
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 40, size: 'max' }), (steps) => {
        const first = begin()
        const second = begin()
        for (const one of steps) {
          const tokens = first.network.world.totalBalance()
          const isAccepted = perform(first, one)
          assert.equal(perform(second, one), isAccepted)
          if (isAccepted) accepted[one.do] = (accepted[one.do] ?? 0) + 1
          if (one.do !== 'tick') assert.equal(first.network.world.totalBalance(), tokens, 'no token from nowhere')
        }
        check(first.network)
        assert.equal(first.network.world.snapshot(), second.network.world.snapshot())
      }),
      { numRuns: 20 },
    )
    // Otherwise the test would look at nothing.
    for (const [name, least] of Object.entries({ call: 15, answer: 5, confirm: 5, store: 5, release: 2 })) {
      assert.ok((accepted[name] ?? 0) >= least, `${name}: accepted ${accepted[name]} times`)
    }
  })
})
