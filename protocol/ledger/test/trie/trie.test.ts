import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { keccak256 } from '@cumulus/hash'
import { createMPT, type MerklePatriciaTrie, verifyMPTWithMerkleProof } from '@ethereumjs/mpt'
import fc from 'fast-check'
import { EMPTY_ROOT, type NodeStore, noNodeStore, Trie } from '../../src/trie/trie.ts'

/** A store by path that counts what it holds. */
class PathStore implements NodeStore {
  readonly nodes = new Map<string, Uint8Array>()
  read(path: Uint8Array): Uint8Array | undefined {
    return this.nodes.get(path.join('.'))
  }
  write(path: Uint8Array, rlp: Uint8Array | undefined, before?: Uint8Array): void {
    // What the trie says it replaces is what the store holds.
    if (before) assert.deepEqual(before, this.nodes.get(path.join('.')) ?? new Uint8Array(0))
    if (rlp === undefined) this.nodes.delete(path.join('.'))
    else this.nodes.set(path.join('.'), rlp)
  }
}

// Keys of two bytes from few nibbles share long paths: forks, extensions and collapses come often. Short values make
// nodes below 32 bytes, long ones nodes above.
const nibble = fc.constantFrom(0, 1, 2, 15)
const shortKey = fc
  .tuple(nibble, nibble, nibble, nibble)
  .map(([a, b, c, d]) => Uint8Array.of((a << 4) | b, (c << 4) | d))
const hashedKey = fc.integer({ min: 0, max: 40 }).map((i) => keccak256(Uint8Array.of(i)))
const anyValue = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 3 }),
  fc.uint8Array({ minLength: 30, maxLength: 40 }),
)
const blocksOf = (key: fc.Arbitrary<Uint8Array>) =>
  fc.array(fc.array(fc.tuple(key, fc.option(anyValue, { nil: undefined })), { maxLength: 14 }), {
    minLength: 1,
    maxLength: 6,
  })

/** Runs blocks of puts and deletes on both tries; `between` gets ours after each commit and may replace it. */
async function runBoth(
  blocks: [Uint8Array, Uint8Array | undefined][][],
  store: NodeStore,
  between: (trie: Trie, root: Uint8Array) => Trie,
): Promise<{ trie: Trie; oracle: MerklePatriciaTrie; content: Map<string, Uint8Array> }> {
  const oracle = await createMPT()
  const content = new Map<string, Uint8Array>()
  let trie = new Trie(store)
  for (const block of blocks) {
    for (const [key, value] of block) {
      if (value === undefined) {
        trie.delete(key)
        await oracle.del(key)
        content.delete(key.toHex())
      } else {
        trie.put(key, value)
        await oracle.put(key, value)
        content.set(key.toHex(), value)
      }
    }
    const root = trie.commit()
    assert.equal(root.toHex(), oracle.root().toHex())
    trie = between(trie, root)
  }
  return { trie, oracle, content }
}

for (const [name, key] of [
  ['short keys', shortKey],
  ['hashed keys', hashedKey],
] as const) {
  describe(`a trie with ${name}`, () => {
    it('has the root that @ethereumjs/mpt computes, whatever was put and deleted', async () => {
      await fc.assert(
        fc.asyncProperty(blocksOf(key), async (blocks) => {
          const { trie, content } = await runBoth(blocks, noNodeStore, (same) => same)
          for (const [hex, value] of content) assert.deepEqual(trie.get(Uint8Array.fromHex(hex)), value)
        }),
      )
    })

    it('has the same root when it is loaded anew from the store before each block', async () => {
      await fc.assert(
        fc.asyncProperty(blocksOf(key), async (blocks) => {
          const store = new PathStore()
          const { trie, content } = await runBoth(blocks, store, (_, root) => new Trie(store, root))
          for (const [hex, value] of content) assert.deepEqual(trie.get(Uint8Array.fromHex(hex)), value)
        }),
      )
    })

    it('has the same root when it lets go of its nodes', async () => {
      await fc.assert(
        fc.asyncProperty(blocksOf(key), fc.integer({ min: 0, max: 30 }), async (blocks, keep) => {
          await runBoth(blocks, new PathStore(), (trie) => {
            trie.unload(keep)
            assert.ok(trie.nodeCount <= keep)
            return trie
          })
        }),
      )
    })

    it('leaves no node in the store that it does not need', async () => {
      await fc.assert(
        fc.asyncProperty(blocksOf(key), async (blocks) => {
          const [used, fresh] = [new PathStore(), new PathStore()]
          const { content } = await runBoth(blocks, used, (_, root) => new Trie(used, root))
          const rebuilt = new Trie(fresh)
          for (const [hex, value] of content) rebuilt.put(Uint8Array.fromHex(hex), value)
          rebuilt.commit()
          assert.deepEqual(new Map([...used.nodes].sort()), new Map([...fresh.nodes].sort()))
        }),
      )
    })

    it('proves what is there and what is not to the verifier of @ethereumjs/mpt', async () => {
      await fc.assert(
        fc.asyncProperty(blocksOf(key), key, async (blocks, asked) => {
          const store = new PathStore()
          const { oracle, trie, content } = await runBoth(blocks, store, (_, root) => new Trie(store, root))
          if (content.size === 0) return
          const value = await verifyMPTWithMerkleProof(await createMPT(), oracle.root(), asked, trie.prove(asked))
          assert.deepEqual(value ?? undefined, content.get(asked.toHex()))
        }),
      )
    })
  })
}

describe('a trie', () => {
  it('is the empty root when all is deleted, and leaves the store empty', () => {
    const store = new PathStore()
    const trie = new Trie(store)
    const keys = Array.from({ length: 50 }, (_, i) => keccak256(Uint8Array.of(i)))
    for (const key of keys) trie.put(key, key)
    trie.commit()
    assert.ok(store.nodes.size > 50)
    for (const key of keys) trie.delete(key)
    assert.deepEqual(trie.commit(), EMPTY_ROOT)
    assert.equal(store.nodes.size, 0)
  })

  it('writes only the path to what changed', () => {
    let written = 0
    const store = new PathStore()
    const counting: NodeStore = {
      read: (path) => store.read(path),
      write: (path, rlp, before) => {
        written++
        store.write(path, rlp, before)
      },
    }
    const trie = new Trie(counting)
    for (let i = 0; i < 4096; i++) trie.put(keccak256(Uint8Array.of(i >> 8, i & 255)), Uint8Array.of(1))
    trie.commit()
    written = 0
    trie.put(keccak256(Uint8Array.of(0, 0)), Uint8Array.of(2))
    trie.commit()
    assert.ok(written >= 3 && written <= 6, `${written} nodes`)
  })

  it('refuses a damaged node', () => {
    const store = new PathStore()
    const trie = new Trie(store)
    for (let i = 0; i < 20; i++) trie.put(keccak256(Uint8Array.of(i)), Uint8Array.of(1))
    const root = trie.commit()
    const damaged = store.nodes.get('')!.slice()
    damaged[40]! ^= 1
    store.nodes.set('', damaged)
    assert.throws(() => new Trie(store, root).get(keccak256(Uint8Array.of(3))), /damaged/)
    store.nodes.delete('')
    assert.throws(() => new Trie(store, root).get(keccak256(Uint8Array.of(3))), /lost/)
  })

  it('refuses a key that is a prefix of another, and empty values', () => {
    const trie = new Trie()
    trie.put(Uint8Array.of(1, 2), Uint8Array.of(1))
    assert.throws(() => trie.put(Uint8Array.of(1), Uint8Array.of(1)), /prefix/)
    assert.throws(() => trie.put(Uint8Array.of(1, 3), new Uint8Array(0)), /empty/)
  })
})
