import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ErasureCode } from '@cumulus/erasure'
import { dial, FrameOp, PeerIdentity, parseAddresses, RemoteError, type Session } from '@cumulus/network'
import { minimal, type Params } from '@cumulus/params'
import { createLogger, createMetrics, type RunningRole } from '@cumulus/service'
import { encodeDescriptor, fragmentIdOf, type SegmentDescriptor, segmentRoot } from '@cumulus/storage'
import type { Address } from '@cumulus/types'
import {
  type ChainGroup,
  type ChainStripe,
  type ChainWorker,
  type CommittedEvent,
  type PendingQuote,
  runTeeWorker,
  type TeeWorkerConfig,
  type WorkerChain,
  type WorkerRegistration,
} from '../../src/index.ts'
import { believedRoots, type RootProver } from '../../src/root-prover.ts'

export const params: Params = minimal
export const GROUP = 4
const kind = params.classes.standard
export const SEATS = kind.seatCount
const OTHERS: Address = `0x${'99'.repeat(20)}`

/** A chain in memory; certified as soon as said. */
export class FakeChain implements WorkerChain {
  readonly account: Address = `0x${'11'.repeat(20)}`
  funds = 10n ** 20n
  entry: ChainWorker | undefined
  registration: WorkerRegistration | undefined
  readonly groups = new Map<number, ChainGroup>()
  readonly known = new Map<string, ChainStripe>()
  readonly bits = new Map<string, bigint>()
  readonly miners = new Set<string>()
  readonly events: CommittedEvent[] = []
  calls: string[] = []

  open(id: number, peerKeys: readonly Uint8Array[], tagger: Address = this.account): void {
    this.groups.set(id, { id, classId: kind.id, stripeCount: 32, tagger, peerKeys })
    for (const key of peerKeys) this.miners.add(key.toHex())
  }

  giveAway(id: number): void {
    this.groups.set(id, { ...this.groups.get(id)!, tagger: OTHERS })
  }

  commit(group: number, stripe: number, root: Uint8Array, init = { silent: false }): void {
    this.known.set(`${group}/${stripe}`, { state: 'committed', root })
    if (!init.silent) this.events.push({ group, stripe, root })
  }

  balance = async () => this.funds
  certifiedNumber = async () => 10n
  latestBlock = async () => ({ number: 10n, hash: new Uint8Array(32) })
  epoch = async () => 1n
  worker = async () => this.entry
  /** The last quote, as the chain has it. */
  quote: PendingQuote | undefined
  pendingQuote = async () => this.quote
  isMiner = async (key: Uint8Array) => this.miners.has(key.toHex())
  groupCount = async () => Math.max(0, ...this.groups.keys())
  group = async (id: number) => this.groups.get(id)
  tagged = async (group: number, seat: number) => this.bits.get(`${group}/${seat}`) ?? 0n

  async stripes(group: number, first: number, count: number): Promise<ChainStripe[]> {
    const none: ChainStripe = { state: 'none', root: new Uint8Array(32) }
    return Array.from({ length: count }, (_, i) => this.known.get(`${group}/${first + i}`) ?? none)
  }

  async register(entry: WorkerRegistration): Promise<void> {
    this.registration = entry
    const { peerKey, addresses, taggerKey } = entry
    this.entry = { peerKey, addresses, taggerKey, state: 'active', expiresAtEpoch: 10n ** 9n, groups: 1 }
  }

  async update(addresses: string): Promise<void> {
    this.entry = { ...this.entry!, addresses }
  }

  async renew(): Promise<void> {
    this.calls.push('renew')
  }

  async exit(): Promise<void> {
    this.calls.push('exit')
  }

  async *committed({ signal }: { signal: AbortSignal }): AsyncGenerator<CommittedEvent> {
    for (let seen = this.events.length; ; ) {
      while (seen < this.events.length) yield this.events[seen++]!
      if (signal.aborted) throw signal.reason
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  async *groupChanges({ signal }: { signal: AbortSignal }): AsyncGenerator<number> {
    while (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, 20))
    yield* []
    throw signal.reason
  }
}

/** One miner: what it has been given, and what it does with what it is asked. */
export class FakeMiner {
  readonly identity = PeerIdentity.create()
  readonly fragments = new Map<number, { body: Uint8Array; descriptor: Uint8Array }>()
  readonly tags = new Map<number, { hash: Uint8Array; meta: Uint8Array; body: Uint8Array }>()
  /** Answers `get` with other bytes, or not at all. */
  lies = false
  refusesTags = false
  /** Is told of every fragment asked for, and may keep it waiting. */
  onGet: (stripe: number) => Promise<void> | void = () => undefined
  onTags: (stripe: number) => void = () => undefined
  asked = { get: 0, putTags: 0, getTags: 0 }
  session: Session | undefined

  async dial(addresses: string): Promise<void> {
    const [address] = parseAddresses(addresses)
    this.session = await dial({
      identity: this.identity,
      address: address!,
      handlers: {
        [FrameOp.describe]: ({ stripe }) => {
          const found = this.fragments.get(stripe)
          if (!found) throw new RemoteError('NOT_FOUND', 'no such fragment')
          return { meta: found.descriptor }
        },
        [FrameOp.get]: async ({ stripe }) => {
          this.asked.get++
          await this.onGet(stripe)
          const found = this.fragments.get(stripe)
          if (!found) throw new RemoteError('NOT_FOUND', 'no such fragment')
          return { body: this.lies ? new Uint8Array(found.body.length) : found.body }
        },
        [FrameOp.putTags]: ({ stripe, hash, meta, body }) => {
          this.asked.putTags++
          if (this.refusesTags) throw new RemoteError('NOT_FOUND', 'no such fragment')
          this.tags.set(stripe, { hash, meta, body })
          this.onTags(stripe)
          return {}
        },
        [FrameOp.getTags]: ({ stripe }) => {
          this.asked.getTags++
          const found = this.tags.get(stripe)
          if (!found) throw new RemoteError('NOT_FOUND', 'no tags')
          return found
        },
      },
    })
  }
}

export interface World {
  readonly chain: FakeChain
  readonly miners: readonly FakeMiner[]
  readonly folder: string
  readonly lines: string[]
  /** Figures of the worker that runs, as they are scraped. */
  figures(): Promise<string>
  worker: RunningRole
  /** How the worker proves roots. Default: it believes. */
  roots: RootProver | undefined
  start(change?: Partial<TeeWorkerConfig>): Promise<void>
  stop(): Promise<void>
}

/** A worker and the twelve miners of a group, which is its own. */
export async function inWorld(use: (world: World) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'cumulus-tee-worker-'))
  const chain = new FakeChain()
  const miners = Array.from({ length: SEATS }, () => new FakeMiner())
  chain.open(
    GROUP,
    miners.map(({ identity }) => identity.publicKey),
  )
  const lines: string[] = []
  let stop = new AbortController()
  let metrics = createMetrics({ process: false })
  const world = {
    chain,
    miners,
    folder,
    lines,
    worker: undefined as unknown as RunningRole,
    roots: undefined as RootProver | undefined,
    async start(change: Partial<TeeWorkerConfig> = {}) {
      stop = new AbortController()
      metrics = createMetrics({ process: false })
      const log = createLogger({ name: 'tee', level: 'debug', json: true, write: (line) => lines.push(line) })
      const config = {
        folder,
        params,
        data: { host: '127.0.0.1', port: 0 },
        attestation: 'simulated' as const,
        tuning: { threads: 1, lookMs: 200, retryMs: 100 },
        ...change,
      }
      const roots = world.roots ?? believedRoots('believed by this test', log)
      world.worker = await runTeeWorker(config, { signal: stop.signal, log, metrics }, chain, roots)
      await Promise.all(miners.map((miner) => miner.dial(chain.entry!.addresses)))
    },
    figures: () => metrics.metrics(),
    async stop() {
      stop.abort(new Error('test'))
      await world.worker?.stopped
    },
  }
  try {
    await use(world)
  } finally {
    await world.stop()
    for (const { session } of miners) session?.close()
    await rm(folder, { recursive: true, force: true })
  }
}

/** A segment of random-looking content, given to the miners. */
export function storeSegment(world: World, stripe: number, seed = stripe, change?: (fragments: Uint8Array[]) => void) {
  const { dataCount, seatCount, fragmentBytes, codec } = kind
  const data = Array.from({ length: dataCount }, (_, i) =>
    new Uint8Array(fragmentBytes).map((_, at) => (at * 31 + i * 7 + seed * 13) & 255),
  )
  const parity = Array.from({ length: seatCount - dataCount }, () => new Uint8Array(fragmentBytes))
  ErasureCode.create({ dataCount, parityCount: seatCount - dataCount, codec: codec as 2 }).encode(data, parity)
  const fragments = [...data, ...parity]
  change?.(fragments)
  const descriptor: SegmentDescriptor = {
    classId: kind.id,
    codec,
    dataCount,
    length: dataCount * fragmentBytes,
    journalDigest: new Uint8Array(32),
    fragmentIds: fragments.map(fragmentIdOf),
  }
  const encoded = encodeDescriptor(descriptor)
  for (const [seat, miner] of world.miners.entries())
    miner.fragments.set(stripe, { body: fragments[seat]!, descriptor: encoded })
  return { root: segmentRoot(descriptor), fragments }
}

export async function until(what: string, condition: () => boolean, seconds = 10): Promise<void> {
  for (let i = 0; i < seconds * 50; i++) {
    if (condition()) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`it did not come about: ${what}`)
}
