import type { Address } from '@cumulus/types'
import type { AuditChain } from './audit-chain.ts'

/** What a miner needs from the chain. Reads see the latest chain block; writes resolve when their transaction is in one. */
export interface MinerChain extends AuditChain {
  /** The account that registers, stakes and is paid. */
  readonly account: Address
  balance(): Promise<bigint>
  blockNumber(): Promise<bigint>
  /** The own entry in the register. */
  miner(): Promise<ChainMiner | undefined>
  register(entry: Registration): Promise<void>
  /** Changes the declared space; `stake` is sent along. */
  declareUnits(units: number, stake: bigint): Promise<void>
  /** Adds to the stake; debts are paid first. */
  topUp(amount: bigint): Promise<void>
  update(addresses: string, region: string): Promise<void>
  /** All gateways. */
  gateways(): Promise<ChainGateway[]>
  group(id: number): Promise<ChainGroup | undefined>
  stripes(group: number, first: number, count: number): Promise<ChainStripe[]>
  reservation(id: bigint): Promise<ChainReservation | undefined>
  mayUse(territory: bigint, gateway: Address): Promise<boolean>
  /** Yields whenever a gateway registers, changes or leaves, from this block on. Ends only with the signal. */
  gatewayChanges(init: FollowInit): AsyncIterable<unknown>
  committed(init: FollowInit): AsyncIterable<CommittedEvent>
  /** Stripes that are dead: released, or never filled in time. */
  released(init: FollowInit): AsyncIterable<StripeEvent>
}

export interface FollowInit {
  readonly fromBlock: bigint
  readonly signal: AbortSignal
  /** Called with each block up to which everything has been yielded and taken. */
  readonly onProgress?: (blockNumber: bigint) => void
}

export interface Registration {
  readonly peerKey: Uint8Array
  readonly addresses: string
  readonly beneficiary: Address
  readonly units: number
  readonly region: string
  /** Ed25519 by the peer key over `registrationMessage`. */
  readonly peerSignature: Uint8Array
  readonly stake: bigint
}

export type MinerState = 'active' | 'frozen' | 'exiting' | 'offline' | 'dead'

export interface ChainMiner {
  readonly peerKey: Uint8Array
  readonly addresses: string
  readonly region: string
  readonly state: MinerState
  readonly declaredUnits: number
  readonly idleUnits: number
  readonly lockedUnits: number
  readonly serviceUnits: number
  readonly stake: bigint
  /** What stake lacks to its limit, and debts: with it the miner is frozen. */
  readonly missingStake: bigint
  readonly registeredAtBlock: bigint
}

/** Whom miners dial. */
export interface RegisteredPeer {
  readonly account: Address
  readonly peerKey: Uint8Array
  /** Multiaddresses, comma-separated. */
  readonly addresses: string
}

export type ChainGateway = RegisteredPeer

export interface ChainGroup {
  readonly classId: number
  /** By seat, 32 bytes each. */
  readonly peerKeys: readonly Uint8Array[]
  /** The TEE worker whose tags count; zero = none. */
  readonly tagger: Address
}

export interface ChainStripe {
  readonly state: 'none' | 'reserved' | 'committed' | 'released'
  /** Zeros until committed. */
  readonly root: Uint8Array
  readonly reservation: bigint
  readonly gateway: Address
}

export interface ChainReservation {
  readonly group: number
  readonly firstStripe: number
  readonly stripeCount: number
}

export interface StripeEvent {
  readonly group: number
  readonly stripe: number
}

export interface CommittedEvent extends StripeEvent {
  readonly root: Uint8Array
}
