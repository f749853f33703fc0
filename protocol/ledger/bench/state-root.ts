/**
 * Time to root and write `dirty` slots of one account that has `leaves` slots, with warm and with empty node memory,
 * beside `@ethereumjs/mpt` at a size it can be filled to.
 *
 *     node --conditions=@cumulus/source protocol/ledger/bench/state-root.ts [leaves] [dirty] [leaves of the reference]
 */
import { keccak256 } from '@cumulus/hash'
import { createMPT } from '@ethereumjs/mpt'
import type { DirtyAccount } from '../src/state/journaled-state.ts'
import { MemoryLedgerStore } from '../src/state/ledger-store.ts'
import { readerOf } from '../src/state/state-reader.ts'
import { encodeRlp, wordToBytes } from '../src/trie/rlp.ts'
import { StateTrie } from '../src/trie/state-trie.ts'
import { EMPTY_ROOT } from '../src/trie/trie.ts'

const [leaves = 500_000, dirty = 1_000, referenceLeaves = 10_000] = process.argv.slice(2).map(Number)

const address = new Uint8Array(20).fill(7)
let storageRoot = EMPTY_ROOT
function change(slots: { slot: bigint; value: bigint }[]): DirtyAccount {
  return { address, nonce: 1n, balance: 0n, storageRoot, codeHash: keccak256(address), newCode: undefined, slots }
}

const store = new MemoryLedgerStore()
let trie = new StateTrie(readerOf(store))
let root = EMPTY_ROOT
function apply(slots: { slot: bigint; value: bigint }[]): number {
  const account = change(slots)
  const start = performance.now()
  const applied = trie.apply([account])
  const ms = performance.now() - start
  store.write(applied.writes)
  storageRoot = applied.storageRoots.get(account)!
  root = applied.root
  return ms
}

for (let from = 0; from < leaves; from += 10_000) {
  apply(Array.from({ length: Math.min(10_000, leaves - from) }, (_, i) => ({ slot: BigInt(from + i), value: 1n })))
}
// A fixed sequence that jumps about: multiplication by a prime modulo the number of leaves.
let step = 1
const someSlots = (value: bigint) =>
  Array.from({ length: dirty }, () => ({ slot: BigInt((step++ * 7_919) % leaves), value }))

const warm: number[] = []
const cold: number[] = []
for (let round = 2n; round < 9n; round++) {
  warm.push(apply(someSlots(round)))
  trie = new StateTrie(readerOf(store), root)
  cold.push(apply(someSlots(round)))
}

const reference = await createMPT()
for (let i = 0; i < referenceLeaves; i++) await reference.put(keccak256(wordToBytes(BigInt(i))), encodeRlp(1))
const theirs: number[] = []
for (let round = 2; round < 5; round++) {
  const start = performance.now()
  for (let i = 0; i < dirty; i++) {
    await reference.put(keccak256(wordToBytes(BigInt((step++ * 7_919) % referenceLeaves))), encodeRlp(round))
  }
  theirs.push(performance.now() - start)
}

const perSlot = (ms: number) => `${((ms * 1000) / dirty).toFixed(1)} µs/slot`
const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!
process.stdout.write(
  [
    `${dirty} dirty of ${leaves}: warm ${median(warm).toFixed(1)} ms (${perSlot(median(warm))}), cold ${median(cold).toFixed(1)} ms (${perSlot(median(cold))})`,
    `@ethereumjs/mpt, ${referenceLeaves} leaves: ${perSlot(median(theirs))}`,
    `root ${root.toHex().slice(0, 16)} · heap ${(process.memoryUsage().heapUsed / 2 ** 20).toFixed(0)} MiB with the store in it`,
    '',
  ].join('\n'),
)
