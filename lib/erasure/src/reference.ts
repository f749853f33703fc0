// The code written as plainly as it can be, one byte at a time: what the kernel is held to by property tests. Some hundred
// times slower.

import { multiply } from './field.ts'
import { invertMatrix, type Matrix } from './matrix.ts'

/** matrix · inputs, column by column of bytes. Inputs are of equal length; the result is new. */
export function referenceMultiply(matrix: Matrix, inputs: readonly Uint8Array[]): Uint8Array[] {
  return matrix.map((row) => {
    const output = new Uint8Array(inputs[0]!.length)
    row.forEach((coefficient, i) => {
      const input = inputs[i]!
      for (let b = 0; b < output.length; b++) output[b]! ^= multiply(coefficient, input[b]!)
    })
    return output
  })
}

/** Parity fragments of `data` under a systematic generator matrix. */
export function referenceEncode(generator: Matrix, data: readonly Uint8Array[]): Uint8Array[] {
  return referenceMultiply(generator.slice(data.length), data)
}

/** All fragments, from any `dataCount` present ones; missing ones are `undefined`. */
export function referenceRebuild(generator: Matrix, fragments: readonly (Uint8Array | undefined)[]): Uint8Array[] {
  const dataCount = generator[0]!.length
  const used = fragments.flatMap((fragment, i) => (fragment ? [i] : [])).slice(0, dataCount)
  const decode = invertMatrix(used.map((i) => generator[i]!))
  const data = referenceMultiply(
    decode,
    used.map((i) => fragments[i]!),
  )
  return referenceMultiply(generator, data)
}
