import { BlsError } from './bls-error.ts'

/** p: the modulus of coordinates. */
export const FP_ORDER =
  0x1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaabn

const FP_BYTES = 48
const P_BYTES = Uint8Array.fromHex(FP_ORDER.toString(16).padStart(2 * FP_BYTES, '0'))
const COMPRESSED = 0x80
const INFINITE = 0x40
const LARGER_Y = 0x20
const FLAGS = COMPRESSED | INFINITE | LARGER_Y

/**
 * Checks what can be seen in the bytes of a compressed point, so that each point has exactly one encoding.
 *
 * @param coordinateCount parts of x: 1 in G1, 2 in G2
 * @throws BlsError `BAD_LENGTH`, `NOT_COMPRESSED`, `NOT_CANONICAL`
 */
export function checkEncoding(bytes: Uint8Array, coordinateCount: 1 | 2): 'infinite' | 'finite' {
  const length = coordinateCount * FP_BYTES
  if (bytes.length !== length) throw new BlsError('BAD_LENGTH', `a point has ${length} bytes, not ${bytes.length}`)
  const first = bytes[0]!
  if ((first & COMPRESSED) === 0) throw new BlsError('NOT_COMPRESSED', 'flag of the compressed form is not set')
  if ((first & INFINITE) !== 0) {
    if (first !== (COMPRESSED | INFINITE) || bytes.subarray(1).some((byte) => byte !== 0)) {
      throw new BlsError('NOT_CANONICAL', 'infinity carries other bits')
    }
    return 'infinite'
  }
  for (let part = 0; part < coordinateCount; part++) {
    const mask = part === 0 ? ~FLAGS : ~0
    if (!isBelowP(bytes.subarray(part * FP_BYTES, (part + 1) * FP_BYTES), mask)) {
      throw new BlsError('NOT_CANONICAL', 'coordinate is not below p')
    }
  }
  return 'finite'
}

function isBelowP(bytes: Uint8Array, firstByteMask: number): boolean {
  for (let i = 0; i < FP_BYTES; i++) {
    const byte = i === 0 ? bytes[0]! & firstByteMask : bytes[i]!
    if (byte !== P_BYTES[i]) return byte < P_BYTES[i]!
  }
  return false
}
