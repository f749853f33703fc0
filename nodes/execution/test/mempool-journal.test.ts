import assert from 'node:assert/strict'
import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { createLogger } from '@cumulus/service'
import type { Address } from '@cumulus/types'
import fc from 'fast-check'
import { Mempool } from '../src/mempool.ts'
import { decodeJournal, MempoolJournal } from '../src/mempool-journal.ts'
import { CHAIN_ID, signed, testAccount } from './transactions.ts'

const log = createLogger({ name: 'journal', write: () => {} })

describe('the journal of local transactions', () => {
  let dir: string
  let path: string
  let count = 0
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'cumulus-journal-'))
  })
  beforeEach(() => {
    path = join(dir, `journal-${count++}`)
  })
  after(() => rm(dir, { recursive: true }))

  const nonces = new Map<Address, bigint>()
  const state = {
    nonce: (address: Address) => nonces.get(address) ?? 0n,
    balance: () => 10n ** 18n,
    nextBaseFee: () => 1n,
  }
  const open = (nowMs = 1_000, init = {}) => {
    const journal = new MempoolJournal(path, log, init)
    return {
      journal,
      mempool: new Mempool({ chainId: CHAIN_ID, state, journal, nowMs: () => nowMs }, { lifetimeMs: 5_000 }),
    }
  }
  const alice = testAccount(0)
  const mine = alice.address.toLowerCase() as Address
  const many = (count: number) => Promise.all(Array.from({ length: count }, (_, nonce) => signed(alice, { nonce })))

  it('brings back after a restart what was submitted here, and nothing that peers passed on', async () => {
    nonces.clear()
    const [first, second, third] = await many(3)
    const before = open()
    await before.mempool.submit(first!.raw)
    await before.mempool.submit(second!.raw, { origin: 'peer' })
    await before.mempool.submit(third!.raw)
    // As after kill -9: nothing is closed.
    const { mempool } = open()
    assert.deepEqual(await mempool.restore(), { restored: 2, outdated: 0 })
    assert.ok(mempool.get(first!.hash) && mempool.get(third!.hash))
    assert.equal(mempool.get(second!.hash), undefined)
    await Promise.all([before.mempool.close(), mempool.close()])
  })

  it('leaves out what the chain has settled and what is too old, and forgets both', async () => {
    nonces.clear()
    const transactions = await many(3)
    const early = open(1_000)
    await early.mempool.submit(transactions[0]!.raw)
    await early.mempool.submit(transactions[1]!.raw)
    await early.mempool.close()
    const late = open(4_000)
    await late.mempool.restore()
    await late.mempool.submit(transactions[2]!.raw)
    await late.mempool.close()
    nonces.set(mine, 1n)
    const now = open(6_500)
    assert.deepEqual(await now.mempool.restore(), { restored: 2, outdated: 1 })
    assert.equal(now.mempool.count, 1)
    assert.equal(decodeJournal(await readFile(path)).entries.length, 1)
    await now.mempool.close()
  })

  it('reads up to the first damage, whatever it is', async () => {
    nonces.clear()
    const { mempool } = open()
    const transactions = await many(4)
    for (const { raw } of transactions) await mempool.submit(raw)
    await mempool.close()
    const good = await readFile(path)
    const whole = decodeJournal(good).entries.map(({ raw }) => raw.toString())
    await fc.assert(
      fc.asyncProperty(
        fc.nat(good.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        async (at, flip, isCut) => {
          const damaged = Buffer.from(isCut ? good.subarray(0, at) : good)
          if (!isCut) damaged[at]! ^= flip
          const { entries } = decodeJournal(damaged)
          assert.ok(entries.length < whole.length)
          assert.deepEqual(
            entries.map(({ raw }) => raw.toString()),
            whole.slice(0, entries.length),
          )
        },
      ),
    )
    await appendFile(path, 'garbage that a dying process left behind')
    const again = open()
    assert.deepEqual(await again.mempool.restore(), { restored: 4, outdated: 0 })
    await again.mempool.close()
    assert.deepEqual(decodeJournal(await readFile(path)).bytes, good.length)
  })

  it('does not trust a length: a file of 0xff is no entry', async () => {
    await writeFile(path, Buffer.alloc(1_000, 0xff))
    assert.deepEqual(await open().journal.load(), [])
  })

  it('stays small: rewritten with what waits once half of it is about the past, and never beyond its bound', async () => {
    nonces.clear()
    const init = { rewriteBytes: 600, bytesMax: 2_000 }
    const { journal, mempool } = open(1_000, init)
    const transactions = await many(30)
    for (const { raw } of transactions.slice(0, 20)) await mempool.submit(raw)
    assert.ok(journal.bytes <= 2_000 && (await stat(path)).size === journal.bytes)
    nonces.set(mine, 19n)
    mempool.settle({ included: transactions.slice(0, 19), dropped: [] })
    await mempool.submit(transactions[20]!.raw)
    await mempool.close()
    const { entries } = decodeJournal(await readFile(path))
    assert.deepEqual(
      entries.map(({ raw }) => raw.toString()),
      [transactions[19]!, transactions[20]!].map(({ raw }) => Buffer.from(raw).toString()),
    )
  })
})
