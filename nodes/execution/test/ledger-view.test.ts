import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Ledger, MemoryLedgerStore, ModuleRegistry, modulesFor } from '@cumulus/ledger'
import { minimal } from '@cumulus/params'
import { type RpcServer, startRpcServer } from '@cumulus/rpc'
import { createLogger, createMetrics } from '@cumulus/service'
import { LedgerView, Mempool } from '../src/index.ts'
import { signed, testAccount } from './transactions.ts'

const TOKEN = 10n ** 18n
const alice = testAccount(0)

/** The RPC of a chain of six blocks, each with a transfer. */
async function serve(base?: bigint) {
  const genesis = { timestampMs: 1_700_000_000_000, alloc: { [alice.address]: { balance: TOKEN } } }
  const modules = new ModuleRegistry(modulesFor(minimal))
  const ledger = await Ledger.open({ params: minimal, genesis, store: new MemoryLedgerStore(), modules })
  for (let nonce = 0; nonce < 6; nonce++) {
    const { head } = ledger
    await ledger.execute({
      number: head.number + 1n,
      timestampMs: head.timestampMs + 1_000,
      prevRandao: new Uint8Array(32),
      coinbase: `0x${'cc'.repeat(20)}`,
      transactions: [await signed(alice, { nonce, chainId: minimal.chainId, tip: 5_000n })],
    })
  }
  const mempool = new Mempool({
    chainId: minimal.chainId,
    state: {
      nonce: (address) => ledger.getNonce(address),
      balance: (address) => ledger.getBalance(address),
      nextBaseFee: () => ledger.nextBaseFee,
    },
  })
  const view = new LedgerView({ ledger, mempool, base, clientVersion: 'test', status: () => ({}) })
  const log = createLogger({ name: 'test', write: () => {} })
  const server = await startRpcServer(
    { chain: view, log, metrics: createMetrics({ process: false }), health: () => ({ ok: true, checks: [] }) },
    { host: '127.0.0.1', port: 0 },
  )
  const ask = async (method: string, ...params: unknown[]): Promise<{ result?: unknown; error?: { code: number } }> => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
    const headers = { 'content-type': 'application/json' }
    const response = await fetch(`http://127.0.0.1:${server.port}`, { method: 'POST', headers, body })
    return (await response.json()) as { result?: unknown; error?: { code: number } }
  }
  return { server, ask, view, ledger }
}

describe('a ledger seen by RPC', () => {
  let server: RpcServer
  let ask: Awaited<ReturnType<typeof serve>>['ask']
  let view: LedgerView
  before(async () => {
    ;({ server, ask, view } = await serve())
  })
  after(() => server.close())

  it('shows the same of a header, of payments and of logs, whether the block is in memory or not', () => {
    const [header, payments, logs] = [view.header(3n), view.payments(3n), view.logs(3n)]
    const { transactions, sizeBytes, ...rest } = view.block(3n)!
    assert.deepEqual(header, rest)
    assert.ok(transactions.length === 1 && sizeBytes > 0)
    assert.deepEqual(
      payments!.map(({ gasUsed, effectiveGasPrice }) => ({ gasUsed, effectiveGasPrice })),
      view.receipts(3n)!.map(({ gasUsed, effectiveGasPrice }) => ({ gasUsed, effectiveGasPrice })),
    )
    assert.deepEqual(logs, view.logs(3n))
    assert.deepEqual([view.header(7n), view.payments(7n), view.logs(7n)], [undefined, undefined, []])
  })

  it('finds where a transaction stands', () => {
    const { hash } = view.block(5n)!.transactions[0]!
    assert.deepEqual(view.place(hash), { blockNumber: 5n, index: 0 })
    assert.equal(view.place(`0x${'12'.repeat(32)}`), undefined)
  })

  it('has the protocol modules that RPC asks', async () => {
    assert.deepEqual((await ask('cumulus_getGroup', '0x0')).result, null)
    assert.deepEqual((await ask('cumulus_getChallenges')).result, [])
    assert.deepEqual((await ask('cumulus_getChallenges', alice.address, '0x3')).result, [])
  })
})

describe('a ledger that began with a snapshot, seen by RPC', () => {
  it('suggests fees from the blocks it has, and refuses those before', async () => {
    const { server, ask } = await serve(4n)
    for (const method of ['eth_gasPrice', 'eth_maxPriorityFeePerGas']) {
      assert.match(String((await ask(method)).result), /^0x[1-9a-f]/, method)
    }
    assert.equal((await ask('eth_maxPriorityFeePerGas')).result, '0x1388')
    const { result } = await ask('eth_feeHistory', '0x10', 'latest', [50])
    assert.deepEqual((result as { oldestBlock: string; reward: unknown[] }).oldestBlock, '0x4')
    assert.equal((result as { reward: unknown[] }).reward.length, 3)
    assert.equal((await ask('eth_getBlockByNumber', '0x3')).error?.code, -32001)
    await server.close()
  })
})
