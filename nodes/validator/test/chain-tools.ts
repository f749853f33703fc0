import assert from 'node:assert/strict'
import { bytesToHex as toHex } from '@cumulus/bytes'
import type { Hash } from 'viem'
import { signed, testAccount } from '../../execution/test/transactions.ts'
import { eventually, type TestMember } from './test-committee.ts'

/** Sends so many transfers of one account through one member; resolves when it has the receipts. */
export async function transfer(member: TestMember, account: number, count: number): Promise<Hash[]> {
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
export async function assertSameChain(members: readonly TestMember[], height: bigint): Promise<void> {
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

export async function headOf(member: TestMember): Promise<bigint> {
  return member.client.getBlockNumber({ cacheTime: 0 })
}
