import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import type { Transaction } from '@cumulus/ledger'
import type { Address } from '@cumulus/types'
import fc from 'fast-check'
import { Mempool, type PoolState } from '../src/mempool.ts'
import type { MempoolLimits } from '../src/mempool-limits.ts'
import { CHAIN_ID, signed, testAccount } from './transactions.ts'

const BASE_FEE = 1_000_000_000n
const types = ['legacy', 'eip2930', 'eip1559', 'eip7702'] as const

class FakeState implements PoolState {
  baseFee = BASE_FEE
  nonce = () => 0n
  balance = () => 10n ** 24n
  nextBaseFee = () => this.baseFee
}

function pool(limits: Partial<MempoolLimits>) {
  const state = new FakeState()
  return { state, mempool: new Mempool({ chainId: CHAIN_ID, state }, limits) }
}

const [alice, bob, carol, dave] = [0, 1, 2, 3].map(testAccount) as [Account, Account, Account, Account]
type Account = ReturnType<typeof testAccount>

/** A transaction of any type whose tip at the base fee is `tip`; below zero, it is not executable. */
function tipping(account: Account, type: (typeof types)[number], tip: bigint, nonce = 0): Promise<Transaction> {
  const maxFee = BASE_FEE + tip
  return signed(account, { type, nonce, maxFee, tip: type === 'eip1559' || type === 'eip7702' ? maxFee : 0n })
}

function refused(mempool: Mempool, transaction: Transaction): void {
  const { count } = mempool
  assert.throws(() => mempool.add(transaction), { code: 'POOL_FULL', message: /^txpool is full/ })
  assert.equal(mempool.count, count)
}

describe('a full mempool', () => {
  for (const type of types) {
    it(`gives nothing up for a price below the base fee, and gives that up first (${type})`, async () => {
      const { mempool } = pool({ countMax: 2 })
      // All but one wei of the base fee: the largest number in the pool, and nobody will ever collect it.
      const hollow = await tipping(alice, type, -1n)
      const modest = await signed(bob, { tip: 1_000n })
      mempool.add(modest)
      mempool.add(await signed(carol, { tip: 1_000n }))
      refused(mempool, hollow)

      const other = pool({ countMax: 2 }).mempool
      other.add(hollow)
      other.add(modest)
      other.add(await signed(carol, { tip: 1_000n }))
      assert.deepEqual([other.count, other.get(hollow.hash), other.get(modest.hash)], [2, undefined, modest])
    })

    it(`compares what is left of a price above the base fee (${type})`, async () => {
      const { mempool } = pool({ countMax: 1 })
      const mine = await tipping(alice, type, 5_000n)
      mempool.add(mine)
      refused(mempool, await signed(bob, { tip: 5_000n }))
      mempool.add(await signed(bob, { tip: 5_001n }))
      assert.equal(mempool.get(mine.hash), undefined)
      refused(mempool, mine)
      mempool.add(await tipping(carol, type, 5_002n))
    })
  }

  it('gives no executable transaction up for one that misses a nonce, whatever that promises', async () => {
    const { mempool } = pool({ countMax: 3 })
    for (const account of [alice, bob]) mempool.add(await signed(account, { tip: 1_000n }))
    const early = await signed(carol, { tip: 50_000n, nonce: 1 })
    mempool.add(early)
    refused(mempool, await signed(dave, { tip: 50_000n, nonce: 1 }))
    // Among themselves the better tip wins; and whatever can be executed comes before them all.
    const better = await signed(dave, { tip: 60_000n, nonce: 1 })
    mempool.add(better)
    assert.equal(mempool.get(early.hash), undefined)
    mempool.add(await signed(carol, { tip: 1_000n }))
    assert.equal(mempool.get(better.hash), undefined)
    assert.deepEqual(mempool.counts(), { pending: 3, queued: 0 })
  })

  it('does not count a tip behind a price below the base fee', async () => {
    const { mempool } = pool({ countMax: 3 })
    mempool.add(await tipping(alice, 'eip1559', -1n))
    const shiny = await signed(alice, { nonce: 1, tip: 90_000n })
    mempool.add(shiny)
    mempool.add(await signed(bob, { tip: 1_000n }))
    mempool.add(await signed(carol, { tip: 1_000n }))
    assert.equal(mempool.get(shiny.hash), undefined)
    refused(mempool, shiny)
  })

  it('judges anew when the base fee has changed', async () => {
    const { mempool, state } = pool({ countMax: 2 })
    const legacy = await tipping(alice, 'legacy', 5_000n)
    mempool.add(legacy)
    mempool.add(await signed(bob, { tip: 6_000n }))
    refused(mempool, await signed(carol, { tip: 5_000n }))
    state.baseFee += 4_000n
    mempool.settle({ included: [], dropped: [] })
    mempool.add(await signed(carol, { tip: 1_001n }))
    assert.equal(mempool.get(legacy.hash), undefined)
  })

  it('never gives up what was handed to the orderer, until that hands it back', async () => {
    const { mempool } = pool({ countMax: 1 })
    const taken = await signed(alice, { tip: 1_000n })
    mempool.add(taken)
    assert.deepEqual(mempool.take({ gas: 30_000_000n, bytes: 1_000_000, count: 1 }), [taken])
    const rich = await signed(bob, { tip: 90_000n })
    refused(mempool, rich)
    mempool.release([taken.hash])
    mempool.add(rich)
    assert.equal(mempool.get(taken.hash), undefined)
  })
})

describe('transactions that miss a nonce', () => {
  it('are only so many, and the rest of the pool stays free for others', async () => {
    const { mempool } = pool({ countMax: 100, queuedMax: 2 })
    const first = await signed(alice, { nonce: 5, tip: 10_000n })
    mempool.add(first)
    mempool.add(await signed(bob, { nonce: 5, tip: 20_000n }))
    const third = await signed(carol, { nonce: 5, tip: 10_000n })
    assert.throws(() => mempool.add(third), {
      code: 'POOL_FULL',
      message: /^txpool is full: 2 .* miss an earlier nonce/,
    })
    mempool.add(await signed(carol, { nonce: 5, tip: 10_001n }))
    assert.equal(mempool.get(first.hash), undefined)
    for (let nonce = 0; nonce < 3; nonce++) mempool.add(await signed(dave, { nonce, tip: 1_000n }))
    assert.deepEqual(mempool.counts(), { pending: 3, queued: 2 })
  })

  it('become executable with the missing one, and take no more of the limit', async () => {
    const { mempool } = pool({ queuedMax: 1 })
    mempool.add(await signed(alice, { nonce: 1 }))
    mempool.add(await signed(alice, { nonce: 0 }))
    mempool.add(await signed(bob, { nonce: 1 }))
    assert.deepEqual(mempool.counts(), { pending: 2, queued: 1 })
  })
})

describe('eviction', () => {
  const accounts = [alice, bob, carol, dave]
  let all: Transaction[]
  before(async () => {
    const tips = [-500n, -1n, 1_000n, 2_000n, 3_000n, 4_000n]
    all = await Promise.all(
      accounts.flatMap((account, a) =>
        [0, 1, 3].flatMap((nonce) =>
          tips.map((tip, t) => tipping(account, types[(a + nonce + t) % types.length]!, tip, nonce)),
        ),
      ),
    )
  })

  /** What the pool holds, and its rules written down naively. */
  class Model {
    held: Transaction[] = []
    readonly #countMax: number
    readonly #queuedMax: number

    constructor(countMax: number, queuedMax: number) {
      this.#countMax = countMax
      this.#queuedMax = queuedMax
    }

    /** Whether it is taken. */
    add(transaction: Transaction): boolean {
      if (this.held.some((one) => one.sender === transaction.sender && one.nonce === transaction.nonce)) return false
      const after = [...this.held, transaction]
      const isQueued = this.#isQueued(transaction, after)
      const queuedCount = after.filter((one) => this.#isQueued(one, after)).length
      const fits = after.length <= this.#countMax && (!isQueued || queuedCount <= this.#queuedMax)
      if (!fits) {
        const victim = this.held
          .filter(({ sender }) => sender !== transaction.sender)
          .filter((one) => !this.held.some(({ sender, nonce }) => sender === one.sender && nonce > one.nonce))
          .filter((one) => !isQueued || this.#isQueued(one, this.held))
          .sort((a, b) => this.#compare(this.#rank(a, this.held), this.#rank(b, this.held)))[0]
        if (!victim || this.#compare(this.#rank(victim, this.held), this.#rank(transaction, after)) >= 0) return false
        this.held = this.held.filter((one) => one !== victim)
      }
      this.held.push(transaction)
      return true
    }

    /** Of all that is held, in no order. Which one of equals goes makes no difference here. */
    static ranksOf(held: readonly Transaction[]): string[] {
      const model = new Model(0, 0)
      return held.map((one) => `${model.#rank(one, held)}`).sort()
    }

    #isQueued({ sender, nonce }: Transaction, held: readonly Transaction[]): boolean {
      const nonces = new Set(held.filter((one) => one.sender === sender).map((one) => one.nonce))
      for (let before = 0n; before < nonce; before++) if (!nonces.has(before)) return true
      return false
    }

    #rank(transaction: Transaction, held: readonly Transaction[]): readonly [number, bigint] {
      const isQueued = this.#isQueued(transaction, held)
      const tips = held
        .filter(({ sender, nonce }) => sender === transaction.sender && nonce <= transaction.nonce)
        .filter((one) => !isQueued || one === transaction)
        .map(({ maxFeePerGas }) => maxFeePerGas - BASE_FEE)
      const tip = tips.reduce((a, b) => (a < b ? a : b))
      return [tip < 0n ? 0 : isQueued ? 1 : 2, tip]
    }

    #compare([standing, tip]: readonly [number, bigint], [other, theirs]: readonly [number, bigint]): number {
      return standing - other || (tip < theirs ? -1 : tip > theirs ? 1 : 0)
    }
  }

  it('takes and gives up what a pool would that looks at everything each time', () => {
    const choice = fc.array(fc.nat({ max: accounts.length * 18 - 1 }), { maxLength: 30 })
    fc.assert(
      fc.property(
        choice,
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 3 }),
        (picks, countMax, queuedMax) => {
          const { mempool } = pool({ countMax, queuedMax })
          const model = new Model(countMax, queuedMax)
          for (const pick of picks) {
            const transaction = all[pick]!
            const isHeld = model.held.some(
              ({ sender, nonce }) => sender === transaction.sender && nonce === transaction.nonce,
            )
            if (isHeld) continue
            let isTaken = true
            try {
              mempool.add(transaction)
            } catch {
              isTaken = false
            }
            const tied = model.held.length
            assert.equal(isTaken, model.add(transaction), `of ${tied}`)
            // Of equals either may go: go on from what the pool did.
            const held = all.filter(({ hash }) => mempool.get(hash))
            assert.deepEqual(Model.ranksOf(held), Model.ranksOf(model.held))
            model.held = held
            const counts = mempool.counts()
            assert.equal(counts.pending + counts.queued, held.length)
            assert.equal(
              counts.pending,
              accounts.reduce(
                (sum, { address }) => sum + Number(mempool.nextNonce(address.toLowerCase() as Address)),
                0,
              ),
            )
          }
        },
      ),
      { numRuns: 300 },
    )
  })
})
