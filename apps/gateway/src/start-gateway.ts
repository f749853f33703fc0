import { join } from 'node:path'
import { ChainClient } from '@cumulus/chain'
import type { Params } from '@cumulus/params'
import {
  Deferred,
  Gauge,
  type HealthReport,
  type Metrics,
  type RoleContext,
  type RunningRole,
  ServiceError,
} from '@cumulus/service'
import type { GatewayChain } from './chain/gateway-chain.ts'
import { moduleChain } from './chain/module-chain.ts'
import { Engine } from './engine.ts'
import type { OwnerId } from './object-layer.ts'
import { ensureRegistered } from './registration.ts'
import { type S3Server, startS3Server } from './s3/index.ts'
import { dataKeyOf, UsersFile } from './users.ts'

export interface GatewayConfig {
  /** State of this process: peer key, index, pack logs. */
  readonly folder: string
  readonly params: Params
  /** JSON-RPC URLs of the chain; the next is tried when one fails. */
  readonly rpc: readonly string[]
  /** 32 bytes: key of the account that registers, reserves and commits. */
  readonly privateKey: Uint8Array
  readonly s3: {
    readonly host: string
    /** 0 = any free one. */
    readonly port: number
    readonly region: string
    /** Names for virtual-host style. Default: `localhost`. */
    readonly hostSuffixes?: readonly string[]
  }
  /** Where miners dial. Workers listen on the ports after this one; 0 = any free ones. */
  readonly data: { readonly host: string; readonly port: number /** Default: the host. */; readonly announce?: string }
  /** Default: `users.json` in the folder. Read again when it changes. */
  readonly usersFile?: string
  readonly storageClass?: 'standard' | 'light'
  readonly tuning?: GatewayTuning
}

export interface GatewayTuning {
  readonly workers?: number
  readonly placesPerWorker?: number
  readonly bufferBytes?: number
  readonly sealAfterMs?: number
}

/** A gateway that is under way, with what tests and `recover` need of it. */
export interface GatewayParts {
  readonly engine: Engine
  readonly chain: ChainClient
  readonly gatewayChain: GatewayChain
}

/**
 * Opens the data engine and registers the gateway, without serving anybody yet.
 *
 * @throws ServiceError, ChainError, NetworkError, StoreError: it cannot start as configured
 */
export async function openGateway(
  config: Omit<GatewayConfig, 's3'> & { readonly endpoint: string },
  context: RoleContext,
  onDeath: (error: unknown) => void,
): Promise<GatewayParts> {
  const { params, data, tuning = {} } = config
  const { log, metrics, signal } = context
  const chain = await ChainClient.connect({
    urls: [...config.rpc],
    privateKey: config.privateKey,
    params,
    log,
    metrics,
    signal,
  })
  const gatewayChain = moduleChain(chain, config.rpc, params)
  const engine = await Engine.open(
    {
      folder: config.folder,
      params,
      storageClass: config.storageClass,
      host: data.host,
      port: data.port,
      ...tuning,
    },
    { chain: gatewayChain, log, signal, onDeath },
  )
  try {
    const addresses = `${multiaddressOf(data.announce ?? data.host)}/tcp/${engine.port}/p2p/${engine.identity.peerId}`
    const wish = { addresses, endpoint: config.endpoint }
    await ensureRegistered({ chain, identity: engine.identity, params, log }, wish, { signal })
  } catch (error) {
    await engine.close()
    throw error
  }
  return { engine, chain, gatewayChain }
}

/**
 * Starts a gateway: opens its index, registers, waits for nobody: S3 is served at once, and writes wait until enough
 * miners have dialled. Ends gracefully when the context's signal aborts.
 */
export async function startGateway(config: GatewayConfig, context: RoleContext): Promise<RunningRole> {
  const died = new Deferred<never>()
  died.promise.catch(() => {})
  const endpoint = `http://${config.s3.host}:${config.s3.port}`
  const { engine, gatewayChain } = await openGateway({ ...config, endpoint }, context, (error) => died.reject(error))
  const users = new UsersFile(config.usersFile ?? join(config.folder, 'users.json'), context.log)
  let s3: S3Server
  const stop = new AbortController()
  const serveAll = async (): Promise<void> => {
    for (const user of users.users) {
      const territory = BigInt(user.territory)
      try {
        if (await isIndexLost(engine, gatewayChain, user.owner, territory)) {
          if (!users.isUnavailable(user.owner)) {
            context.log.warn(INDEX_LOST, { name: user.name, owner: user.owner, territory })
          }
          users.setUnavailable(user.owner, INDEX_LOST)
          continue
        }
        await engine.addOwner({ owner: user.owner, territory, dataKey: dataKeyOf(user) })
      } catch (error) {
        context.log.error('user not served', { name: user.name, error })
      }
    }
  }
  try {
    await users.refresh()
    await serveAll()
    s3 = await startS3Server(
      {
        host: config.s3.host,
        port: config.s3.port,
        objects: engine.objects,
        users,
        region: config.s3.region,
        hostSuffixes: config.s3.hostSuffixes ?? ['localhost'],
        metrics: context.metrics,
        log: context.log,
      },
      { signal: stop.signal },
    )
  } catch (error) {
    await engine.close()
    throw error
  }
  const watching = users.watch(serveAll, stop.signal)
  addMetrics(engine, context.metrics)
  const stopped = (async () => {
    await Promise.race([aborted(context.signal), died.promise.catch(() => {})])
    await s3.close()
    stop.abort()
    await watching
    await engine.close()
    if (!context.signal.aborted) await died.promise
  })()
  stopped.catch(() => {})
  const wanted = config.params.classes[config.storageClass ?? 'standard'].writeQuorum
  return {
    ports: { s3: s3.port, data: engine.port },
    status: () => ({
      users: users.users.length,
      needRecovery: users.users.filter(({ owner }) => users.isUnavailable(owner)).map(({ name }) => name),
      ...engine.status(),
    }),
    health: (): HealthReport => {
      const main = engine.peers.peers.length
      const worker = Math.min(main, engine.pool.peerCount)
      // Who needs recovery needs a person with a key: the gateway itself works.
      const served = users.users.every(({ owner }) => engine.owners.includes(owner) || users.isUnavailable(owner))
      const checks = [
        { name: 'miners', ok: worker >= wanted, detail: `${worker} connected, ${wanted} make a quorum` },
        { name: 'users', ok: served, detail: `${engine.owners.length} owners served` },
      ]
      return { ok: checks.every(({ ok }) => ok), checks }
    },
    stopped,
  }
}

const INDEX_LOST = 'this owner has data on the network and no index here: run "cumulus gateway recover" with its key'

/**
 * Whether another gateway, or this one before it lost its folder, has written for the owner. To serve such an owner
 * with an empty index would show empty buckets, and number new packs like old ones.
 */
async function isIndexLost(engine: Engine, chain: GatewayChain, owner: OwnerId, territory: bigint): Promise<boolean> {
  if (engine.ownerStore(owner) || engine.index.progress(territory)) return false
  return (await chain.reservationsOf(territory)).length > 0
}

function addMetrics(engine: Engine, metrics: Metrics): void {
  const gauge = (name: string, help: string, value: () => number): void => {
    new Gauge({
      name: `cumulus_gateway_${name}`,
      help,
      registers: [metrics],
      collect() {
        this.set(value())
      },
    })
  }
  const sum = (pick: (store: NonNullable<ReturnType<Engine['ownerStore']>>) => number) => () => {
    let total = 0
    for (const owner of engine.owners) {
      const store = engine.ownerStore(owner)
      if (store) total += pick(store)
    }
    return total
  }
  gauge('miners_connected', 'Miners with a session to the main thread', () => engine.peers.peers.length)
  gauge('buffer_bytes', 'Memory held by bodies on their way in', () => engine.bufferBytes)
  gauge(
    'waiting_writes',
    'Transactions not durable yet',
    sum(({ journal }) => journal.waitingCount),
  )
  gauge(
    'local_packs',
    'Packs whose logs are still here',
    sum(({ journal }) => journal.packCount),
  )
  gauge(
    'pending_seals',
    'Packs that wait to become segments',
    sum(({ keeper }) => keeper.pendingSeals),
  )
  gauge(
    'pending_commits',
    'Stripes that wait for the chain',
    sum(({ keeper }) => keeper.pendingCommits),
  )
  gauge(
    'pending_repairs',
    'Segments that lack fragments',
    sum(({ keeper }) => keeper.pendingRepairs),
  )
  gauge(
    'stripes_in_stock',
    'Reserved stripes not used yet',
    sum(({ reserve }) => reserve.availableCount),
  )
  for (const what of ['sealed', 'committed', 'released', 'repaired', 'compacted', 'relocated'] as const) {
    gauge(
      `${what}_total`,
      `Since the start: ${what}`,
      sum(({ keeper }) => keeper.stats[what]),
    )
  }
}

function multiaddressOf(host: string): string {
  if (/^[0-9.]+$/.test(host)) return `/ip4/${host}`
  if (host.includes(':')) return `/ip6/${host}`
  if (host === '') throw new ServiceError('NO_ADDRESS', 'miners need an address to dial: set the data host')
  return `/dns/${host}`
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
