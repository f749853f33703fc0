import type { Address } from '@cumulus/types'

/** What a TEE worker needs from the chain. What it tags by is read from the certified chain, which is never replaced. */
export interface WorkerChain {
  /** The account that registers. */
  readonly account: Address
  balance(): Promise<bigint>
  /** Height of the certified chain. */
  certifiedNumber(): Promise<bigint>
  /** The latest block, for a quote that must not be older. */
  latestBlock(): Promise<{ readonly number: bigint; readonly hash: Uint8Array }>
  /** The epoch of the latest block, give or take one. */
  epoch(): Promise<bigint>
  /** The own entry in the register, as the latest block has it. */
  worker(): Promise<ChainWorker | undefined>
  /** The last quote that was handed in; undefined if there was none. */
  pendingQuote(): Promise<PendingQuote | undefined>
  register(entry: WorkerRegistration): Promise<void>
  update(addresses: string): Promise<void>
  renew(evidence: Evidence): Promise<void>
  exit(): Promise<void>
  isMiner(peerKey: Uint8Array): Promise<boolean>

  // The certified chain:
  groupCount(): Promise<number>
  group(id: number): Promise<ChainGroup | undefined>
  stripes(group: number, first: number, count: number): Promise<ChainStripe[]>
  /** A bit for each of 256 stripes from `first`, a multiple of 256: whether the seat has said that it holds their tags. */
  tagged(group: number, seat: number, first: number): Promise<bigint>
  committed(init: FollowInit): AsyncIterable<CommittedEvent>
  /** Groups that were opened, or got a tagger, or another one. */
  groupChanges(init: FollowInit): AsyncIterable<number>
}

export interface FollowInit {
  readonly fromBlock: bigint
  readonly signal: AbortSignal
}

export type WorkerState = 'pending' | 'active' | 'exiting' | 'expired' | 'rejected'

export interface ChainWorker {
  readonly peerKey: Uint8Array
  readonly addresses: string
  /** 288 bytes: key and proof of knowledge. */
  readonly taggerKey: Uint8Array
  readonly state: WorkerState
  readonly expiresAtEpoch: bigint
  readonly groups: number
}

export interface PendingQuote {
  /** Whether it still waits for votes. */
  readonly isWaiting: boolean
  /** When it was handed in. Votes are taken for two eras, and another quote not in the same epoch. */
  readonly sinceEpoch: bigint
}

/** How the process proves what it is. */
export type AttestationKind = 'sgx' | 'tdx' | 'simulated'

export interface Evidence {
  readonly attestation: AttestationKind
  /** Empty where simulated. */
  readonly quote: Uint8Array
  /** JSON, as `@cumulus/tee` reads it. */
  readonly collateral: Uint8Array
  /** Chain block bound into the quote. */
  readonly nonceBlock: bigint
}

export interface WorkerRegistration extends Evidence {
  readonly peerKey: Uint8Array
  readonly addresses: string
  /** Bit 0 marker, bit 1 verifier. */
  readonly modes: number
  /** Who gets credit for the work. */
  readonly candidate: Address
  readonly taggerKey: Uint8Array
  readonly powersHash: Uint8Array
  readonly peerSignature: Uint8Array
}

export interface ChainGroup {
  readonly id: number
  readonly classId: number
  readonly stripeCount: number
  readonly tagger: Address
  /** By seat, 32 bytes each. */
  readonly peerKeys: readonly Uint8Array[]
}

export interface ChainStripe {
  readonly state: 'none' | 'reserved' | 'committed' | 'released'
  /** Zeros until committed. */
  readonly root: Uint8Array
}

export interface CommittedEvent {
  readonly group: number
  readonly stripe: number
  readonly root: Uint8Array
}
