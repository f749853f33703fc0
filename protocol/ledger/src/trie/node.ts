import { DecodeError } from '@cumulus/bytes'
import { type Nibbles, packPath, unpackPath } from './nibbles.ts'
import { encodeRlp, type RlpHeader, readHeader } from './rlp.ts'

/**
 * Nodes of a hexary Merkle-Patricia trie (yellow paper, appendix D).
 *
 * `ref` is how the parent names the node: 0xa0 and its hash, or the node itself where its RLP is shorter than 32 bytes.
 * It is undefined while the node, or one below it, differs from what was last hashed. `usedIn` is the generation of the
 * last visit, by which memory is given back.
 */
export type Node = Leaf | Extension | Branch | Unloaded

interface Loaded {
  ref: Uint8Array | undefined
  usedIn: number
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
  readonly children: (Node | undefined)[]
}

/** A node that lies in the store at its path. */
export interface Unloaded {
  readonly kind: 'unloaded'
  readonly ref: Uint8Array
}

export function leaf(path: Nibbles, value: Uint8Array, usedIn: number): Leaf {
  return { kind: 'leaf', path, value, ref: undefined, usedIn }
}

export function extension(path: Nibbles, child: Node, usedIn: number): Extension {
  return { kind: 'extension', path, child, ref: undefined, usedIn }
}

export function branch(usedIn: number): Branch {
  return { kind: 'branch', children: new Array(16).fill(undefined), ref: undefined, usedIn }
}

/** RLP of a node whose children all have their `ref`. */
export function encodeNode(node: Leaf | Extension | Branch): Uint8Array {
  if (node.kind === 'leaf') return encodeRlp([packPath(node.path, true), node.value])
  if (node.kind === 'extension') return encodeExtension(packPath(node.path, false), node.child.ref!)
  return encodeBranch(node.children)
}

function encodeExtension(packed: Uint8Array, ref: Uint8Array): Uint8Array {
  // A path of at most 64 nibbles packs into 33 bytes, and a ref has at most 33: the length always fits one byte.
  const pathLength = packed.length === 1 && packed[0]! < 0x80 ? 1 : packed.length + 1
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

/** The innermost loop of hashing a state: refs are copied as they are, nothing is allocated but the result. */
function encodeBranch(children: readonly (Node | undefined)[]): Uint8Array {
  let length = 1
  for (let i = 0; i < 16; i++) length += children[i]?.ref?.length ?? 1
  const header = length <= 55 ? 1 : length < 256 ? 2 : 3
  const bytes = new Uint8Array(header + length)
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
    const ref = children[i]?.ref
    if (ref === undefined) bytes[at++] = 0x80
    else {
      bytes.set(ref, at)
      at += ref.length
    }
  }
  bytes[at] = 0x80
  return bytes
}

/** @param ref how the parent names this node */
export function decodeNode(rlp: Uint8Array, ref: Uint8Array, usedIn: number): Leaf | Extension | Branch {
  const list = readHeader(rlp, 0)
  if (!list.isList || list.end !== rlp.length) throw new DecodeError('a trie node is one list', 0)
  const items: { from: number; header: RlpHeader }[] = []
  for (let at = list.start; at < list.end; ) {
    const header = readHeader(rlp, at)
    items.push({ from: at, header })
    at = header.end
  }
  if (items.length === 17) {
    const node: Branch = { kind: 'branch', children: new Array(16).fill(undefined), ref, usedIn }
    for (let i = 0; i < 16; i++) node.children[i] = decodeChild(rlp, items[i]!, usedIn)
    return node
  }
  if (items.length !== 2) throw new DecodeError(`a trie node has 2 or 17 items, not ${items.length}`, 0)
  const [first, second] = [items[0]!, items[1]!]
  const { path, isLeaf } = unpackPath(rlp.subarray(first.header.start, first.header.end))
  if (isLeaf) {
    return { kind: 'leaf', path, value: rlp.slice(second.header.start, second.header.end), ref, usedIn }
  }
  return { kind: 'extension', path, child: decodeChild(rlp, second, usedIn)!, ref, usedIn }
}

function decodeChild(rlp: Uint8Array, item: { from: number; header: RlpHeader }, usedIn: number): Node | undefined {
  const { from, header } = item
  if (header.isList) {
    const inline = rlp.slice(from, header.end)
    return decodeNode(inline, inline, usedIn)
  }
  if (header.end === header.start) return undefined
  if (header.end - header.start !== 32) throw new DecodeError('a child is a hash, a short node or nothing', from)
  return { kind: 'unloaded', ref: rlp.slice(from, header.end) }
}
