import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  type Committee,
  coinThresholdOf,
  committeeDigest,
  committeeOfMembers,
  committeeToJson,
  createCommittee,
  decodeCommittee,
  encodeCommittee,
  type Member,
  quorumOf,
} from '../src/index.ts'
import { committeeOfSize } from './fixture.ts'

const committee = committeeOfSize(4)
const withMember = (change: Partial<Member>) => ({
  ...committee,
  members: committee.members.with(3, { ...committee.members[3]!, ...change }),
})

describe('a committee', () => {
  it('decides by n - f: any two quorums share an honest member', () => {
    const sizes = Array.from({ length: 31 }, (_, index) => index + 1)
    assert.deepEqual([1, 2, 3, 4, 7, 10, 11, 31].map(quorumOf), [1, 2, 3, 3, 5, 7, 8, 21])
    assert.deepEqual([1, 3, 4, 7, 11].map(coinThresholdOf), [1, 1, 3, 5, 7])
    for (const n of sizes) assert(coinThresholdOf(n) <= quorumOf(n))
    for (const n of sizes) assert(2 * quorumOf(n) - n > Math.floor((n - 1) / 3))
  })

  it('has 1 to 31 members, each once in every respect', () => {
    const bad: Pick<Committee, 'chainId' | 'era' | 'members'>[] = [
      { ...committee, members: [] },
      { ...committee, members: Array.from({ length: 32 }, () => committee.members[0]!) },
      { ...committee, chainId: 0 },
      { ...committee, era: -1 },
      { ...committee, era: 2 ** 32 },
      withMember({ account: committee.members[0]!.account }),
      withMember({ account: `0x${'AB'.repeat(20)}` }),
      withMember({ peerKey: committee.members[1]!.peerKey }),
      withMember({ peerKey: new Uint8Array(31) }),
      withMember({ blsKey: committee.members[2]!.blsKey }),
      withMember({ blsKey: new Uint8Array(49) }),
      withMember({ address: 'x'.repeat(257) }),
    ]
    for (const init of bad) assert.throws(() => createCommittee(init), { code: 'BAD_COMMITTEE' })
  })

  it('comes back from its bytes, and has another digest with any other member', () => {
    for (const size of [1, 4, 31]) {
      const any = committeeOfSize(size, { era: size })
      assert.deepEqual(decodeCommittee(encodeCommittee(any)), any)
    }
    const digests = [
      committee,
      committeeOfSize(5),
      committeeOfSize(4, { era: 1 }),
      committeeOfSize(4, { chainId: 1 }),
      createCommittee(withMember({ address: '/ip4/127.0.0.1/tcp/1' })),
      createCommittee({ ...committee, members: committee.members.toReversed() }),
    ].map((each) => committeeDigest(each).toHex())
    assert.equal(new Set(digests).size, digests.length)
  })

  it('is refused in any other layout', () => {
    const bytes = encodeCommittee(committee)
    const malformed = [bytes.with(0, 2), bytes.subarray(0, -1), new Uint8Array([...bytes, 0]), bytes.with(13, 5)]
    for (const bad of malformed) assert.throws(() => decodeCommittee(bad), { code: 'MALFORMED' })
    assert.throws(() => decodeCommittee(bytes.with(13, 0).subarray(0, 14)), { code: 'BAD_COMMITTEE' })
  })

  it('comes from the members that RPC and genesis files show, whatever quorum they claim', () => {
    const json = JSON.parse(JSON.stringify(committeeToJson(committee)))
    assert.deepEqual(committeeOfMembers(31_337, 0, json.members), committee)
    const members = json.members.map((member: object) => ({ ...member, blsProof: '0x00' }))
    assert.deepEqual(committeeOfMembers(31_337, 0, members), committee)
    const wrong: [string, unknown][] = [
      ['peerKey', '0x12'],
      ['blsKey', json.members[0].peerKey],
      ['account', 7],
      ['address', undefined],
    ]
    assert.throws(() => committeeOfMembers(1, 0, {}), { code: 'MALFORMED' })
    assert.throws(() => committeeOfMembers(1, 0, [null]), { code: 'MALFORMED' })
    for (const [field, value] of wrong) {
      assert.throws(() => committeeOfMembers(1, 0, [{ ...json.members[0], [field]: value }]), { code: 'MALFORMED' })
    }
    assert.throws(() => committeeOfMembers(1, 0, [json.members[0], json.members[0]]), { code: 'BAD_COMMITTEE' })
  })
})
