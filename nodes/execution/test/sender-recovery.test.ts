import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { decodeTransaction, type Transaction } from '@cumulus/ledger'
import { createLogger, createMetrics } from '@cumulus/service'
import type { Address } from '@cumulus/types'
import { noteSignatureBackend } from '../src/open-mempool.ts'
import { SenderRecovery } from '../src/sender-recovery.ts'
import { signed, testAccount } from './transactions.ts'

const log = createLogger({ name: 'senders', write: () => {} })

/** Decoded anew: nobody has asked for the sender yet. */
const fresh = ({ raw }: Transaction) => decodeTransaction(raw)

/** As `fresh`, but the signature names nobody: r is above the order of the curve. */
function forged(transaction: Transaction, change: Partial<Transaction>): Transaction {
  const copy = { ...transaction, ...change, told: undefined as Address | undefined, isTold: false }
  return Object.assign(Object.create(null), copy, {
    tellSender(this: typeof copy, sender: Address | undefined) {
      this.told = sender
      this.isTold = true
    },
  })
}

describe('recovery of senders', () => {
  const recovery = new SenderRecovery(log, { workers: 2, inlineMax: 4 })
  after(() => recovery.close())

  it('finds in threads who signed, for each of many transactions of all types', async () => {
    const accounts = [0, 1, 2, 3, 4].map(testAccount)
    const all = await Promise.all(
      Array.from({ length: 60 }, (_, i) => signed(accounts[i % 5]!, { nonce: i, value: BigInt(i) })),
    )
    const transactions = all.map(fresh)
    await Promise.all(transactions.map((one) => recovery.recover(one)))
    assert.deepEqual(
      transactions.map(({ sender }) => sender),
      all.map((_, i) => accounts[i % 5]!.address.toLowerCase()),
    )
  })

  it('finds nobody behind malleable, zero and impossible signatures', async () => {
    const good = await signed(testAccount(0))
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
    const bad = [
      forged(good, { s: order - good.s }),
      forged(good, { r: 0n }),
      forged(good, { s: 0n }),
      forged(good, { r: order }),
      forged(good, { r: order - 1n }),
    ]
    const others = Array.from({ length: 10 }, () => fresh(good))
    await Promise.all([...bad, ...others].map((one) => recovery.recover(one)))
    for (const one of bad as (Transaction & { told?: Address; isTold: boolean })[]) assert.equal(one.told, undefined)
    for (const { sender } of others) assert.equal(sender, testAccount(0).address.toLowerCase())
  })

  it('refuses more than may wait, and takes more once those are done', async () => {
    const small = new SenderRecovery(log, { workers: 0, waitingMax: 2 })
    const transactions = await Promise.all([0, 1, 2].map((nonce) => signed(testAccount(0), { nonce })))
    const [first, second] = transactions.slice(0, 2).map((one) => small.recover(fresh(one)))
    await assert.rejects(small.recover(fresh(transactions[2]!)), { code: 'BUSY', message: /^txpool is busy/ })
    await Promise.all([first, second])
    await small.recover(fresh(transactions[2]!))
  })

  it('goes on on the calling thread when it is being closed', async () => {
    const closing = new SenderRecovery(log, { workers: 1, inlineMax: 0 })
    const transactions = await Promise.all([0, 1, 2].map((nonce) => signed(testAccount(0), { nonce })))
    const pending = transactions.map((one) => closing.recover(fresh(one)))
    await new Promise(setImmediate)
    await closing.close()
    await Promise.all(pending)
  })

  it('of what was decided refuses nothing, however much it is, and leaves room for what comes in', async () => {
    const { raw } = await signed(testAccount(0))
    const decided = Array.from({ length: 3_000 }, () => decodeTransaction(raw))
    const small = new SenderRecovery(log, { workers: 2, waitingMax: 1_100 })
    try {
      let asked = 0
      const told = decided.map((one) => {
        const { tellSender } = one
        return Object.assign(Object.create(Object.getPrototypeOf(one)), one, {
          tellSender: (sender: Address | undefined) => {
            asked++
            tellSender(sender)
          },
        }) as Transaction
      })
      const all = small.recoverAll(told)
      await Promise.all([all, small.recover(fresh(decided[0]!))])
      assert.equal(asked, 3_000, 'each was found in a thread')
    } finally {
      await small.close()
    }
  })
})

describe('a node without the native addon for signatures', () => {
  it('says so in its log and a metric', async () => {
    for (const [backend, value, warnings] of [
      ['native', 1, 0],
      ['javascript', 0, 1],
    ] as const) {
      const lines: string[] = []
      const metrics = createMetrics({ process: false })
      noteSignatureBackend(backend, createLogger({ name: 'node', write: (line) => void lines.push(line) }), metrics)
      const { values } = await metrics.getSingleMetric('cumulus_mempool_native_signatures')!.get()
      assert.equal(values[0]!.value, value)
      assert.equal(lines.filter((line) => line.includes('"warn"')).length, warnings)
    }
  })
})
