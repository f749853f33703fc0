import assert from 'node:assert/strict'
import { equalBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import { appendNibble, bytesToNibbles, commonLength, joinNibbles, type Nibbles, prependNibble } from './nibbles.ts'
import {
  type Branch,
  branch,
  childOf,
  decodeNode,
  type Extension,
  encodeNode,
  extension,
  HASH_REF_BYTES,
  type Leaf,
  leaf,
  type Node,
  refOf,
  type Unloaded,
  unloaded,
} from './node.ts'

/** keccak256(rlp('')): the root of a trie that holds nothing. */
export const EMPTY_ROOT = Uint8Array.fromHex('56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421')

/** Where nodes are kept between blocks, by path. Writes replace; a value of undefined removes. */
export interface NodeStore {
  /** @param hash of the node wanted */
  read(path: Nibbles, hash: Uint8Array): Uint8Array | undefined
  /**
   * @param path used again when the call is over
   * @param before what lies there now, where the trie knows; empty if nothing does
   */
  write(path: Nibbles, rlp: Uint8Array | undefined, before?: Uint8Array): void
}

/** For tries that live for one computation only. */
export const noNodeStore: NodeStore = {
  read() {
    throw new Error('this trie is not stored')
  },
  write() {},
}

/**
 * Ethereum's hexary Merkle-Patricia trie, synchronous. Changes are made in memory by `put` and `delete`; `commit` hashes
 * what changed and hands the nodes to the store. Nodes are kept *by path*, so that an old version is overwritten in place
 * and nothing has to be collected; they are loaded when first walked through and let go by `unload`.
 *
 * No key may be a prefix of another.
 */
export class Trie {
  readonly #store: NodeStore
  #root: Node | undefined
  #generation = 0
  /** Whether the operation under way changed anything. */
  #changed = false
  /** Paths where a stored node may have ceased to be, as strings of one char per nibble. */
  readonly #stale = new Set<string>()
  #nodeCount = 0
  /** Where `#hash` is. */
  #path: Nibbles = new Uint8Array(64)

  constructor(store: NodeStore = noNodeStore, root: Uint8Array = EMPTY_ROOT) {
    this.#store = store
    this.#root = equalBytes(root, EMPTY_ROOT) ? undefined : unloaded(hashRef(root), 0)
  }

  /** Nodes held in memory; an upper bound between calls of `unload`. */
  get nodeCount(): number {
    return this.#nodeCount
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#walk(bytesToNibbles(key), undefined)
  }

  /** @param value not empty */
  put(key: Uint8Array, value: Uint8Array): void {
    assert(value.length > 0, 'a trie holds no empty values: delete the key')
    this.#changed = false
    this.#root = this.#insert(this.#root, bytesToNibbles(key), 0, value)
  }

  delete(key: Uint8Array): void {
    this.#changed = false
    this.#root = this.#remove(this.#root, bytesToNibbles(key), 0)
  }

  /** Hashes and stores what changed since the last commit. */
  commit(): Uint8Array {
    this.#generation++
    const root = this.#root
    let hash: Uint8Array
    if (root === undefined) {
      hash = EMPTY_ROOT
      if (this.#stale.size > 0) this.#stale.add('')
    } else {
      this.#hash(root, 0)
      hash = refOf(root).slice(1)
    }
    for (const path of this.#stale) this.#store.write(stringToPath(path), undefined)
    this.#stale.clear()
    return hash
  }

  /**
   * The nodes from the root to `key`, or to where it would be: what `eth_getProof` returns. Only between a commit and
   * the next change.
   */
  prove(key: Uint8Array): Uint8Array[] {
    const proof: Uint8Array[] = []
    this.#walk(bytesToNibbles(key), proof)
    return proof
  }

  /**
   * Lets go of nodes not visited since the commit before the last one; if more than `keepCount` remain, of all but the
   * root. Only between a commit and the next change.
   */
  unload(keepCount: number): void {
    if (this.#root === undefined || this.#root.kind === 'unloaded') return
    this.#nodeCount = this.#unloadBelow(this.#root, this.#generation - 1)
    if (this.#nodeCount > keepCount) {
      this.#root = unloaded(this.#root.ref!, this.#root.refAt)
      this.#nodeCount = 0
    }
  }

  #load({ ref, refAt, refLength }: Unloaded, path: Nibbles): Leaf | Extension | Branch {
    const hash = ref.subarray(refAt + 1, refAt + refLength)
    // Copied, because the node keeps it and the store's may be gone with its next write.
    const rlp = this.#store.read(path, hash)?.slice()
    // A node that is not what its parent names means a damaged store: going on would fork the chain.
    if (rlp === undefined || !equalBytes(keccak256(rlp), hash)) {
      assert.fail(`trie node at "${path.join('.')}" is ${rlp ? 'damaged' : 'lost'}`)
    }
    this.#nodeCount++
    return decodeNode(rlp, ref, refAt, refLength, this.#generation)
  }

  #walk(key: Nibbles, proof: Uint8Array[] | undefined): Uint8Array | undefined {
    let node = this.#root
    let at = 0
    let replace: (loaded: Node) => void = (loaded) => {
      this.#root = loaded
    }
    while (node !== undefined) {
      if (node.kind === 'unloaded') {
        node = this.#load(node, key.subarray(0, at))
        replace(node)
      }
      node.usedIn = this.#generation
      // A node shorter than 32 bytes is part of its parent, except for the root.
      if (proof && (at === 0 || node.refLength === HASH_REF_BYTES)) proof.push(node.source!.slice())
      if (node.kind === 'leaf') {
        return commonLength(node.path, key, at) === node.path.length ? node.value : undefined
      }
      if (node.kind === 'extension') {
        if (commonLength(node.path, key, at) !== node.path.length) return undefined
        at += node.path.length
        const parent: Extension = node
        replace = (loaded) => {
          parent.child = loaded
        }
        node = parent.child
      } else {
        const index: number = key[at++]!
        const parent: Branch = node
        replace = (loaded) => {
          parent.children[index] = loaded
        }
        node = childOf(parent, index)
      }
    }
    return undefined
  }

  #insert(node: Node | undefined, key: Nibbles, at: number, value: Uint8Array): Node {
    if (node === undefined) return this.#newLeaf(key.slice(at), value)
    if (node.kind === 'unloaded') node = this.#load(node, key.subarray(0, at))
    node.usedIn = this.#generation
    if (node.kind === 'branch') {
      const index = key[at]
      assert(index !== undefined, 'a key is a prefix of another')
      node.children[index] = this.#insert(childOf(node, index), key, at + 1, value)
      if (this.#changed) node.ref = undefined
      return node
    }
    const common = commonLength(node.path, key, at)
    if (common === node.path.length) {
      if (node.kind === 'extension') {
        node.child = this.#insert(node.child, key, at + common, value)
        if (this.#changed) node.ref = undefined
        return node
      }
      assert(at + common === key.length, 'a key is a prefix of another')
      if (equalBytes(node.value, value)) return node
      node.value = value
      node.ref = undefined
      this.#changed = true
      return node
    }
    assert(at + common < key.length, 'a key is a prefix of another')
    // The path forks here.
    const fork = branch(this.#generation)
    const rest = node.path.slice(common + 1)
    if (node.kind === 'leaf') fork.children[node.path[common]!] = leaf(rest, node.value, this.#generation, NOTHING)
    else {
      fork.children[node.path[common]!] =
        rest.length > 0 ? extension(rest, node.child, this.#generation, NOTHING) : node.child
    }
    fork.children[key[at + common]!] = this.#newLeaf(key.slice(at + common + 1), value)
    this.#nodeCount += 2
    return common > 0 ? extension(key.slice(at, at + common), fork, this.#generation) : fork
  }

  /** Where no node led before, none lies in the store, but for stale ones. */
  #newLeaf(path: Nibbles, value: Uint8Array): Leaf {
    this.#changed = true
    this.#nodeCount++
    return leaf(path, value, this.#generation, NOTHING)
  }

  #remove(node: Node | undefined, key: Nibbles, at: number): Node | undefined {
    if (node === undefined) return undefined
    if (node.kind === 'unloaded') node = this.#load(node, key.subarray(0, at))
    node.usedIn = this.#generation
    if (node.kind === 'leaf') {
      if (at + node.path.length !== key.length || commonLength(node.path, key, at) !== node.path.length) return node
      this.#changed = true
      this.#forget(key.subarray(0, at))
      return undefined
    }
    if (node.kind === 'extension') {
      const below = at + node.path.length
      if (commonLength(node.path, key, at) !== node.path.length) return node
      const child = this.#remove(node.child, key, below)
      if (!this.#changed) {
        node.child = child!
        return node
      }
      assert(child !== undefined, 'an extension leads to a branch')
      if (child.kind === 'branch') {
        node.child = child
        node.ref = undefined
        return node
      }
      return this.#merge(node.path, child, key.subarray(0, below))
    }
    const index = key[at]
    assert(index !== undefined, 'a key is a prefix of another')
    node.children[index] = this.#remove(childOf(node, index), key, at + 1)
    if (!this.#changed) return node
    node.ref = undefined
    if (node.children[index] !== undefined) return node
    let last = -1
    for (let i = 0; i < 16; i++) {
      if (node.children[i] === undefined) continue
      if (last >= 0) return node
      last = i
    }
    // One child is left: the branch gives way to it.
    const path = appendNibble(key.subarray(0, at), last)
    let child = childOf(node, last)!
    if (child.kind === 'unloaded') child = this.#load(child, path)
    return this.#merge(path.subarray(at), child, path)
  }

  /** `child`, which lay at `childPath`, now begins with `path` and lies where that begins. */
  #merge(path: Nibbles, child: Node, childPath: Nibbles): Node {
    assert(child.kind !== 'unloaded')
    if (child.kind === 'branch') return extension(path.slice(), child, this.#generation)
    this.#forget(childPath)
    const joined = path.length === 1 ? prependNibble(path[0]!, child.path) : joinNibbles(path, child.path)
    return child.kind === 'leaf'
      ? leaf(joined, child.value, this.#generation)
      : extension(joined, child.child, this.#generation)
  }

  #forget(path: Nibbles): void {
    this.#stale.add(pathToString(path))
  }

  /** Hashes a node, and what changed below it, and stores both. The first `depth` nibbles of `#path` lead to it. */
  #hash(node: Node, depth: number): void {
    if (node.kind === 'unloaded' || node.ref !== undefined) return
    if (node.kind === 'branch') {
      this.#reach(depth + 1)
      const { children } = node
      for (let i = 0; i < 16; i++) {
        const child = children[i]
        if (child === undefined || typeof child === 'number' || child.ref !== undefined) continue
        this.#path[depth] = i
        this.#hash(child, depth + 1)
      }
    } else if (node.kind === 'extension' && node.child.ref === undefined) {
      this.#reach(depth + node.path.length)
      this.#path.set(node.path, depth)
      this.#hash(node.child, depth + node.path.length)
    }
    const before = storedOf(node, depth)
    const rlp = encodeNode(node)
    const path = this.#path.subarray(0, depth)
    if (rlp.length < 32 && depth > 0) {
      node.ref = rlp
      this.#forget(path)
    } else {
      node.ref = hashRef(keccak256(rlp))
      const wasStale = this.#stale.size > 0 && this.#stale.delete(pathToString(path))
      this.#store.write(path, rlp, wasStale ? undefined : before)
    }
    node.source = rlp
    node.refAt = 0
    node.refLength = node.ref.length
  }

  #reach(depth: number): void {
    if (depth <= this.#path.length) return
    const longer = new Uint8Array(2 * depth)
    longer.set(this.#path)
    this.#path = longer
  }

  #unloadBelow(node: Node, since: number): number {
    let count = 1
    if (node.kind === 'extension') {
      if (isIdle(node.child, since)) node.child = unloaded(node.child.ref!, node.child.refAt)
      else if (node.child.kind !== 'unloaded') count += this.#unloadBelow(node.child, since)
    } else if (node.kind === 'branch') {
      for (let i = 0; i < 16; i++) {
        const child = node.children[i]
        if (child === undefined || typeof child === 'number' || child.kind === 'unloaded') continue
        if (isIdle(child, since)) {
          node.children[i] = child.ref === node.source ? child.refAt : unloaded(child.ref!, child.refAt)
        } else count += this.#unloadBelow(child, since)
      }
    }
    return count
  }
}

const NOTHING = new Uint8Array(0)

/** What the store holds at the path of a node that has changed, if that is known. */
function storedOf({ source }: Exclude<Node, Unloaded>, depth: number): Uint8Array | undefined {
  return source !== undefined && source.length < 32 && depth > 0 ? NOTHING : source
}

/** Whether a node can be dropped: it is stored under its own path, and nobody came by since. */
function isIdle(node: Node, since: number): boolean {
  return node.kind !== 'unloaded' && node.usedIn < since && node.refLength === HASH_REF_BYTES
}

function hashRef(hash: Uint8Array): Uint8Array {
  const ref = new Uint8Array(33)
  ref[0] = 0xa0
  ref.set(hash, 1)
  return ref
}

function pathToString(path: Nibbles): string {
  return String.fromCharCode(...path)
}

function stringToPath(text: string): Nibbles {
  return Uint8Array.from(text, (char) => char.charCodeAt(0))
}
