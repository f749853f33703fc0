import type { Address } from '@cumulus/types'

/** What went wrong outside the ledger; it stays as it was. */
export type LedgerErrorCode =
  /** The store holds the chain of another genesis. */
  | 'OTHER_GENESIS'
  /** A decided batch that cannot follow the head: wrong number, or time going backwards. */
  | 'BAD_BATCH'
  /** A genesis that contradicts itself. */
  | 'BAD_GENESIS'
  /** A block that is not there. */
  | 'NO_SUCH_BLOCK'
  /** A transaction that is not in the chain. */
  | 'NO_SUCH_TRANSACTION'
  /** The state of a block that is too old to be kept. `oldest` in the details is the first that is. */
  | 'HISTORIC_STATE'
  /** A query over more than the limit. */
  | 'TOO_MUCH'
  /** Too many calls are waiting. */
  | 'BUSY'
  /** What a call wants the state or the block to be is out of range, or contradicts itself. */
  | 'BAD_OVERRIDE'

export class LedgerError extends Error {
  readonly code: LedgerErrorCode
  readonly details: Readonly<Record<string, unknown>>
  constructor(code: LedgerErrorCode, message: string, details: Readonly<Record<string, unknown>> = {}) {
    super(message)
    this.name = 'LedgerError'
    this.code = code
    this.details = details
  }
}

/** For whoever looks for the cause. */
export interface HaltScene {
  /** What was being done: `transaction` has its index and hash. */
  readonly stage: 'begin' | 'transaction' | 'hooks' | 'root' | 'store'
  readonly transactionIndex: number | undefined
  readonly transactionHash: Uint8Array | undefined
  /** What the block had changed by then, cut off at a thousand accounts and as many slots of each. */
  readonly changed: readonly { readonly address: Address; readonly slots: readonly bigint[] }[]
}

/**
 * We are wrong: a module threw what is no revert, or the state contradicts itself. Nothing of the block was stored; the
 * ledger refuses to go on, because nodes that guess differently would split.
 */
export class LedgerHalt extends Error {
  readonly code = 'HALT'
  /** Where it happened, if a block was being executed. */
  scene: HaltScene | undefined
  constructor(message: string, cause: unknown) {
    super(message, { cause })
    this.name = 'LedgerHalt'
  }
}
