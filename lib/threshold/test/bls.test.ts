import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { utf8Encode } from '@cumulus/bytes'
import fc from 'fast-check'
import {
  aggregateSignatures,
  BlsKey,
  checkPublicKey,
  checkSignature,
  fastAggregateVerify,
  isSignature,
  verifyBls,
  verifyPossession,
} from '../src/index.ts'
import { noble } from './noble.ts'

const key = BlsKey.fromSeed(new Uint8Array(32).fill(1))
const other = BlsKey.fromSeed(new Uint8Array(32).fill(2))
const message = utf8Encode('a message')
const signature = key.sign(message)

const secretOf = (value: bigint) => Uint8Array.fromHex(value.toString(16).padStart(64, '0'))
const anySecret = fc.bigInt({ min: 1n, max: noble.order - 1n }).map(secretOf)
const anyMessage = fc.uint8Array({ maxLength: 100 })
const infiniteKey = Uint8Array.fromHex(`c0${'00'.repeat(47)}`)
const infiniteSignature = Uint8Array.fromHex(`c0${'00'.repeat(95)}`)

/** Bytes that are no public key and no signature, and why. */
const badPoints: [string, Uint8Array, Uint8Array][] = [
  ['BAD_LENGTH', key.publicKey.subarray(1), signature.subarray(1)],
  ['BAD_LENGTH', new Uint8Array(0), new Uint8Array(0)],
  ['BAD_LENGTH', new Uint8Array(96), new Uint8Array(192)],
  ['BAD_ENCODING', new Uint8Array(48), new Uint8Array(96)],
  ['BAD_ENCODING', new Uint8Array(48).fill(0xff), new Uint8Array(96).fill(0xff)],
  ['BAD_ENCODING', Uint8Array.fromHex(`e0${'00'.repeat(47)}`), Uint8Array.fromHex(`e0${'00'.repeat(95)}`)],
  ['NOT_ON_CURVE', Uint8Array.fromHex(`80${'00'.repeat(46)}01`), Uint8Array.fromHex(`80${'00'.repeat(94)}01`)],
  ['NOT_IN_SUBGROUP', noble.strayG1(), noble.strayG2()],
  ['INFINITE', infiniteKey, infiniteSignature],
]

describe('a BLS signature', () => {
  it('is what another implementation makes, key and all', () => {
    fc.assert(
      fc.property(anySecret, anyMessage, (secret, text) => {
        const mine = BlsKey.fromSecret(secret)
        assert.deepEqual(mine.publicKey, noble.publicKey(secret))
        assert.deepEqual(mine.sign(text), noble.sign(text, secret))
        assert(noble.verify(mine.sign(text), text, mine.publicKey))
      }),
      { numRuns: 5 },
    )
  })

  it('has the key of EIP-2333, test case 1, which derives its master key by the same KeyGen', () => {
    const seed = Uint8Array.fromHex('3141592653589793238462643383279502884197169399375105820974944592')
    const secret = 29757020647961307431480504535336562678282505419141012933316116377660817309383n
    assert.deepEqual(BlsKey.fromSeed(seed).publicKey, BlsKey.fromSecret(secretOf(secret)).publicKey)
  })

  it('is of one key and one message', () => {
    assert(verifyBls(signature, message, key.publicKey))
    assert(!verifyBls(signature, utf8Encode('another'), key.publicKey))
    assert(!verifyBls(signature, message, other.publicKey))
    assert(!verifyBls(other.sign(message), message, key.publicKey))
  })

  it('that is malformed is false to who verifies, and an error with its reason to who decodes', () => {
    for (const [code, badKey, badSignature] of badPoints) {
      assert.throws(() => checkPublicKey(badKey), { code }, `key: ${code}`)
      assert.throws(() => checkSignature(badSignature), { code }, `signature: ${code}`)
      assert.equal(isSignature(badSignature), false)
      assert.equal(verifyBls(badSignature, message, key.publicKey), false)
      assert.equal(verifyBls(signature, message, badKey), false)
      assert.equal(fastAggregateVerify(badSignature, message, [key.publicKey]), false)
      assert.equal(fastAggregateVerify(signature, message, [key.publicKey, badKey]), false)
      assert.throws(() => aggregateSignatures([signature, badSignature]), { code })
    }
    checkPublicKey(key.publicKey)
    checkSignature(signature)
  })

  it('needs a secret that is one', () => {
    for (const bad of [secretOf(0n), secretOf(noble.order), new Uint8Array(32).fill(0xff)]) {
      assert.throws(() => BlsKey.fromSecret(bad), { code: 'BAD_SECRET' })
    }
    for (const length of [0, 31, 33]) {
      assert.throws(() => BlsKey.fromSecret(new Uint8Array(length)), { code: 'BAD_LENGTH' })
      assert.throws(() => BlsKey.fromSeed(new Uint8Array(length)), { code: 'BAD_LENGTH' })
    }
  })
})

describe('a proof of possession', () => {
  it('is by the key itself, and is no signature of anything else', () => {
    const proof = key.provePossession()
    assert(verifyPossession(proof, key.publicKey))
    assert(!verifyPossession(proof, other.publicKey))
    assert(!verifyPossession(key.sign(key.publicKey), key.publicKey))
    assert(!verifyPossession(infiniteSignature, infiniteKey))
  })
})

describe('an aggregate', () => {
  const keys = Array.from({ length: 5 }, (_, index) => BlsKey.fromSeed(new Uint8Array(32).fill(index + 1)))
  const publicKeys = keys.map(({ publicKey }) => publicKey)
  const signatures = keys.map((each) => each.sign(message))

  it('of signatures of one message is verified at once, and is what another implementation makes', () => {
    const sum = aggregateSignatures(signatures)
    assert.deepEqual(sum, noble.aggregate(signatures))
    assert(fastAggregateVerify(sum, message, publicKeys))
    assert(fastAggregateVerify(sum, message, publicKeys.toReversed()))
    assert.deepEqual(aggregateSignatures([signature]), signature)
  })

  it('is wrong with one signer more, less, twice, or with another message', () => {
    const sum = aggregateSignatures(signatures)
    assert(!fastAggregateVerify(sum, message, publicKeys.slice(1)))
    assert(!fastAggregateVerify(sum, message, [...publicKeys, publicKeys[0]!]))
    assert(!fastAggregateVerify(sum, utf8Encode('another'), publicKeys))
    assert(!fastAggregateVerify(aggregateSignatures(signatures.slice(1)), message, publicKeys))
    assert(!fastAggregateVerify(sum, message, []))
    assert.throws(() => aggregateSignatures([]), { code: 'BAD_COUNT' })
  })
})
