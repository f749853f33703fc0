import { DecodeError, hexToBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import { type Address, addressFromBytes } from '@cumulus/types'
import { bytesToInteger, decodeRlp, encodeRlp } from '../trie/rlp.ts'
import { EMPTY_ROOT } from '../trie/trie.ts'

/** Header of a chain block, in the shape of an Ethereum header of the Osaka fork, so that its tools check the hash. */
export interface BlockHeader {
  readonly number: bigint
  readonly parentHash: Uint8Array
  readonly coinbase: Address
  readonly stateRoot: Uint8Array
  readonly transactionsRoot: Uint8Array
  readonly receiptsRoot: Uint8Array
  readonly logsBloom: Uint8Array
  readonly gasLimit: bigint
  readonly gasUsed: bigint
  /** Consensus time in ms. The field `timestamp` has its whole seconds, `extraData` all of it (u64, big-endian). */
  readonly timestampMs: number
  readonly prevRandao: Uint8Array
  readonly baseFee: bigint
  /** Binds the state of the consensus that ordered this block; the field `parentBeaconBlockRoot`. */
  readonly consensusRoot: Uint8Array
}

/** A header with what follows from it. */
export interface HashedHeader extends BlockHeader {
  readonly hash: Uint8Array
  /** Seconds since 1970. */
  readonly timestamp: bigint
  readonly extraData: Uint8Array
}

// What Ethereum's header has and we have not: uncles, proof of work, withdrawals, blobs, requests.
const NO_OMMERS = Uint8Array.fromHex('1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347')
const NO_NONCE = new Uint8Array(8)
/** Of a chain without a committee. */
export const NO_CONSENSUS_ROOT: Uint8Array = new Uint8Array(32)
const NO_REQUESTS = Uint8Array.fromHex('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')

/** Constants of every header, for whoever shows one. */
export const HEADER_CONSTANTS = {
  ommersHash: NO_OMMERS,
  nonce: NO_NONCE,
  withdrawalsRoot: EMPTY_ROOT,
  requestsHash: NO_REQUESTS,
} as const

const FIELD_COUNT = 21

export function encodeHeader(header: BlockHeader): Uint8Array {
  return encodeRlp([
    header.parentHash,
    NO_OMMERS,
    hexToBytes(header.coinbase),
    header.stateRoot,
    header.transactionsRoot,
    header.receiptsRoot,
    header.logsBloom,
    0, // difficulty
    header.number,
    header.gasLimit,
    header.gasUsed,
    Math.floor(header.timestampMs / 1000),
    timeBytes(header.timestampMs),
    header.prevRandao,
    NO_NONCE,
    header.baseFee,
    EMPTY_ROOT,
    0, // blob gas used
    0, // excess blob gas
    header.consensusRoot,
    NO_REQUESTS,
  ])
}

export function decodeHeader(rlp: Uint8Array): HashedHeader {
  const fields = decodeRlp(rlp)
  if (fields instanceof Uint8Array || fields.length !== FIELD_COUNT) {
    throw new DecodeError(`a header is a list of ${FIELD_COUNT}`, 0)
  }
  const at = (index: number) => {
    const field = fields[index]
    if (!(field instanceof Uint8Array)) throw new DecodeError('a header has no lists', 0)
    return field
  }
  return hashHeader({
    parentHash: at(0).slice(),
    coinbase: addressFromBytes(at(2)),
    stateRoot: at(3).slice(),
    transactionsRoot: at(4).slice(),
    receiptsRoot: at(5).slice(),
    logsBloom: at(6).slice(),
    number: bytesToInteger(at(8)),
    gasLimit: bytesToInteger(at(9)),
    gasUsed: bytesToInteger(at(10)),
    timestampMs: Number(bytesToInteger(at(12))),
    prevRandao: at(13).slice(),
    baseFee: bytesToInteger(at(15)),
    consensusRoot: at(19).slice(),
  })
}

export function hashHeader(header: BlockHeader): HashedHeader {
  return {
    ...header,
    hash: keccak256(encodeHeader(header)),
    timestamp: BigInt(Math.floor(header.timestampMs / 1000)),
    extraData: timeBytes(header.timestampMs),
  }
}

function timeBytes(timestampMs: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(timestampMs))
  return bytes
}
