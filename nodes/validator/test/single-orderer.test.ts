import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import type { DecidedBatch, TransactionSource } from '@cumulus/execution'
import type { Transaction } from '@cumulus/ledger'
import fc from 'fast-check'
import { signed, testAccount } from '../../execution/test/transactions.ts'
import { nextRandao, SingleOrderer } from '../src/single-orderer.ts'

const room = { gas: 1_000_000n, bytes: 100_000, count: 10 }
const coinbase = `0x${'c0'.repeat(20)}` as const

class FakeSource implements TransactionSource {
  waiting: Transaction[] = []
  listener: (() => void) | undefined
  get hasWaiting() {
    return this.waiting.length > 0
  }
  take = () => this.waiting.splice(0)
  onWaiting = (listener: () => void) => {
    this.listener = listener
    return () => {
      this.listener = undefined
    }
  }
  add(transaction: Transaction) {
    this.waiting.push(transaction)
    this.listener?.()
  }
}

function setUp(nowMs: () => number = Date.now) {
  const source = new FakeSource()
  const head = { number: 7n, timestampMs: nowMs(), prevRandao: new Uint8Array(32).fill(7) }
  const init = { room, heartbeatMs: 2_000, spacingMs: 50, nowMs }
  const orderer = new SingleOrderer({ source, head, coinbase }, init)
  const stop = new AbortController()
  return { source, head, orderer, stop, batches: orderer.decided({ signal: stop.signal }) }
}

describe('the single orderer', () => {
  it('makes a batch as soon as a transaction waits, and a heartbeat otherwise', async () => {
    mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 })
    try {
      const { source, head, stop, batches } = setUp()
      const transaction = await signed(testAccount(0))
      const next = batches.next()
      await settle()
      mock.timers.tick(60)
      await settle()
      source.add(transaction)
      await settle()
      const first = (await next).value as DecidedBatch
      assert.deepEqual([first.number, first.transactions, first.coinbase], [8n, [transaction], coinbase])
      assert.equal(first.timestampMs, head.timestampMs + 60)

      const heartbeat = batches.next()
      await settle()
      mock.timers.tick(1_999)
      await settle()
      assert.equal(await Promise.race([heartbeat.then(() => 'made'), settle().then(() => 'waits')]), 'waits')
      mock.timers.tick(1)
      await settle()
      const second = (await heartbeat).value as DecidedBatch
      assert.deepEqual([second.number, second.transactions, second.timestampMs], [9n, [], first.timestampMs + 2_000])

      const last = batches.next()
      stop.abort()
      assert.deepEqual(await last, { value: undefined, done: true })
      assert.equal(source.listener, undefined)
    } finally {
      mock.timers.reset()
    }
  })

  it('collects a burst: no two batches come closer than the spacing', async () => {
    mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 })
    try {
      const { source, batches, stop } = setUp()
      const [a, b, c] = await Promise.all([0, 1, 2].map((index) => signed(testAccount(index))))
      source.add(a!)
      const first = batches.next()
      await settle()
      mock.timers.tick(50)
      assert.deepEqual(((await first).value as DecidedBatch).transactions, [a])
      source.add(b!)
      const second = batches.next()
      await settle()
      mock.timers.tick(30)
      await settle()
      source.add(c!)
      mock.timers.tick(20)
      await settle()
      assert.deepEqual(((await second).value as DecidedBatch).transactions, [b, c])
      stop.abort()
    } finally {
      mock.timers.reset()
    }
  })

  it('never lets time go back, whatever the clock of the machine does', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: -10_000, max: 10_000 }), { minLength: 2, maxLength: 6 }),
        async (jumps) => {
          let nowMs = 1_000_000
          const { source, batches, stop } = setUp(() => nowMs)
          const transaction = await signed(testAccount(0))
          let last = 0
          for (const jump of jumps) {
            nowMs += jump
            source.add(transaction)
            const { timestampMs } = (await batches.next()).value as DecidedBatch
            assert.ok(timestampMs >= last)
            last = timestampMs
          }
          stop.abort()
        },
      ),
      { numRuns: 5 },
    )
  })

  it('continues the chain of randomness where the last one left off', async () => {
    const { source, head, batches, stop } = setUp()
    const transaction = await signed(testAccount(0))
    source.add(transaction)
    const first = (await batches.next()).value as DecidedBatch
    assert.deepEqual(first.prevRandao, nextRandao(head.prevRandao, 8n))
    source.add(transaction)
    const second = (await batches.next()).value as DecidedBatch
    assert.deepEqual(second.prevRandao, nextRandao(first.prevRandao, 9n))
    stop.abort()
  })
})

/** Lets everything run that waits for nothing but its turn. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve()
  await new Promise(setImmediate)
}
