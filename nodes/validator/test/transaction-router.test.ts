import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { Mempool } from '@cumulus/execution'
import type { Transaction } from '@cumulus/ledger'
import { type FrameMessage, FrameOp, NetworkError } from '@cumulus/network'
import { encodePayload, transactionsIn } from '@cumulus/r2s'
import { createLogger, createMetrics } from '@cumulus/service'
import type { Address } from '@cumulus/types'
import { CHAIN_ID, signed, testAccount } from '../../execution/test/transactions.ts'
import type { Members } from '../src/consensus/members.ts'
import { seatOrder, TransactionRouter } from '../src/consensus/transaction-router.ts'

const COUNT = 5
const addressOf = (account: number) => testAccount(account).address.toLowerCase() as Address
const listOf = (raws: readonly Uint8Array[]) => ({ body: encodePayload(raws) }) as FrameMessage

/** One member among others that only note what they are given. */
function setUp(self: number) {
  const away = new Set<number>()
  const sent: { to: number; raws: Uint8Array[] }[] = []
  const state = { nonce: () => 0n, balance: () => 10n ** 24n, nextBaseFee: () => 1n }
  const mempool = new Mempool({ chainId: CHAIN_ID, state }, { perSenderMax: 4_096 })
  const members = {
    isConnected: (seat: number) => !away.has(seat),
    request: async (to: number, op: number, { body }: { body: Uint8Array }) => {
      assert.equal(op, FrameOp.shareTransactions)
      if (away.has(to)) throw new NetworkError('CLOSED', 'gone')
      sent.push({ to, raws: transactionsIn(body, countIn(body)) })
    },
  } as unknown as Members
  const stop = new AbortController()
  let nowMs = 1_000_000
  const router = new TransactionRouter({
    members,
    memberCount: COUNT,
    self,
    mempool,
    log: createLogger({ name: 'router', write: () => {} }),
    metrics: createMetrics({ process: false }),
    nowMs: () => nowMs,
    isActive: (seat) => !away.has(seat),
    changed: () => {},
  })
  router.run({ signal: stop.signal })
  const pass = async (ms: number) => {
    nowMs += ms
    mock.timers.tick(ms)
    await Promise.resolve()
  }
  return { router, mempool, away, sent, stop, pass }
}

function countIn(body: Uint8Array): number {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  let count = 0
  for (let at = 0; at < body.length; at += 4 + view.getUint32(at, true)) count++
  return count
}

describe('the router of transactions', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'setInterval'] }))
  afterEach(() => mock.timers.reset())
  const first = seatOrder(addressOf(0), COUNT)

  it('lets the first of its sender take at once, the second after a while, and the next where one is away', async () => {
    const [one, two, three] = first as [number, number, number]
    const mayTake = (self: number, ...gone: number[]) => {
      const { router, away } = setUp(self)
      for (const seat of gone) away.add(seat)
      return router.mayTake(addressOf(0))
    }
    assert.equal(mayTake(one), true)
    assert.equal(mayTake(three), false)
    assert.equal(mayTake(three, one), true)
    assert.equal(mayTake(two, one), true)

    const second = setUp(two)
    await second.mempool.submit((await signed(testAccount(0))).raw, { origin: 'peer' })
    assert.equal(second.router.mayTake(addressOf(0)), false)
    await second.pass(300)
    assert.equal(second.router.mayTake(addressOf(0)), true)
  })

  it('gives a transaction to two members, and to two others each three seconds until it is ordered', async () => {
    const self = first[4]!
    const { router, mempool, sent, pass } = setUp(self)
    const { raw } = await signed(testAccount(0))
    const transaction = await mempool.submit(raw)
    await pass(10)
    const targets = () => sent.splice(0).map(({ to }) => to)
    assert.deepEqual(targets(), [first[0], first[1]])
    await pass(4_000)
    await pass(10)
    assert.deepEqual(targets(), [first[2], first[3]])
    await pass(4_000)
    await pass(10)
    // The fifth is this member: it takes it itself.
    assert.deepEqual(targets(), [first[0]])
    assert.equal(router.mayTake(addressOf(0)), true)
    mempool.settle({ included: [transaction], dropped: [] })
    await pass(4_000)
    assert.deepEqual(targets(), [])
    assert.equal(router.counts.watched, 0)
  })

  it('passes over members that are not there', async () => {
    const { mempool, away, sent, pass } = setUp(first[4]!)
    away.add(first[0]!)
    await mempool.submit((await signed(testAccount(0))).raw)
    await pass(10)
    assert.deepEqual(
      sent.map(({ to }) => to),
      [first[1], first[2]],
    )
  })

  it('sends lists of 256 at most, and takes no longer ones', async () => {
    const { mempool, sent, pass } = setUp(first[4]!)
    const transactions: Transaction[] = []
    for (let nonce = 0; nonce < 257; nonce++) transactions.push(await signed(testAccount(0), { nonce }))
    await Promise.all(transactions.map(({ raw }) => mempool.submit(raw)))
    await pass(10)
    assert.deepEqual(
      sent.map(({ raws }) => raws.length),
      [256, 1, 256, 1],
    )
    const other = setUp(first[3]!)
    await assert.rejects(other.router.receive(listOf(transactions.map(({ raw }) => raw))), { code: 'TOO_LARGE' })
    assert.equal(other.mempool.count, 0)
  })

  it('takes charge of senders whose transactions others give it, for a minute, and counts only those', async () => {
    const { router, mempool, pass } = setUp(first[4]!)
    const good = await signed(testAccount(0))
    assert.equal(router.mayTake(addressOf(0)), false)
    const reply = await router.receive(listOf([good.raw, Uint8Array.of(1, 2), good.raw]))
    assert.deepEqual(reply.meta, Uint8Array.of(2, 0))
    assert.equal(mempool.count, 1)
    assert.equal(router.mayTake(addressOf(0)), true)
    assert.equal(router.counts.charges, 1)
    await pass(61_000)
    assert.equal(router.mayTake(addressOf(0)), false)
    assert.equal(router.counts.charges, 0)
  })

  it('refuses what is no list, and a transaction that is too long for any', async () => {
    const { router } = setUp(first[4]!)
    for (const body of [Uint8Array.of(1), Uint8Array.of(9, 0, 0, 0, 1), Uint8Array.of(255, 255, 255, 255)]) {
      await assert.rejects(router.receive({ body } as FrameMessage), { code: 'MALFORMED' })
    }
    await assert.rejects(router.receive({ body: new Uint8Array(3 * 2 ** 20) } as FrameMessage), { code: 'TOO_LARGE' })
  })
})
