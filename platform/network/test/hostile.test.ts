import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect as connectPlain, createServer as createPlainServer } from 'node:net'
import { describe, it } from 'node:test'
import { type ConnectionOptions, createServer, type TLSSocket, type TlsOptions } from 'node:tls'
import { Registry } from 'prom-client'
import { createCertificate } from '../src/certificate.ts'
import { dial, FrameOp, type ListenComponents, type Listener, type PeerIdentity, type Session } from '../src/index.ts'
import { tlsOptionsOf } from '../src/tls.ts'
import {
  addressOf,
  alice,
  bob,
  frameBytes,
  listenAs,
  pairOf,
  pattern,
  type RawFrame,
  strangerAt,
  until,
} from './support.ts'

const MIB = 2 ** 20
const DAY_MS = 86_400_000

/** Certificates that must not open any door, and why. */
const badCertificates: Record<string, { cert: string; key: string }> = {
  'expired certificate': createCertificate(bob, new Date(Date.now() - 30 * DAY_MS)),
  'certificate of the future': createCertificate(bob, new Date(Date.now() + 30 * DAY_MS)),
  'certificate in the name of another': createCertificate(
    { publicKey: alice.publicKey, sign: (message: Uint8Array) => bob.sign(message) } as PeerIdentity,
    new Date(),
  ),
  'certificate without the peer extension': withoutExtension(),
}

function withoutExtension(): { cert: string; key: string } {
  const { cert, key } = createCertificate(bob, new Date())
  const hex = new X509Certificate(cert).raw.toString('hex')
  const der = Buffer.from(hex.replace('060a2b0601040183a25a01010101ff', '060a2b0601040183a25a0102010100'), 'hex')
  return { cert: new X509Certificate(der).toString(), key }
}

async function stranger(components: Partial<ListenComponents>): Promise<{
  listener: Listener
  session: Session
  socket: TLSSocket
  [Symbol.asyncDispose](): Promise<void>
}> {
  const sessions: Session[] = []
  const listener = await listenAs(alice, { ...components, onSession: (session) => sessions.push(session) })
  const socket = await strangerAt(listener)
  await until(() => sessions.length === 1)
  const close = async (): Promise<void> => {
    socket.destroy()
    await listener.close()
  }
  return { listener, session: sessions[0]!, socket, [Symbol.asyncDispose]: close }
}

describe('a listener', () => {
  it('has no session with, and hears no frame of, a peer that does not prove who it is', async () => {
    const metrics = new Registry()
    const listener = await listenAs(alice, {
      metrics,
      handlers: { [FrameOp.put]: () => assert.fail('a frame was looked at') },
      onSession: () => assert.fail('a session came about'),
    })
    const intruders: Record<string, ConnectionOptions> = {
      ...badCertificates,
      'no certificate': { cert: undefined, key: undefined },
      'no protocol name': { ALPNProtocols: undefined },
    }
    for (const [name, options] of Object.entries(intruders)) {
      const socket = await strangerAt(listener, options).catch((error) => assert.fail(`${name}: ${error}`))
      socket.on('data', () => assert.fail(name))
      socket.write(frameBytes({ op: FrameOp.put }))
      if (!socket.destroyed) await once(socket, 'close')
    }
    const refused = await metrics.getSingleMetricAsString('cumulus_network_refused_peers_total')
    assert.match(refused, /reason="certificate"} 6/)
    await listener.close()
  })

  it('refuses TLS 1.2 and foreign protocols', async () => {
    await using pair = await pairOf()
    const foreign: ConnectionOptions[] = [
      { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2', ciphers: undefined },
      { ALPNProtocols: ['http/1.1'] },
    ]
    for (const options of foreign) await assert.rejects(strangerAt(pair.listener, options))
    await pair.dialled.request(FrameOp.ping, {})
  })

  it('cuts off those who never finish their handshake, or talk nonsense', async () => {
    const listener = await listenAs(alice, { limits: { handshakeMs: 100 } })
    for (const firstWords of ['', 'GET / HTTP/1.1\r\n\r\n', '\x16\x03\x01\x02\x00\x01']) {
      const socket = connectPlain(addressOf(listener))
      socket.on('error', () => undefined)
      socket.resume()
      socket.write(firstWords)
      await once(socket, 'close')
    }
    await listener.close()
  })

  it('keeps places for those who prove themselves while others only knock', async () => {
    const listener = await listenAs(alice, { limits: { handshakesMax: 3 } })
    const knocking = Array.from({ length: 10 }, () => connectPlain(addressOf(listener)).on('error', () => undefined))
    await Promise.all(knocking.slice(0, 7).map((socket) => once(socket.resume(), 'close')))
    const session = await dial({ address: addressOf(listener), identity: bob, handlers: {} })
    session.close()
    await listener.close()
    for (const socket of knocking) socket.destroy()
  })

  it('forgets those who failed', async () => {
    const metrics = new Registry()
    const listener = await listenAs(alice, { metrics, limits: { handshakesMax: 1 } })
    for (let i = 0; i < 5; i++) {
      await assert.rejects(strangerAt(listener, { ALPNProtocols: ['http/1.1'] }))
      const socket = connectPlain(addressOf(listener)).on('error', () => undefined)
      await once(socket.resume().end('nonsense'), 'close')
    }
    const refused = await metrics.getSingleMetricAsString('cumulus_network_refused_peers_total')
    assert.match(refused, /reason="handshake"} 10/)
    assert.doesNotMatch(refused, /too-many/)
    await listener.close()
  })

  it('says so if it cannot have its port', async () => {
    const listener = await listenAs(alice)
    await assert.rejects(listenAs(bob, { port: listener.port }), { code: 'LISTEN' })
    await listener.close()
  })

  it('takes only peers that it wants, and not too many sessions of one or of all', async () => {
    const wanted = new Set([bob.peerId])
    const sessions: Session[] = []
    const listener = await listenAs(alice, {
      accept: (peerKey) => Buffer.compare(peerKey, bob.publicKey) === 0 && wanted.has(bob.peerId),
      limits: { sessionsPerPeerMax: 2 },
      onSession: (session) => sessions.push(session),
    })
    const components = { address: addressOf(listener), identity: bob, handlers: {} }
    const first = await dial(components)
    const second = await dial(components)
    await assert.rejects(dial(components), { code: 'HANDSHAKE' })
    first.close()
    await sessions[0]!.closed
    const third = await dial(components)
    third.close()
    second.close()
    wanted.clear()
    await assert.rejects(dial(components), { code: 'HANDSHAKE' })
    await listener.close()
  })
})

describe('the dialling side', () => {
  async function serve(options: TlsOptions): Promise<{ port: number; close(): void }> {
    const server = createServer({ ...tlsOptionsOf(bob), requestCert: true, rejectUnauthorized: false, ...options })
    server.on('tlsClientError', () => undefined)
    server.on('secureConnection', (socket) => {
      socket.on('error', () => undefined)
      socket.on('data', () => assert.fail('a byte was sent to a peer that is not proven'))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return { port: (server.address() as AddressInfo).port, close: () => server.close() }
  }

  it('sends no byte to a peer that does not prove who it is', async () => {
    const servers: Record<string, TlsOptions> = { 'no protocol name': {} }
    for (const [name, bad] of Object.entries(badCertificates)) servers[name] = { ...bad, ALPNProtocols: ['cumulus/1'] }
    for (const [name, options] of Object.entries(servers)) {
      const server = await serve(options)
      const address = { host: '127.0.0.1', port: server.port }
      await assert.rejects(dial({ address, identity: alice, handlers: {} }), { code: 'HANDSHAKE' }, name)
      server.close()
    }
  })

  it('refuses TLS 1.2', async () => {
    const server = await serve({
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.2',
      ciphers: undefined,
      ALPNProtocols: ['cumulus/1'],
    })
    const address = { host: '127.0.0.1', port: server.port }
    await assert.rejects(dial({ address, identity: alice, handlers: {} }), { code: 'HANDSHAKE' })
    server.close()
  })

  it('does not talk to another peer than the one it wants', async () => {
    const listener = await listenAs(alice, { handlers: { [FrameOp.put]: () => assert.fail('heard') } })
    const components = { identity: bob, handlers: {} }
    const address = addressOf(listener)
    await assert.rejects(dial({ ...components, address, expectedPeerKey: bob.publicKey }), { code: 'WRONG_PEER' })
    await assert.rejects(dial({ ...components, address: { ...address, peerKey: bob.publicKey } }), {
      code: 'WRONG_PEER',
    })
    const multiaddress = `/ip4/127.0.0.1/tcp/${listener.port}/p2p/${alice.peerId}`
    const wrong = { ...components, address: multiaddress, expectedPeerKey: bob.publicKey }
    await assert.rejects(dial(wrong), { code: 'WRONG_PEER' })
    const session = await dial({ ...components, address: multiaddress })
    session.close()
    await listener.close()
  })

  it('gives up on one that is not there, does not answer, or hangs up', async () => {
    const silent = createPlainServer((socket) => void socket.on('error', () => undefined).resume()).listen(
      0,
      '127.0.0.1',
    )
    await once(silent, 'listening')
    const address = { host: '127.0.0.1', port: (silent.address() as AddressInfo).port }
    const components = { identity: bob, handlers: {}, limits: { handshakeMs: 100 } }
    await assert.rejects(dial({ ...components, address }), { code: 'TIMEOUT' })
    const signal = AbortSignal.timeout(20)
    await assert.rejects(dial({ ...components, limits: {}, address }, { signal }), { name: 'TimeoutError' })
    silent.removeAllListeners('connection')
    silent.on('connection', (socket) => socket.destroy())
    await assert.rejects(dial({ ...components, address }), { code: 'HANDSHAKE' })
    await new Promise((resolve) => silent.close(resolve))
    await assert.rejects(dial({ ...components, address }), { code: 'UNREACHABLE' })
  })
})

describe('a session with a peer that breaks the rules', () => {
  it('ends with MALFORMED_FRAME, whatever is wrong', async () => {
    const metrics = new Registry()
    const bad: Record<string, RawFrame> = {
      version: { version: 9 },
      op: { op: 200 },
      flags: { flags: 128 },
      'long meta': { metaBytes: 65_537 },
      'long body': { bodyBytes: 8 * MIB + 1 },
      'answer to nothing': { op: FrameOp.get, flags: 1, id: 77 },
      'error about nothing': { op: FrameOp.get, flags: 3, id: 77, meta: pattern(3) },
    }
    const streams = Object.entries(bad).map(([name, frame]) => [name, frameBytes(frame)] as const)
    streams.push(
      ['noise', pattern(1000, 77)],
      ['a good frame, then noise', Buffer.concat([frameBytes({}), pattern(64, 5)])],
    )
    for (const [name, bytes] of streams) {
      await using peer = await stranger({ metrics })
      peer.socket.write(bytes)
      await peer.session.closed
      assert.equal(peer.session.closeReason?.code, 'MALFORMED_FRAME', name)
    }
    const counted = await metrics.getSingleMetricAsString('cumulus_network_malformed_frames_total')
    assert.match(counted, /total 9$/)
  })

  it('ends with MALFORMED_FRAME if an answer is of another kind, or an error is no error', async () => {
    const answers: RawFrame[] = [
      { op: FrameOp.put, flags: 1 },
      { op: FrameOp.get, flags: 3, meta: Buffer.from('not JSON') },
      { op: FrameOp.get, flags: 3, meta: Buffer.from('{"code":"lower case","message":"","details":{}}') },
      { op: FrameOp.get, flags: 3, meta: Buffer.from('null') },
    ]
    for (const answer of answers) {
      await using peer = await stranger({})
      const request = peer.session.request(FrameOp.get, {})
      peer.socket.write(frameBytes({ ...answer, id: 1 }))
      await assert.rejects(request, { code: 'MALFORMED_FRAME' })
    }
  })

  it('ends with CLOSED if it hangs up in the middle of a body, and gives the body buffer back', async () => {
    const slab = new Uint8Array(MIB)
    let returned: Uint8Array | undefined
    await using peer = await stranger({
      handlers: { [FrameOp.put]: () => assert.fail('half a body was handed on') },
      bodyBuffers: { take: () => slab, giveBack: (buffer) => void (returned = buffer) },
    })
    peer.socket.end(frameBytes({ op: FrameOp.put, body: pattern(MIB) }).subarray(0, MIB / 2))
    await peer.session.closed
    assert.equal(peer.session.closeReason?.code, 'CLOSED')
    assert.equal(returned, slab)
  })

  it('refuses requests beyond the credit, and ends if the refusals are not even read', async () => {
    let running = 0
    const handlers = {
      [FrameOp.get]: async () => {
        running++
        return await new Promise<object>(() => undefined)
      },
    }
    await using peer = await stranger({ handlers, limits: { requestsMax: 4 } })
    const answers: Buffer[] = []
    peer.socket.on('data', (chunk: Buffer) => answers.push(chunk))
    for (let id = 1; id <= 9; id++) peer.socket.write(frameBytes({ op: FrameOp.get, id }))
    await until(() => answers.length > 0)
    assert.equal(running, 8) // twice the limit of the honest: answers to aborted requests may be under way
    assert.ok(Buffer.concat(answers).includes('"OVERLOADED"'))
    peer.socket.pause()
    const many = Buffer.concat(Array.from({ length: 10_000 }, (_, id) => frameBytes({ op: FrameOp.get, id: 10 + id })))
    const pump = (): void => void (peer.session.closeReason || peer.socket.write(many, pump))
    pump()
    await peer.session.closed
    assert.equal(peer.session.closeReason?.code, 'OVERLOADED')
    assert.equal(running, 8)
  })

  it('ends if it never reads what it asked for, having cost no more than its credit', async () => {
    let answered = 0
    let released = 0
    const body = pattern(8 * MIB)
    const handlers = {
      [FrameOp.get]: () => {
        answered++
        return { body, release: () => void released++ }
      },
    }
    await using peer = await stranger({ handlers, limits: { requestsMax: 8, heldBytesMax: 32 * MIB, silenceMs: 300 } })
    peer.socket.pause()
    for (let id = 1; id <= 500; id++) peer.socket.write(frameBytes({ op: FrameOp.get, id }))
    await peer.session.closed
    assert.ok(['OVERLOADED', 'TIMEOUT'].includes(peer.session.closeReason!.code))
    assert.ok(answered <= 2 * 8 + 2, `${answered} answers of 8 MiB`) // those in the socket's own buffers come on top
    assert.equal(released, answered)
  })

  it('stops reading while handlers are behind, and loses nothing', async () => {
    for (const dialling of [false, true]) {
      const open = Promise.withResolvers<void>()
      let begun = 0
      let done = 0
      const handlers = {
        [FrameOp.put]: async () => {
          begun++
          await open.promise
          done++
          return {}
        },
      }
      const limits = { heldBytesMax: 8 * MIB }
      await using pair = await pairOf({ handlers, limits }, { handlers, limits })
      const asking = dialling ? pair.accepted : pair.dialled
      const body = pattern(MIB)
      const requests = Array.from({ length: 40 }, () => asking.request(FrameOp.put, { body }))
      await until(() => begun >= 9)
      await new Promise((resolve) => setTimeout(resolve, 50))
      assert.ok(begun <= 10, `${begun} bodies of 1 MiB are held`)
      open.resolve()
      await Promise.all(requests)
      assert.equal(done, 40)
    }
  })

  it('ends with TIMEOUT if the peer falls silent, or sends a frame drop by drop', async () => {
    {
      await using peer = await stranger({ limits: { silenceMs: 100, idleMs: 50 } })
      const request = peer.session.request(FrameOp.get, {})
      await assert.rejects(request, { code: 'TIMEOUT' })
    }
    {
      await using peer = await stranger({
        handlers: { [FrameOp.put]: () => ({}) },
        limits: { frameMs: 200 },
      })
      const bytes = frameBytes({ op: FrameOp.put, body: pattern(1000) })
      let at = 0
      const drip = setInterval(() => peer.socket.write(bytes.subarray(at, ++at)), 10)
      await peer.session.closed
      clearInterval(drip)
      assert.equal(peer.session.closeReason?.code, 'TIMEOUT')
    }
  })
})
