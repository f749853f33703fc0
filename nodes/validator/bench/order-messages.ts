import type { SharedKey } from '@cumulus/threshold'
import type { StageTable } from '../src/consensus/stage-times.ts'

/** A seat, and what its member puts into blocks: the first message to its process. */
export interface OrderJob {
  readonly folder: string
  readonly self: number
  readonly peerSeed: Uint8Array
  /** Where it listens. */
  readonly port: number
  /** By seat: keys, and ports that are dialled. */
  readonly members: readonly { readonly peerKey: Uint8Array; readonly port: number }[]
  readonly coinKey: SharedKey
  readonly coinShare: Uint8Array
  readonly transactionBytes: number
  /** In one own block; fewer if no more fit. */
  readonly transactionsMax: number
  /** Default: what validators have. */
  readonly minRoundMs?: number
}

/** In this order; `count` as often as one likes. */
export type OrderQuestion = 'start' | 'count' | 'end'

/** Since the process began, but for `commitMs`: since it was asked last. */
export interface OrderCount {
  readonly atMs: number
  readonly rounds: number
  /** Ordered, of all members. */
  readonly transactions: number
  /** Of all threads. */
  readonly cpuSeconds: number
  /** From the contents of own blocks to their place in the order. */
  readonly commitMs: readonly number[]
}

export interface OrderEnd {
  /** By decided round: digest of the order so far. */
  readonly digests: readonly string[]
  /** Of the last minute. */
  readonly stagesMs: StageTable
  /** How long own blocks waited for the disk, by whether the log was being begun anew. */
  readonly syncMs: { readonly usual: readonly number[]; readonly rotating: readonly number[] }
  /** How long it took each time to begin the log anew. */
  readonly rotationsMs: readonly number[]
}

/** What is sent back to a job, and to each question. */
export interface OrderAnswers {
  readonly job: 'ready'
  readonly start: 'started'
  readonly count: OrderCount
  readonly end: OrderEnd
}
