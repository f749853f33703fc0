import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { hexToBytes } from '@cumulus/bytes'
import { gateways, moduleAbis, parameters, storage, territories } from '@cumulus/ledger'
import { minimal } from '@cumulus/params'
import type { Address } from '@cumulus/types'
import { type Abi, encodeFunctionData, isAddressEqual, parseAbi } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { compileTests } from './compile-tests.ts'
import { alice, bob, ContractChain, eventsOf, type Person, reason, TOKEN } from './contract-chain.ts'
import { registerMiner } from './register-miner.ts'

const { Faucet: faucet } = moduleAbis
const errors = parseAbi(['error Error(string)'])

/** What `Callers` answered: whether the module took the call, and what it said. */
type Answer = readonly [boolean, `0x${string}`]
const said = ([, output]: Answer) => reason(errors, hexToBytes(output))

const claim = (to: Address) => encodeFunctionData({ ...faucet, functionName: 'claim', args: [to] })
const parameterCount = encodeFunctionData({ abi: parameters.abi, functionName: 'parameterCount' })
const nobody: Address = '0x0000000000000000000000000000000000000000'
const somebody: Address = '0x00000000000000000000000000000000000000b1'

describe('a Solidity contract that calls modules', () => {
  let chain: ContractChain
  let callers: { address: Address; abi: Abi }

  before(async () => {
    chain = await ContractChain.open()
    const { abi, creationCode } = compileTests('Callers.sol', ['Callers', 'Landlord']).get('Callers')!
    callers = await chain.deploy(alice, { abi, creationCode })
  })

  const call = async (name: string, args: readonly unknown[], options: { value?: bigint; gas?: bigint } = {}) =>
    (await chain.read(callers, name, args as never, { from: alice.lower, ...options })) as unknown
  const write = (name: string, args: readonly unknown[], options: { value?: bigint; gas?: bigint } = {}) =>
    chain.write(alice, callers, name, args as never, options)

  it('is answered as by any contract', async () => {
    const answer = (await call('byCall', [faucet.address, 0n, claim(somebody)])) as Answer
    assert.deepEqual([answer[0], BigInt(answer[1])], [true, minimal.faucetGrant])
    const receipt = await write('byCall', [faucet.address, 0n, claim(somebody)])
    assert.deepEqual(
      eventsOf(receipt, faucet).map(({ name }) => name),
      ['Claimed'],
    )
    assert.equal(chain.ledger.getBalance(somebody), minimal.faucetGrant)
    const again = (await call('byCall', [faucet.address, 0n, claim(somebody)])) as Answer
    assert.deepEqual([again[0], said(again)], [false, 'already claimed in this epoch'])
  })

  it('may read in a static call, and write nothing', async () => {
    const read = (await call('byStatic', [parameters.address, parameterCount])) as Answer
    assert.ok(read[0] && BigInt(read[1]) > 0n)
    for (const name of ['byStatic', 'staticThenCall']) {
      const written = (await call(name, [faucet.address, claim(alice.lower)])) as Answer
      assert.equal(written[0], false)
      assert.match(said(written), /not in a static call/)
    }
  })

  it('cannot run a module on its own storage or with its own tokens', async () => {
    const delegated = (await call('byDelegate', [faucet.address, claim(alice.lower)])) as Answer
    assert.deepEqual([delegated[0], said(delegated)], [false, 'modules refuse delegatecall'])
    const coded = (await call('byCallcode', [faucet.address, 0n, claim(alice.lower)])) as Answer
    assert.deepEqual([coded[0], said(coded)], [false, 'modules refuse callcode'])
    // Not even to look.
    assert.equal(((await call('byDelegate', [parameters.address, parameterCount])) as Answer)[0], false)
    assert.equal(((await call('byCallcode', [parameters.address, 0n, parameterCount])) as Answer)[0], false)
    await write('byDelegate', [faucet.address, claim(alice.lower)])
    await write('byCallcode', [faucet.address, 5n, claim(alice.lower)], { value: 5n })
    assert.equal(await call('slot0', []), 7n)
    assert.equal(chain.ledger.getBalance(callers.address), 5n, 'what came along stayed')
  })

  it('is the caller itself, however deep its own frames are', async () => {
    const setApproval = encodeFunctionData({
      abi: territories.abi,
      functionName: 'setApprovalForAll',
      args: [bob.lower, true],
    })
    await write('delegateThenCall', [territories.address, setApproval])
    assert.equal(await chain.read(territories, 'isApprovedForAll', [callers.address, bob.lower]), true)
  })

  it('gets its tokens back from what takes none', async () => {
    const before = chain.ledger.getBalance(faucet.address)
    const answer = (await call('byCall', [faucet.address, 3n, claim(alice.lower)], { value: 3n })) as Answer
    assert.match(said(answer), /takes no tokens/)
    await write('byCall', [faucet.address, 3n, claim(alice.lower)], { value: 3n })
    assert.equal(chain.ledger.getBalance(faucet.address), before)
  })

  it('loses the gas of a call that ran out of it, and nothing else', async () => {
    const before = chain.ledger.getBalance(faucet.address)
    const fresh: Address = '0x00000000000000000000000000000000000000b2'
    for (const gas of [0n, 500n, 3_000n, 30_000n]) {
      const receipt = await write('withGas', [faucet.address, gas, claim(fresh)])
      assert.equal(eventsOf(receipt, callers)[0]!.args['ok'], false, `${gas} gas`)
    }
    assert.equal(chain.ledger.getBalance(faucet.address), before)
    assert.equal(chain.ledger.getBalance(fresh), 0n)
    const enough = await write('withGas', [faucet.address, 200_000n, claim(fresh)])
    assert.equal(eventsOf(enough, callers)[0]!.args['ok'], true)
  })

  it('keeps a 64th of its gas when it gives all, enough to go on', async () => {
    // Minting writes eight slots, and looks at the price last.
    const mint = encodeFunctionData({
      abi: territories.abi,
      functionName: 'mint',
      args: ['land', 2n ** 30n, 1, alice.lower],
    })
    const receipt = await write('withAllGas', [territories.address, mint], { gas: 150_000n })
    const { ok, gasBefore, gasLeft } = eventsOf(receipt, callers)[0]!.args as Record<string, bigint>
    assert.equal(ok, false)
    assert.ok(gasLeft! > 0n && gasLeft! <= gasBefore! / 64n, `${gasLeft} of ${gasBefore} left`)
    const rich = await write('withAllGas', [territories.address, mint], { gas: 1_000_000n })
    const { args } = eventsOf(rich, callers)[0]!
    assert.ok((args['gasLeft'] as bigint) > (args['gasBefore'] as bigint) / 2n, 'a refusal takes only what it used')
    await assert.rejects(chain.read(territories, 'ownerOf', [1n]), /no such territory/)
  })

  it('undoes a module by reverting after it, alone or within a try', async () => {
    const fresh: Address = '0x00000000000000000000000000000000000000b4'
    await assert.rejects(write('thenRevert', [faucet.address, claim(fresh)]), /in the middle/)
    assert.equal(await call('tryThenRevert', [faucet.address, claim(fresh)]), true)
    const receipt = await write('tryThenRevert', [faucet.address, claim(fresh)])
    assert.equal(receipt.logs.length, 0)
    assert.equal(chain.ledger.getBalance(fresh), 0n)
    await write('byCall', [faucet.address, 0n, claim(fresh)])
    assert.equal(chain.ledger.getBalance(fresh), minimal.faucetGrant, 'it was not used up')
  })

  it('is not run when a module pays it: nobody comes in by the back door', async () => {
    chain.pass(60)
    const dead: Address = '0x000000000000000000000000000000000000dead'
    // `receive` of this contract would claim for 0x…dead.
    await write('byCall', [faucet.address, 0n, claim(callers.address)])
    assert.ok(chain.ledger.getBalance(callers.address) >= minimal.faucetGrant)
    assert.equal(chain.ledger.getBalance(dead), 0n)
    assert.ok((await chain.send(alice, { to: callers.address, value: 1n })).ok)
    assert.equal(chain.ledger.getBalance(dead), minimal.faucetGrant, 'while a plain payment runs it')
  })

  it('may call them from its constructor', async () => {
    const fresh: Address = '0x00000000000000000000000000000000000000b5'
    await write('create', [faucet.address, claim(fresh)])
    assert.equal(chain.ledger.getBalance(fresh), minimal.faucetGrant)
    await assert.rejects(write('create', [faucet.address, claim(nobody)]), /refused/)
  })

  it('pays for a module as it would for a contract: gas and its refunds are counted once', async () => {
    const direct = await chain.send(alice, {
      to: faucet.address,
      data: claim('0x00000000000000000000000000000000000000b6'),
    })
    const data = claim('0x00000000000000000000000000000000000000b7')
    const nested = await write('byCall', [faucet.address, 0n, data])
    const difference = nested.gasUsed - direct.gasUsed
    // The frame around it: more calldata, a cold address, copying in and out.
    assert.ok(difference > 2_600n && difference < 12_000n, `${difference} more gas`)
  })
})

describe('a Solidity contract that owns a territory', () => {
  let chain: ContractChain
  let landlord: { address: Address; abi: Abi }
  const capacity = BigInt(4 * minimal.classes.standard.fragmentBytes) * 20n

  before(async () => {
    chain = await ContractChain.open()
    const { abi, creationCode } = compileTests('Callers.sol', ['Landlord']).get('Landlord')!
    landlord = await chain.deploy(alice, { abi, creationCode })
    for (let i = 0; i < 12; i++) await registerMiner(chain, miner(i), 40)
  })

  it('rents it, and is given back what it paid too much', async () => {
    await chain.write(alice, landlord, 'rent', ['archive', capacity, 10], { value: TOKEN })
    const territory = (await chain.read(landlord, 'territory', [])) as bigint
    assert.ok(isAddressEqual(await chain.read(territories, 'ownerOf', [territory]), landlord.address))
    const price = await chain.read(territories, 'price', [capacity, 10])
    assert.equal(chain.ledger.getBalance(landlord.address), TOKEN - price)
    assert.equal(await chain.read(landlord, 'received', []), 0n, 'no code ran for it')
  })

  it('has stripes reserved, by its own call alone', async () => {
    const receipt = await chain.write(alice, landlord, 'reserve', [3])
    assert.deepEqual(
      eventsOf(receipt, storage).map(({ name }) => name),
      ['GroupOpened', 'Reserved'],
    )
    const { gateway, stripeCount } = await chain.read(storage, 'reservationOf', [1n])
    assert.deepEqual([gateway.toLowerCase(), stripeCount], [landlord.address, 3])
    await assert.rejects(chain.write(bob, storage, 'reserve', [1n, 1, 1]), /neither the owner nor a gateway/)
  })

  it('undoes a reservation by reverting, and keeps one whose sequel failed', async () => {
    await assert.rejects(chain.write(alice, landlord, 'reserveButStop', [2]), /stopped/)
    assert.equal((await chain.read(storage, 'reservationOf', [2n])).stripeCount, 0)
    await chain.write(alice, landlord, 'reserveTwice', [2, 1_000])
    assert.equal((await chain.read(storage, 'reservationOf', [2n])).stripeCount, 2)
    assert.equal((await chain.read(storage, 'reservationOf', [3n])).stripeCount, 0)
    const { lockedBytes } = await chain.read(territories, 'territoryOf', [1n])
    assert.equal(lockedBytes, (capacity / 20n) * 5n)
  })

  it('lets a gateway work for it, and gives the territory away', async () => {
    const grant = encodeFunctionData({
      abi: gateways.abi,
      functionName: 'grant',
      args: [1n, bob.lower, capacity, chain.ledger.head.number + 100n],
    })
    await chain.write(alice, landlord, 'letGatewayWork', [gateways.address, grant])
    await chain.write(bob, storage, 'reserve', [1n, 1, 1])
    await chain.write(alice, landlord, 'give', [bob.lower])
    assert.ok(isAddressEqual(await chain.read(territories, 'ownerOf', [1n]), bob.lower))
    await assert.rejects(chain.write(alice, landlord, 'reserve', [1]), /neither the owner/)
  })
})

function miner(index: number): Person {
  const account = privateKeyToAccount(`0x${(1_000 + index).toString(16).padStart(64, '0')}`)
  return Object.assign(account, { lower: account.address.toLowerCase() as Address })
}
