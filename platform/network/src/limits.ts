/** What one endpoint allows. Both ends should agree on `requestsMax`: the other end refuses more than twice as many. */
export interface NetworkLimits {
  /** Sessions of one listener. */
  readonly sessionsMax: number
  /** Sessions of one peer with one listener. A gateway has one port per worker, and 2 to 4 connections for each. */
  readonly sessionsPerPeerMax: number
  /** Connections of one listener that have not proven who they are yet. */
  readonly handshakesMax: number
  /** From the first packet to the proven peer, at either end. */
  readonly handshakeMs: number
  /** Own requests under way in one session; further ones wait. */
  readonly requestsMax: number
  /** Bytes of own requests under way: their bodies, and the bodies that the answers may bring. */
  readonly requestBytesMax: number
  /** Own requests waiting for credit; further ones fail with `OVERLOADED`. */
  readonly waitingMax: number
  /** Bodies of the peer's requests in handlers, and of replies not sent yet: above this, the session stops reading. */
  readonly heldBytesMax: number
  /** A side that has sent or heard nothing for so long sends a ping. */
  readonly idleMs: number
  /** A peer that sends nothing, or takes nothing of what waits for it, for so long is gone. */
  readonly silenceMs: number
  /** A frame that began must end within this: 8 MiB in two minutes is 0.6 Mbit/s. */
  readonly frameMs: number
}

export const defaultLimits: NetworkLimits = {
  sessionsMax: 256,
  sessionsPerPeerMax: 32,
  handshakesMax: 64,
  handshakeMs: 10_000,
  requestsMax: 64,
  requestBytesMax: 64 * 2 ** 20,
  waitingMax: 1024,
  heldBytesMax: 128 * 2 ** 20,
  idleMs: 15_000,
  silenceMs: 45_000,
  frameMs: 120_000,
}
