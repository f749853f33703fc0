import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import { type Certificate, HASH_BYTES, SIGNATURE_BYTES } from './certificate.ts'
import { CertificateError } from './certificate-error.ts'
import { type Committee, createCommittee, type Member } from './committee.ts'

type Hex = `0x${string}`

/** A certificate as RPC shows it: numbers as quantities, bytes as hex. */
export interface CertificateJson {
  readonly era: Hex
  readonly height: Hex
  readonly headerHash: Hex
  readonly signers: Hex
  readonly signature: Hex
}

/** A committee as RPC shows it. */
export interface CommitteeJson {
  readonly chainId: Hex
  readonly era: Hex
  readonly quorum: Hex
  readonly members: readonly MemberJson[]
}

export interface MemberJson {
  readonly account: Hex
  readonly peerKey: Hex
  readonly blsKey: Hex
  readonly address: string
}

export function certificateToJson({ era, height, headerHash, signers, signature }: Certificate): CertificateJson {
  return {
    era: quantity(era),
    height: quantity(height),
    headerHash: bytesToHex(headerHash),
    signers: quantity(signers),
    signature: bytesToHex(signature),
  }
}

/** @throws CertificateError MALFORMED */
export function certificateFromJson(value: unknown): Certificate {
  const fields = record(value, 'certificate')
  return {
    era: u32(fields['era'], 'era'),
    height: integer(fields['height'], 'height', 2n ** 64n - 1n),
    headerHash: bytes(fields['headerHash'], HASH_BYTES, 'headerHash'),
    signers: u32(fields['signers'], 'signers'),
    signature: bytes(fields['signature'], SIGNATURE_BYTES, 'signature'),
  }
}

export function committeeToJson({ chainId, era, quorum, members }: Committee): CommitteeJson {
  return {
    chainId: quantity(chainId),
    era: quantity(era),
    quorum: quantity(quorum),
    members: members.map(({ account, peerKey, blsKey, address }) => ({
      account,
      peerKey: bytesToHex(peerKey),
      blsKey: bytesToHex(blsKey),
      address,
    })),
  }
}

/**
 * The committee with these members, each of the shape that RPC and genesis files have; other fields are not looked at. The
 * quorum follows from the number of members and is nobody's to say.
 *
 * @throws CertificateError MALFORMED, BAD_COMMITTEE
 */
export function committeeOfMembers(chainId: number, era: number, members: unknown): Committee {
  if (!Array.isArray(members)) throw malformed('members', 'must be a list')
  return createCommittee({
    chainId,
    era,
    members: members.map((entry, index): Member => {
      const at = `members[${index}]`
      const { account, peerKey, blsKey, address } = record(entry, at)
      if (typeof address !== 'string') throw malformed(`${at}.address`, 'must be a text')
      return {
        account: bytesToHex(bytes(account, 20, `${at}.account`)),
        peerKey: bytes(peerKey, 32, `${at}.peerKey`),
        blsKey: bytes(blsKey, 48, `${at}.blsKey`),
        address,
      }
    }),
  })
}

function quantity(value: number | bigint): Hex {
  return `0x${value.toString(16)}`
}

function record(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(path, 'must be an object')
  return value as Record<string, unknown>
}

function bytes(value: unknown, length: number, path: string): Uint8Array {
  if (typeof value !== 'string' || value.length !== 2 + 2 * length || !/^0x[0-9a-fA-F]*$/.test(value)) {
    throw malformed(path, `must be ${length} bytes in hex`)
  }
  return hexToBytes(value)
}

function u32(value: unknown, path: string): number {
  return Number(integer(value, path, 0xffff_ffffn))
}

function integer(value: unknown, path: string, max: bigint): bigint {
  if (typeof value !== 'string' || !/^0x[0-9a-fA-F]{1,16}$/.test(value) || BigInt(value) > max) {
    throw malformed(path, `must be a number up to ${max} in hex`)
  }
  return BigInt(value)
}

function malformed(path: string, reason: string): CertificateError {
  return new CertificateError('MALFORMED', `${path} ${reason}`)
}
