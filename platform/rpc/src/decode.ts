import { hexToBytes } from '@cumulus/bytes'
import type { Address } from '@cumulus/types'
import type { AccessList, CallRequest, Hash, Hex, ViewAuthorization } from './chain-view.ts'
import type { RpcLimits } from './limits.ts'
import { overLimit, RpcError } from './rpc-error.ts'

/** Turns one parameter into its narrow type or throws RpcError INVALID_PARAMS that names it. */
export type Decoder<Value> = (value: unknown, name: string) => Value

export function invalid(name: string, expected: string, value: unknown): RpcError {
  const shown = value === undefined ? 'nothing' : (JSON.stringify(value)?.slice(0, 80) ?? typeof value)
  return new RpcError('INVALID_PARAMS', `${name} must be ${expected}, not ${shown}`)
}

/** Absent, or null as many clients write it. */
export function optional<Value>(decoder: Decoder<Value>): Decoder<Value | undefined> {
  return (value, name) => (value === undefined || value === null ? undefined : decoder(value, name))
}

export const hex: Decoder<Hex> = (value, name) => {
  if (typeof value !== 'string' || !/^0x(?:[0-9a-f]{2})*$/i.test(value)) {
    throw invalid(name, 'bytes in hex with 0x', value)
  }
  return value.toLowerCase() as Hex
}

export const bytes: Decoder<Uint8Array> = (value, name) => hexToBytes(hex(value, name))

export const address: Decoder<Address> = (value, name) => {
  if (typeof value !== 'string' || !/^0x[0-9a-f]{40}$/i.test(value))
    throw invalid(name, 'an address of 20 bytes', value)
  return value.toLowerCase() as Address
}

export const hash: Decoder<Hash> = (value, name) => {
  if (typeof value !== 'string' || !/^0x[0-9a-f]{64}$/i.test(value)) throw invalid(name, 'a hash of 32 bytes', value)
  return value.toLowerCase() as Hash
}

/** A number in hex. Leading zeros and plain JSON integers are taken as well: real clients send both. */
export const quantity: Decoder<bigint> = (value, name) => {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return BigInt(value)
  if (typeof value !== 'string' || !/^0x[0-9a-f]{1,64}$/i.test(value)) throw invalid(name, 'a number in hex', value)
  return BigInt(value)
}

/** A storage slot: a number, or 32 bytes, both in hex. */
export const slot: Decoder<bigint> = (value, name) => quantity(value, name)

export const boolean: Decoder<boolean> = (value, name) => {
  if (typeof value !== 'boolean') throw invalid(name, 'true or false', value)
  return value
}

export const text: Decoder<string> = (value, name) => {
  if (typeof value !== 'string' || value.length > 128) throw invalid(name, 'a short text', value)
  return value
}

export function list<Value>(item: Decoder<Value>, lengthMax: number): Decoder<Value[]> {
  return (value, name) => {
    if (!Array.isArray(value)) throw invalid(name, 'a list', value)
    if (value.length > lengthMax)
      throw overLimit('list', `${name} has ${value.length} items, at most ${lengthMax} are taken`)
    return value.map((one, index) => item(one, `${name}[${index}]`))
  }
}

/** One block: by tag, number, or hash (EIP-1898). */
export type BlockReference = 'latest' | 'pending' | 'safe' | 'finalized' | 'earliest' | bigint | { readonly hash: Hash }

export const blockReference: Decoder<BlockReference> = (value, name) => {
  switch (value) {
    case 'latest':
    case 'pending':
    case 'safe':
    case 'finalized':
    case 'earliest':
      return value
  }
  if (isRecord(value)) {
    if (value['blockHash'] !== undefined) return { hash: hash(value['blockHash'], `${name}.blockHash`) }
    if (value['blockNumber'] !== undefined) return quantity(value['blockNumber'], `${name}.blockNumber`)
    throw invalid(name, 'an object with blockHash or blockNumber', value)
  }
  if (typeof value === 'string' && value.length === 66) return { hash: hash(value, name) }
  try {
    return quantity(value, name)
  } catch {
    throw invalid(name, 'a block number in hex, a block hash, latest, pending, safe, finalized or earliest', value)
  }
}

export function callRequest(limits: RpcLimits): Decoder<CallRequest> {
  return (value, name) => {
    if (!isRecord(value)) throw invalid(name, 'an object', value)
    const field = <Value>(key: string, decoder: Decoder<Value>): Value | undefined =>
      optional(decoder)(value[key], `${name}.${key}`)
    const [input, old] = [field('input', hex), field('data', hex)]
    if (input !== undefined && old !== undefined && input !== old) {
      throw new RpcError('INVALID_PARAMS', `${name} has both data and input, and they differ`)
    }
    const data = input ?? old
    // There are no blobs here; to leave them out would answer another question.
    for (const blob of ['blobs', 'blobVersionedHashes', 'maxFeePerBlobGas']) {
      if (value[blob] !== undefined && value[blob] !== null) {
        throw new RpcError('INVALID_PARAMS', `${name}.${blob}: this chain has no blobs`)
      }
    }
    if (data !== undefined && (data.length - 2) / 2 > limits.calldataBytesMax) {
      throw overLimit(
        'calldata',
        `call data of ${(data.length - 2) / 2} bytes is over the limit of ${limits.calldataBytesMax}`,
      )
    }
    return {
      from: field('from', address),
      to: field('to', address),
      gas: field('gas', quantity),
      gasPrice: field('maxFeePerGas', quantity) ?? field('gasPrice', quantity),
      value: field('value', quantity),
      data: data === undefined ? undefined : hexToBytes(data),
      accessList: field('accessList', list(accessListItem, limits.proofKeysMax)),
      authorizationList: field('authorizationList', list(authorization, limits.proofKeysMax)),
    }
  }
}

const accessListItem: Decoder<AccessList[number]> = (value, name) => {
  if (!isRecord(value)) throw invalid(name, 'an object', value)
  return {
    address: address(value['address'], `${name}.address`),
    storageKeys: list(hash, 4_096)(value['storageKeys'] ?? [], `${name}.storageKeys`),
  }
}

const authorization: Decoder<ViewAuthorization> = (value, name) => {
  if (!isRecord(value)) throw invalid(name, 'an object', value)
  const number = (key: string) => quantity(value[key], `${name}.${key}`)
  return {
    chainId: number('chainId'),
    address: address(value['address'], `${name}.address`),
    nonce: number('nonce'),
    yParity: number('yParity'),
    r: number('r'),
    s: number('s'),
  }
}

/** What a log must look like. `topics[i]` undefined = anything; a list = any of these. */
export interface LogFilter {
  readonly addresses: ReadonlySet<Address> | undefined
  readonly topics: readonly (readonly Hash[] | undefined)[]
}

export interface LogQuery extends LogFilter {
  /** One block by its hash, or a range. */
  readonly blockHash: Hash | undefined
  readonly fromBlock: BlockReference
  readonly toBlock: BlockReference
}

export function logQuery(limits: RpcLimits): Decoder<LogQuery> {
  const alternatives = limits.filterAlternativesMax
  return (value, name) => {
    if (value === undefined || value === null) value = {}
    if (!isRecord(value)) throw invalid(name, 'an object', value)
    const { address: at, topics = null, blockHash, fromBlock, toBlock } = value
    if (blockHash !== undefined && (fromBlock !== undefined || toBlock !== undefined)) {
      throw new RpcError('INVALID_PARAMS', `${name} has both blockHash and a range; give one of them`)
    }
    const wanted =
      at === undefined || at === null
        ? []
        : Array.isArray(at)
          ? list(address, alternatives)(at, `${name}.address`)
          : [address(at, `${name}.address`)]
    return {
      addresses: wanted.length > 0 ? new Set(wanted) : undefined,
      topics: topics === null ? [] : list(topicAlternatives(alternatives), 4)(topics, `${name}.topics`),
      blockHash: optional(hash)(blockHash, `${name}.blockHash`),
      fromBlock: optional(blockReference)(fromBlock, `${name}.fromBlock`) ?? 'latest',
      toBlock: optional(blockReference)(toBlock, `${name}.toBlock`) ?? 'latest',
    }
  }
}

function topicAlternatives(max: number): Decoder<readonly Hash[] | undefined> {
  return (value, name) => {
    if (value === null || value === undefined) return undefined
    if (!Array.isArray(value)) return [hash(value, name)]
    // A null among alternatives, or no alternative at all, matches anything (as geth has it).
    if (value.length === 0 || value.includes(null)) return undefined
    return list(hash, max)(value, name)
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
