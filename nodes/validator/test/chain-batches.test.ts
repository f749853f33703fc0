import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { equalBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import type { Transaction } from '@cumulus/ledger'
import { minimal, type Params } from '@cumulus/params'
import { type Block, type Commit, encodePayload, sealBlock } from '@cumulus/r2s'
import fc from 'fast-check'
import { signed, testAccount } from '../../execution/test/transactions.ts'
import { type BatchParent, batchesOf, randaoOf } from '../src/consensus/chain-batches.ts'
import { consensusRootOf, decodeMark, encodeMark } from '../src/consensus/order-mark.ts'

const accounts = Array.from({ length: 4 }, (_, index) => testAccount(100 + index).address)
const params: Params = { ...minimal, blockGasLimit: 100_000n, order: { ...minimal.order, blockTransactionsMax: 3 } }
const rules = { era: 0, genesisMs: 0, params, accounts }
const parent: BatchParent = { number: 41n, timestampMs: 10_000, round: 7 }
const coin = new Uint8Array(96).fill(3)

let transactions: Transaction[]
before(async () => {
  transactions = await Promise.all(Array.from({ length: 8 }, (_, nonce) => signed(testAccount(0), { nonce })))
})

function block(author: number, payload: Uint8Array, txCount: number): Block {
  const header = {
    chainId: 27_103n,
    era: 0,
    round: 8,
    author,
    tsMs: 1,
    exposed: 0,
    parents: [{ author, round: 7, digest: new Uint8Array(32) }],
    coinShare: null,
    votes: [],
    evidence: null,
    txCount,
  }
  return sealBlock(header, payload, () => new Uint8Array(64))
}

const carrying = (author: number, items: readonly { raw: Uint8Array }[]) =>
  block(author, encodePayload(items.map(({ raw }) => raw)), items.length)

function commit(blocks: readonly Block[], change: Partial<Commit> = {}): Commit {
  const slots = [
    { author: 2, digest: null, direct: true },
    { author: 1, digest: new Uint8Array(32), direct: true },
  ]
  const checkpoint = { round: 9, gcRound: 0, output: [], ejectedFrom: [null, null, null, null] }
  return { round: 8, coin, slots, blocks, medianTsMs: 10_500, gcRound: 0, ejected: [], checkpoint, ...change }
}

describe('the chain blocks of a decided round', () => {
  it('hold its transactions in order, each once, with time, randomness and coinbase of the round', () => {
    const round = commit([carrying(0, transactions.slice(0, 2)), carrying(3, transactions.slice(1, 3))])
    const [only, ...more] = batchesOf(round, parent, rules)
    assert.equal(more.length, 0)
    const { batch } = only!
    assert.deepEqual(
      batch.transactions.map(({ nonce }) => nonce),
      [0n, 1n, 2n],
    )
    assert.equal(batch.number, 42n)
    assert.equal(batch.timestampMs, 10_500)
    assert.equal(batch.coinbase, accounts[1])
    assert.deepEqual(batch.prevRandao, randaoOf(coin, 0))
    assert.deepEqual(batch.consensusRoot, consensusRootOf({ era: 0, round: 8, index: 0 }, round.checkpoint))
    assert.deepEqual(decodeMark(batch.mark!), { kind: 'ordered', era: 0, round: 8, index: 0 })
  })

  it('are none if it brings nothing, until consensus time enters the next heartbeat or many rounds were empty', () => {
    const at = (medianTsMs: number, round = 8) => batchesOf(commit([], { medianTsMs, round }), parent, rules).length
    assert.equal(at(11_999), 0)
    assert.equal(at(12_000), 1)
    assert.equal(at(11_999, 7 + 15), 0)
    assert.equal(at(11_999, 7 + 16), 1)
    // No leader, no time: nothing is due.
    assert.equal(at(0), 0)
  })

  it('never go back in time', () => {
    const [first] = batchesOf(commit([carrying(0, transactions)], { medianTsMs: 9_000 }), parent, rules)
    assert.equal(first!.batch.timestampMs, parent.timestampMs)
  })

  it('are made for evidence too', () => {
    assert.equal(batchesOf(commit([], { ejected: [3] }), parent, rules).length, 1)
  })

  it('leave out what is no transaction, and payloads that are not what their headers say', () => {
    const junk = block(1, encodePayload([new Uint8Array(40).fill(1)]), 1)
    const lie = block(2, encodePayload(transactions.map(({ raw }) => raw)), 99)
    const [only] = batchesOf(commit([junk, lie, carrying(0, transactions.slice(0, 1))]), parent, rules)
    assert.equal(only!.batch.transactions.length, 1)
  })

  it('are made of what the mempool has already, which is not decoded again', () => {
    const [first, second] = [transactions[0]!, transactions[1]!]
    const mine = { ...first }
    const known = (hash: Uint8Array) => (equalBytes(hash, keccak256(first.raw)) ? mine : undefined)
    const [only] = batchesOf(commit([carrying(0, [first, second])]), parent, rules, known)
    const [one, two] = only!.batch.transactions
    assert.equal(one, mine)
    assert.deepEqual(two!.hash, second.hash)
    // Bytes of which the mempool knows what they are need not even be looked at.
    const opaque = { raw: Uint8Array.of(1, 2, 3) }
    const asked = (hash: Uint8Array) => (equalBytes(hash, keccak256(opaque.raw)) ? mine : undefined)
    assert.equal(batchesOf(commit([carrying(0, [opaque])]), parent, rules, asked)[0]!.batch.transactions[0], mine)
  })

  it('are several if they are too full for one: within all limits, in order, nothing lost', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 4 }), (count, perBlock) => {
        const { gasLimit } = transactions[0]!
        const tight = { ...params, blockGasLimit: gasLimit * BigInt(perBlock) }
        const placed = batchesOf(commit([carrying(0, transactions.slice(0, count))]), parent, {
          ...rules,
          params: tight,
        })
        const all = placed.flatMap(({ batch }) => batch.transactions.map(({ nonce }) => Number(nonce)))
        assert.deepEqual(
          all,
          Array.from({ length: count }, (_, nonce) => nonce),
        )
        placed.forEach(({ batch, index }, i) => {
          assert.equal(index, i)
          assert.equal(batch.number, 42n + BigInt(i))
          assert.ok(batch.transactions.length <= Math.min(perBlock, 3))
        })
        assert.equal(new Set(placed.map(({ batch }) => batch.prevRandao.toHex())).size, placed.length)
      }),
      { numRuns: 50 },
    )
  })
})

describe('the mark of a chain block', () => {
  it('survives its codec, and nothing else is one', () => {
    const mark = { kind: 'ordered', era: 1, round: 2 ** 32 - 1, index: 3 } as const
    assert.deepEqual(decodeMark(encodeMark(mark)), mark)
    assert.deepEqual(decodeMark(encodeMark({ kind: 'followed' })), { kind: 'followed' })
    const bytes = encodeMark(mark)
    for (const bad of [bytes.subarray(1), bytes.with(0, 2), bytes.with(1, 3), new Uint8Array([...bytes, 0])]) {
      assert.throws(() => decodeMark(bad))
    }
  })
})
