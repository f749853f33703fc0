import type { Committee } from '@cumulus/certificate'
import type { CertificateStore, Mempool } from '@cumulus/execution'
import type { PeerIdentity } from '@cumulus/network'
import type { Params } from '@cumulus/params'
import { defaultR2sParams, type R2sParams } from '@cumulus/r2s'
import type { Logger, Metrics } from '@cumulus/service'
import type { BlsKey } from '@cumulus/threshold'
import type { Address } from '@cumulus/types'
import type { ExecutedChain } from './certifier.ts'
import type { CoinKeeper } from './coin-keeper.ts'
import type { MemberAddress } from './members.ts'

/** A seat of the committee. */
export interface CommitteeMember extends MemberAddress {
  readonly account: Address
}

/** The chain as the orderer sees it. A `Ledger` is one. */
export interface OrderedChain extends ExecutedChain {
  readonly genesisHash: Uint8Array
  readonly mark: Uint8Array | undefined
}

export interface R2sOrdererComponents {
  readonly folder: string
  readonly params: Params
  readonly genesisMs: number
  /** Who certifies; the same seats as `members`. */
  readonly committee: Committee
  readonly members: readonly CommitteeMember[]
  /** Own seat. */
  readonly self: number
  readonly identity: PeerIdentity
  /** Of own votes. */
  readonly blsKey: BlsKey
  readonly certificates: CertificateStore
  readonly coin: CoinKeeper
  readonly chain: OrderedChain
  readonly mempool: Mempool
  /** How long the store took for the last chain block, where it can tell. */
  readonly storeMs?: () => number
  readonly log: Logger
  readonly metrics: Metrics
}

export interface R2sOrdererInit {
  /** Least time between own blocks. Default: 25 ms with up to four members, else 100. */
  readonly minRoundMs?: number
  /** Longest pause while nobody has anything to say. */
  readonly idleRoundMs?: number
  /** The log of the order is begun anew when it has grown to this. Default 8 MiB. */
  readonly logBytes?: number
}

/** Rounds of a committee on one machine cost 2 ms of CPU a member with four, and 7 with eleven. */
export function r2sParamsOf({ order }: Params, size: number, init: R2sOrdererInit): R2sParams {
  return {
    ...defaultR2sParams(size),
    waveLength: order.waveLength,
    gcDepthRounds: order.gcDepthRounds,
    payloadBytesMax: order.payloadBytesMax,
    minRoundMs: init.minRoundMs ?? (size <= 4 ? 25 : 100),
    idleRoundMs: init.idleRoundMs ?? 1_000,
  }
}
