import { ByteReader, ByteWriter, bytesToHex, DecodeError, hexToBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash/keccak256'
import { type Address, addressFromBytes } from '@cumulus/types'
import { CertificateError } from './certificate-error.ts'

export const COMMITTEE_SIZE_MAX = 31
const ADDRESS_BYTES_MAX = 256

/** One seat. */
export interface Member {
  readonly account: Address
  /** 32 bytes, Ed25519. */
  readonly peerKey: Uint8Array
  /** 48 bytes in G1. Its owner has proved possession: whoever makes a committee sees to it. */
  readonly blsKey: Uint8Array
  /** Multiaddress where the member is dialled. */
  readonly address: string
}

/** Who certifies the chain blocks of an era. Immutable; checked when made. */
export interface Committee {
  readonly chainId: number
  readonly era: number
  /** A member is named by its place here. */
  readonly members: readonly Member[]
  /** q = n - f: so many signers make a certificate. */
  readonly quorum: number
}

/** q = n - f with f = ⌊(n-1)/3⌋: 3 of 4, 8 of 11. Any two quorums share more than f members. */
export function quorumOf(size: number): number {
  return size - Math.floor((size - 1) / 3)
}

/** t = 2f + 1 shares make the coin: more than f traitors have, and at most a quorum. */
export function coinThresholdOf(size: number): number {
  return 2 * Math.floor((size - 1) / 3) + 1
}

/** @throws CertificateError BAD_COMMITTEE */
export function createCommittee(init: {
  readonly chainId: number
  readonly era: number
  readonly members: readonly Member[]
}): Committee {
  const { chainId, era, members } = init
  if (members.length < 1 || members.length > COMMITTEE_SIZE_MAX) {
    throw bad(`${members.length} members are outside 1..${COMMITTEE_SIZE_MAX}`)
  }
  if (!Number.isSafeInteger(chainId) || chainId < 1) throw bad(`${chainId} is no chain id`)
  if (!Number.isInteger(era) || era < 0 || era > 0xffff_ffff) throw bad(`${era} is no era`)
  const seen = new Set<string>()
  for (const [index, { account, peerKey, blsKey, address }] of members.entries()) {
    if (!/^0x[0-9a-f]{40}$/.test(account)) throw bad(`member ${index} has no account in lower-case hex`)
    if (peerKey.length !== 32 || blsKey.length !== 48) throw bad(`member ${index} has a key of another length`)
    if (address.length > ADDRESS_BYTES_MAX) throw bad(`member ${index} has an address of ${address.length} characters`)
    // A body with two seats would be counted twice.
    for (const identity of [account, bytesToHex(peerKey), bytesToHex(blsKey)]) {
      if (seen.has(identity)) throw bad(`member ${index} is there twice: ${identity}`)
      seen.add(identity)
    }
  }
  return { chainId, era, members, quorum: quorumOf(members.length) }
}

const VERSION = 1

/**
 * The bytes that commit to a committee:
 *
 *     offset  size
 *          0     1  version = 1
 *          1     8  chain id
 *          9     4  era
 *         13     1  members n, 1..31
 *         14     -  members: account 20 | peerKey 32 | blsKey 48 | address, u32 length and UTF-8
 */
export function encodeCommittee({ chainId, era, members }: Committee): Uint8Array {
  const writer = new ByteWriter(14 + members.length * 160)
  writer.u8(VERSION).u53(chainId).u32(era).u8(members.length)
  for (const { account, peerKey, blsKey, address } of members) {
    writer.bytes(hexToBytes(account)).bytes(peerKey).bytes(blsKey).text(address)
  }
  return writer.finish()
}

/** @throws CertificateError MALFORMED, BAD_COMMITTEE */
export function decodeCommittee(bytes: Uint8Array): Committee {
  try {
    const reader = new ByteReader(bytes)
    const version = reader.u8()
    if (version !== VERSION) throw new DecodeError(`version ${version} of a committee`, 0)
    const [chainId, era, count] = [reader.u53(), reader.u32(), reader.u8()]
    const members = Array.from(
      { length: count },
      (): Member => ({
        account: addressFromBytes(reader.bytes(20)),
        peerKey: reader.bytes(32).slice(),
        blsKey: reader.bytes(48).slice(),
        address: reader.text(ADDRESS_BYTES_MAX),
      }),
    )
    reader.end()
    return createCommittee({ chainId, era, members })
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause
    throw new CertificateError('MALFORMED', `no committee: ${cause.message}`, { cause })
  }
}

/** Keccak-256 of the encoding: what a header commits to when it hands over to the next committee. */
export function committeeDigest(committee: Committee): Uint8Array {
  return keccak256(encodeCommittee(committee))
}

function bad(message: string): CertificateError {
  return new CertificateError('BAD_COMMITTEE', message)
}
