import type { FrameMessage, FrameOp } from './frame.ts'

/** A request as it arrives: fields not set are zero or empty. */
export type PartialFrame = Partial<FrameMessage>

/** One authenticated connection to a peer. Either side may ask; requests run side by side and answers come in any order. */
export interface Session {
  /** Ed25519 public key of the peer, 32 bytes, proven by its certificate. */
  readonly peerKey: Uint8Array
  /** The same as libp2p writes it: 12D3KooW… */
  readonly peerId: string
  /** Requests sent and not answered yet. */
  readonly pendingCount: number
  /**
   * Asks the peer and waits for its answer. Waits for credit first if too many requests are under way.
   *
   * @throws RemoteError if the peer refuses, NetworkError if the connection ends, the abort reason if `signal` aborts
   */
  request(op: FrameOp, frame: PartialFrame, init?: RequestInit): Promise<FrameMessage>
  /** Ends the connection: pending requests fail with `CLOSED`. */
  close(): void
  /** Resolves when the connection is gone. */
  readonly closed: Promise<void>
}

export interface RequestInit {
  readonly signal?: AbortSignal
  /** Where the body of the answer goes, if it fits: the answer's `body` is then a view of this. */
  readonly into?: Uint8Array
}

/**
 * Answers one kind of request. What it throws reaches the peer as an error frame: a `RemoteError` as it is, anything
 * else as `INTERNAL` without its message.
 */
export type FrameHandler = (frame: FrameMessage, session: Session) => Promise<PartialFrame> | PartialFrame

export type FrameHandlers = Partial<Record<FrameOp, FrameHandler>>

/** A refusal that crossed the wire. `code` is stable: see the table in this package's README. */
export class RemoteError extends Error {
  readonly code: string
  readonly details: Readonly<Record<string, unknown>>
  constructor(code: string, message: string, details: Readonly<Record<string, unknown>> = {}) {
    super(message)
    this.name = 'RemoteError'
    this.code = code
    this.details = details
  }
}

/** The connection failed us: `CLOSED`, `TIMEOUT`, `HANDSHAKE`, `WRONG_PEER`, `MALFORMED_FRAME`, `OVERLOADED`. */
export class NetworkError extends Error {
  readonly code: string
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'NetworkError'
    this.code = code
  }
}
