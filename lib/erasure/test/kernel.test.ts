import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { equalBytes } from '@cumulus/bytes'
import { bestKernelBuild, Kernel, productTables, readKernel } from '../src/kernel.ts'
import { referenceMultiply } from '../src/reference.ts'
import { webAssembly } from '../src/web-assembly.ts'
import { ByteStream } from './arbitraries.ts'

describe('the shipped kernel', () => {
  for (const build of ['simd', 'relaxed'] as const) {
    it(`loads as ${build}, with the functions we call`, () => {
      assert.ok(webAssembly.validate(readKernel(build)))
      const memory = new webAssembly.Memory({ initial: 1, maximum: 1 })
      const { exports } = new webAssembly.Instance(new webAssembly.Module(readKernel(build)), { env: { memory } })
      for (const name of ['multiply', 'encodeFft'])
        assert.equal(typeof (exports as Record<string, unknown>)[name], 'function')
    })

    // The codes reach 4+8 through the FFT only: here the matrix loops are driven over several tiles, for 1 to 8 outputs.
    it(`multiplies any number of outputs over several tiles as ${build}`, () => {
      const [fragmentBytes, inputCount] = [3 * 32768 + 64, 3]
      const kernel = new Kernel({ dataCount: 3, parityCount: 8 }, 11 * fragmentBytes, build)
      const stream = new ByteStream(7)
      const inputs = stream.fragments(inputCount, fragmentBytes)
      const at = (slot: number) => kernel.payloadOffset + slot * fragmentBytes
      inputs.forEach((bytes, i) => {
        kernel.memory.set(bytes, at(i))
      })
      const matrix = stream.fragments(8, inputCount)
      const expected = referenceMultiply(matrix, inputs)
      for (let outputCount = 1; outputCount <= 8; outputCount++) {
        kernel.memory.fill(0, at(inputCount))
        const outputs = Array.from({ length: outputCount }, (_, i) => at(inputCount + i))
        kernel.multiply(
          productTables(matrix.slice(0, outputCount), inputCount),
          [at(0), at(1), at(2)],
          outputs,
          fragmentBytes,
        )
        for (let i = 0; i < 8; i++) {
          const output = kernel.memory.subarray(at(inputCount + i), at(inputCount + i + 1))
          const wanted = i < outputCount ? expected[i]! : new Uint8Array(fragmentBytes)
          assert.ok(equalBytes(output, wanted))
        }
      }
    })
  }

  it('is the relaxed one on this engine', () => {
    assert.equal(bestKernelBuild(), 'relaxed')
  })

  it('refuses addresses outside its payload', () => {
    const kernel = new Kernel({ dataCount: 1, parityCount: 1 }, 128, 'simd')
    const tables = productTables([Uint8Array.of(3)], 1)
    assert.throws(() => kernel.multiply(tables, [0], [kernel.payloadOffset], 64), /outside the payload/)
    assert.throws(
      () => kernel.multiply(tables, [kernel.payloadOffset], [kernel.memory.length - 63], 64),
      /outside the payload/,
    )
  })
})
