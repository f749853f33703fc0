import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:tls'
import { bytesToPlainHex } from '@cumulus/bytes'
import type { Registry } from 'prom-client'
import { type BodyBuffers, FrameSession, type NetworkLog } from './frame-session.ts'
import type { PeerIdentity } from './identity.ts'
import { defaultLimits, type NetworkLimits } from './limits.ts'
import { countersOf, type RefusedPeer } from './metrics.ts'
import { type FrameHandlers, NetworkError, type Session } from './session.ts'
import { ALPN, CERTIFICATE_RENEWAL_MS, tlsOptionsOf, verifyPeer } from './tls.ts'

/** What both ends of a connection bring. */
export interface EndpointComponents {
  readonly identity: PeerIdentity
  readonly handlers: FrameHandlers
  readonly limits?: Partial<NetworkLimits>
  readonly bodyBuffers?: BodyBuffers
  readonly metrics?: Registry
  readonly log?: NetworkLog
}

export interface ListenComponents extends EndpointComponents {
  readonly host: string
  /** 0 for any free one. */
  readonly port: number
  /** Called with each session as soon as its peer is proven, before its first frame is looked at. */
  readonly onSession?: (session: Session) => void
  /** Whether this peer may have a session; everybody if not given. */
  readonly accept?: (peerKey: Uint8Array) => boolean
}

export interface Listener {
  readonly host: string
  readonly port: number
  readonly sessions: ReadonlySet<Session>
  /** Stops listening and ends all sessions. */
  close(): Promise<void>
}

/**
 * Waits for peers until `signal` aborts.
 *
 * @throws NetworkError `LISTEN` if the port cannot be had
 */
export async function listen(
  components: ListenComponents,
  { signal }: { signal?: AbortSignal } = {},
): Promise<Listener> {
  const { identity, host, port, log } = components
  signal?.throwIfAborted()
  const limits = { ...defaultLimits, ...components.limits }
  const counters = countersOf(components.metrics)
  const sessions = new Set<Session>()
  const perPeer = new Map<string, number>()
  /** Connections whose peers have not proven themselves, by their other end, oldest first. */
  const handshakes = new Map<string, Socket>()

  const server = createServer({
    ...tlsOptionsOf(identity),
    requestCert: true,
    rejectUnauthorized: false, // no authority signs peers: `verifyPeer` decides
    ALPNProtocols: [ALPN],
    handshakeTimeout: limits.handshakeMs,
  })
  server.maxConnections = limits.sessionsMax + limits.handshakesMax

  const refuse = (socket: { destroy(): unknown }, reason: RefusedPeer, detail: string): void => {
    counters.countRefused(reason)
    log?.debug('peer refused', { reason, detail })
    socket.destroy()
  }

  server.on('connection', (socket) => {
    // When too many knock, the one that has taken longest goes: a crowd that never gets further shuts nobody out.
    if (handshakes.size >= limits.handshakesMax) {
      const [oldest, waiting] = handshakes.entries().next().value!
      handshakes.delete(oldest)
      refuse(waiting, 'too-many', `${limits.handshakesMax} handshakes under way`)
    }
    const remote = remoteOf(socket)
    handshakes.set(remote, socket)
    socket.on('close', () => {
      if (handshakes.get(remote) === socket) handshakes.delete(remote)
    })
  })
  server.on('drop', () => counters.countRefused('too-many'))
  server.on('tlsClientError', (error, socket) => refuse(socket, 'handshake', error.message))
  server.on('secureConnection', (socket) => {
    handshakes.delete(remoteOf(socket))
    const verdict = verifyPeer(socket)
    if (!verdict.ok) return refuse(socket, 'certificate', verdict.reason)
    const { peerKey } = verdict
    const peer = bytesToPlainHex(peerKey)
    const count = perPeer.get(peer) ?? 0
    if (components.accept && !components.accept(peerKey)) return refuse(socket, 'unwanted', peer)
    if (count >= limits.sessionsPerPeerMax) return refuse(socket, 'too-many', `${count} sessions of ${peer}`)
    if (sessions.size >= limits.sessionsMax) return refuse(socket, 'too-many', `${sessions.size} sessions`)
    perPeer.set(peer, count + 1)
    const session = new FrameSession(socket, peerKey, { ...components, limits, counters })
    sessions.add(session)
    void session.closed.then(() => {
      sessions.delete(session)
      const left = perPeer.get(peer)! - 1
      if (left > 0) perPeer.set(peer, left)
      else perPeer.delete(peer)
    })
    components.onSession?.(session)
    socket.on('data', (chunk: Buffer) => session.receivedChunk(chunk))
  })

  try {
    server.listen(port, host)
    await once(server, 'listening', { signal })
  } catch (cause) {
    server.close()
    signal?.throwIfAborted()
    throw new NetworkError('LISTEN', `cannot listen on ${host}:${port}: ${(cause as Error).message}`, { cause })
  }
  server.on('error', (error) => log?.error('listener failed', { error }))
  const renewal = setInterval(() => server.setSecureContext(tlsOptionsOf(identity)), CERTIFICATE_RENEWAL_MS)
  renewal.unref()

  let closing: Promise<void> | undefined
  const close = (): Promise<void> => {
    closing ??= new Promise((resolve) => {
      clearInterval(renewal)
      signal?.removeEventListener('abort', close)
      server.close(() => resolve())
      for (const session of sessions) session.close()
      for (const socket of handshakes.values()) socket.destroy()
    })
    return closing
  }
  signal?.addEventListener('abort', close, { once: true })
  if (signal?.aborted) await close()
  return { host, port: (server.address() as AddressInfo | null)?.port ?? port, sessions, close }
}

function remoteOf(socket: Socket): string {
  return `${socket.remoteAddress}:${socket.remotePort}`
}
