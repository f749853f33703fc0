import { compareBytes, DecodeError, equalBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import { bytesToNibbles, commonLength, joinNibbles, type Nibbles, packPath } from './nibbles.ts'
import { childOf, decodeNode, type Node } from './node.ts'
import { encodeRlp } from './rlp.ts'
import { EMPTY_ROOT } from './trie.ts'

/** A key of a trie with its value; all keys of a trie have the same length. */
export interface TrieLeaf {
  readonly key: Uint8Array
  /** Not empty. */
  readonly value: Uint8Array
}

/** The leaves are not all that the trie has in the range, or not as it has them. */
export class RangeProofError extends Error {
  readonly code = 'BAD_RANGE'
  constructor(message: string) {
    super(message)
    this.name = 'RangeProofError'
  }
}

/**
 * Checks that `leaves` are exactly what the trie with this root has from key `first` to key `last`, both included: none
 * is missing, added or changed. The proof is that of both bounds (`Trie.prove`), whether there is something or not.
 *
 * It walks the nodes that lead to a bound from the root down, so that each is known by its hash before it is believed.
 * A subtree strictly inside the range must be the one that its leaves make; one outside is nobody's business.
 *
 * @param leaves sorted by key, each key once
 * @param proof nodes in any order, more than needed do no harm
 * @throws RangeProofError
 */
export function verifyRange(
  root: Uint8Array,
  first: Uint8Array,
  last: Uint8Array,
  leaves: readonly TrieLeaf[],
  proof: readonly Uint8Array[],
): void {
  if (compareBytes(first, last) > 0 || first.length !== last.length) throw new RangeProofError('bounds without a range')
  let before: Uint8Array | undefined
  for (const { key, value } of leaves) {
    if (key.length !== first.length || value.length === 0) throw new RangeProofError('a leaf that no trie has')
    if (compareBytes(key, first) < 0 || compareBytes(key, last) > 0) throw new RangeProofError('a leaf out of range')
    if (before && compareBytes(before, key) >= 0) throw new RangeProofError('leaves out of order')
    before = key
  }
  if (equalBytes(root, EMPTY_ROOT)) {
    if (leaves.length > 0) throw new RangeProofError('leaves of an empty trie')
    return
  }
  const nodes = new Map(proof.map((rlp) => [keccak256(rlp).toHex(), rlp]))
  const paths = leaves.map(({ key, value }): PathLeaf => ({ path: bytesToNibbles(key), value }))
  new RangeCheck(bytesToNibbles(first), bytesToNibbles(last), paths, nodes).check(root)
}

/** Root of the trie that holds exactly these. */
export function rootOfLeaves(leaves: readonly TrieLeaf[]): Uint8Array {
  if (leaves.length === 0) return EMPTY_ROOT
  const paths = leaves.map(({ key, value }) => ({ path: bytesToNibbles(key), value }))
  return keccak256(buildNode(paths, 0, paths.length, 0))
}

interface PathLeaf {
  readonly path: Nibbles
  readonly value: Uint8Array
}

type Place = 'inside' | 'outside' | 'across'

class RangeCheck {
  readonly #first: Nibbles
  readonly #last: Nibbles
  readonly #leaves: readonly PathLeaf[]
  readonly #nodes: ReadonlyMap<string, Uint8Array>

  constructor(first: Nibbles, last: Nibbles, leaves: readonly PathLeaf[], nodes: ReadonlyMap<string, Uint8Array>) {
    this.#first = first
    this.#last = last
    this.#leaves = leaves
    this.#nodes = nodes
  }

  check(root: Uint8Array): void {
    const none = new Uint8Array(0)
    const whole = this.#placeOf(none) === 'inside'
    const { length } = this.#leaves
    // Nothing lies outside: no node need be looked at.
    if (whole) this.#requireSame(length === 0 ? EMPTY_ROOT : keccak256(buildNode(this.#leaves, 0, length, 0)), root)
    else this.#across(this.#load(root), none, 0, length)
  }

  /** How the keys that begin with `prefix` lie to the range. */
  #placeOf(prefix: Nibbles): Place {
    // The least and the greatest of those keys, compared on the part that is fixed; the rest is 0…0 and f…f.
    const low = compareBytes(prefix, this.#first.subarray(0, prefix.length))
    const high = compareBytes(prefix, this.#last.subarray(0, prefix.length))
    if (low < 0 || high > 0) return 'outside'
    const fromStart = low > 0 || this.#first.subarray(prefix.length).every((nibble) => nibble === 0)
    const toEnd = high < 0 || this.#last.subarray(prefix.length).every((nibble) => nibble === 15)
    return fromStart && toEnd ? 'inside' : 'across'
  }

  /** A node on the way to a bound. Leaves from `from` to `to` are those that begin with `prefix`. */
  #across(node: Node, prefix: Nibbles, from: number, to: number): void {
    if (node.kind === 'unloaded') throw new Error('loaded by the caller')
    if (node.kind === 'branch') {
      let at = from
      for (let nibble = 0; nibble < 16; nibble++) {
        let end = at
        while (end < to && this.#leaves[end]!.path[prefix.length] === nibble) end++
        this.#child(childOf(node, nibble), appended(prefix, nibble), at, end)
        at = end
      }
      return
    }
    const path = joinNibbles(prefix, node.path)
    if (path.length > this.#first.length || (node.kind === 'leaf') !== (path.length === this.#first.length)) {
      throw new RangeProofError('a node deeper than its keys are long')
    }
    const below = this.#leaves.slice(from, to)
    if (below.some((leaf) => commonLength(path, leaf.path, 0) < path.length)) {
      throw new RangeProofError('a leaf where the trie has none')
    }
    if (node.kind === 'extension') {
      this.#child(node.child, path, from, to)
      return
    }
    const isIn = this.#placeOf(path) === 'inside'
    if (below.length !== (isIn ? 1 : 0)) throw new RangeProofError(isIn ? 'a leaf is missing' : 'a leaf too many')
    if (isIn && !equalBytes(below[0]!.value, node.value)) throw new RangeProofError('a leaf with another value')
  }

  #child(child: Node | undefined, prefix: Nibbles, from: number, to: number): void {
    const place = this.#placeOf(prefix)
    if (place === 'outside') return
    if (child === undefined) {
      if (from < to) throw new RangeProofError('leaves where the trie has none')
      return
    }
    if (place === 'across') {
      this.#across(this.#loaded(child), prefix, from, to)
      return
    }
    if (from === to) throw new RangeProofError('leaves are missing')
    const built = refOfRlp(buildNode(this.#leaves, from, to, prefix.length))
    this.#requireSame(built, child.ref!.subarray(child.refAt, child.refAt + child.refLength))
  }

  #loaded(node: Node): Node {
    return node.kind === 'unloaded' ? this.#load(node.ref.subarray(node.refAt + 1, node.refAt + node.refLength)) : node
  }

  #load(hash: Uint8Array): Node {
    const rlp = this.#nodes.get(hash.toHex())
    if (!rlp) throw new RangeProofError('a node on the way to a bound is missing')
    try {
      return decodeNode(rlp, rlp, 0, rlp.length, 0)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      throw new RangeProofError(`a node that is none: ${error.message}`)
    }
  }

  #requireSame(a: Uint8Array, b: Uint8Array): void {
    if (!equalBytes(a, b)) throw new RangeProofError('the leaves make another trie')
  }
}

/** RLP of the node above `leaves[from..to)`, which agree in their first `depth` nibbles. At least one. */
function buildNode(leaves: readonly PathLeaf[], from: number, to: number, depth: number): Uint8Array {
  const one = leaves[from]!
  if (to - from === 1) return encodeRlp([packPath(one.path.subarray(depth), true), one.value])
  const common = commonLength(one.path.subarray(depth), leaves[to - 1]!.path, depth)
  if (common > 0) {
    const child = refOfRlp(buildNode(leaves, from, to, depth + common))
    return listOf([encodeRlp(packPath(one.path.subarray(depth, depth + common), false)), child])
  }
  const refs: Uint8Array[] = []
  let at = from
  for (let nibble = 0; nibble < 16; nibble++) {
    let end = at
    while (end < to && leaves[end]!.path[depth] === nibble) end++
    refs.push(end === at ? NOTHING : refOfRlp(buildNode(leaves, at, end, depth + 1)))
    at = end
  }
  return listOf([...refs, NOTHING])
}

/** RLP of the empty string. */
const NOTHING = Uint8Array.of(0x80)

/** How a parent names a node: as it is if it is short, else by its hash. */
function refOfRlp(rlp: Uint8Array): Uint8Array {
  return rlp.length < 32 ? rlp : encodeRlp(keccak256(rlp))
}

/** RLP list of items that are RLP already. */
function listOf(items: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const item of items) length += item.length
  const header = length <= 55 ? [0xc0 + length] : length < 256 ? [0xf8, length] : [0xf9, length >> 8, length & 0xff]
  const bytes = new Uint8Array(header.length + length)
  bytes.set(header)
  let at = header.length
  for (const item of items) {
    bytes.set(item, at)
    at += item.length
  }
  return bytes
}

function appended(prefix: Nibbles, nibble: number): Nibbles {
  return joinNibbles(prefix, Uint8Array.of(nibble))
}
