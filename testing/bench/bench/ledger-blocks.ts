/**
 * Transactions executed, rooted and stored in LMDB, durable after each chain block, beside `@ethereumjs/vm` with its own
 * state manager and trie on the same transactions in the same run, interleaved. Senders are recovered beforehand for
 * both, as the mempool would. State roots are compared block by block. Prints one line of JSON for each kind.
 *
 *     node --conditions=@cumulus/source testing/bench/bench/ledger-blocks.ts [transactions a block] [blocks] [receivers] [kind]
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { equalBytes, hexToBytes } from '@cumulus/bytes'
import { LmdbLedgerStore } from '@cumulus/execution'
import { decodeTransaction, type Ledger, ModuleRegistry, type Transaction } from '@cumulus/ledger'
import { moduleAbis, modulesFor } from '@cumulus/ledger/modules'
import type { Address } from '@cumulus/types'
import { type Abi, encodeDeployData, encodeFunctionData, getContractAddress } from 'viem'
import { compileTests } from '../../../protocol/contracts/test/compile-tests.ts'
import { EthereumVm } from '../../../protocol/ledger/src/vm/ethereum-vm.ts'
import {
  account,
  batchOf,
  ETHER,
  genesis,
  openLedger,
  params,
  sign,
} from '../../../protocol/ledger/test/chain/fixture.ts'
import {
  openReference,
  type ReferenceVm,
  referenceTransactions,
  runReference,
} from '../../../protocol/ledger/test/chain/reference.ts'

const [perBlock = 200, blockCount = 5, receiverCount = 2_000] = process.argv.slice(2, 5).map(Number)
/** The only kind to run. */
const wanted = process.argv[5]

const senders = Array.from({ length: Math.min(200, perBlock) }, (_, i) => account(i))
const receiver = (i: number): Address => `0x${(0x1000000 + i).toString(16).padStart(40, '0')}`
const known = (i: number) => receiver(i % receiverCount)

const contracts = compileTests('Bench.sol', ['Token', 'Cells'])
const token = getContractAddress({ from: senders[0]!.address, nonce: 0n }).toLowerCase() as Address
const tokenAbi: Abi = contracts.get('Token')!.abi
const deployment = {
  data: encodeDeployData({
    abi: tokenAbi,
    bytecode: contracts.get('Token')!.creationCode,
    args: [senders.map(({ address }) => address), 10n ** 24n],
  }),
  gasLimit: 2n ** 24n,
}

interface Kind {
  readonly name: string
  /** What one sender does first. */
  readonly before?: { readonly data: `0x${string}`; readonly gasLimit: bigint }
  /** Calls of protocol modules mean nothing to the reference. */
  readonly isModule?: boolean
  make(i: number): { to: Address; data?: `0x${string}`; value?: bigint; gasLimit: bigint }
}

const kinds: readonly Kind[] = [
  { name: 'transfer', make: (i) => ({ to: known(i), value: 1n, gasLimit: 21_000n }) },
  {
    name: 'ERC-20 transfer',
    before: deployment,
    make: (i) => ({
      to: token,
      data: encodeFunctionData({ abi: tokenAbi, functionName: 'transfer', args: [known(i), 1n] }),
      gasLimit: 100_000n,
    }),
  },
  {
    name: 'module call: faucet claim',
    isModule: true,
    make: (i) => ({
      to: moduleAbis.Faucet.address,
      data: encodeFunctionData({ ...moduleAbis.Faucet, functionName: 'claim', args: [receiver(i + 0x100000)] }),
      gasLimit: 200_000n,
    }),
  },
  {
    name: 'module call: territory mint',
    isModule: true,
    make: (i) => ({
      to: moduleAbis.Territories.address,
      data: encodeFunctionData({
        ...moduleAbis.Territories,
        functionName: 'mint',
        args: [`territory ${i}`, 2n ** 30n, 10, receiver(i)],
      }),
      value: params.pricePerGiBEpoch * 10n,
      gasLimit: 1_000_000n,
    }),
  },
]

const alloc = {
  ...Object.fromEntries(senders.map(({ address }) => [address, { balance: 1_000n * ETHER }])),
  ...Object.fromEntries(Array.from({ length: receiverCount }, (_, i) => [receiver(i), { balance: 1n }])),
}

/** Wall and processor time, in ms. The latter holds what the garbage collector's threads take. */
async function timed(work: () => Promise<unknown>): Promise<{ ms: number; cpuMs: number }> {
  const [cpu, start] = [process.cpuUsage(), performance.now()]
  await work()
  const ms = performance.now() - start
  const { user, system } = process.cpuUsage(cpu)
  return { ms, cpuMs: (user + system) / 1000 }
}

/** Time within messages of transactions: bytecode or a module, but not the fees, the trie or the disk around them. */
let messageMs = 0
const run = EthereumVm.prototype.run
EthereumVm.prototype.run = function (this: EthereumVm, ...given: Parameters<typeof run>) {
  const start = performance.now()
  const end = <T>(result: T): T => {
    messageMs += performance.now() - start
    return result
  }
  const outcome = run.apply(this, given)
  return outcome instanceof Promise ? outcome.then(end) : end(outcome)
}

async function execute(ledger: Ledger, transactions: Transaction[]): Promise<void> {
  const { receipts, dropped } = await ledger.execute(batchOf(ledger, transactions))
  if (dropped.length > 0) throw new Error(`dropped ${dropped.length}: ${dropped[0]!.code}`)
  if (!receipts.every(({ ok }) => ok)) throw new Error('a transaction failed')
}

async function measure({ name, before, isModule = false, make }: Kind, dir: string): Promise<object> {
  const store = new LmdbLedgerStore(dir)
  const { ledger } = await openLedger({
    params: { ...params, blockGasLimit: 10n ** 10n },
    genesis: { ...genesis, alloc },
    store,
    ...(isModule ? { modules: new ModuleRegistry(modulesFor(params)) } : {}),
  })
  const vm: ReferenceVm | undefined = isModule ? undefined : await openReference(alloc)
  const nonces = senders.map(() => 0n)
  const signed = (i: number, fields: { data?: `0x${string}` }) => {
    const from = i % senders.length
    const data = hexToBytes(fields.data ?? '0x')
    return sign(senders[from]!, { maxPriorityFeePerGas: 1n, ...fields, nonce: nonces[from]!++, data })
  }
  const block = async (raws: Uint8Array[]) => {
    const mine = raws.map((raw) => decodeTransaction(raw))
    for (const tx of mine) void tx.sender
    const theirs = vm && referenceTransactions(raws)
    messageMs = 0
    const ours = await timed(() => execute(ledger, mine))
    const inMessages = messageMs
    let root: Uint8Array | undefined
    const reference = vm && {
      ...(await timed(async () => {
        root = await runReference(vm, ledger.head, theirs!)
      })),
    }
    if (root && !equalBytes(root, ledger.head.stateRoot)) throw new Error('the roots differ')
    return { ours: { ...ours, messageMs: inMessages }, reference }
  }
  if (before) await block([signed(0, before)])
  const rounds = []
  let sent = 0
  for (let b = 0; b <= blockCount; b++) {
    const raws = Array.from({ length: perBlock }, () => signed(sent, make(sent++)))
    const round = await block(raws)
    // The first block warms both up.
    if (b > 0) rounds.push({ ...round, gasUsed: Number(ledger.head.gasUsed) })
  }
  const checksum = ledger.head.hash.toHex()
  await store.close()
  return { kind: name, perBlock, rounds, checksum }
}

const dir = await mkdtemp(join(tmpdir(), 'cumulus-bench-'))
try {
  for (const [i, kind] of kinds.entries()) {
    if (wanted !== undefined && wanted !== kind.name) continue
    process.stdout.write(`${JSON.stringify(await measure(kind, join(dir, String(i))))}\n`)
  }
} finally {
  await rm(dir, { recursive: true })
}
