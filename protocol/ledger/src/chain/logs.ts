import assert from 'node:assert/strict'
import { equalBytes, hexToBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import type { Address } from '@cumulus/types'
import { LedgerError } from '../ledger-error.ts'
import type { Log } from '../vm/vm.ts'
import type { BlockStore } from './block-store.ts'
import { mayContain } from './bloom.ts'
import type { HashedHeader } from './header.ts'
import { hookTransactionHash } from './keys.ts'

/** A log with its place in the chain. */
export interface PlacedLog extends Log {
  readonly blockNumber: bigint
  readonly blockHash: Uint8Array
  readonly timestamp: bigint
  /** For logs of module hooks: `hookTransactionHash` of the block. */
  readonly transactionHash: Uint8Array
  readonly transactionIndex: number
  readonly logIndex: number
}

export interface LogFilter {
  readonly fromBlock: bigint
  readonly toBlock: bigint
  /** Any of them; all if empty or absent. */
  readonly addresses?: readonly Address[]
  /** By position: any of the topics there, or whatever where undefined. */
  readonly topics?: readonly (readonly Uint8Array[] | undefined)[]
}

export interface LogLimits {
  /** Blocks that one query may span. */
  readonly logBlocks: number
  /** Logs that one query may return. */
  readonly logResults: number
}

/**
 * Logs in chain order. Blocks whose bloom speaks against it are skipped unread.
 *
 * @throws LedgerError TOO_MUCH
 */
export function queryLogs(blocks: BlockStore, filter: LogFilter, { logBlocks, logResults }: LogLimits): PlacedLog[] {
  if (filter.toBlock - filter.fromBlock >= BigInt(logBlocks)) {
    throw new LedgerError('TOO_MUCH', `a query spans at most ${logBlocks} blocks`, { limit: logBlocks })
  }
  const addresses = new Set(filter.addresses?.map((address) => address.toLowerCase()))
  const alternatives = [
    [...addresses].map((address) => hexToBytes(address)),
    ...(filter.topics ?? []).map((topics) => topics ?? []),
  ].filter((items) => items.length > 0)
  const found: PlacedLog[] = []
  for (let number = filter.fromBlock; number <= filter.toBlock; number++) {
    const header = blocks.header(number)
    assert(header !== undefined, `block ${number} is lost`)
    if (!alternatives.every((items) => items.some((item) => mayContain(header.logsBloom, item)))) continue
    for (const log of placedLogs(blocks, header)) {
      if (addresses.size > 0 && !addresses.has(log.address)) continue
      if (!(filter.topics ?? []).every((any, i) => matches(log.topics[i], any))) continue
      if (found.length === logResults) {
        throw new LedgerError('TOO_MUCH', `a query returns at most ${logResults} logs`, { limit: logResults })
      }
      found.push(log)
    }
  }
  return found
}

/** All logs of a block. Of its transactions only the hashes of those that logged are needed: they are not decoded. */
export function placedLogs(blocks: BlockStore, header: HashedHeader): PlacedLog[] {
  const receipts = blocks.receipts(header.number)
  let raws: Uint8Array[] | undefined
  let logIndex = 0
  return receipts.flatMap(({ logs }, transactionIndex) => {
    if (logs.length === 0) return []
    raws ??= blocks.rawTransactions(header.number)
    const raw = raws[transactionIndex]
    const transactionHash = raw ? keccak256(raw) : hookTransactionHash(header.number)
    return logs.map((log) => ({
      ...log,
      blockNumber: header.number,
      blockHash: header.hash,
      timestamp: header.timestamp,
      transactionHash,
      transactionIndex,
      logIndex: logIndex++,
    }))
  })
}

function matches(topic: Uint8Array | undefined, any: readonly Uint8Array[] | undefined): boolean {
  if (any === undefined || any.length === 0) return true
  return topic !== undefined && any.some((wanted) => equalBytes(wanted, topic))
}
