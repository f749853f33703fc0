/**
 * Transactions per second, executed, rooted and stored, beside `@ethereumjs/vm` with its own state manager and trie on
 * the same transactions in the same run, interleaved. Senders are recovered beforehand for both, as the mempool would.
 * `bytecode` does nothing but run: where its gas per second is far below that of the others, the EVM is the limit.
 *
 *     node --conditions=@cumulus/source protocol/ledger/bench/transactions.ts [transactions per block] [blocks] [accounts] [kind]
 */
import { hexToBytes } from '@cumulus/bytes'
import { createTxFromRLP, type TypedTransaction } from '@ethereumjs/tx'
import { runTx, type VM } from '@ethereumjs/vm'
import { encodeFunctionData } from 'viem'
import { decodeTransaction, type Ledger, ModuleRegistry, type Transaction } from '../src/index.ts'
import { moduleAbis, modulesFor } from '../src/modules/index.ts'
import {
  account,
  batchOf,
  common,
  ETHER,
  type Fixture,
  genesis,
  openLedger,
  params,
  sign,
  type TestAccount,
} from '../test/chain/fixture.ts'
import { beginReferenceBlock, openReference } from '../test/chain/reference.ts'
import { balanceSlot, TOKEN_RUNTIME } from './token.ts'

const [perBlock = 200, blockCount = 5, accountCount = 2_000] = process.argv.slice(2, 5).map(Number)
/** The only kind to run. */
const wanted = process.argv[5]

const senders: TestAccount[] = Array.from({ length: Math.min(250, perBlock) }, (_, i) => account(i))
/** Adds, multiplies and jumps until its gas is used up: the price of arithmetic. */
const LOOP = '0x00000000000000000000000000000000000000e3'
const LOOP_RUNTIME = hexToBytes(`5b${'30300150'.repeat(8)}${'30300250'.repeat(4)}5f56`)
const TOKEN = '0x00000000000000000000000000000000000000e2'
const receiver = (i: number) =>
  `0x${(0x1000000 + (i < 0x100000 ? i % accountCount : i)).toString(16).padStart(40, '0')}` as const

const kinds = {
  transfer: (i: number) => ({ to: receiver(i), value: 1n, gasLimit: 21_000n }),
  'token transfer': (i: number) => ({
    to: TOKEN,
    // transfer(address,uint256)
    data: hexToBytes(`a9059cbb${receiver(i).slice(2).padStart(64, '0')}${'1'.padStart(64, '0')}`),
    gasLimit: 100_000n,
  }),
  bytecode: (_: number) => ({ to: LOOP, gasLimit: 200_000n }),
  'faucet claim': (i: number) => ({
    to: moduleAbis.Faucet.address,
    data: hexToBytes(
      encodeFunctionData({ abi: moduleAbis.Faucet.abi, functionName: 'claim', args: [receiver(i + 0x100000)] }),
    ),
    gasLimit: 200_000n,
  }),
  'territory mint': (i: number) => ({
    to: moduleAbis.Territories.address,
    data: hexToBytes(
      encodeFunctionData({
        abi: moduleAbis.Territories.abi,
        functionName: 'mint',
        args: [`territory ${i}`, 2n ** 30n, 10, receiver(i)],
      }),
    ),
    value: params.pricePerGiBEpoch * 10n,
    gasLimit: 1_000_000n,
  }),
} as const

/** Calls of protocol modules: they mean nothing to the reference. */
const moduleKinds: readonly string[] = ['faucet claim', 'territory mint']

const alloc = {
  ...Object.fromEntries(senders.map(({ address }) => [address, { balance: 1_000n * ETHER }])),
  ...Object.fromEntries(Array.from({ length: accountCount }, (_, i) => [receiver(i), { balance: 1n }])),
  [LOOP]: { code: LOOP_RUNTIME },
  [TOKEN]: {
    code: TOKEN_RUNTIME,
    storage: senders.map(({ address }) => ({ slot: balanceSlot(address), value: 10n ** 24n })),
  },
}

/** ms per block of ours. */
async function runOurs(ledger: Ledger, transactions: Transaction[]): Promise<number> {
  const start = performance.now()
  const { receipts, dropped } = await ledger.execute(batchOf(ledger, transactions))
  const ms = performance.now() - start
  if (dropped.length > 0 || !receipts.every(({ ok, gasUsed }) => ok || gasUsed === 200_000n))
    throw new Error(`dropped ${dropped.length}: ${dropped[0]?.code}`)
  return ms
}

/** ms per block of the reference, with the state root at its end and no receipts trie, header or disk. */
async function runReference(vm: VM, ledger: Ledger, transactions: TypedTransaction[]): Promise<number> {
  const header = ledger.head
  const block = await beginReferenceBlock(vm, header)
  const start = performance.now()
  for (const tx of transactions) await runTx(vm, { tx, block })
  const root = await vm.stateManager.getStateRoot()
  const ms = performance.now() - start
  if (Buffer.compare(root, header.stateRoot) !== 0) throw new Error('the roots differ')
  return ms
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1]!
}

for (const [kind, make] of Object.entries(kinds)) {
  if (wanted !== undefined && wanted !== kind) continue
  const fixture: Fixture = await openLedger({
    params: { ...params, blockGasLimit: 10n ** 10n },
    genesis: { ...genesis, alloc },
    ...(moduleKinds.includes(kind) ? { modules: new ModuleRegistry(modulesFor(params)) } : {}),
  })
  const vm = moduleKinds.includes(kind) ? undefined : await openReference(alloc)
  const [ours, theirs]: [number[], number[]] = [[], []]
  let i = 0
  for (let b = 0; b <= blockCount; b++) {
    const raws = Array.from({ length: perBlock }, () => {
      const from = senders[i % senders.length]!
      const nonce = BigInt(Math.floor(i / senders.length))
      return sign(from, { nonce, maxPriorityFeePerGas: 1n, ...make(i++) })
    })
    const mine = raws.map((raw) => decodeTransaction(raw))
    for (const tx of mine) void tx.sender
    const reference = raws.map((raw) => createTxFromRLP(raw, { common }))
    for (const tx of reference) tx.getSenderAddress()
    const ms = await runOurs(fixture.ledger, mine)
    const msReference = vm ? await runReference(vm, fixture.ledger, reference) : Number.NaN
    // The first block warms both up.
    if (b > 0) {
      ours.push(ms)
      theirs.push(msReference)
    }
  }
  const [a, b] = [median(ours), median(theirs)]
  const perSecond = (ms: number) => Math.round((perBlock / ms) * 1000)
  const spread = `${perSecond(ours.at(-1)!)}..${perSecond(ours[0]!)}`
  const gas = Number(fixture.ledger.head.gasUsed) / a / 1000
  const ratio = vm ? ` · @ethereumjs/vm ${perSecond(b)}/s · ratio ${(b / a).toFixed(1)}` : ''
  process.stdout.write(
    `${kind.padEnd(15)} ${perSecond(a)}/s (${spread}), ${gas.toFixed(1)} Mgas/s${ratio} · head ${fixture.ledger.head.hash.toHex().slice(0, 8)}\n`,
  )
}

const MiB = 2 ** 20
const { heapUsed, rss } = process.memoryUsage()
process.stdout.write(`memory: heap ${(heapUsed / MiB).toFixed(0)} MiB, resident ${(rss / MiB).toFixed(0)} MiB\n`)
