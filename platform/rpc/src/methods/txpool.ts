import type { Hex, PendingContent, ViewTransaction } from '../chain-view.ts'
import { address } from '../decode.ts'
import { formatTransaction, toQuantity } from '../format.ts'
import { type MethodTable, method } from '../method.ts'
import { overLimit } from '../rpc-error.ts'
import type { MethodContext } from './context.ts'

/** What waits for a block, in geth's words: `pending` can be executed, `queued` misses a nonce before it. */
export function txpoolMethods({ chain, limits }: MethodContext): MethodTable {
  const { pending } = chain
  const everything = (): PendingContent => {
    // In hex and with its field names a transaction is about this much larger.
    const { pending: executable, queued } = pending.counts()
    if (pending.bytes * 2 + (executable + queued) * 700 > limits.responseBytesMax) {
      throw overLimit(
        'response_bytes',
        `${executable + queued} transactions wait: ask txpool_contentFrom for one sender`,
      )
    }
    return pending.content()
  }
  return {
    ...method('txpool_status', [], () => {
      const counts = pending.counts()
      return { pending: toQuantity(counts.pending), queued: toQuantity(counts.queued) }
    }),
    ...method('txpool_content', [], () => {
      const content = everything()
      return {
        pending: bySender(content.pending, (one) => formatTransaction(one)),
        queued: bySender(content.queued, (one) => formatTransaction(one)),
      }
    }),
    ...method('txpool_contentFrom', [address], ([from]) => {
      const content = pending.content(from)
      return {
        pending: byNonce(content.pending.get(from) ?? [], (one) => formatTransaction(one)),
        queued: byNonce(content.queued.get(from) ?? [], (one) => formatTransaction(one)),
      }
    }),
    ...method('txpool_inspect', [], () => {
      const content = everything()
      return { pending: bySender(content.pending, summary), queued: bySender(content.queued, summary) }
    }),
  }
}

function bySender<Item>(
  senders: ReadonlyMap<Hex, readonly ViewTransaction[]>,
  item: (transaction: ViewTransaction) => Item,
): Record<Hex, Record<string, Item>> {
  return Object.fromEntries([...senders].map(([sender, transactions]) => [sender, byNonce(transactions, item)]))
}

function byNonce<Item>(
  transactions: readonly ViewTransaction[],
  item: (transaction: ViewTransaction) => Item,
): Record<string, Item> {
  return Object.fromEntries(transactions.map((one) => [one.nonce.toString(), item(one)]))
}

/** geth's wording. */
function summary({ to, value, gasLimit, maxFeePerGas, gasPrice }: ViewTransaction): string {
  return `${to ?? 'contract creation'}: ${value} wei + ${gasLimit} gas × ${maxFeePerGas ?? gasPrice ?? 0n} wei`
}
