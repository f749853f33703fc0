import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { bytesToHex as toHex } from '@cumulus/bytes'
import type { Hash } from 'viem'
import { signed, testAccount } from '../../execution/test/transactions.ts'
import { eventually, TestCommittee, type TestMember } from './test-committee.ts'

/** Sends so many transfers of one account through one member; resolves when it has the receipts. */
async function transfer(member: TestMember, account: number, count: number): Promise<Hash[]> {
  const { client } = member
  const { address } = testAccount(account)
  const nonce = await client.getTransactionCount({ address, blockTag: 'pending' })
  const hashes: Hash[] = []
  for (let i = 0; i < count; i++) {
    const { raw, hash } = await signed(testAccount(account), { nonce: nonce + i })
    await client.request({ method: 'eth_sendRawTransaction', params: [toHex(raw)] })
    hashes.push(toHex(hash))
  }
  await eventually('receipts', async () => {
    const receipts = await Promise.all(
      hashes.map((hash) => client.request({ method: 'eth_getTransactionReceipt', params: [hash] })),
    )
    return receipts.every((receipt) => receipt !== null)
  })
  return hashes
}

/** All members have a block of that height, and it is the same one. */
async function assertSameChain(members: readonly TestMember[], height: bigint): Promise<void> {
  await eventually(`block ${height} everywhere`, async () => {
    const heights = await Promise.all(members.map(({ client }) => client.getBlockNumber({ cacheTime: 0 })))
    return heights.every((own) => own >= height)
  })
  const blocks = await Promise.all(members.map(({ client }) => client.getBlock({ blockNumber: height })))
  for (const { hash, stateRoot } of blocks) {
    assert.equal(stateRoot, blocks[0]!.stateRoot)
    assert.equal(hash, blocks[0]!.hash)
  }
}

async function headOf(member: TestMember): Promise<bigint> {
  return member.client.getBlockNumber({ cacheTime: 0 })
}

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
    committee = await TestCommittee.start(4, { pace: { minRoundMs: 5, idleRoundMs: 10 } })
  })
  after(() => committee.remove())

  const roundsLater = async (member: TestMember, count: number) => {
    const { decidedRound } = (await member.status()).orderer
    await eventually('rounds', async () => (await member.status()).orderer.decidedRound > decidedRound + count)
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
    await assertSameChain(members, await headOf(gone!))
    const statuses = await Promise.all(members.map((member) => member.status()))
    for (const { orderer } of statuses) assert.deepEqual(orderer.evidence, [])
  })
})
