import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DecodeError } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import fc from 'fast-check'
import { hashHeader, NO_CONSENSUS_ROOT } from '../../src/chain/header.ts'
import {
  decodeChunk,
  encodeChunk,
  SNAPSHOT_CHUNK_BYTES_MAX,
  SnapshotImport,
  snapshotBase,
  snapshotProgress,
  writeSnapshot,
} from '../../src/snapshot/index.ts'
import { EMPTY_CODE_HASH } from '../../src/state/account.ts'
import type { DirtyAccount } from '../../src/state/journaled-state.ts'
import { MemoryLedgerStore } from '../../src/state/ledger-store.ts'
import { readerOf } from '../../src/state/state-reader.ts'
import { RangeProofError } from '../../src/trie/range-proof.ts'
import { StateTrie } from '../../src/trie/state-trie.ts'
import { EMPTY_ROOT } from '../../src/trie/trie.ts'

const ID = new Uint8Array(32).fill(1)
const EMPTY = { transactions: [], receipts: [] }
const TABLES = ['account', 'slot', 'code', 'node'] as const

interface Spec {
  readonly slots: number
  readonly code: number
}

/** A state whose accounts have so many slots, and one of a few codes. */
function stateOf(specs: readonly Spec[]) {
  const store = new MemoryLedgerStore()
  const dirty = specs.map(({ slots, code }, index): DirtyAccount => {
    const newCode = code === 0 ? undefined : new Uint8Array(20 + code).fill(code)
    return {
      address: keccak256(Uint8Array.of(index & 0xff, index >> 8)).slice(0, 20),
      nonce: 1n,
      balance: BigInt(index),
      storageRoot: EMPTY_ROOT,
      codeHash: newCode ? keccak256(newCode) : EMPTY_CODE_HASH,
      newCode,
      slots: Array.from({ length: slots }, (_, slot) => ({ slot: BigInt(slot), value: BigInt(slot * 7919 + 1) ** 3n })),
    }
  })
  const { root, writes } = new StateTrie(readerOf(store)).apply(dirty)
  store.write(writes)
  return { store, root, header: headerOf(root) }
}

function headerOf(stateRoot: Uint8Array) {
  return hashHeader({
    number: 7n,
    parentHash: new Uint8Array(32),
    coinbase: `0x${'00'.repeat(20)}`,
    stateRoot,
    transactionsRoot: EMPTY_ROOT,
    receiptsRoot: EMPTY_ROOT,
    logsBloom: new Uint8Array(256),
    gasLimit: 1n,
    gasUsed: 0n,
    timestampMs: 5,
    prevRandao: new Uint8Array(32),
    baseFee: 1n,
    consensusRoot: NO_CONSENSUS_ROOT,
  })
}

function chunksOf({ store, root }: ReturnType<typeof stateOf>, targetBytes?: number, hashesMax?: number): Uint8Array[] {
  return [...writeSnapshot(store, root, { targetBytes, hashesMax })].filter((chunk) => chunk !== undefined)
}

function importOf(state: ReturnType<typeof stateOf>, chunks: readonly Uint8Array[]): MemoryLedgerStore {
  const store = new MemoryLedgerStore()
  const snapshot = new SnapshotImport(store, state.header, ID)
  for (const chunk of chunks) snapshot.add(chunk)
  snapshot.finish([state.header], EMPTY, new Uint8Array(32))
  return store
}

function assertSameState(a: MemoryLedgerStore, b: MemoryLedgerStore): void {
  const [none, all] = [new Uint8Array(0), new Uint8Array(100).fill(255)]
  for (const table of TABLES) {
    const keys = a.keys(table, none, all, 1e6)
    assert.equal(b.count(table), keys.length, table)
    for (const key of keys) assert.deepEqual(b.get(table, key), a.get(table, key), table)
  }
}

const specs = fc.array(fc.record({ slots: fc.oneof(fc.nat(3), fc.nat(60)), code: fc.nat(3) }), { maxLength: 25 })

describe('a snapshot', () => {
  it('brings the same state to another store, however it is cut, with nodes and code', () => {
    fc.assert(
      fc.property(
        specs,
        fc.integer({ min: 100, max: 5_000 }),
        fc.integer({ min: 3, max: 50 }),
        (some, target, hashes) => {
          const state = stateOf(some)
          const chunks = chunksOf(state, target, hashes)
          assertSameState(state.store, importOf(state, chunks))
        },
      ),
    )
  })

  it('is cut in the same places by every node, whatever its memory', () => {
    const state = stateOf(Array.from({ length: 40 }, (_, index) => ({ slots: index % 9, code: index % 4 })))
    const chunks = chunksOf(state, 1_000)
    assert.ok(chunks.length > 5)
    assert.deepEqual(chunksOf(state, 1_000, 7), chunks)
  })

  it('has chunks of a megabyte at most, an account of many slots among them', () => {
    const state = stateOf([
      { slots: 3, code: 1 },
      { slots: 24_000, code: 2 },
      { slots: 0, code: 0 },
    ])
    const chunks = chunksOf(state)
    assert.ok(chunks.length >= 2)
    assert.ok(chunks.every(({ length }) => length <= SNAPSHOT_CHUNK_BYTES_MAX))
    assert.ok(chunks.some((chunk) => decodeChunk(chunk).isCut))
    assertSameState(state.store, importOf(state, chunks))
  })

  it('goes on after a stop between any two chunks', () => {
    const state = stateOf(Array.from({ length: 30 }, (_, index) => ({ slots: index, code: index % 3 })))
    const chunks = chunksOf(state, 1_500)
    const store = new MemoryLedgerStore()
    for (let i = 0; i < chunks.length; i++) {
      const snapshot = new SnapshotImport(store, state.header, ID)
      assert.equal(snapshot.count, i)
      assert.throws(() => snapshot.finish([state.header], EMPTY, new Uint8Array(32)))
      snapshot.add(chunks[i]!)
    }
    assert.equal(snapshotProgress(store)!.count, chunks.length)
    new SnapshotImport(store, state.header, ID).finish([state.header], EMPTY, new Uint8Array(32))
    assertSameState(state.store, store)
    assert.equal(snapshotProgress(store), undefined)
    assert.equal(snapshotBase(store), 7n)
    assert.throws(() => {
      new SnapshotImport(
        stateWithImport(),
        state.header,
        ID.map(() => 2),
      )
    })
    function stateWithImport() {
      const other = new MemoryLedgerStore()
      new SnapshotImport(other, state.header, ID).add(chunks[0]!)
      return other
    }
  })

  it('takes chunks in their order only', () => {
    const state = stateOf(Array.from({ length: 20 }, () => ({ slots: 4, code: 0 })))
    const chunks = chunksOf(state, 500)
    const snapshot = new SnapshotImport(new MemoryLedgerStore(), state.header, ID)
    assert.throws(() => snapshot.add(chunks[1]!), RangeProofError)
    for (const chunk of chunks) {
      snapshot.add(chunk)
      assert.throws(() => snapshot.add(chunk), RangeProofError)
    }
    assert.ok(snapshot.isWhole)
  })

  it('refuses a chunk with any bit changed, or it did not matter', () => {
    const state = stateOf(Array.from({ length: 12 }, (_, index) => ({ slots: index % 5, code: index % 3 })))
    const chunks = chunksOf(state, 900)
    const place = fc.tuple(fc.nat(chunks.length - 1), fc.nat(), fc.nat(7))
    fc.assert(
      fc.property(place, ([index, nat, bit]) => {
        const changed = chunks[index]!.slice()
        changed[nat % changed.length]! ^= 1 << bit
        try {
          assertSameState(state.store, importOf(state, chunks.toSpliced(index, 1, changed)))
        } catch (error) {
          // One that only says that it is not the last leaves an import that never ends.
          const isUnended = (error as Error).message === 'the state is not that of block 7'
          assert.ok(isUnended || error instanceof RangeProofError || error instanceof DecodeError, String(error))
        }
      }),
      { numRuns: 400 },
    )
  })

  it('refuses a chunk that leaves out an account, a slot or code, or adds one, or ends too early', () => {
    const state = stateOf(Array.from({ length: 10 }, () => ({ slots: 30, code: 1 })))
    const chunks = chunksOf(state, 4_000)
    const lying = (index: number, change: (chunk: ReturnType<typeof decodeChunk>) => object) => {
      const chunk = decodeChunk(chunks[index]!)
      const bytes = encodeChunk({ ...chunk, ...change(chunk) })
      assert.throws(() => importOf(state, chunks.toSpliced(index, 1, bytes)), RangeProofError)
    }
    for (let index = 0; index < chunks.length; index++) {
      lying(index, ({ entries }) => ({ entries: entries.slice(1) }))
      lying(index, ({ entries }) => ({ entries: entries.slice(0, -1) }))
      lying(index, ({ entries }) => ({
        entries: entries.map((entry) => ({ ...entry, slots: entry.slots.slice(0, -1) })),
      }))
      lying(index, ({ entries }) => ({
        entries: entries.map((entry) => ({
          ...entry,
          slots: entry.slots.map((slot, i) => (i === 0 ? { ...slot, value: Uint8Array.of(9, 9) } : slot)),
        })),
      }))
      if (index < chunks.length - 1) lying(index, () => ({ isLast: true, isCut: false }))
    }
    lying(0, ({ entries }) => ({ entries: entries.map((entry) => ({ ...entry, code: undefined })) }))
    lying(0, ({ entries }) => ({ entries: entries.map((entry) => ({ ...entry, code: Uint8Array.of(1) })) }))
    assert.throws(() => decodeChunk(new Uint8Array(SNAPSHOT_CHUNK_BYTES_MAX + 1)), DecodeError)
  })

  it('of nothing is one chunk', () => {
    const state = stateOf([])
    const chunks = chunksOf(state)
    assert.equal(chunks.length, 1)
    assertSameState(state.store, importOf(state, chunks))
  })
})
