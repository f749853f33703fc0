import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { ByteWriter } from '@cumulus/bytes'
import { ChainClient } from '@cumulus/chain'
import { blake3 } from '@cumulus/hash'
import { registrationMessage } from '@cumulus/ledger/modules'
import { type Listener, listen, PeerIdentity, type Session } from '@cumulus/network'
import type { Params } from '@cumulus/params'
import { encodeTaggerKey, keyGen, type PodrParams } from '@cumulus/podr2'
import { Deferred, type HealthReport, type RoleContext, type RunningRole, sleep } from '@cumulus/service'
import type { QuoteSource } from '@cumulus/tee'
import type { Address } from '@cumulus/types'
import { TagDelivery } from './delivery.ts'
import { evidenceSource } from './evidence.ts'
import { FrameService } from './frame-service.ts'
import { createWorkerMetrics, type WorkerMetrics } from './metrics.ts'
import { MinerSessions } from './miner-sessions.ts'
import { moduleChain } from './module-chain.ts'
import { loadOrMakePowers } from './powers-file.ts'
import { type EvidenceSource, ensureRegistered, isRenewalDue } from './registration.ts'
import { openRoots, type RootProver } from './root-prover.ts'
import { loadOrSealSeed } from './sealed-key.ts'
import { SegmentFetcher } from './segment-fetcher.ts'
import { TagFinder } from './tag-finder.ts'
import { TagPool } from './tag-pool.ts'
import { TagRecords } from './tag-records.ts'
import { Tagging } from './tagging.ts'
import { TeeWorkerError } from './tee-worker-error.ts'
import type { AttestationKind, ChainWorker, WorkerChain } from './worker-chain.ts'

export type WorkerMode = 'full' | 'marker' | 'verifier'

export interface TeeWorkerConfig {
  /** State of this process: peer key, sealed tagger key, powers, records of what was tagged. */
  readonly folder: string
  readonly params: Params
  /** JSON-RPC URLs of the chain; the next is tried when one fails. */
  readonly rpc: readonly string[]
  /** File of the network's first state: it says whose certificates the worker believes. Production networks need it. */
  readonly genesis?: string
  /** 32 bytes: key of the account that registers. */
  readonly privateKey: Uint8Array
  /** Where miners dial. */
  readonly data: { readonly host: string; readonly port: number /** Default: the host. */; readonly announce?: string }
  /** Default full. Verifiers have nothing to do until idle space is proven, and are refused. */
  readonly mode?: WorkerMode
  readonly attestation: AttestationKind
  /** Whom the credit for the work goes to. Default: nobody. */
  readonly candidate?: Address
  /** Intel's statements about this platform. */
  readonly collateralFile?: string
  /** Default: `seal.key` in the folder, which protects nothing by itself. */
  readonly sealKeyFile?: string
  readonly tuning?: TeeWorkerTuning
  /** Default: those of the platform. */
  readonly quotes?: QuoteSource
}

export interface TeeWorkerTuning {
  /** Each holds a segment of 12 fragments, 96 MiB. Default: half the cores, at most 8. */
  readonly threads?: number
  /** Between two looks for tags that are missing. Default 60 s. */
  readonly lookMs?: number
  /** After a stripe was out of reach. Default 15 s. */
  readonly retryMs?: number
}

const ZERO_ADDRESS: Address = `0x${'0'.repeat(40)}`
const THREADS_MAX = 8
const SESSIONS_MAX = 4_096
const SESSIONS_PER_PEER_MAX = 4
const ENTRY_MS = 15_000

/**
 * Starts a TEE worker: unseals or makes its key, listens for miners, registers, and tags what the certified chain commits in
 * its groups until the context's signal aborts.
 *
 * @throws TeeWorkerError, TeeError, ChainError, NetworkError, StoreError: it cannot start as configured
 */
export async function startTeeWorker(config: TeeWorkerConfig, context: RoleContext): Promise<RunningRole> {
  const roots = await openRoots(config, context)
  const chain = await ChainClient.connect({
    urls: config.rpc,
    privateKey: config.privateKey,
    params: config.params,
    log: context.log,
    metrics: context.metrics,
    signal: context.signal,
  })
  return runTeeWorker(config, context, moduleChain(chain), roots)
}

/** As `startTeeWorker`, on a chain that is given, and roots proven as given. */
export async function runTeeWorker(
  config: Omit<TeeWorkerConfig, 'rpc' | 'privateKey' | 'genesis'>,
  context: RoleContext,
  chain: WorkerChain,
  roots: RootProver,
): Promise<RunningRole> {
  const { params, folder, mode = 'full', attestation } = config
  const { log, signal } = context
  if (mode === 'verifier') {
    throw new TeeWorkerError(
      'MODE_UNSUPPORTED',
      'a verifier has nothing to do: validators verify proofs of data themselves, and proofs of idle space do not exist yet',
    )
  }
  if (attestation === 'simulated') {
    if (params.name === 'mainnet') {
      throw new TeeWorkerError('SIMULATION_REFUSED', 'this network accepts no simulated attestation')
    }
    log.warn('attestation is SIMULATED: no hardware protects the key of this worker', { account: chain.account })
  }
  const identity = await PeerIdentity.loadOrCreate(folder)
  const owner = new ByteWriter(64).u64(BigInt(params.chainId)).bytes(identity.publicKey).finish()
  const sealKeyFile = config.sealKeyFile ?? join(folder, 'seal.key')
  const { seed, isNew } = await loadOrSealSeed(join(folder, 'tagger.sealed'), sealKeyFile, owner)
  const secret = keyGen(seed)
  const { sectorCount, challengedCount } = params.audit
  const podr: PodrParams = { chainId: params.chainId, sectorCount, challengedCount }
  const taggerKey = encodeTaggerKey(secret, registrationMessage(params.chainId, chain.account))
  const { powers, hash: powersHash } = await loadOrMakePowers(join(folder, 'powers'), secret, sectorCount)
  const records = await TagRecords.open(folder, blake3(powers), { isNewKey: isNew })
  const worker = new TeeWorker({ config, context, chain, roots, identity, podr, seed, powers, powersHash, records })
  try {
    const subject = { chain, chainId: params.chainId, peerKey: identity.publicKey, taggerKey }
    const init = { kind: attestation, collateralFile: config.collateralFile, quotes: config.quotes }
    const evidence = evidenceSource(init, subject)
    const port = await worker.listen()
    const { host, announce } = config.data
    const wish = {
      addresses: `${multiaddressOf(announce ?? host)}/tcp/${port}/p2p/${identity.peerId}`,
      modes: mode === 'full' ? 3 : 1,
      candidate: config.candidate ?? ZERO_ADDRESS,
      taggerKey,
      powersHash,
    }
    const entry = await ensureRegistered({ chain, identity, params, evidence, log }, wish, { signal })
    worker.begin(entry, evidence)
    return worker
  } catch (error) {
    await worker.close()
    throw error
  }
}

interface WorkerParts {
  readonly config: Omit<TeeWorkerConfig, 'rpc' | 'privateKey' | 'genesis'>
  readonly context: RoleContext
  readonly chain: WorkerChain
  readonly roots: RootProver
  readonly identity: PeerIdentity
  readonly podr: PodrParams
  readonly seed: Uint8Array
  readonly powers: Uint8Array
  readonly powersHash: Uint8Array
  readonly records: TagRecords
}

class TeeWorker implements RunningRole {
  readonly stopped: Promise<void>
  readonly #parts: WorkerParts
  readonly #sessions = new MinerSessions()
  readonly #metrics: WorkerMetrics
  readonly #pool: TagPool
  readonly #threads: number
  readonly #tagging: Tagging
  readonly #delivery: TagDelivery
  readonly #finder: TagFinder
  readonly #frames: FrameService
  readonly #died = new Deferred<never>()
  readonly #begun = new Deferred<EvidenceSource>()
  #listener: Listener | undefined
  #entry: ChainWorker | undefined
  #chainFailure: unknown

  constructor(parts: WorkerParts) {
    this.#parts = parts
    const { config, context, chain, roots, identity, podr, seed, powers, powersHash, records } = parts
    const { params, tuning = {} } = config
    const { log } = context
    this.#metrics = createWorkerMetrics(context.metrics)
    this.#died.promise.catch(() => {})
    this.#threads = tuning.threads ?? Math.min(THREADS_MAX, Math.max(1, Math.floor(availableParallelism() / 2)))
    const onDeath = (error: unknown): void => this.#died.reject(error)
    this.#pool = new TagPool({ seed, params: podr }, this.#threads, { log, onDeath })
    const sessions = this.#sessions
    const metrics = this.#metrics
    const groupOf = (id: number) => this.#finder.ownGroup(id)
    this.#delivery = new TagDelivery({ records, sessions, groupOf, metrics, log })
    const fetcher = new SegmentFetcher({ sessions, log })
    const pool = this.#pool
    this.#tagging = new Tagging(
      {
        params,
        podr,
        identity,
        records,
        roots,
        sessions,
        fetcher,
        pool,
        delivery: this.#delivery,
        metrics,
        log,
      },
      { retryMs: tuning.retryMs },
    )
    this.#finder = new TagFinder({ chain, records, tagging: this.#tagging, log }, { lookMs: tuning.lookMs })
    this.#frames = new FrameService({
      chainId: params.chainId,
      powers,
      powersHash,
      chain,
      records,
      tagging: this.#tagging,
      ownGroup: groupOf,
      metrics,
      log,
    })
    this.stopped = this.#run()
    this.stopped.catch(() => {})
  }

  get ports(): Readonly<Record<string, number>> {
    return this.#listener ? { data: this.#listener.port } : {}
  }

  /** Lets miners in. @returns the port */
  async listen(): Promise<number> {
    const { config, context, identity } = this.#parts
    this.#listener = await listen(
      {
        host: config.data.host,
        port: config.data.port,
        identity,
        handlers: this.#frames.handlers,
        limits: { sessionsMax: SESSIONS_MAX, sessionsPerPeerMax: SESSIONS_PER_PEER_MAX },
        onSession: (session) => void this.#greet(session),
        metrics: context.metrics,
        log: context.log,
      },
      { signal: context.signal },
    )
    return this.#listener.port
  }

  /** Registered: the work may begin. */
  begin(entry: ChainWorker, evidence: EvidenceSource): void {
    this.#entry = entry
    this.#begun.resolve(evidence)
  }

  async close(): Promise<void> {
    this.#begun.promise.catch(() => {})
    this.#begun.reject(new Error('it did not start'))
    await this.stopped.catch(() => undefined)
  }

  status(): object {
    const { config, chain, roots, identity, powersHash, records } = this.#parts
    const isSimulated = config.attestation === 'simulated'
    return {
      account: chain.account,
      peerId: identity.peerId,
      state: this.#entry?.state,
      mode: config.mode ?? 'full',
      attestation: isSimulated ? 'simulated, no hardware protection' : config.attestation,
      simulated: isSimulated,
      roots: roots.description,
      candidate: config.candidate ?? null,
      powersHash: powersHash.toHex(),
      groups: this.#finder.groupCount,
      minersConnected: this.#sessions.peerCount,
      tagBacklog: this.#tagging.backlog,
      undelivered: records.keptCount,
      tagged: records.claimCount,
      refused: records.refusedCounts,
      threads: this.#threads,
    }
  }

  health(): HealthReport {
    const state = this.#entry?.state
    const failure = this.#chainFailure as Error | undefined
    const otherRoots = this.#parts.records.refusedCounts['other-root']
    const checks = [
      { name: 'chain', ok: failure === undefined, detail: failure?.message },
      { name: 'registered', ok: state === 'active' || state === 'exiting', detail: state },
      // What was committed and is no segment is the fault of whoever committed it. A name with two contents is the chain's.
      { name: 'records', ok: otherRoots === 0, detail: `${otherRoots} names for which the chain has changed its mind` },
    ]
    return { ok: checks.every(({ ok }) => ok), checks }
  }

  /** Strangers hold no sessions: they have nothing to say here, and there are many of them. */
  async #greet(session: Session): Promise<void> {
    try {
      if (!(await this.#parts.chain.isMiner(session.peerKey))) throw new Error('not a registered miner')
      if (session.closeReason) return
      this.#sessions.add(session)
      this.#delivery.minerCame()
    } catch (error) {
      this.#parts.context.log.debug('a session was not wanted', { peer: session.peerId, error })
      session.close()
    }
  }

  async #run(): Promise<void> {
    const { context, records } = this.#parts
    const { log } = context
    const failure = new AbortController()
    const signal = AbortSignal.any([context.signal, failure.signal])
    const parts: Promise<void>[] = []
    try {
      const evidence = await this.#begun.promise
      parts.push(
        this.#finder.run({ signal }),
        this.#tagging.run({ inFlight: this.#threads + 1, signal }),
        this.#delivery.run({ signal }),
        this.#watch(evidence, signal),
        this.#died.promise,
        untilAborted(signal),
      )
      await Promise.race(parts)
      if (!signal.aborted) throw new Error('the chain stopped telling events')
    } catch (error) {
      if (!context.signal.aborted) {
        log.error('the TEE worker stops', { error })
        throw error
      }
    } finally {
      failure.abort(new Error('the TEE worker stops'))
      await this.#listener?.close()
      await this.#pool.close()
      this.#died.reject(new Error('the TEE worker stops'))
      await Promise.allSettled(parts)
      await records.close()
      log.info('stopped')
    }
  }

  /** Keeps the entry known and the attestation in force. */
  async #watch(evidence: EvidenceSource, signal: AbortSignal): Promise<void> {
    const { chain, context, config, records } = this.#parts
    const { epochsPerEra, audit } = config.params
    const rules = { epochsPerEra, attestationEpochs: audit.attestationEpochs }
    while (!signal.aborted) {
      try {
        const entry = await chain.worker()
        if (entry) this.#entry = entry
        if (entry && isRenewalDue(entry, await chain.pendingQuote(), await chain.epoch(), rules)) {
          await chain.renew(await evidence())
          context.log.info('attestation handed in anew', { state: entry.state, before: entry.expiresAtEpoch })
        }
        this.#chainFailure = undefined
      } catch (error) {
        if (signal.aborted) return
        this.#chainFailure = error
        context.log.warn('the register could not be brought up to date', { error })
      }
      this.#metrics.backlog.set(this.#tagging.backlog)
      this.#metrics.undelivered.set(records.keptCount)
      this.#metrics.sessions.set(this.#sessions.peerCount)
      await sleep(ENTRY_MS, signal).catch(() => undefined) // the loop sees the abort
    }
  }
}

function multiaddressOf(host: string): string {
  if (/^[0-9.]+$/.test(host)) return `/ip4/${host}`
  if (host.includes(':')) return `/ip6/${host}`
  if (host === '') throw new TeeWorkerError('NO_ADDRESS', 'miners need an address to dial: set the data host')
  return `/dns/${host}`
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
