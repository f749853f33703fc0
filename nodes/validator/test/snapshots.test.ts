import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type FullNodeConfig, startFullNode } from '@cumulus/full-node'
import { formatAddress, PeerIdentity } from '@cumulus/network'
import { createLogger, createMetrics, type RunningRole } from '@cumulus/service'
import { createPublicClient, http, type PublicClient } from 'viem'
import { testAccount } from '../../execution/test/transactions.ts'
import { headOf, transfer } from './chain-tools.ts'
import { eventually, TestCommittee } from './test-committee.ts'
import { TestValidator, testGenesis } from './test-validator.ts'

/** A snapshot in each epoch of 4 s. */
const often = { limits: { intervalMsMin: 0, spacing: 0 } }

interface Status {
  readonly height: string
  readonly snapshots?: { readonly kept: readonly string[]; readonly base?: string }
}

const statusOf = async (role: RunningRole) => (await role.status()) as Status

const isKept = (role: RunningRole, base: bigint) => async () =>
  (await statusOf(role)).snapshots!.kept.some((height) => BigInt(height) > base)

/** A node with nothing but the genesis; it takes a snapshot if there is one. */
class FreshNode {
  readonly role: RunningRole
  readonly #dir: string
  readonly #stop: AbortController

  private constructor(role: RunningRole, dir: string, stop: AbortController) {
    this.role = role
    this.#dir = dir
    this.#stop = stop
  }

  static async start(config: Pick<FullNodeConfig, 'genesis' | 'trustedPeers'>): Promise<FreshNode> {
    const dir = await mkdtemp(join(tmpdir(), 'cumulus-fresh-'))
    const stop = new AbortController()
    const role = await startFullNode(
      { ...config, dir, rpc: { host: '127.0.0.1', port: 0 }, snapshots: { sync: true } },
      { signal: stop.signal, log: createLogger({ name: 'fresh', level: 'error' }), metrics: createMetrics() },
    )
    return new FreshNode(role, dir, stop)
  }

  get client(): PublicClient {
    return createPublicClient({ transport: http(`http://127.0.0.1:${this.role.ports['rpc']}`), cacheTime: 0 })
  }

  async remove(): Promise<void> {
    this.#stop.abort()
    await this.role.stopped
    await rm(this.#dir, { recursive: true })
  }
}

describe('a committee that keeps snapshots', () => {
  let committee: TestCommittee
  before(async () => {
    committee = await TestCommittee.start(4, { snapshots: often })
  })
  after(() => committee.remove())

  it('brings a full node that knows the genesis only to the certified tip, without the blocks before', async () => {
    const { members } = committee
    await transfer(members[0]!, 0, 5)
    await eventually('a snapshot at each member', async () => {
      await transfer(members[1]!, 1, 1)
      return (await Promise.all(members.map(({ role }) => isKept(role, 0n)()))).every(Boolean)
    })
    const node = await FreshNode.start({ genesis: members[0]!.genesis })
    try {
      const base = BigInt((await statusOf(node.role)).snapshots!.base!)
      assert.ok(base > 0n)
      await transfer(members[2]!, 2, 5)
      const height = await headOf(members[2]!)
      await eventually('the tip, certified', async () => {
        return (await node.client.getBlock({ blockTag: 'finalized' })).number >= height
      })
      const [own, theirs] = await Promise.all(
        [node.client, members[2]!.client].map((client) => client.getBlock({ blockNumber: height })),
      )
      assert.equal(own!.hash, theirs!.hash)
      assert.equal(own!.stateRoot, theirs!.stateRoot)
      const { address } = testAccount(0)
      assert.equal(await node.client.getTransactionCount({ address }), 5)
      await assert.rejects(node.client.getBlock({ blockNumber: 1n }), /not kept here/)
    } finally {
      await node.remove()
    }
  })
})

describe('a validator that orders alone', () => {
  it('keeps snapshots where full nodes reach it, and brings one that trusts it to the tip', async () => {
    const validator = await TestValidator.start({
      peer: { host: '127.0.0.1', port: 0 },
      snapshots: often,
      heartbeatSlots: 1,
    })
    let node: FreshNode | undefined
    try {
      await eventually('a snapshot', isKept(validator.role, 0n))
      const { publicKey } = await PeerIdentity.loadOrCreate(validator.dir)
      const peer = formatAddress({ host: '127.0.0.1', port: validator.role.ports['peer']!, peerKey: publicKey })
      node = await FreshNode.start({ genesis: testGenesis(), trustedPeers: [peer] })
      const { role } = node
      assert.ok(BigInt((await statusOf(role)).snapshots!.base!) > 0n)
      await eventually('the tip', async () => {
        return BigInt((await statusOf(role)).height) >= BigInt((await statusOf(validator.role)).height)
      })
    } finally {
      await node?.remove()
      await validator.remove()
    }
  })

  it('keeps none where nobody could ask for them, or where it is told so', async () => {
    const configs = [{}, { peer: { host: '127.0.0.1', port: 0 }, snapshots: { make: false } }]
    for (const config of configs) {
      const validator = await TestValidator.start(config)
      assert.equal((await statusOf(validator.role)).snapshots, undefined)
      await validator.remove()
    }
  })
})
