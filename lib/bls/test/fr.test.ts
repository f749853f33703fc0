import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { FR_ORDER, frFromBytes, frFromUniform, frInvert, frReduce, frToBytes } from '../src/index.ts'
import { anyScalar } from './arbitraries.ts'

describe('a scalar', () => {
  it('comes back from its 32 bytes', () => {
    fc.assert(fc.property(anyScalar, (scalar) => assert.equal(frFromBytes(frToBytes(scalar)), scalar)))
  })

  it('is refused when not below r, or of another length', () => {
    const bytes = frToBytes(FR_ORDER - 1n)
    bytes[31]! += 1
    assert.throws(() => frFromBytes(bytes), { code: 'NOT_CANONICAL' })
    assert.throws(() => frFromBytes(new Uint8Array(32).fill(0xff)), { code: 'NOT_CANONICAL' })
    assert.throws(() => frFromBytes(new Uint8Array(31)), { code: 'BAD_LENGTH' })
    assert.throws(() => frFromBytes(new Uint8Array(33)), { code: 'BAD_LENGTH' })
    assert.throws(() => frToBytes(FR_ORDER), { code: 'BAD_SCALAR' })
    assert.throws(() => frToBytes(-1n), { code: 'BAD_SCALAR' })
  })

  it('has an inverse unless it is zero', () => {
    fc.assert(
      fc.property(
        anyScalar.filter((scalar) => scalar !== 0n),
        (scalar) => assert.equal((frInvert(scalar) * scalar) % FR_ORDER, 1n),
      ),
    )
    assert.throws(() => frInvert(0n), { code: 'BAD_SCALAR' })
    assert.throws(() => frInvert(FR_ORDER), { code: 'BAD_SCALAR' })
  })

  it('is the residue of any whole number', () => {
    assert.equal(frReduce(-1n), FR_ORDER - 1n)
    assert.equal(frReduce(FR_ORDER * 5n + 3n), 3n)
  })

  it('is drawn from 48 bytes or more, never fewer', () => {
    assert.equal(frFromUniform(new Uint8Array(64).fill(0xff)), (2n ** 512n - 1n) % FR_ORDER)
    assert.throws(() => frFromUniform(new Uint8Array(47)), { code: 'BAD_LENGTH' })
  })
})
