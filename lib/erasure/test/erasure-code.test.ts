import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { equalBytes } from '@cumulus/bytes'
import fc from 'fast-check'
import {
  CODEC_FFT_4_8,
  CODEC_VANDERMONDE,
  ErasureCode,
  ErasureError,
  type ErasureErrorCode,
  generatorMatrix,
  referenceEncode,
  referenceRebuild,
} from '../src/index.ts'
import { PLAN_CACHE_COUNT_MAX } from '../src/plans.ts'
import { anyLength, anyShape, ByteStream, choices, drawIndices } from './arbitraries.ts'

function encoded(code: ErasureCode, fragmentBytes: number, seed = 1): Uint8Array[] {
  const data = new ByteStream(seed).fragments(code.dataCount, fragmentBytes)
  const parity = Array.from({ length: code.parityCount }, () => new Uint8Array(fragmentBytes))
  code.encode(data, parity)
  return [...data, ...parity]
}

function keepOnly<T>(fragments: readonly T[], kept: readonly number[]): (T | undefined)[] {
  return fragments.map((fragment, i) => (kept.includes(i) ? fragment : undefined))
}

function throwsCode(code: ErasureErrorCode, action: () => void): void {
  assert.throws(action, (error) => error instanceof ErasureError && error.code === code)
}

describe('an erasure code', () => {
  const codes = [
    ErasureCode.create({ dataCount: 4, parityCount: 8, codec: CODEC_VANDERMONDE }),
    ErasureCode.create({ dataCount: 4, parityCount: 8, codec: CODEC_FFT_4_8 }),
    ErasureCode.create({ dataCount: 2, parityCount: 1 }),
  ]
  for (const code of codes) {
    it(`of codec ${code.codec} rebuilds all from any ${code.dataCount} of ${code.fragmentCount}`, () => {
      const fragments = encoded(code, 37)
      const all = fragments.map((_, i) => i)
      for (const kept of choices(code.fragmentCount, code.dataCount)) {
        assert.deepEqual(code.rebuild(keepOnly(fragments, kept), all), fragments)
      }
    })
  }

  it('encodes and rebuilds as the reference does, in both builds', () => {
    fc.assert(
      fc.property(anyShape, anyLength, fc.nat(), fc.nat(), (shape, fragmentBytes, seed, extra) => {
        const generator = generatorMatrix(shape)
        const count = generator.length
        const presentCount = shape.dataCount + (extra % (shape.parityCount + 1))
        const wantedCount = extra % (count + 1)
        const present = drawIndices(count, presentCount, seed)
        const wanted = drawIndices(count, wantedCount, seed + 1)
        for (const kernelBuild of ['simd', 'relaxed'] as const) {
          const code = ErasureCode.create({ ...shape, kernelBuild })
          const fragments = encoded(code, fragmentBytes, seed)
          const data = fragments.slice(0, shape.dataCount)
          assert.deepEqual(fragments.slice(shape.dataCount), referenceEncode(generator, data))
          const left = keepOnly(fragments, present)
          assert.deepEqual(referenceRebuild(generator, left), fragments)
          assert.deepEqual(
            code.rebuild(left, wanted),
            wanted.map((i) => fragments[i]),
          )
        }
      }),
      { numRuns: 60 },
    )
  })

  it('takes fragments longer than a tile, at any offset of their buffers', () => {
    const code = ErasureCode.create({ dataCount: 4, parityCount: 8 })
    const fragmentBytes = 2 * 32768 + 77
    const data = new ByteStream(5).fragments(4, fragmentBytes + 3).map((bytes) => bytes.subarray(3))
    const parity = Array.from({ length: 8 }, () => new Uint8Array(fragmentBytes + 1).subarray(1))
    code.encode(data, parity)
    const expected = referenceEncode(generatorMatrix(code), data)
    parity.forEach((fragment, i) => {
      assert.ok(equalBytes(fragment, expected[i]!))
    })
    const rebuilt = code.rebuild(keepOnly([...data, ...parity], [1, 6, 9, 11]), [3, 0, 2])
    assert.ok([3, 0, 2].every((wanted, i) => equalBytes(rebuilt[i]!, data[wanted]!)))
  })

  it('works with the most fragments there can be', () => {
    for (const [dataCount, parityCount] of [
      [128, 128],
      [255, 1],
      [1, 255],
    ] as const) {
      const code = ErasureCode.create({ dataCount, parityCount })
      const fragments = encoded(code, 65)
      const kept = drawIndices(256, dataCount, 3)
      const wanted = [...new Set([0, dataCount - 1, 255])]
      const rebuilt = code.rebuild(keepOnly(fragments, kept), wanted)
      assert.deepEqual(
        rebuilt,
        wanted.map((i) => fragments[i]),
      )
    }
  })

  it('hands a present fragment back without copying it', () => {
    const fragments = encoded(codes[2]!, 10)
    assert.equal(codes[2]!.rebuild(fragments, [1])[0], fragments[1])
  })

  it('cannot rebuild from fewer than dataCount fragments', () => {
    const fragments = encoded(codes[0]!, 10)
    throwsCode('TOO_FEW_FRAGMENTS', () => codes[0]!.rebuild(keepOnly(fragments, [0, 5, 11]), [1]))
    throwsCode('TOO_FEW_FRAGMENTS', () => codes[0]!.rebuild(new Array(12), [1]))
  })

  it('refuses wrong counts, unequal lengths and bad indices', () => {
    const code = codes[0]!
    const fragments = encoded(code, 10)
    const [data, parity] = [fragments.slice(0, 4), fragments.slice(4)]
    throwsCode('WRONG_COUNT', () => code.encode(data.slice(1), parity))
    throwsCode('WRONG_COUNT', () => code.encode(data, parity.slice(1)))
    throwsCode('WRONG_COUNT', () => code.rebuild(data, [0]))
    throwsCode('UNEQUAL_LENGTHS', () => code.encode(data, [...parity.slice(1), new Uint8Array(9)]))
    throwsCode('UNEQUAL_LENGTHS', () => code.rebuild([new Uint8Array(11), ...fragments.slice(1)], [0]))
    throwsCode('BAD_INDEX', () => code.rebuild(fragments, [12]))
    throwsCode('BAD_INDEX', () => code.rebuild(fragments, [-1]))
    throwsCode('BAD_INDEX', () => code.rebuild(fragments, [3, 3]))
    throwsCode('BAD_SHAPE', () => ErasureCode.create({ dataCount: 0, parityCount: 1 }))
  })

  it('keeps a bounded number of loss patterns', () => {
    const code = ErasureCode.create({ dataCount: 4, parityCount: 8 })
    const fragments = encoded(code, 1)
    for (const kept of choices(12, 4)) {
      for (const wanted of [[0], [0, 1], [0, 1, 2]]) code.rebuild(keepOnly(fragments, kept), wanted)
    }
    assert.ok(code.plans.cachedPatternCount <= PLAN_CACHE_COUNT_MAX)
    assert.ok(code.plans.cachedPatternCount > PLAN_CACHE_COUNT_MAX / 2)
    const expected = fragments[0]
    assert.deepEqual(code.rebuild(keepOnly(fragments, [1, 2, 3, 4]), [0]), [expected])
  })
})
