import { FR_ORDER } from '@cumulus/bls'
import fc from 'fast-check'

export const anyScalar: fc.Arbitrary<bigint> = fc.oneof(
  fc.bigInt({ min: 0n, max: FR_ORDER - 1n }),
  fc.constantFrom(0n, 1n, 2n, FR_ORDER - 1n, FR_ORDER - 2n),
)

/** How the words of data are made: noise, or the extremes at which carries run farthest. */
export const anyFilling = fc.constantFrom('noise', 'all −1', 'all 0', 'all 32767', 'all −32768', 'both extremes')
export type Filling = typeof anyFilling extends fc.Arbitrary<infer T> ? T : never

/** Data of a length, the same for the same seed. */
export function makeData(byteLength: number, filling: Filling, seed: number): Uint8Array {
  const words = new Uint16Array(Math.ceil(byteLength / 2))
  let state = seed >>> 0
  for (let i = 0; i < words.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    if (filling === 'noise') words[i] = state >>> 16
    else if (filling === 'both extremes') words[i] = state >>> 31 === 0 ? 0x7fff : 0x8000
    else words[i] = { 'all −1': 0xffff, 'all 0': 0, 'all 32767': 0x7fff, 'all −32768': 0x8000 }[filling]
  }
  return new Uint8Array(words.buffer, 0, byteLength)
}
