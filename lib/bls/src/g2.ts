import { equalBytes } from '@cumulus/bytes'
import { BlsError } from './bls-error.ts'
import { checkEncoding } from './encoding.ts'
import { checkScalar } from './g1.ts'
import { MCL_G2_BYTES, mcl, mclMemory, place, placeScalar } from './mcl.ts'

/** Length of an encoded point of G2. */
export const G2_BYTES = 96

const [A, B] = place.g2

/** A point of G2, the group of order r on the twist. As `G1` in everything else. */
export class G2 {
  readonly #coordinates: Uint8Array

  private constructor(coordinates: Uint8Array) {
    this.#coordinates = coordinates
  }

  /** The neutral element. */
  static readonly zero = new G2(new Uint8Array(MCL_G2_BYTES))

  /** The standard generator. */
  static readonly generator = G2.fromBytes(
    Uint8Array.fromHex(
      '93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e' +
        '024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8',
    ),
  )

  /**
   * Decodes 96 bytes and checks everything: form, range, curve, subgroup. About 1 ms.
   *
   * @throws BlsError `BAD_LENGTH`, `NOT_COMPRESSED`, `NOT_CANONICAL`, `NOT_ON_CURVE`, `NOT_IN_SUBGROUP`
   */
  static fromBytes(bytes: Uint8Array): G2 {
    if (checkEncoding(bytes, 2) === 'infinite') return G2.zero
    mclMemory().set(bytes, place.input)
    if (mcl._mclBnG2_deserialize(A, place.input, G2_BYTES) !== G2_BYTES) {
      throw new BlsError('NOT_ON_CURVE', 'no point of G2 has this x')
    }
    if (mcl._mclBnG2_isValidOrder(A) !== 1) throw new BlsError('NOT_IN_SUBGROUP', 'point of G2 has another order')
    return G2.#take(A)
  }

  /** For this package only: x, y, z as mcl keeps them. Do not write to it. */
  static mclCoordinates(point: G2): Uint8Array {
    return point.#coordinates
  }

  toBytes(): Uint8Array {
    this.#put(A)
    mcl._mclBnG2_serialize(place.input, G2_BYTES, A)
    return mclMemory().slice(place.input, place.input + G2_BYTES)
  }

  isZero(): boolean {
    return this === G2.zero
  }

  equals(other: G2): boolean {
    return equalBytes(this.#coordinates, other.#coordinates)
  }

  add(other: G2): G2 {
    this.#put(A)
    other.#put(B)
    mcl._mclBnG2_add(A, A, B)
    return G2.#take(A)
  }

  subtract(other: G2): G2 {
    return this.add(other.negate())
  }

  negate(): G2 {
    this.#put(A)
    mcl._mclBnG2_neg(A, A)
    return G2.#take(A)
  }

  /** scalar · this, 0.7 ms. The time taken depends on the scalar. @throws BlsError `BAD_SCALAR` outside [0, r) */
  multiply(scalar: bigint): G2 {
    checkScalar(scalar)
    this.#put(A)
    mcl._mclBnG2_mul(A, A, placeScalar(scalar))
    return G2.#take(A)
  }

  /** As `multiply`, by mcl's constant-time ladder. */
  multiplySecret(scalar: bigint): G2 {
    checkScalar(scalar)
    this.#put(A)
    mcl._mclBnG2_mulCT(A, A, placeScalar(scalar))
    return G2.#take(A)
  }

  #put(address: number): void {
    mclMemory().set(this.#coordinates, address)
  }

  static #take(address: number): G2 {
    if (mcl._mclBnG2_isZero(address) === 1) return G2.zero
    mcl._mclBnG2_normalize(address, address)
    return new G2(mclMemory().slice(address, address + MCL_G2_BYTES))
  }
}
