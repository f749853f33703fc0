import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { encodeDeployData, encodeFunctionData, type Hex, keccak256, toHex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { CHAIN_ID, keys, PlainRpc, type Proof, verifyProof } from '../src/index.ts'
import type { Bench } from './bench.ts'

interface Block {
  readonly number: Hex
  readonly hash: Hex
  readonly stateRoot: Hex
  readonly transactions: readonly Hex[]
}

/** `eth_*` by fetch: what somebody does who has no library. */
export function plainUser(bench: () => Bench): void {
  describe('a plain script', () => {
    const account = privateKeyToAccount(keys[3]!)
    const rpc = () => new PlainRpc(bench().chain.url)
    const send = async (to: Hex | undefined, data: Hex, gas = 3_000_000n) => {
      const nonce = Number(await rpc().ask('eth_getTransactionCount', account.address, 'pending'))
      const gasPrice = BigInt(await rpc().ask('eth_gasPrice')) * 2n
      const fields = { type: 'legacy', chainId: CHAIN_ID, nonce, gasPrice, gas, to, data } as const
      const raw = await account.signTransaction(fields)
      assert.equal(await rpc().ask('eth_sendRawTransaction', raw), keccak256(raw))
      return rpc().receipt(keccak256(raw))
    }

    it('deploys a token, moves it, reads the log from a filter, and proves the balance', async () => {
      const { abi, bytecode } = await bench().project.artifact('Token')
      const deployed = await send(undefined, encodeDeployData({ abi, bytecode, args: ['Plain', 'P', 1_000n] }))
      assert.equal(deployed['status'], '0x1')
      const token = deployed['contractAddress'] as Hex
      const filter = await rpc().ask('eth_newFilter', { address: token })
      const receiver: Hex = `0x${'5e'.repeat(20)}`
      const moved = await send(token, encodeFunctionData({ abi, functionName: 'transfer', args: [receiver, 30n] }))
      const changes = await rpc().ask<{ topics: Hex[]; data: Hex; transactionHash: Hex }[]>(
        'eth_getFilterChanges',
        filter,
      )
      assert.deepEqual(
        changes.map(({ topics, data, transactionHash }) => [topics[2], BigInt(data), transactionHash]),
        [[toHex(BigInt(receiver), { size: 32 }), 30n, moved['transactionHash']]],
      )
      assert.equal(await rpc().ask('eth_uninstallFilter', filter), true)

      // balanceOf lies at keccak256(holder ‖ 0): the first slot of OpenZeppelin's ERC-20.
      const slot = keccak256(`0x${receiver.slice(2).padStart(64, '0')}${'0'.repeat(64)}`)
      const block = await rpc().ask<Block>('eth_getBlockByHash', moved['blockHash'], false)
      const proof = await rpc().ask<Proof>('eth_getProof', token, [slot], { blockHash: block.hash })
      assert.equal(BigInt(proof.storageProof[0]!.value), 30n)
      await verifyProof(token, proof, block.stateRoot)
      assert.ok(block.transactions.includes(moved['transactionHash'] as Hex))
    })

    it('is answered in a batch, in order, notifications aside', async () => {
      const answers = (await rpc().post([
        { jsonrpc: '2.0', id: 'a', method: 'eth_chainId' },
        { jsonrpc: '2.0', method: 'eth_blockNumber' },
        { jsonrpc: '2.0', id: 2, method: 'eth_doesNotExist', params: [] },
        { jsonrpc: '2.0', id: 3, method: 'eth_getBalance', params: [account.address, 'latest'] },
      ])) as { id: unknown; result?: Hex; error?: { code: number } }[]
      assert.deepEqual(
        answers.map(({ id }) => id),
        ['a', 2, 3],
      )
      assert.equal(answers[0]!.result, toHex(CHAIN_ID))
      assert.equal(answers[1]!.error!.code, -32601)
      assert.ok(BigInt(answers[2]!.result!) > 0n)
    })

    it('sends synchronously and has the receipt in the answer', async () => {
      const nonce = Number(await rpc().ask('eth_getTransactionCount', account.address))
      const raw = await account.signTransaction({
        type: 'eip1559',
        chainId: CHAIN_ID,
        nonce,
        gas: 21_000n,
        maxFeePerGas: 10n ** 10n,
        maxPriorityFeePerGas: 10n ** 6n,
        to: account.address,
      })
      const receipt = await rpc().ask<{ transactionHash: Hex; status: Hex }>('eth_sendRawTransactionSync', raw)
      assert.deepEqual([receipt.transactionHash, receipt.status], [keccak256(raw), '0x1'])
      assert.equal(await rpc().ask('eth_getRawTransactionByHash', keccak256(raw)), raw)
    })

    it('gets raw blocks whose hash is the block hash, and whose root is over the receipts', async () => {
      const { number, hash } = await rpc().ask<Block>('eth_getBlockByNumber', 'latest', false)
      assert.equal(keccak256(await rpc().ask<Hex>('debug_getRawHeader', number)), hash)
      const block = await rpc().ask<Hex>('debug_getRawBlock', number)
      assert.ok(block.includes((await rpc().ask<Hex>('debug_getRawHeader', number)).slice(2)))
    })
  })
}
