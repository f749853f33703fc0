import type { RpcLog } from 'viem'
import { type BlockReference, boolean, hex, type LogQuery, logQuery, optional } from '../decode.ts'
import { logsOfBlock, searchLogs } from '../log-search.ts'
import { type MethodTable, method } from '../method.ts'
import { overLimit, RpcError } from '../rpc-error.ts'
import type { MethodContext } from './context.ts'

/** Log searches and installed filters. */
export function logMethods(context: MethodContext): MethodTable {
  const { chain, limits, filters } = context
  const query = logQuery(limits)

  const logs = async (wanted: LogQuery, signal: AbortSignal): Promise<RpcLog[]> => {
    if (wanted.blockHash) {
      const header = context.headerAt({ hash: wanted.blockHash })
      if (!header) throw new RpcError('NOT_FOUND', `unknown block ${wanted.blockHash}`)
      const found = logsOfBlock(chain, header, wanted)
      if (found.length > limits.logCountMax)
        throw overLimit('log_count', `the block has more than ${limits.logCountMax} such logs`)
      return found
    }
    const head = chain.head().number
    const bound = (reference: BlockReference) =>
      typeof reference === 'bigint' ? reference : (context.numberOf(reference) ?? head + 1n)
    const from = bound(wanted.fromBlock)
    const to = bound(wanted.toBlock)
    if (to < from) throw new RpcError('INVALID_PARAMS', `the range ends (${to}) before it begins (${from})`)
    const end = to > head ? head : to
    if (end - from >= BigInt(limits.logRangeBlocksMax)) {
      throw overLimit(
        'log_range',
        `the range has ${end - from + 1n} blocks, at most ${limits.logRangeBlocksMax} are searched at a time`,
      )
    }
    return await context.search((turns) => searchLogs(chain, wanted, from, end, limits, turns), signal)
  }

  return {
    ...method('eth_getLogs', [query], ([wanted], { signal }) => logs(wanted, signal)),
    ...method('eth_newFilter', [query], ([wanted]) => filters.addLogs(wanted)),
    ...method('eth_newBlockFilter', [], () => filters.addBlocks()),
    ...method('eth_newPendingTransactionFilter', [optional(boolean)], ([full]) => filters.addPending(full ?? false)),
    ...method('eth_getFilterChanges', [hex], async ([id], { signal }) => {
      const changes = await context.search((turns) => filters.changes(id, turns), signal)
      return changes as never
    }),
    ...method('eth_getFilterLogs', [hex], async ([id], { signal }) => (await logs(filters.query(id), signal)) as never),
    ...method('eth_uninstallFilter', [hex], ([id]) => filters.remove(id)),
  }
}
