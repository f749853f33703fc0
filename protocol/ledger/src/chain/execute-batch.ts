import assert from 'node:assert/strict'
import { DecodeError } from '@cumulus/bytes'
import type { Address } from '@cumulus/types'
import type { HaltScene } from '../ledger-error.ts'
import type { JournaledState } from '../state/journaled-state.ts'
import type { Log, Vm, VmBlock } from '../vm/vm.ts'
import { type ChainRules, vmBlock } from './block-context.ts'
import { type DropCode, executeTransaction, judgeTransaction } from './execute-transaction.ts'
import { type HashedHeader, NO_CONSENSUS_ROOT } from './header.ts'
import type { LedgerModules } from './ledger-init.ts'
import type { Receipt } from './receipt.ts'
import { beginBlock } from './system-contracts.ts'
import { decodeTransaction, type Transaction } from './transaction.ts'

/** What an orderer decided: the content of the next chain block, in its final order. */
export interface DecidedBatch {
  readonly number: bigint
  /** Consensus time; not before the parent's. */
  readonly timestampMs: number
  /** 32 bytes that nobody could know when the transactions were ordered. */
  readonly prevRandao: Uint8Array
  /** Gets the tips. */
  readonly coinbase: Address
  /** Raw ones are decoded here. None at all is a legal block. */
  readonly transactions: readonly (Uint8Array | Transaction)[]
  /** 32 bytes that bind the order to the header, where Ethereum has its beacon chain's root. Default: zeros. */
  readonly consensusRoot?: Uint8Array
  /** The orderer's own note of how far it is, kept together with the block: see `Ledger.mark`. */
  readonly mark?: Uint8Array
  /** The block that this must become, where others have agreed on it already; if it does not, the ledger halts. */
  readonly expected?: HashedHeader
}

export interface DroppedTransaction {
  /** Position in the batch. */
  readonly index: number
  /** Undefined if it could not be decoded. */
  readonly hash: Uint8Array | undefined
  readonly code: DropCode
}

/** A block with what its transactions did. */
export interface ExecutedBlock {
  readonly header: HashedHeader
  readonly transactions: readonly Transaction[]
  /** One for each transaction, in their order. */
  readonly receipts: readonly Receipt[]
  /** Of module hooks, outside of any transaction. */
  readonly hookLogs: readonly Log[]
  readonly dropped: readonly DroppedTransaction[]
}

interface BatchContext {
  readonly state: JournaledState
  readonly vm: Vm
  readonly modules: LedgerModules
  readonly rules: ChainRules
  readonly parent: HashedHeader
  readonly baseFee: bigint
  readonly pause: () => Promise<unknown> | undefined
  /** Told of each step before it is begun. */
  readonly progress: (at: Omit<HaltScene, 'changed'>) => void
}

/** What a batch did to the state, which is not rooted yet. */
export interface ExecutedBatch extends Omit<ExecutedBlock, 'header'> {
  readonly block: VmBlock
  readonly gasUsed: bigint
  readonly consensusRoot: Uint8Array
}

const NO_TRANSACTION = { transactionIndex: undefined, transactionHash: undefined } as const

/** Runs the transactions of a batch that follows `parent`, and the hooks of the modules behind them. */
export async function executeBatch(batch: DecidedBatch, context: BatchContext): Promise<ExecutedBatch> {
  const { state, vm, modules, rules, parent, pause, progress } = context
  const block = vmBlock(rules, {
    number: batch.number,
    timestampMs: batch.timestampMs,
    prevRandao: batch.prevRandao.slice(),
    coinbase: batch.coinbase.toLowerCase() as Address,
    baseFee: context.baseFee,
    gasLimit: rules.params.blockGasLimit,
  })
  const transactions: Transaction[] = []
  const receipts: Receipt[] = []
  const dropped: DroppedTransaction[] = []
  const consensusRoot = batch.consensusRoot?.slice() ?? NO_CONSENSUS_ROOT
  progress({ stage: 'begin', ...NO_TRANSACTION })
  beginBlock(state, { ...block, parentHash: parent.hash, consensusRoot })
  let gasUsed = 0n
  for (const [index, item] of batch.transactions.entries()) {
    const tx = item instanceof Uint8Array ? decodeOrUndefined(item) : item
    const code = tx === undefined ? 'MALFORMED' : judgeTransaction(tx, state, block, block.gasLimit - gasUsed)
    if (tx === undefined || code !== undefined) {
      dropped.push({ index, hash: tx?.hash, code: code ?? 'MALFORMED' })
      continue
    }
    progress({ stage: 'transaction', transactionIndex: index, transactionHash: tx.hash })
    const { receipt } = await executeTransaction(tx, state, vm, block, gasUsed)
    gasUsed = receipt.cumulativeGasUsed
    transactions.push(tx)
    receipts.push(receipt)
    const wait = pause()
    if (wait) await wait
  }
  progress({ stage: 'hooks', ...NO_TRANSACTION })
  // Base fees, and what contracts held that destroyed themselves. No transaction makes tokens.
  const burnt = -state.supplyChange()
  assert(burnt >= 0n, `tokens from nowhere: ${-burnt} wei`)
  const hookLogs = modules.onBlock(state, block, { coinbase: block.coinbase, burnt })
  return { block, transactions, receipts, hookLogs, dropped, gasUsed, consensusRoot }
}

function decodeOrUndefined(raw: Uint8Array): Transaction | undefined {
  try {
    return decodeTransaction(raw)
  } catch (error) {
    if (error instanceof DecodeError) return undefined
    throw error
  }
}
