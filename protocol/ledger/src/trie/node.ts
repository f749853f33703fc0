import { DecodeError } from '@cumulus/bytes'
import { type Nibbles, packPath, unpackPath } from './nibbles.ts'
import { encodeRlp, type RlpHeader, readHeader } from './rlp.ts'

/**
 * Nodes of a hexary Merkle-Patricia trie (yellow paper, appendix D).
 *
 * A *ref* is how the parent names a node: 0xa0 and its hash (33 bytes), or the node itself where its RLP is shorter than
 * 32 bytes. It lies at `refAt` of `ref`, which for nodes from the store is the RLP of the parent: one array serves
 * sixteen children, where an array for each was a third of the time, all of it garbage collection. `ref` is undefined
 * while the node, or one below it, differs from what was last hashed.
 */
export type Node = Leaf | Extension | Branch | Unloaded

/** Length of a ref that is a hash. */
export const HASH_REF_BYTES = 33

interface Loaded {
  ref: Uint8Array | undefined
  refAt: number
  refLength: number
  /** Generation of the last visit, by which memory is given back. */
  usedIn: number
  /**
   * RLP of the node when it was last loaded or hashed, which is what lies in the store at its path (unless it is too
   * short to be stored); empty if nothing lies there; undefined if that is not known. Refs of a branch's children lie in
   * it, unless they have changed.
   */
  source: Uint8Array | undefined
}

export interface Leaf extends Loaded {
  readonly kind: 'leaf'
  readonly path: Nibbles
  value: Uint8Array
}

export interface Extension extends Loaded {
  readonly kind: 'extension'
  readonly path: Nibbles
  child: Node
}

/** Keys of one trie are never prefixes of each other here (hashes; RLP of indices), so a branch holds no value. */
export interface Branch extends Loaded {
  readonly kind: 'branch'
  /** A number is where in `source` the hash of a child lies that was never visited: most of sixteen. See `childOf`. */
  readonly children: (Node | number | undefined)[]
}

/** A node that lies in the store at its path. */
export interface Unloaded {
  readonly kind: 'unloaded'
  ref: Uint8Array
  refAt: number
  readonly refLength: number
}

export function unloaded(ref: Uint8Array, refAt: number): Unloaded {
  return { kind: 'unloaded', ref, refAt, refLength: HASH_REF_BYTES }
}

/** A child as a node: one that was never visited becomes an object here, for the one of sixteen that is wanted. */
export function childOf({ children, source }: Branch, index: number): Node | undefined {
  const child = children[index]
  return typeof child === 'number' ? unloaded(source!, child) : child
}

/** A copy of a node's ref. */
export function refOf(node: Node): Uint8Array {
  return node.ref!.slice(node.refAt, node.refAt + node.refLength)
}

export function leaf(path: Nibbles, value: Uint8Array, usedIn: number, source?: Uint8Array): Leaf {
  return { kind: 'leaf', path, value, ref: undefined, refAt: 0, refLength: 0, usedIn, source }
}

export function extension(path: Nibbles, child: Node, usedIn: number, source?: Uint8Array): Extension {
  return { kind: 'extension', path, child, ref: undefined, refAt: 0, refLength: 0, usedIn, source }
}

export function branch(usedIn: number): Branch {
  const children = new Array(16).fill(undefined)
  return { kind: 'branch', children, ref: undefined, refAt: 0, refLength: 0, usedIn, source: undefined }
}

/** RLP of a node whose children all have their `ref`. */
export function encodeNode(node: Leaf | Extension | Branch): Uint8Array {
  if (node.kind === 'leaf') return encodeLeaf(packPath(node.path, true), node.value)
  if (node.kind === 'extension') return encodeExtension(packPath(node.path, false), refOf(node.child))
  return encodeBranch(node)
}

/** One allocation: a leaf is encoded for each slot that changes. */
function encodeLeaf(packed: Uint8Array, value: Uint8Array): Uint8Array {
  // Values of receipts are long; those of the state are not.
  if (value.length > 55) return encodeRlp([packed, value])
  const pathLength = isOwnCode(packed) ? 1 : packed.length + 1
  const valueLength = isOwnCode(value) ? 1 : value.length + 1
  const length = pathLength + valueLength
  const bytes = new Uint8Array(length + (length > 55 ? 2 : 1))
  let at = 0
  if (length > 55) {
    bytes[at++] = 0xf8
    bytes[at++] = length
  } else bytes[at++] = 0xc0 + length
  if (pathLength !== 1) bytes[at++] = 0x80 + packed.length
  bytes.set(packed, at)
  at += packed.length
  if (!isOwnCode(value)) bytes[at++] = 0x80 + value.length
  bytes.set(value, at)
  return bytes
}

/** Whether RLP writes these bytes as they are. */
function isOwnCode(bytes: Uint8Array): boolean {
  return bytes.length === 1 && bytes[0]! < 0x80
}

function encodeExtension(packed: Uint8Array, ref: Uint8Array): Uint8Array {
  // A path of at most 64 nibbles packs into 33 bytes, and a ref has at most 33: the length always fits one byte.
  const pathLength = isOwnCode(packed) ? 1 : packed.length + 1
  const length = pathLength + ref.length
  const long = length > 55
  const bytes = new Uint8Array(length + (long ? 2 : 1))
  let at = 0
  if (long) {
    bytes[at++] = 0xf8
    bytes[at++] = length
  } else bytes[at++] = 0xc0 + length
  if (pathLength !== 1) bytes[at++] = 0x80 + packed.length
  bytes.set(packed, at)
  bytes.set(ref, at + packed.length)
  return bytes
}

/**
 * The innermost loop of hashing a state. Of sixteen children one or two have changed: what was encoded the last time is
 * copied whole and they are put in. All refs then lie in the new array, which becomes `source`, so that the old one can go.
 */
function encodeBranch(node: Branch): Uint8Array {
  const { children, source } = node
  let length = 1
  for (let i = 0; i < 16; i++) {
    const child = children[i]
    length += typeof child === 'number' ? HASH_REF_BYTES : (child?.refLength ?? 1)
  }
  const header = length <= 55 ? 1 : length < 256 ? 2 : 3
  const isSameSize = source !== undefined && source.length === header + length
  const bytes = isSameSize ? source.slice() : new Uint8Array(header + length)
  if (header === 1) bytes[0] = 0xc0 + length
  else if (header === 2) {
    bytes[0] = 0xf8
    bytes[1] = length
  } else {
    bytes[0] = 0xf9
    bytes[1] = length >> 8
    bytes[2] = length & 0xff
  }
  let at = header
  for (let i = 0; i < 16; i++) {
    const child = children[i]
    if (child === undefined) bytes[at++] = 0x80
    else if (typeof child === 'number') {
      if (!isSameSize || child !== at) bytes.set(source!.subarray(child, child + HASH_REF_BYTES), at)
      children[i] = at
      at += HASH_REF_BYTES
    } else {
      const { refAt, refLength } = child
      const ref = child.ref!
      // The same size does not mean the same places: a child may have gone, and another come.
      if (!isSameSize || ref !== source || refAt !== at) {
        for (let j = 0; j < refLength; j++) bytes[at + j] = ref[refAt + j]!
      }
      child.ref = bytes
      child.refAt = at
      at += refLength
    }
  }
  bytes[at] = 0x80
  node.source = bytes
  return bytes
}

/**
 * @param rlp the node keeps it
 * @param ref,refAt,refLength how the parent names this node
 */
export function decodeNode(
  rlp: Uint8Array,
  ref: Uint8Array,
  refAt: number,
  refLength: number,
  usedIn: number,
): Leaf | Extension | Branch {
  const list = readHeader(rlp, 0)
  if (!list.isList || list.end !== rlp.length) throw new DecodeError('a trie node is one list', 0)
  const first = readHeader(rlp, list.start)
  const second = readHeader(rlp, first.end)
  if (second.end < list.end) {
    const children: (Node | number | undefined)[] = []
    let at = list.start
    for (let i = 0; i < 16; i++) {
      // The two that nearly all children are, without an object for each.
      const first = rlp[at]
      if (first === 0x80) {
        children.push(undefined)
        at++
      } else if (first === 0xa0 && at + HASH_REF_BYTES < rlp.length) {
        children.push(at)
        at += HASH_REF_BYTES
      } else {
        const header = readHeader(rlp, at)
        children.push(decodeChild(rlp, at, header, usedIn))
        at = header.end
      }
    }
    if (readHeader(rlp, at).end !== list.end) throw new DecodeError('a branch has 17 items', at)
    return { kind: 'branch', children, ref, refAt, refLength, usedIn, source: rlp }
  }
  const { path, isLeaf } = unpackPath(rlp.subarray(first.start, first.end))
  if (isLeaf) {
    const value = rlp.subarray(second.start, second.end)
    return { kind: 'leaf', path, value, ref, refAt, refLength, usedIn, source: rlp }
  }
  const child = decodeChild(rlp, first.end, second, usedIn)
  if (child === undefined) throw new DecodeError('an extension leads somewhere', first.end)
  return { kind: 'extension', path, child, ref, refAt, refLength, usedIn, source: rlp }
}

function decodeChild(rlp: Uint8Array, from: number, header: RlpHeader, usedIn: number): Node | undefined {
  if (header.isList) {
    const inline = rlp.slice(from, header.end)
    return decodeNode(inline, inline, 0, inline.length, usedIn)
  }
  if (header.end === header.start) return undefined
  if (header.end - header.start !== 32) throw new DecodeError('a child is a hash, a short node or nothing', from)
  return unloaded(rlp, from)
}
