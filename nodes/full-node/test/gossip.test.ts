import assert from 'node:assert/strict'
import { afterEach, before, describe, it } from 'node:test'
import { concatBytes, DecodeError, equalBytes } from '@cumulus/bytes'
import { Mempool } from '@cumulus/execution'
import { sha256 } from '@cumulus/hash'
import { readRawBlock } from '@cumulus/ledger'
import { PeerIdentity } from '@cumulus/network'
import { minimal } from '@cumulus/params'
import type { Address } from '@cumulus/types'
import { type GossipSub, gossipsub, type Message, StrictNoSign } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { signed, testAccount } from '../../execution/test/transactions.ts'
import { ANNOUNCEMENT_BYTES_MAX, decodeAnnouncement, encodeAnnouncement } from '../src/announcement.ts'
import type { KnownPeer } from '../src/chain-peers.ts'
import { type Gossip, type GossipInit, gossipTopics, startGossip } from '../src/gossip.ts'
import { fakeCertificate, fakeVerifier, quiet, TestChain, until } from './test-chain.ts'

const CHAIN_ID = minimal.chainId

interface Member {
  readonly gossip: Gossip
  readonly mempool: Mempool
  readonly identity: PeerIdentity
  readonly found: KnownPeer[]
}

describe('the control network', () => {
  let chain: TestChain
  let members: Member[] = []
  let strangers: { stop(): unknown }[] = []
  before(async () => {
    chain = await TestChain.create()
    await chain.grow(3)
  })
  afterEach(async () => {
    for (const { gossip } of members) await gossip.close()
    for (const stranger of strangers) await stranger.stop()
    members = []
    strangers = []
  })

  const join = async (
    bootstrap: readonly Member[],
    init: Partial<GossipInit> = {},
    finality: object = { verifier: fakeVerifier, certificates: chain.certificates },
  ): Promise<Member> => {
    const { ledger, store } = chain
    const state = {
      nonce: (address: Address) => ledger.getNonce(address),
      balance: (address: Address) => ledger.getBalance(address),
      nextBaseFee: () => ledger.nextBaseFee,
    }
    const mempool = new Mempool({ chainId: CHAIN_ID, state })
    const identity = PeerIdentity.create()
    const found: KnownPeer[] = []
    const onPeer = (peer: KnownPeer) => void found.push(peer)
    const gossip = await startGossip(
      { identity, chainId: CHAIN_ID, chain: ledger, store, mempool, log: quiet, onPeer, ...finality },
      {
        host: '127.0.0.1',
        port: 0,
        bootstrap: bootstrap.map((member) => member.gossip.addresses[0]!),
        ...init,
        limits: { dialEveryMs: 200, announceMs: 20, presenceMs: 20, ...init.limits },
      },
      { signal: new AbortController().signal },
    )
    const member = { gossip, mempool, identity, found }
    members.push(member)
    return member
  }

  /** Somebody who speaks the protocol and keeps none of its rules. */
  const stranger = async (to: Member) => {
    const node = await createLibp2p({
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      services: {
        identify: identify({ protocolPrefix: 'cumulus' }),
        pubsub: gossipsub({
          globalSignaturePolicy: StrictNoSign,
          msgIdFn: ({ data }: Message) => sha256(data).subarray(0, 20),
          allowPublishToZeroTopicPeers: true,
        }),
      },
    })
    strangers.push(node)
    const pubsub = node.services.pubsub as GossipSub
    const { transactions, blocks } = gossipTopics(CHAIN_ID)
    pubsub.subscribe(transactions)
    pubsub.subscribe(blocks)
    await node.dial(multiaddr(to.gossip.addresses[0]!))
    await until(() => pubsub.getSubscribers(transactions).length > 0, 'they know each other')
    return { node, pubsub, topics: { transactions, blocks } }
  }

  it('brings a transaction from one node to all, and those that know only one find the others', async () => {
    const first = await join([])
    const second = await join([first])
    const third = await join([first])
    await until(
      () => members.every(({ gossip }) => gossip.connected.length === 2),
      'all are connected to all by way of the first',
    )
    assert.ok(second.gossip.connected.includes(third.identity.peerId))
    assert.equal(second.gossip.addresses[0]!.endsWith(`/p2p/${second.identity.peerId}`), true)
    const transaction = await signed(testAccount(7))
    // A mesh takes a heartbeat to form: sent again until then, as a sender would.
    second.mempool.add(transaction)
    await until(() => [first, third].every(({ mempool }) => mempool.get(transaction.hash)), 'everybody has it')
    assert.ok(equalBytes(third.mempool.get(transaction.hash)!.raw, transaction.raw))
  })

  it('tells where the chain is served, by announcements of certified blocks', async () => {
    const first = await join([])
    const second = await join([first], { isOrdering: true, framesAddresses: '/ip4/127.0.0.1/tcp/4321' })
    await until(() => first.gossip.connected.length === 1, 'they are connected')
    await until(() => {
      chain.certificates.put(3n, fakeCertificate(3n, chain.ledger.header(3n)!.hash))
      second.gossip.announce()
      return first.found.length > 0
    }, 'the address is known')
    const [peer] = first.found
    assert.ok(equalBytes(peer!.peerKey, second.identity.publicKey))
    assert.deepEqual(peer!.addresses, [{ host: '127.0.0.1', port: 4321 }])
    assert.equal((first.gossip.status() as { vouchedHeight: string }).vouchedHeight, '3')
  })

  it('takes announcements in a network without a committee from trusted nodes only', async () => {
    const trusted = new Set<string>()
    const first = await join([], {}, { trusted })
    const second = await join([first], { framesAddresses: '/ip4/127.0.0.1/tcp/1' }, {})
    const third = await join([first], { framesAddresses: '/ip4/127.0.0.1/tcp/2' }, {})
    trusted.add(third.identity.publicKey.toHex())
    await until(() => first.found.length > 0, 'one is known')
    assert.ok(equalBytes(first.found[0]!.peerKey, third.identity.publicKey))
    assert.ok(first.found.every(({ peerKey }) => !equalBytes(peerKey, second.identity.publicKey)))
  })

  it('listens no more to a neighbour that sends nonsense, and passes none of it on', async () => {
    const first = await join([])
    const second = await join([first])
    await until(() => second.gossip.connected.length === 1, 'they are connected')
    const { node, pubsub, topics } = await stranger(first)
    const forged = async (change: (bytes: Uint8Array) => void) => {
      const raw = readRawBlock(chain.store, 3n)!
      const { genesisHash } = chain.ledger
      const init = {
        genesisHash,
        sequence: 1n,
        header: raw.header,
        certificate: fakeCertificate(3n, new Uint8Array(32)),
        addresses: '',
      }
      const bytes = encodeAnnouncement(init, PeerIdentity.create())
      change(bytes)
      return bytes
    }
    const foreign = await signed(testAccount(1), { chainId: 5 })
    const nonsense: [string, Uint8Array][] = [
      [topics.transactions, Uint8Array.of(1, 2, 3)],
      [topics.transactions, foreign.raw],
      [topics.blocks, new Uint8Array(50)],
      [topics.blocks, await forged(() => {})],
      [topics.blocks, await forged((bytes) => bytes.fill(0, 41, 50))],
    ]
    for (const [topic, data] of nonsense) await pubsub.publish(topic, data)
    await until(() => first.gossip.scoreOf(String(node.peerId)) < -60, 'the score is below the line')
    // Now not even what is right is taken from it.
    const good = await signed(testAccount(5))
    await pubsub.publish(topics.transactions, good.raw)
    const other = await signed(testAccount(6))
    second.mempool.add(other)
    await until(() => first.mempool.get(other.hash) !== undefined, 'an honest neighbour is still heard')
    assert.equal(first.mempool.get(good.hash), undefined)
    assert.equal(second.mempool.count, 1)
  })

  it('does not read more of a neighbour than it may hand on, and hears the same from another all the same', async () => {
    const first = await join([], { limits: { messagesPerSecond: 1e-6, messageBurst: 3 } })
    const loud = await stranger(first)
    const sent = await Promise.all([4, 5, 6, 7, 8, 9].map((index) => signed(testAccount(index))))
    for (const { raw } of sent) await loud.pubsub.publish(loud.topics.transactions, raw)
    await until(() => first.mempool.count >= 3, 'what the burst allows is taken')
    const modest = await stranger(first)
    const last = sent.at(-1)!
    await modest.pubsub.publish(modest.topics.transactions, last.raw)
    await until(() => first.mempool.get(last.hash) !== undefined, 'the other neighbour is heard')
    assert.deepEqual(
      sent.map(({ hash }) => first.mempool.get(hash) !== undefined),
      [true, true, true, false, false, true],
    )
  })
})

describe('an announcement', () => {
  let bytes: Uint8Array
  const identity = PeerIdentity.create()
  let chain: TestChain
  before(async () => {
    chain = await TestChain.create()
    await chain.grow(1)
    const { header } = readRawBlock(chain.store, 1n)!
    const addresses = '/ip4/127.0.0.1/tcp/4010,/dns4/node.example/tcp/4010'
    const { genesisHash } = chain.ledger
    bytes = encodeAnnouncement(
      { genesisHash, sequence: 1n, header, certificate: Uint8Array.of(1, 2), addresses },
      identity,
    )
  })

  it('says the same on the other side', () => {
    const { header, certificate, addresses, peerKey, genesisHash } = decodeAnnouncement(bytes)
    assert.deepEqual(header.hash, chain.ledger.head.hash)
    assert.deepEqual(certificate, Uint8Array.of(1, 2))
    assert.equal(addresses.length, 2)
    assert.deepEqual([peerKey, genesisHash], [identity.publicKey, chain.ledger.genesisHash])
    assert.ok(bytes.length < 1_000)
  })

  it('is refused with any bit changed, cut off, or too long', () => {
    for (let at = 0; at < bytes.length; at += 3) {
      const changed = bytes.slice()
      changed[at]! ^= 1 << (at % 8)
      // Three bytes behind the version are reserved, and signed like the rest.
      assert.throws(() => decodeAnnouncement(changed), /./, `byte ${at}`)
    }
    for (const length of [0, 1, 79, 80, bytes.length - 1]) {
      assert.throws(() => decodeAnnouncement(bytes.subarray(0, length)), DecodeError)
    }
    assert.throws(() => decodeAnnouncement(concatBytes(bytes, Uint8Array.of(0))), DecodeError)
    assert.throws(() => decodeAnnouncement(new Uint8Array(ANNOUNCEMENT_BYTES_MAX + 1)), DecodeError)
  })
})
