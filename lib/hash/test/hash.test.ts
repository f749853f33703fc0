import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { describe, it } from 'node:test'
import { blake3, hmacSha256, keccak256, md5, sha256 } from '@cumulus/hash'
import fc from 'fast-check'
import { blake3 as wasmBlake3 } from 'hash-wasm'

const text = (value: string) => new TextEncoder().encode(value)

describe('hashes', () => {
  it('answer the published values of the empty string and of "abc"', () => {
    // BLAKE3: test_vectors.json of the reference implementation; FIPS 180-4; RFC 1321; Keccak team.
    assert.equal(blake3(text('')).toHex(), 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262')
    assert.equal(sha256(text('abc')).toHex(), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
    assert.equal(md5(text('abc')).toHex(), '900150983cd24fb0d6963f7d28e17f72')
    assert.equal(keccak256(text('')).toHex(), 'c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470')
  })
  it('follow RFC 4231 for HMAC-SHA-256 (case 2)', () => {
    assert.equal(
      hmacSha256(text('Jefe'), 'what do ya want for nothing?').toHex(),
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    )
  })
  it('give the same BLAKE3 natively and in WebAssembly', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 5_000 }), async (bytes) => {
        assert.equal(blake3(bytes).toHex(), await wasmBlake3(bytes))
      }),
    )
  })
  it('use the native BLAKE3 wherever the addon loads', async () => {
    const { blake3Backend } = await import('@cumulus/hash')
    let addon = true
    try {
      createRequire(import.meta.resolve('@cumulus/hash'))('@napi-rs/blake-hash')
    } catch {
      addon = false
    }
    assert.equal(blake3Backend, addon ? 'native' : 'wasm')
  })
  it('do not share their output between calls', () => {
    const first = keccak256(text('a'))
    const copy = first.slice()
    keccak256(text('b'))
    assert.deepEqual(first, copy)
  })
})
