import { parseKey, parseSignature } from './bls.ts'
import { blst, type PublicKey, type Signature, translated } from './native.ts'

/** Set in the compressed form when y is the larger of the two roots: the negative of a point differs in this bit alone. */
const LARGER_Y = 0x20

/**
 * Σ weightᵢ·signatureᵢ. blst's package knows no multiple of a point, only sums; the weights are short whole numbers, so doubling
 * and adding costs one call for each of their bits.
 *
 * @returns undefined if the sum is infinite
 * @throws ThresholdError as `checkSignature`
 */
export function sumOfSignatures(signatures: readonly Uint8Array[], weights: readonly bigint[]): Signature | undefined {
  const { aggregateSignatures, Signature } = blst()
  return weightedSum<Signature>(signatures, weights, {
    parse: parseSignature,
    trustedParse: (bytes) => Signature.fromBytes(bytes),
    add: (points) => aggregateSignatures(points),
  })
}

/** Σ weightᵢ·keyᵢ, compressed; undefined if it is infinite. @throws ThresholdError as `checkPublicKey` */
export function aggregateKeys(keys: readonly Uint8Array[], weights: readonly bigint[]): Uint8Array | undefined {
  const { aggregatePublicKeys, PublicKey } = blst()
  const sum = weightedSum<PublicKey>(keys, weights, {
    parse: parseKey,
    trustedParse: (bytes) => PublicKey.fromBytes(bytes),
    add: (points) => aggregatePublicKeys(points),
  })
  const bytes = sum?.toBytes()
  return bytes === undefined || (bytes[0]! & 0x40) !== 0 ? undefined : bytes
}

interface Group<Point> {
  parse(bytes: Uint8Array): Point
  /** Of the negative of a point that has been parsed: it is in the group, too. */
  trustedParse(bytes: Uint8Array): Point
  add(points: Point[]): Point
}

function weightedSum<Point>(
  encoded: readonly Uint8Array[],
  weights: readonly bigint[],
  { parse, trustedParse, add }: Group<Point>,
): Point | undefined {
  let bits = 0
  const terms = encoded.map((bytes, index) => {
    const weight = weights[index]!
    const magnitude = (weight < 0n ? -weight : weight).toString(2)
    bits = Math.max(bits, magnitude.length)
    const point = parse(bytes)
    return { point: weight < 0n ? trustedParse(negated(bytes)) : point, magnitude }
  })
  let sum: Point | undefined
  for (let bit = bits; bit > 0; bit--) {
    const points: Point[] = sum === undefined ? [] : [sum, sum]
    for (const { point, magnitude } of terms) if (magnitude.at(-bit) === '1') points.push(point)
    if (points.length > 0) sum = translated(() => add(points))
  }
  return sum
}

function negated(bytes: Uint8Array): Uint8Array {
  const negative = bytes.slice()
  negative[0]! ^= LARGER_Y
  return negative
}
