import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FREE_ADDRESS, Kernel } from '../src/kernel.ts'

const ROW_BYTES = 240
const DIGIT_COUNT = 22
const rows = 3
const tableAt = FREE_ADDRESS
const dataAt = tableAt + rows * DIGIT_COUNT * ROW_BYTES
const sumsAt = dataAt + 4 * rows * ROW_BYTES
const sumsBytes = DIGIT_COUNT * 16

/** Sums of each chunk and digit, with every word and every digit the same. */
function dotProducts(word: number, digit: number): { one: bigint[]; four: bigint[] } {
  const kernel = new Kernel(sumsAt + 4 * sumsBytes - FREE_ADDRESS)
  const { buffer } = kernel.bytes
  new Int16Array(buffer, tableAt, (rows * DIGIT_COUNT * ROW_BYTES) / 2).fill(digit)
  new Int16Array(buffer, dataAt, (4 * rows * ROW_BYTES) / 2).fill(word)
  const read = (chunks: number) => {
    const halves = new BigInt64Array(buffer, sumsAt, (chunks * sumsBytes) / 8)
    const sums = Array.from({ length: halves.length / 2 }, (_, i) => halves[2 * i]! + halves[2 * i + 1]!)
    halves.fill(0n)
    return sums
  }
  kernel.functions.dotOne(dataAt, rows, tableAt, sumsAt)
  const one = read(1)
  kernel.functions.dotFour(dataAt, rows * ROW_BYTES, tableAt, sumsAt)
  return { one, four: read(4) }
}

describe('the dot products', () => {
  it('do not overflow 32 bits before they are emptied, when all words and all digits of a row are extreme', () => {
    for (const word of [-32768, 32767]) {
      for (const digit of [-2048, 2047]) {
        const expected = BigInt(word) * BigInt(digit) * BigInt((rows * ROW_BYTES) / 2)
        const { one, four } = dotProducts(word, digit)
        assert.equal(one.length, DIGIT_COUNT)
        assert.equal(four.length, 4 * DIGIT_COUNT)
        for (const sum of [...one, ...four]) assert.equal(sum, expected)
      }
    }
  })
})
