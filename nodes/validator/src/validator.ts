import { bytesToHex } from '@cumulus/bytes'
import {
  BlockExecutor,
  CertificateStore,
  clientVersion,
  consensusView,
  FolderLock,
  type GenesisFile,
  LedgerView,
  LmdbLedgerStore,
  type Mempool,
  type MempoolLimits,
  type Orderer,
  openLedger,
  openMempool,
  paramsOf,
  readGenesis,
} from '@cumulus/execution'
import { SnapshotKeeper, type SnapshotKeeperLimits } from '@cumulus/full-node'
import type { HistoryLimits, Ledger } from '@cumulus/ledger'
import type { Params } from '@cumulus/params'
import { type AccessRules, type RpcLimits, type RpcServer, startRpcServer } from '@cumulus/rpc'
import type { HealthReport, RoleContext, RunningRole } from '@cumulus/service'
import type { Address } from '@cumulus/types'
import { findSeat } from './committee-seat.ts'
import type { R2sOrdererInit } from './consensus/r2s-orderer-init.ts'
import { openMember } from './open-member.ts'
import { type Followers, serveFollowers } from './serve-followers.ts'
import { SingleOrderer } from './single-orderer.ts'

export interface ValidatorConfig {
  /** Folder of the chain; nobody else uses it. */
  readonly dir: string
  /** The genesis, or the file that holds it. */
  readonly genesis: GenesisFile | string
  /** Port 0 = any. */
  readonly rpc: {
    readonly host: string
    readonly port: number
    readonly limits?: Partial<RpcLimits>
    readonly access?: Partial<AccessRules>
    /**
     * Whether sources of contracts are compiled here for whoever asks: seconds of a core and hundreds of MB, which those
     * who order can do without.
     */
    readonly verifySources?: boolean
  }
  /** Earns the tips. Default: the zero address, which burns them. */
  readonly coinbase?: Address
  /** Slots without a transaction after which an empty chain block is made. */
  readonly heartbeatSlots?: number
  /** Least time between two chain blocks. */
  readonly spacingMs?: number
  readonly mempool?: Partial<MempoolLimits>
  /** How far back RPC can read the state. */
  readonly history?: Partial<HistoryLimits>
  /**
   * Where members of the committee and full nodes reach this one. Default: the address that the genesis names; a validator
   * that orders alone serves full nodes only if this is given.
   */
  readonly peer?: { readonly host: string; readonly port: number }
  /** The control network, where full nodes find each other; validators are where they begin. Absent: not taken part in. */
  readonly gossip?: { readonly host: string; readonly port: number; readonly bootstrap?: readonly string[] }
  /**
   * Keeps snapshots of the state for nodes that begin, unless `make` is false. Every validator with a peer port does so: they are
   * who a new node knows from the genesis. See `SnapshotKeeper`.
   */
  readonly snapshots?: { readonly make?: boolean; readonly limits?: Partial<SnapshotKeeperLimits> }
  /** Pace of the committee; see `R2sOrdererInit`. */
  readonly pace?: R2sOrdererInit
}

const HEARTBEAT_SLOTS = 2

/** One batch keeps the event loop busy for about a quarter of a second at most; the rest goes into the next. */
const BATCH_COUNT_MAX = 1_000
const BATCH_BYTES_MAX = 4 * 2 ** 20

/** Heartbeats may be missed by this much before health says so: disks stall, machines sleep. */
const STALL_MS = 15_000

const ZERO_ADDRESS: Address = '0x0000000000000000000000000000000000000000'

/**
 * Orders transactions, alone or as a member of the committee that the genesis names, executes chain blocks, serves RPC.
 * Resolves once it answers; aborting `context.signal` stops it after the block at hand. Whatever kills it, the folder holds
 * the last whole chain block, and a member never signs two blocks of one round.
 *
 * @throws ExecutionError, ConsensusError, NetworkError IDENTITY or LISTEN, ServiceError PORT_TAKEN
 */
export async function startValidator(config: ValidatorConfig, context: RoleContext): Promise<RunningRole> {
  const genesis = typeof config.genesis === 'string' ? await readGenesis(config.genesis) : config.genesis
  const lock = new FolderLock(config.dir)
  const closing: (() => unknown)[] = [() => lock.release()]
  try {
    return await run(config, genesis, context, closing)
  } catch (error) {
    for (const close of closing.reverse()) await close()
    throw error
  }
}

/** @param closing what to do in the end, the last one first */
async function run(
  config: ValidatorConfig,
  genesis: GenesisFile,
  { signal, log, metrics }: RoleContext,
  closing: (() => unknown)[],
): Promise<RunningRole> {
  const params = paramsOf(genesis)
  const { chainId } = params
  const seat = await findSeat(genesis, config.dir)
  const store = new LmdbLedgerStore(config.dir)
  closing.push(() => store.close())
  const ledger = await openLedger(store, genesis, config.dir, { history: config.history })
  const state = {
    nonce: (address: Address) => ledger.getNonce(address),
    balance: (address: Address) => ledger.getBalance(address),
    nextBaseFee: () => ledger.nextBaseFee,
  }
  const mempool = await openMempool({ chainId, state, metrics, log, dir: config.dir, limits: config.mempool })
  closing.push(() => mempool.close())

  const certificates = seat && new CertificateStore(config.dir)
  if (certificates) closing.push(() => certificates.close())
  const context = { signal, log, metrics }
  const keeper =
    (seat || config.peer) && config.snapshots?.make !== false
      ? new SnapshotKeeper(
          {
            dir: config.dir,
            params,
            genesisMs: genesis.timeMs,
            readSnapshot: () => store.readSnapshot(),
            log: log.child({ part: 'snapshots' }),
            metrics,
          },
          config.snapshots?.limits,
        )
      : undefined
  await keeper?.open()
  if (keeper) closing.push(() => keeper.close())
  const snapshots = keeper?.handlers
  const member =
    seat &&
    (await openMember({
      config,
      genesis,
      seat,
      ledger,
      store,
      certificates: certificates!,
      mempool,
      snapshots,
      context,
    }))
  if (member) closing.push(() => member.close())
  const heartbeatMs = (seat ? params.order.heartbeatSlots : (config.heartbeatSlots ?? HEARTBEAT_SLOTS)) * params.slotMs
  const orderer: Orderer = member?.orderer ?? singleOrderer(config, params, ledger, mempool, heartbeatMs)

  let rpc: RpcServer | undefined
  let followers: Followers | undefined
  const status = () => ({
    ...statusOf(params, genesis, ledger, mempool, orderer, rpc),
    ...(keeper && { snapshots: { kept: keeper.heights.map(String) } }),
    ...followers?.status(),
  })
  const health = () => healthOf(ledger, heartbeatMs)
  const view = new LedgerView({
    ledger,
    mempool,
    certificates,
    consensus: certificates && consensusView(genesis, certificates, () => orderer.status()),
    clientVersion,
    status,
    peerCount: () => member?.orderer.connectedCount ?? 0,
  })
  if (keeper) view.onBlock(() => keeper.onBlock(ledger.head))
  rpc = await startRpcServer(
    { chain: view, log: log.child({ part: 'rpc' }), metrics, health },
    { ...config.rpc, ...(config.rpc.verifySources && { verification: { dir: `${config.dir}/sources` } }) },
  )
  closing.push(() => rpc.close())

  followers = await serveFollowers({
    config,
    genesis,
    ledger,
    store,
    certificates,
    mempool,
    view,
    member,
    snapshots,
    context,
  })
  closing.push(() => followers?.close())

  // Ends with the caller's signal, or with the first part that fails.
  const ending = new AbortController()
  const endSignal = AbortSignal.any([signal, ending.signal])
  const executor = new BlockExecutor({ ledger, mempool, view, log, metrics, dumpDir: config.dir })
  const stopped = (async () => {
    try {
      await executor.run(orderer, { signal: endSignal })
    } finally {
      ending.abort()
      for (const close of closing.reverse()) await close()
      log.info('validator stopped', { height: ledger.head.number })
    }
  })()
  // Whoever waits for `stopped` gets the error; nobody need wait.
  stopped.catch(() => {})
  log.info('validator ready', { rpcPort: rpc.port, height: ledger.head.number, chainId, orderer: orderer.kind })
  return { ports: { rpc: rpc.port, ...(member && { peer: member.port }), ...followers.ports }, status, health, stopped }
}

function singleOrderer(
  config: ValidatorConfig,
  params: Params,
  ledger: Ledger,
  mempool: Mempool,
  heartbeatMs: number,
): SingleOrderer {
  return new SingleOrderer(
    { source: mempool, head: ledger.head, coinbase: config.coinbase ?? ZERO_ADDRESS },
    {
      room: { gas: params.blockGasLimit, bytes: BATCH_BYTES_MAX, count: BATCH_COUNT_MAX },
      heartbeatMs,
      spacingMs: config.spacingMs,
    },
  )
}

function statusOf(
  params: Params,
  genesis: GenesisFile,
  ledger: Ledger,
  mempool: Mempool,
  orderer: Orderer,
  rpc: RpcServer | undefined,
): object {
  const { head } = ledger
  const epoch = Math.floor((head.timestampMs - genesis.timeMs) / (params.slotMs * params.slotsPerEpoch))
  return {
    role: 'validator',
    chainId: params.chainId,
    preset: params.name,
    genesisHash: bytesToHex(ledger.genesisHash),
    height: head.number.toString(),
    headHash: bytesToHex(head.hash),
    headTimestampMs: head.timestampMs,
    epoch,
    era: Math.floor(epoch / params.epochsPerEra),
    baseFeeWei: ledger.nextBaseFee.toString(),
    mempool: { ...mempool.counts(), bytes: mempool.bytes },
    orderer: orderer.status(),
    rpc: rpc?.counts,
  }
}

function healthOf(ledger: Ledger, heartbeatMs: number): HealthReport {
  const ageMs = Date.now() - ledger.head.timestampMs
  // Before the first block the head is the genesis, which may be of any age.
  const isMoving = ledger.head.number === 0n || ageMs < heartbeatMs + STALL_MS
  const halted = ledger.halted
  const checks = [
    { name: 'execution', ok: halted === undefined, ...(halted && { detail: halted.message }) },
    { name: 'chain', ok: isMoving, detail: `block ${ledger.head.number}, ${Math.round(ageMs / 1000)} s old` },
  ]
  return { ok: checks.every(({ ok }) => ok), checks }
}
