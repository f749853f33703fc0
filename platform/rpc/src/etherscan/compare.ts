/** Places in the code that the constructor fills in, as `solc` lists them by variable. */
export type ImmutableReferences = Readonly<
  Record<string, readonly { readonly start: number; readonly length: number }[]>
>

export type Likeness = 'exact' | 'same but for the metadata' | 'different'

/**
 * Compares code on chain with what a compiler made. Immutable variables are skipped; so is, for a library, the address
 * that its own code pushes first.
 */
export function compareCode(onChain: Uint8Array, compiled: Uint8Array, immutables: ImmutableReferences): Likeness {
  if (onChain.length !== compiled.length || compiled.length === 0) return 'different'
  const [left, right] = [onChain.slice(), compiled.slice()]
  for (const references of Object.values(immutables)) {
    for (const { start, length } of references) {
      left.fill(0, start, start + length)
      right.fill(0, start, start + length)
    }
  }
  // PUSH20 and a zero address: a library's guard against direct calls, set when it is deployed.
  if (right[0] === 0x73 && right.subarray(1, 21).every((byte) => byte === 0)) left.fill(0, 1, 21)
  if (equal(left, right)) return 'exact'
  const end = right.length - metadataBytes(right)
  if (end === right.length || metadataBytes(left) !== metadataBytes(right)) return 'different'
  return equal(left.subarray(0, end), right.subarray(0, end)) ? 'same but for the metadata' : 'different'
}

/** CBOR at the end of the code and its length in two bytes (Solidity documentation, "Contract Metadata"); 0 if there is none. */
function metadataBytes(code: Uint8Array): number {
  const length = (code.at(-2)! << 8) | code.at(-1)!
  const start = code.length - 2 - length
  // A map of one to four entries.
  const isMap = start >= 0 && code[start]! >= 0xa1 && code[start]! <= 0xa4
  return isMap ? length + 2 : 0
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
