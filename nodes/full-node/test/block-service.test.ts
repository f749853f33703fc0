import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { readRawBlock } from '@cumulus/ledger'
import { dial, FrameOp, type Listener, PeerIdentity, RemoteError, type Session } from '@cumulus/network'
import { RateLimit } from '../src/rate-limit.ts'
import {
  decodeChainStatus,
  decodeRecords,
  decodeVerdicts,
  encodeRangeLimits,
  encodeStatusQuestion,
  encodeTransactions,
} from '../src/wire.ts'
import { TestChain, TestNetwork, until } from './test-chain.ts'

describe('a block service', () => {
  const network = new TestNetwork()
  let chain: TestChain
  before(async () => {
    chain = await TestChain.create()
    await chain.grow(30, { certifyEach: 10 })
    await chain.grow(2, { certifyEach: 0 })
  })
  after(() => network.close())

  const connect = (listener: Listener) =>
    dial({
      identity: PeerIdentity.create(),
      handlers: {},
      address: { host: '127.0.0.1', port: listener.port },
    })
  const blocks = async (session: Session, first: number, limits: { count: number; bytes: number }) => {
    const frame = { offset: first, meta: encodeRangeLimits(limits) }
    const { meta, body } = await session.request(FrameOp.getBlocks, frame)
    return { records: decodeRecords(meta, body, 256), bytes: body.length }
  }
  const refusal = (code: string) => (error: unknown) => error instanceof RemoteError && error.code === code

  it('serves blocks as they are stored, up to the last certificate of the range', async () => {
    const { listener } = await network.serve(chain)
    const session = await connect(listener)
    const { records } = await blocks(session, 5, { count: 12, bytes: 1e6 })
    assert.equal(records.length, 6)
    records.forEach(({ header, body, certificate }, index) => {
      const stored = readRawBlock(chain.store, BigInt(5 + index))!
      assert.deepEqual([header, body], [stored.header, stored.body])
      assert.equal(certificate !== undefined, index === 5)
    })
    // Without one in the range, all of it; the headers lead to the next one.
    assert.equal((await blocks(session, 11, { count: 3, bytes: 1e6 })).records.length, 3)
    const { meta, body } = await session.request(FrameOp.getHeaders, {
      offset: 14,
      meta: encodeRangeLimits({ count: 100, bytes: 1e6 }),
    })
    const headers = decodeRecords(meta, body, 100)
    assert.equal(headers.length, 7)
    assert.ok(headers.every((record) => record.body.length === 0))
    assert.ok(headers.at(-1)!.certificate)
    session.close()
  })

  it('serves nothing that is not certified, nor what it does not keep', async () => {
    const { listener, service } = await network.serve(chain)
    const session = await connect(listener)
    assert.equal((await blocks(session, 29, { count: 10, bytes: 1e6 })).records.length, 2)
    await assert.rejects(blocks(session, 31, { count: 1, bytes: 1e6 }), refusal('NO_SUCH_BLOCK'))
    service.setLowest(20n)
    await assert.rejects(blocks(session, 19, { count: 1, bytes: 1e6 }), refusal('NO_SUCH_BLOCK'))
    assert.equal((await blocks(session, 20, { count: 1, bytes: 1e6 })).records.length, 1)
    session.close()
  })

  it('keeps to the bytes asked for, except for a single block', async () => {
    const { listener } = await network.serve(chain)
    const session = await connect(listener)
    const one = await blocks(session, 11, { count: 9, bytes: 1 })
    assert.equal(one.records.length, 1)
    const some = await blocks(session, 11, { count: 9, bytes: one.bytes * 4 })
    assert.ok(some.records.length >= 2 && some.bytes <= one.bytes * 4)
    session.close()
  })

  it('answers a question for news when there is some, or when the time is over', async () => {
    const own = await TestChain.create()
    const { listener, service } = await network.serve(own, { certificates: undefined, isOrdering: true })
    const session = await connect(listener)
    const ask = async (waitMs: number, height: bigint) => {
      const meta = encodeStatusQuestion({ waitMs, height, certified: height })
      const reply = await session.request(FrameOp.chainStatus, { hash: own.ledger.genesisHash, meta })
      return decodeChainStatus(reply.meta)
    }
    assert.equal((await ask(10_000, 5n)).height, 0n)
    assert.equal((await ask(20, 0n)).height, 0n)
    const waiting = ask(10_000, 0n)
    await until(() => service.waiting === 1, 'the question waits')
    await own.grow(1, { certifyEach: 0 })
    service.announce()
    const { height, isOrdering, isCertified } = await waiting
    assert.deepEqual({ height, isOrdering, isCertified }, { height: 1n, isOrdering: true, isCertified: false })
    session.close()
  })

  it('lets few questions of one peer wait, and forgets those of a peer that left', async () => {
    const { listener, service } = await network.serve(chain, { limits: { waitersPerPeerMax: 2 } })
    const session = await connect(listener)
    const meta = encodeStatusQuestion({ waitMs: 20_000, height: 32n, certified: 30n })
    const asked = Array.from({ length: 5 }, () =>
      session.request(FrameOp.chainStatus, { hash: chain.ledger.genesisHash, meta }).catch(() => undefined),
    )
    await Promise.all(asked.slice(0, 3))
    assert.equal(service.waiting, 2)
    session.close()
    await until(() => service.waiting === 0, 'nobody waits')
  })

  it('refuses the follower of another chain, malformed questions and transactions it has no use for', async () => {
    const { listener } = await network.serve(chain)
    const session = await connect(listener)
    const meta = encodeStatusQuestion({ waitMs: 0, height: 0n, certified: 0n })
    await assert.rejects(session.request(FrameOp.chainStatus, { meta }), refusal('OTHER_CHAIN'))
    await assert.rejects(
      session.request(FrameOp.chainStatus, { hash: chain.ledger.genesisHash, meta: new Uint8Array(3) }),
      refusal('MALFORMED'),
    )
    for (const op of [FrameOp.getBlocks, FrameOp.getHeaders]) {
      await assert.rejects(session.request(op, { offset: 1, meta: new Uint8Array(12) }), refusal('MALFORMED'))
    }
    const body = encodeTransactions([Uint8Array.of(1)])
    await assert.rejects(session.request(FrameOp.sendTransactions, { body }), refusal('UNSUPPORTED'))
    session.close()
  })

  it('hands transactions on and tells what became of each', async () => {
    const { listener } = await network.serve(chain, {
      transactions: (raws) => raws.map((raw) => (raw[0] === 1 ? 'taken' : 'never')),
    })
    const session = await connect(listener)
    const body = encodeTransactions([Uint8Array.of(1), Uint8Array.of(2)])
    const { meta } = await session.request(FrameOp.sendTransactions, { body })
    assert.deepEqual(decodeVerdicts(meta), ['taken', 'never'])
    await assert.rejects(
      session.request(FrameOp.sendTransactions, { body: Uint8Array.of(0, 0, 0, 0) }),
      refusal('MALFORMED'),
    )
    session.close()
  })

  it('tells a peer that asks too much how long to wait, on whichever session, and nobody else', async () => {
    const rate = { requestsPerSecond: 0.1, requestBurst: 2, bytesPerSecond: 1e9, byteBurst: 1e9 }
    const { listener } = await network.serve(chain, { limits: { rate } })
    const identity = PeerIdentity.create()
    const address = { host: '127.0.0.1', port: listener.port }
    const [one, two] = [
      await dial({ identity, handlers: {}, address }),
      await dial({ identity, handlers: {}, address }),
    ]
    await blocks(one, 1, { count: 1, bytes: 1e6 })
    await blocks(two, 1, { count: 1, bytes: 1e6 })
    await assert.rejects(blocks(one, 1, { count: 1, bytes: 1e6 }), (error) => {
      return error instanceof RemoteError && error.code === 'RATE_LIMITED' && Number(error.details['waitMs']) > 1_000
    })
    const other = await connect(listener)
    await blocks(other, 1, { count: 1, bytes: 1e6 })
    for (const session of [one, two, other]) session.close()
  })

  it('refuses while too much is unsent', async () => {
    const { listener } = await network.serve(chain, { limits: { unsentBytesMax: 0 } })
    const session = await connect(listener)
    await assert.rejects(blocks(session, 1, { count: 1, bytes: 1e6 }), refusal('BUSY'))
    session.close()
  })
})

describe('a rate limit', () => {
  it('fills with time up to its burst, and makes up for answers that were larger than what was left', () => {
    let nowMs = 0
    const limits = { requestsPerSecond: 10, requestBurst: 2, bytesPerSecond: 1_000, byteBurst: 5_000 }
    const rate = new RateLimit(limits, () => nowMs)
    assert.equal(rate.request(), 0)
    assert.equal(rate.request(), 0)
    assert.equal(rate.request(), 100)
    nowMs += 100
    assert.equal(rate.request(), 0)
    rate.spend(8_000)
    nowMs += 1_000
    // 3,000 bytes too many, 1,000 of them made up for.
    assert.equal(rate.request(), 2_000)
  })
})
