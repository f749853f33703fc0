import {
  FixedBase,
  FR_BYTES,
  frFromBytes,
  frFromUniform,
  frReduce,
  frToBytes,
  G1,
  G1_BYTES,
  G1Vector,
  G2,
  G2_BYTES,
  pairingProductIsOne,
  sumOfMultiples,
} from '@cumulus/bls'
import { ByteReader, ByteWriter, concatBytes, utf8Encode } from '@cumulus/bytes'
import { blake3 } from '@cumulus/hash'
import { PodrError } from './podr-error.ts'
import { coefficients, uniform } from './random.ts'

/** What a tagger must never let go: whoever knows it answers for data that are gone. Residues, not zero. */
export interface TaggerSecret {
  readonly x: bigint
  readonly alpha: bigint
}

/** What the chain stores of a tagger. */
export interface TaggerKey {
  /** x · g2 */
  readonly v: G2
  /** α · x · g2 */
  readonly w: G2
}

/** Length of the randomness a secret is made from. */
export const SECRET_SEED_BYTES = 96
/** v ‖ w ‖ proof of knowledge (e, s, t). */
export const TAGGER_KEY_BYTES = 2 * G2_BYTES + 3 * FR_BYTES

const PROOF_DOMAIN = utf8Encode('cumulus/podr2/key-proof/1')
const NONCE_DOMAIN = utf8Encode('cumulus/podr2/key-nonce/1')
const POWERS_DOMAIN = utf8Encode('cumulus/podr2/powers-check/1')

/**
 * KeyGen: x and α.
 *
 * @param seed 96 bytes that nobody can guess
 * @throws PodrError `BAD_SECRET`
 */
export function keyGen(seed: Uint8Array): TaggerSecret {
  if (seed.length !== SECRET_SEED_BYTES) {
    throw new PodrError('BAD_SECRET', `a seed has ${SECRET_SEED_BYTES} bytes, not ${seed.length}`)
  }
  const secret = { x: frFromUniform(seed.subarray(0, 48)), alpha: frFromUniform(seed.subarray(48)) }
  if (secret.x === 0n || secret.alpha === 0n) throw new PodrError('BAD_SECRET', 'the seed gives a zero')
  return secret
}

export function taggerKeyOf({ x, alpha }: TaggerSecret): TaggerKey {
  const v = G2.generator.multiplySecret(x)
  return { v, w: v.multiplySecret(alpha) }
}

/**
 * The public key with a proof that its maker knows x and α: 288 bytes, v ‖ w ‖ e ‖ s ‖ t. Schnorr's proof for v = x·g2 and
 * w = α·v under one challenge e; the nonces are hashed from secret and context, so no randomness can be bad.
 *
 * @param context what the key is for, such as chain id and account: a proof serves no other
 */
export function encodeTaggerKey(secret: TaggerSecret, context: Uint8Array): Uint8Array {
  const key = taggerKeyOf(secret)
  const material = concatBytes(frToBytes(secret.x), frToBytes(secret.alpha), context)
  const [first, second] = [0, 1].map((i) => frFromUniform(uniform(NONCE_DOMAIN, material, i))) as [bigint, bigint]
  const e = keyProofChallenge(key, G2.generator.multiplySecret(first), key.v.multiplySecret(second), context)
  return new ByteWriter(TAGGER_KEY_BYTES)
    .bytes(key.v.toBytes())
    .bytes(key.w.toBytes())
    .bytes(frToBytes(e))
    .bytes(frToBytes(frReduce(first + e * secret.x)))
    .bytes(frToBytes(frReduce(second + e * secret.alpha)))
    .finish()
}

/**
 * Decodes a public key and checks its proof of knowledge. Some 6 ms.
 *
 * @throws PodrError `MALFORMED_KEY`
 */
export function decodeTaggerKey(bytes: Uint8Array, context: Uint8Array): TaggerKey {
  try {
    const reader = new ByteReader(bytes)
    const v = G2.fromBytes(reader.bytes(G2_BYTES))
    const w = G2.fromBytes(reader.bytes(G2_BYTES))
    const [e, s, t] = [0, 1, 2].map(() => frFromBytes(reader.bytes(FR_BYTES))) as [bigint, bigint, bigint]
    reader.end()
    // With v = 0 every proof would hold.
    if (v.isZero() || w.isZero()) throw new PodrError('MALFORMED_KEY', 'v or w is zero')
    const minusE = frReduce(-e)
    const key = { v, w }
    const first = G2.generator.multiply(s).add(v.multiply(minusE))
    const second = v.multiply(t).add(w.multiply(minusE))
    if (keyProofChallenge(key, first, second, context) !== e) {
      throw new PodrError('MALFORMED_KEY', 'the proof of knowledge is wrong')
    }
    return key
  } catch (cause) {
    if (cause instanceof PodrError) throw cause
    throw new PodrError('MALFORMED_KEY', 'a tagger key does not decode', { cause })
  }
}

/** As `decodeTaggerKey`, for bytes that passed it before: the proof is not checked again. 2 ms. */
export function trustedDecodeTaggerKey(bytes: Uint8Array): TaggerKey {
  const reader = new ByteReader(bytes)
  return { v: G2.fromBytes(reader.bytes(G2_BYTES)), w: G2.fromBytes(reader.bytes(G2_BYTES)) }
}

function keyProofChallenge(key: TaggerKey, first: G2, second: G2, context: Uint8Array): bigint {
  const points = [key.v, key.w, first, second].map((point) => point.toBytes())
  return frFromUniform(uniform(PROOF_DOMAIN, concatBytes(...points, context), 0))
}

/**
 * The powers α^j·g1, j = 0 … S−2, compressed: 48 bytes each, 1.5 MB for S = 32,768. Provers need them; they are public, and
 * anybody may serve them. Takes some 50 µs a power.
 */
export function encodePowers({ alpha }: TaggerSecret, sectorCount: number): Uint8Array {
  const base = new FixedBase(G1.generator)
  const bytes = new Uint8Array((sectorCount - 1) * G1_BYTES)
  let power = 1n
  for (let j = 0; j < sectorCount - 1; j++) {
    bytes.set(base.multiply(power).toBytes(), j * G1_BYTES)
    power = frReduce(power * alpha)
  }
  return bytes
}

/** What the chain stores of the powers: BLAKE3. */
export function powersHash(powers: Uint8Array): Uint8Array {
  return blake3(powers)
}

/**
 * Decodes powers from whoever serves them and checks them against the key: each is a member of G1, the first is g1, and
 * each next is α times the one before, by one pairing over a random combination. 0.3 ms a power, 10 s for S = 32,768.
 *
 * @throws PodrError `MALFORMED_POWERS`
 */
export function decodePowers(bytes: Uint8Array, key: TaggerKey, sectorCount: number): G1Vector {
  const points = readPowers(bytes, sectorCount, G1.fromBytes)
  if (!points[0]!.equals(G1.generator)) throw new PodrError('MALFORMED_POWERS', 'the first power is not the generator')
  const weights = coefficients(
    POWERS_DOMAIN,
    concatBytes(powersHash(bytes), key.v.toBytes(), key.w.toBytes()),
    points.length - 1,
  )
  const lower = sumOfMultiples(points.slice(0, -1), weights)
  const upper = sumOfMultiples(points.slice(1), weights)
  // e(α^(j+1)·g1, v) = e(α^j·g1, w)
  if (
    !pairingProductIsOne([
      [upper, key.v],
      [lower.negate(), key.w],
    ])
  ) {
    throw new PodrError('MALFORMED_POWERS', 'the powers are not those of the key')
  }
  return G1Vector.of(points)
}

/**
 * As `decodePowers`, for bytes whose hash is that of powers checked before. 0.07 ms a power.
 *
 * @throws PodrError `MALFORMED_POWERS`
 */
export function trustedDecodePowers(bytes: Uint8Array, sectorCount: number): G1Vector {
  return G1Vector.of(readPowers(bytes, sectorCount, G1.trustedFromBytes))
}

function readPowers(bytes: Uint8Array, sectorCount: number, read: (bytes: Uint8Array) => G1): G1[] {
  const count = sectorCount - 1
  if (count < 1 || bytes.length !== count * G1_BYTES) {
    throw new PodrError('MALFORMED_POWERS', `${bytes.length} bytes are not ${count} powers`)
  }
  return Array.from({ length: count }, (_, j) => {
    try {
      return read(bytes.subarray(j * G1_BYTES, (j + 1) * G1_BYTES))
    } catch (cause) {
      throw new PodrError('MALFORMED_POWERS', `power ${j} is no point of G1`, { cause })
    }
  })
}
