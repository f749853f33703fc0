import { bytesToHex } from '@cumulus/bytes'
import type { RpcBlock } from 'viem'
import type { Hash, Hex, ViewBlock } from '../chain-view.ts'
import { boolean, hash, optional, quantity } from '../decode.ts'
import { formatBlock, formatHeader, formatReceipt, toQuantity } from '../format.ts'
import { type MethodTable, method } from '../method.ts'
import { RpcError } from '../rpc-error.ts'
import { latest, type MethodContext } from './context.ts'

/** Blocks and what is counted in them. No block of ours has uncles. */
export function blockMethods(context: MethodContext): MethodTable {
  const { chain } = context
  const rawOf = (block: ViewBlock) => {
    const raw = chain.raw(block.number)
    if (!raw) throw new RpcError('NOT_FOUND', `block ${block.number} is not kept here`)
    return raw
  }
  return {
    ...method('eth_blockNumber', [], () => toQuantity(chain.head().number)),
    ...method('eth_getBlockByNumber', [latest, optional(boolean)], ([at, full]) =>
      blockOrNull(context.blockAt(at), full),
    ),
    ...method('eth_getBlockByHash', [hash, optional(boolean)], ([of, full]) => blockOrNull(context.blockOf(of), full)),
    ...method('eth_getHeaderByNumber', [latest], ([at]) => headerOrNull(context.blockAt(at))),
    ...method('eth_getHeaderByHash', [hash], ([of]) => headerOrNull(context.blockOf(of))),
    ...method('eth_getBlockTransactionCountByNumber', [latest], ([at]) => countOrNull(context.blockAt(at))),
    ...method('eth_getBlockTransactionCountByHash', [hash], ([of]) => countOrNull(context.blockOf(of))),
    ...method('eth_getBlockReceipts', [latest], ([at]) => {
      const block = context.blockAt(at)
      const receipts = block && chain.receipts(block.number)
      if (!receipts) return null
      return receipts.map((_, index) => formatReceipt(block, receipts, index))
    }),
    ...method('eth_getUncleCountByBlockNumber', [latest], ([at]) => (context.blockAt(at) ? ('0x0' as const) : nothing)),
    ...method('eth_getUncleCountByBlockHash', [hash], ([of]) => (context.blockOf(of) ? ('0x0' as const) : nothing)),
    ...method('eth_getUncleByBlockNumberAndIndex', [latest, quantity], () => nothing),
    ...method('eth_getUncleByBlockHashAndIndex', [hash, quantity], () => nothing),
    ...method('debug_getRawHeader', [latest], ([at]) => bytesToHex(rawOf(context.requireBlock(at)).header)),
    ...method('debug_getRawBlock', [latest], ([at]) => bytesToHex(rawOf(context.requireBlock(at)).block)),
    ...method('debug_getRawReceipts', [latest], ([at]) => rawOf(context.requireBlock(at)).receipts.map(bytesToHex)),
  }
}

/** JSON-RPC has null for what does not exist; viem's types leave it out. */
const nothing = null as never

function blockOrNull(block: ViewBlock | undefined, full: boolean | undefined): RpcBlock | null {
  return block ? formatBlock(block, full ?? false) : null
}

function headerOrNull(block: ViewBlock | undefined): Record<string, unknown> | null {
  return block ? formatHeader(block) : null
}

function countOrNull(block: ViewBlock | undefined): Hex {
  return block ? toQuantity(block.transactions.length) : (null as unknown as Hash)
}
