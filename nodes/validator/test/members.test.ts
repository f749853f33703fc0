import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type FrameMessage, FrameOp, NetworkError, PeerIdentity, type Session } from '@cumulus/network'
import { createLogger } from '@cumulus/service'
import { Members } from '../src/consensus/members.ts'

const identities = [0, 1, 2, 3].map((seat) => new PeerIdentity(new Uint8Array(32).fill(seat + 1)))

/** Sessions of a member, and what it is told. */
function setUp(answerBytes = 0) {
  let nowMs = 0
  const got: number[] = []
  const refused: string[] = []
  const shunned: number[] = []
  const connected: number[] = []
  const members = new Members({
    identity: identities[2]!,
    members: identities.map(({ publicKey }) => ({ peerKey: publicKey, address: { host: '127.0.0.1', port: 1 } })),
    self: 2,
    onMessage: (from) => void got.push(from),
    onConnected: (peer) => void connected.push(peer),
    answer: () => ({ body: new Uint8Array(answerBytes) }),
    refused: (code) => void refused.push(code),
    shunned: (peer) => void shunned.push(peer),
    nowMs: () => nowMs,
    log: createLogger({ name: 'members', write: () => {} }),
  })
  const sessionOf = (seat: number) => {
    const closed = Promise.withResolvers<void>()
    const session = {
      peerKey: identities[seat]!.publicKey,
      closed: closed.promise,
      closeReason: undefined as NetworkError | undefined,
      close() {
        session.closeReason = new NetworkError('CLOSED', 'closed')
        closed.resolve()
      },
      request: async () => ({}),
    }
    return session as unknown as Session & { closeReason: NetworkError | undefined }
  }
  const frame = (bytes = 1) => ({ body: new Uint8Array(bytes), meta: new Uint8Array(0), offset: 0 }) as FrameMessage
  const pass = (ms: number) => {
    nowMs += ms
  }
  const hear = async (session: Session, op: FrameOp = FrameOp.dag, bytes = 1) =>
    members.handlers[op]!(frame(bytes), session)
  return { members, got, refused, shunned, connected, sessionOf, hear, pass }
}

describe('the links of a member', () => {
  it('make who sends too fast wait, lose nothing, and say so', async () => {
    const { got, refused, sessionOf, hear } = setUp()
    const session = sessionOf(1)
    await Promise.all(Array.from({ length: 4_096 }, () => hear(session)))
    assert.deepEqual(refused, [])
    await hear(session)
    assert.deepEqual(refused, ['TOO_FAST'])
    assert.equal(got.length, 4_097)
    // Each has its own measure.
    await hear(sessionOf(3))
    assert.equal(refused.length, 1)
  })

  it('are known from the first message on: what is answered to it has a way', async () => {
    const { members, connected, sessionOf, hear } = setUp()
    const session = sessionOf(3)
    await hear(session)
    await hear(session)
    assert.deepEqual([members.isConnected(3), connected], [true, [3]])
    session.close()
    await session.closed
    assert.equal(members.isConnected(3), false)
  })

  it('are closed to who sends nonsense: for 5 s, then for longer; a little is forgiven', async () => {
    const { members, shunned, sessionOf, hear, pass } = setUp()
    const session = sessionOf(1)
    members.attach(session)
    for (let i = 0; i < 64; i++) members.blame(1)
    assert.deepEqual([shunned, session.closeReason], [[], undefined])
    members.blame(1)
    members.blame(1)
    assert.deepEqual(shunned, [1])
    assert.ok(session.closeReason)
    const again = sessionOf(1)
    members.attach(again)
    assert.ok(again.closeReason)
    await assert.rejects(hear(sessionOf(1)), { code: 'SHUNNED' })
    pass(5_001)
    await hear(sessionOf(1))
    assert.equal(members.isConnected(1), true)
    for (let i = 0; i < 200; i++) members.blame(1)
    pass(5_001)
    await assert.rejects(hear(sessionOf(1)), { code: 'SHUNNED' })
    pass(5_001)
    await hear(sessionOf(1))
    // One now and then is no attack.
    for (let i = 0; i < 1_000; i++) {
      pass(250)
      members.blame(3)
    }
    assert.deepEqual(shunned, [1, 1])
  })

  it('refuse strangers and questions that nobody answers', async () => {
    const { refused, sessionOf, hear, got } = setUp()
    const stranger = { ...sessionOf(1), peerKey: new Uint8Array(32) } as Session
    await assert.rejects(hear(stranger), { code: 'NOT_A_MEMBER' })
    await assert.rejects(hear(sessionOf(2)), { code: 'NOT_A_MEMBER' })
    assert.deepEqual([refused, got], [['NOT_A_MEMBER', 'NOT_A_MEMBER'], []])
  })
})
