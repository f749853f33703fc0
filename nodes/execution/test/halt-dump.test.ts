import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { decodeTransaction, Ledger, ModuleRegistry, module } from '@cumulus/ledger'
import { minimal } from '@cumulus/params'
import { createLogger, createMetrics } from '@cumulus/service'
import { toFunctionSelector } from 'viem'
import { BlockExecutor, type DecidedBatch, ExecutionError, LedgerView, LmdbLedgerStore, Mempool } from '../src/index.ts'
import { signed, testAccount } from './transactions.ts'

const ADDRESS = '0x0000000000000000000000000000000000000cff'

/** A module with a mistake in it: what it throws is no revert. */
const buggy = module({ name: 'Buggy', address: ADDRESS, storage: {}, events: {} }).fn('function run()', 0, () => {
  throw new TypeError('a mistake')
})

describe('a module that throws anything but a revert', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'cumulus-halt-'))
  })
  after(() => rm(dir, { recursive: true }))

  it('halts the node with a dump from which the block can be executed again', async () => {
    const account = testAccount(0)
    const genesis = { timestampMs: 0, alloc: { [account.address]: { balance: 10n ** 20n } } }
    const store = new LmdbLedgerStore(join(dir, 'chain'))
    const open = () => Ledger.open({ params: minimal, genesis, store, modules: new ModuleRegistry([buggy]) })
    const ledger = await open()
    const metrics = createMetrics({ process: false })
    const mempool = new Mempool({
      chainId: minimal.chainId,
      state: {
        nonce: (address) => ledger.getNonce(address),
        balance: (address) => ledger.getBalance(address),
        nextBaseFee: () => ledger.nextBaseFee,
      },
      metrics,
    })
    const transactions = [
      await signed(account, { nonce: 0, chainId: minimal.chainId }),
      await signed(account, {
        nonce: 1,
        chainId: minimal.chainId,
        to: ADDRESS,
        value: 0n,
        data: toFunctionSelector('function run()'),
        gas: 100_000n,
      }),
      await signed(account, { nonce: 2, chainId: minimal.chainId }),
    ]
    const batch: DecidedBatch = {
      number: 1n,
      timestampMs: 1_000,
      prevRandao: new Uint8Array(32).fill(7),
      coinbase: `0x${'cc'.repeat(20)}`,
      transactions,
    }
    const log = createLogger({ name: 'test', write: () => {} })
    const executor = new BlockExecutor({
      ledger,
      mempool,
      view: new LedgerView({ ledger, mempool, clientVersion: 'test', status: () => ({}) }),
      log,
      metrics,
      dumpDir: dir,
    })
    const orderer = {
      kind: 'test',
      decided: async function* () {
        yield batch
      },
      status: () => ({}),
    }
    const file = join(dir, 'halt-1.json')
    await assert.rejects(executor.run(orderer, { signal: new AbortController().signal }), (error) => {
      assert.ok(error instanceof ExecutionError)
      assert.deepEqual([error.code, error.details['dump']], ['HALTED', file])
      return true
    })
    const dump = JSON.parse(await readFile(file, 'utf8'))
    assert.equal(dump.format, 'cumulus/halt/1')
    assert.deepEqual(
      dump.errors.map(({ name }: Error) => name),
      ['LedgerHalt', 'TypeError'],
    )
    assert.match(dump.errors[1].stack, /halt-dump\.test\.ts/)
    const { stage, transactionIndex, transactionHash, changed } = dump.scene
    assert.deepEqual(
      [stage, transactionIndex, transactionHash],
      ['transaction', 1, `0x${transactions[1]!.hash.toHex()}`],
    )
    const addresses = changed.map(({ address }: { address: string }) => address)
    assert.ok(addresses.includes(account.address.toLowerCase()))
    assert.ok(addresses.includes(`0x${'aa'.repeat(20)}`))

    // Nothing of the block is stored, and the dump has all it takes: the same halt, from the file.
    assert.equal(ledger.head.number, 0n)
    const again = await open()
    const raws = dump.batch.transactions.map((hex: string) => decodeTransaction(Uint8Array.fromHex(hex.slice(2))))
    const { number, timestampMs, prevRandao, coinbase } = dump.batch
    const restored = {
      number: BigInt(number),
      timestampMs,
      prevRandao: Uint8Array.fromHex(prevRandao.slice(2)),
      coinbase,
      transactions: raws,
    }
    await assert.rejects(again.execute(restored), { code: 'HALT' })
    assert.deepEqual((await readdir(dir)).sort(), ['chain', 'halt-1.json'])
    await mempool.close()
    await store.close()
  })
})
