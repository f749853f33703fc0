import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fftParityColumn } from '../src/additive-fft.ts'
import { CODEC_FFT_4_8, CODEC_VANDERMONDE, type CodeShape, ErasureError, generatorMatrix } from '../src/index.ts'
import { invertMatrix, multiplyMatrices } from '../src/matrix.ts'
import { choices } from './arbitraries.ts'

const fft = generatorMatrix({ dataCount: 4, parityCount: 8, codec: CODEC_FFT_4_8 })

describe('a generator matrix', () => {
  it('begins with the identity', () => {
    for (const [dataCount, parityCount] of [
      [1, 0],
      [1, 255],
      [2, 1],
      [4, 8],
      [20, 7],
    ] as const) {
      const matrix = generatorMatrix({ dataCount, parityCount })
      assert.equal(matrix.length, dataCount + parityCount)
      for (let r = 0; r < dataCount; r++) {
        assert.deepEqual(
          [...matrix[r]!],
          Array.from({ length: dataCount }, (_, c) => (c === r ? 1 : 0)),
        )
      }
    }
  })

  it('of 4+8 is regular in all 495 choices of four rows', () => {
    let count = 0
    for (const rows of choices(12, 4)) {
      const square = rows.map((r) => fft[r]!)
      const product = multiplyMatrices(square, invertMatrix(square))
      assert.deepEqual(product, fft.slice(0, 4))
      count++
    }
    assert.equal(count, 495)
  })

  it('of the FFT is that of the Vandermonde code: both take the points 0 to 11', () => {
    assert.deepEqual(fft, generatorMatrix({ dataCount: 4, parityCount: 8, codec: CODEC_VANDERMONDE }))
    assert.deepEqual(
      fftParityColumn(0x12, 0x34, 0x56, 0x78),
      Uint8Array.from(
        multiplyMatrices(
          fft.slice(4),
          [[0x12], [0x34], [0x56], [0x78]].map((b) => Uint8Array.from(b)),
        ).flatMap((row) => [...row]),
      ),
    )
  })

  it('exists for up to 256 fragments, and for the FFT only as 4+8', () => {
    assert.equal(generatorMatrix({ dataCount: 128, parityCount: 128 }).length, 256)
    const shapes: CodeShape[] = [
      { dataCount: 0, parityCount: 4 },
      { dataCount: 4, parityCount: -1 },
      { dataCount: 1.5, parityCount: 1 },
      { dataCount: 200, parityCount: 57 },
      { dataCount: 2, parityCount: 1, codec: CODEC_FFT_4_8 },
      { dataCount: 4, parityCount: 8, codec: 3 as never },
    ]
    for (const shape of shapes) {
      assert.throws(
        () => generatorMatrix(shape),
        (error) => error instanceof ErasureError && error.code === 'BAD_SHAPE',
      )
    }
  })
})
