import { BlsError } from './bls-error.ts'
import { G1 } from './g1.ts'
import { FREE_ADDRESS, kernel, kernelMemory, POINT_BYTES, selectCurve } from './kernel.ts'

/** Most points of one sum. */
export const SUM_COUNT_MAX = 65536

/** Points in the form the kernel sums them, 104 bytes each: made once, used for many sums. */
export class G1Vector {
  readonly count: number
  /** For this package only. Infinite points have all ones in their first word. */
  readonly bytes: Uint8Array

  private constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.count = bytes.length / POINT_BYTES
  }

  /** @throws BlsError `BAD_COUNT` above `SUM_COUNT_MAX` */
  static of(points: readonly G1[]): G1Vector {
    const { length } = points
    if (length > SUM_COUNT_MAX) throw new BlsError('BAD_COUNT', `${length} points, at most ${SUM_COUNT_MAX}`)
    const coordinates = FREE_ADDRESS + length * POINT_BYTES
    const memory = kernelMemory(coordinates + length * 96 + 8)
    points.forEach((point, i) => {
      memory.set(G1.mclCoordinates(point).subarray(0, 96), coordinates + i * 96)
    })
    kernel.fromMcl(FREE_ADDRESS, coordinates, length)
    const bytes = memory.slice(FREE_ADDRESS, coordinates)
    points.forEach((point, i) => {
      if (point.isZero()) bytes.fill(0xff, i * POINT_BYTES, i * POINT_BYTES + 4)
    })
    return new G1Vector(bytes)
  }

  /** The first `count` points, sharing memory. */
  first(count: number): G1Vector {
    if (!Number.isInteger(count) || count < 0 || count > this.count) {
      throw new BlsError('BAD_COUNT', `${count} of ${this.count} points`)
    }
    return new G1Vector(this.bytes.subarray(0, count * POINT_BYTES))
  }
}

/**
 * Σ scalar_i · point_i. 32,768 points with scalars of 255 bits take under a second; the time depends on the scalars.
 *
 * @param scalars whole numbers in [0, 2^256): residues, or shorter coefficients, which cost less
 * @throws BlsError `BAD_COUNT`, `BAD_SCALAR`
 */
export function sumOfMultiples(points: readonly G1[] | G1Vector, scalars: readonly bigint[]): G1 {
  const vector = points instanceof G1Vector ? points : G1Vector.of(points)
  return sumOfPackedMultiples(vector, packScalars(scalars))
}

/** As `sumOfMultiples`, with scalars as 32 bytes each, little-endian, one after the other. */
export function sumOfPackedMultiples(points: G1Vector, scalars: Uint8Array): G1 {
  if (scalars.length !== points.count * SCALAR_BYTES) {
    throw new BlsError('BAD_COUNT', `${scalars.length / SCALAR_BYTES} scalars for ${points.count} points`)
  }
  const result = kernelSum(points.bytes, scalars, 'G1')
  if (result === undefined) return G1.zero
  const end = result + POINT_BYTES
  kernel.toMcl(end, result)
  return G1.unsafeFromMcl(kernelMemory(end + 96).slice(end, end + 96))
}

const SCALAR_BYTES = 32

/** 32 bytes each, little-endian. @throws BlsError `BAD_SCALAR` outside [0, 2^256) */
export function packScalars(scalars: readonly bigint[]): Uint8Array {
  const words = new BigUint64Array(scalars.length * 4)
  scalars.forEach((scalar, i) => {
    if (scalar < 0n || scalar >> 256n !== 0n) throw new BlsError('BAD_SCALAR', 'scalar is outside [0, 2^256)')
    for (let j = 0, rest = scalar; j < 4; j++, rest >>= 64n) words[4 * i + j] = rest // keeps the low 64 bits
  })
  return new Uint8Array(words.buffer)
}

/**
 * The sum in the kernel, on either curve; its address, followed by free room, or undefined for infinity.
 *
 * @param points 104 bytes each
 */
export function kernelSum(points: Uint8Array, scalars: Uint8Array, curve: 'G1' | 'isogenous'): number | undefined {
  const count = points.length / POINT_BYTES
  if (count > SUM_COUNT_MAX) throw new BlsError('BAD_COUNT', `${count} points, at most ${SUM_COUNT_MAX}`)
  const bits = Math.max(1, bitLengthMax(scalars))
  const { width, windowsAtOnce } = windowing(count, bits)
  const out = FREE_ADDRESS
  const pointsAt = out + 512
  const scalarsAt = pointsAt + points.length
  const work = scalarsAt + scalars.length
  const memory = kernelMemory(work + kernel.sumWorkBytes(count, bits, width, windowsAtOnce))
  memory.set(points, pointsAt)
  memory.set(scalars, scalarsAt)
  selectCurve(curve)
  kernel.sum(out, pointsAt, scalarsAt, SCALAR_BYTES, count, bits, width, windowsAtOnce, work)
  return kernel.isPointInfinite(out) !== 0 ? undefined : out
}

/** Bits of the longest scalar. */
function bitLengthMax(scalars: Uint8Array): number {
  for (let byte = SCALAR_BYTES - 1; byte >= 0; byte--) {
    let any = 0
    for (let at = byte; at < scalars.length; at += SCALAR_BYTES) any |= scalars[at]!
    if (any !== 0) return byte * 8 + 32 - Math.clz32(any)
  }
  return 0
}

/** Points sorted into buckets at a time: with fewer, an inversion is shared by too few additions. 6.8 MB. */
const ENTRIES_AT_ONCE = 65536
const WIDTH_MAX = 14

/**
 * Width of the windows with the least multiplications: in each, 7 a point (tree of affine additions) and 24 a bucket (running
 * sums).
 */
export function windowing(count: number, bits: number): { width: number; windowsAtOnce: number } {
  let width = 2
  let cost = Number.POSITIVE_INFINITY
  for (let candidate = 2; candidate <= WIDTH_MAX; candidate++) {
    const windows = Math.floor(bits / candidate) + 1
    const candidateCost = windows * (7 * count + 24 * 2 ** (candidate - 1))
    if (candidateCost < cost) [width, cost] = [candidate, candidateCost]
  }
  const windowCount = Math.floor(bits / width) + 1
  const windowsAtOnce = Math.min(windowCount, Math.max(1, Math.floor(ENTRIES_AT_ONCE / Math.max(1, count))))
  return { width, windowsAtOnce }
}
