import type { OnReadOpts } from 'node:net'
import { type ConnectionOptions, connect } from 'node:tls'
import { equalBytes } from '@cumulus/bytes'
import { FrameOp } from './frame.ts'
import { FrameSession } from './frame-session.ts'
import { peerIdOf } from './identity.ts'
import { defaultLimits } from './limits.ts'
import type { EndpointComponents } from './listen.ts'
import { countersOf } from './metrics.ts'
import { type PeerAddress, parseAddress } from './peer-address.ts'
import { NetworkError, type Session } from './session.ts'
import { ALPN, tlsOptionsOf, verifyPeer } from './tls.ts'

/** Several TLS records of 16 KiB, or a dozen requests of 4 KiB. */
const SCRATCH_BYTES = 64 * 2 ** 10

export interface DialComponents extends EndpointComponents {
  /** Where to, as it is or as a multiaddress. */
  readonly address: PeerAddress | string
  /** Who must answer. Needed only where the address does not say it; everybody will do if neither does. */
  readonly expectedPeerKey?: Uint8Array
}

/**
 * Connects to a peer. Resolves when each side has proven itself and the peer has answered a ping: under TLS 1.3 the
 * dialling side is done before the other one has decided.
 *
 * @throws NetworkError `UNREACHABLE` | `TIMEOUT` | `HANDSHAKE` | `WRONG_PEER` | `BAD_ADDRESS`, or the abort reason
 */
export async function dial(components: DialComponents, { signal }: { signal?: AbortSignal } = {}): Promise<Session> {
  const address = typeof components.address === 'string' ? parseAddress(components.address) : components.address
  const expectedPeerKey = components.expectedPeerKey ?? address.peerKey
  if (expectedPeerKey && address.peerKey && !equalBytes(expectedPeerKey, address.peerKey)) {
    throw new NetworkError('WRONG_PEER', `the address is of ${peerIdOf(address.peerKey)}`)
  }
  signal?.throwIfAborted()
  const { handshakeMs } = { ...defaultLimits, ...components.limits }
  const timeout = new AbortController()
  const timer = setTimeout(() => {
    timeout.abort(new NetworkError('TIMEOUT', `${address.host}:${address.port} was not there in ${handshakeMs} ms`))
  }, handshakeMs)
  const deadline = signal ? AbortSignal.any([signal, timeout.signal]) : timeout.signal
  let session: Session | undefined
  try {
    session = await shakeHands(components, address, expectedPeerKey, deadline)
    await session.request(FrameOp.ping, {}, { signal: deadline })
    return session
  } catch (error) {
    session?.close()
    countersOf(components.metrics).countError(error instanceof NetworkError ? error.code : 'other')
    if (session && error instanceof NetworkError && error.code === 'CLOSED') {
      throw new NetworkError('HANDSHAKE', 'the peer refused the connection', { cause: error })
    }
    throw error
  } finally {
    clearTimeout(timer)
  }
}

function shakeHands(
  components: DialComponents,
  { host, port }: PeerAddress,
  expectedPeerKey: Uint8Array | undefined,
  deadline: AbortSignal,
): Promise<Session> {
  return new Promise((resolve, reject) => {
    let session: FrameSession | undefined
    let connected = false
    const scratch = new Uint8Array(SCRATCH_BYTES)
    // The types of `tls.connect` do not know `onread`; its documentation does.
    const options: ConnectionOptions & { onread: OnReadOpts } = {
      ...tlsOptionsOf(components.identity),
      host,
      port,
      rejectUnauthorized: false, // no authority signs peers: `verifyPeer` decides
      checkServerIdentity: () => undefined,
      servername: '', // the libp2p specification keeps this field for later versions
      ALPNProtocols: [ALPN],
      // Bytes land in the session's buffers, where it reads bodies without a further copy. The session exists before
      // the first byte does: `secureConnect` comes from within the read that ends the handshake.
      onread: {
        buffer: () => session?.nextBuffer() ?? scratch,
        callback: (count, buffer) => {
          if (!session) return fail(new NetworkError('HANDSHAKE', 'bytes before the peer was proven'))
          return session.received(count, buffer)
        },
      },
    }
    const socket = connect(options)
    const fail = (error: unknown): false => {
      deadline.removeEventListener('abort', onAbort)
      reject(error)
      socket.destroy()
      return false
    }
    const onAbort = (): void => void fail(deadline.reason)
    deadline.addEventListener('abort', onAbort, { once: true })
    socket.on('connect', () => {
      connected = true
    })
    const onError = (cause: Error): void => {
      const code = connected ? 'HANDSHAKE' : 'UNREACHABLE'
      fail(new NetworkError(code, `${host}:${port}: ${cause.message}`, { cause }))
    }
    const onClose = (): void => void fail(new NetworkError('HANDSHAKE', `${host}:${port} closed the connection`))
    socket.on('error', onError)
    socket.on('close', onClose)
    socket.once('secureConnect', () => {
      const verdict = verifyPeer(socket)
      if (!verdict.ok) return void fail(new NetworkError('HANDSHAKE', `${host}:${port}: ${verdict.reason}`))
      const { peerKey } = verdict
      if (expectedPeerKey && !equalBytes(peerKey, expectedPeerKey)) {
        const expected = peerIdOf(expectedPeerKey)
        return void fail(new NetworkError('WRONG_PEER', `${peerIdOf(peerKey)} answered instead of ${expected}`))
      }
      deadline.removeEventListener('abort', onAbort)
      socket.off('error', onError)
      socket.off('close', onClose)
      const limits = { ...defaultLimits, ...components.limits }
      const counters = countersOf(components.metrics)
      session = new FrameSession(socket, peerKey, { ...components, limits, counters }, scratch)
      resolve(session)
    })
  })
}
