import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import { Ledger, MemoryLedgerStore, ModuleRegistry, moduleAbis, modulesFor, potKind } from '@cumulus/ledger'
import { minimal } from '@cumulus/params'
import type { Address } from '@cumulus/types'
import { decodeEventLog, encodeFunctionData } from 'viem'
import { wrappedCumulusAbi } from '../src/generated/abis.ts'
import { predeployAddresses } from '../src/index.ts'
import { alice, bob, ContractChain, carol, TOKEN } from './contract-chain.ts'

const { Treasury: treasury, Faucet: faucet, Territories: territories, Staking: staking } = moduleAbis
const wrapped = { address: predeployAddresses.wrappedCumulus, abi: wrappedCumulusAbi }
const ERA_SECONDS = (minimal.slotMs * minimal.slotsPerEpoch * minimal.epochsPerEra) / 1000

describe('all tokens of a chain', () => {
  it('are those of genesis and of issuance, less what is burnt: fees, rent, what destroyed contracts held', async () => {
    const chain = await ContractChain.open()
    const { ledger } = chain
    const known = new Set<Address>([
      ...[alice, bob, carol].map(({ lower }) => lower),
      ...Object.values(moduleAbis).map(({ address }) => address),
      ...Object.values(predeployAddresses),
    ])
    const everywhere = () => [...known].reduce((sum, address) => sum + ledger.getBalance(address), 0n)
    const check = async () => {
      const { current, genesis, issued, burnt } = await chain.read(treasury, 'supply', [])
      assert.equal(everywhere(), current)
      assert.equal(current, genesis + issued - burnt)
      return { issued, burnt }
    }
    assert.deepEqual(await check(), { issued: 0n, burnt: 0n })

    await chain.send(alice, { to: bob.lower, value: TOKEN })
    const { burnt } = await check()
    assert.equal(burnt, 21_000n * ledger.head.baseFee, 'the base fee; tips are off')
    await chain.write(alice, faucet, 'claim', [bob.address])
    await chain.write(bob, wrapped, 'deposit', [], { value: 5n * TOKEN })
    await chain.write(bob, territories, 'mint', ['land', 2n ** 40n, 100, bob.address], { value: TOKEN })
    await check()

    // A contract that destroys itself as it is made, in favour of itself: ADDRESS SELFDESTRUCT.
    const before = await check()
    const receipt = await chain.send(alice, { data: '0x30ff', value: 3n * TOKEN })
    assert.ok(receipt.ok)
    known.add(receipt.contractAddress!)
    const after = await check()
    assert.equal(after.burnt - before.burnt, 3n * TOKEN + receipt.gasUsed * ledger.head.baseFee)

    // Carol is the coinbase of every block: what the era sets aside for validators is hers.
    chain.pass(ERA_SECONDS)
    await chain.send(alice, { to: bob.lower })
    const { issued } = await check()
    assert.ok(issued > 0n)
    assert.ok((await chain.read(treasury, 'burnt', []))[0] > 0n, 'a part of the rent')
    await chain.write(carol, staking, 'claim', [carol.address, carol.address])
    assert.ok(ledger.getBalance(carol.lower) >= issued / 3n)
    await check()
  })

  it('are counted in the open: the hooks’ events are found by any log filter', async () => {
    const chain = await ContractChain.open()
    chain.pass(ERA_SECONDS)
    await chain.send(alice, { to: bob.lower })
    const [log, ...others] = chain.ledger.logs({ fromBlock: 0n, toBlock: 10n, addresses: [treasury.address] })
    assert.equal(others.length, 0)
    const topics = log!.topics.map(bytesToHex) as [`0x${string}`]
    const { eventName, args } = decodeEventLog({ abi: treasury.abi, topics, data: bytesToHex(log!.data) })
    assert.equal(eventName, 'EraIssued')
    const pot = await chain.read(treasury, 'eraPotOf', [potKind.miners, 0n])
    assert.equal((args as { toMiners: bigint }).toMiners, pot)
    const byTopic = chain.ledger.logs({ fromBlock: 0n, toBlock: 10n, topics: [[log!.topics[0]!]] })
    assert.equal(byTopic.length, 1)
  })

  it('are no more than the cap when the chain begins', async () => {
    const open = (balance: bigint) =>
      Ledger.open({
        params: { ...minimal, faucetGrant: 0n },
        genesis: { timestampMs: 0, alloc: { [alice.lower]: { balance } } },
        store: new MemoryLedgerStore(),
        modules: new ModuleRegistry(modulesFor({ ...minimal, faucetGrant: 0n })),
      })
    const { supplyCap } = minimal.economy
    await assert.rejects(open(supplyCap + 1n), { code: 'BAD_GENESIS' })
    const ledger = await open(supplyCap)
    const data = hexToBytes(encodeFunctionData({ abi: treasury.abi, functionName: 'supply' }))
    assert.ok((await ledger.call({ to: treasury.address, data })).ok)
  })
})
