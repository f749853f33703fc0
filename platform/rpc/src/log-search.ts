import type { RpcLog } from 'viem'
import { BloomQuery } from './bloom.ts'
import type { ChainView, ViewHeader, ViewLog } from './chain-view.ts'
import type { LogFilter } from './decode.ts'
import { formatLog } from './format.ts'
import type { RpcLimits } from './limits.ts'
import { overLimit } from './rpc-error.ts'
import type { Turns } from './turns.ts'

export function matches(filter: LogFilter, log: ViewLog): boolean {
  if (filter.addresses && !filter.addresses.has(log.address)) return false
  return filter.topics.every((wanted, index) => {
    const topic = log.topics[index]
    // A filter with more positions than the log has topics does not match, wildcards included (as geth has it).
    return topic !== undefined && (wanted === undefined || wanted.includes(topic))
  })
}

type LogAnswerLimits = Pick<RpcLimits, 'logCountMax' | 'logBytesMax'>

/**
 * Logs of blocks `from` to `to`, both included, in order. A block whose bloom speaks against it costs 256 bytes; of one
 * that may match the receipts are decoded, which can take tens of ms, so others get their turn by time.
 *
 * @throws RpcError LIMIT_EXCEEDED once there are too many, or time is up
 */
export async function searchLogs(
  chain: ChainView,
  filter: LogFilter,
  from: bigint,
  to: bigint,
  { logCountMax, logBytesMax }: LogAnswerLimits,
  turns: Turns,
): Promise<RpcLog[]> {
  const bloom = new BloomQuery(filter)
  const found: RpcLog[] = []
  let bytes = 0
  for (let number = from; number <= to; number++) {
    const pause = turns.next()
    if (pause) await pause
    const bits = chain.bloom(number)
    if (!bits || !bloom.mayMatch(bits)) continue
    const header = chain.header(number)
    if (!header) continue
    for (const log of logsOfBlock(chain, header, filter)) {
      bytes += log.data.length / 2
      found.push(log)
    }
    if (found.length > logCountMax) {
      throw overLimit('log_count', `the search finds more than ${logCountMax} logs; ask for fewer blocks at a time`)
    }
    if (bytes > logBytesMax) {
      throw overLimit(
        'log_bytes',
        `the search finds more than ${logBytesMax} bytes of data; ask for fewer blocks at a time`,
      )
    }
  }
  return found
}

/** Matching logs of one block. */
export function logsOfBlock(chain: ChainView, header: ViewHeader, filter: LogFilter): RpcLog[] {
  return chain
    .logs(header.number)
    .filter((log) => matches(filter, log))
    .map((log) => formatLog(log, header))
}
