import { concatBytes, DecodeError } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import { recoverSecp256k1, secp256k1Address } from '@cumulus/signature'
import { type Address, addressFromBytes } from '@cumulus/types'
import { bytesToInteger, decodeRlp, encodeRlp, type Rlp, type RlpInput } from '../trie/rlp.ts'

/** Legacy with EIP-155, access lists (EIP-2930), fee market (EIP-1559), delegation of accounts (EIP-7702). No blobs. */
export type TransactionType = 0 | 1 | 2 | 4

/** Larger ones are refused before they are decoded. */
export const TRANSACTION_BYTES_MAX = 128 * 2 ** 10

export interface AccessListItem {
  readonly address: Address
  /** 32 bytes each. */
  readonly slots: readonly Uint8Array[]
}

/** An account's consent to run the code of `address` (EIP-7702). */
export interface Authorization {
  readonly chainId: bigint
  readonly address: Address
  readonly nonce: bigint
  readonly yParity: bigint
  readonly r: bigint
  readonly s: bigint
}

interface Fields {
  readonly type: TransactionType
  /** Undefined for legacy transactions from before EIP-155, which any chain would take. */
  readonly chainId: bigint | undefined
  readonly nonce: bigint
  /** Most the sender pays for one gas, in wei; `gasPrice` of the older types. */
  readonly maxFeePerGas: bigint
  /** Most of it that goes to the coinbase. Equal to `maxFeePerGas` for the older types. */
  readonly maxPriorityFeePerGas: bigint
  readonly gasLimit: bigint
  /** Undefined creates a contract. */
  readonly to: Address | undefined
  readonly value: bigint
  readonly data: Uint8Array
  readonly accessList: readonly AccessListItem[]
  readonly authorizations: readonly Authorization[]
  readonly yParity: number
  readonly v: bigint
  readonly r: bigint
  readonly s: bigint
}

const U64 = (1n << 64n) - 1n
const U256 = (1n << 256n) - 1n

/** Half the order of secp256k1: above it signatures are malleable and refused (EIP-2). */
export const HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n

/** A signed transaction as it came over the wire. */
export interface Transaction extends Fields {
  readonly raw: Uint8Array
  readonly hash: Uint8Array
  /** 32 bytes, what was signed. */
  readonly signingHash: Uint8Array
  /** Who signed, or undefined if nobody did. Costs about 50 µs the first time; nothing if it was told. */
  readonly sender: Address | undefined
  /** For whoever has recovered the sender elsewhere, in a worker, say. Believed. */
  tellSender(sender: Address | undefined): void
}

function transaction(
  raw: Uint8Array,
  fields: Fields,
  signingHash: Uint8Array,
  known: Address | undefined,
): Transaction {
  let sender = known?.toLowerCase() as Address | undefined
  let isRecovered = known !== undefined
  return {
    ...fields,
    raw,
    hash: keccak256(raw),
    signingHash,
    tellSender(told) {
      sender = told
      isRecovered = true
    },
    get sender() {
      if (!isRecovered) {
        isRecovered = true
        sender = recoverAddress(signingHash, fields.yParity, fields.r, fields.s)
      }
      return sender
    },
  }
}

/**
 * Decodes a transaction in its network form: RLP of a legacy one, or type ‖ RLP. The signature is not checked.
 *
 * @param sender who signed, if the caller has recovered it already (in a worker, say) and can be trusted
 * @throws DecodeError
 */
export function decodeTransaction(raw: Uint8Array, sender?: Address): Transaction {
  if (raw.length > TRANSACTION_BYTES_MAX) {
    throw new DecodeError(`a transaction has at most ${TRANSACTION_BYTES_MAX} bytes, not ${raw.length}`, 0)
  }
  const type = raw[0]
  if (type === undefined) throw new DecodeError('a transaction is not empty', 0)
  if (type >= 0xc0) return decodeLegacy(raw, sender)
  if (type !== 1 && type !== 2 && type !== 4)
    throw new DecodeError(`transactions of type ${type} are not taken here`, 0)
  return decodeTyped(raw, type, sender)
}

function decodeLegacy(raw: Uint8Array, sender: Address | undefined): Transaction {
  const items = list(decodeRlp(raw), 9)
  const v = integer(items[6], U64)
  const isProtected = v >= 35n
  if (!isProtected && v !== 27n && v !== 28n) throw new DecodeError(`${v} is no v of a signature`, 0)
  const chainId = isProtected ? (v - 35n) >> 1n : undefined
  const unsigned: RlpInput[] = items.slice(0, 6)
  if (chainId !== undefined) unsigned.push(chainId, 0, 0)
  const maxFeePerGas = integer(items[1], U256)
  const fields: Fields = {
    type: 0,
    chainId,
    nonce: integer(items[0], U64),
    maxFeePerGas,
    maxPriorityFeePerGas: maxFeePerGas,
    gasLimit: integer(items[2], U64),
    to: destination(items[3]),
    value: integer(items[4], U256),
    data: text(items[5]),
    accessList: [],
    authorizations: [],
    yParity: Number(isProtected ? (v - 35n) & 1n : v - 27n),
    v,
    r: integer(items[7], U256),
    s: integer(items[8], U256),
  }
  return transaction(raw, fields, keccak256(encodeRlp(unsigned)), sender)
}

function decodeTyped(raw: Uint8Array, type: 1 | 2 | 4, sender: Address | undefined): Transaction {
  const count = { 1: 11, 2: 12, 4: 13 }[type]
  const items = list(decodeRlp(raw.subarray(1)), count)
  let at = 0
  const next = () => items[at++]
  const chainId = integer(next(), U256)
  const nonce = integer(next(), U64)
  const priority = type === 1 ? undefined : integer(next(), U256)
  const maxFeePerGas = integer(next(), U256)
  const gasLimit = integer(next(), U64)
  const to = destination(next())
  if (type === 4 && to === undefined) throw new DecodeError('a delegation does not create contracts', 0)
  const value = integer(next(), U256)
  const data = text(next())
  const accessList = anyList(next()).map(accessListItem)
  const authorizations = type === 4 ? anyList(next()).map(authorization) : []
  if (type === 4 && authorizations.length === 0) throw new DecodeError('a delegation without authorizations', 0)
  const yParity = Number(integer(next(), 1n))
  const fields: Fields = {
    type,
    chainId,
    nonce,
    maxFeePerGas,
    maxPriorityFeePerGas: priority ?? maxFeePerGas,
    gasLimit,
    to,
    value,
    data,
    accessList,
    authorizations,
    yParity,
    v: BigInt(yParity),
    r: integer(next(), U256),
    s: integer(next(), U256),
  }
  const unsigned = concatBytes(Uint8Array.of(type), encodeRlp(items.slice(0, -3)))
  return transaction(raw, fields, keccak256(unsigned), sender)
}

function accessListItem(item: Rlp): AccessListItem {
  const [address, slots] = list(item, 2)
  return { address: addressOf(address), slots: anyList(slots).map((slot) => sized(slot, 32)) }
}

function authorization(item: Rlp): Authorization {
  const [chainId, address, nonce, yParity, r, s] = list(item, 6)
  return {
    chainId: integer(chainId, U256),
    address: addressOf(address),
    nonce: integer(nonce, U64),
    yParity: integer(yParity, 0xffn),
    r: integer(r, U256),
    s: integer(s, U256),
  }
}

/** The account that signed `hash`, or undefined: out of range, malleable, or not a signature at all. */
export function recoverAddress(hash: Uint8Array, yParity: number, r: bigint, s: bigint): Address | undefined {
  if (yParity > 1 || r === 0n || s === 0n || s > HALF_ORDER) return undefined
  const signature = Uint8Array.fromHex(r.toString(16).padStart(64, '0') + s.toString(16).padStart(64, '0'))
  const key = recoverSecp256k1(signature, yParity, hash)
  return key && addressFromBytes(secp256k1Address(key))
}

/** The account that gave an authorization, or undefined. */
export function authorityOf(authorization: Authorization): Address | undefined {
  const { chainId, address, nonce, yParity, r, s } = authorization
  const message = encodeRlp([chainId, Uint8Array.fromHex(address.slice(2)), nonce])
  return recoverAddress(keccak256(concatBytes(Uint8Array.of(5), message)), Number(yParity), r, s)
}

function anyList(item: Rlp | undefined): Rlp[] {
  if (item === undefined || item instanceof Uint8Array) throw new DecodeError('a list is wanted', 0)
  return item
}

function list(item: Rlp | undefined, count: number): Rlp[] {
  const items = anyList(item)
  if (items.length !== count) throw new DecodeError(`a list of ${count} is wanted, not of ${items.length}`, 0)
  return items
}

function text(item: Rlp | undefined): Uint8Array {
  if (!(item instanceof Uint8Array)) throw new DecodeError('bytes are wanted', 0)
  return item
}

function sized(item: Rlp | undefined, length: number): Uint8Array {
  const bytes = text(item)
  if (bytes.length !== length) throw new DecodeError(`${length} bytes are wanted, not ${bytes.length}`, 0)
  return bytes
}

function integer(item: Rlp | undefined, max: bigint): bigint {
  const bytes = text(item)
  if (bytes[0] === 0) throw new DecodeError('an integer has no leading zeros', 0)
  // Nothing here is wider than 32 bytes: look before turning megabytes into a bigint.
  const value = bytes.length > 32 ? undefined : bytesToInteger(bytes)
  if (value === undefined || value > max) throw new DecodeError(`an integer above ${max}`, 0)
  return value
}

function addressOf(item: Rlp | undefined): Address {
  return addressFromBytes(sized(item, 20))
}

function destination(item: Rlp | undefined): Address | undefined {
  return text(item).length === 0 ? undefined : addressOf(item)
}
