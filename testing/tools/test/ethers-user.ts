import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  Contract,
  ContractFactory,
  type ContractTransactionReceipt,
  type EventLog,
  JsonRpcProvider,
  NonceManager,
  Wallet,
  WebSocketProvider,
} from 'ethers'
import { amountOut, keys, uniswap } from '../src/index.ts'
import type { Bench } from './bench.ts'

const UNIT = 10n ** 18n

/** Uniswap v2 core from its package, and two OpenZeppelin tokens, as ethers 6 uses them. */
export function ethersUser(bench: () => Bench): void {
  describe('ethers 6', () => {
    it('runs Uniswap v2: two tokens, a pair, liquidity, a swap at the price of the formula', async (t) => {
      const { chain, project } = bench()
      const provider = new JsonRpcProvider(chain.url, undefined, { pollingInterval: 50 })
      t.after(() => provider.destroy())
      const wallet = new NonceManager(new Wallet(keys[4]!, provider))
      const owner = await wallet.getAddress()
      const deploy = async ({ abi, bytecode }: { abi: unknown; bytecode: string }, ...args: unknown[]) => {
        const contract = await new ContractFactory(abi as never, bytecode, wallet).deploy(...args)
        return (await contract.waitForDeployment()) as Contract
      }
      const call = async (contract: Contract, name: string, ...args: unknown[]) => {
        const sent = await contract.getFunction(name)(...args)
        return (await sent.wait()) as ContractTransactionReceipt
      }

      const tokens = await Promise.all(
        ['Apple', 'Berry'].map(async (name) => deploy(await project.artifact('Token'), name, name, 10n ** 24n)),
      )
      const factory = await deploy(uniswap('UniswapV2Factory'), owner)
      await call(factory, 'createPair', ...tokens.map(({ target }) => target))
      const [created] = (await factory.queryFilter('PairCreated', 0)) as EventLog[]
      const pair = new Contract(created!.args['pair'], uniswap('UniswapV2Pair').abi as never, wallet)
      const first = String(await pair.getFunction('token0')()).toLowerCase()
      const [token0, token1] = tokens.toSorted((a) => (String(a.target).toLowerCase() === first ? -1 : 1)) as [
        Contract,
        Contract,
      ]

      await call(token0, 'transfer', pair.target, 1_000n * UNIT)
      await call(token1, 'transfer', pair.target, 4_000n * UNIT)
      await call(pair, 'mint', owner)
      const [reserve0, reserve1] = await pair.getFunction('getReserves')()
      assert.deepEqual([reserve0, reserve1], [1_000n * UNIT, 4_000n * UNIT])

      const out = amountOut(10n * UNIT, reserve0, reserve1)
      await call(token0, 'transfer', pair.target, 10n * UNIT)
      const swap = pair.getFunction('swap')
      await assert.rejects(swap.staticCall(0, out + 1n, owner, '0x'), /UniswapV2: K/)
      const before = await token1.getFunction('balanceOf')(owner)
      await call(pair, 'swap', 0, out, owner, '0x')
      assert.equal((await token1.getFunction('balanceOf')(owner)) - before, out)

      const [swapped] = (await pair.queryFilter('Swap', 0)) as EventLog[]
      assert.equal(swapped!.args['amount1Out'], out)
      assert.equal((await provider.getBlock(swapped!.blockNumber))?.hash, swapped!.blockHash)
    })

    it('hears of events and blocks over a WebSocket', async (t) => {
      const { chain, project } = bench()
      const provider = new WebSocketProvider(chain.webSocketUrl)
      t.after(() => provider.destroy())
      const wallet = new NonceManager(new Wallet(keys[5]!, provider))
      const { abi, bytecode } = await project.artifact('Token')
      const token = (await new ContractFactory(abi as never, bytecode, wallet).deploy('Heard', 'H', UNIT)) as Contract
      await token.waitForDeployment()
      const heard = Promise.withResolvers<bigint>()
      const block = Promise.withResolvers<number>()
      await token.on('Transfer', (_from, _to, value) => heard.resolve(value))
      await provider.on('block', (number) => block.resolve(number))
      await (await token.getFunction('transfer')(`0x${'77'.repeat(20)}`, 7n)).wait()
      assert.equal(await heard.promise, 7n)
      assert.ok((await block.promise) > 0)
      await token.removeAllListeners()
      await provider.removeAllListeners()
      // ethers unsubscribes on its own time: a request on the same socket is answered after it.
      await provider.send('eth_chainId', [])
    })

    it('decodes custom errors of a call, and refuses to send what would fail', async (t) => {
      const { chain, project } = bench()
      const provider = new JsonRpcProvider(chain.url, undefined, { pollingInterval: 50 })
      t.after(() => provider.destroy())
      const wallet = new Wallet(keys[6]!, provider)
      const { abi, bytecode } = await project.artifact('Picture')
      const picture = (await new ContractFactory(abi as never, bytecode, wallet).deploy()) as Contract
      await picture.waitForDeployment()
      const stranger = picture.connect(new Wallet(keys[7]!, provider)) as Contract
      await assert.rejects(
        stranger.getFunction('mint')(await wallet.getAddress()),
        (error: Error & { code: string; data: string }) => {
          assert.equal(error.code, 'CALL_EXCEPTION')
          assert.equal(picture.interface.parseError(error.data)?.name, 'OwnableUnauthorizedAccount')
          return true
        },
      )
      await assert.rejects(
        stranger.getFunction('mint').staticCall(await wallet.getAddress()),
        (error: Error & { revert?: { name: string } }) => {
          assert.equal(error.revert?.name, 'OwnableUnauthorizedAccount')
          return true
        },
      )
    })
  })
}
