import { ByteReader, ByteWriter, DecodeError } from '@cumulus/bytes'
import type { BlsVerifier } from './bls-scheme.ts'
import { CertificateError } from './certificate-error.ts'
import type { Committee } from './committee.ts'
import { voteMessage } from './message.ts'

export const HASH_BYTES = 32
export const SIGNATURE_BYTES = 96

/** A quorum's word that a chain block is the one at its height, for ever. It vouches for all blocks below as well. */
export interface Certificate {
  readonly era: number
  readonly height: bigint
  /** 32 bytes, Keccak-256 of the header. */
  readonly headerHash: Uint8Array
  /** Bit i: member i has signed. */
  readonly signers: number
  /** 96 bytes: sum of the signers' signatures of `voteMessage`. */
  readonly signature: Uint8Array
}

const VERSION = 1
export const CERTIFICATE_BYTES = 145

/**
 * Little-endian:
 *
 *     offset  size
 *          0     1  version = 1
 *          1     4  era
 *          5     8  height
 *         13    32  headerHash
 *         45     4  signers, bit i for member i
 *         49    96  signature
 *        145
 *
 * What a certificate is about stands first, so that who only wants to know that reads 45 bytes.
 */
export function encodeCertificate({ era, height, headerHash, signers, signature }: Certificate): Uint8Array {
  const writer = new ByteWriter(CERTIFICATE_BYTES).u8(VERSION).u32(era).u64(height)
  return writer.bytes(headerHash).u32(signers).bytes(signature).finish()
}

/** Checks the layout, and nothing of its truth. @throws CertificateError MALFORMED */
export function decodeCertificate(bytes: Uint8Array): Certificate {
  try {
    const reader = new ByteReader(bytes)
    const version = reader.u8()
    if (version !== VERSION) throw new DecodeError(`version ${version} of a certificate`, 0)
    const certificate = {
      era: reader.u32(),
      height: reader.u64(),
      headerHash: reader.bytes(HASH_BYTES).slice(),
      signers: reader.u32(),
      signature: reader.bytes(SIGNATURE_BYTES).slice(),
    }
    reader.end()
    return certificate
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause
    throw new CertificateError('MALFORMED', `no certificate: ${cause.message}`, { cause })
  }
}

/** Places of the signers, ascending. */
export function signersOf({ signers }: Pick<Certificate, 'signers'>): number[] {
  const places: number[] = []
  for (let place = 0; place < 32; place++) if ((signers >>> place) & 1) places.push(place)
  return places
}

/**
 * Returns if a quorum of the committee signed the header. The costly check comes last: 0.8 ms natively, 20 ms in JavaScript.
 *
 * @throws CertificateError MALFORMED, WRONG_ERA, UNKNOWN_SIGNER, BELOW_QUORUM, BAD_SIGNATURE
 */
export function verifyCertificate(certificate: Certificate, committee: Committee, bls: BlsVerifier): void {
  const { era, height, headerHash, signature } = certificate
  if (headerHash.length !== HASH_BYTES || signature.length !== SIGNATURE_BYTES) {
    throw new CertificateError('MALFORMED', 'hash or signature of another length')
  }
  if (era !== committee.era) {
    throw new CertificateError('WRONG_ERA', `certificate of era ${era} against the committee of era ${committee.era}`)
  }
  const places = signersOf(certificate)
  const last = places.at(-1) ?? 0
  if (last >= committee.members.length) {
    throw new CertificateError('UNKNOWN_SIGNER', `signer ${last} of ${committee.members.length} members`)
  }
  if (places.length < committee.quorum) {
    throw new CertificateError('BELOW_QUORUM', `${places.length} signers, ${committee.quorum} are needed`)
  }
  const message = voteMessage({ chainId: committee.chainId, era, height, headerHash })
  const keys = places.map((place) => committee.members[place]!.blsKey)
  if (!bls.fastAggregateVerify(signature, message, keys)) {
    throw new CertificateError('BAD_SIGNATURE', `not the signature of these ${places.length} for block ${height}`)
  }
}
