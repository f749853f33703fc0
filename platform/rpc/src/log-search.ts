import { setImmediate } from 'node:timers/promises'
import type { RpcLog } from 'viem'
import { BloomQuery } from './bloom.ts'
import type { ChainView, ViewBlock, ViewLog } from './chain-view.ts'
import type { LogFilter } from './decode.ts'
import { formatLog } from './format.ts'
import { overLimit } from './rpc-error.ts'

/** Blooms looked at before other work gets its turn. */
const BLOCKS_PER_TURN = 256

export function matches(filter: LogFilter, log: ViewLog): boolean {
  if (filter.addresses && !filter.addresses.has(log.address)) return false
  return filter.topics.every((wanted, index) => {
    const topic = log.topics[index]
    // A filter with more positions than the log has topics does not match, wildcards included (as geth has it).
    return topic !== undefined && (wanted === undefined || wanted.includes(topic))
  })
}

/**
 * Logs of blocks `from` to `to`, both included, in order.
 *
 * @throws RpcError LIMIT_EXCEEDED once there are more than `countMax`
 */
export async function searchLogs(
  chain: ChainView,
  filter: LogFilter,
  from: bigint,
  to: bigint,
  countMax: number,
): Promise<RpcLog[]> {
  const bloom = new BloomQuery(filter)
  const found: RpcLog[] = []
  let looked = 0
  for (let number = from; number <= to; number++) {
    if (++looked % BLOCKS_PER_TURN === 0) await setImmediate()
    const bits = chain.bloom(number)
    if (!bits || !bloom.mayMatch(bits)) continue
    const block = chain.block(number)
    if (block) found.push(...logsOfBlock(chain, block, filter))
    if (found.length > countMax) {
      throw overLimit('log_count', `the search finds more than ${countMax} logs; ask for fewer blocks at a time`)
    }
  }
  return found
}

/** Matching logs of one block. */
export function logsOfBlock(chain: ChainView, block: ViewBlock, filter: LogFilter): RpcLog[] {
  return chain
    .logs(block.number)
    .filter((log) => matches(filter, log))
    .map((log) => formatLog(log, block))
}
