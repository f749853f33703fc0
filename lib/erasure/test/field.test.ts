import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inverse, multiply, power, writeTablePair } from '../src/field.ts'

/** Product by shifts and reductions, the definition. */
function slowMultiply(a: number, b: number): number {
  let product = 0
  for (let bit = 7; bit >= 0; bit--) {
    product <<= 1
    if (product & 0x100) product ^= 0x11d
    if ((b >> bit) & 1) product ^= a
  }
  return product
}

describe('GF(2^8) modulo 0x11d', () => {
  it('multiplies as its definition does, for all pairs', () => {
    for (let a = 0; a < 256; a++) for (let b = 0; b < 256; b++) assert.equal(multiply(a, b), slowMultiply(a, b))
  })

  it('has an inverse for all but zero', () => {
    for (let a = 1; a < 256; a++) assert.equal(multiply(a, inverse(a)), 1)
  })

  it('raises to powers, with 0^0 = 1', () => {
    for (let a = 0; a < 256; a++) {
      let product = 1
      for (let exponent = 0; exponent < 256; exponent++, product = multiply(product, a)) {
        assert.equal(power(a, exponent), product)
      }
    }
  })

  it('multiplies by two look-ups of halves', () => {
    const pair = new Uint8Array(32)
    for (const c of [0, 1, 2, 0x8e, 0xff]) {
      writeTablePair(pair, 0, c)
      for (let x = 0; x < 256; x++) assert.equal(pair[x & 15]! ^ pair[16 + (x >> 4)]!, multiply(c, x))
    }
  })
})
