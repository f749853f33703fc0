import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { mainnet, minimal, type Params } from '@cumulus/params'
import { type Abi, toFunctionSelector } from 'viem'
import { faucet, moduleAbis, moduleDefinitions, modulesFor, storage } from '../../src/modules/index.ts'
import { TestChain } from '../framework/test-chain.ts'
import { account, TestNetwork } from './test-network.ts'

describe('the modules of a chain', () => {
  it('are at their addresses, the faucet only where it gives something', () => {
    assert.deepEqual(
      modulesFor(mainnet).map(({ name, address }) => `${name} ${address.slice(-3)}`),
      [
        'Treasury c0a',
        'Parameters c0b',
        'Staking c01',
        'R2S c02',
        'TeeWorkers c04',
        'Miners c03',
        'Territories c05',
        'Gateways c06',
        'Storage c07',
        'Audit c08',
      ],
    )
    assert.equal(modulesFor(minimal).at(-1), faucet)
  })

  it('show plain ABIs, typed', () => {
    const abi: Abi = moduleAbis.Storage.abi
    assert.deepEqual(JSON.parse(JSON.stringify(abi)), abi)
    const reserve = storage.abi[1]
    const name: 'reserve' = reserve.name
    assert.equal(toFunctionSelector(reserve), toFunctionSelector(`function ${name}(uint256,uint8,uint32)`))
    for (const [key, { abi, address }] of Object.entries(moduleAbis)) {
      assert.equal(moduleDefinitions[key as keyof typeof moduleAbis].name, key)
      assert.ok(abi.length > 0 && address.length === 42)
    }
  })
})

describe('the faucet', () => {
  const to = account(9)

  it('gives once per receiver and epoch', () => {
    const network = new TestNetwork()
    assert.equal(network.call(faucet, 'claim', [to]), minimal.faucetGrant)
    assert.equal(network.world.getBalance(to), minimal.faucetGrant)
    assert.throws(() => network.call(faucet, 'claim', [to]), /already claimed/)
    network.call(faucet, 'claim', [account(8)])
    network.advance({ epochs: 1 })
    network.call(faucet, 'claim', [to])
    assert.throws(() => network.call(faucet, 'claim', [account(0)]), /nobody to give to/)
  })

  it('gives what genesis left it, and no more', () => {
    const params: Params = { ...minimal, faucetGrant: 10n }
    const chain = new TestChain(modulesFor(params), { params, genesis: { balances: { Faucet: 15n } } })
    chain.call(faucet, 'claim', [to])
    assert.throws(() => chain.call(faucet, 'claim', [account(8)]), /the faucet is empty/)
    assert.equal(chain.world.getBalance(faucet.address), 5n)
  })
})
