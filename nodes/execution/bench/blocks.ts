/**
 * Chain blocks executed, rooted and stored in LMDB, durable after each: what a validator's disk and memory see. Blocks of
 * transfers to random accounts, with the state of older blocks kept and without, interleaved; and a memory store beside.
 *
 *     node --conditions=@cumulus/source nodes/execution/bench/blocks.ts [accounts] [transfers per block] [blocks]
 */
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ledger, type LedgerStore, MemoryLedgerStore, ModuleRegistry, type Transaction } from '@cumulus/ledger'
import { minimal } from '@cumulus/params'
import type { Address } from '@cumulus/types'
import { LmdbLedgerStore } from '../src/index.ts'
import { signed, testAccount } from '../test/transactions.ts'

const [accounts = 100_000, perBlock = 200, blocks = 12] = process.argv.slice(2).map(Number)
const MiB = 2 ** 20
const params = { ...minimal, blockGasLimit: 10n ** 9n }
const senders = Array.from({ length: Math.min(50, perBlock) }, (_, i) => testAccount(i))
/** Spread over the whole trie by their hashes. */
const receiver = (i: number): Address => `0x${(0x1000000 + ((i * 7_919) % accounts)).toString(16).padStart(40, '0')}`
const alloc = {
  ...Object.fromEntries(Array.from({ length: accounts }, (_, i) => [receiver(i), { balance: 1n }])),
  ...Object.fromEntries(senders.map(({ address }) => [address, { balance: 10n ** 24n }])),
}

const dir = await mkdtemp(join(tmpdir(), 'cumulus-blocks-'))
try {
  const open = (store: LedgerStore, history: number) =>
    Ledger.open({
      params,
      genesis: { timestampMs: 0, alloc },
      store,
      modules: new ModuleRegistry([]),
      limits: { history: { blocks: history } },
    })
  const stores = [new LmdbLedgerStore(join(dir, 'whole')), new LmdbLedgerStore(join(dir, 'short'))]
  const runs = [
    { name: 'LMDB, 1,024 blocks of history', ledger: await open(stores[0]!, 1_024), ms: [] as number[] },
    { name: 'LMDB, 1 block of history', ledger: await open(stores[1]!, 1), ms: [] as number[] },
    { name: 'memory, 1,024 blocks of history', ledger: await open(new MemoryLedgerStore(), 1_024), ms: [] as number[] },
  ]
  let sent = 0
  for (let block = 1; block <= blocks; block++) {
    const transactions: Transaction[] = []
    for (let i = 0; i < perBlock; i++, sent++) {
      const nonce = Math.floor(sent / senders.length)
      const fields = { nonce, chainId: params.chainId, maxFee: 10n ** 12n, to: receiver(sent * 31 + 7) }
      const tx = await signed(senders[sent % senders.length]!, fields)
      void tx.sender
      transactions.push(tx)
    }
    for (const { ledger, ms } of runs) {
      const start = performance.now()
      const { dropped } = await ledger.execute({
        number: BigInt(block),
        timestampMs: block * 1_000,
        prevRandao: new Uint8Array(32),
        coinbase: `0x${'cc'.repeat(20)}`,
        transactions,
      })
      // The first block warms up.
      if (block > 1) ms.push(performance.now() - start)
      if (dropped.length > 0) throw new Error(`dropped ${dropped.length}: ${dropped[0]!.code}`)
    }
  }
  const heads = new Set(runs.map(({ ledger }) => ledger.head.hash.toHex()))
  if (heads.size !== 1) throw new Error('the chains differ')
  const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!
  for (const { name, ledger, ms } of runs) {
    const [middle, best, worst] = [median(ms), ms[0]!, ms.at(-1)!]
    const rate = (of: number) => Math.round((perBlock / of) * 1000)
    const history = `${(Number(ledger.memory.historyBytes) / (blocks * 1000)).toFixed(0)} kB of history per block`
    process.stdout.write(
      `${name.padEnd(32)} ${middle.toFixed(1)} ms per block, ${rate(middle)}/s (${rate(worst)}..${rate(best)}), ${history}\n`,
    )
  }
  const [oldest, newest] = [0n, BigInt(blocks)].map((at) => {
    const start = performance.now()
    for (let i = 0; i < 1_000; i++) runs[0]!.ledger.getBalance(receiver(i), at)
    return (performance.now() - start).toFixed(1)
  })
  process.stdout.write(`reads of an account ${blocks} blocks back ${oldest} µs, of the head ${newest} µs\n`)
  const start = performance.now()
  for (let i = 0; i < 100; i++) await runs[0]!.ledger.prove(receiver(i), [], 0n)
  process.stdout.write(`a proof ${blocks} blocks back ${((performance.now() - start) * 10).toFixed(0)} µs\n`)
  const files = await Promise.all(
    ['whole', 'short'].map(async (name) => (await stat(join(dir, name, 'chain.lmdb'))).size),
  )
  const { rss, heapUsed } = process.memoryUsage()
  process.stdout.write(
    `files ${files.map((size) => `${(size / MiB).toFixed(0)} MiB`).join(' and ')}, heap ${(heapUsed / MiB).toFixed(0)} MiB with the memory store, resident ${(rss / MiB).toFixed(0)} MiB, head ${[...heads][0]!.slice(0, 8)}\n`,
  )
  for (const store of stores) await store.close()
} finally {
  await rm(dir, { recursive: true })
}
