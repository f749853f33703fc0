import { concatBytes } from '@cumulus/bytes'
import { SdkError } from './sdk-error.ts'

/** Recursive length prefix (Ethereum yellow paper, appendix B). */
export type Rlp = Uint8Array | readonly Rlp[]

const DEPTH_MAX = 8

export function encodeRlp(item: Rlp): Uint8Array {
  if (item instanceof Uint8Array) {
    return item.length === 1 && item[0]! < 0x80 ? item : concatBytes(prefix(0x80, item.length), item)
  }
  const body = concatBytes(...item.map(encodeRlp))
  return concatBytes(prefix(0xc0, body.length), body)
}

function prefix(base: number, length: number): Uint8Array {
  if (length < 56) return Uint8Array.of(base + length)
  const digits = integerBytes(BigInt(length))
  return concatBytes(Uint8Array.of(base + 55 + digits.length), digits)
}

/** Big-endian without leading zeros; empty for 0. */
export function integerBytes(value: bigint): Uint8Array {
  if (value === 0n) return new Uint8Array(0)
  const hex = value.toString(16)
  return Uint8Array.fromHex(hex.length % 2 === 0 ? hex : `0${hex}`)
}

export function bytesInteger(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${bytes.toHex()}`)
}

/** @throws SdkError BAD_PROOF if it is not one item, and nothing behind it */
export function decodeRlp(bytes: Uint8Array): Rlp {
  const { item, end } = decodeAt(bytes, 0, 0)
  if (end !== bytes.length) throw malformed('bytes behind the end')
  return item
}

function decodeAt(bytes: Uint8Array, start: number, depth: number): { item: Rlp; end: number } {
  const first = bytes[start]
  if (first === undefined || depth > DEPTH_MAX) throw malformed('cut short, or too deep')
  if (first < 0x80) return { item: bytes.subarray(start, start + 1), end: start + 1 }
  const isList = first >= 0xc0
  const short = first - (isList ? 0xc0 : 0x80)
  let at = start + 1
  let length = short
  if (short > 55) {
    const digits = bytes.subarray(at, at + short - 55)
    at += short - 55
    if (digits.length !== short - 55 || digits.length > 4) throw malformed('length')
    length = Number(bytesInteger(digits))
  }
  const end = at + length
  if (end > bytes.length) throw malformed('cut short')
  if (!isList) return { item: bytes.subarray(at, end), end }
  const items: Rlp[] = []
  while (at < end) {
    const next = decodeAt(bytes, at, depth + 1)
    items.push(next.item)
    at = next.end
  }
  if (at !== end) throw malformed('a list that ends within an item')
  return { item: items, end }
}

function malformed(reason: string): SdkError {
  return new SdkError('BAD_PROOF', `no RLP: ${reason}`)
}
