import { moduleAbis } from '@cumulus/ledger/modules'
import type { Abi, RpcLog } from 'viem'
import { decodeEventLog, encodeEventTopics } from 'viem/utils'
import type { AnyChainEvent, EventFilter, EventName, ModuleName } from './modules.ts'

const moduleAt = new Map(
  Object.entries(moduleAbis).map(([name, { address }]) => [address.toLowerCase(), name as ModuleName]),
)

/** The event that a log stands for; undefined if no module emitted it, or a module newer than this client. */
export function decodeLog(log: RpcLog): AnyChainEvent | undefined {
  const module = moduleAt.get(log.address.toLowerCase())
  if (!module) return undefined
  let decoded: { eventName?: string; args?: unknown }
  try {
    decoded = decodeEventLog({ abi: moduleAbis[module].abi as Abi, data: log.data, topics: log.topics, strict: true })
  } catch {
    return undefined
  }
  return {
    module,
    name: decoded.eventName,
    args: decoded.args ?? {},
    blockNumber: BigInt(log.blockNumber!),
    blockHash: log.blockHash,
    logIndex: Number(log.logIndex),
    transactionHash: log.transactionHash,
  } as AnyChainEvent
}

/** Parameters of `eth_getLogs` besides the range. Several events of a module are found by their names only. */
export function logQuery<Module extends ModuleName, Name extends EventName<Module>>(
  module: Module,
  names: Name | readonly Name[],
  args: EventFilter<Module, Name> | undefined,
): { address: string; topics: unknown } {
  const { abi, address } = moduleAbis[module]
  if (typeof names === 'string') return { address, topics: encodeEventTopics({ abi, eventName: names, args } as never) }
  const topics = (names as readonly string[]).map((eventName) => encodeEventTopics({ abi, eventName } as never)[0])
  return { address, topics: [topics] }
}
