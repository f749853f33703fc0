import { frReduce, G1, G1Vector, G2, pairingProductIsOne, sumOfHashes, sumOfMultiples } from '@cumulus/bls'

const dst = new TextEncoder().encode('EXAMPLE-V01-CS01-with-BLS12381G1_XMD:SHA-256_SSWU_RO_')
const secret = 0x1234567890abcdefn
const publicKey = G2.generator.multiplySecret(secret)
const message = new TextEncoder().encode('hello')

// A signature: 48 bytes, decoded strictly.
const signature = G1.hash(message, dst).multiplySecret(secret).toBytes()
const point = G1.fromBytes(signature)
export const valid = pairingProductIsOne([
  [point.negate(), G2.generator],
  [G1.hash(message, dst), publicKey],
])

// Sums of many multiples, and of many hashes.
const points = G1Vector.of([G1.generator, point])
export const sum = sumOfMultiples(points, [5n, frReduce(-1n)])
export const hashes = sumOfHashes([message, new Uint8Array(3)], dst, [7n, 2n ** 200n])
