import { ByteWriter } from '@cumulus/bytes'
import { sha256 } from '@cumulus/hash'
import { BLS_SECRET_BYTES, BlsKey } from './bls.ts'
import { aggregateKeys } from './group-sum.ts'
import { factorial, weightsAt } from './lagrange.ts'
import { ThresholdError } from './threshold-error.ts'

/** r: the order of the groups. */
const ORDER = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001n

export const SHARE_COUNT_MAX = 31
const SEED_BYTES = 32

/** What everybody may know of a shared key. */
export interface SharedKey {
  /** t: shares that make a signature. */
  readonly threshold: number
  /** 48 bytes. Combined signatures are plain signatures of it: anybody's BLS library verifies them. */
  readonly publicKey: Uint8Array
  /** 48 bytes each: what share i is verified with. */
  readonly shareKeys: readonly Uint8Array[]
}

/** A key that nobody holds, and its shares. */
export interface Dealing extends SharedKey {
  /** 32 secret bytes each, for `BlsKey.fromSecret`. */
  readonly shares: readonly Uint8Array[]
}

/**
 * Shares a key among n so that any t of them can sign, and fewer learn nothing (Shamir). **Whoever calls this knows the key.**
 *
 * The polynomial f has f(i+1) as share i. The public key is n!·f(0)·G rather than f(0)·G, because `combine` yields
 * n!·f(0)·H(message): so it is a plain signature, and nobody need know of the factor.
 *
 * @param n 1 to 31
 * @param t 1 to n
 * @param randomness 32 secret bytes: the same ones make the same key
 * @throws ThresholdError BAD_COUNT, BAD_LENGTH
 */
export function deal({ n, t, randomness }: { n: number; t: number; randomness: Uint8Array }): Dealing {
  checkCounts(n, t)
  if (randomness.length !== SEED_BYTES) {
    throw new ThresholdError('BAD_LENGTH', `randomness has ${SEED_BYTES} bytes, not ${randomness.length}`)
  }
  const coefficients = Array.from({ length: t }, (_, index) => scalar(randomness, index))
  const shares = Array.from({ length: n }, (_, index) => secretBytes(evaluate(coefficients, BigInt(index + 1))))
  const publicKey = BlsKey.fromSecret(secretBytes((factorial(n) * coefficients[0]!) % ORDER)).publicKey
  return { threshold: t, publicKey, shares, shareKeys: shares.map((share) => BlsKey.fromSecret(share).publicKey) }
}

/**
 * Whether all keys of shares lie on one polynomial of degree t-1 that belongs to the public key: if not, some t holders would
 * make another signature than some others.
 *
 * @throws ThresholdError BAD_COUNT, or as `checkPublicKey`
 */
export function isConsistent({ threshold, publicKey, shareKeys }: SharedKey): boolean {
  checkCounts(shareKeys.length, threshold)
  const count = shareKeys.length
  // The first t keys define the polynomial: it must give the public key at 0, and the other keys where they stand.
  const first = Array.from({ length: threshold }, (_, index) => index)
  const points = first.map((index) => shareKeys[index]!)
  if (!sameKey(aggregateKeys(points, weightsAt(0, first, count)), [publicKey], [1n])) return false
  for (let index = threshold; index < count; index++) {
    const weights = weightsAt(index + 1, first, count)
    if (!sameKey(aggregateKeys(points, weights), [shareKeys[index]!], [factorial(count)])) return false
  }
  return true
}

function sameKey(sum: Uint8Array | undefined, keys: readonly Uint8Array[], weights: readonly bigint[]): boolean {
  return sum !== undefined && sum.toHex() === aggregateKeys(keys, weights)?.toHex()
}

function checkCounts(n: number, t: number): void {
  if (!Number.isInteger(n) || n < 1 || n > SHARE_COUNT_MAX) {
    throw new ThresholdError('BAD_COUNT', `${n} shares are outside 1..${SHARE_COUNT_MAX}`)
  }
  if (!Number.isInteger(t) || t < 1 || t > n) throw new ThresholdError('BAD_COUNT', `threshold ${t} is outside 1..${n}`)
}

/** Horner. */
function evaluate(coefficients: readonly bigint[], x: bigint): bigint {
  return coefficients.reduceRight((sum, coefficient) => (sum * x + coefficient) % ORDER, 0n)
}

/** A scalar from 64 bytes, so that its bias is below 2^-256. */
function scalar(seed: Uint8Array, index: number): bigint {
  const part = (half: number) => sha256(new ByteWriter(64).bytes(seed).u32(index).u8(half).finish())
  return BigInt(`0x${part(0).toHex()}${part(1).toHex()}`) % ORDER
}

function secretBytes(value: bigint): Uint8Array {
  return Uint8Array.fromHex(value.toString(16).padStart(2 * BLS_SECRET_BYTES, '0'))
}
