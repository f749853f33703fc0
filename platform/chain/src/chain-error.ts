import type { Hash } from 'viem'

/** What a chain client throws. Stable. */
export type ChainErrorCode =
  /** The call or transaction was refused by the code it called; `reason` or `errorName` and `args` say why. Nothing changed. */
  | 'REVERTED'
  /** No node answered in time. Nothing was sent. */
  | 'UNREACHABLE'
  /** The account cannot pay for it. */
  | 'INSUFFICIENT_FUNDS'
  /** The node refuses it for another reason; `reason` has its words. */
  | 'REFUSED'
  /** Too much at once: in this client, or in the node's pool for longer than we wait. */
  | 'BUSY'
  /** The node is on another chain than the parameters say. */
  | 'WRONG_CHAIN'
  /** The chain lost more transactions of this account than can be filled in; was it begun anew? */
  | 'LOST'
  /** A node answered what is no JSON-RPC, or more than the limit. */
  | 'BAD_ANSWER'

interface ChainErrorInit extends ErrorOptions {
  /** Text of `require`, or the node's words. */
  readonly reason?: string
  /** Name of a custom error. */
  readonly errorName?: string
  readonly args?: readonly unknown[]
  readonly transactionHash?: Hash
  readonly details?: Readonly<Record<string, unknown>>
}

export class ChainError extends Error {
  readonly code: ChainErrorCode
  readonly reason: string | undefined
  readonly errorName: string | undefined
  readonly args: readonly unknown[]
  readonly transactionHash: Hash | undefined
  readonly details: Readonly<Record<string, unknown>>
  /** What to do about it, where that is known. */
  readonly nextStep: string | undefined

  constructor(code: ChainErrorCode, message: string, init: ChainErrorInit = {}) {
    const nextStep = nextSteps[init.errorName ?? ''] ?? nextSteps[init.reason ?? ''] ?? nextSteps[code]
    super(nextStep ? `${message}: ${nextStep}` : message, { cause: init.cause })
    this.name = 'ChainError'
    this.code = code
    this.reason = init.reason
    this.errorName = init.errorName
    this.args = init.args ?? []
    this.transactionHash = init.transactionHash
    this.details = init.details ?? {}
    this.nextStep = nextStep
  }
}

/** By custom error, by text of a `require`, or by code. */
const nextSteps: Readonly<Record<string, string>> = {
  StakeTooLow: 'send the missing stake along, or declare fewer units',
  UnitsInUse: 'wait until stripes are released, or declare at least the units in use',
  NoRoom: 'more miners with idle space are needed, or a class with fewer seats',
  OverCapacity: 'expand the territory (Territories.expand at the given price), or release stripes',
  OverQuota: 'ask the owner for a larger grant (Gateways.grant)',
  BelowQuorum: 'collect receipts of more seats, then commit again',
  BadReceipt: 'leave that seat out and commit with the others',
  PriceNotPaid: 'send at least the price along',
  'reservation has expired': 'reserve anew',
  'grant has expired': 'ask the owner for a new grant',
  'territory is not active': 'renew the territory (Territories.renew)',
  'neither the owner nor a gateway with a grant': 'ask the owner for a grant (Gateways.grant)',
  'already claimed in this epoch': 'claim again in the next epoch',
  INSUFFICIENT_FUNDS: 'send tokens to the account',
  UNREACHABLE: 'check the RPC URLs and that a node runs there',
  WRONG_CHAIN: 'check the preset and the RPC URLs',
}
