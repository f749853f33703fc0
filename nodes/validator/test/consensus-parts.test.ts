import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { writeMemberKeys } from '@cumulus/execution'
import type { FrameMessage, Session } from '@cumulus/network'
import type { Commit } from '@cumulus/r2s'
import fc from 'fast-check'
import { testAccount } from '../../execution/test/transactions.ts'
import { CommitQueue } from '../src/consensus/commit-queue.ts'
import { EvidenceFile } from '../src/consensus/evidence-file.ts'
import { LatencyWindow } from '../src/consensus/latency-window.ts'
import { Outbox } from '../src/consensus/outbox.ts'
import { SecondTurn } from '../src/consensus/second-turn.ts'
import { SteadyClock } from '../src/consensus/steady-clock.ts'
import { TokenBucket } from '../src/consensus/token-bucket.ts'
import { seatOrder } from '../src/consensus/transaction-router.ts'
import { readSecret } from '../src/member-keys.ts'

describe('the steady clock', () => {
  it('never goes back and never stands still, and is right again after a while', () => {
    const steps = fc.array(
      fc.record({ passMs: fc.integer({ min: 1, max: 1_000 }), setMs: fc.integer({ min: -3_000, max: 3_000 }) }),
    )
    fc.assert(
      fc.property(steps, (changes) => {
        let wallMs = 1_000_000
        let countMs = 0
        const clock = new SteadyClock({ wallMs: () => wallMs, countMs: () => countMs })
        let last = clock.nowMs()
        const pass = (ms: number) => {
          wallMs += ms
          countMs += ms
          const nowMs = clock.nowMs()
          assert.ok(nowMs > last)
          last = nowMs
        }
        for (const { passMs, setMs } of changes) {
          wallMs += setMs
          pass(passMs)
        }
        for (let i = 0; i < 1_000 && Math.abs(last - wallMs) > 1; i++) pass(changes.length * 100)
        assert.ok(changes.length === 0 || Math.abs(last - wallMs) <= 1)
      }),
      { examples: [[[{ passMs: 1, setMs: -1 }]]] },
    )
  })
})

describe('the outbox of a member', () => {
  const setUp = () => {
    const sent: { body: Uint8Array; done: () => void }[] = []
    const session = {
      request: (_op: number, { body }: { body: Uint8Array }) =>
        new Promise<FrameMessage>((resolve) => sent.push({ body, done: () => resolve({} as FrameMessage) })),
    } as unknown as Session
    const outbox = new Outbox()
    outbox.use(session)
    return { sent, outbox }
  }

  it('sends in order, with so many unanswered at a time', async () => {
    const { sent, outbox } = setUp()
    for (let i = 0; i < 40; i++) outbox.push(Uint8Array.of(i))
    assert.equal(sent.length, 32)
    sent[0]!.done()
    await new Promise(setImmediate)
    assert.equal(sent.length, 33)
    assert.deepEqual(
      sent.map(({ body }) => body[0]),
      Array.from({ length: 33 }, (_, i) => i),
    )
  })

  it('drops what is too much, and what was for a session that ended', () => {
    const { sent, outbox } = setUp()
    for (let i = 0; i < 40; i++) outbox.push(new Uint8Array(2 ** 20))
    assert.equal(outbox.droppedCount, 24)
    assert.equal(outbox.bytes, 16 * 2 ** 20)
    // What has no chance need not be encoded.
    assert.equal(outbox.hasRoom(), false)
    assert.equal(outbox.droppedCount, 25)
    outbox.use(undefined)
    assert.equal(outbox.bytes, 0)
    assert.equal(outbox.hasRoom(), false)
    const { length } = sent
    outbox.push(Uint8Array.of(1))
    assert.equal(sent.length, length)
  })
})

describe('what a member may send', () => {
  it('is so much at once and so much a second; more waits', () => {
    let nowMs = 0
    const bucket = new TokenBucket(100, 50, () => nowMs)
    assert.equal(bucket.take(100), 0)
    assert.equal(bucket.take(10), 200)
    nowMs = 1_000
    assert.equal(bucket.take(40), 0)
    nowMs = 1e9
    assert.equal(bucket.take(101), 20)
  })
})

describe('the turn of the second member for a sender', () => {
  const { address } = testAccount(0)
  const setUp = () => {
    let nowMs = 1_000
    const turn = new SecondTurn(() => nowMs)
    const pass = (ms: number) => {
      nowMs += ms
    }
    return { turn, pass }
  }

  it('comes when nothing was executed for a while, and at once where nothing is known', () => {
    const { turn, pass } = setUp()
    assert.equal(turn.hasCome(address), true)
    turn.arrived(address, 0n)
    turn.arrived(address, 1n)
    pass(200)
    assert.equal(turn.hasCome(address), false)
    turn.executed(address, 0n)
    pass(200)
    turn.arrived(address, 2n)
    assert.equal(turn.hasCome(address), false)
    pass(200)
    assert.equal(turn.hasCome(address), true)
  })

  it('does not come sooner for what arrives after everything was executed, however long ago', () => {
    const { turn, pass } = setUp()
    turn.arrived(address, 0n)
    turn.executed(address, 0n)
    assert.equal(turn.isEmpty, true)
    pass(10_000)
    turn.arrived(address, 1n)
    assert.equal(turn.hasCome(address), false)
  })

  it('is forgotten for transactions that nobody heard of again, and kept for so many senders', () => {
    const { turn, pass } = setUp()
    for (let i = 0; i < 20_001; i++) turn.arrived(`0x${i.toString(16).padStart(40, '0')}`, 0n)
    assert.equal(turn.hasCome(`0x${(20_000).toString(16).padStart(40, '0')}`), true)
    pass(60_001)
    turn.forgetOld()
    assert.equal(turn.isEmpty, true)
  })
})

describe('the seats that stand in for each other for a sender', () => {
  it('are all seats once, the same everywhere, and every seat comes first for some', () => {
    const first = new Set<number>()
    for (let i = 0; i < 60; i++) {
      const { address } = testAccount(i)
      const order = seatOrder(address, 11)
      assert.deepEqual(
        order.toSorted((a, b) => a - b),
        Array.from({ length: 11 }, (_, seat) => seat),
      )
      assert.deepEqual(seatOrder(address, 11), order)
      first.add(order[0]!)
    }
    assert.equal(first.size, 11)
  })
})

describe('the queue of commits', () => {
  const commit = (round: number, bytes: number) =>
    ({
      round,
      blocks: [{ payload: new Uint8Array(bytes), headerBytes: new Uint8Array(0) }],
      checkpoint: { output: [] },
    }) as unknown as Commit

  it('tells how many have content, how long the first waits, and whether there is room', async () => {
    const queue = new CommitQueue()
    for (let round = 1; round <= 1_025; round++) queue.push(commit(round, round % 2), round)
    assert.equal(queue.contentCount, 513)
    assert.equal(queue.ageMs(11), 10)
    const room = queue.room()
    assert.ok(room)
    assert.equal(queue.shift()?.round, 1)
    await room
    assert.equal(queue.room(), undefined)
    assert.equal(queue.contentCount, 512)
    assert.equal(queue.clear(), 1_026)
    assert.equal(queue.shift(), undefined)
  })

  it('is bounded by bytes as well: first own blocks wait, then what waits is given up for the chain of others', async () => {
    const queue = new CommitQueue()
    let round = 0
    while (queue.room() === undefined) queue.push(commit(++round, 2 ** 20), 0)
    assert.ok(round > 60 && round <= 64)
    const room = queue.room()
    queue.shift()
    await room
    while (!queue.isOverfull) queue.push(commit(++round, 2 ** 20), 0)
    assert.ok(round > 250 && round <= 257)
    assert.ok(queue.bytes > 256 * 2 ** 20)
    assert.equal(queue.clear(), round + 1)
    assert.deepEqual([queue.bytes, queue.isOverfull, queue.room()], [0, false, undefined])
  })

  it('wakes whoever waits, by a commit, a call or an abort', async () => {
    const queue = new CommitQueue()
    const stop = new AbortController()
    for (const act of [() => queue.push(commit(1, 0), 0), () => queue.wake(), () => stop.abort()]) {
      const news = queue.news(stop.signal)
      act()
      await news
    }
    await queue.news(stop.signal)
  })
})

describe('the latencies of the last minute', () => {
  it('forget what is older', () => {
    const window = new LatencyWindow()
    for (let i = 1; i <= 100; i++) window.add(i * 1_000, i)
    assert.deepEqual(window.percentiles(100_000), { p50: 70, p99: 100, count: 61 })
    assert.equal(window.percentiles(1e6), undefined)
  })
})

describe('files of a member', () => {
  const inFolder = async (work: (dir: string) => Promise<void>) => {
    const dir = await mkdtemp(join(tmpdir(), 'cumulus-member-'))
    try {
      await work(dir)
    } finally {
      await rm(dir, { recursive: true })
    }
  }

  it('keep evidence once for each member and kind, over a restart and a torn line', () =>
    inFolder(async (dir) => {
      const path = join(dir, 'evidence.jsonl')
      const file = await EvidenceFile.open(path)
      const record = { kind: 'equivocation', member: 2, place: '7', foundAtMs: 1, proof: { a: 'ff' } } as const
      assert.equal(file.add(record), true)
      assert.equal(file.add({ ...record, place: '8' }), false)
      assert.equal(file.add({ ...record, kind: 'double-vote' }), true)
      await file.flush()
      await writeFile(path, `${await readFile(path, 'utf8')}{"kind":"equiv`)
      assert.deepEqual((await EvidenceFile.open(path)).records, [record, { ...record, kind: 'double-vote' }])
    }))

  it('hold keys that only their owner may read', () =>
    inFolder(async (dir) => {
      const secret = new Uint8Array(32).fill(5)
      await writeMemberKeys(dir, { peerSeed: secret, blsSeed: secret })
      assert.deepEqual(await readSecret(dir, 'bls.key'), secret)
      await assert.rejects(readSecret(dir, 'coin.key'), { code: 'BAD_KEY' })
      await writeFile(join(dir, 'bls.key'), 'nonsense\n')
      await assert.rejects(readSecret(dir, 'bls.key'), (error: Error & { code: string }) => {
        return error.code === 'BAD_KEY' && !error.message.includes('nonsense')
      })
      await writeFile(join(dir, 'open.key'), '', { mode: 0o644 })
      await rm(join(dir, 'peer.key'))
      await writeFile(join(dir, 'peer.key'), `${secret.toHex()}\n`, { mode: 0o644 })
      await assert.rejects(readSecret(dir, 'peer.key'), /chmod 600/)
    }))
})
