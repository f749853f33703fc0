import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { keccak256 } from '@cumulus/hash'
import { HISTORY_CONTRACT, ROOTS_CONTRACT } from '../../src/chain/system-contracts.ts'
import { LedgerError } from '../../src/index.ts'
import { encodeRlp, wordToBytes } from '../../src/trie/rlp.ts'
import { batchOf, genesis, openLedger } from './fixture.ts'

describe('the system contracts', () => {
  it('have the code that Ethereum has: their deployment transactions hash as the EIPs say', () => {
    // Nick's method: a signature made up of small numbers, and whoever it belongs to deploys.
    const deployment = ({ code }: { code: Uint8Array }, s: string) => {
      const length = code.length.toString(16).padStart(2, '0')
      const data = Uint8Array.fromHex(`60${length}8060095f395ff3${code.toHex()}`)
      return encodeRlp([0, 0xe8d4a51000, 0x3d090, new Uint8Array(0), 0, data, 0x1b, 0x539, BigInt(s)])
    }
    assert.equal(
      keccak256(deployment(HISTORY_CONTRACT, '0xaa12693182426612186309f02cfe8a80a0000')).toHex(),
      '67139a552b0d3fffc30c0fa7d0c20d42144138c8fe07fc5691f09c1cce632e15',
    )
    assert.equal(
      keccak256(deployment(ROOTS_CONTRACT, '0x1b9b6eb1f0')).toHex(),
      'df52c2d3bbe38820fff7b5eaab3db1b91f8e1412b56497d88388fb5d4ea1fde0',
    )
  })

  it('answer with the hashes of past blocks, and revert for any other', async () => {
    const { ledger } = await openLedger()
    for (let i = 0; i < 5; i++) await ledger.execute(batchOf(ledger, []))
    const ask = (number: bigint) => ledger.call({ to: HISTORY_CONTRACT.address, data: wordToBytes(number) })
    for (let number = 0n; number < 5n; number++) {
      assert.deepEqual((await ask(number)).output, ledger.header(number)!.hash)
    }
    for (const number of [5n, 6n, 1n << 64n]) assert.equal((await ask(number)).error, 'revert')
  })

  it('answer with the consensus root of a block by its time, where a committee ordered it', async () => {
    const { ledger } = await openLedger()
    const roots = [1, 2, 3].map((byte) => new Uint8Array(32).fill(byte))
    const ask = (timestamp: bigint) => ledger.call({ to: ROOTS_CONTRACT.address, data: wordToBytes(timestamp) })
    const second = BigInt(genesis.timestampMs / 1000)
    for (const [root, ms] of [
      [roots[0], 1_000],
      [roots[1], 2_000],
      [roots[2], 2_400],
      [undefined, 3_000],
    ] as const) {
      await ledger.execute(batchOf(ledger, [], { consensusRoot: root, timestampMs: genesis.timestampMs + ms }))
    }
    assert.deepEqual((await ask(second + 1n)).output, roots[0])
    assert.deepEqual((await ask(second + 2n)).output, roots[2])
    for (const timestamp of [second, second + 3n]) assert.equal((await ask(timestamp)).error, 'revert')
  })

  it('cannot be allocated by a genesis', async () => {
    await assert.rejects(
      openLedger({ genesis: { ...genesis, alloc: { [HISTORY_CONTRACT.address]: { balance: 1n } } } }),
      (error) => error instanceof LedgerError && error.code === 'BAD_GENESIS',
    )
  })
})
