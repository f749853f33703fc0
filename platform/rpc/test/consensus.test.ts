import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type Certificate, certificateFromJson, committeeOfMembers, createCommittee } from '@cumulus/certificate'
import type { ConsensusView } from '../src/consensus-view.ts'
import { Harness } from './harness.ts'

const committee = createCommittee({
  chainId: 27_103,
  era: 2,
  members: [1, 2, 3, 4].map((byte) => ({
    account: `0x${byte.toString(16).padStart(40, '0')}` as const,
    peerKey: new Uint8Array(32).fill(byte),
    blsKey: new Uint8Array(48).fill(byte),
    address: `/ip4/127.0.0.1/tcp/${byte}`,
  })),
})

const certificateAt = (height: bigint): Certificate => ({
  era: 2,
  height,
  headerHash: new Uint8Array(32).fill(Number(height)),
  signers: 0b1011,
  signature: new Uint8Array(96).fill(5),
})

/** Blocks 2 and 4 of five have certificates. */
const consensus: ConsensusView = {
  era: 2,
  committee: (era) =>
    era === 2 ? { committee, coin: { mode: 'dealt', publicKey: new Uint8Array(48).fill(9) } } : undefined,
  certificateFor: (number) => (number <= 2n ? certificateAt(2n) : number <= 4n ? certificateAt(4n) : undefined),
  status: () => ({ round: 7 }),
}

describe('RPC of a chain with a committee', () => {
  let rpc: Harness
  before(async () => {
    rpc = await Harness.start()
    while (rpc.chain.blocks.length < 6) rpc.chain.append([])
    Object.assign(rpc.chain, { consensus, finalizedNumber: () => 4n })
  })
  after(() => rpc.close())

  it('gives the certificate that vouches for a block: its own or the next', async () => {
    for (const [reference, height] of [
      ['0x2', 2n],
      ['0x3', 4n],
      ['finalized', 4n],
      ['safe', 4n],
      ['earliest', 2n],
      [rpc.chain.blocks[1]!.block.hash, 2n],
      [{ blockHash: rpc.chain.blocks[4]!.block.hash }, 4n],
    ] as const) {
      const json = await rpc.result('cumulus_getCertificate', [reference])
      assert.deepEqual(certificateFromJson(json), certificateAt(height))
    }
    for (const reference of ['latest', '0x5', '0x6', `0x${'12'.repeat(32)}`]) {
      assert.equal(await rpc.result('cumulus_getCertificate', [reference]), null)
    }
  })

  it('shows the committee of an era, and how its coin came about', async () => {
    for (const params of [[], [null], ['0x2']]) {
      const json = (await rpc.result('cumulus_getCommittee', params)) as Record<string, unknown>
      assert.deepEqual(committeeOfMembers(27_103, 2, json['members']), committee)
      assert.deepEqual([json['era'], json['quorum'], json['chainId']], ['0x2', '0x3', '0x69df'])
      assert.deepEqual(json['coin'], { mode: 'dealt', publicKey: `0x${'09'.repeat(48)}` })
    }
    assert.equal(await rpc.result('cumulus_getCommittee', ['0x1']), null)
    assert.deepEqual(await rpc.result('cumulus_consensusStatus'), { round: 7 })
  })

  it('takes safe and finalized for what is certified, and latest for what is executed', async () => {
    const numberAt = async (tag: string) =>
      (await rpc.result('eth_getBlockByNumber', [tag, false])) as { number: string }
    assert.equal((await numberAt('finalized')).number, '0x4')
    assert.equal((await numberAt('safe')).number, '0x4')
    assert.equal((await numberAt('latest')).number, '0x5')
  })

  it('refuses what is no block and no era', async () => {
    for (const params of [[], ['newest'], [-1], [{}]]) {
      assert.equal((await rpc.ask('cumulus_getCertificate', params)).error?.code, -32_602)
    }
    for (const params of [['era'], ['0x100000000'], [{}]]) {
      assert.equal((await rpc.ask('cumulus_getCommittee', params)).error?.code, -32_602)
    }
  })
})

describe('RPC of a chain with one validator', () => {
  it('says null where a committee would answer', async () => {
    const rpc = await Harness.start()
    try {
      assert.equal(await rpc.result('cumulus_getCertificate', ['latest']), null)
      assert.equal(await rpc.result('cumulus_getCommittee'), null)
      assert.equal(await rpc.result('cumulus_consensusStatus'), null)
    } finally {
      await rpc.close()
    }
  })
})
