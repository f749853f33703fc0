import { bytesToHex } from '@cumulus/bytes'
import type { RpcTransaction, RpcTransactionReceipt } from 'viem'
import type { Hash, Hex, ViewBlock, ViewTransaction } from '../chain-view.ts'
import { bytes, type Decoder, hash, hex, optional, quantity } from '../decode.ts'
import { formatReceipt, formatTransaction } from '../format.ts'
import { type MethodTable, method } from '../method.ts'
import { overLimit, RpcError } from '../rpc-error.ts'
import { latest, type MethodContext } from './context.ts'

/** Transactions and receipts, waiting ones too; and how they are sent. */
export function transactionMethods(context: MethodContext): MethodTable {
  const { chain, limits } = context

  const indexed = (block: ViewBlock | undefined, index: bigint): ViewTransaction | undefined =>
    index < BigInt(block?.transactions.length ?? 0) ? block?.transactions[Number(index)] : undefined
  const shown = (block: ViewBlock | undefined, index: bigint): RpcTransaction | null => {
    const transaction = indexed(block, index)
    return transaction ? formatTransaction(transaction, block, Number(index)) : null
  }
  const rawOrNull = (transaction: ViewTransaction | undefined): Hex | null =>
    transaction ? bytesToHex(transaction.raw) : null
  const find = (of: Hash): ViewTransaction | undefined => {
    const place = chain.place(of)
    if (place) return chain.block(place.blockNumber)?.transactions[place.index]
    return chain.pending.transaction(of)
  }
  const receiptOf = (of: Hash): RpcTransactionReceipt | null => {
    const place = chain.place(of)
    const block = place && chain.block(place.blockNumber)
    const receipts = place && chain.receipts(place.blockNumber)
    return block && receipts ? formatReceipt(block, receipts, place.index) : null
  }
  const send = async (raw: Hex): Promise<Hash> => {
    const size = (raw.length - 2) / 2
    // An envelope is a few hundred bytes around its data (access lists aside, which the pool's own limit bounds).
    if (size > limits.calldataBytesMax) {
      throw overLimit('calldata', `a transaction of ${size} bytes is over the limit of ${limits.calldataBytesMax}`)
    }
    try {
      return await chain.pending.submit(bytes(raw, 'parameter 1'))
    } catch (cause) {
      const { code, message } = cause as { code?: unknown; message: string }
      if (cause instanceof RpcError || typeof code !== 'string') throw cause
      throw new RpcError('REFUSED', message, { data: { code }, cause })
    }
  }

  return {
    ...method('eth_getTransactionByHash', [hash], ([of]) => {
      const place = chain.place(of)
      if (place) return shown(chain.block(place.blockNumber), BigInt(place.index))
      const waiting = chain.pending.transaction(of)
      return waiting ? formatTransaction(waiting) : null
    }),
    ...method('eth_getTransactionByBlockNumberAndIndex', [latest, quantity], ([at, index]) =>
      shown(context.blockAt(at), index),
    ),
    ...method('eth_getTransactionByBlockHashAndIndex', [hash, quantity], ([of, index]) =>
      shown(context.blockOf(of), index),
    ),
    ...method('eth_getRawTransactionByHash', [hash], ([of]) => rawOrNull(find(of)) as Hex),
    ...method('debug_getRawTransaction', [hash], ([of]) => rawOrNull(find(of))),
    ...method('eth_getTransactionReceipt', [hash], ([of]) => receiptOf(of)),
    ...method('eth_sendRawTransaction', [hex], ([raw]) => send(raw)),
    // EIP-7966: answers with the receipt, so that a client need not ask again and again.
    ...method('eth_sendRawTransactionSync', [hex, optional(waitTime)], async ([raw, timeoutMs], { signal }) => {
      const waitMs = Math.min(timeoutMs || limits.syncSendMsMax, limits.syncSendMsMax)
      const of = await send(raw)
      const receipt = await context.nextBlocks(() => receiptOf(of), waitMs, signal)
      if (receipt) return receipt
      throw new RpcError('TIMEOUT', `the transaction was added to the pool but not executed in ${waitMs} ms`, {
        data: of,
      })
    }),
  }
}

/** ms; 0 means the most there is. */
const waitTime: Decoder<number> = (value, name) => Number(quantity(value, name))
