import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FrameOp, NetworkError, PeerLink, type PeerLinkState } from '../src/index.ts'
import { addressOf, alice, bob, listenAs, until } from './support.ts'

const components = { identity: bob, handlers: {}, expectedPeerKey: alice.publicKey }
const quick = { backoffMsMin: 1, backoffMsMax: 20 }

describe('a link to a peer', () => {
  it('comes back after the listener restarts', async () => {
    const stop = new AbortController()
    const first = await listenAs(alice)
    const link = new PeerLink({ ...components, addresses: [addressOf(first)] }, quick)
    const states: PeerLinkState[] = []
    link.on('state', (state) => states.push(state))
    const running = link.run({ signal: stop.signal })
    const session = await link.ready()
    await session.request(FrameOp.ping, {})
    await first.close()
    await session.closed
    await until(() => states.filter((state) => state === 'waiting').length > 2)
    assert.equal(link.session, undefined)
    const second = await listenAs(alice, { port: first.port })
    const renewed = await link.ready()
    assert.notEqual(renewed, session)
    await renewed.request(FrameOp.ping, {})
    stop.abort()
    await running
    await renewed.closed
    assert.equal(link.state, 'stopped')
    assert.deepEqual(states.slice(0, 4), ['connecting', 'connected', 'waiting', 'connecting'])
    await assert.rejects(link.ready(), { code: 'CLOSED' })
    await second.close()
  })

  it('tries all addresses, and takes none where another peer answers', async () => {
    const stop = new AbortController()
    const gone = await listenAs(alice)
    await gone.close()
    const impostor = await listenAs(bob)
    const real = await listenAs(alice)
    const addresses = [addressOf(gone), addressOf(impostor), addressOf(real)]
    const link = new PeerLink({ ...components, addresses }, quick)
    const failures: string[] = []
    link.on('failure', (error) => void failures.push((error as NetworkError).code))
    const running = link.run({ signal: stop.signal })
    assert.deepEqual((await link.ready()).peerKey, alice.publicKey)
    assert.deepEqual(failures, ['UNREACHABLE', 'WRONG_PEER'])
    stop.abort()
    await running
    await Promise.all([impostor.close(), real.close()])
  })

  it('stops at once while it waits, and tells those who wait for it', async () => {
    const stop = new AbortController()
    const gone = await listenAs(alice)
    await gone.close()
    const init = { backoffMsMin: 3_600_000, backoffMsMax: 3_600_000 }
    const link = new PeerLink({ ...components, addresses: [addressOf(gone)] }, init)
    const running = link.run({ signal: stop.signal })
    const ready = assert.rejects(link.ready(), NetworkError)
    await assert.rejects(link.ready({ signal: AbortSignal.timeout(1) }), { name: 'TimeoutError' })
    await until(() => link.state === 'waiting')
    stop.abort()
    await Promise.all([running, ready])
  })
})
