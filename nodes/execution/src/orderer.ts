import type { DecidedBatch as LedgerBatch, Transaction } from '@cumulus/ledger'

/** How much one batch may hold. */
export interface BatchRoom {
  readonly gas: bigint
  readonly bytes: number
  readonly count: number
}

/**
 * Where an orderer gets transactions from: the mempool. The orderer pulls, because the best choice is the one made at the
 * moment of proposing, and because a queue of its own would be a second mempool with other limits.
 */
export interface TransactionSource {
  /**
   * The best executable transactions that fit, in an order in which every sender's nonces follow. They stay in the
   * source, marked, until it is told what became of them, so that the next batch can be taken before this one is decided.
   */
  take(room: BatchRoom): readonly Transaction[]
  /** Whether `take` would find anything. */
  readonly hasWaiting: boolean
  /** Calls back when something may have become executable; returns what ends it. */
  onWaiting(listener: () => void): () => void
}

/**
 * The order, decided for ever: everybody executes the same batches, one after the other. Transactions are as they came
 * over the wire. Some may prove invalid: execution leaves those out, everywhere alike.
 */
export interface DecidedBatch extends LedgerBatch {
  readonly transactions: readonly Transaction[]
}

/**
 * Transactions in, decided batches out. One validator decides alone (`SingleOrderer`), a committee by R²S
 * (`R2sOrderer`), and a full node takes what they decided (`Follower`).
 * Execution knows only this.
 */
export interface Orderer {
  /** How the order comes about, for status pages. */
  readonly kind: string
  /**
   * Batches in order, beginning after the head that the orderer was made with, until `signal` aborts. Asking for the next
   * says that the last one has been executed and stored.
   */
  decided(init: { signal: AbortSignal }): AsyncIterable<DecidedBatch>
  /** What an operator wants to see. Plain JSON. */
  status(): object
}
