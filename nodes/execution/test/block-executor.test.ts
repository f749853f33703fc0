import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type ExecutedBlock, Ledger, MemoryLedgerStore, ModuleRegistry } from '@cumulus/ledger'
import { audit, teeWorkers } from '@cumulus/ledger/modules'
import { minimal } from '@cumulus/params'
import { createLogger, createMetrics } from '@cumulus/service'
import { BlockExecutor, type DecidedBatch, LedgerView, Mempool } from '../src/index.ts'
import { testAccount } from './transactions.ts'

const TOPICS = [
  '9400414fc702c135c247ab0d390c443045a8f8d93737424342dbc9106ddf3ab8',
  '798eaa69bb2f43da85bbde3a093390055eb6deb048a0da039359160a5fdadbf7',
  'beffc37de48b8031253652c378fa3ff3771f82d5f4fdd6849178fb53f5871afb',
]

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

  it('is counted by what it says of proofs and quotes', async () => {
    // keccak256 of ProofFailed(address,uint64,uint8), ProofMissed(address,uint64) and AttestationVoted(address,address,bytes32,bool)
    const [failed, missed, voted] = TOPICS.map((topic) => Uint8Array.fromHex(topic))
    const log = (address: `0x${string}`, topic: Uint8Array, last = 0) => {
      return { address, topics: [topic], data: new Uint8Array(64).with(63, last) }
    }
    const no = log(teeWorkers.address, voted!)
    const block = {
      header: { number: 1n, gasUsed: 0n, hash: new Uint8Array(32) },
      transactions: [],
      receipts: [
        { ok: true, logs: [no, no] },
        { ok: true, logs: [log(teeWorkers.address, voted!, 1)] },
      ],
      hookLogs: [log(audit.address, failed!), log(audit.address, missed!), log(audit.address, missed!)],
      dropped: [],
    } as unknown as ExecutedBlock
    const memory = { historyBytes: 0n, accounts: 0, slots: 0, trieNodes: 0, codeBytes: 0 }
    const facts = { head: block.header, nextBaseFee: 0n, oldestState: 0n, memory, modules: {} }
    const ledger = { execute: async () => block, ...facts } as never
    const metrics = createMetrics({ process: false })
    const log_ = createLogger({ name: 'test', write: () => undefined })
    const orderer = {
      kind: 'test',
      decided: async function* () {
        yield { number: 1n, transactions: [] } as unknown as DecidedBatch
      },
      status: () => ({}),
    }
    const parts = { mempool: { settle: () => undefined }, view: { publish: () => undefined } } as never as object
    const executor = new BlockExecutor({ ...parts, ledger, log: log_, metrics } as never)
    await executor.run(orderer, { signal: new AbortController().signal })
    const text = await metrics.metrics()
    assert.match(text, /cumulus_chain_proofs_total\{outcome="failed"\} 1\n/)
    assert.match(text, /cumulus_chain_proofs_total\{outcome="missed"\} 2\n/)
    assert.match(text, /cumulus_chain_attestation_votes_total\{verdict="refused"\} 2\n/)
    assert.match(text, /cumulus_chain_attestation_votes_total\{verdict="accepted"\} 1\n/)
    assert.ok(!text.includes('outcome="passed"'))
  })
})
