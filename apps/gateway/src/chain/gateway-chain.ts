import type { Address } from '@cumulus/types'

/** What the gateway needs from the chain. Reads see the latest block; writes resolve when their transaction is in one. */
export interface GatewayChain {
  /** The gateway's own account. */
  readonly account: Address
  epoch(): Promise<number>
  group(id: number): Promise<ChainGroup>
  /** @throws GatewayChainError OVER_CAPACITY, NO_SPACE, NOT_ALLOWED */
  reserve(territory: bigint, classId: number, stripeCount: number): Promise<ChainReservation>
  /** Idempotent: a stripe that is committed with this root already is no error. @throws GatewayChainError EXPIRED, … */
  commit(reservation: bigint, stripes: readonly StripeCommit[]): Promise<void>
  /** Idempotent. */
  release(group: number, stripes: readonly number[]): Promise<void>
  reservationsOf(territory: bigint): Promise<ChainReservation[]>
  stripesOf(group: number, first: number, count: number): Promise<ChainStripe[]>
  territory(id: bigint): Promise<ChainTerritory | undefined>
}

export interface ChainGroup {
  readonly id: number
  readonly classId: number
  /** Ed25519 peer keys by seat, 32 bytes each. */
  readonly peerKeys: readonly Uint8Array[]
}

export interface ChainReservation {
  readonly id: bigint
  readonly territory: bigint
  readonly gateway: Address
  readonly group: number
  readonly firstStripe: number
  readonly stripeCount: number
  readonly expiresAtEpoch: number
  readonly closed: boolean
}

export interface StripeCommit {
  readonly stripe: number
  readonly root: Uint8Array
  /** Bit i = seat i signed. */
  readonly seats: number
  /** 64 bytes for each set bit, ascending. */
  readonly signatures: Uint8Array
}

export interface ChainStripe {
  readonly state: 'none' | 'reserved' | 'committed' | 'released'
  readonly root: Uint8Array
  readonly territory: bigint
}

export interface ChainTerritory {
  readonly id: bigint
  readonly owner: Address
  readonly name: string
  readonly capacityBytes: bigint
  readonly usedBytes: bigint
  readonly lockedBytes: bigint
}

/**
 * - `OVER_CAPACITY` the territory is full · `NO_SPACE` miners lack idle space · `NOT_ALLOWED` no grant for this territory,
 *   or it is frozen · `EXPIRED` the reservation is over, or what it
 *   was to hold cannot be committed under it · `REFUSED` anything else that the chain does not accept ·
 *   `UNREACHABLE` no validator answers
 */
export type GatewayChainErrorCode = 'OVER_CAPACITY' | 'NO_SPACE' | 'NOT_ALLOWED' | 'EXPIRED' | 'REFUSED' | 'UNREACHABLE'

export class GatewayChainError extends Error {
  readonly code: GatewayChainErrorCode
  readonly details: Readonly<Record<string, string | number>>
  constructor(
    code: GatewayChainErrorCode,
    message: string,
    details: Readonly<Record<string, string | number>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.name = 'GatewayChainError'
    this.code = code
    this.details = details
  }
}
