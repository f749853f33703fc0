import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Registry } from 'prom-client'
import { dial, FrameOp, listen, NetworkError, RemoteError, type Session } from '../src/index.ts'
import { countersOf } from '../src/metrics.ts'
import { addressOf, alice, bob, pairOf, pattern, until } from './support.ts'

/** What an echo of `frame` must look like. */
const echo = (frame: object): object => frame

const MIB = 2 ** 20

/** TypeScript declares it only in its DOM library. */
interface WebAssemblyGlobal {
  WebAssembly: { Memory: new (size: { initial: number }) => { buffer: ArrayBuffer } }
}

describe('a session', () => {
  it('knows who is at the other end', async () => {
    await using pair = await pairOf()
    assert.deepEqual(pair.dialled.peerKey, alice.publicKey)
    assert.equal(pair.dialled.peerId, alice.peerId)
    assert.deepEqual(pair.accepted.peerKey, bob.publicKey)
    assert.equal(pair.accepted.peerId, bob.peerId)
  })

  it('carries frames of every size there and back, in both directions, with and without `into`', async () => {
    const handlers = { [FrameOp.put]: echo, [FrameOp.get]: echo }
    await using pair = await pairOf({ handlers }, { handlers })
    for (const asking of [pair.dialled, pair.accepted]) {
      for (const [metaBytes, bodyBytes] of [
        [0, 0],
        [1, 0],
        [0, 1],
        [65_536, 0],
        [3, 65_536],
        [65_536, 65_537],
        [9, 8 * MIB],
      ]) {
        const frame = {
          seat: 11,
          group: 0xffff_ffff,
          stripe: 7,
          offset: Number.MAX_SAFE_INTEGER,
          hash: pattern(32),
          meta: pattern(metaBytes!),
          body: pattern(bodyBytes!, 3),
        }
        const answer = await asking.request(FrameOp.put, frame)
        assert.deepEqual({ ...answer, body: 0, meta: 0 }, { ...frame, body: 0, meta: 0 })
        assert.equal(Buffer.compare(answer.meta, frame.meta) || Buffer.compare(answer.body, frame.body), 0)
        const into = new Uint8Array(bodyBytes! + 10)
        const { body } = await asking.request(FrameOp.get, frame, { into })
        assert.equal(Buffer.compare(body, frame.body), 0)
        if (bodyBytes! > 0) assert.equal(body.buffer, into.buffer)
      }
    }
  })

  it('sends from and receives into the memory of a WebAssembly instance', async () => {
    const handlers = { [FrameOp.put]: echo }
    await using pair = await pairOf({ handlers }, { handlers })
    const { WebAssembly } = globalThis as unknown as WebAssemblyGlobal
    const memory = new Uint8Array(new WebAssembly.Memory({ initial: 48 }).buffer)
    const body = memory.subarray(0, MIB)
    body.set(pattern(MIB))
    for (const session of [pair.dialled, pair.accepted]) {
      const into = memory.subarray(2 * MIB, 3 * MIB).fill(0)
      await session.request(FrameOp.put, { body }, { into })
      assert.equal(Buffer.compare(into, body), 0)
    }
  })

  it('leaves `into` alone if the answer does not fit', async () => {
    await using pair = await pairOf({ handlers: { [FrameOp.get]: () => ({ body: pattern(100_000) }) } })
    const into = new Uint8Array(99_999)
    const { body } = await pair.dialled.request(FrameOp.get, {}, { into })
    assert.deepEqual(body, pattern(100_000))
    assert.ok(into.every((byte) => byte === 0))
  })

  it('matches answers that come in any order, both sides asking at once', async () => {
    const answer = async (frame: { group: number }): Promise<object> => {
      await new Promise((resolve) => setTimeout(resolve, (frame.group * 7919) % 17))
      return { stripe: frame.group, body: pattern(frame.group * 50, frame.group) }
    }
    const handlers = { [FrameOp.get]: answer }
    await using pair = await pairOf({ handlers }, { handlers })
    const ask = async (session: Session, group: number): Promise<void> => {
      const into = group % 2 ? new Uint8Array(20_000) : undefined
      const { stripe, body } = await session.request(FrameOp.get, { group }, { into })
      assert.equal(stripe, group)
      assert.deepEqual(body, pattern(group * 50, group))
    }
    const groups = Array.from({ length: 300 }, (_, group) => group)
    await Promise.all(groups.flatMap((group) => [ask(pair.dialled, group), ask(pair.accepted, group)]))
    assert.equal(pair.dialled.pendingCount, 0)
  })

  it('keeps big bodies in both directions apart from each other', async () => {
    const handlers = { [FrameOp.put]: echo }
    await using pair = await pairOf({ handlers }, { handlers })
    const exchange = async (session: Session, seed: number): Promise<void> => {
      const body = pattern(3 * MIB + seed, seed)
      const into = new Uint8Array(body.length)
      assert.equal(Buffer.compare((await session.request(FrameOp.put, { body }, { into })).body, body), 0)
    }
    const seeds = [1, 2, 3, 4, 5, 6]
    await Promise.all(seeds.flatMap((seed) => [exchange(pair.dialled, seed), exchange(pair.accepted, seed + 100)]))
  })

  it('sends no more requests at once than there is credit for', async () => {
    const release = Promise.withResolvers<void>()
    let running = 0
    let most = 0
    const handlers = {
      [FrameOp.describe]: async () => {
        most = Math.max(most, ++running)
        await release.promise
        running--
        return {}
      },
    }
    await using pair = await pairOf({ handlers }, { limits: { requestsMax: 5, waitingMax: 20 } })
    const requests = Array.from({ length: 25 }, () => pair.dialled.request(FrameOp.describe, {}))
    await assert.rejects(pair.dialled.request(FrameOp.describe, {}), { code: 'OVERLOADED' })
    await until(() => running === 5)
    assert.equal(pair.dialled.pendingCount, 5)
    release.resolve()
    await Promise.all(requests)
    assert.equal(most, 5)
  })

  it('sends no more bytes at once than there is credit for, but one request always', async () => {
    const release = Promise.withResolvers<void>()
    let asked = 0
    const handlers = {
      [FrameOp.put]: async () => {
        asked++
        await release.promise
        return {}
      },
    }
    await using pair = await pairOf({ handlers }, { limits: { requestBytesMax: MIB } })
    const body = pattern(2 * MIB)
    const requests = [pair.dialled.request(FrameOp.put, { body }), pair.dialled.request(FrameOp.put, { body })]
    await until(() => asked === 1)
    assert.equal(pair.dialled.pendingCount, 1)
    release.resolve()
    await Promise.all(requests)
    assert.equal(asked, 2)
  })

  it('hands the buffers of an answer back once, sent or not', async () => {
    let released = 0
    const handlers = { [FrameOp.get]: () => ({ body: pattern(MIB), release: () => void released++ }) }
    const pair = await pairOf({ handlers })
    await pair.dialled.request(FrameOp.get, {})
    assert.equal(released, 1)
    const cutOff = Array.from({ length: 8 }, () => pair.dialled.request(FrameOp.get, {}))
    const ends = Promise.allSettled(cutOff)
    await until(() => released > 1)
    await pair.listener.close()
    await ends
    await pair.accepted.closed
    assert.ok(released <= 9)
    pair.dialled.close()
  })

  it('takes bodies of requests into the buffers of its owner', async () => {
    const slab = new Uint8Array(MIB)
    const bodyBuffers = { take: () => slab, giveBack: () => assert.fail('the handler had it') }
    let body: Uint8Array | undefined
    const handlers = {
      [FrameOp.put]: (frame: { body: Uint8Array }) => {
        body = frame.body
        return {}
      },
    }
    await using pair = await pairOf({ handlers, bodyBuffers }, { handlers, bodyBuffers })
    for (const asking of [pair.dialled, pair.accepted]) {
      await asking.request(FrameOp.put, { body: pattern(500_000) })
      assert.equal(body?.buffer, slab.buffer)
      assert.deepEqual(body, pattern(500_000))
    }
  })
})

describe('a refusal', () => {
  it('crosses the wire with its code, message and details', async () => {
    const handlers = {
      [FrameOp.put]: () => {
        throw new RemoteError('NO_ROOM', 'all cells are full', { cells: 12, bytes: 5n })
      },
    }
    await using pair = await pairOf({ handlers })
    await assert.rejects(pair.dialled.request(FrameOp.put, { body: pattern(MIB) }), (error) => {
      assert.ok(error instanceof RemoteError)
      assert.deepEqual(
        [error.code, error.message, error.details],
        ['NO_ROOM', 'all cells are full', { cells: 12, bytes: '5' }],
      )
      return true
    })
  })

  it('says nothing about failures inside', async () => {
    const logged: unknown[] = []
    const log = { debug() {}, info() {}, warn() {}, error: (...entry: unknown[]) => logged.push(entry) }
    const handlers = {
      [FrameOp.put]: async () => {
        throw new Error('password is swordfish')
      },
      [FrameOp.get]: () => ({ seat: 1000 }),
    }
    await using pair = await pairOf({ handlers, log })
    for (const op of [FrameOp.put, FrameOp.get]) {
      await assert.rejects(pair.dialled.request(op, {}), (error: RemoteError) => {
        return error.code === 'INTERNAL' && !error.message.includes('swordfish')
      })
    }
    assert.equal(logged.length, 2)
  })

  it('meets requests that nobody answers here, and the session goes on', async () => {
    await using pair = await pairOf()
    await assert.rejects(pair.dialled.request(FrameOp.put, { body: pattern(100_000) }), { code: 'UNSUPPORTED' })
    await pair.dialled.request(FrameOp.ping, {})
  })
})

describe('an aborted request', () => {
  it('fails with the reason, and its late answer is passed over', async () => {
    const release = Promise.withResolvers<void>()
    const answered: number[] = []
    const handlers = {
      [FrameOp.get]: async (frame: { group: number }) => {
        if (frame.group === 1) await release.promise
        answered.push(frame.group)
        return { body: pattern(MIB, frame.group) }
      },
    }
    await using pair = await pairOf({ handlers }, { limits: { requestsMax: 1 } })
    const abort = new AbortController()
    const into = new Uint8Array(MIB)
    const request = pair.dialled.request(FrameOp.get, { group: 1 }, { signal: abort.signal, into })
    const next = pair.dialled.request(FrameOp.get, { group: 2 })
    await new Promise((resolve) => setTimeout(resolve, 20)) // the first is on its way
    abort.abort(new Error('never mind'))
    await assert.rejects(request, { message: 'never mind' })
    assert.deepEqual((await next).body, pattern(MIB, 2)) // its slot was free at once
    release.resolve()
    await until(() => answered.includes(1))
    assert.deepEqual((await pair.dialled.request(FrameOp.get, { group: 3 })).body, pattern(MIB, 3))
    assert.ok(into.every((byte) => byte === 0))
    assert.equal(pair.dialled.closeReason, undefined)
  })

  it('fails at once if it waits for credit or is aborted already', async () => {
    const handlers = { [FrameOp.get]: () => new Promise<object>(() => undefined) }
    await using pair = await pairOf({ handlers }, { limits: { requestsMax: 1 } })
    const signal = AbortSignal.abort(new Error('before'))
    await assert.rejects(pair.dialled.request(FrameOp.get, {}, { signal }), { message: 'before' })
    pair.dialled.request(FrameOp.get, {}).catch(() => undefined)
    const abort = new AbortController()
    const waiting = pair.dialled.request(FrameOp.get, {}, { signal: abort.signal })
    abort.abort(new Error('waiting'))
    await assert.rejects(waiting, { message: 'waiting' })
    assert.equal(pair.dialled.pendingCount, 1)
  })

  it('gives its buffers back although bytes are under way in either direction', async () => {
    const big = pattern(8 * MIB)
    let damagedCount = 0
    const handlers = {
      [FrameOp.put]: (frame: { body: Uint8Array }) => {
        if (frame.body.length === big.length && Buffer.compare(frame.body, big) !== 0) damagedCount++
        return frame
      },
      [FrameOp.get]: () => ({ body: big }),
    }
    await using pair = await pairOf({ handlers }, { handlers })
    const check = pattern(100_000)
    let abortedCount = 0
    for (const session of [pair.dialled, pair.accepted]) {
      for (let turns = 0; turns < 18; turns++) {
        const body = big.slice()
        const into = new Uint8Array(8 * MIB)
        const abort = new AbortController()
        const op = turns % 2 ? FrameOp.get : FrameOp.put
        const request = session.request(op, op === FrameOp.put ? { body } : {}, { into, signal: abort.signal })
        let settled = false
        const outcome = request.then(
          () => void (settled = true),
          (error: Error) => {
            settled = true
            assert.equal(error.message, 'enough')
            abortedCount++
            into.fill(0xbb)
          },
        )
        // A few turns of the event loop in, or else in the middle of the answer.
        const inAnswer = turns >= 12
        for (let i = 0; !settled && (inAnswer ? into[1] === 0 : i < turns); i++) {
          await new Promise((resolve) => setImmediate(resolve))
        }
        abort.abort(new Error('enough'))
        await outcome
        body.fill(0xaa)
        assert.deepEqual((await session.request(FrameOp.put, { body: check })).body, check)
        assert.ok(into[0] !== 0xbb || Buffer.compare(into, new Uint8Array(8 * MIB).fill(0xbb)) === 0)
        assert.equal(session.closeReason, undefined)
      }
    }
    assert.ok(abortedCount > 12)
    assert.equal(damagedCount, 0) // what had begun to leave went on as it was
  })
})

describe('the end of a session', () => {
  it('fails what is pending or waiting on both sides, and resolves `closed`', async () => {
    const never = { [FrameOp.get]: () => new Promise<object>(() => undefined) }
    await using pair = await pairOf({ handlers: never }, { handlers: never, limits: { requestsMax: 1 } })
    const requests = [
      pair.dialled.request(FrameOp.get, {}),
      pair.dialled.request(FrameOp.get, {}),
      pair.accepted.request(FrameOp.get, {}),
    ]
    const outcomes = Promise.allSettled(requests)
    pair.accepted.close()
    for (const outcome of await outcomes) {
      assert.ok(outcome.status === 'rejected' && outcome.reason instanceof NetworkError)
      assert.equal(outcome.reason.code, 'CLOSED')
    }
    await Promise.all([pair.dialled.closed, pair.accepted.closed])
    await assert.rejects(pair.dialled.request(FrameOp.ping, {}), { code: 'CLOSED' })
    await until(() => pair.listener.sessions.size === 0)
  })

  it('in the middle of a body writes no more into the buffer of the request', async () => {
    const handlers = { [FrameOp.get]: () => ({ body: pattern(8 * MIB) }) }
    await using pair = await pairOf({ handlers })
    const into = new Uint8Array(8 * MIB)
    const request = pair.dialled.request(FrameOp.get, {}, { into })
    const outcome = assert.rejects(request, { code: 'CLOSED' })
    while (into[0] === 0 && into[1] === 0) await new Promise((resolve) => setImmediate(resolve))
    pair.dialled.close()
    await outcome
    into.fill(0xcc)
    await pair.accepted.closed
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.ok(into.every((byte) => byte === 0xcc))
  })

  it('comes when the listener closes, and when its signal aborts', async () => {
    await using closed = await pairOf()
    await closed.listener.close()
    await closed.dialled.closed
    const stop = new AbortController()
    const listener = await listen(
      { host: '127.0.0.1', port: 0, identity: alice, handlers: {} },
      { signal: stop.signal },
    )
    const session = await dial({ address: addressOf(listener), identity: bob, handlers: {} })
    stop.abort()
    await session.closed
    await listener.close()
    await assert.rejects(dial({ address: addressOf(listener), identity: bob, handlers: {} }), { code: 'UNREACHABLE' })
  })

  it('does not come while both sides are idle: each hears pings of the other', async () => {
    const limits = { idleMs: 20, silenceMs: 60_000 }
    const [listening, dialling] = [new Registry(), new Registry()]
    await using pair = await pairOf({ limits, metrics: listening }, { limits, metrics: dialling })
    const pings = (metrics: Registry): number => countersOf(metrics).requestsReceived[FrameOp.ping]!
    await until(() => pings(listening) + pings(dialling) > 5)
    assert.equal(pair.dialled.closeReason, undefined)
    assert.equal(pair.accepted.closeReason, undefined)
  })
})
