import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hexToBytes } from '@cumulus/bytes'
import type { Address } from '@cumulus/types'
import fc from 'fast-check'
import { type Abi, encodeFunctionData } from 'viem'
import { storage, territories } from '../../src/modules/index.ts'
import { owner, TestNetwork, TOKEN } from './test-network.ts'

interface Call {
  readonly module: { readonly address: Address; readonly abi: Abi }
  readonly name: string
  readonly args: (network: TestNetwork) => readonly unknown[]
  readonly value?: bigint
}

/** A territory with one stripe committed and one reserved. */
function setUp(): TestNetwork {
  const network = new TestNetwork({ minerCount: 12 })
  const { id, group } = network.reserve(network.mint(), 3)
  network.call(storage, 'commit', [id, [network.receipts(group, 0)]], { from: owner })
  return network
}

const calls: Call[] = [
  { module: territories, name: 'mint', args: () => ['land', 1n, 1, owner], value: TOKEN },
  { module: territories, name: 'transferFrom', args: () => [owner, '0x0000000000000000000000000000000000000777', 1n] },
  { module: storage, name: 'reserve', args: () => [1n, 1, 4] },
  { module: storage, name: 'reserve', args: () => [1n, 2, 4] },
  { module: storage, name: 'commit', args: (network) => [1n, [network.receipts(1, 1)]] },
  { module: storage, name: 'release', args: () => [1, [0, 1]] },
]

describe('a call that touches several modules', () => {
  for (const { module, name, args, value = 0n } of calls) {
    it(`leaves all of them untouched when it runs out of gas anywhere: ${name}`, () => {
      const network = setUp()
      const data = hexToBytes(encodeFunctionData({ abi: module.abi, functionName: name, args: args(network) }))
      const options = { from: owner, value }
      const { ok, gasUsed } = setUp().send(module, data, options)
      assert.ok(ok)
      const before = network.world.snapshot()
      fc.assert(
        fc.property(fc.bigInt(0n, gasUsed - 1n), (gasLimit) => {
          const result = network.send(module, data, { ...options, gasLimit })
          assert.deepEqual(result, { ok: false, output: new Uint8Array(), gasUsed: gasLimit, logs: [] })
          assert.equal(network.world.snapshot(), before)
        }),
        { numRuns: 40 },
      )
      assert.equal(network.send(module, data, { ...options, gasLimit: gasUsed }).gasUsed, gasUsed)
    })
  }
})
