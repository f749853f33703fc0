import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { FP_ORDER } from '../src/encoding.ts'
import { FREE_ADDRESS, kernel, kernelMemory, readNumber, writeNumber } from '../src/kernel.ts'

const [A, B, OUT] = [FREE_ADDRESS, FREE_ADDRESS + 64, FREE_ADDRESS + 128]

/** Numbers below p, with limbs of all zeros and all ones, where carries and borrows run far. */
const anyElement = fc.oneof(
  fc.bigInt({ min: 0n, max: FP_ORDER - 1n }),
  fc
    .array(fc.constantFrom(0n, 1n, 2n ** 30n - 1n, 2n ** 29n), { minLength: 13, maxLength: 13 })
    .map((limbs) => limbs.reduce((sum, limb, i) => sum + (limb << BigInt(30 * i)), 0n) % FP_ORDER),
  fc.constantFrom(0n, 1n, FP_ORDER - 1n),
)

function compute(operation: number, a: bigint, b = 0n): bigint {
  const memory = kernelMemory(OUT + 64)
  writeNumber(memory, A, a)
  writeNumber(memory, B, b)
  kernel.compute(OUT, A, B, operation)
  return readNumber(memory, OUT)
}

describe('the field of coordinates', () => {
  it('adds, subtracts, multiplies and squares as bigints do', () => {
    fc.assert(
      fc.property(anyElement, anyElement, (a, b) => {
        assert.equal(compute(0, a, b), (a + b) % FP_ORDER)
        assert.equal(compute(1, a, b), (a - b + FP_ORDER) % FP_ORDER)
        assert.equal(compute(2, a, b), (a * b) % FP_ORDER)
        assert.equal(compute(3, a), (a * a) % FP_ORDER)
      }),
      { numRuns: 2000 },
    )
  })

  it('inverts', () => {
    fc.assert(
      fc.property(
        anyElement.filter((a) => a !== 0n),
        (a) => assert.equal((compute(4, a) * a) % FP_ORDER, 1n),
      ),
    )
  })
})
