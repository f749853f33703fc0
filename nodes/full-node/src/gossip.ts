import { DecodeError, equalBytes } from '@cumulus/bytes'
import type { Mempool } from '@cumulus/execution'
import { type LedgerStore, readRawBlock, TRANSACTION_BYTES_MAX, type Transaction } from '@cumulus/ledger'
import type { PeerIdentity } from '@cumulus/network'
import { Counter, Gauge, type Logger, type Metrics, sleep } from '@cumulus/service'
import { type GossipSub, type Message, TopicValidatorResult } from '@libp2p/gossipsub'
import { multiaddr } from '@multiformats/multiaddr'
import { ANNOUNCEMENT_BYTES_MAX, type Announcement, decodeAnnouncement, encodeAnnouncement } from './announcement.ts'
import type { ServedChain } from './block-service.ts'
import type { KnownPeer } from './chain-peers.ts'
import type { CertificateSource, CertificateVerifier } from './finality.ts'
import { createNode, type Node } from './libp2p-node.ts'
import { RateLimit } from './rate-limit.ts'
import { takeTransaction } from './transaction-intake.ts'

export interface GossipComponents {
  /** The same key as on frames. */
  readonly identity: PeerIdentity
  readonly chainId: number
  readonly chain: ServedChain
  /** Where headers lie. */
  readonly store: LedgerStore
  readonly mempool: Pick<Mempool, 'submit' | 'onAdded' | 'get'>
  /** Both, or none in a network without a committee: then blocks are announced by those in `trusted` only. */
  readonly verifier?: CertificateVerifier
  readonly certificates?: CertificateSource
  /** Peer keys in hex whose announcements count without a certificate. */
  readonly trusted?: ReadonlySet<string>
  /** Told of each node that serves its chain and announced a block that is vouched for. */
  readonly onPeer?: (peer: KnownPeer) => void
  readonly log: Logger
  readonly metrics?: Metrics
}

export interface GossipInit {
  readonly host: string
  /** 0 = any. */
  readonly port: number
  /** Multiaddresses with /p2p/ of nodes to begin with. */
  readonly bootstrap?: readonly string[]
  /** Multiaddresses, separated by commas, at which this node serves its chain over frames; announced with its blocks. */
  readonly framesAddresses?: string
  /** Whether this node orders: it announces blocks as they come, others only now and then where they are. */
  readonly isOrdering?: boolean
  readonly limits?: Partial<GossipLimits>
}

export interface GossipLimits {
  /** Connections in all; and how many this node tries to have. */
  readonly connectionsMax: number
  readonly connectionsWanted: number
  readonly dialEveryMs: number
  /** Least time between two announcements of a node that orders, and of another. */
  readonly announceMs: number
  readonly presenceMs: number
  /** Messages that one neighbour may hand on in a second, and at once. More are dropped unread. */
  readonly messagesPerSecond: number
  readonly messageBurst: number
  /** Own messages that wait to be sent. */
  readonly publishingMax: number
  /** Announcements older than this many blocks say nothing new. */
  readonly staleBlocks: bigint
}

export const defaultGossipLimits: GossipLimits = {
  connectionsMax: 64,
  connectionsWanted: 8,
  dialEveryMs: 3_000,
  announceMs: 250,
  presenceMs: 15_000,
  messagesPerSecond: 1_000,
  messageBurst: 4_000,
  publishingMax: 1_000,
  staleBlocks: 256n,
}

/** Between two lookups that bring nothing. */
const LOOKUP_MS_MAX = 60_000

export interface Gossip {
  readonly port: number
  /** Multiaddresses with /p2p/, for the bootstrap lists of others. */
  readonly addresses: readonly string[]
  /** Peer ids of those we are connected to. */
  readonly connected: readonly string[]
  /** What is thought of a neighbour: below -60 it is not listened to. */
  scoreOf(peerId: string): number
  /** To be called when there is a new certified block. */
  announce(): void
  status(): object
  close(): Promise<void>
}

/** Frames, gossip and lookups of one network do not meet those of another. */
export function gossipTopics(chainId: number): { transactions: string; blocks: string } {
  return {
    transactions: `/cumulus/${chainId}/transactions/1`,
    blocks: `/cumulus/${chainId}/blocks/1`,
  }
}

/**
 * Joins the control network: finds peers from the bootstrap list and by Kademlia, passes on transactions and news of
 * blocks that it has checked, and tells `onPeer` who serves the chain. Ends with `signal` or `close`.
 */
export async function startGossip(
  components: GossipComponents,
  init: GossipInit,
  { signal }: { signal: AbortSignal },
): Promise<Gossip> {
  const node = new GossipNode(components, init)
  await node.start(signal)
  return node
}

const { Accept, Ignore, Reject } = TopicValidatorResult

class GossipNode implements Gossip {
  readonly #components: GossipComponents
  readonly #init: GossipInit
  readonly #limits: GossipLimits
  readonly #topics: ReturnType<typeof gossipTopics>
  readonly #metrics: ReturnType<typeof createGossipMetrics> | undefined
  readonly #ending = new AbortController()
  /** By neighbour, last used last. */
  readonly #rates = new Map<string, RateLimit>()
  /** The last block that was vouched for: others of the same hash need no second look. */
  #vouched: { height: bigint; hash: Uint8Array } = { height: 0n, hash: new Uint8Array(0) }
  #node: Node | undefined
  #publishing = 0
  /** Own transactions that nobody was there to hear. */
  readonly #unheard = new Set<Transaction>()
  #announcedAtMs = Number.NEGATIVE_INFINITY
  #announcedHeight = -1n
  #sequence = BigInt(Date.now())
  #announceTimer: NodeJS.Timeout | undefined
  #closing: Promise<void> | undefined
  #wake: () => void = () => {}

  constructor(components: GossipComponents, init: GossipInit) {
    this.#components = components
    this.#init = init
    this.#limits = { ...defaultGossipLimits, ...init.limits }
    this.#topics = gossipTopics(components.chainId)
    this.#metrics = components.metrics && createGossipMetrics(components.metrics, this)
  }

  async start(signal: AbortSignal): Promise<void> {
    const { identity, chainId, mempool, log } = this.#components
    const node = (this.#node = await createNode({
      identity,
      chainId,
      host: this.#init.host,
      port: this.#init.port,
      bootstrap: this.#init.bootstrap ?? [],
      connectionsMax: this.#limits.connectionsMax,
      topics: Object.values(this.#topics),
    }))
    const { pubsub } = node.services
    this.#validate(pubsub)
    pubsub.subscribe(this.#topics.transactions)
    pubsub.subscribe(this.#topics.blocks)
    const stop = mempool.onAdded((transaction) => void this.#publishTransaction(transaction))
    this.#ending.signal.addEventListener('abort', stop, { once: true })
    node.addEventListener('peer:discovery', () => this.#wake())
    pubsub.addEventListener('subscription-change', () => this.#wake())
    signal.addEventListener('abort', () => void this.close(), { once: true })
    if (signal.aborted) await this.close()
    void this.#keepConnected().catch((error) => log.error('gossip stopped looking for peers', { error }))
    log.info('gossip ready', { addresses: this.addresses })
  }

  get port(): number {
    const [address] = this.#node!.getMultiaddrs()
    return Number(address?.getComponents().find(({ name }) => name === 'tcp')?.value ?? 0)
  }

  get addresses(): string[] {
    return this.#node!.getMultiaddrs().map(String)
  }

  get connected(): string[] {
    return this.#node!.getPeers().map(String)
  }

  scoreOf(peerId: string): number {
    return (this.#node!.services.pubsub as unknown as { score: { score(id: string): number } }).score.score(peerId)
  }

  announce(): void {
    if (this.#announceTimer || this.#ending.signal.aborted) return
    const { announceMs, presenceMs } = this.#limits
    const everyMs = this.#init.isOrdering ? announceMs : presenceMs
    const waitMs = Math.max(0, this.#announcedAtMs + everyMs - performance.now())
    this.#announceTimer = setTimeout(() => {
      this.#announceTimer = undefined
      this.#publishHead()
    }, waitMs)
    this.#announceTimer.unref()
  }

  status(): object {
    const { pubsub } = this.#node!.services
    return {
      addresses: this.addresses,
      connected: this.connected.length,
      mesh: { transactions: pubsub.getSubscribers(this.#topics.transactions).length },
      vouchedHeight: this.#vouched.height.toString(),
    }
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#ending.abort()
      clearTimeout(this.#announceTimer)
      await this.#node?.stop()
    })()
    return this.#closing
  }

  #validate(pubsub: GossipSub): void {
    const guarded =
      (topic: 'transactions' | 'blocks', judge: (data: Uint8Array) => Promise<TopicValidatorResult>) =>
      async (neighbour: { toString(): string }, message: Message) => {
        const isHeard = this.#isWithinRate(String(neighbour))
        if (!isHeard) await forget(pubsub, message)
        const result = isHeard ? await judge(message.data) : Ignore
        this.#metrics?.received.inc({ topic, result: isHeard ? result : 'unread' })
        return result
      }
    pubsub.topicValidators.set(
      this.#topics.transactions,
      guarded('transactions', (data) => this.#judgeTransaction(data)),
    )
    pubsub.topicValidators.set(
      this.#topics.blocks,
      guarded('blocks', (data) => this.#judgeAnnouncement(data)),
    )
  }

  #isWithinRate(neighbour: string): boolean {
    const { messagesPerSecond, messageBurst, connectionsMax } = this.#limits
    const rate =
      this.#rates.get(neighbour) ??
      new RateLimit({
        requestsPerSecond: messagesPerSecond,
        requestBurst: messageBurst,
        bytesPerSecond: 1,
        byteBurst: 1,
      })
    this.#rates.delete(neighbour)
    this.#rates.set(neighbour, rate)
    if (this.#rates.size > 2 * connectionsMax) this.#rates.delete(this.#rates.keys().next().value!)
    return rate.request() === 0
  }

  async #judgeTransaction(data: Uint8Array): Promise<TopicValidatorResult> {
    if (data.length === 0 || data.length > TRANSACTION_BYTES_MAX) return Reject
    const verdict = await takeTransaction(this.#components.mempool, data)
    // One that came here on another way first still has to reach the neighbours.
    return verdict === 'taken' || verdict === 'known' ? Accept : verdict === 'never' ? Reject : Ignore
  }

  async #judgeAnnouncement(data: Uint8Array): Promise<TopicValidatorResult> {
    if (data.length > ANNOUNCEMENT_BYTES_MAX) return Reject
    let announcement: Announcement
    try {
      announcement = decodeAnnouncement(data)
    } catch (error) {
      if (error instanceof DecodeError || error instanceof RangeError) return Reject
      throw error
    }
    const { chain, onPeer, identity } = this.#components
    const { genesisHash, header, peerKey, addresses } = announcement
    // The same chain id and another genesis: a neighbour may be in both networks.
    if (!equalBytes(genesisHash, chain.genesisHash)) return Ignore
    if (header.number + this.#limits.staleBlocks < chain.head.number) return Ignore
    const isVouched = await this.#isVouched(announcement)
    if (isVouched === undefined) return Ignore
    if (!isVouched) return Reject
    if (header.number > this.#vouched.height) this.#vouched = { height: header.number, hash: header.hash }
    if (addresses.length > 0 && !equalBytes(peerKey, identity.publicKey)) {
      onPeer?.({ peerKey, addresses, origin: 'found' })
    }
    return Accept
  }

  /** Undefined: nobody can say. */
  async #isVouched({ header, certificate, peerKey }: Announcement): Promise<boolean | undefined> {
    const { verifier, trusted } = this.#components
    if (!verifier) return trusted?.has(peerKey.toHex()) ? true : undefined
    if (!certificate) return false
    if (header.number === this.#vouched.height && equalBytes(header.hash, this.#vouched.hash)) return true
    try {
      const { height, headerHash } = verifier.read(certificate)
      if (height !== header.number || !equalBytes(headerHash, header.hash)) return false
      await verifier.verify(certificate)
      return true
    } catch {
      return false
    }
  }

  async #publishTransaction(transaction: Transaction): Promise<void> {
    if (await this.#publish('transactions', transaction.raw)) return
    this.#unheard.add(transaction)
    if (this.#unheard.size > this.#limits.publishingMax) this.#unheard.delete(this.#unheard.values().next().value!)
  }

  /** What was said before anybody listened. */
  #publishUnheard(): void {
    const waiting = [...this.#unheard]
    this.#unheard.clear()
    for (const transaction of waiting) {
      if (this.#components.mempool.get(transaction.hash)) void this.#publishTransaction(transaction)
    }
  }

  #publishHead(): void {
    const { chain, store, certificates, identity, verifier } = this.#components
    const height = verifier ? certificates?.highest : chain.head.number
    if (height === undefined) return
    const sinceMs = performance.now() - this.#announcedAtMs
    if (height === this.#announcedHeight && sinceMs < this.#limits.presenceMs) return
    const raw = readRawBlock(store, height)
    if (!raw) return
    const data = encodeAnnouncement(
      {
        genesisHash: chain.genesisHash,
        sequence: this.#sequence++,
        header: raw.header,
        certificate: certificates?.at(height)?.slice(),
        addresses: this.#init.framesAddresses ?? '',
      },
      identity,
    )
    this.#announcedHeight = height
    this.#announcedAtMs = performance.now()
    void this.#publish('blocks', data).then((isHeard) => {
      if (!isHeard) this.#announcedHeight = -1n
    })
  }

  /** Whether there was somebody to say it to. */
  async #publish(topic: 'transactions' | 'blocks', data: Uint8Array): Promise<boolean> {
    if (this.#ending.signal.aborted) return true
    if (this.#publishing >= this.#limits.publishingMax) {
      this.#metrics?.dropped.inc({ topic })
      return true
    }
    this.#publishing++
    try {
      await this.#node!.services.pubsub.publish(this.#topics[topic], data)
      this.#metrics?.published.inc({ topic })
      return true
    } catch (error) {
      if (!this.#ending.signal.aborted) {
        this.#components.log.debug('not published', { topic, reason: (error as Error).message })
      }
      return (error as Error).message !== 'PublishError.NoPeersSubscribedToTopic'
    } finally {
      this.#publishing--
    }
  }

  /** Libp2p finds peers and connects to none of them by itself. */
  async #keepConnected(): Promise<void> {
    const { signal } = this.#ending
    const { connectionsWanted, dialEveryMs } = this.#limits
    // Asking around costs every node that is asked: rarer when it brought nothing.
    let lookupMs = dialEveryMs
    let nextLookupAtMs = 0
    while (!signal.aborted) {
      const missing = connectionsWanted - this.connected.length
      if (missing > 0) {
        if (performance.now() >= nextLookupAtMs) {
          const before = this.connected.length
          await this.#lookup()
          await this.#dialKnown(missing)
          lookupMs = this.connected.length > before ? dialEveryMs : Math.min(2 * lookupMs, LOOKUP_MS_MAX)
          nextLookupAtMs = performance.now() + lookupMs
        } else await this.#dialKnown(missing)
        // A bootstrap node may have started after us.
        if (this.connected.length === 0) await this.#dialBootstrap()
      }
      if (this.#init.framesAddresses) this.announce()
      this.#publishUnheard()
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      await Promise.race([sleep(dialEveryMs, signal).catch(() => {}), woken])
      // Discoveries come in swarms.
      await sleep(50, signal).catch(() => {})
    }
  }

  /** Asks those we know who is near us in the table of keys; the answers end in the peer store. */
  async #lookup(): Promise<void> {
    const node = this.#node!
    if (this.connected.length === 0) return
    const deadline = AbortSignal.any([this.#ending.signal, AbortSignal.timeout(5_000)])
    try {
      const own = node.peerId.toMultihash().bytes
      for await (const { id, multiaddrs } of node.peerRouting.getClosestPeers(own, { signal: deadline })) {
        if (!id.equals(node.peerId) && multiaddrs.length > 0) await node.peerStore.merge(id, { multiaddrs })
      }
    } catch (error) {
      this.#components.log.debug('lookup without an answer', { reason: (error as Error).message })
    }
  }

  async #dialKnown(count: number): Promise<void> {
    const node = this.#node!
    const connected = new Set(this.connected)
    const known = (await node.peerStore.all().catch(() => [])).filter(
      ({ id, addresses }) => addresses.length > 0 && !connected.has(String(id)) && !id.equals(node.peerId),
    )
    // Anybody may do: whoever could not be reached does not stand in the way of the others.
    known.sort(() => Math.random() - 0.5)
    const deadline = AbortSignal.any([this.#ending.signal, AbortSignal.timeout(5_000)])
    await Promise.allSettled(known.slice(0, count).map(({ id }) => node.dial(id, { signal: deadline })))
  }

  async #dialBootstrap(): Promise<void> {
    const { signal } = this.#ending
    await Promise.allSettled(
      (this.#init.bootstrap ?? []).map((text) =>
        this.#node!.dial(multiaddr(text), { signal: AbortSignal.any([signal, AbortSignal.timeout(5_000)]) }),
      ),
    )
  }
}

/**
 * Gossipsub notes a message as seen before it asks what we think of it. One that was not looked at was not seen: otherwise
 * a neighbour that floods us with what others are about to say would silence them.
 */
async function forget(pubsub: GossipSub, message: Message): Promise<void> {
  const { msgIdFn, msgIdToStrFn, seenCache } = pubsub as unknown as {
    msgIdFn(message: Message): Uint8Array | Promise<Uint8Array>
    msgIdToStrFn(id: Uint8Array): string
    readonly seenCache: { readonly entries: Map<string, unknown> }
  }
  seenCache.entries.delete(msgIdToStrFn(await msgIdFn(message)))
}

function createGossipMetrics(metrics: Metrics, gossip: GossipNode) {
  const registers = [metrics]
  new Gauge({
    name: 'cumulus_node_gossip_peers',
    help: 'Connections of the control network',
    registers,
    collect() {
      this.set(gossip.connected.length)
    },
  })
  return {
    received: new Counter({
      name: 'cumulus_node_gossip_received_total',
      help: 'Messages of neighbours, by topic and by what was thought of them; unread: beyond what one may hand on',
      labelNames: ['topic', 'result'],
      registers,
    }),
    published: new Counter({
      name: 'cumulus_node_gossip_published_total',
      help: 'Own messages, by topic',
      labelNames: ['topic'],
      registers,
    }),
    dropped: new Counter({
      name: 'cumulus_node_gossip_dropped_total',
      help: 'Own messages not sent because too many waited, by topic',
      labelNames: ['topic'],
      registers,
    }),
  }
}
