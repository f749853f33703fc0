import type { Address } from '@cumulus/types'
import type { FollowInit, RegisteredPeer } from './miner-chain.ts'

/** What proving needs from the chain. Writes resolve when their transaction is in a block. */
export interface AuditChain {
  /** All TEE workers, those too that do not serve: tags of one whose time is over are still proven by its key. */
  workers(): Promise<ChainWorker[]>
  /** Yields whenever one registers, changes or leaves. */
  workerChanges(init: FollowInit): AsyncIterable<unknown>
  /** The own seats of a word of 256 stripes whose tags are confirmed, as bits. */
  tagged(group: number, seat: number, firstStripe: number): Promise<bigint>
  /** Bit i = stripe firstStripe + i. What is not live counts for nothing. */
  confirmTags(group: number, firstStripe: number, stripes: bigint, tagger: Address): Promise<void>
  /** These fragments are lost: they are audited and paid for no more. */
  reportLoss(group: number, firstStripe: number, stripes: bigint): Promise<void>
  /** The own challenge, the last one there was. */
  challenge(): Promise<ChainChallenge | undefined>
  /** Own challenges as they are issued. */
  challenged(init: FollowInit): AsyncIterable<ChallengedEvent>
  /** @param dropped bit i = entry i is left out, since its stripe was released meanwhile */
  submitProof(answer: ProofAnswerTo, signal: AbortSignal): Promise<void>
  record(): Promise<ChainRecord>
  rewards(): Promise<ChainRewards>
}

export interface ChainWorker extends RegisteredPeer {
  /** 288 bytes. */
  readonly taggerKey: Uint8Array
  readonly powersHash: Uint8Array
  readonly isSimulated: boolean
  /** Whether its attestation is in force. Anybody may register, and be pending, rejected or expired for ever. */
  readonly isServing: boolean
}

export interface ChainChallenge {
  readonly worker: Address
  readonly seed: Uint8Array
  readonly issuedAtBlock: bigint
  readonly deadlineMs: number
  readonly epoch: bigint
  readonly state: ChallengeState
}

/** `answered`: the proof waits to be verified. `void`: nothing was left to prove, or nothing to check it by. */
export type ChallengeState = 'open' | 'passed' | 'failed' | 'missed' | 'answered' | 'void'

export interface ChallengedEvent {
  readonly worker: Address
  readonly epoch: bigint
  readonly seed: Uint8Array
  /** group u32 ‖ stripe u32 ‖ block u32, big-endian, for each entry. */
  readonly entries: Uint8Array
  readonly deadlineMs: number
}

export interface ChainRecord {
  readonly failedInRow: number
  readonly missedInRow: number
  readonly passed: number
  readonly failed: number
  readonly missed: number
  /** Undefined = never. */
  readonly lastPassedEpoch: bigint | undefined
}

/** `seed`: of the challenge that is answered. */
export interface ProofAnswerTo {
  readonly seed: Uint8Array
  readonly entries: Uint8Array
  readonly dropped: bigint
  readonly proof: Uint8Array
}

/** In wei. */
export interface ChainRewards {
  readonly claimable: bigint
  readonly locked: bigint
  readonly paid: bigint
}
