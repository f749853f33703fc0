import { BlsError } from './bls-error.ts'

/** r: the order of the groups, and the modulus of the scalars. */
export const FR_ORDER = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001n
/** Length of an encoded scalar. */
export const FR_BYTES = 32

/** A scalar from 32 bytes, big-endian, below r. @throws BlsError `BAD_LENGTH`, `NOT_CANONICAL` */
export function frFromBytes(bytes: Uint8Array): bigint {
  if (bytes.length !== FR_BYTES) throw new BlsError('BAD_LENGTH', `a scalar has 32 bytes, not ${bytes.length}`)
  const value = bigintFromBytes(bytes)
  if (value >= FR_ORDER) throw new BlsError('NOT_CANONICAL', 'scalar is not below r')
  return value
}

/** 32 bytes, big-endian. @throws BlsError `BAD_SCALAR` if the value is not a residue in [0, r) */
export function frToBytes(value: bigint): Uint8Array {
  if (value < 0n || value >= FR_ORDER) throw new BlsError('BAD_SCALAR', 'scalar is outside [0, r)')
  return Uint8Array.fromHex(value.toString(16).padStart(2 * FR_BYTES, '0'))
}

/** The residue of any whole number. */
export function frReduce(value: bigint): bigint {
  const residue = value % FR_ORDER
  return residue < 0n ? residue + FR_ORDER : residue
}

/** 1 / value. Not constant-time. @throws BlsError `BAD_SCALAR` for zero */
export function frInvert(value: bigint): bigint {
  return invertModulo(value, FR_ORDER)
}

/** A residue from 48 or more uniform bytes (RFC 9380, 5.2): the bias is below 2^-128. */
export function frFromUniform(bytes: Uint8Array): bigint {
  if (bytes.length < 48) throw new BlsError('BAD_LENGTH', `48 uniform bytes are needed, not ${bytes.length}`)
  return bigintFromBytes(bytes) % FR_ORDER
}

/** Big-endian. */
export function bigintFromBytes(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${bytes.toHex()}`)
}

/** 1 / value modulo a prime, by Euclid's algorithm. */
export function invertModulo(value: bigint, modulus: bigint): bigint {
  let [a, b] = [((value % modulus) + modulus) % modulus, modulus]
  if (a === 0n) throw new BlsError('BAD_SCALAR', 'zero has no inverse')
  let [x, y] = [1n, 0n]
  while (a > 1n) {
    const quotient = b / a
    ;[a, b] = [b - quotient * a, a]
    ;[x, y] = [y - quotient * x, x]
  }
  return ((x % modulus) + modulus) % modulus
}
