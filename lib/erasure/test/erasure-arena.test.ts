import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  CODEC_FFT_4_8,
  ErasureArena,
  ErasureCode,
  ErasureError,
  type ErasureErrorCode,
  generatorMatrix,
  referenceEncode,
} from '../src/index.ts'
import { anyLength, anyShape, ByteStream, drawIndices } from './arbitraries.ts'

function throwsCode(code: ErasureErrorCode, action: () => void): void {
  assert.throws(action, (error) => error instanceof ErasureError && error.code === code)
}

const indices = (count: number) => Array.from({ length: count }, (_, i) => i)

describe('an arena', () => {
  it('encodes and rebuilds in place as the reference does', () => {
    fc.assert(
      fc.property(anyShape, anyLength, fc.nat(), (shape, fragmentBytes, seed) => {
        const code = ErasureCode.create(shape)
        const arena = new ErasureArena(code, 5000)
        arena.layOut(fragmentBytes)
        const data = new ByteStream(seed).fragments(shape.dataCount, fragmentBytes)
        data.forEach((bytes, i) => {
          arena.fragment(i).set(bytes)
        })
        arena.encode()
        const all = [...data, ...referenceEncode(generatorMatrix(shape), data)]
        assert.deepEqual(
          indices(code.fragmentCount).map((i) => arena.fragment(i)),
          all,
        )

        const present = drawIndices(code.fragmentCount, shape.dataCount, seed)
        const lost = indices(code.fragmentCount).filter((i) => !present.includes(i))
        for (const i of lost) arena.fragment(i).fill(0xee)
        arena.rebuild(present, lost)
        assert.deepEqual(
          indices(code.fragmentCount).map((i) => arena.fragment(i)),
          all,
        )
      }),
      { numRuns: 40 },
    )
  })

  const code = ErasureCode.create({ dataCount: 4, parityCount: 8, codec: CODEC_FFT_4_8 })

  it('lays data end to end for every multiple of 64, and parity on pages', () => {
    const arena = new ErasureArena(code, 3 * 4096)
    for (const fragmentBytes of [64, 4096, 64 * 33, 3 * 4096, 0]) {
      arena.layOut(fragmentBytes)
      assert.equal(arena.data.length, 4 * fragmentBytes)
      const ends: number[] = []
      for (let i = 0; i < 12; i++) {
        const fragment = arena.fragment(i)
        assert.equal(fragment.length, fragmentBytes)
        if (i < 4) assert.equal(fragment.byteOffset, arena.data.byteOffset + i * fragmentBytes)
        else assert.equal(fragment.byteOffset % 4096, 0)
        if (i > 0) assert.ok(fragment.byteOffset >= ends[i - 1]!)
        ends.push(fragment.byteOffset + fragmentBytes)
      }
      assert.equal(arena.data.byteOffset % 4096, 0)
      arena.encode()
    }
  })

  it('writes nothing outside the fragments wanted', () => {
    const arena = new ErasureArena(code, 4096)
    arena.data.set(new ByteStream(9).next(4 * 4096))
    arena.encode()
    const before = indices(12).map((i) => arena.fragment(i).slice())
    arena.fragment(2).fill(0)
    arena.fragment(7).fill(0)
    arena.rebuild([0, 1, 3, 4, 5], [7, 2, 5])
    assert.deepEqual(
      indices(12).map((i) => arena.fragment(i)),
      before,
    )
  })

  it('works on the first bytes of each fragment only, if told so', () => {
    const arena = new ErasureArena(code, 4096)
    arena.data.set(new ByteStream(11).next(4 * 4096))
    arena.encode(100)
    const expected = referenceEncode(
      generatorMatrix(code),
      indices(4).map((i) => arena.fragment(i)),
    )
    for (let i = 0; i < 8; i++) {
      assert.deepEqual(arena.fragment(4 + i).subarray(0, 100), expected[i]!.subarray(0, 100))
      assert.ok(
        arena
          .fragment(4 + i)
          .subarray(128)
          .every((byte) => byte === 0),
      )
    }
    arena.fragment(0).fill(0, 0, 100)
    arena.rebuild([1, 2, 3, 4], [0], 100)
    assert.deepEqual(arena.fragment(0), new ByteStream(11).next(4096))
  })

  it('keeps views alive across layouts, and gives the same view each time', () => {
    const arena = new ErasureArena(code, 8192)
    const view = arena.fragment(11)
    assert.equal(arena.fragment(11), view)
    arena.layOut(64)
    arena.layOut(8192)
    arena.encode()
    assert.equal(view.length, 8192)
    assert.equal(view.buffer.byteLength, arena.data.buffer.byteLength)
  })

  it('refuses lengths beyond its capacity or layout, bad indices and too few fragments', () => {
    const arena = new ErasureArena(code, 4096)
    throwsCode('BAD_LENGTH', () => arena.layOut(4097))
    throwsCode('BAD_LENGTH', () => arena.layOut(1.5))
    arena.layOut(128)
    throwsCode('BAD_LENGTH', () => arena.encode(129))
    throwsCode('BAD_LENGTH', () => arena.rebuild([0, 1, 2, 3], [4], -1))
    throwsCode('BAD_INDEX', () => arena.fragment(12))
    throwsCode('BAD_INDEX', () => arena.rebuild([0, 1, 2, 3], [12]))
    throwsCode('BAD_INDEX', () => arena.rebuild([0, 1, 2, 2], [4]))
    throwsCode('TOO_FEW_FRAGMENTS', () => arena.rebuild([0, 1, 2], [4]))
    throwsCode('BAD_LENGTH', () => new ErasureArena(code, 2 ** 30))
    throwsCode('BAD_LENGTH', () => new ErasureArena(code, Number.NaN))
  })
})
