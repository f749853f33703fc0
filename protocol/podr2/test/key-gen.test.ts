import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { G1, G2 } from '@cumulus/bls'
import {
  decodePowers,
  decodeTaggerKey,
  encodePowers,
  encodeTaggerKey,
  keyGen,
  powersHash,
  TAGGER_KEY_BYTES,
  taggerKeyOf,
  trustedDecodePowers,
} from '../src/index.ts'
import { noise, otherWorker, params, worker } from './fixture.ts'

const context = noise(28, 'chain id and account')
const S = params.sectorCount

describe('a tagger key', () => {
  const encoded = encodeTaggerKey(worker.secret, context)

  it('is the same for the same seed, and another for another', () => {
    assert.deepEqual(keyGen(noise(96, 'a')), keyGen(noise(96, 'a')))
    assert.notDeepEqual(keyGen(noise(96, 'a')), keyGen(noise(96, 'b')))
    assert.throws(() => keyGen(new Uint8Array(95)), { code: 'BAD_SECRET' })
    assert.throws(() => keyGen(new Uint8Array(96)), { code: 'BAD_SECRET' })
  })

  it('comes back from its 288 bytes', () => {
    assert.equal(encoded.length, TAGGER_KEY_BYTES)
    const key = decodeTaggerKey(encoded, context)
    assert.ok(key.v.equals(worker.key.v) && key.w.equals(worker.key.w))
    assert.ok(key.v.multiply(worker.secret.alpha).equals(key.w))
  })

  it('is refused with a changed byte in any part, in another context, or at another length', () => {
    for (const index of [10, 110, 200, 230, 287]) {
      assert.throws(() => decodeTaggerKey(encoded.with(index, encoded[index]! ^ 1), context), { code: 'MALFORMED_KEY' })
    }
    assert.throws(() => decodeTaggerKey(encoded, noise(28, 'another account')), { code: 'MALFORMED_KEY' })
    assert.throws(() => decodeTaggerKey(encoded.subarray(1), context), { code: 'MALFORMED_KEY' })
    assert.throws(() => decodeTaggerKey(Buffer.concat([encoded, encoded.subarray(0, 1)]), context), {
      code: 'MALFORMED_KEY',
    })
  })

  it('is refused with the proof of another key: v and w of nobody can be claimed by anybody', () => {
    const other = encodeTaggerKey(otherWorker.secret, context)
    for (const [v, w] of [
      [encoded, other],
      [other, encoded],
    ] as const) {
      const mixed = Buffer.concat([v.subarray(0, 96), w.subarray(96, 192), encoded.subarray(192)])
      assert.throws(() => decodeTaggerKey(mixed, context), { code: 'MALFORMED_KEY' })
    }
  })

  it('is refused when x or α is zero, though its proof holds: such a key accepts any data', () => {
    for (const secret of [
      { x: 0n, alpha: 5n },
      { x: 5n, alpha: 0n },
    ]) {
      assert.throws(() => decodeTaggerKey(encodeTaggerKey(secret, context), context), /MALFORMED_KEY: v or w is zero/)
    }
    assert.ok(taggerKeyOf({ x: 0n, alpha: 5n }).v.equals(G2.zero))
  })
})

describe('the powers of a tagger', () => {
  const bytes = encodePowers(worker.secret, S)

  it('are S − 1 points, each α times the one before', () => {
    assert.equal(bytes.length, (S - 1) * 48)
    const points = Array.from({ length: S - 1 }, (_, j) => G1.fromBytes(bytes.subarray(48 * j, 48 * j + 48)))
    assert.ok(points[0]!.equals(G1.generator))
    points.slice(1).forEach((point, j) => {
      assert.ok(point.equals(points[j]!.multiply(worker.secret.alpha)))
    })
    assert.deepEqual(decodePowers(bytes, worker.key, S).bytes, trustedDecodePowers(bytes, S).bytes)
  })

  it('are refused when one is wrong, when two are swapped, or when they are those of another key', () => {
    const wrong = bytes.slice()
    wrong.set(G1.generator.multiply(99n).toBytes(), 48 * 7)
    const swapped = bytes.slice()
    swapped.set(bytes.subarray(48 * 3, 48 * 4), 48 * 4)
    swapped.set(bytes.subarray(48 * 4, 48 * 5), 48 * 3)
    const lastWrong = bytes.slice()
    lastWrong.set(G1.generator.toBytes(), 48 * (S - 2))
    // α^j·(5·g1) satisfies every equation but the first.
    const shifted = Buffer.concat(
      Array.from({ length: S - 1 }, (_, j) =>
        G1.fromBytes(bytes.subarray(48 * j, 48 * j + 48))
          .multiply(5n)
          .toBytes(),
      ),
    )
    for (const bad of [wrong, swapped, lastWrong, shifted]) {
      assert.throws(() => decodePowers(bad, worker.key, S), { code: 'MALFORMED_POWERS' })
      assert.notDeepEqual(powersHash(bad), powersHash(bytes))
    }
    assert.throws(() => decodePowers(bytes, otherWorker.key, S), { code: 'MALFORMED_POWERS' })
  })

  it('are refused at another length, or with a point that is none', () => {
    assert.throws(() => decodePowers(bytes.subarray(48), worker.key, S), { code: 'MALFORMED_POWERS' })
    assert.throws(() => trustedDecodePowers(bytes.subarray(1), S), { code: 'MALFORMED_POWERS' })
    assert.throws(() => decodePowers(bytes.with(48, 0), worker.key, S), { code: 'MALFORMED_POWERS' })
    assert.throws(() => trustedDecodePowers(bytes.with(48, 0), S), { code: 'MALFORMED_POWERS' })
  })
})
