/** A path through a hexary trie: one nibble (0 to 15) in each byte. */
export type Nibbles = Uint8Array

export function bytesToNibbles(bytes: Uint8Array): Nibbles {
  const nibbles = new Uint8Array(bytes.length * 2)
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!
    nibbles[2 * i] = byte >> 4
    nibbles[2 * i + 1] = byte & 15
  }
  return nibbles
}

/** Hex-prefix encoding: packs a path and whether it ends in a leaf (yellow paper, appendix C). */
export function packPath(path: Nibbles, isLeaf: boolean): Uint8Array {
  const isOdd = path.length & 1
  const packed = new Uint8Array((path.length >> 1) + 1)
  packed[0] = (isLeaf ? 0x20 : 0) | (isOdd ? 0x10 | path[0]! : 0)
  for (let from = isOdd, to = 1; from < path.length; from += 2, to++) {
    packed[to] = (path[from]! << 4) | path[from + 1]!
  }
  return packed
}

export function unpackPath(packed: Uint8Array): { path: Nibbles; isLeaf: boolean } {
  const first = packed[0]!
  const isOdd = (first & 0x10) !== 0
  const path = new Uint8Array((packed.length - 1) * 2 + (isOdd ? 1 : 0))
  let at = 0
  if (isOdd) path[at++] = first & 15
  for (let i = 1; i < packed.length; i++) {
    path[at++] = packed[i]! >> 4
    path[at++] = packed[i]! & 15
  }
  return { path, isLeaf: (first & 0x20) !== 0 }
}

/** How many nibbles of `path` agree with `key` from `at` on. */
export function commonLength(path: Nibbles, key: Nibbles, at: number): number {
  const most = Math.min(path.length, key.length - at)
  let length = 0
  while (length < most && path[length] === key[at + length]) length++
  return length
}

export function joinNibbles(a: Nibbles, b: Nibbles): Nibbles {
  const joined = new Uint8Array(a.length + b.length)
  joined.set(a)
  joined.set(b, a.length)
  return joined
}

export function appendNibble(path: Nibbles, nibble: number): Nibbles {
  const longer = new Uint8Array(path.length + 1)
  longer.set(path)
  longer[path.length] = nibble
  return longer
}

export function prependNibble(nibble: number, path: Nibbles): Nibbles {
  const longer = new Uint8Array(path.length + 1)
  longer[0] = nibble
  longer.set(path, 1)
  return longer
}
