import { equalBytes } from '@cumulus/bytes'
import { BlsError } from './bls-error.ts'
import { checkEncoding } from './encoding.ts'
import { FR_ORDER } from './fr.ts'
import { INPUT_BYTES_MAX, MCL_G1_BYTES, mcl, mclMemory, place, placeScalar } from './mcl.ts'

/** Length of an encoded point of G1. */
export const G1_BYTES = 48

const [A, B] = place.g1

/**
 * A point of G1, the group of order r on y² = x³ + 4. Immutable, and always a member: whatever makes one has checked.
 *
 * Bytes are the compressed form of ZCash: x big-endian, the top three bits of byte 0 tell compressed, infinite, larger y.
 */
export class G1 {
  /** x, y, z of mcl with z = 1, or all zeros for infinity: equal points have equal bytes. */
  readonly #coordinates: Uint8Array

  private constructor(coordinates: Uint8Array) {
    this.#coordinates = coordinates
  }

  /** The neutral element. */
  static readonly zero = new G1(new Uint8Array(MCL_G1_BYTES))

  /** The standard generator. */
  static readonly generator = G1.fromBytes(
    Uint8Array.fromHex(
      '97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb',
    ),
  )

  /**
   * Decodes 48 bytes and checks everything: form, range, curve, subgroup. 0.3 ms.
   *
   * @throws BlsError `BAD_LENGTH`, `NOT_COMPRESSED`, `NOT_CANONICAL`, `NOT_ON_CURVE`, `NOT_IN_SUBGROUP`
   */
  static fromBytes(bytes: Uint8Array): G1 {
    const point = G1.trustedFromBytes(bytes)
    if (point.isZero()) return point
    point.#put(A)
    if (mcl._mclBnG1_isValidOrder(A) !== 1) throw new BlsError('NOT_IN_SUBGROUP', 'point of G1 has another order')
    return point
  }

  /**
   * Decodes 48 bytes but does not ask for the subgroup: for bytes this node wrote itself or checked before. A quarter of the cost.
   *
   * @throws BlsError as `fromBytes`, less `NOT_IN_SUBGROUP`
   */
  static trustedFromBytes(bytes: Uint8Array): G1 {
    if (checkEncoding(bytes, 1) === 'infinite') return G1.zero
    mclMemory().set(bytes, place.input)
    if (mcl._mclBnG1_deserialize(A, place.input, G1_BYTES) !== G1_BYTES) {
      throw new BlsError('NOT_ON_CURVE', 'no point of G1 has this x')
    }
    return G1.takeFromMcl(A)
  }

  /**
   * Hashes to the group: BLS12381G1_XMD:SHA-256_SSWU_RO_ of RFC 9380. 0.3 ms.
   *
   * @param dst domain separation tag, 1 to 255 bytes
   */
  static hash(message: Uint8Array, dst: Uint8Array): G1 {
    checkHashInput(message, dst)
    const memory = mclMemory()
    memory.set(message, place.input)
    memory.set(dst, place.domain)
    if (mcl._mclBnG1_hashAndMapToWithDst(A, place.input, message.length, place.domain, dst.length) !== 0) {
      throw new BlsError('BAD_LENGTH', 'mcl refused the input of a hash')
    }
    return G1.takeFromMcl(A)
  }

  /** For this package only: from x and y as mcl keeps them, of a point known to be a member. */
  static unsafeFromMcl(coordinates: Uint8Array): G1 {
    const whole = G1.generator.#coordinates.slice() // has z = 1
    whole.set(coordinates)
    return new G1(whole)
  }

  /** For this package only: x, y, z as mcl keeps them. Do not write to it. */
  static mclCoordinates(point: G1): Uint8Array {
    return point.#coordinates
  }

  toBytes(): Uint8Array {
    this.#put(A)
    mcl._mclBnG1_serialize(place.input, G1_BYTES, A)
    return mclMemory().slice(place.input, place.input + G1_BYTES)
  }

  isZero(): boolean {
    return this === G1.zero
  }

  equals(other: G1): boolean {
    return equalBytes(this.#coordinates, other.#coordinates)
  }

  add(other: G1): G1 {
    this.#put(A)
    other.#put(B)
    mcl._mclBnG1_add(A, A, B)
    return G1.takeFromMcl(A)
  }

  subtract(other: G1): G1 {
    return this.add(other.negate())
  }

  negate(): G1 {
    this.#put(A)
    mcl._mclBnG1_neg(A, A)
    return G1.takeFromMcl(A)
  }

  /** scalar · this, 0.25 ms. The time taken depends on the scalar. @throws BlsError `BAD_SCALAR` outside [0, r) */
  multiply(scalar: bigint): G1 {
    checkScalar(scalar)
    this.#put(A)
    mcl._mclBnG1_mul(A, A, placeScalar(scalar))
    return G1.takeFromMcl(A)
  }

  /** As `multiply`, by mcl's constant-time ladder: for long-lived secrets. The bigint itself still passes through JavaScript. */
  multiplySecret(scalar: bigint): G1 {
    checkScalar(scalar)
    this.#put(A)
    mcl._mclBnG1_mulCT(A, A, placeScalar(scalar))
    return G1.takeFromMcl(A)
  }

  #put(address: number): void {
    mclMemory().set(this.#coordinates, address)
  }

  /** For this package only: the point at an address of mcl, known to be a member. */
  static takeFromMcl(address: number): G1 {
    if (mcl._mclBnG1_isZero(address) === 1) return G1.zero
    mcl._mclBnG1_normalize(address, address)
    return new G1(mclMemory().slice(address, address + MCL_G1_BYTES))
  }
}

/** @throws BlsError `BAD_SCALAR` */
export function checkScalar(scalar: bigint): void {
  if (scalar < 0n || scalar >= FR_ORDER) throw new BlsError('BAD_SCALAR', 'scalar is outside [0, r)')
}

/** @throws BlsError `BAD_LENGTH` */
export function checkHashInput(message: Uint8Array, dst: Uint8Array): void {
  if (dst.length < 1 || dst.length > 255) {
    throw new BlsError('BAD_LENGTH', `domain tag of ${dst.length} bytes is outside 1..255`)
  }
  if (message.length > INPUT_BYTES_MAX) {
    throw new BlsError('BAD_LENGTH', `message of ${message.length} bytes is over ${INPUT_BYTES_MAX}: hash it first`)
  }
}
