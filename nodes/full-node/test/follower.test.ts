import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { equalBytes } from '@cumulus/bytes'
import { BlockMismatch, type Ledger, LedgerHalt, MemoryLedgerStore, type Transaction } from '@cumulus/ledger'
import { type FrameHandler, type FrameHandlers, FrameOp, PeerIdentity, RemoteError } from '@cumulus/network'
import { ChainPeers, type KnownPeer } from '../src/chain-peers.ts'
import { Follower, type FollowerLimits } from '../src/follower.ts'
import { FullNodeError } from '../src/full-node-error.ts'
import { type BlockRecord, decodeRecords, encodeRecords } from '../src/wire.ts'
import {
  fakeCertificate,
  fakeVerifier,
  MemoryCertificates,
  openTestLedger,
  quickPeers,
  quiet,
  sameHead,
  TestChain,
  TestNetwork,
  until,
} from './test-chain.ts'

/** A follower with its own ledger, running until stopped. */
class Following {
  readonly ledger: Ledger
  readonly peers: ChainPeers
  readonly follower: Follower
  readonly certificates = new MemoryCertificates()
  readonly ended: Promise<unknown>
  readonly #stop = new AbortController()

  private constructor(
    ledger: Ledger,
    known: readonly KnownPeer[],
    hasCommittee: boolean,
    limits: Partial<FollowerLimits>,
  ) {
    this.ledger = ledger
    const identity = PeerIdentity.create()
    this.peers = new ChainPeers({ identity, genesisHash: ledger.genesisHash, handlers: {}, log: quiet }, quickPeers)
    for (const one of known) this.peers.add(one)
    const finality = hasCommittee ? { verifier: fakeVerifier, certificates: this.certificates } : {}
    this.follower = new Follower({ ledger, peers: this.peers, log: quiet, ...finality }, { idleMs: 20, ...limits })
    const { signal } = this.#stop
    const { follower } = this
    const running = this.peers.run({ signal })
    this.ended = (async () => {
      try {
        for await (const batch of follower.decided({ signal })) await ledger.execute(batch)
        return undefined
      } catch (error) {
        return error
      } finally {
        this.#stop.abort()
        await running
      }
    })()
  }

  static async start(
    known: readonly KnownPeer[],
    {
      hasCommittee = true,
      ledger,
      ...limits
    }: Partial<FollowerLimits> & { hasCommittee?: boolean; ledger?: Ledger } = {},
  ): Promise<Following> {
    return new Following(ledger ?? (await openTestLedger()), known, hasCommittee, limits)
  }

  async stop(): Promise<unknown> {
    this.#stop.abort()
    return this.ended
  }
}

/** Handlers that change the records of an answer. */
function forging(change: (records: BlockRecord[]) => readonly BlockRecord[]): (honest: FrameHandlers) => FrameHandlers {
  return (honest) => ({
    ...honest,
    [FrameOp.getBlocks]: (async (frame, session) => {
      const reply = await honest[FrameOp.getBlocks]!(frame, session)
      const records = decodeRecords(reply.meta!, reply.body!, 1_000)
      return { ...reply, ...encodeRecords(change(records)) }
    }) satisfies FrameHandler,
  })
}

describe('a follower', () => {
  let network: TestNetwork
  let followings: Following[]
  const follow = async (...args: Parameters<typeof Following.start>) => {
    const following = await Following.start(...args)
    followings.push(following)
    return following
  }
  beforeEach(() => {
    network = new TestNetwork()
    followings = []
  })
  afterEach(async () => {
    for (const following of followings) await following.stop()
    await network.close()
  })

  it('reaches the head of a chain with one signature check for each range, and then follows the tip', async () => {
    const chain = await TestChain.create()
    await chain.grow(300)
    const { service, known } = await network.serve(chain)
    fakeVerifier.verifiedCount = 0
    const following = await follow([known], { rangeBlocks: 50 })
    await until(() => sameHead(following.ledger, chain.ledger), 'the heads are equal')
    assert.equal(fakeVerifier.verifiedCount, 6)
    for (let i = 0; i < 5; i++) {
      await chain.grow(1)
      service.announce()
      await until(() => sameHead(following.ledger, chain.ledger), 'the new block is followed')
    }
    assert.equal(following.certificates.highest, chain.ledger.head.number)
  })

  it('has senders found out before a block is handed over, range by range', async () => {
    const chain = await TestChain.create()
    await chain.grow(30)
    const { known } = await network.serve(chain)
    const ledger = await openTestLedger()
    const peers = new ChainPeers(
      { identity: PeerIdentity.create(), genesisHash: ledger.genesisHash, handlers: {}, log: quiet },
      quickPeers,
    )
    peers.add(known)
    const found = new Set<Transaction>()
    const pieces: number[] = []
    const senders = {
      recoverSenders: async (transactions: readonly Transaction[]) => {
        pieces.push(transactions.length)
        await new Promise(setImmediate)
        for (const one of transactions) found.add(one)
      },
    }
    const certificates = new MemoryCertificates()
    const follower = new Follower(
      { ledger, peers, log: quiet, verifier: fakeVerifier, certificates, senders },
      { idleMs: 20, rangeBlocks: 10 },
    )
    const stop = new AbortController()
    const running = peers.run({ signal: stop.signal })
    for await (const batch of follower.decided({ signal: stop.signal })) {
      assert.equal(batch.transactions.length, 1)
      for (const one of batch.transactions) assert.ok(found.has(one))
      await ledger.execute(batch)
      if (ledger.head.number === chain.ledger.head.number) stop.abort()
    }
    await running
    assert.deepEqual(pieces, [10, 10, 10])
    assert.ok(sameHead(ledger, chain.ledger))
  })

  it('takes blocks from several peers at once', async () => {
    const chain = await TestChain.create()
    await chain.grow(120)
    const served = [0, 0, 0]
    const counting = (index: number) => (honest: FrameHandlers) => ({
      ...honest,
      [FrameOp.getBlocks]: ((frame, session) => {
        served[index]!++
        return honest[FrameOp.getBlocks]!(frame, session)
      }) satisfies FrameHandler,
    })
    const known: KnownPeer[] = []
    for (let i = 0; i < 3; i++) known.push((await network.serve(chain, { lie: counting(i) })).known)
    const following = await follow([], { rangeBlocks: 10 })
    for (const one of known) following.peers.add(one)
    await until(() => sameHead(following.ledger, chain.ledger), 'the heads are equal')
    assert.ok(served.filter((count) => count > 0).length >= 2, `served ${served}`)
  })

  it('follows blocks that only a later block has a certificate for', async () => {
    const chain = await TestChain.create()
    await chain.grow(50, { certifyEach: 17 })
    await chain.grow(1)
    const { known } = await network.serve(chain)
    const following = await follow([known], { rangeBlocks: 8 })
    await until(() => sameHead(following.ledger, chain.ledger), 'the heads are equal')
    assert.deepEqual([...following.certificates.byHeight.keys()], [17n, 34n, 51n])
  })

  it('waits for a certificate before it executes a block', async () => {
    const chain = await TestChain.create()
    await chain.grow(10)
    await chain.grow(3, { certifyEach: 0 })
    const { service, known } = await network.serve(chain)
    const following = await follow([known])
    await until(() => following.ledger.head.number === 10n, 'the certified blocks are followed')
    chain.certify()
    service.announce()
    await until(() => sameHead(following.ledger, chain.ledger), 'the rest is followed')
  })

  it('goes on from its head after a stop at any block', async () => {
    const chain = await TestChain.create()
    await chain.grow(60)
    const { known } = await network.serve(chain)
    const store = new MemoryLedgerStore()
    let ledger = await openTestLedger(store)
    while (!sameHead(ledger, chain.ledger)) {
      const before = ledger.head.number
      const following = await follow([known], { ledger, rangeBlocks: 7 })
      await until(() => ledger.head.number > before, 'it moved')
      assert.equal(await following.stop(), undefined)
      ledger = await openTestLedger(store)
    }
    assert.equal(ledger.head.number, 60n)
  })

  it('follows a trusted peer, and nobody else, where there is no committee', async () => {
    const chain = await TestChain.create()
    await chain.grow(20, { certifyEach: 0 })
    const other = await chain.fork()
    await other.grow(20, { certifyEach: 0, salt: 5 })
    const trusted = await network.serve(chain, { certificates: undefined, isTrusted: true })
    const stranger = await network.serve(other, { certificates: undefined })
    const following = await follow([stranger.known, trusted.known], { hasCommittee: false })
    await until(() => sameHead(following.ledger, chain.ledger), 'the heads are equal')
    assert.equal(following.follower.targetHeight, 20n)
  })

  const lies: [string, string, (honest: FrameHandlers) => FrameHandlers][] = [
    [
      'a body of another block',
      'BAD_BLOCK',
      forging((records) => records.map((r) => ({ ...r, body: records[0]!.body }))),
    ],
    [
      'a certificate that nobody signed',
      'BAD_CERTIFICATE',
      forging((records) => records.map((r) => ({ ...r, certificate: r.certificate && flip(r.certificate, 40) }))),
    ],
    [
      'a certificate of another block',
      'BAD_CERTIFICATE',
      forging((records) => records.map((r) => ({ ...r, certificate: fakeCertificate(3n, new Uint8Array(32)) }))),
    ],
    [
      'bytes that are no certificate',
      'BAD_CERTIFICATE',
      forging((records) => records.map((r) => ({ ...r, certificate: new Uint8Array(7) }))),
    ],
    [
      'a header with a bit changed',
      'BAD_BLOCK',
      forging((records) => records.map((r, i) => (i === 1 ? { ...r, header: flip(r.header, 100) } : r))),
    ],
    [
      'a header that is no header',
      'MALFORMED',
      forging((records) => records.map((r) => ({ ...r, header: new Uint8Array(100) }))),
    ],
    ['blocks in another order', 'BAD_BLOCK', forging((records) => records.toReversed())],
    ['nothing', 'MISSING', forging(() => [])],
    ['more blocks than asked for', 'MALFORMED', forging((records) => [...records, ...records])],
    [
      'records that are cut off',
      'MALFORMED',
      (honest) => ({
        ...honest,
        [FrameOp.getBlocks]: (async (frame, session) => {
          const reply = await honest[FrameOp.getBlocks]!(frame, session)
          return { ...reply, body: reply.body!.subarray(0, -1) }
        }) satisfies FrameHandler,
      }),
    ],
    ['an answer without a version', 'MALFORMED', (honest) => ({ ...honest, [FrameOp.getBlocks]: () => ({}) })],
    [
      'refusals of what it said it has',
      'MISSING',
      (honest) => ({
        ...honest,
        [FrameOp.getBlocks]: () => {
          throw new RemoteError('NO_SUCH_BLOCK', 'no')
        },
      }),
    ],
    [
      'no answer at all',
      'STALLED',
      (honest) => ({ ...honest, [FrameOp.getBlocks]: () => new Promise<never>(() => {}) }),
    ],
  ]
  for (const [what, code, lie] of lies) {
    it(`goes on with an honest peer when another sends ${what}`, async () => {
      const chain = await TestChain.create()
      await chain.grow(24)
      const liar = await network.serve(chain, { lie })
      const following = await follow([liar.known], { rangeBlocks: 4 })
      const faults: string[] = []
      const judge = following.peers.judge.bind(following.peers)
      following.peers.judge = (peer, error) => {
        faults.push((error as { code: string }).code)
        judge(peer, error)
      }
      await until(() => faults.length > 0, 'the liar is found out')
      assert.equal(faults[0], code)
      assert.equal(following.ledger.head.number, 0n)
      const honest = await network.serve(chain)
      following.peers.add(honest.known)
      await until(() => sameHead(following.ledger, chain.ledger), 'the heads are equal')
      assert.ok(!following.peers.isBanned(honest.identity.peerId))
      if (code !== 'STALLED' && code !== 'MISSING') assert.ok(following.peers.isBanned(liar.identity.peerId))
    })
  }

  it('bans a peer of another chain, and one whose status makes no sense', async () => {
    const chain = await TestChain.create()
    await chain.grow(3)
    const other = await network.serve(chain, { chain: { head: chain.ledger.head, genesisHash: new Uint8Array(32) } })
    const confused = await network.serve(chain, {
      lie: (honest) => ({ ...honest, [FrameOp.chainStatus]: () => ({ meta: new Uint8Array(96).fill(1) }) }),
    })
    const following = await follow([other.known, confused.known])
    for (const { identity } of [other, confused]) {
      await until(() => following.peers.isBanned(identity.peerId), 'it is banned')
    }
  })

  it('forgets a peer that it was told of and that cannot be reached, but not one that was configured', async () => {
    const peers = new ChainPeers(
      { identity: PeerIdentity.create(), genesisHash: new Uint8Array(32), handlers: {}, log: quiet },
      { ...quickPeers, failuresMax: 2, peersMax: 2 },
    )
    const addresses = [{ host: '127.0.0.1', port: 1 }]
    const known = (origin: KnownPeer['origin']): KnownPeer => {
      return { peerKey: PeerIdentity.create().publicKey, addresses, origin }
    }
    const stop = new AbortController()
    const running = peers.run(stop)
    for (const origin of ['found', 'configured', 'found'] as const) peers.add(known(origin))
    assert.equal(peers.all.length, 2, 'one too many is passed over')
    await until(() => peers.all.every((peer) => peer.known.origin === 'configured'), 'the found one is forgotten')
    peers.add(known('found'))
    peers.add(known('committee'))
    assert.deepEqual(peers.all.map((peer) => peer.known.origin).sort(), ['committee', 'configured'])
    stop.abort()
    await running
  })

  it('waits as long as a peer asks it to, and blames nobody', async () => {
    const chain = await TestChain.create()
    await chain.grow(40)
    const rate = { requestsPerSecond: 50, requestBurst: 3, bytesPerSecond: 1e9, byteBurst: 1e9 }
    const { known, identity } = await network.serve(chain, { limits: { rate } })
    const following = await follow([known], { rangeBlocks: 4 })
    await until(() => sameHead(following.ledger, chain.ledger), 'the heads are equal')
    assert.ok(!following.peers.isBanned(identity.peerId))
  })

  it('halts when a certified block executes to another one, and stores nothing of it', async () => {
    const chain = await TestChain.create()
    await chain.grow(5)
    // Everything fits together and is certified; only its execution gives another state.
    const forged = new Map<string, Uint8Array>()
    const { decodeForeignHeader, encodeHeader } = await import('@cumulus/ledger')
    let parent = chain.ledger.header(3n)!
    const lie = forging((records) =>
      records.map((record) => {
        const header = decodeForeignHeader(record.header)
        if (header.number < 4n) return record
        const known = forged.get(String(header.number))
        const wrong = known ?? encodeHeader({ ...header, parentHash: parent.hash, stateRoot: header.transactionsRoot })
        forged.set(String(header.number), wrong)
        parent = decodeForeignHeader(wrong)
        return { ...record, header: wrong, certificate: fakeCertificate(header.number, parent.hash) }
      }),
    )
    const { known } = await network.serve(chain, { lie })
    const following = await follow([known])
    const error = await following.ended
    assert.ok(error instanceof LedgerHalt)
    assert.ok(error.cause instanceof BlockMismatch)
    assert.deepEqual(error.cause.fields, ['stateRoot', 'hash'])
    assert.equal(following.ledger.head.number, 3n)
    assert.match(JSON.stringify(error.cause), /"computed":\{/)
  })

  it('halts when two chains are certified', async () => {
    const chain = await TestChain.create()
    await chain.grow(5)
    const other = await chain.fork()
    await chain.grow(3)
    await other.grow(5, { salt: 9 })
    const one = await network.serve(chain)
    const following = await follow([one.known])
    await until(() => following.ledger.head.number === 8n, 'the first chain is followed')
    const two = await network.serve(other)
    following.peers.add(two.known)
    const error = await following.ended
    assert.ok(error instanceof FullNodeError && error.code === 'FORK')
    assert.ok(equalBytes(following.ledger.head.hash, chain.ledger.head.hash))
  })
})

function flip(bytes: Uint8Array, at: number): Uint8Array {
  const changed = bytes.slice()
  changed[at]! ^= 1
  return changed
}
