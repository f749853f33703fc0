import { join } from 'node:path'
import { ChainClient } from '@cumulus/chain'
import { PeerIdentity } from '@cumulus/network'
import type { Params } from '@cumulus/params'
import { type HealthReport, type RoleContext, type RunningRole, sleep } from '@cumulus/service'
import { AppendLogs, fillIdleCells, Scrubber, SlabStore, spaceBudget } from '@cumulus/store'
import type { Address } from '@cumulus/types'
import type { ChainWorker } from './audit-chain.ts'
import { Audits, type AuditsInit } from './audits.ts'
import { Authority } from './authority.ts'
import { FrameService } from './frame-service.ts'
import { createMinerMetrics } from './metrics.ts'
import type { ChainGateway, ChainMiner, MinerChain } from './miner-chain.ts'
import { MinerError } from './miner-error.ts'
import { moduleChain } from './module-chain.ts'
import { RegisterLinks } from './register-links.ts'
import { ensureRegistered } from './registration.ts'
import { StripeFollower } from './stripe-follower.ts'

export interface MinerConfig {
  /** State of this process: peer key, slabs, index, logs. */
  readonly folder: string
  readonly params: Params
  /** JSON-RPC URLs of the chain; the next is tried when one fails. */
  readonly rpc: readonly string[]
  /** 32 bytes: key of the account that registers and stakes. */
  readonly privateKey: Uint8Array
  /** Disk to offer. Nothing beyond it is ever used. */
  readonly spaceBytes: number
  /** Who is paid. Default: the own account. */
  readonly beneficiary?: Address
  /** Where this miner is, such as `eu-de`. */
  readonly region?: string
  /** Multiaddresses for the register. Default: none, since miners dial. */
  readonly addresses?: string
  /**
   * In wei: so much it adds to its stake by itself, from its account and as long as it runs, when penalties have frozen it. Default 0:
   * its owner decides.
   */
  readonly topUpMax?: bigint
  readonly tuning?: MinerTuning
}

export interface MinerTuning {
  /** The disk is never filled beyond this. Default 2 GiB. */
  readonly keepFreeBytes?: number
  /** Idle cells written in the background. Default 4 MiB/s; 0 = none. */
  readonly fillBytesPerSecond?: number
  /** Default 8 MiB/s. */
  readonly scrubBytesPerSecond?: number
  /** Default true. */
  readonly direct?: boolean
  readonly audits?: Omit<AuditsInit, 'folder'>
}

/** The register is read again after a change, and this often in any case. */
const REGISTER_MS = 60_000
const UNITS_MS = 15_000

/**
 * Starts a miner: opens its disk, connects to the chain, registers if need be (waiting for funds), then serves all
 * gateways of the register until the context's signal aborts.
 *
 * @throws MinerError, StoreError, ChainError, NetworkError: it cannot start as configured
 */
export async function startMiner(config: MinerConfig, context: RoleContext): Promise<RunningRole> {
  const chain = await ChainClient.connect({
    urls: config.rpc,
    privateKey: config.privateKey,
    params: config.params,
    log: context.log,
    metrics: context.metrics,
    signal: context.signal,
  })
  return runMiner(config, context, moduleChain(chain))
}

/** As `startMiner`, on a chain that is given. */
export async function runMiner(
  config: Omit<MinerConfig, 'rpc' | 'privateKey'>,
  context: RoleContext,
  chain: MinerChain,
): Promise<RunningRole> {
  const { params, tuning = {} } = config
  const { log, signal } = context
  const { units, logBytes, indexBytes } = spaceBudget(config.spaceBytes, params.unitBytes)
  if (units === 0) {
    const details = { spaceBytes: config.spaceBytes, unitBytes: params.unitBytes }
    throw new MinerError('NO_UNITS', 'the space does not hold one unit', details)
  }
  const identity = await PeerIdentity.loadOrCreate(config.folder)
  const keepFreeBytes = tuning.keepFreeBytes
  const store = await SlabStore.open(config.folder, {
    units,
    unitBytes: params.unitBytes,
    indexBytes,
    idleKey: identity.publicKey,
    keepFreeBytes,
    direct: tuning.direct,
  })
  if (!store.direct) log.warn('this file system has no O_DIRECT: fragments go through the page cache')
  let logs: AppendLogs | undefined
  try {
    logs = await AppendLogs.open(join(config.folder, 'logs'), { bytesMax: logBytes, keepFreeBytes })
    const entry = await ensureRegistered(
      { chain, identity, params, log },
      {
        units,
        addresses: config.addresses ?? '',
        region: config.region ?? '',
        beneficiary: config.beneficiary,
      },
      { signal },
    )
    const followFromBlock = await chain.blockNumber()
    const [gateways, workers] = await Promise.all([chain.gateways(), chain.workers()])
    return new Miner({ config, context, chain, identity, store, logs, entry, gateways, workers, followFromBlock })
  } catch (error) {
    await logs?.close()
    await store.close()
    throw error
  }
}

interface MinerParts {
  readonly config: Omit<MinerConfig, 'rpc' | 'privateKey'>
  readonly context: RoleContext
  readonly chain: MinerChain
  readonly identity: PeerIdentity
  readonly store: SlabStore
  readonly logs: AppendLogs
  readonly entry: ChainMiner
  /** The registers as they were at `followFromBlock`, or later. */
  readonly gateways: readonly ChainGateway[]
  readonly workers: readonly ChainWorker[]
  readonly followFromBlock: bigint
}

class Miner implements RunningRole {
  readonly ports = {}
  readonly stopped: Promise<void>
  readonly #parts: MinerParts
  readonly #authority: Authority
  readonly #links: RegisterLinks
  readonly #workerLinks: RegisterLinks
  readonly #audits: Audits
  readonly #scrubber: Scrubber
  readonly #metrics: ReturnType<typeof createMinerMetrics>
  #entry: ChainMiner
  #gatewayCount = 0
  #workers: readonly ChainWorker[] = []
  #chainFailure: unknown
  /** Wei, since the start. */
  #toppedUp = 0n

  constructor(parts: MinerParts) {
    const { config, context, chain, identity, store, logs } = parts
    const { log, metrics: registry } = context
    const { params, tuning = {} } = config
    this.#parts = parts
    this.#entry = parts.entry
    this.#metrics = createMinerMetrics(registry)
    this.#authority = new Authority(chain, identity.publicKey)
    this.#audits = new Audits(
      {
        chain,
        store,
        authority: this.#authority,
        sessionOf: (peerKey) => this.#workerLinks.sessionOf(peerKey),
        onNeeds: () => this.#linkWorkers(),
        params,
        metrics: this.#metrics,
        log,
      },
      { folder: config.folder, ...tuning.audits },
    )
    const frames = new FrameService({
      store,
      logs,
      authority: this.#authority,
      tags: this.#audits.tags,
      onDamaged: () => this.#audits.damaged(),
      identity,
      params,
      metrics: this.#metrics,
      log,
    })
    const endpoint = { identity, handlers: frames.handlers, bodyBuffers: frames.bodyBuffers, metrics: registry, log }
    const dialling = { endpoint, chainId: params.chainId, log }
    this.#links = new RegisterLinks('gateway', dialling)
    this.#workerLinks = new RegisterLinks('tee-worker', dialling)
    this.#scrubber = new Scrubber(
      { store, log },
      {
        bytesPerSecond: tuning.scrubBytesPerSecond,
        onCorrupt: () => {
          this.#metrics.corrupt.inc()
          this.#audits.damaged()
        },
      },
    )
    this.#metrics.direct.set({ account: chain.account }, store.direct ? 1 : 0)
    this.#useGateways(parts.gateways)
    this.#useWorkers(parts.workers)
    this.stopped = this.#run()
  }

  #useGateways(gateways: readonly ChainGateway[]): void {
    this.#gatewayCount = gateways.length
    this.#authority.setGateways(gateways)
    this.#links.update(gateways)
  }

  #useWorkers(workers: readonly ChainWorker[]): void {
    this.#workers = workers
    this.#authority.setWorkers(workers)
    this.#audits.setWorkers(workers)
    this.#linkWorkers()
  }

  /** Those that do not serve are strangers, unless tags are here that only they can help to prove. */
  #linkWorkers(): void {
    const wanted = this.#workers.filter(({ account, isServing }) => isServing || this.#audits.needs(account))
    this.#workerLinks.update(wanted)
  }

  async status(): Promise<object> {
    const { chain, identity, store, logs } = this.#parts
    const { declaredUnits, idleUnits, lockedUnits, serviceUnits, state } = this.#entry
    const slabs = store.status
    return {
      account: chain.account,
      peerId: identity.peerId,
      state,
      stake: String(this.#entry.stake),
      units: {
        declared: declaredUnits,
        idle: idleUnits,
        locked: lockedUnits,
        service: serviceUnits,
        used: slabs.usedUnits,
        free: slabs.freeUnits,
        written: slabs.writtenCells,
        /** Proofs of idle space do not exist yet. */
        proven: 0,
      },
      unitBytes: this.#parts.config.params.unitBytes,
      spaceBytes: this.#parts.config.spaceBytes,
      pendingFragments: slabs.pendingFragments,
      corruptFragments: slabs.corruptFragments,
      indexBytes: slabs.indexBytes,
      direct: slabs.direct,
      logs: logs.status,
      links: this.#links.status,
      workerLinks: this.#workerLinks.status,
      audit: this.#audits.status,
      lastScrub: this.#scrubber.lastReport,
    }
  }

  async health(): Promise<HealthReport> {
    const corrupt = this.#parts.store.status.corruptFragments
    const sessions = this.#links.sessionCount
    const checks = [
      {
        name: 'chain',
        ok: this.#chainFailure === undefined,
        detail: this.#chainFailure ? String((this.#chainFailure as Error).message) : undefined,
      },
      { name: 'registered', ok: this.#entry.state === 'active', detail: this.#entry.state },
      {
        name: 'gateways',
        ok: this.#gatewayCount === 0 || sessions > 0,
        detail: `${sessions} sessions with ${this.#gatewayCount} gateways`,
      },
      ...this.#audits.checks,
      { name: 'fragments', ok: corrupt === 0, detail: `${corrupt} damaged` },
    ]
    return { ok: checks.every(({ ok }) => ok), checks }
  }

  async #run(): Promise<void> {
    const { config, context, chain, store, logs, entry } = this.#parts
    const { log } = context
    // The first part that dies takes the others along: a miner that follows half of the chain is worse than none.
    const failure = new AbortController()
    const signal = AbortSignal.any([context.signal, failure.signal])
    const follower = new StripeFollower({
      chain,
      store,
      authority: this.#authority,
      metrics: this.#metrics,
      log,
    })
    const fillBytesPerSecond = config.tuning?.fillBytesPerSecond
    const parts = [
      follower.run({ fromBlock: entry.registeredAtBlock, signal }),
      this.#watchRegister('gateways', signal),
      this.#watchRegister('workers', signal),
      this.#audits.run({ signal }),
      this.#watchUnits(signal),
      this.#scrubber.run({ signal }),
      ...(fillBytesPerSecond === 0
        ? []
        : [
            fillIdleCells(
              store,
              { log, unitBytes: config.params.unitBytes },
              { signal, bytesPerSecond: fillBytesPerSecond },
            ),
          ]),
    ]
    try {
      await Promise.all(
        parts.map((part) =>
          part.catch((error: unknown) => {
            failure.abort(error)
            throw error
          }),
        ),
      )
      if (!signal.aborted) throw new Error('the chain stopped telling events')
    } catch (error) {
      if (!context.signal.aborted) {
        log.error('the miner stops', { error })
        throw error
      }
    } finally {
      await Promise.allSettled(parts)
      await Promise.all([this.#links.close(), this.#workerLinks.close()])
      await logs.close()
      await store.close()
      log.info('stopped')
    }
  }

  async #watchRegister(which: 'gateways' | 'workers', signal: AbortSignal): Promise<void> {
    const { chain, followFromBlock: fromBlock } = this.#parts
    let changed = Promise.withResolvers<void>()
    const follow = async (): Promise<void> => {
      const init = { fromBlock, signal }
      const changes = which === 'gateways' ? chain.gatewayChanges(init) : chain.workerChanges(init)
      for await (const _ of changes) changed.resolve()
    }
    const following = follow().catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
    const refresh = async (): Promise<void> => {
      for (;;) {
        const waiting = new AbortController()
        const rest = sleep(REGISTER_MS, AbortSignal.any([signal, waiting.signal]))
        await Promise.race([rest, changed.promise]).finally(() => {
          waiting.abort()
          rest.catch(() => undefined) // it lost the race
        })
        changed = Promise.withResolvers<void>()
        await this.#reading(async () => {
          if (which === 'gateways') this.#useGateways(await chain.gateways())
          else this.#useWorkers(await chain.workers())
        }, signal)
      }
    }
    await Promise.all([
      following,
      refresh().catch((error: unknown) => {
        if (!signal.aborted) throw error
      }),
    ])
  }

  async #watchUnits(signal: AbortSignal): Promise<void> {
    const { chain, store } = this.#parts
    const { account } = chain
    while (!signal.aborted) {
      await this.#reading(async () => {
        const [entry] = await Promise.all([chain.miner(), this.#audits.refresh()])
        this.#entry = entry ?? this.#entry
        await this.#topUp()
      }, signal)
      const { declaredUnits, idleUnits, lockedUnits, serviceUnits } = this.#entry
      const { usedUnits, freeUnits, writtenCells } = store.status
      const kinds = {
        declared: declaredUnits,
        idle: idleUnits,
        locked: lockedUnits,
        service: serviceUnits,
        used: usedUnits,
        free: freeUnits,
        written: writtenCells,
      }
      for (const [kind, count] of Object.entries(kinds)) this.#metrics.units.set({ account, kind }, count)
      this.#metrics.links.set({ account }, this.#links.sessionCount)
      await sleep(UNITS_MS, signal).catch(() => undefined) // the loop sees the abort
    }
  }

  /** Pays what keeps the miner frozen, within what its owner allows. */
  async #topUp(): Promise<void> {
    const { chain, config, context } = this.#parts
    const { state, missingStake } = this.#entry
    const left = (config.topUpMax ?? 0n) - this.#toppedUp
    if (state !== 'frozen' || missingStake === 0n || missingStake > left) return
    await chain.topUp(missingStake)
    this.#toppedUp += missingStake
    context.log.warn('added to the stake, because penalties had frozen the miner', { wei: missingStake })
    this.#entry = (await chain.miner()) ?? this.#entry
  }

  /** A read that may fail while the chain is away: the miner goes on with what it knows. */
  async #reading(read: () => Promise<void>, signal: AbortSignal): Promise<void> {
    try {
      await read()
      this.#chainFailure = undefined
    } catch (error) {
      if (signal.aborted) return
      this.#chainFailure = error
      this.#parts.context.log.warn('the chain does not answer', { error })
    }
  }
}
