import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DecodeError } from '@cumulus/bytes'
import fc from 'fast-check'
import {
  decodeChainStatus,
  decodeCount,
  decodeRangeLimits,
  decodeRecords,
  decodeStatusQuestion,
  decodeTransactions,
  decodeVerdicts,
  encodeChainStatus,
  encodeRangeLimits,
  encodeRecords,
  encodeStatusQuestion,
  encodeTransactions,
  encodeVerdicts,
  TRANSACTIONS_PER_MESSAGE_MAX,
  transactionVerdicts,
} from '../src/wire.ts'

const bytes = (maxLength: number, minLength = 0) => fc.uint8Array({ minLength, maxLength })
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 })
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })

const status = fc
  .record({
    isCertified: fc.boolean(),
    isOrdering: fc.boolean(),
    height: u64,
    certified: u64,
    lowest: u64,
    headHash: bytes(32, 32),
    genesisHash: bytes(32, 32),
  })
  .map((one) => ({ ...one, certified: one.certified % (one.height + 1n), lowest: one.lowest % (one.height + 1n) }))

const records = fc.array(
  fc.record(
    {
      header: bytes(60),
      body: bytes(60),
      certificate: fc.option(bytes(40, 1), { nil: undefined }),
    },
    { noNullPrototype: true },
  ),
  { maxLength: 5 },
)

/** Neither a prefix nor anything longer is taken, and noise only ever ends in a `DecodeError`. */
function assertStrict(encoded: Uint8Array, decode: (bytes: Uint8Array) => unknown): void {
  for (let length = 0; length < encoded.length; length++) {
    assert.throws(() => decode(encoded.subarray(0, length)), DecodeError)
  }
  assert.throws(() => decode(Uint8Array.of(...encoded, 0)), DecodeError)
}

describe('messages between nodes', () => {
  it('mean the same on the other side', () => {
    fc.assert(
      fc.property(status, u32, u64, records, (one, number, height, some) => {
        assert.deepEqual(decodeChainStatus(encodeChainStatus(one)), one)
        const question = { waitMs: number, height, certified: height }
        assert.deepEqual(decodeStatusQuestion(encodeStatusQuestion(question)), question)
        const limits = { count: number || 1, bytes: number }
        assert.deepEqual(decodeRangeLimits(encodeRangeLimits(limits)), limits)
        const { meta, body } = encodeRecords(some)
        assert.deepEqual(decodeRecords(meta, body, 5), some)
      }),
    )
    const raws = [Uint8Array.of(1), Uint8Array.of(2, 3)]
    assert.deepEqual(decodeTransactions(encodeTransactions(raws)), raws)
    assert.deepEqual(decodeVerdicts(encodeVerdicts(transactionVerdicts)), [...transactionVerdicts])
  })

  it('are refused when cut off, too long, or of another version', () => {
    const height = 5n
    const zeros = new Uint8Array(32)
    const one = { isCertified: true, isOrdering: false, height, certified: 3n, lowest: 1n }
    const encodings: [Uint8Array, (bytes: Uint8Array) => unknown][] = [
      [encodeChainStatus({ ...one, headHash: zeros, genesisHash: zeros }), decodeChainStatus],
      [encodeStatusQuestion({ waitMs: 1, height, certified: height }), decodeStatusQuestion],
      [encodeRangeLimits({ count: 1, bytes: 1 }), decodeRangeLimits],
      [encodeVerdicts(['taken', 'never']), decodeVerdicts],
    ]
    for (const [encoded, decode] of encodings) {
      assertStrict(encoded, decode)
      assert.throws(() => decode(Uint8Array.of(2, ...encoded.subarray(1))), DecodeError)
    }
    const { meta, body } = encodeRecords([{ header: zeros, body: zeros, certificate: zeros }])
    assertStrict(body, (cut) => decodeRecords(meta, cut, 1))
    assert.throws(() => decodeRecords(meta, body, 0), DecodeError)
  })

  it('are refused when they contradict themselves', () => {
    const zeros = new Uint8Array(32)
    const one = { isCertified: true, isOrdering: false, height: 5n, headHash: zeros, genesisHash: zeros }
    assert.throws(() => decodeChainStatus(encodeChainStatus({ ...one, certified: 6n, lowest: 0n })), DecodeError)
    assert.throws(() => decodeChainStatus(encodeChainStatus({ ...one, certified: 5n, lowest: 6n })), DecodeError)
    assert.throws(() => decodeRangeLimits(encodeRangeLimits({ count: 0, bytes: 1 })), DecodeError)
    assert.throws(() => decodeVerdicts(Uint8Array.of(...encodeVerdicts(['taken']).subarray(0, 8), 9)), DecodeError)
  })

  it('never hold more transactions than allowed, empty ones, or ones that are too long', () => {
    const many = Array.from({ length: TRANSACTIONS_PER_MESSAGE_MAX + 1 }, () => Uint8Array.of(1))
    assert.throws(() => decodeTransactions(encodeTransactions(many)), DecodeError)
    assert.throws(() => decodeTransactions(encodeTransactions([new Uint8Array(0)])), DecodeError)
    assert.throws(() => decodeTransactions(encodeTransactions([new Uint8Array(200_000)])), DecodeError)
  })

  it('end in a DecodeError and nothing else if they are noise', () => {
    fc.assert(
      fc.property(bytes(200), bytes(200), (meta, body) => {
        for (const decode of [decodeChainStatus, decodeStatusQuestion, decodeRangeLimits, decodeVerdicts]) {
          try {
            decode(meta)
          } catch (error) {
            assert.ok(error instanceof DecodeError)
          }
        }
        try {
          decodeRecords(Uint8Array.of(1, 0, 0, 0, 2, 0, 0, 0), body, 10)
          decodeCount(meta, 10)
        } catch (error) {
          assert.ok(error instanceof DecodeError)
        }
      }),
    )
  })
})
