import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { assertSameChain, headOf, transfer } from './chain-tools.ts'
import { eventually, TestCommittee, type TestMember } from './test-committee.ts'

describe('a committee of four', () => {
  let committee: TestCommittee
  before(async () => {
    committee = await TestCommittee.start(4)
  })
  after(() => committee.remove())

  it('orders what its members are given, and all of them have the same chain', async () => {
    const { members } = committee
    const hashes = await Promise.all(members.map((member, index) => transfer(member, index, 10)))
    const height = await headOf(members[0]!)
    await assertSameChain(members, height)
    for (const hash of hashes.flat()) {
      const receipts = await Promise.all(members.map(({ client }) => client.getTransactionReceipt({ hash })))
      assert.equal(new Set(receipts.map(({ blockHash }) => blockHash)).size, 1)
    }
  })

  it('certifies what it executed, so that it is final', async () => {
    const { members } = committee
    const height = await headOf(members[0]!)
    for (const { client } of members) {
      await eventually('a certificate', async () => (await client.getBlock({ blockTag: 'finalized' })).number >= height)
    }
  })

  it('goes on without one of them, who comes back and has the same chain', async () => {
    const { members } = committee
    const [gone, ...rest] = members
    await gone!.stop()
    await transfer(rest[0]!, 4, 10)
    await gone!.start()
    await transfer(gone!, 5, 5)
    await assertSameChain(members, await headOf(gone!))
  })

  it('starts again from its logs alone after all of them stopped', async () => {
    const { members } = committee
    const height = await headOf(members[0]!)
    await Promise.all(members.map((member) => member.stop()))
    await Promise.all(members.map((member) => member.start()))
    await transfer(members[2]!, 6, 5)
    assert.ok((await headOf(members[2]!)) > height)
    await assertSameChain(members, await headOf(members[2]!))
  })
})

describe('a committee of four at full pace', () => {
  let committee: TestCommittee
  before(async () => {
    committee = await TestCommittee.start(4, { pace: { minRoundMs: 5, idleRoundMs: 10, logBytes: 2 ** 14 } })
  })
  after(() => committee.remove())

  const roundsLater = async (member: TestMember, count: number) => {
    const { decidedRound } = (await member.status()).orderer
    await eventually('rounds', async () => (await member.status()).orderer.decidedRound > decidedRound + count)
  }

  const signsAgain = async (seat: number, seenBy: TestMember) => {
    const { round } = (await seenBy.status()).orderer.members[seat]!
    await eventually('own blocks', async () => (await seenBy.status()).orderer.members[seat]!.round > round + 5)
  }

  it('takes back a member that was away for longer than others remember', async () => {
    const { members } = committee
    const [gone, ...rest] = members
    await transfer(gone!, 0, 3)
    await gone!.stop()
    await transfer(rest[0]!, 1, 5)
    await roundsLater(rest[0]!, 120)
    await gone!.start()
    await transfer(gone!, 2, 5)
    await assertSameChain(members, await headOf(gone!))
    const { round } = (await gone!.status()).orderer
    await eventually('own blocks again', async () => (await gone!.status()).orderer.round > round + 5)
  })

  it('takes back a member that lost its log, and whose chain was lost too', async () => {
    const { members } = committee
    const [, gone, other] = members
    await gone!.stop()
    await rm(join(gone!.dir, 'order'), { recursive: true })
    await gone!.start()
    assert.equal((await gone!.status()).orderer.isInquiring, true)
    await transfer(gone!, 3, 3)
    await gone!.stop()
    await rm(join(gone!.dir, 'chain.lmdb'), { recursive: true })
    await rm(join(gone!.dir, 'certificates.lmdb'), { recursive: true })
    await roundsLater(other!, 10)
    await gone!.start()
    await transfer(gone!, 4, 3)
    // Before the next one goes: four members bear the loss of one log at a time.
    await signsAgain(1, other!)
    await assertSameChain(members, await headOf(gone!))
    await assertNoEvidence(members)
  })

  it('takes back a member that kept nothing but its keys, and signs no round twice', async () => {
    const { members } = committee
    const [, , gone, other] = members
    await gone!.stop()
    await rm(gone!.dir, { recursive: true })
    await gone!.start()
    await transfer(gone!, 5, 3)
    await signsAgain(2, other!)
    await assertSameChain(members, await headOf(gone!))
    await assertNoEvidence(members)
  })
})

describe('a committee of which nobody remembers anything', () => {
  it('begins, once all are there', async () => {
    const committee = await TestCommittee.start(4, {}, { areNew: false })
    try {
      const { members } = committee
      await transfer(members[0]!, 0, 3)
      await assertSameChain(members, await headOf(members[0]!))
      await assertNoEvidence(members)
    } finally {
      await committee.remove()
    }
  })
})

/** Nobody signed a round or a height twice, and nobody met a block of its own that it does not know. */
async function assertNoEvidence(members: readonly TestMember[]): Promise<void> {
  for (const member of members) {
    const { orderer } = await member.status()
    assert.deepEqual([orderer.evidence, orderer.silencedAtRound], [[], undefined])
  }
}
