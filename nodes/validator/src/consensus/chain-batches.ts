import { ByteWriter, concatBytes, DecodeError, utf8Encode } from '@cumulus/bytes'
import type { DecidedBatch } from '@cumulus/execution'
import { keccak256, sha256 } from '@cumulus/hash'
import { decodeTransaction, type Transaction } from '@cumulus/ledger'
import type { Params } from '@cumulus/params'
import { type Commit, transactionsOf } from '@cumulus/r2s'
import type { Address } from '@cumulus/types'
import { consensusRootOf, encodeMark, type OrderPlace } from './order-mark.ts'

/** What the making of chain blocks depends on beside the commit: the same at all members. */
export interface BatchRules {
  readonly era: number
  readonly genesisMs: number
  readonly params: Params
  /** By seat. */
  readonly accounts: readonly Address[]
}

/** The chain block that the next one follows. */
export interface BatchParent {
  readonly number: bigint
  readonly timestampMs: number
  /** Round that it came from; 0 for the genesis. */
  readonly round: number
}

/** A chain block to be, with its place in the order. */
export interface PlacedBatch extends OrderPlace {
  readonly batch: DecidedBatch
}

/**
 * The chain blocks of one decided round (R²S, section 5): one if it brings transactions or evidence, or if consensus time has
 * entered the next heartbeat, or many rounds brought none; several if it brings more than one block holds. A function of
 * its arguments alone.
 *
 * @param known a transaction that is decoded already, with its sender
 */
export function batchesOf(
  commit: Commit,
  parent: BatchParent,
  rules: BatchRules,
  known: (hash: Uint8Array) => Transaction | undefined = () => undefined,
): PlacedBatch[] {
  const timestampMs = Math.max(parent.timestampMs, commit.medianTsMs)
  const transactions = distinctTransactions(commit, known)
  const hasContent = transactions.length > 0 || commit.ejected.length > 0
  // Members join the order where a chain block binds it: the last one is never too long ago.
  const isFar = commit.round - parent.round >= rules.params.order.gcDepthRounds / ROUNDS_PER_BLOCK_SHARE
  if (!hasContent && !isFar && !isHeartbeatDue(parent.timestampMs, timestampMs, rules)) return []
  const leader = commit.slots.find((slot) => slot.digest !== null)
  // Without a committed leader there are no blocks and no time: nothing would be due.
  const coinbase = leader ? rules.accounts[leader.author]! : ZERO_ADDRESS
  return inBlocks(transactions, rules.params).map((part, index) => {
    const place = { era: rules.era, round: commit.round, index }
    return {
      ...place,
      batch: {
        number: parent.number + BigInt(index) + 1n,
        timestampMs,
        prevRandao: randaoOf(commit.coin, index),
        coinbase,
        transactions: part,
        consensusRoot: consensusRootOf(place, commit.checkpoint),
        mark: encodeMark({ kind: 'ordered', ...place }),
      },
    }
  })
}

/** At most this part of the rounds that members remember passes without a chain block. */
const ROUNDS_PER_BLOCK_SHARE = 4
const ZERO_ADDRESS: Address = '0x0000000000000000000000000000000000000000'
const RANDAO_DOMAIN = utf8Encode('randao')

/** What the leaders wrote was fixed before the coin of their round was known: nobody chose it. */
export function randaoOf(coin: Uint8Array, index: number): Uint8Array {
  const further = index === 0 ? new Uint8Array(0) : new ByteWriter(16).u32(index).finish()
  return sha256(concatBytes(RANDAO_DOMAIN, coin, further))
}

/** A transaction sits at two members, so both may bring it. What cannot be decoded is nobody's. */
function distinctTransactions(commit: Commit, known: (hash: Uint8Array) => Transaction | undefined): Transaction[] {
  const seen = new Set<string>()
  const transactions: Transaction[] = []
  for (const block of commit.blocks) {
    for (const raw of transactionsOf(block)) {
      // Most wait in the own mempool: they need not be decoded again.
      const hash = keccak256(raw)
      const key = hash.toHex()
      if (seen.has(key)) continue
      const transaction = known(hash) ?? decoded(raw)
      if (!transaction) continue
      seen.add(key)
      transactions.push(transaction)
    }
  }
  return transactions
}

function decoded(raw: Uint8Array): Transaction | undefined {
  try {
    return decodeTransaction(raw)
  } catch (error) {
    if (error instanceof DecodeError) return undefined
    throw error
  }
}

/** In order, none left out: at least one part, perhaps empty. What no block could ever hold is dropped by execution. */
function inBlocks(transactions: readonly Transaction[], { blockGasLimit, order }: Params): Transaction[][] {
  const parts: Transaction[][] = [[]]
  let gas = 0n
  let bytes = 0
  for (const transaction of transactions) {
    const part = parts.at(-1)!
    const fits =
      gas + transaction.gasLimit <= blockGasLimit &&
      bytes + transaction.raw.length <= order.blockBytesMax &&
      part.length < order.blockTransactionsMax
    if (fits || part.length === 0) part.push(transaction)
    else parts.push([transaction])
    gas = (fits ? gas : 0n) + transaction.gasLimit
    bytes = (fits ? bytes : 0) + transaction.raw.length
  }
  return parts
}

function isHeartbeatDue(parentMs: number, timestampMs: number, { genesisMs, params }: BatchRules): boolean {
  const heartbeatMs = params.slotMs * params.order.heartbeatSlots
  return Math.floor((timestampMs - genesisMs) / heartbeatMs) > Math.floor((parentMs - genesisMs) / heartbeatMs)
}
