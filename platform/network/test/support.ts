import { once } from 'node:events'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { FRAME_HEADER_BYTES } from '../src/frame.ts'
import type { ListenComponents } from '../src/index.ts'
import { type DialComponents, dial, type Listener, listen, PeerIdentity, type Session } from '../src/index.ts'
import { tlsOptionsOf } from '../src/tls.ts'

/** Two identities that every test may use: making one costs nothing, but names help. */
export const alice = PeerIdentity.create()
export const bob = PeerIdentity.create()

export interface Pair extends AsyncDisposable {
  readonly listener: Listener
  /** Of the side that listens (alice) and the side that dialled (bob). */
  readonly accepted: Session
  readonly dialled: Session
}

export async function pairOf(
  listening: Partial<ListenComponents> = {},
  dialling: Partial<DialComponents> = {},
): Promise<Pair> {
  const sessions: Session[] = []
  const listener = await listenAs(alice, { ...listening, onSession: (session) => sessions.push(session) })
  const dialled = await dial({ address: addressOf(listener), identity: bob, handlers: {}, ...dialling })
  const close = async (): Promise<void> => {
    dialled.close()
    await listener.close()
  }
  return { listener, accepted: sessions[0]!, dialled, [Symbol.asyncDispose]: close }
}

export function listenAs(identity: PeerIdentity, components: Partial<ListenComponents> = {}): Promise<Listener> {
  return listen({ host: '127.0.0.1', port: 0, identity, handlers: {}, ...components })
}

export function addressOf(listener: Listener): { host: string; port: number } {
  return { host: '127.0.0.1', port: listener.port }
}

/** A connection that is bob's by its certificate, and otherwise does as it likes. */
export async function strangerAt(listener: Listener, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({
    ...tlsOptionsOf(bob),
    ...addressOf(listener),
    ALPNProtocols: ['cumulus/1'],
    rejectUnauthorized: false,
    ...options,
  })
  socket.on('error', () => undefined)
  await once(socket, 'secureConnect')
  return socket
}

export interface RawFrame {
  version?: number
  op?: number
  flags?: number
  id?: number
  bodyBytes?: number
  metaBytes?: number
  offsetHigh?: number
  meta?: Uint8Array
  body?: Uint8Array
}

/** A frame as bytes, with any field as wrong as one likes. */
export function frameBytes(frame: RawFrame): Uint8Array {
  const meta = frame.meta ?? new Uint8Array(0)
  const body = frame.body ?? new Uint8Array(0)
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + meta.length + body.length)
  const view = new DataView(bytes.buffer)
  bytes[0] = frame.version ?? 1
  bytes[1] = frame.op ?? 2
  bytes[2] = frame.flags ?? 0
  view.setUint32(4, frame.bodyBytes ?? body.length, true)
  view.setUint32(8, frame.metaBytes ?? meta.length, true)
  view.setUint32(12, frame.id ?? 1, true)
  view.setUint32(28, frame.offsetHigh ?? 0, true)
  bytes.set(meta, FRAME_HEADER_BYTES)
  bytes.set(body, FRAME_HEADER_BYTES + meta.length)
  return bytes
}

/** Waits for something that is bound to happen; the runner's time limit is the judge if it does not. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2))
}

/** Bytes that differ from place to place. */
export function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8) * 7 + seed) & 0xff
  return bytes
}
