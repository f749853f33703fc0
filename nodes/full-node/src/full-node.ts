import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import {
  BlockExecutor,
  CertificateStore,
  clientVersion,
  committeeOf,
  consensusView,
  FolderLock,
  type GenesisFile,
  LedgerView,
  LmdbLedgerStore,
  type MempoolLimits,
  openLedger,
  openMempool,
  paramsOf,
  readGenesis,
} from '@cumulus/execution'
import {
  type HistoryLimits,
  type Ledger,
  type LedgerStore,
  MemoryLedgerStore,
  snapshotBase,
  snapshotProgress,
} from '@cumulus/ledger'
import { type Listener, listen, PeerIdentity, parseAddress } from '@cumulus/network'
import { type AccessRules, type RpcLimits, type RpcServer, startRpcServer } from '@cumulus/rpc'
import { type HealthReport, type Logger, type RoleContext, type RunningRole, writeFileAtomic } from '@cumulus/service'
import type { Address } from '@cumulus/types'
import { announcedAddresses } from './announced-addresses.ts'
import { BlockService } from './block-service.ts'
import { ChainPeers, type ChainPeersLimits, type KnownPeer } from './chain-peers.ts'
import { committeeVerifier } from './committee-verifier.ts'
import type { CertificateVerifier } from './finality.ts'
import { Follower, type FollowerLimits } from './follower.ts'
import { FullNodeError } from './full-node-error.ts'
import { type Gossip, startGossip } from './gossip.ts'
import { SnapshotKeeper, type SnapshotKeeperLimits } from './snapshot-keeper.ts'
import { type SnapshotSyncLimits, syncSnapshot } from './snapshot-sync.ts'
import { TransactionForwarder } from './transaction-forwarder.ts'
import { takeTransactions } from './transaction-intake.ts'

export interface FullNodeConfig {
  /** Folder of chain and identity; nobody else uses it. */
  readonly dir: string
  /** The genesis, or the file that holds it. */
  readonly genesis: GenesisFile | string
  /** Port 0 = any. */
  readonly rpc: {
    readonly host: string
    readonly port: number
    readonly limits?: Partial<RpcLimits>
    readonly access?: Partial<AccessRules>
  }
  /**
   * Where other nodes may follow this one, over frames. Absent: nobody may. `announce`: multiaddresses, separated by
   * commas, under which others reach it, if not as `host` says.
   */
  readonly listen?: { readonly host: string; readonly port: number; readonly announce?: string }
  /** The control network, where nodes find each other and hear of transactions. Absent: only named peers are known. */
  readonly gossip?: { readonly host: string; readonly port: number; readonly bootstrap?: readonly string[] }
  /** Nodes to follow, as multiaddresses with /p2p/. Members of the committee are known from the genesis. */
  readonly peers?: readonly string[]
  /** Nodes whose word is taken without a certificate: for networks without a committee, and refused in others. */
  readonly trustedPeers?: readonly string[]
  /**
   * `sync`: an empty folder begins with the newest snapshot of the peers instead of the first block, if they have one.
   * `make`: write down the state every ten minutes for others; only of use with `listen`.
   */
  readonly snapshots?: {
    readonly sync?: boolean
    readonly make?: boolean
    readonly limits?: Partial<SnapshotKeeperLimits>
  }
  readonly mempool?: Partial<MempoolLimits>
  /** How far back RPC can read the state. */
  readonly history?: Partial<HistoryLimits>
  readonly limits?: {
    readonly peers?: Partial<ChainPeersLimits>
    readonly follower?: Partial<FollowerLimits>
    readonly snapshotSync?: Partial<SnapshotSyncLimits>
  }
}

/** The head may be this old before health says so: the network may be quiet for a heartbeat, and disks stall. */
const STALL_SLOTS = 4
const STALL_MS = 20_000

/**
 * Follows the chain and serves RPC. Resolves once it answers, which may be long before it has caught up; aborting
 * `context.signal` stops it after the block at hand. Whatever kills it, the folder holds the last whole chain block, and
 * it goes on from there.
 *
 * @throws ExecutionError, FullNodeError, NetworkError, ServiceError PORT_TAKEN
 */
export async function startFullNode(config: FullNodeConfig, context: RoleContext): Promise<RunningRole> {
  const genesis = typeof config.genesis === 'string' ? await readGenesis(config.genesis) : config.genesis
  const known = knownPeers(config, genesis)
  const lock = new FolderLock(config.dir)
  // What to do in the end, the last one first.
  const closing: (() => unknown)[] = [() => lock.release()]
  try {
    return await run(config, genesis, known, context, closing)
  } catch (error) {
    for (const close of closing.reverse()) await close()
    throw error
  }
}

async function run(
  config: FullNodeConfig,
  genesis: GenesisFile,
  known: readonly KnownPeer[],
  { signal, log, metrics }: RoleContext,
  closing: (() => unknown)[],
): Promise<RunningRole> {
  const { dir, limits } = config
  const params = paramsOf(genesis)
  const identity = await PeerIdentity.loadOrCreate(dir)
  const store = new LmdbLedgerStore(dir)
  closing.push(() => store.close())
  const committee = committeeOf(genesis)
  const verifier = committee && committeeVerifier(committee)
  if (snapshotProgress(store) || (config.snapshots?.sync && isEmpty(store))) {
    await beginWithSnapshot({ config, genesis, known, identity, store, verifier, log, signal })
  }
  const ledger = await openLedger(store, genesis, dir, { history: config.history })
  const base = snapshotBase(store)
  const state = {
    nonce: (address: Address) => ledger.getNonce(address),
    balance: (address: Address) => ledger.getBalance(address),
    nextBaseFee: () => ledger.nextBaseFee,
  }
  const { chainId } = params
  const mempool = await openMempool({ chainId, state, metrics, log, dir, limits: config.mempool })
  closing.push(() => mempool.close())
  const certificates = committee && new CertificateStore(dir)
  if (certificates) closing.push(() => certificates.close())
  const finality = verifier && certificates && { verifier, certificates }
  const keeper = config.snapshots?.make
    ? new SnapshotKeeper(
        {
          dir,
          params,
          genesisMs: genesis.timeMs,
          readSnapshot: () => store.readSnapshot(),
          log: log.child({ part: 'snapshots' }),
          metrics,
        },
        config.snapshots.limits,
      )
    : undefined
  await keeper?.open()
  if (keeper) closing.push(() => keeper.close())

  const service = new BlockService({
    chain: ledger,
    store,
    certificates,
    transactions: (raws) => takeTransactions(mempool, raws),
    handlers: keeper?.handlers,
    metrics,
  })
  if (base !== undefined) service.setLowest(base)
  const peers = new ChainPeers(
    {
      identity,
      genesisHash: ledger.genesisHash,
      handlers: service.handlers,
      log: log.child({ part: 'peers' }),
      metrics,
    },
    limits?.peers,
  )
  for (const peer of known) peers.add(peer)
  const follower = new Follower(
    { ledger, peers, senders: mempool, ...finality, log: log.child({ part: 'sync' }), metrics },
    limits?.follower,
  )
  follower.onCertified(() => {
    service.announce()
    gossip?.announce()
  })
  const forwarder = new TransactionForwarder({ mempool, peers, log: log.child({ part: 'forward' }), metrics })

  let rpc: RpcServer | undefined
  let listener: Listener | undefined
  let gossip: Gossip | undefined
  const status = () => ({
    role: 'full-node',
    chainId,
    preset: params.name,
    genesisHash: bytesToHex(ledger.genesisHash),
    peerId: identity.peerId,
    height: ledger.head.number.toString(),
    headHash: bytesToHex(ledger.head.hash),
    headTimestampMs: ledger.head.timestampMs,
    mempool: { ...mempool.counts(), bytes: mempool.bytes, forwarding: forwarder.waitingCount },
    sync: follower.status(),
    snapshots: { base: base?.toString(), kept: keeper?.heights.map(String) },
    peers: peers.status(),
    gossip: gossip?.status(),
    rpc: rpc?.counts,
  })
  const health = () => healthOf(ledger, peers, follower, params.slotMs)
  const view = new LedgerView({
    ledger,
    mempool,
    base,
    certificates,
    consensus: certificates && consensusView(genesis, certificates, () => follower.status()),
    clientVersion,
    status,
    peerCount: () => peers.connected.length,
    syncing: () => follower.syncing(),
  })

  if (keeper) view.onBlock(() => keeper.onBlock(ledger.head))
  // Ends with the caller's signal, or with the first part that fails.
  const ending = new AbortController()
  const endSignal = AbortSignal.any([signal, ending.signal])
  closing.push(() => ending.abort())
  rpc = await startRpcServer(
    { chain: view, log: log.child({ part: 'rpc' }), metrics, health },
    { verification: { dir: `${config.dir}/sources` }, ...config.rpc },
  )
  closing.push(() => rpc?.close())
  if (config.listen) {
    const { host, port } = config.listen
    const part = log.child({ part: 'network' })
    listener = await listen({ host, port, identity, handlers: service.handlers, log: part, metrics })
    closing.push(() => listener?.close())
  }
  if (config.gossip) {
    const trusted = new Set(known.filter(({ isTrusted }) => isTrusted).map(({ peerKey }) => peerKey.toHex()))
    const onPeer = (peer: KnownPeer) => peers.add(peer)
    const part = log.child({ part: 'gossip' })
    gossip = await startGossip(
      { identity, chainId, chain: ledger, store, mempool, ...finality, trusted, onPeer, log: part, metrics },
      { ...config.gossip, framesAddresses: listener && (config.listen?.announce ?? announcedAddresses(listener)) },
      { signal: endSignal },
    )
    closing.push(() => gossip?.close())
  }
  const executor = new BlockExecutor({ ledger, mempool, view, log, metrics, dumpDir: dir })
  const helpers = Promise.all([peers.run({ signal: endSignal }), forwarder.run({ signal: endSignal })])
  const stopped = (async () => {
    try {
      await executor.run(follower, { signal: endSignal })
    } catch (error) {
      if (error instanceof FullNodeError) await keepDetails(dir, error, log)
      throw error
    } finally {
      ending.abort()
      await helpers
      for (const close of closing.reverse()) await close()
      log.info('full node stopped', { height: ledger.head.number })
    }
  })()
  // Whoever waits for `stopped` gets the error; nobody need wait.
  stopped.catch(() => {})
  log.info('full node ready', {
    rpcPort: rpc.port,
    framesPort: listener?.port,
    libp2pPort: gossip?.port,
    height: ledger.head.number,
    chainId,
  })
  const ports = {
    rpc: rpc.port,
    ...(listener && { frames: listener.port }),
    ...(gossip && { libp2p: gossip.port }),
  }
  return { ports, status, health, stopped }
}

/** @throws FullNodeError BAD_CONFIG, NOBODY_TO_FOLLOW; NetworkError BAD_ADDRESS */
function knownPeers(config: FullNodeConfig, { committee }: GenesisFile): KnownPeer[] {
  const named = (texts: readonly string[] | undefined, isTrusted: boolean): KnownPeer[] =>
    (texts ?? []).map((text) => {
      const address = parseAddress(text)
      if (!address.peerKey) {
        throw new FullNodeError('BAD_CONFIG', `${text} does not say who is there: it must end with /p2p/ and a peer id`)
      }
      return { peerKey: address.peerKey, addresses: [address], origin: 'configured', isTrusted }
    })
  const trusted = named(config.trustedPeers, true)
  const isCertified = committee !== undefined
  if (isCertified && trusted.length > 0) {
    throw new FullNodeError('BAD_CONFIG', 'this network has a committee: its certificates are followed, trust nobody')
  }
  if (!isCertified && trusted.length === 0) {
    throw new FullNodeError(
      'NOBODY_TO_FOLLOW',
      'this network has no committee whose certificates could be checked: name a peer to trust',
    )
  }
  const members = (committee?.members ?? []).map(
    ({ peerKey, address }): KnownPeer => ({
      peerKey: hexToBytes(peerKey),
      addresses: [parseAddress(address)],
      origin: 'committee',
    }),
  )
  return [...trusted, ...named(config.peers, false), ...members]
}

function isEmpty(store: LedgerStore): boolean {
  return store.keys('meta', new Uint8Array(0), new Uint8Array(64).fill(0xff), 1).length === 0
}

/** Reads the newest snapshot of the peers into the store; without any, the store stays as it is. */
async function beginWithSnapshot(init: {
  readonly config: FullNodeConfig
  readonly genesis: GenesisFile
  readonly known: readonly KnownPeer[]
  readonly identity: PeerIdentity
  readonly store: LedgerStore
  readonly verifier: CertificateVerifier | undefined
  readonly log: Logger
  readonly signal: AbortSignal
}): Promise<void> {
  const { config, genesis, known, identity, store, verifier, signal } = init
  const log = init.log.child({ part: 'snapshot' })
  const { genesisHash } = await openLedger(new MemoryLedgerStore(), genesis, config.dir)
  const peers = new ChainPeers({ identity, genesisHash, handlers: {}, log }, config.limits?.peers)
  for (const peer of known) peers.add(peer)
  const ending = new AbortController()
  const ended = AbortSignal.any([signal, ending.signal])
  const running = peers.run({ signal: ended })
  try {
    const components = { store, genesisHash, peers, verifier, log }
    const header = await syncSnapshot(components, { signal: ended }, config.limits?.snapshotSync)
    if (!header) log.warn('no peer has a snapshot: all blocks since the first are fetched and executed')
  } finally {
    ending.abort()
    await running
  }
}

function healthOf(ledger: Ledger, peers: ChainPeers, follower: Follower, slotMs: number): HealthReport {
  const halted = ledger.halted
  const connected = peers.connected.length
  const { targetHeight, height, etaSeconds } = follower.progress()
  const behind = targetHeight - height
  const ageMs = Date.now() - ledger.head.timestampMs
  const isFresh = ageMs < STALL_SLOTS * slotMs + STALL_MS || behind > 0n
  const eta = behind > 0n ? `, ${behind} behind${etaSeconds === undefined ? '' : `, ${etaSeconds} s to go`}` : ''
  const checks = [
    { name: 'execution', ok: halted === undefined, ...(halted && { detail: halted.message }) },
    { name: 'peers', ok: connected > 0, detail: `${connected} connected` },
    { name: 'chain', ok: isFresh, detail: `block ${height}, ${Math.round(ageMs / 1000)} s old${eta}` },
  ]
  return { ok: checks.every(({ ok }) => ok), checks }
}

/** Two chains that were both vouched for: somebody has to find out who broke the rules. */
async function keepDetails(dir: string, { code, message, details }: FullNodeError, log: Logger): Promise<void> {
  const path = `${dir}/${code.toLowerCase()}-${String(details['number'] ?? 'unknown')}.json`
  const bigints = (_key: string, value: unknown) => (typeof value === 'bigint' ? value.toString() : value)
  try {
    await writeFileAtomic(path, `${JSON.stringify({ code, message, details }, bigints, 2)}\n`)
    log.error('what was found is kept', { path })
  } catch (error) {
    log.error('what was found could not be kept', { path, error })
  }
}
