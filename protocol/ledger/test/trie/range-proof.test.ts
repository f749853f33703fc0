import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { compareBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import fc from 'fast-check'
import { RangeProofError, rootOfLeaves, type TrieLeaf, verifyRange } from '../../src/trie/range-proof.ts'
import { EMPTY_ROOT, Trie } from '../../src/trie/trie.ts'

/** Short keys meet often; values short enough to lie in their parents, and long ones. */
const key = fc.oneof(
  fc.uint8Array({ minLength: 3, maxLength: 3 }),
  fc.uint8Array({ minLength: 3, maxLength: 3, max: 3 }),
)
const value = fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 4 }), fc.uint8Array({ minLength: 33, maxLength: 60 }))
const leavesOf = fc
  .uniqueArray(fc.record({ key, value }, { noNullPrototype: true }), {
    selector: (leaf) => leaf.key.toHex(),
    maxLength: 40,
  })
  .map((leaves) => leaves.sort((a, b) => compareBytes(a.key, b.key)))
const bounds = fc.tuple(key, key).map(([a, b]): [Uint8Array, Uint8Array] => (compareBytes(a, b) <= 0 ? [a, b] : [b, a]))

const NOWHERE = { read: () => undefined, write() {} }

function trieOf(leaves: readonly TrieLeaf[]): { trie: Trie; root: Uint8Array } {
  const trie = new Trie(NOWHERE)
  for (const leaf of leaves) trie.put(leaf.key, leaf.value)
  return { trie, root: trie.commit() }
}

function within(leaves: readonly TrieLeaf[], first: Uint8Array, last: Uint8Array): TrieLeaf[] {
  return leaves.filter((leaf) => compareBytes(leaf.key, first) >= 0 && compareBytes(leaf.key, last) <= 0)
}

const refused = (work: () => void) => assert.throws(work, RangeProofError)

describe('the root of leaves', () => {
  it('is that of the trie that they make', () => {
    fc.assert(fc.property(leavesOf, (leaves) => assert.deepEqual(rootOfLeaves(leaves), trieOf(leaves).root)))
  })
})

describe('a range of a trie', () => {
  it('is proven by the nodes on the way to its bounds, whether there is something at them or not', () => {
    fc.assert(
      fc.property(leavesOf, bounds, (leaves, [first, last]) => {
        const { trie, root } = trieOf(leaves)
        const proof = [...trie.prove(first), ...trie.prove(last)]
        verifyRange(root, first, last, within(leaves, first, last), proof)
      }),
      { numRuns: 500 },
    )
  })

  it('is proven without any node if it is everything', () => {
    fc.assert(
      fc.property(leavesOf, (leaves) => {
        const { root } = trieOf(leaves)
        verifyRange(root, new Uint8Array(3), new Uint8Array(3).fill(255), leaves, [])
      }),
    )
  })

  it('is refused if a leaf is missing, added, changed or moved', () => {
    fc.assert(
      fc.property(leavesOf, bounds, fc.nat(), key, value, (leaves, [first, last], nat, otherKey, otherValue) => {
        const { trie, root } = trieOf(leaves)
        const proof = [...trie.prove(first), ...trie.prove(last)]
        const range = within(leaves, first, last)
        const check = (some: readonly TrieLeaf[]) => verifyRange(root, first, last, some, proof)
        const place = range.length === 0 ? 0 : nat % range.length
        if (range.length > 0) {
          refused(() => check(range.toSpliced(place, 1)))
          const { key: old, value: was } = range[place]!
          if (compareBytes(was, otherValue) !== 0) {
            refused(() => check(range.toSpliced(place, 1, { key: old, value: otherValue })))
          }
          if (!leaves.some((leaf) => compareBytes(leaf.key, otherKey) === 0)) {
            const moved = range.toSpliced(place, 1, { key: otherKey, value: was })
            refused(() => check(moved.sort((a, b) => compareBytes(a.key, b.key))))
          }
        }
        if (!leaves.some((leaf) => compareBytes(leaf.key, otherKey) === 0)) {
          const more = [...range, { key: otherKey, value: otherValue }]
          refused(() => check(more.sort((a, b) => compareBytes(a.key, b.key))))
        }
      }),
      { numRuns: 500 },
    )
  })

  it('is refused with bounds that leave out or take in a leaf', () => {
    fc.assert(
      fc.property(leavesOf, bounds, bounds, (leaves, [first, last], [otherFirst, otherLast]) => {
        const { trie, root } = trieOf(leaves)
        const range = within(leaves, first, last)
        const proof = [first, last, otherFirst, otherLast].flatMap((bound) => trie.prove(bound))
        const other = within(leaves, otherFirst, otherLast)
        const isSame = other.length === range.length && other.every((leaf, index) => leaf === range[index])
        const check = () => verifyRange(root, otherFirst, otherLast, range, proof)
        if (isSame) check()
        else refused(check)
      }),
      { numRuns: 500 },
    )
  })

  it('is refused without a node that leads to a bound, with a bit of one changed, or against another root', () => {
    fc.assert(
      fc.property(leavesOf, bounds, fc.nat(), (leaves, [first, last], nat) => {
        const { trie, root } = trieOf(leaves)
        const range = within(leaves, first, last)
        const unique = new Map([...trie.prove(first), ...trie.prove(last)].map((node) => [node.toHex(), node]))
        const proof = [...unique.values()]
        const isEverything = first.every((byte) => byte === 0) && last.every((byte) => byte === 255)
        if (proof.length > 0 && !isEverything) {
          const place = nat % proof.length
          const changed = proof[place]!.slice()
          changed[nat % changed.length]! ^= 1 << (nat % 8)
          // The root leads to all bounds; others may lead where nothing is asked for.
          refused(() =>
            verifyRange(
              root,
              first,
              last,
              range,
              proof.filter((node) => compareBytes(keccak256(node), root) !== 0),
            ),
          )
          if (compareBytes(keccak256(proof[place]!), root) === 0) {
            refused(() => verifyRange(root, first, last, range, proof.toSpliced(place, 1, changed)))
          }
        }
        refused(() => verifyRange(keccak256(root), first, last, range, proof))
      }),
    )
  })

  it('is refused for leaves out of order, twice, empty, or of another length, and for bounds the wrong way round', () => {
    const leaves = [1, 2, 3].map((byte) => ({ key: Uint8Array.of(byte, 0, 0), value: Uint8Array.of(byte) }))
    const { root } = trieOf(leaves)
    const [low, high] = [new Uint8Array(3), new Uint8Array(3).fill(255)]
    verifyRange(root, low, high, leaves, [])
    refused(() => verifyRange(root, low, high, leaves.toReversed(), []))
    refused(() => verifyRange(root, low, high, [...leaves, leaves[2]!], []))
    refused(() => verifyRange(root, low, high, [{ key: leaves[0]!.key, value: new Uint8Array(0) }], []))
    refused(() => verifyRange(root, low, high, [{ key: new Uint8Array(2), value: Uint8Array.of(1) }], []))
    refused(() => verifyRange(root, high, low, leaves, []))
    refused(() => verifyRange(EMPTY_ROOT, low, high, leaves, []))
    verifyRange(EMPTY_ROOT, low, high, [], [])
  })
})
