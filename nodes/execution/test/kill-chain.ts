import { Ledger, type LedgerStore, ModuleRegistry } from '@cumulus/ledger'
import { minimal } from '@cumulus/params'
import type { Address } from '@cumulus/types'
import { toHex } from 'viem'
import type { DecidedBatch } from '../src/index.ts'
import { signed, testAccount } from './transactions.ts'

/** Blocks whose state is kept. */
export const KEPT_BLOCKS = 6
/** Stores its calldata's second word in the slot of the first: zeros too, so that tries shrink. */
export const CELLS: Address = '0x00000000000000000000000000000000000000e5'
const sender = testAccount(0)

/** A chain that does the same in every process: its blocks are a function of their number. */
export function openChain(store: LedgerStore): Promise<Ledger> {
  return Ledger.open({
    params: minimal,
    genesis: {
      timestampMs: 0,
      alloc: {
        [sender.address]: { balance: 10n ** 24n },
        [CELLS]: { code: Uint8Array.fromHex('6020355f355500') },
      },
    },
    store,
    modules: new ModuleRegistry([]),
    limits: { history: { blocks: KEPT_BLOCKS } },
  })
}

export async function batchNumber(number: bigint): Promise<DecidedBatch> {
  const n = Number(number)
  const word = (value: number) => toHex(value, { size: 32 }).slice(2)
  const write = (i: number) => ({
    to: CELLS,
    value: 0n,
    gas: 100_000n,
    data: `0x${word((n * 7 + i) % 23)}${word((n + i) % 3)}` as const,
  })
  const wanted = [write(0), write(1), { to: `0x${(4096 + n).toString(16).padStart(40, '0')}` as const }]
  return {
    number,
    timestampMs: n * 1_000,
    prevRandao: new Uint8Array(32).fill(n % 256),
    coinbase: `0x${'cc'.repeat(20)}`,
    mark: Uint8Array.of(n % 256),
    transactions: await Promise.all(
      wanted.map((fields, i) =>
        signed(sender, { nonce: 3 * (n - 1) + i, chainId: minimal.chainId, maxFee: 10n ** 12n, ...fields }),
      ),
    ),
  }
}
