import { FR_BYTES, frFromBytes, frToBytes, G1, G1_BYTES } from '@cumulus/bls'
import { ByteReader, concatBytes } from '@cumulus/bytes'
import { PodrError } from './podr-error.ts'

/** The answer to a challenge. */
export interface Proof {
  /** Σ ν·σ: the combined tag. */
  readonly sigma: G1
  /** P(z): the value of the combined data at the point of the challenge. */
  readonly y: bigint
  /** Commitment to (P − y) / (X − z): shows that y is the value. */
  readonly psi: G1
}

/** σ 48 ‖ y 32 ‖ ψ 48, whatever a miner stores. Points compressed, y big-endian. */
export const PROOF_BYTES = 2 * G1_BYTES + FR_BYTES

export function encodeProof({ sigma, y, psi }: Proof): Uint8Array {
  return concatBytes(sigma.toBytes(), frToBytes(y), psi.toBytes())
}

/** Decodes and checks every part. 0.6 ms. @throws PodrError `MALFORMED_PROOF` */
export function decodeProof(bytes: Uint8Array): Proof {
  try {
    const reader = new ByteReader(bytes)
    const sigma = G1.fromBytes(reader.bytes(G1_BYTES))
    const y = frFromBytes(reader.bytes(FR_BYTES))
    const psi = G1.fromBytes(reader.bytes(G1_BYTES))
    reader.end()
    return { sigma, y, psi }
  } catch (cause) {
    throw new PodrError('MALFORMED_PROOF', 'a proof does not decode', { cause })
  }
}
