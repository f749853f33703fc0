import type { FrameMessage, FrameOp } from './frame.ts'

/** A request as it arrives: fields not set are zero or empty. */
export type PartialFrame = Partial<FrameMessage>

/** An answer. What `body` and `meta` look at stays unchanged until `release` is called: once, sent or not. */
export type FrameReply = PartialFrame & { readonly release?: () => void }

/** One authenticated connection to a peer. Either side may ask; requests run side by side and answers come in any order. */
export interface Session {
  /** Ed25519 public key of the peer, 32 bytes, proven by its certificate. */
  readonly peerKey: Uint8Array
  /** The same as libp2p writes it: 12D3KooW… */
  readonly peerId: string
  /** Where the other end of the connection is. */
  readonly remoteAddress: string
  /** Requests sent and not answered yet. */
  readonly pendingCount: number
  /** Why the connection ended, once it has. */
  readonly closeReason: NetworkError | undefined
  /**
   * Asks the peer and waits for its answer. Waits for credit first if too many requests are under way.
   * Until it settles, the bytes in `frame` must not change and `into` must not be used; afterwards all are the caller's.
   * Only an abort while the answer is just arriving in `into` waits for the next bytes, or for the end of the session.
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
 * else as `INTERNAL` without its message. The frame's bytes are the handler's to keep.
 */
export type FrameHandler = (frame: FrameMessage, session: Session) => Promise<FrameReply> | FrameReply

/** `ping` is answered by the session itself. An op without a handler is refused with `UNSUPPORTED`. */
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

/**
 * The connection failed us: `CLOSED`, `TIMEOUT`, `HANDSHAKE`, `WRONG_PEER`, `MALFORMED_FRAME`, `OVERLOADED`,
 * `UNREACHABLE`, `BAD_ADDRESS`, `IDENTITY`, `LISTEN`. See the README.
 */
export class NetworkError extends Error {
  readonly code: string
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'NetworkError'
    this.code = code
  }
}
