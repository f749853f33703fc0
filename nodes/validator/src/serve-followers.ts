import {
  type CertificateStore,
  committeeOf,
  type GenesisFile,
  type LedgerView,
  type LmdbLedgerStore,
  type Mempool,
} from '@cumulus/execution'
import {
  announcedAddresses,
  BlockService,
  committeeVerifier,
  type Gossip,
  startGossip,
  takeTransactions,
} from '@cumulus/full-node'
import type { Ledger } from '@cumulus/ledger'
import { type FrameHandlers, type Listener, listen, PeerIdentity } from '@cumulus/network'
import type { RoleContext } from '@cumulus/service'
import type { OpenMember } from './open-member.ts'
import type { ValidatorConfig } from './validator.ts'

interface FollowersInit {
  readonly config: ValidatorConfig
  readonly genesis: GenesisFile
  readonly ledger: Ledger
  readonly store: LmdbLedgerStore
  readonly certificates: CertificateStore | undefined
  readonly mempool: Mempool
  readonly view: LedgerView
  /** Absent: this validator orders alone. */
  readonly member: OpenMember | undefined
  /** Served beside the chain by a validator that orders alone; a member's are on its own port already. */
  readonly snapshots: FrameHandlers | undefined
  readonly context: RoleContext
}

export interface Followers {
  readonly ports: Readonly<Record<string, number>>
  /** What a status page shows; nothing where nobody is served. */
  status(): object
  close(): Promise<void>
}

/**
 * What full nodes find at a validator: its chain over frames, which a member serves on its port in the committee anyway
 * and a lone validator on `config.peer`, and with `config.gossip` the control network.
 *
 * @throws NetworkError IDENTITY, LISTEN
 */
export async function serveFollowers(init: FollowersInit): Promise<Followers> {
  const { config, genesis, ledger, store, certificates, mempool, view, member, snapshots, context } = init
  const { log, metrics, signal } = context
  if (!config.gossip && (member || !config.peer)) return { ports: {}, status: () => ({}), close: async () => {} }
  const identity = await PeerIdentity.loadOrCreate(config.dir)
  let listener: Listener | undefined
  let gossip: Gossip | undefined
  const close = async () => {
    await Promise.all([listener?.close(), gossip?.close()])
  }
  try {
    if (!member && config.peer) {
      const transactions = (raws: readonly Uint8Array[]) => takeTransactions(mempool, raws)
      const service = new BlockService({
        chain: ledger,
        store,
        transactions,
        isOrdering: true,
        handlers: snapshots,
        metrics,
      })
      view.onBlock(() => service.announce())
      listener = await listen({ ...config.peer, identity, handlers: service.handlers, log, metrics })
    }
    if (config.gossip) {
      const committee = committeeOf(genesis)
      const frames = member
        ? config.peer
          ? announcedAddresses({ ...config.peer, port: member.port })
          : committeeAddress(genesis, identity)
        : listener && announcedAddresses(listener)
      gossip = await startGossip(
        {
          identity,
          chainId: ledger.params.chainId,
          chain: ledger,
          store,
          certificates,
          verifier: committee && committeeVerifier(committee),
          mempool: {
            submit: async (raw, from) => {
              const transaction = await mempool.submit(raw, from)
              member?.orderer.watch(transaction)
              return transaction
            },
            onAdded: (added) => mempool.onAdded(added),
            get: (hash) => mempool.get(hash),
          },
          log: log.child({ part: 'gossip' }),
          metrics,
        },
        { ...config.gossip, framesAddresses: frames, isOrdering: true },
        { signal },
      )
      const announce = () => gossip?.announce()
      if (member) member.onCertified(announce)
      else view.onBlock(announce)
    }
  } catch (error) {
    await close()
    throw error
  }
  const ports = { ...(listener && { peer: listener.port }), ...(gossip && { libp2p: gossip.port }) }
  return { ports, status: () => ({ peerId: identity.peerId, gossip: gossip?.status() }), close }
}

/** Where the genesis says that this member is. */
function committeeAddress({ committee }: GenesisFile, { publicKey }: PeerIdentity): string | undefined {
  return committee?.members.find(({ peerKey }) => peerKey.slice(2) === publicKey.toHex())?.address
}
