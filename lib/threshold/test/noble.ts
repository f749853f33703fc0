import { bls12_381 } from '@noble/curves/bls12-381.js'

/** The oracle: another implementation, in JavaScript, of the same ciphersuite. */
const DOMAIN = 'BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_'
const scheme = bls12_381.longSignatures

export const noble = {
  order: bls12_381.fields.Fr.ORDER,
  publicKey: (secret: Uint8Array) => scheme.getPublicKey(secret).toBytes(true),
  sign: (message: Uint8Array, secret: Uint8Array) =>
    scheme.Signature.toBytes(scheme.sign(scheme.hash(message, DOMAIN), secret)),
  verify: (signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array) =>
    scheme.verify(signature, scheme.hash(message, DOMAIN), publicKey),
  aggregate: (signatures: Uint8Array[]) => scheme.Signature.toBytes(scheme.aggregateSignatures(signatures)),
  /** A point of the curve of G1 that is not in the group of order r: as nearly all of them, the cofactor being large. */
  strayG1: () => firstOf((x) => strayPoint(bls12_381.G1.Point, BigInt(x), x.toString(16).padStart(96, '0'))),
  strayG2: () =>
    firstOf((x) => strayPoint(bls12_381.G2.Point, { c0: BigInt(x), c1: 0n }, x.toString(16).padStart(192, '0'))),
}

function firstOf(point: (x: number) => Uint8Array | undefined): Uint8Array {
  for (let x = 1; x < 100; x++) {
    const found = point(x)
    if (found) return found
  }
  throw new Error('no such point')
}

// biome-ignore lint/suspicious/noExplicitAny: both curves, whose fields have different types
function strayPoint(Point: any, x: unknown, hex: string): Uint8Array | undefined {
  let y: unknown
  try {
    const { Fp } = Point
    y = Fp.sqrt(Fp.add(Fp.mul(Fp.sqr(x), x), Point.CURVE().b))
  } catch {
    return undefined // no point has this x
  }
  if (Point.fromAffine({ x, y }).isTorsionFree()) return undefined
  const bytes = Uint8Array.fromHex(hex)
  bytes[0]! |= 0x80
  return bytes
}
