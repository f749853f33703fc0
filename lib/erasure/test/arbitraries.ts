import fc from 'fast-check'

/** A shape of codec 1 narrow enough to test quickly, with every remainder of parity by four, and none at all. */
export const anyShape = fc.record({
  dataCount: fc.integer({ min: 1, max: 13 }),
  parityCount: fc.integer({ min: 0, max: 11 }),
})

/** Lengths around the edges: nothing, a byte, vectors of 16, lines of 64, tiles of 1 to 32 KiB, and between. */
export const anyLength = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 200 }) },
  { weight: 1, arbitrary: fc.constantFrom(1023, 1024, 1025, 4095, 4097) },
)

/** Bytes of a linear congruential generator: x·1664525 + 1013904223 mod 2^32, the top byte of each step. */
export class ByteStream {
  #state: number
  constructor(seed: number) {
    this.#state = seed
  }
  next(length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    let x = this.#state
    for (let i = 0; i < length; i++) {
      x = (Math.imul(x, 1664525) + 1013904223) >>> 0
      bytes[i] = x >>> 24
    }
    this.#state = x
    return bytes
  }
  fragments(count: number, fragmentBytes: number): Uint8Array[] {
    return Array.from({ length: count }, () => this.next(fragmentBytes))
  }
}

/** All ascending choices of `size` of 0..count−1. */
export function* choices(count: number, size: number, first = 0): Generator<number[]> {
  if (size === 0) yield []
  else
    for (let i = first; i <= count - size; i++) for (const rest of choices(count, size - 1, i + 1)) yield [i, ...rest]
}

/** `size` distinct indices below `count`, in an order drawn from the seed. */
export function drawIndices(count: number, size: number, seed: number): number[] {
  const stream = new ByteStream(seed)
  const order = Array.from({ length: count }, (_, index) => ({ index, rank: stream.next(2).join() }))
  order.sort((a, b) => (a.rank < b.rank ? -1 : 1))
  return order.slice(0, size).map(({ index }) => index)
}
