import { equalBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash/keccak256'
import { decodeRlp, type Rlp } from './rlp.ts'
import { SdkError } from './sdk-error.ts'

/** Root of a trie with nothing in it: keccak256(RLP of the empty string). */
export const EMPTY_ROOT = Uint8Array.fromHex('56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421')

/**
 * The value under `key` in the Merkle-Patricia trie with this root, or undefined if the proof shows that there is none (Ethereum
 * yellow paper, appendix D).
 *
 * @param proof nodes from the root down, none left out and none too many
 * @throws SdkError BAD_PROOF
 */
export function valueInTrie(root: Uint8Array, key: Uint8Array, proof: readonly Uint8Array[]): Uint8Array | undefined {
  const path = nibblesOf(key)
  let depth = 0 // nibbles of the path behind us
  let used = 0 // nodes of the proof
  const next = (hash: Uint8Array): Rlp => {
    const node = proof[used++]
    if (node === undefined) throw bad('a node is missing')
    if (!equalBytes(keccak256(node), hash)) throw bad(`node ${used - 1} is not the one its parent names`)
    return decodeRlp(node)
  }
  const end = (value: Uint8Array | undefined) => {
    if (used !== proof.length) throw bad('nodes beyond the end')
    return value
  }
  if (equalBytes(root, EMPTY_ROOT) && proof.length === 0) return undefined
  let node = next(root)
  for (;;) {
    if (node instanceof Uint8Array) {
      if (node.length !== 0) throw bad('a node that is none')
      return end(undefined)
    }
    let child: Rlp | undefined
    if (node.length === 17) {
      if (depth === path.length) return end(leafValue(node[16]))
      child = node[path[depth]!]
      depth++
    } else if (node.length === 2) {
      const { nibbles, isLeaf } = compact(node[0])
      const fits = nibbles.every((nibble, i) => path[depth + i] === nibble)
      if (isLeaf) return end(fits && depth + nibbles.length === path.length ? leafValue(node[1]) : undefined)
      if (!fits) return end(undefined)
      depth += nibbles.length
      child = node[1]
    } else throw bad(`a node of ${node.length} items`)
    if (!(child instanceof Uint8Array))
      node = child! // small nodes stand in their parents
    else if (child.length === 32) node = next(child)
    else if (child.length === 0) return end(undefined)
    else throw bad('a reference that is none')
  }
}

function leafValue(item: Rlp | undefined): Uint8Array | undefined {
  if (!(item instanceof Uint8Array)) throw bad('a value that is a list')
  return item.length === 0 ? undefined : item
}

/** Hex-prefix encoding: the first nibble tells leaf or extension, and whether the count is odd. */
function compact(item: Rlp | undefined): { nibbles: number[]; isLeaf: boolean } {
  if (!(item instanceof Uint8Array) || item.length === 0 || item[0]! >= 0x40) throw bad('a path that is none')
  const nibbles = nibblesOf(item)
  return { nibbles: nibbles.slice(item[0]! & 0x10 ? 1 : 2), isLeaf: (item[0]! & 0x20) !== 0 }
}

function nibblesOf(bytes: Uint8Array): number[] {
  return [...bytes].flatMap((byte) => [byte >> 4, byte & 15])
}

function bad(reason: string): SdkError {
  return new SdkError('BAD_PROOF', `proof: ${reason}`)
}
