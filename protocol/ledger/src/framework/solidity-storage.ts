import { bytesToHex, utf8Decode, utf8Encode } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import type { Address } from '@cumulus/types'

/**
 * A module's variables in the layout of Solidity
 * (https://docs.soliditylang.org/en/latest/internals/layout_in_storage.html), so that `eth_getProof`, forks and explorers
 * read them as they read any contract: small values packed from the right, mappings at keccak(key ‖ slot), arrays at
 * keccak(slot), short strings in their slot and long ones at keccak(slot).
 *
 * A type is described once and bound to a slot when it is used; the bound object reads and writes through `SlotPort`,
 * which charges gas.
 */
export interface SlotPort {
  load(slot: bigint): bigint
  store(slot: bigint, value: bigint): void
  /** Called for every Keccak that finds a slot. */
  hashed(): void
}

/** A type of variable, and the `Access` one gets to it. */
export interface StorageType<Access> {
  /** Bytes within a slot for packed types, else 32. */
  readonly size: number
  /** Whole slots taken; 1 for packed types. */
  readonly slots: number
  /** What it holds before it is written, where that is one value. */
  readonly zero?: unknown
  bind(port: SlotPort, slot: bigint, offset: number): Access
}

/** A variable with one value. */
export interface Cell<Value> {
  get(): Value
  set(value: Value): void
}

/** A value type: fits a slot, may be packed, may be a key. */
export interface Scalar<Value> extends StorageType<Cell<Value>> {
  encode(value: Value): bigint
  decode(bits: bigint): Value
}

// biome-ignore lint/suspicious/noExplicitAny: "some type of variable", whatever its access
export type AnyStorageType = StorageType<any>
type AccessOf<Type> = Type extends StorageType<infer Access> ? Access : never
type ValueOf<Type> = AccessOf<Type> extends Cell<infer Value> ? Value : never

export type StorageFields = Readonly<Record<string, AnyStorageType>>
export type StorageView<Fields extends StorageFields> = { readonly [Name in keyof Fields]: AccessOf<Fields[Name]> }

const WORD_MASK = (1n << 256n) - 1n

function scalar<Value>(size: number, encode: (value: Value) => bigint, decode: (bits: bigint) => Value): Scalar<Value> {
  const mask = (1n << BigInt(size * 8)) - 1n
  const type: Scalar<Value> = {
    size,
    slots: 1,
    zero: decode(0n),
    encode(value) {
      const bits = encode(value)
      if (bits < 0n || bits > mask) throw new RangeError(`${value} does not fit ${size} bytes of storage`)
      return bits
    },
    decode,
    bind(port, slot, offset) {
      if (size === 32) {
        return { get: () => decode(port.load(slot)), set: (value) => port.store(slot, type.encode(value)) }
      }
      const shift = BigInt(offset * 8)
      return {
        get: () => decode((port.load(slot) >> shift) & mask),
        set: (value) => port.store(slot, (port.load(slot) & ~(mask << shift)) | (type.encode(value) << shift)),
      }
    },
  }
  return type
}

function smallUint(bytes: number): Scalar<number> {
  return scalar(bytes, BigInt, Number)
}

function bigUint(bytes: number): Scalar<bigint> {
  return scalar(
    bytes,
    (value) => value,
    (bits) => bits,
  )
}

/** Value types, named as in Solidity. Unsigned integers are numbers up to 48 bits and bigints above, as in viem. */
export const u8 = smallUint(1)
export const u16 = smallUint(2)
export const u32 = smallUint(4)
export const u64 = bigUint(8)
export const u112 = bigUint(14)
export const u256 = bigUint(32)
export const bool: Scalar<boolean> = scalar(
  1,
  (value) => (value ? 1n : 0n),
  (bits) => bits !== 0n,
)
export const address: Scalar<Address> = scalar(20, BigInt, (bits) => hex(bits, 40))
export const bytes32: Scalar<`0x${string}`> = scalar(32, BigInt, (bits) => hex(bits, 64))

function hex(bits: bigint, digits: number): `0x${string}` {
  return `0x${bits.toString(16).padStart(digits, '0')}`
}

/** A variable of a value type. For reading aloud: `total: cell(u256)`. */
export function cell<Value>(type: Scalar<Value>): Scalar<Value> {
  return type
}

/** Bytes of any length, `bytes` in Solidity. */
export const bytes: StorageType<Cell<Uint8Array>> = {
  size: 32,
  slots: 1,
  zero: new Uint8Array(),
  bind: (port, slot) => ({
    get: () => readBytes(port, slot),
    set: (value) => writeBytes(port, slot, value),
  }),
}

/** UTF-8 of any length, `string` in Solidity. */
export const text: StorageType<Cell<string>> = {
  size: 32,
  slots: 1,
  zero: '',
  bind: (port, slot) => ({
    get: () => utf8Decode(readBytes(port, slot)),
    set: (value) => writeBytes(port, slot, utf8Encode(value)),
  }),
}

/** Up to 31 bytes: left-aligned in the slot, twice the length in its last byte. Longer: 2·length + 1, data elsewhere. */
function readBytes(port: SlotPort, slot: bigint): Uint8Array {
  const head = port.load(slot)
  if ((head & 1n) === 0n) return wordBytes(head).subarray(0, Number(head & 0xffn) / 2)
  const length = Number((head - 1n) / 2n)
  const value = new Uint8Array(length)
  const start = hashSlot(port, slot)
  for (let i = 0; i * 32 < length; i++) {
    value.set(wordBytes(port.load(next(start, i))).subarray(0, length - i * 32), i * 32)
  }
  return value
}

function writeBytes(port: SlotPort, slot: bigint, value: Uint8Array): void {
  const before = port.load(slot)
  const wordsBefore = before & 1n ? Math.ceil(Number((before - 1n) / 2n) / 32) : 0
  const words = value.length > 31 ? Math.ceil(value.length / 32) : 0
  const start = wordsBefore > 0 || words > 0 ? hashSlot(port, slot) : 0n
  port.store(slot, words === 0 ? leftAligned(value) | BigInt(value.length * 2) : BigInt(value.length) * 2n + 1n)
  for (let i = 0; i < words; i++) port.store(next(start, i), leftAligned(value.subarray(i * 32, i * 32 + 32)))
  for (let i = words; i < wordsBefore; i++) port.store(next(start, i), 0n)
}

function leftAligned(value: Uint8Array): bigint {
  return value.length === 0 ? 0n : BigInt(bytesToHex(value)) << BigInt(8 * (32 - value.length))
}

/** A mapping. `at` gives the variable of a key; `get` and `set` are short for value types. */
export interface Dict<Key, Access> {
  at(key: Key): Access
  get(key: Key): Access extends Cell<infer Value> ? Value : never
  set(key: Key, value: Access extends Cell<infer Value> ? Value : never): void
}

export function dict<Key, Access>(key: Scalar<Key>, value: StorageType<Access>): StorageType<Dict<Key, Access>> {
  return {
    size: 32,
    slots: 1,
    bind(port, slot) {
      const at = (wanted: Key) => {
        port.hashed()
        return value.bind(port, mappingSlot(key.encode(wanted), slot), 0)
      }
      return {
        at,
        get: (wanted) => (at(wanted) as Cell<never>).get(),
        set: (wanted, to) => (at(wanted) as Cell<unknown>).set(to),
      }
    },
  }
}

/** A dynamic array. Looking past its end is a mistake of the module, not of the user. */
export interface List<Access> {
  length(): number
  at(index: number): Access
  get(index: number): Access extends Cell<infer Value> ? Value : never
  set(index: number, value: Access extends Cell<infer Value> ? Value : never): void
  push(value: Access extends Cell<infer Value> ? Value : never): void
  /** Removes the last element, which is a value, and clears its place. */
  pop(): void
}

export function array<Access>(element: StorageType<Access>): StorageType<List<Access>> {
  const perSlot = element.size < 32 ? Math.floor(32 / element.size) : 1
  return {
    size: 32,
    slots: 1,
    bind(port, slot) {
      const length = () => Number(port.load(slot))
      let start: bigint | undefined
      const place = (index: number) => {
        start ??= hashSlot(port, slot)
        if (perSlot === 1) return element.bind(port, next(start, index * element.slots), 0)
        return element.bind(port, next(start, Math.floor(index / perSlot)), (index % perSlot) * element.size)
      }
      const at = (index: number) => {
        if (index < 0 || index >= length()) throw new RangeError(`element ${index} of ${length()}`)
        return place(index)
      }
      const list: List<unknown> = {
        length,
        at,
        get: (index) => (at(index) as Cell<never>).get(),
        set: (index, value) => (at(index) as Cell<unknown>).set(value),
        push(value) {
          const index = length()
          port.store(slot, BigInt(index + 1))
          ;(place(index) as Cell<unknown>).set(value)
        },
        pop() {
          const index = length() - 1
          const last = at(index) as Cell<unknown>
          if (element.zero === undefined) throw new TypeError('pop is for arrays of values')
          last.set(element.zero)
          port.store(slot, BigInt(index))
        },
      }
      return list as List<Access>
    },
  }
}

/** Fields one after the other, packed where they fit. */
export interface Struct<Fields extends StorageFields> {
  get(): StructValue<Fields>
  set(value: StructValue<Fields>): void
  /** Writes some fields; each slot is read and written once. */
  update(values: Partial<StructValue<Fields>>): void
  field<Name extends keyof Fields>(name: Name): AccessOf<Fields[Name]>
  /** Sets every field with a value to zero. */
  clear(): void
}

type ValueFields<Fields> = {
  [Name in keyof Fields]: Fields[Name] extends StorageType<Cell<infer _>> ? Name : never
}[keyof Fields]
type StructValue<Fields extends StorageFields> = { [Name in ValueFields<Fields>]: ValueOf<Fields[Name]> }

export function struct<Fields extends StorageFields>(fields: Fields): StorageType<Struct<Fields>> {
  const layout = layOut(fields)
  const places = [...layout.places]
  const zero = Object.fromEntries(
    places.flatMap(([name, { type }]) => (type.zero === undefined ? [] : [[name, type.zero]])),
  )
  return {
    size: 32,
    slots: layout.slots,
    zero,
    bind(port, slot) {
      const field = (name: string) => {
        const place = layout.places.get(name)!
        return place.type.bind(port, next(slot, place.slot), place.offset)
      }
      const update = (values: Record<string, unknown>) => {
        // Value types of one slot stand next to each other: collect them, then write the slot.
        let current = -1
        let mask = 0n
        let bits = 0n
        const flush = () => {
          if (mask === 0n) return
          const at = next(slot, current)
          port.store(at, mask === WORD_MASK ? bits : (port.load(at) & ~mask) | bits)
          mask = 0n
          bits = 0n
        }
        for (const [name, place] of places) {
          if (values[name] === undefined) continue
          if (!isScalar(place.type)) {
            field(name).set(values[name])
            continue
          }
          if (place.slot !== current) flush()
          current = place.slot
          const shift = BigInt(place.offset * 8)
          mask |= ((1n << BigInt(place.type.size * 8)) - 1n) << shift
          bits |= place.type.encode(values[name]) << shift
        }
        flush()
      }
      const access: Struct<StorageFields> = {
        get() {
          const value: Record<string, unknown> = {}
          let current = -1
          let bits = 0n
          for (const [name, place] of places) {
            if (isScalar(place.type)) {
              if (place.slot !== current) bits = port.load(next(slot, place.slot))
              current = place.slot
              const mask = (1n << BigInt(place.type.size * 8)) - 1n
              value[name] = place.type.decode((bits >> BigInt(place.offset * 8)) & mask)
            } else if (name in zero) {
              value[name] = field(name).get()
            }
          }
          return value as never
        },
        set: (value) => update({ ...zero, ...(value as Record<string, unknown>) }),
        update: (values) => update(values as Record<string, unknown>),
        field: field as never,
        clear: () => update(zero),
      }
      return access as unknown as Struct<Fields>
    },
  }
}

function isScalar(type: AnyStorageType): type is Scalar<unknown> {
  return 'decode' in type
}

interface Place {
  readonly type: AnyStorageType
  readonly slot: number
  /** Bytes from the right end of the slot. */
  readonly offset: number
}

/** Where Solidity puts variables declared in this order. */
export function layOut(fields: StorageFields): { places: ReadonlyMap<string, Place>; slots: number } {
  const places = new Map<string, Place>()
  let slot = 0
  let offset = 0
  for (const [name, type] of Object.entries(fields)) {
    const packed = isScalar(type)
    if (offset > 0 && (!packed || offset + type.size > 32)) {
      slot++
      offset = 0
    }
    places.set(name, { type, slot, offset })
    if (packed) {
      offset += type.size
    } else {
      slot += type.slots
    }
  }
  return { places, slots: slot + (offset > 0 ? 1 : 0) }
}

/**
 * The slot of a variable, for who reads it by proof. `read` reads that variable alone, of what is bound to nothing but zeros.
 */
export function slotOf<Fields extends StorageFields, Name extends keyof Fields & string>(
  fields: Fields,
  name: Name,
  read: (variable: AccessOf<Fields[Name]>) => unknown,
): bigint {
  const { type, slot, offset } = layOut(fields).places.get(name)!
  const loaded = new Set<bigint>()
  const port: SlotPort = {
    load: (at) => {
      loaded.add(at)
      return 0n
    },
    store: () => {
      throw new TypeError('nothing is written where a slot is looked for')
    },
    hashed: () => undefined,
  }
  read(type.bind(port, BigInt(slot), offset))
  const [found, ...more] = loaded
  if (found === undefined || more.length > 0) throw new TypeError(`${loaded.size} slots were read, not one`)
  return found
}

const scratch = new Uint8Array(64)
const scratchView = new DataView(scratch.buffer)

function mappingSlot(key: bigint, slot: bigint): bigint {
  putWord(0, key)
  putWord(32, slot)
  return wordOf(keccak256(scratch))
}

function hashSlot(port: SlotPort, slot: bigint): bigint {
  port.hashed()
  putWord(0, slot)
  return wordOf(keccak256(scratch.subarray(0, 32)))
}

function next(slot: bigint, steps: number): bigint {
  return steps === 0 ? slot : (slot + BigInt(steps)) & WORD_MASK
}

function putWord(at: number, value: bigint): void {
  for (let i = 3; i >= 0; i--, value >>= 64n) scratchView.setBigUint64(at + 8 * i, BigInt.asUintN(64, value))
}

function wordOf(hash: Uint8Array): bigint {
  const view = new DataView(hash.buffer, hash.byteOffset, 32)
  const high = (view.getBigUint64(0) << 64n) | view.getBigUint64(8)
  return (high << 128n) | (view.getBigUint64(16) << 64n) | view.getBigUint64(24)
}

function wordBytes(value: bigint): Uint8Array {
  const word = new Uint8Array(32)
  const view = new DataView(word.buffer)
  for (let i = 3; i >= 0; i--, value >>= 64n) view.setBigUint64(8 * i, BigInt.asUintN(64, value))
  return word
}
