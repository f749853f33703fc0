import { concatBytes } from '@cumulus/bytes'
import { sha256 } from '@cumulus/hash'
import { BlsError } from './bls-error.ts'
import { checkHashInput, G1 } from './g1.ts'
import { kernelSum, packScalars, SUM_COUNT_MAX } from './g1-sum.ts'
import { isogeny } from './isogeny.ts'
import { ELEMENT_BYTES, FREE_ADDRESS, kernel, kernelMemory, POINT_BYTES, readNumber, writeNumber } from './kernel.ts'

/** Most messages of one `sumOfHashes`: each gives two points. */
export const HASH_COUNT_MAX = SUM_COUNT_MAX / 2

/** Messages mapped at a time, so that they and their points stay within 2 MB. */
const BATCH_COUNT = 4096

/** Bytes of expand_message for one number of the field, and for the two of a message. */
const NUMBER_BYTES = 64
const UNIFORM_BYTES = 2 * NUMBER_BYTES

/** Multiplying by 1 − x (x the parameter of the curve) leads into the subgroup: RFC 9380, 8.8.1, h_eff. */
const EFFECTIVE_COFACTOR = 0xd201000000010001n

/**
 * Σ coefficient_i · hash(message_i, dst), with the `hash` of `G1`, but at less than half its cost.
 *
 * A hash is the image of two mapped points under addition, an isogeny and a multiplication by the cofactor. These are
 * homomorphisms, so they are done once, for the sum. What remains for each message is the two maps, a square root each.
 *
 * @param messages at most 4,096 bytes each
 * @param coefficients whole numbers in [0, 2^256)
 * @throws BlsError `BAD_COUNT`, `BAD_SCALAR`, `BAD_LENGTH`
 */
export function sumOfHashes(messages: readonly Uint8Array[], dst: Uint8Array, coefficients: readonly bigint[]): G1 {
  const { length } = messages
  if (length !== coefficients.length)
    throw new BlsError('BAD_COUNT', `${coefficients.length} coefficients, ${length} messages`)
  if (length > HASH_COUNT_MAX) throw new BlsError('BAD_COUNT', `${length} messages, at most ${HASH_COUNT_MAX}`)
  const points = new Uint8Array(2 * length * POINT_BYTES)
  for (let first = 0; first < length; first += BATCH_COUNT) {
    points.set(mapMessages(messages.slice(first, first + BATCH_COUNT), dst), 2 * first * POINT_BYTES)
  }
  const scalars = packScalars(coefficients.flatMap((coefficient) => [coefficient, coefficient]))
  const total = kernelSum(points, scalars, 'isogenous')
  if (total === undefined) return G1.zero
  const plainAt = total + POINT_BYTES
  kernel.toPlain(plainAt, total)
  const memory = kernelMemory(plainAt + 96)
  const image = isogeny(readNumber(memory, plainAt), readNumber(memory, plainAt + 48))
  return image === undefined ? G1.zero : clearCofactor(image.x, image.y)
}

/** The mapped points of messages, two each, 104 bytes each. */
function mapMessages(messages: readonly Uint8Array[], dst: Uint8Array): Uint8Array {
  const count = 2 * messages.length
  const pointsAt = FREE_ADDRESS
  const uniformAt = pointsAt + count * POINT_BYTES
  const work = uniformAt + count * NUMBER_BYTES
  const memory = kernelMemory(work + 2 * count * ELEMENT_BYTES)
  messages.forEach((message, i) => {
    checkHashInput(message, dst)
    memory.set(expandMessage(message, dst), uniformAt + i * UNIFORM_BYTES)
  })
  kernel.mapToCurve(pointsAt, uniformAt, count, work)
  return memory.slice(pointsAt, uniformAt)
}

/** Any point of the curve into the subgroup. */
function clearCofactor(x: bigint, y: bigint): G1 {
  const pointAt = FREE_ADDRESS
  const plainAt = pointAt + POINT_BYTES
  const memory = kernelMemory(plainAt + 96 + 8)
  writeNumber(memory, plainAt, x)
  writeNumber(memory, plainAt + 48, y)
  kernel.fromPlain(pointAt, plainAt)
  const cleared = kernelSum(memory.slice(pointAt, plainAt), packScalars([EFFECTIVE_COFACTOR]), 'G1')
  if (cleared === undefined) return G1.zero
  const end = cleared + POINT_BYTES
  kernel.toMcl(end, cleared)
  return G1.unsafeFromMcl(kernelMemory(end + 96).slice(end, end + 96))
}

/** expand_message_xmd with SHA-256 to 128 bytes: RFC 9380, 5.3.1. */
function expandMessage(message: Uint8Array, dst: Uint8Array): Uint8Array {
  const dstPrime = concatBytes(dst, Uint8Array.of(dst.length))
  const b0 = sha256(concatBytes(ZERO_BLOCK, message, LENGTH_AND_ZERO, dstPrime))
  const out = new Uint8Array(UNIFORM_BYTES)
  const input = concatBytes(b0, Uint8Array.of(1), dstPrime)
  for (let i = 1; i <= UNIFORM_BYTES / 32; i++) {
    input[32] = i
    const block = sha256(input)
    out.set(block, (i - 1) * 32)
    for (let j = 0; j < 32; j++) input[j] = b0[j]! ^ block[j]!
  }
  return out
}

/** SHA-256 takes 64 bytes at a time. */
const ZERO_BLOCK = new Uint8Array(64)
/** The length asked for, big-endian, then a zero byte. */
const LENGTH_AND_ZERO = Uint8Array.of(0, UNIFORM_BYTES, 0)
