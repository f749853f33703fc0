import { mkdir } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { ByteWriter, concatBytes, utf8Encode } from '@cumulus/bytes'
import { FrameOp, type Listener, listen, PeerIdentity } from '@cumulus/network'
import type { Params, StorageClass } from '@cumulus/params'
import type { Logger } from '@cumulus/service'
import { Database } from '@cumulus/store'
import type { GatewayChain } from './chain/gateway-chain.ts'
import { OwnerJournal } from './journal/owner-journal.ts'
import { StripeReserve } from './journal/stripe-reserve.ts'
import type { ObjectLayer, OwnerId } from './object-layer.ts'
import { ReadBudget } from './objects/body-reader.ts'
import { BufferPool } from './objects/buffer-pool.ts'
import { DataEngine } from './objects/data-engine.ts'
import type { Table } from './objects/index-store.ts'
import { ObjectIndex } from './objects/object-index.ts'
import { OverlayStore } from './objects/overlay-store.ts'
import type { OwnerStore } from './objects/owner-store.ts'
import { SegmentKeeper } from './objects/segment-keeper.ts'
import { deriveDataKeys } from './owner-keys.ts'
import { PeerTable } from './segments/seat-sessions.ts'
import { SegmentEngine } from './segments/segment-engine.ts'
import { segmentLayout } from './segments/segment-layout.ts'
import { InlinePool, type SegmentPool, WorkerPool } from './segments/segment-pool.ts'

export interface EngineInit {
  /** Holds index, logs and the peer key. One gateway at a time. */
  readonly folder: string
  readonly params: Params
  /** How segments are cut. Default `standard`. */
  readonly storageClass?: 'standard' | 'light'
  readonly host: string
  /** Port for miners; the workers' follow it. 0 = any free ones. */
  readonly port: number
  /** Threads that encode and read segments; 0 = do it on the calling thread. Default: one less than cores, at most 2. */
  readonly workers?: number
  /** Segments each worker has under way, 96 MiB of memory each. Default 1. */
  readonly placesPerWorker?: number
  /** Memory for bodies on their way in. Default: three segments. */
  readonly bufferBytes?: number
  /** An open pack is sealed when it is older. Default ten minutes. */
  readonly sealAfterMs?: number
  /** A write waits so long for the network to take packs when as many as may be are here. Default 15 s. */
  readonly roomMs?: number
}

export interface EngineComponents {
  readonly chain: GatewayChain
  readonly log: Logger
  readonly signal: AbortSignal
  /** Called if a thread dies: the process must end. */
  readonly onDeath: (error: unknown) => void
}

/** Whose data the gateway keeps, with what it needs for that. */
export interface OwnerInit {
  readonly owner: OwnerId
  readonly territory: bigint
  /** 32 bytes. */
  readonly dataKey: Uint8Array
}

/**
 * Everything under the S3 front end: index, journals, segments, sessions. Opening it replays what an earlier run left
 * in its logs; owners are added afterwards, and served from then on.
 */
export class Engine {
  readonly objects: ObjectLayer
  readonly identity: PeerIdentity
  readonly index: ObjectIndex
  readonly peers: PeerTable
  readonly pool: SegmentPool
  readonly #init: EngineInit
  readonly #components: EngineComponents
  readonly #store: OverlayStore
  readonly #buffers: BufferPool
  readonly #listener: Listener
  readonly #stores = new Map<OwnerId, OwnerStore>()
  readonly #stop: AbortController
  readonly #logs: Table
  readonly #recovering: Table
  readonly #groups = new Map<number, Promise<readonly Uint8Array[]>>()

  private constructor(parts: {
    init: EngineInit
    components: EngineComponents
    identity: PeerIdentity
    peers: PeerTable
    pool: SegmentPool
    inline: SegmentEngine
    store: OverlayStore
    listener: Listener
    stop: AbortController
  }) {
    const { init } = parts
    this.#init = init
    this.#components = parts.components
    this.identity = parts.identity
    this.peers = parts.peers
    this.pool = parts.pool
    this.#store = parts.store
    this.#logs = parts.store.table('logs')
    this.#recovering = parts.store.table('recovering')
    this.#listener = parts.listener
    this.#stop = parts.stop
    const layout = segmentLayout(classOf(init))
    this.index = new ObjectIndex(parts.store)
    this.#buffers = new BufferPool(layout.segmentBytes, init.bufferBytes ?? 3 * layout.segmentBytes)
    this.objects = new DataEngine({
      layout,
      index: this.index,
      pool: parts.pool,
      inline: parts.inline,
      buffers: this.#buffers,
      budget: new ReadBudget(48),
      ownerStore: (owner) => this.#stores.get(owner),
    })
  }

  static async open(init: EngineInit, components: EngineComponents): Promise<Engine> {
    const { folder, params, host } = init
    const { log } = components
    await mkdir(join(folder, 'packs'), { recursive: true, mode: 0o700 })
    const stop = new AbortController()
    const identity = await PeerIdentity.loadOrCreate(folder)
    const database = await Database.open(join(folder, 'index'))
    const store = new OverlayStore(database, log)
    const storageClass = classOf(init)
    const peers = new PeerTable()
    const engineInit = { storageClass, chainId: params.chainId, placeCount: init.placesPerWorker ?? 1 }
    const inline = new SegmentEngine({ ...engineInit, sessions: peers })
    const workerCount = init.workers ?? Math.max(1, Math.min(2, availableParallelism() - 1))
    let pool: SegmentPool | undefined
    try {
      pool =
        workerCount === 0
          ? new InlinePool(inline)
          : await WorkerPool.start(
              Array.from({ length: workerCount }, (_, i) => ({
                ...engineInit,
                folder,
                host,
                port: init.port === 0 ? 0 : init.port + 1 + i,
              })),
              { log, onDeath: components.onDeath },
            )
      const hello = utf8Encode(
        JSON.stringify({ role: 'gateway', chainId: params.chainId, version: 1, ports: { workers: pool.ports } }),
      )
      const listener = await listen(
        {
          identity,
          handlers: { [FrameOp.hello]: () => ({ meta: hello }) },
          host,
          port: init.port,
          onSession: (session) => peers.add(session),
          log,
        },
        { signal: stop.signal },
      )
      return new Engine({ init, components, identity, peers, pool, inline, store, listener, stop })
    } catch (error) {
      await pool?.close()
      await store.close()
      throw error
    }
  }

  /** Where miners dial: the main port. The hello names the workers'. */
  get port(): number {
    return this.#listener.port
  }

  /** Memory held by bodies on their way in. */
  get bufferBytes(): number {
    return this.#buffers.usedBytes
  }

  get owners(): readonly OwnerId[] {
    return [...this.#stores.keys()]
  }

  /** Whether a recovery of this territory was begun and not ended. It may be begun again: entries are applied once. */
  isRecovering(territory: bigint): boolean {
    return this.#recovering.get(new ByteWriter(16).u64(territory).finish()) !== undefined
  }

  async setRecovering(territory: bigint, isRecovering: boolean): Promise<void> {
    const key = new ByteWriter(16).u64(territory).finish()
    this.#store.transact(() => {
      if (isRecovering) this.#recovering.put(key, new Uint8Array([1]))
      else this.#recovering.delete(key)
    })
    await this.#store.flushed()
  }

  /** Keeps in mind who holds a log that this gateway did not write itself. Dropped there once it is not a local one. */
  noteLog(territory: bigint, logId: Uint8Array, peers: readonly Uint8Array[]): void {
    const row = new ByteWriter(128)
      .u64(territory)
      .bytes(concatBytes(...peers))
      .finish()
    this.#store.transact(() => this.#logs.put(logId, row))
  }

  ownerStore(owner: OwnerId): OwnerStore | undefined {
    return this.#stores.get(owner)
  }

  /** Serves an owner from now on. Silent if it does already. */
  async addOwner({ owner, territory, dataKey }: OwnerInit): Promise<OwnerStore> {
    const known = this.#stores.get(owner)
    if (known) return known
    const { params, folder } = this.#init
    const { chain } = this.#components
    const log = this.#components.log.child({ territory: territory.toString() })
    const storageClass = classOf(this.#init)
    const layout = segmentLayout(storageClass)
    const { signal } = this.#stop
    const groups = (id: number) => this.#peerKeys(id)
    const reserve = new StripeReserve({
      territory,
      storageClass,
      params,
      chain,
      store: this.#store,
      log,
      signal,
      groups,
    })
    let keeper: SegmentKeeper | undefined
    const early: (() => void)[] = []
    const later = (call: (keeper: SegmentKeeper) => void): void => {
      if (keeper) call(keeper)
      else early.push(() => call(keeper!))
    }
    const journal = new OwnerJournal({
      owner,
      territory,
      keys: deriveDataKeys(dataKey),
      chainId: params.chainId,
      layout,
      folder: join(folder, 'packs'),
      index: this.index,
      store: this.#store,
      sessions: this.peers,
      logSeats: () => reserve.seats(),
      log,
      roomMs: this.#init.roomMs,
      onFull: (pack) => later((it) => it.seal(pack)),
      onDead: () => later((it) => it.noteDead()),
    })
    await journal.load()
    await reserve.load()
    keeper = new SegmentKeeper({
      territory,
      layout,
      journal,
      index: this.index,
      store: this.#store,
      chain,
      reserve,
      pool: this.pool,
      buffers: this.#buffers,
      sessions: this.peers,
      groups,
      log,
      signal,
      sealAfterMs: this.#init.sealAfterMs ?? 600_000,
    })
    const store: OwnerStore = { journal, keeper, reserve }
    for (const call of early) call()
    keeper.start()
    this.#stores.set(owner, store)
    return store
  }

  status(): object {
    return {
      peerId: this.identity.peerId,
      minersConnected: this.peers.peers.length,
      minersConnectedToWorkers: Number.isFinite(this.pool.peerCount) ? this.pool.peerCount : undefined,
      bufferBytes: this.#buffers.usedBytes,
      owners: [...this.#stores].map(([owner, { journal, keeper, reserve }]) => {
        const segments = { data: 0, packs: 0 }
        for (const row of this.index.segments(journal.territory)) segments[row.kind === 1 ? 'packs' : 'data']++
        return {
          owner,
          territory: journal.territory.toString(),
          segments,
          openPack: journal.openPack,
          localPacks: journal.packCount,
          waitingWrites: journal.waitingCount,
          pendingSeals: keeper.pendingSeals,
          pendingCommits: keeper.pendingCommits,
          pendingRepairs: keeper.pendingRepairs,
          stripesInStock: reserve.availableCount,
          reserveFailure: reserve.failure && { code: reserve.failure.code, message: reserve.failure.message },
          ...keeper.stats,
        }
      }),
    }
  }

  /** Ends the loops, writes what was submitted, closes files and sessions. */
  async close(): Promise<void> {
    for (const { journal } of this.#stores.values()) await journal.close()
    this.#stop.abort(new Error('the gateway is stopping'))
    await Promise.all([...this.#stores.values()].map(({ keeper }) => keeper.stopped()))
    await this.pool.close()
    await this.#listener.close()
    await this.#store.close()
  }

  #peerKeys(group: number): Promise<readonly Uint8Array[]> {
    let known = this.#groups.get(group)
    if (!known) {
      known = this.#components.chain.group(group).then(({ peerKeys }) => peerKeys)
      known.catch(() => this.#groups.delete(group))
      this.#groups.set(group, known)
    }
    return known
  }
}

function classOf(init: EngineInit): StorageClass {
  return init.params.classes[init.storageClass ?? 'standard']
}
