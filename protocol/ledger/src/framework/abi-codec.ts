import { bytesToHex, hexToBytes, utf8Decode, utf8Encode } from '@cumulus/bytes'
import type { AbiParameter } from 'abitype'
import { revertWith } from './revert.ts'

/**
 * Solidity's ABI (https://docs.soliditylang.org/en/latest/abi-spec.html), compiled once per signature into closures.
 * Values are the ones viem uses: numbers up to 48 bits, bigints above, hex for bytes and addresses, objects for structs.
 *
 * Decoding is strict where the standard lets one be lenient: padding is zero, offsets stay inside, and no byte is read
 * twice, so that the work is linear in the length of the input whatever its offsets say.
 */
export interface Codec {
  readonly dynamic: boolean
  /** Bytes in the head of whatever contains it: 32 for dynamic types. */
  readonly headBytes: number
  /** Bytes the content takes at least: bounds the length of arrays. */
  readonly minBytes: number
  /** @param at where the content starts */
  decode(input: AbiInput, at: number): unknown
  /** Static types: writes the content at `at`, which is reserved. Dynamic ones append it and ignore `at`. */
  encode(output: AbiOutput, at: number, value: never): void
}

const WORD = 32

/** Encoded arguments being read. */
export class AbiInput {
  readonly bytes: Uint8Array
  readonly view: DataView
  #budget: number

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#budget = bytes.length
  }

  /** Allows `length` bytes at `at` to be read, once. */
  take(at: number, length: number): void {
    if (at + length > this.bytes.length) throw revertWith('ABI: data is too short')
    this.#budget -= length
    if (this.#budget < 0) throw revertWith('ABI: data overlaps')
  }

  /** A word that must be a small number: an offset or a length. */
  size(at: number): number {
    this.take(at, WORD)
    if (!this.isZero(at, 28)) throw revertWith('ABI: offset or length out of range')
    return this.view.getUint32(at + 28)
  }

  isZero(at: number, length: number): boolean {
    for (let i = at; i < at + length; i++) if (this.bytes[i] !== 0) return false
    return true
  }
}

/** Above this the buffer is let go after use. */
const KEPT_BYTES = 2 ** 16

/** Encoded values being written: grows by doubling. */
export class AbiOutput {
  #bytes = new Uint8Array(1_024)
  #view = new DataView(this.#bytes.buffer)
  #length = 0

  get length(): number {
    return this.#length
  }

  /** Appends `length` zero bytes and returns where they start. */
  reserve(length: number): number {
    const start = this.#length
    const end = start + length
    if (end <= this.#bytes.length) this.#bytes.fill(0, start, end)
    if (end > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(end, this.#bytes.length * 2))
      grown.set(this.#bytes.subarray(0, start))
      this.#bytes = grown
      this.#view = new DataView(grown.buffer)
    }
    this.#length = end
    return start
  }

  u32(at: number, value: number): void {
    this.#view.setUint32(at, value)
  }

  u64(at: number, value: bigint): void {
    this.#view.setBigUint64(at, value)
  }

  set(at: number, bytes: Uint8Array): void {
    this.#bytes.set(bytes, at)
  }

  /** A copy of what was written; the next use begins anew. */
  finish(): Uint8Array {
    const written = this.#bytes.slice(0, this.#length)
    this.clear()
    return written
  }

  clear(): void {
    this.#length = 0
    if (this.#bytes.length <= KEPT_BYTES) return
    this.#bytes = new Uint8Array(1_024)
    this.#view = new DataView(this.#bytes.buffer)
  }
}

/** One for all: encoding runs no foreign code, so it is never begun twice. A buffer for each value was mostly garbage. */
const shared = new AbiOutput()

/** The 32 bytes of a value type, as a topic of a log holds them. */
export function encodeWord(codec: Codec, value: unknown): Uint8Array {
  shared.clear()
  codec.encode(shared, shared.reserve(WORD), value as never)
  return shared.finish()
}

/** Codec of a list of parameters: arguments, results, or the fields of a struct. */
export interface TupleCodec {
  readonly headBytes: number
  decode(bytes: Uint8Array): unknown[]
  /** @throws RangeError if a value does not fit its type: the caller is wrong, not the user */
  encode(values: readonly unknown[]): Uint8Array
}

export function compileTuple(parameters: readonly AbiParameter[]): TupleCodec {
  const codecs = parameters.map(compileParameter)
  const headBytes = codecs.reduce((sum, codec) => sum + codec.headBytes, 0)
  return {
    headBytes,
    decode: (bytes) => decodeSequence(codecs, new AbiInput(bytes), 0),
    encode(values) {
      if (values.length !== codecs.length) throw new RangeError(`${values.length} values for ${codecs.length} types`)
      // What a value that did not fit has left behind.
      shared.clear()
      encodeSequence(codecs, shared, shared.reserve(headBytes), values)
      return shared.finish()
    },
  }
}

/** @throws RangeError for types that no module needs: signed integers, functions, fixed-point numbers */
export function compileParameter(parameter: AbiParameter): Codec {
  const array = /^(.*)\[(\d*)\]$/.exec(parameter.type)
  if (array) {
    const element = compileParameter({ ...parameter, type: array[1]! } as AbiParameter)
    return array[2] === '' ? dynamicArray(element) : fixedArray(element, Number(array[2]))
  }
  if (parameter.type === 'tuple') return struct((parameter as { components: readonly AbiParameter[] }).components)
  if (parameter.type === 'address') return address
  if (parameter.type === 'bool') return bool
  if (parameter.type === 'string') return text
  if (parameter.type === 'bytes') return dynamicBytes
  const sized = /^(uint|bytes)(\d+)$/.exec(parameter.type)
  const size = Number(sized?.[2])
  if (sized?.[1] === 'uint' && size >= 8 && size <= 256 && size % 8 === 0) return uint(size)
  if (sized?.[1] === 'bytes' && size >= 1 && size <= 32) return fixedBytes(size)
  throw new RangeError(`no codec for ABI type ${parameter.type}`)
}

function word(decode: Codec['decode'], encode: (output: AbiOutput, at: number, value: never) => void): Codec {
  return { dynamic: false, headBytes: WORD, minBytes: WORD, decode, encode }
}

function uint(bits: number): Codec {
  const zeroBytes = WORD - bits / 8
  const check = (input: AbiInput, at: number) => {
    input.take(at, WORD)
    if (!input.isZero(at, zeroBytes)) throw revertWith(`ABI: value out of range for uint${bits}`)
  }
  const limit = 1n << BigInt(bits)
  const fits = (value: bigint) => {
    if (value < 0n || value >= limit) throw new RangeError(`${value} does not fit uint${bits}`)
    return value
  }
  if (bits <= 48) {
    return word(
      (input, at) => {
        check(input, at)
        return input.view.getUint16(at + 26) * 2 ** 32 + input.view.getUint32(at + 28)
      },
      (output, at, value: number) => output.u64(at + 24, fits(BigInt(value))),
    )
  }
  if (bits <= 64) {
    return word(
      (input, at) => {
        check(input, at)
        return input.view.getBigUint64(at + 24)
      },
      (output, at, value: bigint) => output.u64(at + 24, fits(value)),
    )
  }
  return word(
    (input, at) => {
      check(input, at)
      const { view } = input
      const high = (view.getBigUint64(at) << 64n) | view.getBigUint64(at + 8)
      return (high << 128n) | (view.getBigUint64(at + 16) << 64n) | view.getBigUint64(at + 24)
    },
    (output, at, value: bigint) => {
      fits(value)
      for (let i = 3; i >= 0; i--, value >>= 64n) output.u64(at + 8 * i, BigInt.asUintN(64, value))
    },
  )
}

const address = word(
  (input, at) => {
    input.take(at, WORD)
    if (!input.isZero(at, 12)) throw revertWith('ABI: dirty padding of an address')
    return bytesToHex(input.bytes.subarray(at + 12, at + WORD))
  },
  (output, at, value: string) => output.set(at + 12, exactly(20, value)),
)

const bool = word(
  (input, at) => {
    input.take(at, WORD)
    const value = input.bytes[at + 31]!
    if (value > 1 || !input.isZero(at, 31)) throw revertWith('ABI: value out of range for bool')
    return value === 1
  },
  (output, at, value: boolean) => output.u32(at + 28, value ? 1 : 0),
)

function fixedBytes(length: number): Codec {
  return word(
    (input, at) => {
      input.take(at, WORD)
      if (!input.isZero(at + length, WORD - length)) throw revertWith(`ABI: dirty padding of bytes${length}`)
      return bytesToHex(input.bytes.subarray(at, at + length))
    },
    (output, at, value: string) => output.set(at, exactly(length, value)),
  )
}

function exactly(length: number, hex: string): Uint8Array {
  const bytes = hexToBytes(hex)
  if (bytes.length !== length) throw new RangeError(`${bytes.length} bytes where ${length} belong`)
  return bytes
}

function decodeBytes(input: AbiInput, at: number): Uint8Array {
  const length = input.size(at)
  const padded = Math.ceil(length / WORD) * WORD
  input.take(at + WORD, padded)
  if (!input.isZero(at + WORD + length, padded - length)) throw revertWith('ABI: dirty padding of bytes')
  return input.bytes.subarray(at + WORD, at + WORD + length)
}

function encodeBytes(output: AbiOutput, bytes: Uint8Array): void {
  const start = output.reserve(WORD + Math.ceil(bytes.length / WORD) * WORD)
  output.u32(start + 28, bytes.length)
  output.set(start + WORD, bytes)
}

const dynamicBytes: Codec = {
  dynamic: true,
  headBytes: WORD,
  minBytes: WORD,
  decode: (input, at) => bytesToHex(decodeBytes(input, at)),
  encode: (output, _at, value: string) => encodeBytes(output, hexToBytes(value)),
}

const text: Codec = {
  dynamic: true,
  headBytes: WORD,
  minBytes: WORD,
  decode(input, at) {
    const bytes = decodeBytes(input, at)
    try {
      return utf8Decode(bytes)
    } catch {
      throw revertWith('ABI: string is not UTF-8')
    }
  },
  encode: (output, _at, value: string) => encodeBytes(output, utf8Encode(value)),
}

/** What one value takes at least, with its offset where it has one. */
function footprint(codec: Codec): number {
  return codec.dynamic ? WORD + codec.minBytes : codec.headBytes
}

function dynamicArray(element: Codec): Codec {
  const elementBytes = footprint(element)
  return {
    dynamic: true,
    headBytes: WORD,
    minBytes: WORD,
    decode(input, at) {
      const count = input.size(at)
      // Before anything is allocated: a length that the data cannot hold is refused.
      if (count * elementBytes > input.bytes.length - at - WORD) throw revertWith('ABI: array is longer than its data')
      return decodeSequence(repeat(element, count), input, at + WORD)
    },
    encode(output, _at, values: readonly unknown[]) {
      const start = output.reserve(WORD + element.headBytes * values.length)
      output.u32(start + 28, values.length)
      encodeSequence(repeat(element, values.length), output, start + WORD, values)
    },
  }
}

function fixedArray(element: Codec, length: number): Codec {
  if (length === 0) throw new RangeError('no codec for arrays of fixed length 0')
  const codecs = repeat(element, length)
  return sequence(codecs, {
    unpack: (values: readonly unknown[]) => {
      if (values.length !== length) throw new RangeError(`${values.length} values for an array of ${length}`)
      return values
    },
    pack: (values) => values,
  })
}

function struct(components: readonly AbiParameter[]): Codec {
  const names = components.map((component) => component.name!)
  return sequence(components.map(compileParameter), {
    unpack: (value: Record<string, unknown>) => names.map((name) => value[name]),
    pack: (values) => {
      const value: Record<string, unknown> = {}
      for (let i = 0; i < names.length; i++) value[names[i]!] = values[i]
      return value
    },
  })
}

function sequence<Value>(
  codecs: readonly Codec[],
  { unpack, pack }: { unpack(value: Value): readonly unknown[]; pack(values: unknown[]): unknown },
): Codec {
  const dynamic = codecs.some((codec) => codec.dynamic)
  const contentHead = codecs.reduce((sum, codec) => sum + codec.headBytes, 0)
  return {
    dynamic,
    headBytes: dynamic ? WORD : contentHead,
    minBytes: codecs.reduce((sum, codec) => sum + footprint(codec), 0),
    decode: (input, at) => pack(decodeSequence(codecs, input, at)),
    encode(output, at, value: never) {
      encodeSequence(codecs, output, dynamic ? output.reserve(contentHead) : at, unpack(value))
    },
  }
}

function repeat(codec: Codec, count: number): Codec[] {
  return new Array<Codec>(count).fill(codec)
}

function decodeSequence(codecs: readonly Codec[], input: AbiInput, base: number): unknown[] {
  const values: unknown[] = new Array(codecs.length)
  let at = base
  for (let i = 0; i < codecs.length; i++) {
    const codec = codecs[i]!
    values[i] = codec.decode(input, codec.dynamic ? base + input.size(at) : at)
    at += codec.headBytes
  }
  return values
}

function encodeSequence(codecs: readonly Codec[], output: AbiOutput, base: number, values: readonly unknown[]): void {
  let at = base
  for (let i = 0; i < codecs.length; i++) {
    const codec = codecs[i]!
    if (codec.dynamic) output.u32(at + 28, output.length - base)
    codec.encode(output, at, values[i] as never)
    at += codec.headBytes
  }
}
