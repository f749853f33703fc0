import { type Mempool, PoolError, type PoolErrorCode } from '@cumulus/execution'
import type { TransactionVerdict } from './wire.ts'

/** Nobody could ever take these: whoever passes them on has not looked. */
const never: ReadonlySet<PoolErrorCode> = new Set([
  'MALFORMED',
  'TOO_LARGE',
  'WRONG_CHAIN',
  'BAD_SIGNATURE',
  'GAS_LIMIT_TOO_HIGH',
  'INTRINSIC_GAS',
  'TIP_ABOVE_MAX_FEE',
])

/** Puts transactions of a peer into the mempool, each checked as if a user had sent it. */
export function takeTransactions(
  mempool: Pick<Mempool, 'submit'>,
  raws: readonly Uint8Array[],
): Promise<TransactionVerdict[]> {
  return Promise.all(raws.map((raw) => takeTransaction(mempool, raw)))
}

export async function takeTransaction(mempool: Pick<Mempool, 'submit'>, raw: Uint8Array): Promise<TransactionVerdict> {
  try {
    // The bytes may be a view of a message; the pool keeps what it is given.
    await mempool.submit(raw.slice(), { origin: 'peer' })
    return 'taken'
  } catch (error) {
    if (!(error instanceof PoolError)) throw error
    if (error.code === 'ALREADY_KNOWN') return 'known'
    return never.has(error.code) ? 'never' : 'not-now'
  }
}
