import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { utf8Encode } from '@cumulus/bytes'
import { type Committee, createCommittee, voteMessage } from '@cumulus/certificate'
import { aggregateSignatures, BlsKey, fastAggregateVerify } from '@cumulus/threshold'
import { type Header, nobleBls, valueInTrie, verifyHeader } from '../src/index.ts'

const keyOf = (member: number) => BlsKey.fromSeed(new Uint8Array(32).fill(member + 1))
const committeeOf = (members: readonly number[]): Committee =>
  createCommittee({
    chainId: 7,
    era: 0,
    members: members.map((member) => ({
      account: `0x${(member + 1).toString(16).padStart(40, '0')}`,
      peerKey: new Uint8Array(32).fill(member + 1),
      blsKey: keyOf(member).publicKey,
      address: '/ip4/127.0.0.1/tcp/1',
    })),
  })
const committee = committeeOf([0, 1, 2, 3])
const headerHash = new Uint8Array(32).fill(5)
const header = { number: 9n, hash: headerHash } as Header
const message = voteMessage({ chainId: 7, era: 0, height: 9n, headerHash })

function certificateBy(signers: readonly number[], mask = signers.reduce((bits, member) => bits | (1 << member), 0)) {
  const signature = aggregateSignatures(signers.map((member) => keyOf(member).sign(message)))
  return { era: 0, height: 9n, headerHash, signers: mask, signature }
}

describe('a header', () => {
  it('is verified by its certificate alone', () => {
    verifyHeader(header, certificateBy([0, 1, 3]), committee)
    verifyHeader(header, certificateBy([0, 1, 2, 3]), committee)
  })

  it('needs a quorum of distinct members of the right committee, for itself', () => {
    const refused = (code: string, ...args: Parameters<typeof verifyHeader>) =>
      assert.throws(() => verifyHeader(...args), { code })
    refused('BELOW_QUORUM', header, certificateBy([0, 1]), committee)
    refused('BAD_SIGNATURE', header, certificateBy([0, 0, 1], 0b0111), committee)
    refused('BELOW_QUORUM', header, certificateBy([0, 0, 1]), committee)
    refused('BAD_SIGNATURE', header, certificateBy([0, 1], 0b1011), committee)
    refused('UNKNOWN_SIGNER', header, certificateBy([0, 1, 3], 0b11011), committee)
    refused('BAD_SIGNATURE', header, certificateBy([0, 1, 2]), committeeOf([0, 1, 4, 3]))
    refused('BAD_SIGNATURE', header, certificateBy([0, 1, 2]), committeeOf([4, 5, 6, 7]))
    refused('WRONG_HEADER', { ...header, number: 8n }, certificateBy([0, 1, 2]), committee)
    refused('WRONG_HEADER', { ...header, hash: new Uint8Array(32) }, certificateBy([0, 1, 2]), committee)
  })
})

describe('BLS in JavaScript', () => {
  it('agrees with the native one, also about what is malformed', () => {
    const keys = [0, 1, 2].map((member) => keyOf(member).publicKey)
    const good = aggregateSignatures([0, 1, 2].map((member) => keyOf(member).sign(message)))
    const infinite = (length: number) => Uint8Array.of(0xc0, ...new Uint8Array(length - 1))
    const negative = good.with(0, good[0]! ^ 0x20)
    const cases: [boolean, Uint8Array, Uint8Array, Uint8Array[]][] = [
      [true, good, message, keys],
      [false, good, utf8Encode('other'), keys],
      [false, good, message, keys.slice(1)],
      [false, good, message, []],
      [false, negative, message, keys],
      [false, infinite(96), message, [infinite(48)]],
      [false, infinite(96), message, keys],
      [false, good, message, [...keys, infinite(48)]],
      [false, new Uint8Array(96), message, keys],
      [false, good.subarray(1), message, keys],
      [false, good.with(95, good[95]! ^ 1), message, keys],
      [false, good, message, keys.with(0, new Uint8Array(48))],
    ]
    for (const [expected, ...values] of cases) {
      assert.equal(nobleBls.fastAggregateVerify(...values), expected)
      assert.equal(fastAggregateVerify(...values), expected)
    }
  })
})

describe('a proof in a trie', () => {
  it('of any bytes ends in an answer or an error of ours', () => {
    const root = new Uint8Array(32)
    for (const node of ['', '80', 'c0', 'c180', 'f8', 'ff'.repeat(40), 'c1'.repeat(40)]) {
      assert.throws(() => valueInTrie(root, new Uint8Array(32), [Uint8Array.fromHex(node)]), { code: 'BAD_PROOF' })
    }
    assert.throws(() => valueInTrie(root, new Uint8Array(32), []), { code: 'BAD_PROOF' })
  })
})
