import type { Hex, ViewTransaction } from '../chain-view.ts'
import { address } from '../decode.ts'
import { formatTransaction, toQuantity } from '../format.ts'
import { type MethodTable, method } from '../method.ts'
import { overLimit } from '../rpc-error.ts'
import type { MethodContext } from './context.ts'

/** What waits for a block, in geth's words: `pending` can be executed, `queued` misses a nonce before it. */
export function txpoolMethods(context: MethodContext): MethodTable {
  const { chain, limits } = context
  const { pending } = chain
  /** Of all senders, by and by: so many transactions take longer to write down than one turn. */
  const everything = async <Item>(
    item: (transaction: ViewTransaction) => Item,
    signal: AbortSignal,
  ): Promise<{ pending: BySender<Item>; queued: BySender<Item> }> => {
    // In hex and with its field names a transaction is about this much larger.
    const { pending: executable, queued } = pending.counts()
    if (pending.bytes * 2 + (executable + queued) * 700 > limits.responseBytesMax) {
      throw overLimit(
        'response_bytes',
        `${executable + queued} transactions wait: ask txpool_contentFrom for one sender`,
      )
    }
    return context.search(async (turns) => {
      const all: { pending: BySender<Item>; queued: BySender<Item> } = { pending: {}, queued: {} }
      for (const sender of pending.senders()) {
        const pause = turns.next()
        if (pause) await pause
        const content = pending.content(sender)
        if (content.pending.length > 0) all.pending[sender] = byNonce(content.pending, item)
        if (content.queued.length > 0) all.queued[sender] = byNonce(content.queued, item)
      }
      return all
    }, signal)
  }
  return {
    ...method('txpool_status', [], () => {
      const counts = pending.counts()
      return { pending: toQuantity(counts.pending), queued: toQuantity(counts.queued) }
    }),
    ...method('txpool_content', [], (_, { signal }) => everything((one) => formatTransaction(one), signal)),
    ...method('txpool_contentFrom', [address], ([from]) => {
      const content = pending.content(from)
      return {
        pending: byNonce(content.pending, (one) => formatTransaction(one)),
        queued: byNonce(content.queued, (one) => formatTransaction(one)),
      }
    }),
    ...method('txpool_inspect', [], (_, { signal }) => everything(summary, signal)),
  }
}

type BySender<Item> = Record<Hex, Record<string, Item>>

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
