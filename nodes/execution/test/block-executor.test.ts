import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Ledger, MemoryLedgerStore, ModuleRegistry } from '@cumulus/ledger'
import { minimal } from '@cumulus/params'
import { createLogger, createMetrics } from '@cumulus/service'
import { BlockExecutor, type DecidedBatch, LedgerView, Mempool } from '../src/index.ts'
import { testAccount } from './transactions.ts'

describe('a stored block', () => {
  it('is no reason to halt when one of its readers fails: the others hear of it, and of the next', async () => {
    const genesis = { timestampMs: 0, alloc: { [testAccount(0).address]: { balance: 10n ** 20n } } }
    const modules = new ModuleRegistry([])
    const ledger = await Ledger.open({ params: minimal, genesis, store: new MemoryLedgerStore(), modules })
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
    const lines: string[] = []
    const log = createLogger({ name: 'test', write: (line) => lines.push(line) })
    const view = new LedgerView({ ledger, mempool, clientVersion: 'test', status: () => ({}) })
    const heard: bigint[] = []
    view.onBlock(() => {
      throw new TypeError('a subscriber of mine')
    })
    view.onBlock(({ number }) => heard.push(number))
    const batches = [1n, 2n].map(
      (number): DecidedBatch => ({
        number,
        timestampMs: Number(number) * 1_000,
        prevRandao: new Uint8Array(32),
        coinbase: `0x${'cc'.repeat(20)}`,
        transactions: [],
      }),
    )
    const orderer = {
      kind: 'test',
      decided: async function* () {
        yield* batches
      },
      status: () => ({}),
    }
    const executor = new BlockExecutor({ ledger, mempool, view, log, metrics })
    await executor.run(orderer, { signal: new AbortController().signal })
    assert.deepEqual([heard, ledger.head.number], [[1n, 2n], 2n])
    assert.match(await metrics.metrics(), /cumulus_chain_reader_failures_total 2/)
    assert.equal(lines.filter((line) => line.includes('a subscriber of mine')).length, 2)
    assert.ok(!lines.some((line) => line.includes('halted')))
    await mempool.close()
  })
})
