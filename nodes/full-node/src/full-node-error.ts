/** Why following the chain stops, or does not begin. Stable. */
export type FullNodeErrorCode =
  /** Neither a committee in the genesis nor a peer to trust: there is nobody to follow. */
  | 'NOBODY_TO_FOLLOW'
  /** Two chains, both vouched for by those we follow. Somebody broke the rules: no node can know who. */
  | 'FORK'
  /** The configuration contradicts itself. */
  | 'BAD_CONFIG'
  /** A snapshot that passed every check did not add up to its root: a damaged disk, or our mistake. */
  | 'SNAPSHOT_FAILED'

export class FullNodeError extends Error {
  readonly code: FullNodeErrorCode
  readonly details: Readonly<Record<string, unknown>>
  constructor(
    code: FullNodeErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.name = 'FullNodeError'
    this.code = code
    this.details = details
  }
}

/** What a peer did that an honest one does not do. Stable; labels of `cumulus_node_peer_faults_total`. */
export type PeerFaultCode =
  /** Bytes that are not what the format says. */
  | 'MALFORMED'
  /** More than was asked for. */
  | 'OVERSIZED'
  /** Blocks that do not follow each other, or do not match their headers. */
  | 'BAD_BLOCK'
  /** A certificate whose signatures are not the committee's. */
  | 'BAD_CERTIFICATE'
  /** Claimed to have what it then did not deliver. */
  | 'MISSING'
  /** Follows another chain. */
  | 'OTHER_CHAIN'
  /** A snapshot chunk that its root does not prove. */
  | 'BAD_SNAPSHOT'
  /** A transaction that no node could ever have accepted. */
  | 'BAD_TRANSACTION'
  /** Did not answer in time. */
  | 'STALLED'

/** A peer is to blame. */
export class PeerFault extends Error {
  readonly code: PeerFaultCode
  constructor(code: PeerFaultCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'PeerFault'
    this.code = code
  }
}
