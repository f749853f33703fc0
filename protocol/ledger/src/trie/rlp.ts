import { DecodeError } from '@cumulus/bytes'

/** Recursive Length Prefix, Ethereum's encoding of nested byte strings (yellow paper, appendix B). */
export type Rlp = Uint8Array | Rlp[]

/** What `encodeRlp` takes: numbers are written as big-endian integers without leading zeros, 0 as the empty string. */
export type RlpInput = Uint8Array | bigint | number | readonly RlpInput[]

/** Lists within lists. Transactions need 4; deeper input is refused before it can exhaust the stack. */
const DEPTH_MAX = 16

const EMPTY = new Uint8Array(0)

export function encodeRlp(item: RlpInput): Uint8Array {
  const normal = normalise(item)
  const target = new Uint8Array(encodedLength(normal))
  write(normal, target, 0)
  return target
}

/** Big-endian bytes of an integer without leading zeros; nothing for 0. */
export function integerToBytes(value: bigint | number): Uint8Array {
  if (value === 0 || value === 0n) return EMPTY
  if (value < 0) throw new RangeError(`${value} is negative`)
  const big = BigInt(value)
  if (big > WORD_MAX) {
    const digits = big.toString(16)
    return Uint8Array.fromHex(digits.length & 1 ? `0${digits}` : digits)
  }
  putWord(big)
  let first = 0
  while (word[first] === 0) first++
  return word.slice(first)
}

/** The integer of big-endian bytes; 0n for none. */
export function bytesToInteger(bytes: Uint8Array): bigint {
  if (bytes.length === 0) return 0n
  if (bytes.length > 32) return BigInt(`0x${bytes.toHex()}`)
  word.fill(0)
  word.set(bytes, 32 - bytes.length)
  const low = wordView.getBigUint64(24)
  if (bytes.length <= 8) return low
  const high = (wordView.getBigUint64(0) << 64n) | wordView.getBigUint64(8)
  return (high << 128n) | (wordView.getBigUint64(16) << 64n) | low
}

/** 32 big-endian bytes, as the EVM stores a word. */
export function wordToBytes(value: bigint): Uint8Array {
  if (value < 0n || value > WORD_MAX) throw new RangeError(`${value} is no word`)
  putWord(value)
  return word.slice()
}

const WORD_MAX = (1n << 256n) - 1n
/** Words pass through here: by way of hex digits they took seven times as long, and were a tenth of a block. */
const word = new Uint8Array(32)
const wordView = new DataView(word.buffer)

function putWord(value: bigint): void {
  for (let at = 24; at >= 0; at -= 8, value >>= 64n) wordView.setBigUint64(at, BigInt.asUintN(64, value))
}

/**
 * Decodes one item. Strings are views of the input. Only the canonical form is taken: shortest lengths, nothing behind.
 *
 * @throws DecodeError
 */
export function decodeRlp(bytes: Uint8Array): Rlp {
  const header = readHeader(bytes, 0)
  if (header.end !== bytes.length) throw new DecodeError(`${bytes.length - header.end} bytes too many`, header.end)
  return decodeAt(bytes, header, 0)
}

/** Where the payload of an item lies. */
export interface RlpHeader {
  readonly isList: boolean
  readonly start: number
  readonly end: number
}

export function readHeader(bytes: Uint8Array, at: number): RlpHeader {
  const first = bytes[at]
  if (first === undefined) throw new DecodeError('item is missing', at)
  if (first < 0x80) return { isList: false, start: at, end: at + 1 }
  const isList = first >= 0xc0
  const short = first - (isList ? 0xc0 : 0x80)
  let start = at + 1
  let length = short
  if (short > 55) {
    const lengthBytes = short - 55
    if (start + lengthBytes > bytes.length) throw new DecodeError('length is cut off', at)
    length = 0
    for (let i = 0; i < lengthBytes; i++) length = length * 256 + bytes[start + i]!
    if (bytes[start] === 0 || length <= 55) throw new DecodeError('length is not in its shortest form', at)
    start += lengthBytes
  }
  // Compared without adding, because a length may be anything up to 2^64.
  if (length > bytes.length - start) throw new DecodeError('item is cut off', at)
  if (!isList && length === 1 && bytes[start]! < 0x80) throw new DecodeError('byte is not in its shortest form', at)
  return { isList, start, end: start + length }
}

function decodeAt(bytes: Uint8Array, header: RlpHeader, depth: number): Rlp {
  if (!header.isList) return bytes.subarray(header.start, header.end)
  if (depth >= DEPTH_MAX) throw new DecodeError('lists are nested too deep', header.start)
  const items: Rlp[] = []
  let at = header.start
  while (at < header.end) {
    const inner = readHeader(bytes, at)
    if (inner.end > header.end) throw new DecodeError('item leaves its list', at)
    items.push(decodeAt(bytes, inner, depth + 1))
    at = inner.end
  }
  return items
}

type Normal = Uint8Array | readonly Normal[]

function normalise(item: RlpInput): Normal {
  if (item instanceof Uint8Array) return item
  if (typeof item === 'bigint' || typeof item === 'number') return integerToBytes(item)
  return item.map(normalise)
}

function payloadLength(list: readonly Normal[]): number {
  let length = 0
  for (const item of list) length += encodedLength(item)
  return length
}

function encodedLength(item: Normal): number {
  if (item instanceof Uint8Array && item.length === 1 && item[0]! < 0x80) return 1
  const length = item instanceof Uint8Array ? item.length : payloadLength(item)
  return length + headerLength(length)
}

function headerLength(length: number): number {
  return length <= 55 ? 1 : 1 + lengthOfLength(length)
}

function lengthOfLength(length: number): number {
  return length < 0x100 ? 1 : length < 0x1_0000 ? 2 : length < 0x100_0000 ? 3 : 4
}

function writeHeader(length: number, offset: number, target: Uint8Array, at: number): number {
  if (length <= 55) {
    target[at] = offset + length
    return at + 1
  }
  const count = lengthOfLength(length)
  target[at] = offset + 55 + count
  for (let i = 0; i < count; i++) target[at + 1 + i] = (length >>> (8 * (count - 1 - i))) & 0xff
  return at + 1 + count
}

function write(item: Normal, target: Uint8Array, at: number): number {
  if (item instanceof Uint8Array) {
    if (item.length !== 1 || item[0]! >= 0x80) at = writeHeader(item.length, 0x80, target, at)
    target.set(item, at)
    return at + item.length
  }
  at = writeHeader(payloadLength(item), 0xc0, target, at)
  for (const inner of item) at = write(inner, target, at)
  return at
}
