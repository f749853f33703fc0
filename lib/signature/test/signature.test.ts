import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { keccak256 } from '@cumulus/hash'
import {
  Ed25519Key,
  recoverSecp256k1,
  secp256k1Address,
  secp256k1Backend,
  secp256k1PublicKey,
  signSecp256k1,
  verifyEd25519,
} from '@cumulus/signature'
import fc from 'fast-check'

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })

describe('Ed25519', () => {
  it('follows RFC 8032, section 7.1, test 2', () => {
    const key = new Ed25519Key(Uint8Array.fromHex('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb'))
    assert.equal(key.publicKey.toHex(), '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c')
    assert.equal(
      key.sign(new Uint8Array([0x72])).toHex(),
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    )
  })
  it('accepts a signature of its key over its message and nothing else', () => {
    fc.assert(
      fc.property(bytes32, fc.uint8Array({ minLength: 1, maxLength: 99 }), fc.nat(), (seed, message, salt) => {
        const key = new Ed25519Key(seed)
        const signature = key.sign(message)
        assert.ok(verifyEd25519(signature, message, key.publicKey))
        const flipped = message.slice()
        flipped[salt % message.length]! ^= 1
        assert.ok(!verifyEd25519(signature, flipped, key.publicKey))
        const bent = signature.slice()
        bent[salt % 64]! ^= 1
        assert.ok(!verifyEd25519(bent, message, key.publicKey))
      }),
      { numRuns: 30 },
    )
  })
  it('answers false for malformed keys and signatures', () => {
    const key = new Ed25519Key(new Uint8Array(32))
    const message = new Uint8Array(1)
    assert.ok(!verifyEd25519(key.sign(message).subarray(1), message, key.publicKey))
    assert.ok(!verifyEd25519(key.sign(message), message, new Uint8Array(31)))
    assert.ok(!verifyEd25519(key.sign(message), message, new Uint8Array(32).fill(0xff)))
  })
})

describe('secp256k1', () => {
  // Anybody can check this pair in any Ethereum wallet: the key 1 is the curve's generator.
  const one = new Uint8Array(32)
  one[31] = 1

  it('derives the address of the private key 1', () => {
    assert.equal(secp256k1Address(secp256k1PublicKey(one)).toHex(), '7e5f4552091a69125d5dfcb7b8c2659029395bdf')
  })
  it('recovers who signed', () => {
    fc.assert(
      fc.property(bytes32, (message) => {
        const hash = keccak256(message)
        const { signature, recovery } = signSecp256k1(hash, one)
        assert.deepEqual(recoverSecp256k1(signature, recovery, hash), secp256k1PublicKey(one))
        assert.notDeepEqual(recoverSecp256k1(signature, recovery, keccak256(hash)), secp256k1PublicKey(one))
      }),
      { numRuns: 30 },
    )
  })
  it('recovers nobody from nonsense', () => {
    assert.equal(recoverSecp256k1(new Uint8Array(64), 0, new Uint8Array(32)), undefined)
    assert.equal(recoverSecp256k1(new Uint8Array(64).fill(0xff), 1, new Uint8Array(32)), undefined)
  })
  it('runs natively on this platform where a prebuilt addon exists: the portable one is 30 times slower', () => {
    if (process.platform !== 'linux' || process.arch !== 'x64') return
    assert.equal(secp256k1Backend, 'native')
  })
})
