import { equalBytes } from '@cumulus/bytes'
import { type BlsVerifier, type Certificate, type Committee, verifyCertificate } from '@cumulus/certificate'
import { keccak256 } from '@cumulus/hash/keccak256'
import type { Address } from '@cumulus/types'
import { bytes, integer, record } from './answer.ts'
import { nobleBls } from './noble-bls.ts'
import { encodeRlp, integerBytes } from './rlp.ts'
import { SdkError } from './sdk-error.ts'

/** The header of a chain block, with the hash that was computed from all its fields. */
export interface Header {
  readonly number: bigint
  readonly hash: Uint8Array
  readonly parentHash: Uint8Array
  readonly stateRoot: Uint8Array
  readonly transactionsRoot: Uint8Array
  readonly receiptsRoot: Uint8Array
  /** Whole seconds since 1970. */
  readonly timestamp: bigint
  /** Consensus time in ms. */
  readonly timestampMs: number
  readonly miner: Address
  /** Randomness of the block: the coin of its round. */
  readonly prevRandao: Uint8Array
  readonly baseFeePerGas: bigint
}

/** Fields of an Ethereum header of the Osaka fork in the order in which they are hashed, and their lengths; 0 = a number. */
const FIELDS = [
  ['parentHash', 32],
  ['sha3Uncles', 32],
  ['miner', 20],
  ['stateRoot', 32],
  ['transactionsRoot', 32],
  ['receiptsRoot', 32],
  ['logsBloom', 256],
  ['difficulty', 0],
  ['number', 0],
  ['gasLimit', 0],
  ['gasUsed', 0],
  ['timestamp', 0],
  ['extraData', 8],
  ['mixHash', 32],
  ['nonce', 8],
  ['baseFeePerGas', 0],
  ['withdrawalsRoot', 32],
  ['blobGasUsed', 0],
  ['excessBlobGas', 0],
  ['parentBeaconBlockRoot', 32],
  ['requestsHash', 32],
] as const

/** The header in an answer of `eth_getBlockBy…`. The hash it claims is not looked at. @throws SdkError BAD_ANSWER */
export function headerFromJson(json: unknown): Header {
  const fields = record(json, 'block')
  const bytesOf = (name: string, length: number) => bytes(fields[name], length, name)
  const integerOf = (name: string) => integer(fields[name], name)
  const hash = keccak256(
    encodeRlp(FIELDS.map(([name, length]) => (length === 0 ? integerBytes(integerOf(name)) : bytesOf(name, length)))),
  )
  return {
    number: integerOf('number'),
    hash,
    parentHash: bytesOf('parentHash', 32),
    stateRoot: bytesOf('stateRoot', 32),
    transactionsRoot: bytesOf('transactionsRoot', 32),
    receiptsRoot: bytesOf('receiptsRoot', 32),
    timestamp: integerOf('timestamp'),
    timestampMs: Number(integer(fields['extraData'], 'extraData')),
    miner: `0x${bytesOf('miner', 20).toHex()}`,
    prevRandao: bytesOf('mixHash', 32),
    baseFeePerGas: integerOf('baseFeePerGas'),
  }
}

/**
 * Returns if a quorum of the committee vouches for this very header. Nothing else is needed: no node, no chain before it.
 *
 * @throws SdkError WRONG_HEADER; CertificateError
 */
export function verifyHeader(
  header: Header,
  certificate: Certificate,
  committee: Committee,
  bls: BlsVerifier = nobleBls,
): void {
  if (header.number !== certificate.height || !equalBytes(header.hash, certificate.headerHash)) {
    throw new SdkError('WRONG_HEADER', `block ${header.number} is not the one certified at ${certificate.height}`)
  }
  verifyCertificate(certificate, committee, bls)
}
