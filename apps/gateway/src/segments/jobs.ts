/** What the main thread asks of a segment engine, in a worker thread or in its own. Plain data: it crosses threads. */

/** Seats of one stripe. */
export interface StripePlace {
  readonly group: number
  readonly stripe: number
  /** Peer keys by seat. */
  readonly peerKeys: readonly Uint8Array[]
}

/** A run of the segment to be written. */
export interface WritePiece {
  readonly buffer: ArrayBuffer
  readonly offset: number
  readonly length: number
  /** With a key: plaintext, to be encrypted from chunk `firstChunk` on. Without: bytes as they are to be stored. */
  readonly key?: Uint8Array
  readonly firstChunk?: number
}

export interface WriteJob {
  readonly place: StripePlace
  /** In order, each starting where the one before ended. */
  readonly pieces: readonly WritePiece[]
  /** 32 bytes; zeros where there is no journal. */
  readonly journalDigest: Uint8Array
}

export interface SeatReceipt {
  readonly seat: number
  readonly signature: Uint8Array
}

export interface SeatFailure {
  readonly seat: number
  /** `NOT_CONNECTED`, or the code of the error. */
  readonly code: string
}

export interface WriteResult {
  readonly descriptor: Uint8Array
  readonly root: Uint8Array
  /** At the time of the answer; at least the write quorum. */
  readonly receipts: readonly SeatReceipt[]
}

/** Seats that still had no fragment when the writer gave up waiting for them. */
export interface WriteAftermath {
  readonly missing: readonly SeatFailure[]
}

/** An existing segment. */
export interface SegmentRef {
  readonly place: StripePlace
  /** Encoded; vouched for by journal or chain. */
  readonly descriptor: Uint8Array
}

export interface ReadJob {
  readonly ref: SegmentRef
  /** Ciphertext of whole chunks. */
  readonly start: number
  readonly end: number
  /** With a key, plaintext is returned; without, the stored bytes, verified by their hashes. */
  readonly key?: Uint8Array
  readonly firstChunk?: number
  /** The reader goes on from here: a damaged segment is better rebuilt as a whole. */
  readonly sequential: boolean
}

export interface ReadResult {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Seats that answered with damage or not at all, for the repair queue. */
  readonly failures: readonly SeatFailure[]
}

export interface RepairJob {
  readonly ref: SegmentRef
  readonly seats: readonly number[]
}

export interface RepairResult {
  readonly receipts: readonly SeatReceipt[]
  readonly failures: readonly SeatFailure[]
}

/** `NO_QUORUM`: too few seats took their fragment. `UNREADABLE`: fewer than k intact fragments can be had. */
export class SegmentError extends Error {
  readonly code: 'NO_QUORUM' | 'UNREADABLE'
  readonly failures: readonly SeatFailure[]
  constructor(
    code: 'NO_QUORUM' | 'UNREADABLE',
    message: string,
    failures: readonly SeatFailure[],
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.name = 'SegmentError'
    this.code = code
    this.failures = failures
  }
}
