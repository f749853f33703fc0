import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { concatBytes, hexToBytes } from '@cumulus/bytes'
import type { Address } from '@cumulus/types'
import fc from 'fast-check'
import { Ledger, LedgerError, type LedgerLimits, MemoryLedgerStore } from '../../src/index.ts'
import { wordToBytes } from '../../src/trie/rlp.ts'
import {
  ADDER,
  account,
  alice,
  batchOf,
  bob,
  carol,
  deployer,
  genesis,
  MODULE,
  miner,
  OP,
  openLedger,
  params,
  sign,
  TestModule,
} from './fixture.ts'

/** Slot of the first word of the calldata := second word. Zeros and not, so that tries shrink as well as grow. */
const KEEPER = hexToBytes('6020355f355500')
/** Returns the slot of the first word of the calldata. */
const READER = hexToBytes('5f35545f5260205ff3')
/** Writes if there are two words, reads if there is one. */
const CELLS = hexToBytes(
  [
    '60403610', // CALLDATASIZE < 64
    '600e57', // JUMPI 14
    KEEPER.toHex(),
    '5b',
    READER.toHex(),
  ].join(''),
)

type Step = { kind: number; slot: number; value: number }
const step: fc.Arbitrary<Step> = fc.record({ kind: fc.nat(7), slot: fc.nat(40), value: fc.nat(3) })

function transactionOf({ kind, slot, value }: Step, nonce: bigint, cells: Address): Uint8Array {
  const fields =
    kind < 5
      ? { to: cells, data: concatBytes(wordToBytes(BigInt(slot)), wordToBytes(BigInt(value))) }
      : kind === 5
        ? { to: account(40 + slot).address, value: BigInt(value) }
        : kind === 6
          ? { to: MODULE, data: Uint8Array.of(OP.count) }
          : { data: deployer(ADDER) }
  return sign(alice, { nonce, gasLimit: 200_000n, ...fields })
}

const watched: readonly Address[] = [
  alice.address,
  bob.address,
  carol.address,
  miner.address,
  MODULE,
  ...[40, 41, 45, 50].map((index) => account(index).address),
]

/** Everything that can be asked about the state of a block. */
async function view(ledger: Ledger, cells: Address, at: bigint | undefined) {
  const slots = [0n, 1n, 2n, 7n, 19n, 33n, 40n]
  const read = (slot: bigint) => ledger.call({ to: cells, data: wordToBytes(slot) }, at)
  return {
    accounts: [cells, ...watched].map((address) => ledger.account(address, at)),
    code: ledger.getCode(cells, at),
    slots: slots.map((slot) => ledger.getStorage(cells, slot, at)),
    module: [0n, 1n].map((slot) => ledger.getStorage(MODULE, slot, at)),
    proofs: await Promise.all([...watched, cells].map((address) => ledger.prove(address, slots, at))),
    calls: await Promise.all(slots.map(read)),
    count: await ledger.call({ to: MODULE, data: Uint8Array.of(OP.count) }, at),
    estimate: await ledger.estimateGas({ to: cells, data: concatBytes(wordToBytes(1n), wordToBytes(1n)) }, at),
  }
}

const isHistoric = (error: unknown) => error instanceof LedgerError && error.code === 'HISTORIC_STATE'

async function withCells(
  limits: LedgerLimits = {},
  store = new MemoryLedgerStore(),
  pause?: () => Promise<unknown> | undefined,
) {
  const { ledger } = await openLedger({ store, limits, pause })
  const { receipts } = await ledger.execute(
    batchOf(ledger, [sign(alice, { nonce: 0n, data: deployer(CELLS), gasLimit: 200_000n })]),
  )
  const cells = receipts[0]!.contractAddress!
  const put = (slot: number, value: number) =>
    ledger.execute(batchOf(ledger, [transactionOf({ kind: 0, slot, value }, ledger.getNonce(alice.address), cells)]))
  return { ledger, store, cells, put }
}

describe('the state of a past block', () => {
  it('is what it was when that block was the head: accounts, slots, code, proofs, calls', async () => {
    const anyBlocks = fc.array(fc.array(step, { maxLength: 6 }), { minLength: 1, maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(anyBlocks, fc.boolean(), async (blocks, isForgetful) => {
        const limits = isForgetful ? { state: { cachedAccounts: 1, cachedSlots: 1 }, trieNodes: 1 } : {}
        const { ledger, store, cells } = await withCells(limits)
        const seen = [await view(ledger, cells, undefined)]
        for (const steps of blocks) {
          let nonce = ledger.getNonce(alice.address)
          const { dropped } = await ledger.execute(
            batchOf(
              ledger,
              steps.map((one) => transactionOf(one, nonce++, cells)),
            ),
          )
          assert.equal(dropped.length, 0)
          seen.push(await view(ledger, cells, undefined))
        }
        const again = await Ledger.open({ params, genesis, store, modules: new TestModule() })
        for (const [i, expected] of seen.entries()) {
          assert.deepEqual(await view(ledger, cells, BigInt(i) + 1n), expected, `block ${i + 1}`)
          assert.deepEqual(await view(again, cells, BigInt(i) + 1n), expected, `block ${i + 1}, opened anew`)
        }
        assert.equal(ledger.getNonce(alice.address, 0n), 0n)
      }),
      { numRuns: 12 },
    )
  })

  it('is kept for as many blocks as the limit says, and its rows are gone after that', async () => {
    const { ledger, store, cells, put } = await withCells({ history: { blocks: 3 } })
    const rows = () => store.count('old') + store.count('oldNode') + store.count('changes')
    const counts: number[] = []
    for (let i = 0; i < 40; i++) {
      await put(i % 5, i % 4)
      counts.push(rows())
    }
    const { number } = ledger.head
    assert.equal(ledger.oldestState, number - 3n)
    assert.equal(ledger.getStorage(cells, 4n, number - 3n), BigInt(34 % 4))
    for (const at of [number - 4n, 1n]) {
      assert.throws(() => ledger.getBalance(alice.address, at), isHistoric)
      assert.throws(() => ledger.getBalance(alice.address, at), /the oldest is that of block 38/)
      await assert.rejects(ledger.call({ to: cells }, at), isHistoric)
      await assert.rejects(ledger.prove(cells, [], at), isHistoric)
    }
    assert.ok(counts.at(-1)! <= Math.max(...counts.slice(0, 10)), `${counts}`)
    const zero = new Uint8Array(8)
    const first = store.keys('oldNode', zero, Uint8Array.of(255), 1)[0]!
    assert.equal(new DataView(first.buffer).getBigUint64(0), number - 2n)
    assert.throws(
      () => ledger.getBalance(alice.address, number + 1n),
      (error) => error instanceof LedgerError && error.code === 'NO_SUCH_BLOCK',
    )
  })

  it('is proved slot by slot, with a pause before each: what is old lies in as many places as there are blocks', async () => {
    let pauses = 0
    let goneAt = 0
    const gone = new AbortController()
    const pause = () => {
      if (++pauses === goneAt) gone.abort(new Error('gone'))
      return new Promise((resolve) => setImmediate(resolve))
    }
    const { ledger, cells, put } = await withCells({ history: { blocks: 100 } }, undefined, pause)
    for (let i = 0; i < 20; i++) await put(i, 1)
    const slots = Array.from({ length: 10 }, (_, i) => BigInt(i))
    pauses = 10
    const proof = ledger.prove(cells, slots, 12n)
    // Blocks go on meanwhile; the proof is of its own.
    await put(3, 2)
    const { storageProofs } = await proof
    assert.ok(pauses >= 20, `${pauses}`)
    assert.deepEqual(
      storageProofs.map(({ value }) => value),
      slots.map((slot) => ledger.getStorage(cells, slot, 12n)),
    )
    pauses = 0
    goneAt = 5
    await assert.rejects(ledger.prove(cells, slots, 12n, { signal: gone.signal }), /gone/)
    assert.equal(pauses, 5)
  })

  it('is kept for fewer blocks where they would take more bytes than the limit, but always for one', async () => {
    const { ledger, put } = await withCells({ history: { blocks: 100, bytes: 6_000 } })
    for (let i = 0; i < 20; i++) await put(i, 1)
    const kept = ledger.head.number - ledger.oldestState
    assert.ok(kept > 1n && kept < 15n, `${kept}`)
    const tiny = await withCells({ history: { blocks: 100, bytes: 1 } })
    for (let i = 0; i < 3; i++) await tiny.put(i, 1)
    assert.equal(tiny.ledger.oldestState, tiny.ledger.head.number - 1n)
    assert.equal(tiny.ledger.getStorage(tiny.cells, 2n, 3n), 0n)
  })

  it('is given up step by step when the limit comes down', async () => {
    const store = new MemoryLedgerStore()
    const { ledger, cells } = await withCells({}, store)
    let nonce = 1n
    for (let block = 0; block < 12; block++) {
      const raws = Array.from({ length: 60 }, (_, i) =>
        transactionOf({ kind: 0, slot: 60 * block + i, value: 1 }, nonce++, cells),
      )
      await ledger.execute(batchOf(ledger, raws))
    }
    const before = store.count('old') + store.count('oldNode')
    const small = await Ledger.open({
      params,
      genesis,
      store,
      modules: new TestModule(),
      limits: { history: { blocks: 2 } },
    })
    await small.execute(batchOf(small, []))
    assert.equal(small.oldestState, small.head.number - 2n)
    const after = store.count('old') + store.count('oldNode')
    assert.ok(before - after > 500 && after > 200, `${before} rows, then ${after}`)
    for (let i = 0; i < 6; i++) await small.execute(batchOf(small, []))
    assert.ok(store.count('old') + store.count('oldNode') < 100)
    assert.ok(store.count('changes') <= 4)
  })

  it('does not change under a call while blocks come', async () => {
    const { ledger, cells, put } = await withCells()
    await put(1, 2)
    const signal = new AbortController().signal
    const running = ledger.call({ to: cells, data: wordToBytes(1n) }, undefined, { signal })
    const moved = put(1, 3)
    assert.equal((await running).output.at(-1), 2)
    await moved
    assert.equal((await ledger.call({ to: cells, data: wordToBytes(1n) })).output.at(-1), 3)
  })
})
