import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { bytesToHex } from '@cumulus/bytes'
import { PeerIdentity } from '@cumulus/network'
import { createMetrics } from '@cumulus/service'
import { createPublicClient, http, toHex } from 'viem'
import { signed, testAccount } from '../../execution/test/transactions.ts'
import { TestCommittee } from '../../validator/test/test-committee.ts'
import { TestValidator } from '../../validator/test/test-validator.ts'
import { FullNodeError, startFullNode } from '../src/index.ts'
import { quiet, until } from './test-chain.ts'
import { OrderingNode, TestNode, testGenesis } from './test-network.ts'

const TRANSACTIONS = 100

describe('a full node', () => {
  let origin: OrderingNode
  let nonce = 0
  const send = async (url: string) => {
    const transaction = await signed(testAccount(0), { nonce: nonce++ })
    const client = createPublicClient({ transport: http(url) })
    await client.request({ method: 'eth_sendRawTransaction', params: [toHex(transaction.raw)] })
    return transaction
  }
  before(async () => {
    origin = await OrderingNode.start()
    const node = await TestNode.start({ trustedPeers: [origin.address] })
    for (let i = 0; i < TRANSACTIONS; i++) await send(node.url)
    await until(() => origin.ledger.getNonce(testAccount(0).address) === BigInt(TRANSACTIONS), 'all are executed')
    await node.remove()
  })
  after(() => origin.stop())

  it('forwards transactions, catches up from nothing, follows the tip and says how far it is', async () => {
    assert.ok(origin.ledger.head.number > 10n)
    const node = await TestNode.start({ trustedPeers: [origin.address] })
    await until(async () => (await node.height()) === origin.ledger.head.number, 'it has caught up')
    const sent = await send(node.url)
    const client = createPublicClient({ transport: http(node.url) })
    await until(async () => (await node.height()) === origin.ledger.head.number, 'it follows')
    const receipt = await client.waitForTransactionReceipt({ hash: bytesToHex(sent.hash), pollingInterval: 10 })
    assert.equal(receipt.status, 'success')
    assert.equal(receipt.blockHash, bytesToHex(origin.ledger.head.hash))
    assert.equal(await client.request({ method: 'eth_syncing' } as never), false)
    assert.equal(await client.request({ method: 'net_peerCount' }), '0x1')
    const status = (await node.status()) as { sync: { follows: string; behind: string; etaSeconds: number } }
    assert.match(status.sync.follows, /trusted peers, without certificates/)
    assert.equal(status.sync.behind, '0')
    assert.equal(status.sync.etaSeconds, 0)
    const { checks } = await node.role.health()
    assert.ok(checks.find(({ name }) => name === 'peers')?.ok)
    const metrics = await node.metrics.metrics()
    for (const name of [
      'cumulus_node_peers',
      'cumulus_node_behind_blocks',
      'cumulus_node_forwarded_transactions_total',
    ])
      assert.match(metrics, new RegExp(`^${name}`, 'm'))
    await node.remove()
  })

  it('serves the chain, and takes transactions, for another full node behind it', async () => {
    const near = await TestNode.start({ trustedPeers: [origin.address] })
    const framesPort = near.role.ports['frames']!
    const { peerId } = (await near.status()) as { peerId: string }
    const far = await TestNode.start({ trustedPeers: [`/ip4/127.0.0.1/tcp/${framesPort}/p2p/${peerId}`] })
    await until(async () => (await far.height()) === origin.ledger.head.number, 'the far one has caught up')
    const sent = await send(far.url)
    const client = createPublicClient({ transport: http(far.url) })
    await client.waitForTransactionReceipt({ hash: bytesToHex(sent.hash), pollingInterval: 10 })
    await far.remove()
    await near.remove()
  })

  it('refuses in its own pool what no validator would take', async () => {
    const node = await TestNode.start({ trustedPeers: [origin.address] })
    const client = createPublicClient({ transport: http(node.url) })
    const foreign = await signed(testAccount(1), { chainId: 5 })
    await assert.rejects(
      client.request({ method: 'eth_sendRawTransaction', params: [toHex(foreign.raw)] }),
      /invalid chain id/,
    )
    await node.remove()
  })

  it('says what is missing when there is nobody to follow', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'cumulus-node-'))
    const context = { signal: new AbortController().signal, log: quiet, metrics: createMetrics({ process: false }) }
    const config = { dir, genesis: testGenesis(), rpc: { host: '127.0.0.1', port: 0 } }
    const coded = (code: string) => (error: unknown) => error instanceof FullNodeError && error.code === code
    await assert.rejects(startFullNode(config, context), coded('NOBODY_TO_FOLLOW'))
    await assert.rejects(startFullNode({ ...config, peers: [origin.address] }, context), coded('NOBODY_TO_FOLLOW'))
    await assert.rejects(
      startFullNode({ ...config, trustedPeers: ['/ip4/127.0.0.1/tcp/1'] }, context),
      coded('BAD_CONFIG'),
    )
    await rm(dir, { recursive: true })
  })

  it('leaves a file with both headers when its own execution contradicts the chain', async () => {
    const node = await TestNode.start({ trustedPeers: [origin.address] })
    await until(async () => (await node.height()) === origin.ledger.head.number, 'it has caught up')
    await node.stop()
    // Its disk forgets a balance: the next block gives another state root.
    const { LmdbLedgerStore } = await import('@cumulus/execution')
    const store = new LmdbLedgerStore(node.dir)
    const address = Uint8Array.fromHex(testAccount(0).address.slice(2))
    const account = store.get('account', address)!.slice()
    const other = store.get('account', Uint8Array.fromHex(testAccount(5).address.slice(2)))!.slice()
    assert.notDeepEqual(account, other)
    store.write([{ table: 'account', key: Uint8Array.fromHex('aa'.repeat(20)), value: other }])
    await store.close()
    await node.start()
    const stopped = node.role.stopped
    const helper = await TestNode.start({ trustedPeers: [origin.address] })
    await until(async () => (await helper.height()) === origin.ledger.head.number, 'the helper has caught up')
    await send(helper.url)
    await assert.rejects(stopped, /cannot be executed: block \d+ differs from the agreed one in stateRoot/)
    const [name] = (await readdir(node.dir)).filter((file) => file.startsWith('halt-'))
    const { errors } = JSON.parse(await readFile(join(node.dir, name!), 'utf8'))
    const { details } = errors.find((error: { details?: object }) => error.details)
    assert.deepEqual(details.fields, ['stateRoot', 'hash'])
    assert.notEqual(details.expected.stateRoot, details.computed.stateRoot)
    await helper.remove()
    await rm(node.dir, { recursive: true })
  })

  it('that is killed at any moment goes on from its last whole block', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'cumulus-node-kill-'))
    let child: ChildProcess | undefined
    let height = 0n
    try {
      for (let round = 0; height < origin.ledger.head.number; round++) {
        const script = new URL('./kill-child.ts', import.meta.url).pathname
        child = spawn(process.execPath, ['--conditions=@cumulus/source', script, dir, origin.address], {
          stdio: ['ignore', 'pipe', 'inherit'],
        })
        const exited = once(child, 'exit')
        const [line] = await once(child.stdout!, 'data')
        const url = `http://127.0.0.1:${String(line).trim()}`
        const client = createPublicClient({ transport: http(url, { retryCount: 0 }), cacheTime: 0 })
        const before = await client.getBlockNumber()
        assert.ok(before >= height, 'blocks are never lost')
        for (let number = before; number > 0n; number--) {
          const block = await client.getBlock({ blockNumber: number })
          assert.equal(block.hash, bytesToHex(origin.ledger.header(number)!.hash))
          if (number < before - 3n) break
        }
        const far = round < 2 ? origin.ledger.head.number / 3n : origin.ledger.head.number
        await until(async () => {
          height = await client.getBlockNumber()
          return height >= before + far || height === origin.ledger.head.number
        }, 'it moves')
        child.kill('SIGKILL')
        await exited
      }
    } finally {
      child?.kill('SIGKILL')
      await rm(dir, { recursive: true })
    }
  })
})

describe('full nodes of one network', () => {
  it('find each other by gossip: a transaction reaches the node that orders through one that nobody named', async () => {
    const origin = await OrderingNode.start()
    const gossip = (bootstrap: string[]) => ({ host: '127.0.0.1', port: 0, bootstrap })
    const near = await TestNode.start({ trustedPeers: [origin.address], gossip: gossip([]) })
    const { peerId } = (await near.status()) as { peerId: string }
    const bootstrap = [`/ip4/127.0.0.1/tcp/${near.role.ports['libp2p']}/p2p/${peerId}`]
    // It trusts a node that is not there, and the near one if it hears of it; it is told no address of either.
    const far = await TestNode.start({
      trustedPeers: [origin.address.replace(/tcp\/\d+/, 'tcp/1')],
      gossip: gossip(bootstrap),
    })
    const client = createPublicClient({ transport: http(far.url) })
    const transaction = await signed(testAccount(4))
    await until(async () => {
      const { gossip: state } = (await far.status()) as { gossip: { connected: number } }
      return state.connected > 0
    }, 'they are connected')
    await client.request({ method: 'eth_sendRawTransaction', params: [toHex(transaction.raw)] })
    await until(() => origin.ledger.getNonce(testAccount(4).address) === 1n, 'it reached the node that orders')
    await far.remove()
    await near.remove()
    await origin.stop()
  })
})

describe('a full node of a network with a committee', () => {
  it('follows certificates without being told of any peer, shows them, and reaches the members', async () => {
    const committee = await TestCommittee.start(4, { gossip: { host: '127.0.0.1', port: 0 } })
    const member = committee.members[0]!
    const send = async (client: { request(call: never): Promise<unknown> }, nonce: number) => {
      const transaction = await signed(testAccount(0), { nonce })
      await client.request({ method: 'eth_sendRawTransaction', params: [toHex(transaction.raw)] } as never)
      return bytesToHex(transaction.hash)
    }
    for (let nonce = 0; nonce < 20; nonce++) {
      const hash = await send(member.client, nonce)
      if (nonce % 5 === 0) await member.client.waitForTransactionReceipt({ hash })
    }
    const { gossip: theirGossip } = (await member.role.status()) as { gossip: { addresses: string[] } }
    const node = await TestNode.start({
      genesis: member.genesis,
      gossip: { host: '127.0.0.1', port: 0, bootstrap: theirGossip.addresses },
    })
    const client = createPublicClient({ transport: http(node.url), cacheTime: 0 })
    await until(
      async () => (await client.getTransactionCount({ address: testAccount(0).address })) === 20,
      'it follows',
    )
    const hash = await send(client, 20)
    const receipt = await client.waitForTransactionReceipt({ hash, pollingInterval: 10 })
    const theirs = await member.client.getBlock({ blockNumber: receipt.blockNumber })
    assert.equal(receipt.blockHash, theirs.hash)
    // It executes what is certified and nothing else.
    const [latest, finalized] = [await client.getBlock(), await client.getBlock({ blockTag: 'finalized' })]
    assert.ok(latest.number - finalized.number <= 1n)
    const status = (await node.status()) as { sync: { follows: string }; peers: object[] }
    assert.match(status.sync.follows, /certificates/)
    assert.equal(status.peers.length, 4)
    // Heard of by gossip, too, and vouched for by the committee.
    await until(async () => {
      const { gossip } = (await node.status()) as { gossip: { vouchedHeight: string } }
      return BigInt(gossip.vouchedHeight) > 0n
    }, 'an announcement is heard')
    await assert.rejects(
      startFullNode(
        {
          dir: `${node.dir}-other`,
          genesis: member.genesis,
          rpc: { host: '127.0.0.1', port: 0 },
          trustedPeers: [`/ip4/127.0.0.1/tcp/1/p2p/${PeerIdentity.create().peerId}`],
        },
        { signal: new AbortController().signal, log: quiet, metrics: createMetrics({ process: false }) },
      ),
      /trust nobody/,
    )
    await node.remove()
    await committee.remove()
  })
})

describe('a validator that orders alone', () => {
  it('serves full nodes that trust it, if it has a port for them', async () => {
    const validator = await TestValidator.start({
      peer: { host: '127.0.0.1', port: 0 },
      gossip: { host: '127.0.0.1', port: 0 },
    })
    const { peerId } = (await validator.role.status()) as { peerId: string }
    const trusted = `/ip4/127.0.0.1/tcp/${validator.role.ports['peer']}/p2p/${peerId}`
    const node = await TestNode.start({ trustedPeers: [trusted] })
    const client = createPublicClient({ transport: http(node.url), cacheTime: 0 })
    const { raw, hash } = await signed(testAccount(0))
    await client.request({ method: 'eth_sendRawTransaction', params: [toHex(raw)] })
    const receipt = await client.waitForTransactionReceipt({ hash: bytesToHex(hash), pollingInterval: 10 })
    assert.equal(receipt.status, 'success')
    await node.remove()
    await validator.remove()
  })
})
