export { announcedAddresses } from './announced-addresses.ts'
export {
  ANNOUNCEMENT_BYTES_MAX,
  type Announcement,
  type AnnouncementInit,
  decodeAnnouncement,
  encodeAnnouncement,
} from './announcement.ts'
export {
  BlockService,
  type BlockServiceComponents,
  type BlockServiceLimits,
  defaultBlockServiceLimits,
  type ServedChain,
} from './block-service.ts'
export {
  ChainPeer,
  ChainPeers,
  type ChainPeersComponents,
  type ChainPeersLimits,
  defaultChainPeersLimits,
  type KnownPeer,
  type PeerOrigin,
} from './chain-peers.ts'
export { committeeVerifier } from './committee-verifier.ts'
export { type FetchedBlock, type FetchedRange, fetchRange } from './fetch-blocks.ts'
export type { CertificateSource, CertificateStore, CertificateVerifier, CertifiedBlock } from './finality.ts'
export {
  defaultFollowerLimits,
  Follower,
  type FollowerComponents,
  type FollowerLimits,
  type SyncProgress,
} from './follower.ts'
export { type FullNodeConfig, startFullNode } from './full-node.ts'
export { FullNodeError, type FullNodeErrorCode, PeerFault, type PeerFaultCode } from './full-node-error.ts'
export {
  defaultGossipLimits,
  type Gossip,
  type GossipComponents,
  type GossipInit,
  type GossipLimits,
  gossipTopics,
  startGossip,
} from './gossip.ts'
export {
  defaultSnapshotKeeperLimits,
  SnapshotKeeper,
  type SnapshotKeeperComponents,
  type SnapshotKeeperLimits,
} from './snapshot-keeper.ts'
export { decodeManifest, type SnapshotManifest } from './snapshot-manifest.ts'
export {
  defaultSnapshotSyncLimits,
  type SnapshotSyncComponents,
  type SnapshotSyncLimits,
  syncSnapshot,
} from './snapshot-sync.ts'
export {
  defaultForwarderLimits,
  type ForwarderComponents,
  type ForwarderLimits,
  TransactionForwarder,
} from './transaction-forwarder.ts'
export { takeTransaction, takeTransactions } from './transaction-intake.ts'
