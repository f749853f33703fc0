import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { keccak256 } from '@cumulus/hash'
import type { Address } from '@cumulus/types'
import { JournaledState } from '../../src/state/journaled-state.ts'
import { MemoryLedgerStore } from '../../src/state/ledger-store.ts'
import { readerOf } from '../../src/state/state-reader.ts'
import { StateTrie } from '../../src/trie/state-trie.ts'

const BLOCKS = 8
const PER_BLOCK = 500
const limits = { cachedAccounts: 400, cachedSlots: 600, cachedCodeBytes: 10_000 }
const TRIE_NODES = 600

const addressOf = (index: number): Address =>
  `0x${keccak256(Uint8Array.of(index >> 16, index >> 8, index))
    .subarray(12)
    .toHex()}`
const codeOf = (index: number) => new Uint8Array(1_000).fill(index % 251).fill(index >> 8, 0, 1)

/** Accounts, some with code and slots; every block also reads and changes some of long ago. */
function fill(state: JournaledState, block: number): void {
  for (let i = block * PER_BLOCK; i < (block + 1) * PER_BLOCK; i++) {
    const address = addressOf(i)
    state.setBalance(address, BigInt(i) + 1n)
    if (i % 20 === 0) state.setCode(address, codeOf(i))
    if (i % 100 === 0) for (let slot = 0n; slot < 100n; slot++) state.setStorage(address, slot, BigInt(i) + slot + 1n)
    const old = addressOf((i * 7_919) % (block * PER_BLOCK + 1))
    state.setNonce(old, state.getNonce(old) + 1n)
    state.getCode(old)
    state.getStorage(old, BigInt(i % 100))
  }
}

function run(isBounded: boolean) {
  const store = new MemoryLedgerStore()
  const reader = readerOf(store)
  const state = new JournaledState(reader, isBounded ? limits : {})
  const trie = new StateTrie(reader, undefined, isBounded ? TRIE_NODES : 10 ** 9)
  const most = { accounts: 0, slots: 0, codeBytes: 0, nodes: 0 }
  let root: Uint8Array | undefined
  for (let block = 0; block < BLOCKS; block++) {
    fill(state, block)
    const applied = trie.apply(state.writeSet())
    store.write(applied.writes)
    state.endBlock(applied.storageRoots)
    root = applied.root
    const { accounts, slots, codeBytes } = state.cached
    most.accounts = Math.max(most.accounts, accounts)
    most.slots = Math.max(most.slots, slots)
    most.codeBytes = Math.max(most.codeBytes, codeBytes)
    most.nodes = Math.max(most.nodes, trie.nodeCount)
  }
  return { root, state, most, store }
}

describe('a state much larger than what may be kept in memory', () => {
  it('keeps to its limits after each block, and is the same state', () => {
    const [bounded, whole] = [run(true), run(false)]
    const { accounts, slots, codeBytes, nodes } = bounded.most
    assert.ok(accounts <= limits.cachedAccounts && accounts > 0, `${accounts} accounts`)
    assert.ok(slots <= limits.cachedSlots, `${slots} slots`)
    assert.ok(codeBytes <= limits.cachedCodeBytes && codeBytes > 0, `${codeBytes} bytes of code`)
    assert.ok(nodes <= TRIE_NODES, `${nodes} nodes`)
    assert.deepEqual(bounded.root, whole.root)
    assert.ok(bounded.store.equals(whole.store))
    // The other one had far more in memory.
    assert.ok(whole.most.accounts >= BLOCKS * PER_BLOCK && whole.most.nodes > 5 * TRIE_NODES)
    for (let i = 0; i < BLOCKS * PER_BLOCK; i += 100) {
      const address = addressOf(i)
      assert.equal(bounded.state.getBalance(address), BigInt(i) + 1n)
      assert.deepEqual(bounded.state.getCode(address), codeOf(i))
      assert.equal(bounded.state.getStorage(address, 50n), BigInt(i) + 51n)
    }
  })
})
