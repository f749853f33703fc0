import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Transaction } from '@cumulus/ledger'
import { createMetrics } from '@cumulus/service'
import type { Address } from '@cumulus/types'
import fc from 'fast-check'
import { Mempool, type PoolState } from '../src/mempool.ts'
import type { MempoolLimits } from '../src/mempool-limits.ts'
import { PriorityQueue } from '../src/priority-queue.ts'
import { CHAIN_ID, signed, testAccount } from './transactions.ts'

const plenty = { gas: 30_000_000n, bytes: 1_000_000, count: 1_000 }

class FakeState implements PoolState {
  readonly nonces = new Map<Address, bigint>()
  balanceOfAll = 10n ** 18n
  baseFee = 1_000_000_000n
  nonce = (address: Address) => this.nonces.get(address) ?? 0n
  balance = () => this.balanceOfAll
  nextBaseFee = () => this.baseFee
}

function pool(limits: Partial<MempoolLimits> = {}) {
  const state = new FakeState()
  const clock = { nowMs: 0 }
  const mempool = new Mempool({ chainId: CHAIN_ID, state, nowMs: () => clock.nowMs }, limits)
  return { state, clock, mempool }
}

const alice = testAccount(0)
const bob = testAccount(1)
const addressOf = (account: { address: Address }) => account.address.toLowerCase() as Address

describe('the mempool', () => {
  it('hands out the best tip first, and every sender in order of nonces', async () => {
    const { mempool } = pool()
    const [a0, a1, b0, b1] = await Promise.all([
      signed(alice, { nonce: 0, tip: 20_000n }),
      signed(alice, { nonce: 1, tip: 90_000n }),
      signed(bob, { nonce: 0, tip: 30_000n }),
      signed(bob, { nonce: 1, tip: 10_000n }),
    ])
    for (const transaction of [b1, a1, a0, b0]) mempool.add(transaction)
    assert.deepEqual(mempool.take(plenty), [b0, a0, a1, b1])
    assert.equal(mempool.hasWaiting, false)
    assert.deepEqual(mempool.take(plenty), [])
  })

  it('keeps any set of transactions in an executable order', async () => {
    const accounts = [0, 1, 2].map(testAccount)
    const all = await Promise.all(
      accounts.flatMap((account) =>
        [0, 1, 2, 3].map((nonce) => signed(account, { nonce, tip: BigInt(5_000 + nonce * 977) })),
      ),
    )
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(all), fc.integer({ min: 1, max: 5 }), async (some, count) => {
        const { mempool } = pool()
        for (const transaction of some) mempool.add(transaction)
        const taken: Transaction[] = []
        for (
          let part = mempool.take({ ...plenty, count });
          part.length > 0;
          part = mempool.take({ ...plenty, count })
        ) {
          taken.push(...part)
        }
        for (const account of accounts) {
          const mine: number[] = taken
            .filter(({ sender }) => sender === addressOf(account))
            .map(({ nonce }) => Number(nonce))
          const there = new Set(
            some.filter(({ sender }) => sender === addressOf(account)).map(({ nonce }) => Number(nonce)),
          )
          let next = 0
          while (there.has(next)) next++
          assert.deepEqual(mine, [...Array(next).keys()])
        }
      }),
      { numRuns: 50 },
    )
  })

  it('stays within the room of a batch, passing over what does not fit', async () => {
    const { mempool } = pool()
    const [big, small] = [await signed(alice, { gas: 100_000n, tip: 50_000n }), await signed(bob, { tip: 10_000n })]
    mempool.add(big)
    mempool.add(small)
    assert.deepEqual(mempool.take({ ...plenty, gas: 50_000n }), [small])
    assert.deepEqual(mempool.take({ ...plenty, bytes: 20 }), [])
    assert.deepEqual(mempool.take({ ...plenty, count: 1 }), [big])
  })

  it('replaces a transaction only by one that pays a tenth more on both fees', async () => {
    const { mempool } = pool()
    mempool.add(await signed(alice, { tip: 10_000n, maxFee: 2_000_000_000n }))
    for (const poor of [
      { tip: 10_999n, maxFee: 2_200_000_000n },
      { tip: 11_000n, maxFee: 2_199_999_999n },
    ]) {
      const transaction = await signed(alice, poor)
      assert.throws(() => mempool.add(transaction), {
        code: 'REPLACEMENT_UNDERPRICED',
        message: /^replacement transaction underpriced/,
      })
    }
    const better = await signed(alice, { tip: 11_000n, maxFee: 2_200_000_000n })
    mempool.add(better)
    assert.deepEqual([mempool.count, mempool.bytes], [1, better.raw.length])
    assert.deepEqual(mempool.take(plenty), [better])
    const late = await signed(alice, { tip: 50_000n, maxFee: 5_000_000_000n })
    assert.throws(() => mempool.add(late), { code: 'REPLACEMENT_UNDERPRICED' })
  })

  it('refuses what can never be executed, in words that wallets know', async () => {
    const { mempool, state } = pool({ transactionBytesMax: 1_000 })
    state.nonces.set(addressOf(alice), 5n)
    const cases: [Parameters<typeof signed>[1], string, RegExp][] = [
      [{ nonce: 4 }, 'NONCE_TOO_LOW', /^nonce too low: next nonce 5, tx nonce 4/],
      [{ nonce: 262 }, 'NONCE_TOO_HIGH', /^nonce too high/],
      [{ chainId: 1 }, 'WRONG_CHAIN', /^invalid chain id/],
      [{ gas: 20_999n }, 'INTRINSIC_GAS', /^intrinsic gas too low/],
      [{ gas: 1n << 25n }, 'GAS_LIMIT_TOO_HIGH', /gas limit/],
      [{ tip: 999n }, 'UNDERPRICED', /^transaction underpriced/],
      [{ value: 10n ** 18n }, 'INSUFFICIENT_FUNDS', /^insufficient funds for gas \* price \+ value/],
      [{ data: `0x${'11'.repeat(1_000)}`, gas: 100_000n }, 'TOO_LARGE', /1,?0?\d\d/],
    ]
    for (const [wanted, code, message] of cases) {
      const transaction = await signed(alice, { nonce: 5, ...wanted })
      assert.throws(() => mempool.add(transaction), { code, message }, code)
    }
    const known = await signed(alice, { nonce: 5 })
    mempool.add(known)
    assert.throws(() => mempool.add(known), { code: 'ALREADY_KNOWN', message: 'already known' })
    const forged = { ...known, hash: new Uint8Array(32), sender: undefined }
    assert.throws(() => mempool.add(forged), { code: 'BAD_SIGNATURE' })
    assert.equal(mempool.count, 1)
  })

  it('counts what all waiting transactions of a sender may cost', async () => {
    const { mempool, state } = pool()
    state.balanceOfAll = 100n + 21_000n * 2_000_000_000n
    mempool.add(await signed(alice, { value: 100n }))
    const second = await signed(alice, { nonce: 1, value: 1n })
    assert.throws(() => mempool.add(second), { code: 'INSUFFICIENT_FUNDS' })
  })

  it('lets one sender have only so many', async () => {
    const { mempool } = pool({ perSenderMax: 2 })
    mempool.add(await signed(alice, { nonce: 0 }))
    mempool.add(await signed(alice, { nonce: 1 }))
    const third = await signed(alice, { nonce: 2 })
    assert.throws(() => mempool.add(third), { code: 'SENDER_FULL' })
    mempool.add(await signed(alice, { nonce: 1, tip: 20_000n, maxFee: 3_000_000_000n }))
    mempool.add(await signed(bob))
  })

  it('when full, gives way to a better tip by dropping the last nonce of the cheapest sender', async () => {
    const { mempool } = pool({ countMax: 3 })
    const carol = testAccount(2)
    const [first, last, other] = await Promise.all([
      signed(alice, { nonce: 0, tip: 5_000n }),
      signed(alice, { nonce: 1, tip: 5_000n }),
      signed(bob, { tip: 8_000n }),
    ])
    for (const transaction of [first, last, other]) mempool.add(transaction)
    const poor = await signed(carol, { tip: 5_000n })
    assert.throws(() => mempool.add(poor), { code: 'POOL_FULL', message: /^txpool is full/ })
    const rich = await signed(carol, { tip: 6_000n })
    mempool.add(rich)
    assert.deepEqual([mempool.count, mempool.get(last.hash), mempool.get(first.hash)], [3, undefined, first])
  })

  it('is bounded in bytes as well, also when a transaction is replaced by a larger one', async () => {
    const { mempool } = pool({ bytesMax: 400 })
    mempool.add(await signed(alice))
    mempool.add(await signed(bob))
    const large = await signed(alice, { data: `0x${'11'.repeat(300)}`, gas: 60_000n, tip: 9_000n })
    assert.throws(() => mempool.add(large), { code: 'REPLACEMENT_UNDERPRICED' })
    const larger = await signed(alice, {
      data: `0x${'11'.repeat(300)}`,
      gas: 60_000n,
      tip: 11_000n,
      maxFee: 2_200_000_000n,
    })
    assert.throws(() => mempool.add(larger), { code: 'POOL_FULL' })
    assert.equal(mempool.count, 2)
  })

  it('keeps what waits for a lower base fee, and a missing nonce', async () => {
    const { mempool, state } = pool()
    mempool.add(await signed(alice, { nonce: 1 }))
    assert.deepEqual([mempool.hasWaiting, mempool.counts()], [false, { pending: 0, queued: 1 }])
    mempool.add(await signed(alice, { nonce: 0 }))
    assert.deepEqual([mempool.nextNonce(addressOf(alice)), mempool.counts()], [2n, { pending: 2, queued: 0 }])
    state.baseFee = 2_000_000_001n
    assert.deepEqual([mempool.hasWaiting, mempool.take(plenty)], [false, []])
    state.baseFee = 1n
    assert.equal(mempool.take(plenty).length, 2)
  })

  it('forgets what a block settled, and offers again what found no room', async () => {
    const { mempool, state } = pool()
    const mine = await Promise.all([0, 1, 2, 3].map((nonce) => signed(alice, { nonce })))
    for (const transaction of mine) mempool.add(transaction)
    const [t0, t1, t2, t3] = mempool.take(plenty) as typeof mine
    state.nonces.set(addressOf(alice), 2n)
    mempool.settle({
      included: [t0!],
      dropped: [
        { transaction: t1!, code: 'NONCE_TOO_LOW' },
        { transaction: t2!, code: 'BLOCK_FULL' },
        { transaction: t3!, code: 'NONCE_TOO_HIGH' },
      ],
    })
    assert.deepEqual(mempool.take(plenty), [t2, t3])
    assert.equal(mempool.count, 2)
  })

  it('drops a nonce that somebody else used', async () => {
    const { mempool, state } = pool()
    const elsewhere = await signed(alice, { nonce: 0, value: 77n })
    mempool.add(await signed(alice, { nonce: 0 }))
    state.nonces.set(addressOf(alice), 1n)
    mempool.settle({ included: [elsewhere], dropped: [] })
    assert.equal(mempool.count, 0)
  })

  it('drops nonces of an account whose authorization somebody else brought along', async () => {
    const { mempool, state } = pool()
    const later = await signed(bob, { nonce: 1 })
    mempool.add(await signed(bob, { nonce: 0 }))
    mempool.add(later)
    // Executing alice's transaction raises bob's nonce: which account signed the authorization, the pool is not told.
    state.nonces.set(addressOf(bob), 1n)
    mempool.settle({ included: [await signed(alice, { type: 'eip7702' })], dropped: [] })
    assert.deepEqual(mempool.content(addressOf(bob)), { pending: [later], queued: [] })
    assert.deepEqual([mempool.count, mempool.counts()], [1, { pending: 1, queued: 0 }])
  })

  it('drops what could not be executed in its lifetime', async () => {
    const { mempool, clock } = pool({ lifetimeMs: 100 })
    mempool.add(await signed(alice, { nonce: 3 }))
    clock.nowMs = 60
    mempool.add(await signed(bob))
    clock.nowMs = 101
    mempool.settle({ included: [], dropped: [] })
    assert.equal(mempool.count, 1)
  })

  it('takes raw transactions from clients and from peers, and says so to who follows', async () => {
    const { mempool } = pool()
    const heard: [string, string][] = []
    mempool.onAdded(({ hash }, origin) => heard.push([hash.toHex(), origin]))
    const [mine, theirs] = [await signed(alice), await signed(bob)]
    assert.deepEqual((await mempool.submit(mine.raw)).hash, mine.hash)
    await mempool.submit(theirs.raw, { origin: 'peer' })
    assert.deepEqual(heard, [
      [mine.hash.toHex(), 'local'],
      [theirs.hash.toHex(), 'peer'],
    ])
    await assert.rejects(mempool.submit(mine.raw), { code: 'ALREADY_KNOWN' })
    await assert.rejects(mempool.submit(Uint8Array.of(2, 0xc0)), { code: 'MALFORMED' })
    await assert.rejects(mempool.submit(new Uint8Array(200_000)), { code: 'TOO_LARGE' })
  })

  it('asks who signed only after all cheap checks', async () => {
    const asked: string[] = []
    const senders = {
      recover: async ({ hash }: Transaction) => void asked.push(hash.toHex()),
      recoverAll: async () => assert.fail('nothing was decided'),
      close: async () => {},
    }
    const mempool = new Mempool({ chainId: CHAIN_ID, state: new FakeState(), senders })
    for (const wanted of [{ chainId: 5 }, { gas: 20_000n }, { tip: 1n }]) {
      await assert.rejects(mempool.submit((await signed(alice, wanted)).raw))
    }
    assert.deepEqual(asked, [])
    const good = await signed(alice)
    await mempool.submit(good.raw)
    await assert.rejects(mempool.submit(good.raw), { code: 'ALREADY_KNOWN' })
    assert.deepEqual(asked, [good.hash.toHex()])
  })

  it('shows what waits, by sender, apart what misses a nonce', async () => {
    const { mempool } = pool()
    const [a0, a2, a3, b1] = await Promise.all([
      signed(alice, { nonce: 0 }),
      signed(alice, { nonce: 2 }),
      signed(alice, { nonce: 3 }),
      signed(bob, { nonce: 1 }),
    ])
    for (const transaction of [a3, b1, a2, a0]) mempool.add(transaction)
    assert.deepEqual(new Set(mempool.senders()), new Set([addressOf(alice), addressOf(bob)]))
    assert.deepEqual(mempool.content(addressOf(alice)), { pending: [a0], queued: [a2, a3] })
    assert.deepEqual(mempool.content(addressOf(bob)), { pending: [], queued: [b1] })
    assert.deepEqual(mempool.content(addressOf(testAccount(2))), { pending: [], queued: [] })
    assert.deepEqual(mempool.counts(), { pending: 1, queued: 3 })
  })

  it('counts in metrics what came, went and was refused', async () => {
    const metrics = createMetrics({ process: false })
    const mempool = new Mempool({ chainId: CHAIN_ID, state: new FakeState(), metrics })
    mempool.add(await signed(alice))
    const wrong = await signed(alice, { chainId: 5, nonce: 1 })
    assert.throws(() => mempool.add(wrong))
    const text = await metrics.metrics()
    assert.match(text, /cumulus_validator_mempool_transactions 1/)
    assert.match(text, /cumulus_validator_mempool_rejected_total\{code="WRONG_CHAIN"\} 1/)
  })
})

describe('a priority queue', () => {
  it('gives back what was put in, best first', () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), (numbers) => {
        const queue = new PriorityQueue<number>((a, b) => a < b)
        for (const number of numbers) queue.push(number)
        assert.deepEqual(
          numbers.map(() => queue.pop()),
          numbers.toSorted((a, b) => a - b),
        )
        assert.equal(queue.pop(), undefined)
      }),
    )
  })
})
