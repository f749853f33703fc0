import { sha256 } from '@cumulus/hash'
import { TRANSACTION_BYTES_MAX } from '@cumulus/ledger'
import type { PeerIdentity } from '@cumulus/network'
import { bootstrap } from '@libp2p/bootstrap'
import { gossipsub, type Message, StrictNoSign } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { gossipScores } from './gossip-scores.ts'

interface NodeInit {
  readonly identity: PeerIdentity
  readonly chainId: number
  readonly host: string
  readonly port: number
  readonly bootstrap: readonly string[]
  readonly connectionsMax: number
  readonly topics: readonly string[]
}

/** Every queue, stream and message of it has a limit. */
export function createNode({ identity, chainId, host, port, bootstrap: list, connectionsMax, topics }: NodeInit) {
  return createLibp2p({
    privateKey: identity.libp2pKey(),
    nodeInfo: { userAgent: `cumulus/${chainId}` },
    addresses: { listen: [`/${host.includes(':') ? 'ip6' : 'ip4'}/${host}/tcp/${port}`] },
    transports: [tcp({ maxConnections: connectionsMax, backlog: 64, inboundSocketInactivityTimeout: 120_000 })],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ maxInboundStreams: 64, maxOutboundStreams: 64, maxMessageSize: 64 * 2 ** 10 })],
    connectionManager: {
      maxConnections: connectionsMax,
      maxIncomingPendingConnections: 16,
      inboundConnectionThreshold: 20,
      maxParallelDials: 8,
      maxDialQueueLength: 64,
      maxPeerAddrsToDial: 8,
    },
    peerDiscovery: list.length > 0 ? [bootstrap({ list: [...list], timeout: 0 })] : [],
    services: {
      identify: identify({ protocolPrefix: 'cumulus', maxInboundStreams: 8 }),
      ping: ping({ maxInboundStreams: 4 }),
      dht: kadDHT({
        protocol: `/cumulus/${chainId}/kad/1`,
        // Networks in one room have private addresses; who may be dialled is not the lookup's to decide.
        peerInfoMapper: passthroughMapper,
        clientMode: false,
        initialQuerySelfInterval: 500,
        querySelfInterval: 60_000,
        allowQueryWithZeroPeers: true,
        maxInboundStreams: 16,
        maxOutboundStreams: 32,
      }),
      pubsub: gossipsub({
        globalSignaturePolicy: StrictNoSign,
        // The content is the name: the same transaction is the same message, whoever sent it first.
        msgIdFn: ({ data }: Message) => sha256(data).subarray(0, 20),
        allowedTopics: [...topics],
        allowPublishToZeroTopicPeers: false,
        ignoreDuplicatePublishError: true,
        fallbackToFloodsub: false,
        emitSelf: false,
        doPX: false,
        maxInboundStreams: 4,
        maxOutboundStreams: 4,
        maxInboundDataLength: 2 * TRANSACTION_BYTES_MAX,
        maxOutboundBufferSize: 8 * 2 ** 20,
        maxTopicBytesPerPeer: 16 * 2 ** 10,
        messageProcessingConcurrency: 8,
        decodeRpcLimits: {
          maxSubscriptions: 16,
          maxMessages: 1_000,
          maxIhaveMessageIDs: 5_000,
          maxIwantMessageIDs: 5_000,
          maxIdontwantMessageIDs: 512,
          maxControlMessages: 5_000,
          maxPeerInfos: 16,
        },
        ...gossipScores(topics),
      }),
    },
  })
}

/** A js-libp2p node with the services of the control network. */
export type Node = Awaited<ReturnType<typeof createNode>>
