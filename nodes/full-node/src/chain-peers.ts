import { bytesToPlainHex, DecodeError, equalBytes } from '@cumulus/bytes'
import {
  type FrameHandlers,
  FrameOp,
  formatAddress,
  type NetworkLimits,
  type PeerAddress,
  type PeerIdentity,
  PeerLink,
  peerIdOf,
  RemoteError,
  type Session,
} from '@cumulus/network'
import { Counter, Gauge, type Logger, type Metrics, sleep } from '@cumulus/service'
import { PeerFault, type PeerFaultCode } from './full-node-error.ts'
import { type ChainStatus, decodeChainStatus, encodeStatusQuestion, STATUS_WAIT_MS_MAX } from './wire.ts'

/** Why a peer was added. `configured` and `committee` ones are dialled for ever, `found` ones may be forgotten. */
export type PeerOrigin = 'configured' | 'committee' | 'found'

export interface KnownPeer {
  readonly peerKey: Uint8Array
  readonly addresses: readonly PeerAddress[]
  readonly origin: PeerOrigin
  /** Its word counts without a certificate: for networks without a committee. */
  readonly isTrusted?: boolean
}

export interface ChainPeersComponents {
  readonly identity: PeerIdentity
  readonly genesisHash: Uint8Array
  /** What this node answers on the sessions that it dials. */
  readonly handlers: FrameHandlers
  readonly log: Logger
  readonly metrics?: Metrics
  /** ms since any fixed moment, for bans. */
  readonly nowMs?: () => number
}

export interface ChainPeersLimits {
  /** Peers dialled at once. Configured ones and the committee come first. */
  readonly peersMax: number
  /** Addresses of a found peer that did not work, one after the other, before it is forgotten. */
  readonly failuresMax: number
  /** First ban; doubles with each further one of the same peer, up to the maximum. */
  readonly banMs: number
  readonly banMsMax: number
  readonly bansMax: number
  /** Time for an answer. */
  readonly requestMs: number
  /** Least time between two questions for a status: a peer that answers at once keeps nobody busy. */
  readonly statusSpacingMs: number
  readonly network: Partial<NetworkLimits>
}

export const defaultChainPeersLimits: ChainPeersLimits = {
  peersMax: 16,
  failuresMax: 5,
  banMs: 10 * 60_000,
  banMsMax: 24 * 3_600_000,
  bansMax: 1_024,
  requestMs: 15_000,
  statusSpacingMs: 15,
  network: {},
}

/** A peer that is banned falls to this; every answer raises it by one, up to 0. */
const SCORE_MIN = -100
/** These may be bad luck: a slow line, a block removed a moment ago. Three in a row are not. */
const mildFaults: ReadonlySet<PeerFaultCode> = new Set(['STALLED', 'MISSING'])
const MILD_PENALTY = 35

/** A node that serves the chain to us. */
export class ChainPeer {
  readonly peerId: string
  readonly known: KnownPeer
  session: Session | undefined
  /** As it last said. */
  status: ChainStatus | undefined
  /** Our requests under way. */
  requestCount = 0
  /** 0 = nothing to complain about. */
  score = 0
  /** Not asked before this time, in ms of the monotonic clock. */
  restUntilMs = 0

  constructor(known: KnownPeer) {
    this.known = known
    this.peerId = peerIdOf(known.peerKey)
  }

  get isTrusted(): boolean {
    return this.known.isTrusted ?? false
  }
}

interface Ban {
  untilMs: number
  count: number
}

/** Keeps sessions to nodes that serve the chain, knows how far each is, and bans those that misbehave for a while. */
export class ChainPeers {
  readonly #components: ChainPeersComponents
  readonly #limits: ChainPeersLimits
  readonly #peers = new Map<string, { peer: ChainPeer; stop: AbortController }>()
  readonly #bans = new Map<string, Ban>()
  readonly #listeners = new Set<() => void>()
  readonly #metrics: ReturnType<typeof createPeerMetrics> | undefined
  readonly #nowMs: () => number
  #signal: AbortSignal | undefined

  constructor(components: ChainPeersComponents, limits: Partial<ChainPeersLimits> = {}) {
    this.#components = components
    this.#limits = { ...defaultChainPeersLimits, ...limits }
    this.#nowMs = components.nowMs ?? (() => performance.now())
    this.#metrics = components.metrics && createPeerMetrics(components.metrics, this)
  }

  /** Everybody we know, connected or not. */
  get all(): ChainPeer[] {
    return Array.from(this.#peers.values(), ({ peer }) => peer)
  }

  /** Those that can be asked. */
  get connected(): ChainPeer[] {
    return this.all.filter(({ session, status }) => session !== undefined && status !== undefined)
  }

  get bannedCount(): number {
    const nowMs = this.#nowMs()
    return [...this.#bans.values()].filter(({ untilMs }) => untilMs > nowMs).length
  }

  isBanned(peerId: string): boolean {
    return (this.#bans.get(peerId)?.untilMs ?? 0) > this.#nowMs()
  }

  /** Calls back when a peer came, went, or has news; returns what ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Gets to know a peer. One that is banned, ourselves, or one too many is passed over. */
  add(known: KnownPeer): void {
    const peerId = peerIdOf(known.peerKey)
    if (equalBytes(known.peerKey, this.#components.identity.publicKey) || this.#peers.has(peerId)) return
    if (known.origin === 'found') {
      if (this.isBanned(peerId) || this.#peers.size >= this.#limits.peersMax) return
    } else if (this.#peers.size >= this.#limits.peersMax) {
      const found = [...this.#peers].find(([, { peer }]) => peer.known.origin === 'found')
      if (found) this.#drop(found[0])
      else if (known.origin === 'committee') return
    }
    const stop = new AbortController()
    const peer = new ChainPeer(known)
    this.#peers.set(peerId, { peer, stop })
    if (this.#signal) void this.#keep(peer, AbortSignal.any([this.#signal, stop.signal]))
  }

  /** Keeps sessions until `signal` aborts. */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    this.#signal = signal
    await Promise.all(
      [...this.#peers.values()].map(({ peer, stop }) => this.#keep(peer, AbortSignal.any([signal, stop.signal]))),
    )
    // Those that were added later end with the same signal.
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
  }

  /**
   * One request to a peer, with its time limit; errors of the network and of the peer come as they are, a late answer
   * as `STALLED`.
   */
  async request(
    peer: ChainPeer,
    ask: (session: Session, signal: AbortSignal) => Promise<Awaited<ReturnType<Session['request']>>>,
    { signal }: { signal: AbortSignal },
  ) {
    const { session } = peer
    if (!session) throw new RemoteError('GONE', 'the peer is not connected')
    const deadline = AbortSignal.timeout(this.#limits.requestMs)
    peer.requestCount++
    try {
      const answer = await ask(session, AbortSignal.any([signal, deadline]))
      if (peer.score < 0) peer.score++
      return answer
    } catch (error) {
      if (deadline.aborted && !signal.aborted) {
        throw new PeerFault('STALLED', `no answer within ${this.#limits.requestMs} ms`, { cause: error })
      }
      throw error
    } finally {
      peer.requestCount--
    }
  }

  /** What a failed request says about the peer: nothing, that it needs rest, or that it is to be left alone. */
  judge(peer: ChainPeer, error: unknown): void {
    if (error instanceof PeerFault) {
      this.#metrics?.faults.inc({ code: error.code })
      this.#components.log.warn('peer at fault', { peer: peer.peerId, code: error.code, reason: error.message })
      peer.score = mildFaults.has(error.code) ? peer.score - MILD_PENALTY : SCORE_MIN
      if (peer.score <= SCORE_MIN) this.#ban(peer)
    } else if (error instanceof RemoteError) {
      const wait = Number(error.details['waitMs'])
      const restMs = Number.isFinite(wait) ? Math.min(Math.max(wait, 20), 10_000) : 1_000
      peer.restUntilMs = performance.now() + restMs
    } else {
      // The connection went: its link dials again by itself.
      peer.restUntilMs = performance.now() + 100
    }
  }

  status(): object[] {
    return this.all.map(({ peerId, known, session, status, score }) => ({
      peerId,
      origin: known.origin,
      isTrusted: known.isTrusted ?? false,
      address: known.addresses[0] && formatAddress(known.addresses[0]),
      isConnected: session !== undefined,
      isBanned: this.isBanned(peerId),
      score,
      height: status?.height.toString(),
      certified: status?.certified.toString(),
    }))
  }

  async #keep(peer: ChainPeer, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const ban = this.#bans.get(peer.peerId)
      const restMs = (ban?.untilMs ?? 0) - this.#nowMs()
      if (restMs > 0) {
        await sleep(restMs, signal).catch(() => {})
        continue
      }
      // Ends with a ban, or for good.
      const banned = new AbortController()
      const ended = AbortSignal.any([signal, banned.signal])
      const { identity, handlers, log, metrics } = this.#components
      const { peerKey, addresses } = peer.known
      const link = new PeerLink({
        identity,
        handlers,
        addresses,
        expectedPeerKey: peerKey,
        limits: this.#limits.network,
        log,
        metrics,
      })
      let failures = 0
      link.on('failure', () => {
        if (peer.known.origin === 'found' && ++failures >= this.#limits.failuresMax) this.#drop(peer.peerId)
      })
      link.on('session', (session) => {
        failures = 0
        void this.#watch(peer, session, ended).catch((error) => {
          if (!ended.aborted) this.judge(peer, error)
          session.close()
        })
      })
      const stop = this.onChange(() => {
        if (this.isBanned(peer.peerId)) banned.abort()
      })
      try {
        await link.run({ signal: ended })
      } finally {
        stop()
        peer.session = undefined
        peer.status = undefined
        this.#changed()
      }
      if (peer.known.origin === 'found' && this.isBanned(peer.peerId)) return this.#drop(peer.peerId)
    }
  }

  /** Asks again and again how far the peer is. Each answer but the first waits at the peer until there is news. */
  async #watch(peer: ChainPeer, session: Session, signal: AbortSignal): Promise<void> {
    peer.session = session
    peer.status = undefined
    void session.closed.then(() => {
      if (peer.session !== session) return
      peer.session = undefined
      peer.status = undefined
      this.#changed()
    })
    const { genesisHash } = this.#components
    const { requestMs, statusSpacingMs } = this.#limits
    const waitMs = Math.min(STATUS_WAIT_MS_MAX, requestMs)
    let status: ChainStatus | undefined
    while (!signal.aborted && !session.closeReason) {
      const meta = encodeStatusQuestion(
        status
          ? { waitMs, height: status.height, certified: status.certified }
          : { waitMs: 0, height: 0n, certified: 0n },
      )
      const deadline = AbortSignal.timeout(requestMs + (status ? waitMs : 0))
      try {
        const ended = AbortSignal.any([signal, deadline])
        const reply = await session.request(FrameOp.chainStatus, { hash: genesisHash, meta }, { signal: ended })
        status = decodeChainStatus(reply.meta)
      } catch (error) {
        if (signal.aborted || session.closeReason) return
        if (deadline.aborted) throw new PeerFault('STALLED', 'no status in time', { cause: error })
        if (error instanceof DecodeError) throw new PeerFault('MALFORMED', error.message, { cause: error })
        if (error instanceof RemoteError && error.code === 'RATE_LIMITED') {
          await sleep(Math.min(Number(error.details['waitMs']) || 100, 5_000), signal).catch(() => {})
          continue
        }
        if (error instanceof RemoteError && error.code === 'OTHER_CHAIN') {
          throw new PeerFault('OTHER_CHAIN', error.message, { cause: error })
        }
        throw error
      }
      if (!equalBytes(status.genesisHash, genesisHash)) {
        throw new PeerFault('OTHER_CHAIN', `its chain begins with ${bytesToPlainHex(status.genesisHash)}`)
      }
      peer.status = status
      this.#changed()
      await sleep(statusSpacingMs, signal).catch(() => {})
    }
  }

  #ban(peer: ChainPeer): void {
    const { banMs, banMsMax, bansMax } = this.#limits
    const count = (this.#bans.get(peer.peerId)?.count ?? 0) + 1
    const ms = Math.min(banMsMax, banMs * 2 ** (count - 1))
    this.#bans.delete(peer.peerId)
    this.#bans.set(peer.peerId, { untilMs: this.#nowMs() + ms, count })
    if (this.#bans.size > bansMax) this.#bans.delete(this.#bans.keys().next().value!)
    this.#metrics?.bans.inc()
    peer.score = 0
    peer.session?.close()
    this.#changed()
  }

  #drop(peerId: string): void {
    this.#peers.get(peerId)?.stop.abort()
    this.#peers.delete(peerId)
    this.#changed()
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}

function createPeerMetrics(metrics: Metrics, peers: ChainPeers) {
  const registers = [metrics]
  new Gauge({
    name: 'cumulus_node_peers',
    help: 'Nodes that serve the chain to this one, by state',
    labelNames: ['state'],
    registers,
    collect() {
      this.set({ state: 'connected' }, peers.connected.length)
      this.set({ state: 'known' }, peers.all.length)
      this.set({ state: 'banned' }, peers.bannedCount)
    },
  })
  return {
    faults: new Counter({
      name: 'cumulus_node_peer_faults_total',
      help: 'What peers did that honest ones do not, by code',
      labelNames: ['code'],
      registers,
    }),
    bans: new Counter({ name: 'cumulus_node_peer_bans_total', help: 'Peers banned for a while', registers }),
  }
}
