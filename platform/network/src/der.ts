import { concatBytes, DecodeError } from '@cumulus/bytes'

/** The little of DER (ITU-T X.690) that a peer's certificate needs. */

export const DerTag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  utcTime: 0x17,
  sequence: 0x30,
  version: 0xa0,
  extensions: 0xa3,
} as const

/** One element: `bytes` is all of it, `content` without tag and length. Both are views of the input. */
export interface DerElement {
  readonly tag: number
  readonly bytes: Uint8Array
  readonly content: Uint8Array
}

export function der(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const content of contents) length += content.length
  if (length < 0x80) return concatBytes(Uint8Array.of(tag, length), ...contents)
  if (length < 0x100) return concatBytes(Uint8Array.of(tag, 0x81, length), ...contents)
  if (length < 0x10000) return concatBytes(Uint8Array.of(tag, 0x82, length >> 8, length & 0xff), ...contents)
  throw new RangeError(`an element of ${length} bytes is more than a certificate needs`)
}

/**
 * The elements that `bytes` consists of, one after the other.
 *
 * @throws DecodeError if a length is wrong or not written the shortest way
 */
export function derElements(bytes: Uint8Array): DerElement[] {
  const elements: DerElement[] = []
  let offset = 0
  while (offset < bytes.length) {
    const start = offset
    if (bytes.length - offset < 2) throw new DecodeError('element without a length', offset)
    const tag = bytes[offset]!
    let length = bytes[offset + 1]!
    offset += 2
    if (length >= 0x80) {
      const count = length - 0x80
      if (count < 1 || count > 2 || bytes.length - offset < count) throw new DecodeError('bad length', offset)
      length = count === 1 ? bytes[offset]! : (bytes[offset]! << 8) | bytes[offset + 1]!
      if (length < (count === 1 ? 0x80 : 0x100)) throw new DecodeError('length is not the shortest', offset)
      offset += count
    }
    if (bytes.length - offset < length) throw new DecodeError('element is cut off', start)
    elements.push({
      tag,
      bytes: bytes.subarray(start, offset + length),
      content: bytes.subarray(offset, offset + length),
    })
    offset += length
  }
  return elements
}

/** The only element of `bytes`, which must have this tag. */
export function derElement(bytes: Uint8Array, tag: number): DerElement {
  const [element, ...others] = derElements(bytes)
  if (!element || others.length > 0 || element.tag !== tag) throw new DecodeError(`no single element ${tag}`, 0)
  return element
}
