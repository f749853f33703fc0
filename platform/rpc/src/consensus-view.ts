import type { Certificate, CertificateJson, Committee, CommitteeJson } from '@cumulus/certificate'

/** What a node knows of those who order and certify. */
export interface ConsensusView {
  /** Of the era; undefined if that era is not known here. */
  committee(era: number): CommitteeInfo | undefined
  /** The era that the chain is in. */
  readonly era: number
  /** The first certificate at or above `number`: what vouches for the block there. Undefined if there is none yet. */
  certificateFor(number: bigint): Certificate | undefined
  /** For `cumulus_consensusStatus`. Plain JSON. */
  status(): object | Promise<object>
}

export interface CommitteeInfo {
  readonly committee: Committee
  readonly coin: /** Made by one dealer, who knew all shares: for development networks. */
    | { readonly mode: 'dealt'; readonly publicKey: Uint8Array }
    /** Anybody can compute it. */
    | { readonly mode: 'public' }
}

/** Answer of `cumulus_getCommittee`. */
export interface RpcCommittee extends CommitteeJson {
  readonly coin: { readonly mode: string; readonly publicKey?: `0x${string}` }
}

/** Answer of `cumulus_getCertificate`. Its height may be above that of the block it was asked for. */
export type RpcCertificate = CertificateJson
