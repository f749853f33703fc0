/**
 * Memory of a ledger over LMDB, in a process of its own: `fill` makes a state of so many slots and ends; `run` opens it
 * and executes blocks that write to slots all over it, then two of the worst: one that reads as many slots as its gas
 * buys, one that writes as many. Prints one line of JSON. Pages of the database's file that lie in memory are told
 * apart: the system takes them back when it wants.
 *
 *     node --conditions=@cumulus/source testing/bench/bench/ledger-memory.ts fill FOLDER [slots]
 *     node --conditions=@cumulus/source testing/bench/bench/ledger-memory.ts run FOLDER [slots] [blocks]
 */
import { readFileSync } from 'node:fs'
import { hexToBytes } from '@cumulus/bytes'
import { LmdbLedgerStore } from '@cumulus/execution'
import { decodeTransaction } from '@cumulus/ledger'
import type { Address } from '@cumulus/types'
import { encodeFunctionData, getContractAddress, parseAbi, serializeTransaction } from 'viem'
import { account, batchOf, ETHER, genesis, openLedger, params } from '../../../protocol/ledger/test/chain/fixture.ts'

const [mode, dir, ...sizes] = process.argv.slice(2)
const [slots = 100_000, blocks = 20] = sizes.map(Number)
if ((mode !== 'fill' && mode !== 'run') || dir === undefined) throw new Error('usage: fill|run FOLDER [slots] [blocks]')

/** Slots that one transaction may write, and read, with its gas of 2²⁴. */
const [WRITTEN_AT_ONCE, READ_AT_ONCE] = [700, 7_000]

const abi = parseAbi([
  'function write(uint256 from, uint256 count, uint256 value)',
  'function read(uint256 from, uint256 count)',
])
const sender = account(0)
const cells = getContractAddress({ from: sender.address, nonce: 0n }).toLowerCase() as Address
const store = new LmdbLedgerStore(dir)
const { ledger } = await openLedger({
  params: { ...params, blockGasLimit: 60_000_000n },
  genesis: { ...genesis, alloc: { [sender.address]: { balance: 10n ** 9n * ETHER } } },
  store,
})
let nonce = Number(ledger.getNonce(sender.address))

/** The sender is given: no signature is looked at. */
function transaction(to: Address | undefined, data: `0x${string}`) {
  const raw = serializeTransaction(
    {
      type: 'eip1559',
      chainId: params.chainId,
      nonce: nonce++,
      maxFeePerGas: 10n ** 15n,
      gas: 2n ** 24n,
      to,
      data,
    },
    { r: `0x${'11'.repeat(32)}`, s: `0x${'11'.repeat(32)}`, yParity: 0 },
  )
  return decodeTransaction(hexToBytes(raw), sender.address)
}
const write = (from: number, count: number, value: number) =>
  transaction(
    cells,
    encodeFunctionData({ abi, functionName: 'write', args: [BigInt(from), BigInt(count), BigInt(value)] }),
  )
const read = (from: number, count: number) =>
  transaction(cells, encodeFunctionData({ abi, functionName: 'read', args: [BigInt(from), BigInt(count)] }))

async function block(transactions: ReturnType<typeof transaction>[]): Promise<void> {
  const { receipts, dropped } = await ledger.execute(batchOf(ledger, transactions))
  if (dropped.length > 0) throw new Error(`dropped: ${dropped[0]!.code}`)
  if (!receipts.every(({ ok }) => ok)) throw new Error('a transaction failed')
}

function residentBytes() {
  const status = readFileSync('/proc/self/status', 'utf8')
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)![1]) * 1024
  return { own: field('RssAnon'), file: field('RssFile'), most: field('VmHWM') }
}

if (mode === 'fill') {
  // Here only: the compiler's own memory must not be in what `run` measures.
  const { compileTests } = await import('../../../protocol/contracts/test/compile-tests.ts')
  await block([transaction(undefined, compileTests('Bench.sol', ['Cells']).get('Cells')!.creationCode)])
  for (let from = 0; from < slots; ) {
    const batch = []
    for (let i = 0; i < 3 && from < slots; i++) {
      const count = Math.min(WRITTEN_AT_ONCE, slots - from)
      batch.push(write(from, count, 1))
      from += count
    }
    await block(batch)
  }
} else {
  const start = residentBytes()
  let step = 1
  for (let b = 0; b < blocks; b++) {
    await block(Array.from({ length: 100 }, () => write((step++ * 7_919) % slots, 1, b + 2)))
  }
  const usual = residentBytes()
  const room = Math.max(1, slots - READ_AT_ONCE)
  await block([0, 1, 2].map((i) => read((i * READ_AT_ONCE) % room, Math.min(READ_AT_ONCE, slots))))
  await block([0, 1, 2].map((i) => write(slots + i * WRITTEN_AT_ONCE, WRITTEN_AT_ONCE, 7)))
  const worst = residentBytes()
  process.stdout.write(
    `${JSON.stringify({ slots, blocks, start, usual, worst, cached: ledger.memory, checksum: ledger.head.hash.toHex() }, (_, value) => (typeof value === 'bigint' ? Number(value) : value))}\n`,
  )
}
await store.close()
