import { setTimeout as delay } from 'node:timers/promises'
import { equalBytes } from '@cumulus/bytes'
import {
  FRAME_BODY_BYTES_MAX,
  type FrameHandlers,
  type FrameMessage,
  FrameOp,
  type FrameReply,
  NetworkError,
  type PartialFrame,
  type PeerAddress,
  type PeerIdentity,
  PeerLink,
  RemoteError,
  type RequestInit,
  type Session,
} from '@cumulus/network'
import type { Logger, Metrics } from '@cumulus/service'
import { Backoff } from './backoff.ts'
import { Outbox } from './outbox.ts'
import { TokenBucket } from './token-bucket.ts'

/** A seat of the committee, as its members reach each other. */
export interface MemberAddress {
  /** Ed25519, 32 bytes. */
  readonly peerKey: Uint8Array
  readonly address: PeerAddress
}

export interface MembersComponents {
  readonly identity: PeerIdentity
  readonly members: readonly MemberAddress[]
  /** Own seat. */
  readonly self: number
  /** Bytes that member `from` sent to the order. */
  readonly onMessage: (from: number, bytes: Uint8Array) => void
  /** A link to that member is up: what was under way may be lost. */
  readonly onConnected: (peer: number) => void
  /** What else members may ask of each other. */
  readonly answer?: (op: FrameOp, from: number, frame: FrameMessage) => FrameReply | Promise<FrameReply>
  readonly refused?: (code: string) => void
  /** That member sent too much nonsense: it is not listened to for a while. */
  readonly shunned?: (peer: number) => void
  /** Counts on, whatever the wall clock does. */
  readonly nowMs?: () => number
  readonly log: Logger
  readonly metrics?: Metrics
}

/** Sessions kept with one member: its newest, and those that are about to end. More: two processes have its key. */
const SESSIONS_PER_MEMBER_MAX = 4
/** From one member. An honest one sends a tenth of it; who sends more waits, and then its session stops reading. */
const BYTES_BURST = 64 * 2 ** 20
const BYTES_PER_SECOND = 32 * 2 ** 20
const FRAMES_BURST = 4_096
const WAIT_MS_MAX = 10_000
const FRAMES_PER_SECOND = 2_048
/** Answers to questions that are not of the order, such as places to join it: a hundred at once. */
const ANSWER_BYTES_BURST = 16 * 2 ** 20
const ANSWER_BYTES_PER_SECOND = 2 ** 20
/** Messages that no honest member sends. Who sends more is not listened to for a while, each time for longer. */
const FAULTS_BURST = 64
const FAULTS_PER_SECOND = 4
const SHUN_MS_MIN = 5_000
const SHUN_MS_MAX = 300_000
/** A member that is back shall be reached in seconds. */
const BACKOFF_MS_MAX = 2_000

/** Between members only. */
const MEMBER_OPS = [FrameOp.dag, FrameOp.shareTransactions, FrameOp.getOrderPoint] as const

interface Peer {
  /** The newest last; the newest is written to. */
  readonly sessions: Session[]
  readonly outbox: Outbox
  readonly bytes: TokenBucket
  readonly frames: TokenBucket
  readonly answers: TokenBucket
  readonly faults: TokenBucket
  readonly shunning: Backoff
  shunnedUntilMs: number
}

/**
 * The links between the members of a committee: one for each pair, dialled by the lower seat. The TLS certificate says who
 * speaks; strangers are refused. What cannot be sent is dropped: a member that comes back says what it has, and
 * fetches the rest.
 */
export class Members {
  readonly #components: MembersComponents
  readonly #nowMs: () => number
  readonly #peers: readonly Peer[]
  /** For the listener: see `attach`. */
  readonly handlers: FrameHandlers

  constructor(components: MembersComponents) {
    this.#components = components
    const nowMs = components.nowMs ?? (() => performance.now())
    this.#nowMs = nowMs
    this.#peers = components.members.map(() => ({
      sessions: [],
      outbox: new Outbox(),
      bytes: new TokenBucket(BYTES_BURST, BYTES_PER_SECOND, nowMs),
      frames: new TokenBucket(FRAMES_BURST, FRAMES_PER_SECOND, nowMs),
      answers: new TokenBucket(ANSWER_BYTES_BURST, ANSWER_BYTES_PER_SECOND, nowMs),
      faults: new TokenBucket(FAULTS_BURST, FAULTS_PER_SECOND, nowMs),
      shunning: new Backoff(SHUN_MS_MIN, SHUN_MS_MAX),
      shunnedUntilMs: 0,
    }))
    this.handlers = Object.fromEntries(
      MEMBER_OPS.map((op) => [op, (frame: FrameMessage, session: Session) => this.#receive(op, frame, session)]),
    )
  }

  /** Keeps links to the members of higher seats until `signal` aborts. */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    const { identity, members, self, log, metrics } = this.#components
    const runs: Promise<void>[] = []
    for (let seat = self + 1; seat < members.length; seat++) {
      const { peerKey, address } = members[seat]!
      const link = new PeerLink(
        { identity, addresses: [address], expectedPeerKey: peerKey, handlers: this.handlers, log, metrics },
        { backoffMsMax: BACKOFF_MS_MAX },
      )
      link.on('session', (session) => this.#connected(seat, session))
      runs.push(link.run({ signal }))
    }
    await Promise.all(runs)
    for (const { sessions } of this.#peers) for (const session of [...sessions]) session.close()
  }

  /** A session that somebody began with our listener. */
  attach(session: Session): void {
    const seat = this.#seatOf(session.peerKey)
    // Whom we dial ourselves may have come for something else, blocks for example.
    if (seat >= 0 && seat < this.#components.self) this.#connected(seat, session)
  }

  /** It sent what no honest member sends. */
  blame(peer: number): void {
    const one = this.#peers[peer]
    if (!one || this.#isShunned(peer) || one.faults.take(1) === 0) return
    const ms = one.shunning.nextMs()
    one.shunnedUntilMs = this.#nowMs() + ms
    this.#components.log.error('a member sends nonsense: not listened to for a while', { member: peer, ms })
    this.#components.shunned?.(peer)
    for (const session of [...one.sessions]) session.close()
  }

  #isShunned(peer: number): boolean {
    return this.#nowMs() < this.#peers[peer]!.shunnedUntilMs
  }

  isConnected(peer: number): boolean {
    return (this.#peers[peer]?.sessions.length ?? 0) > 0
  }

  /** Whether a message to that member has any chance to be sent. */
  hasRoom(peer: number): boolean {
    return this.#peers[peer]!.outbox.hasRoom()
  }

  /** Sends a message of the order. */
  send(to: number, bytes: Uint8Array): void {
    if (bytes.length > FRAME_BODY_BYTES_MAX) throw new RangeError(`a message of ${bytes.length} bytes`)
    this.#peers[to]!.outbox.push(bytes)
  }

  broadcast(bytes: Uint8Array): void {
    for (let peer = 0; peer < this.#peers.length; peer++) if (peer !== this.#components.self) this.send(peer, bytes)
  }

  /** @throws NetworkError, RemoteError */
  async request(to: number, op: FrameOp, frame: PartialFrame, init?: RequestInit): Promise<FrameMessage> {
    const session = this.#peers[to]?.sessions.at(-1)
    if (!session) throw new NetworkError('CLOSED', `member ${to} is not connected`)
    return session.request(op, frame, init)
  }

  /** Bytes that wait for this member, and messages it never got because too many did. */
  backlog(peer: number): { bytes: number; dropped: number } {
    const { bytes, droppedCount } = this.#peers[peer]!.outbox
    return { bytes, dropped: droppedCount }
  }

  #seatOf(peerKey: Uint8Array): number {
    return this.#components.members.findIndex((member) => equalBytes(member.peerKey, peerKey))
  }

  #connected(seat: number, session: Session): void {
    const { sessions, outbox } = this.#peers[seat]!
    if (sessions.includes(session) || session.closeReason) return
    if (this.#isShunned(seat)) {
      session.close()
      return
    }
    sessions.push(session)
    if (sessions.length > SESSIONS_PER_MEMBER_MAX) sessions[0]!.close()
    outbox.use(session)
    void session.closed.then(() => {
      sessions.splice(sessions.indexOf(session), 1)
      const next = sessions.at(-1)
      const hasLost = outbox.use(next)
      this.#components.log.debug('member gone', { member: seat, reason: session.closeReason?.code })
      // What was on its way by the session that ended is gone, and nobody else would tell the order.
      if (next && hasLost) this.#components.onConnected(seat)
    })
    this.#components.log.debug('member connected', { member: seat, at: session.remoteAddress })
    this.#components.onConnected(seat)
  }

  async #receive(op: FrameOp, frame: FrameMessage, session: Session): Promise<FrameReply> {
    const seat = this.#seatOf(session.peerKey)
    if (seat < 0 || seat === this.#components.self) {
      this.#components.refused?.('NOT_A_MEMBER')
      throw new RemoteError('NOT_A_MEMBER', 'members of the committee only')
    }
    if (this.#isShunned(seat)) {
      this.#components.refused?.('SHUNNED')
      throw new RemoteError('SHUNNED', 'too much nonsense came from this member')
    }
    const { bytes, frames, answers } = this.#peers[seat]!
    // Within the limits nothing is awaited: messages are taken in the order in which they came.
    const debtMs = Math.max(bytes.take(frame.body.length + frame.meta.length), frames.take(1))
    if (debtMs > 0) {
      this.#components.refused?.('TOO_FAST')
      await delay(Math.min(debtMs, WAIT_MS_MAX))
    }
    if (op !== FrameOp.dag) {
      if (!this.#components.answer) throw new RemoteError('UNSUPPORTED', 'not here')
      const reply = await this.#components.answer(op, seat, frame)
      const waitMs = answers.take(reply.body?.length ?? 0)
      if (waitMs > 0) await delay(Math.min(waitMs, WAIT_MS_MAX))
      return reply
    }
    // The other side may speak before we are told of the link. What it asks at first it asks once: the answer must have a way.
    this.#connected(seat, session)
    this.#components.onMessage(seat, frame.body)
    return {}
  }
}
