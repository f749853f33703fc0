import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ByteWriter, utf8Encode } from '@cumulus/bytes'
import { FrameOp, formatAddress, type Listener, listen, PeerIdentity, type Session } from '@cumulus/network'
import { minimal, type Params } from '@cumulus/params'
import { createLogger, createMetrics, type RunningRole } from '@cumulus/service'
import { encodeDescriptor, fragmentIdOf, type SegmentDescriptor, segmentRoot } from '@cumulus/storage'
import type { Address } from '@cumulus/types'
import { runMiner } from '../../src/index.ts'
import { FakeChain } from './fake-chain.ts'

export const params: Params = minimal
export const GROUP = 5
export const SEAT = 3
export const TERRITORY = 42n
/** Account of the TEE worker that tags the group. */
export const TAGGER: Address = `0x${'77'.repeat(20)}`
export const SPACE = 4 * 2 ** 20

/** The asking side: one port for the main thread and one for each worker. */
export class FakeGateway {
  readonly identity = PeerIdentity.create()
  readonly account: Address
  readonly #listeners: Listener[] = []
  readonly #sessions = new Map<number, Session>()
  readonly #waiters = new Set<() => void>()

  constructor(n: number) {
    this.account = `0x${String(n).repeat(40).slice(0, 40)}`
  }

  async listen(workerCount: number, chainId: number = params.chainId): Promise<void> {
    const workers: number[] = []
    for (let i = 0; i <= workerCount; i++) {
      const isMain = i === workerCount
      const listener: Listener = await listen({
        host: '127.0.0.1',
        port: 0,
        identity: this.identity,
        handlers: {
          [FrameOp.hello]: () => {
            const ports = isMain ? { main: listener.port, workers } : undefined
            return { meta: utf8Encode(JSON.stringify({ role: 'gateway', chainId, version: 1, ports })) }
          },
        },
        onSession: (session) => {
          this.#sessions.set(i, session)
          void session.closed.then(() => {
            if (this.#sessions.get(i) === session) this.#sessions.delete(i)
            this.#wake()
          })
          this.#wake()
        },
      })
      this.#listeners.push(listener)
      if (!isMain) workers.push(listener.port)
    }
  }

  get entry() {
    const { host, port } = this.#listeners.at(-1)!
    const addresses = formatAddress({ host, port, peerKey: this.identity.publicKey })
    return { account: this.account, peerKey: this.identity.publicKey, addresses }
  }

  get sessionCount(): number {
    return this.#sessions.size
  }

  /** Waits until so many ports have a session; the one of the first worker, or the main one where there is none. */
  async session(count: number): Promise<Session> {
    await this.until(() => this.#sessions.size === count)
    return this.#sessions.get(0)!
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiters.add(resolve))
  }

  async close(): Promise<void> {
    for (const listener of this.#listeners) await listener.close()
  }

  #wake(): void {
    for (const waiter of this.#waiters) waiter()
    this.#waiters.clear()
  }
}

export interface TestNetwork {
  readonly chain: FakeChain
  readonly gateway: FakeGateway
  readonly folder: string
  miner: RunningRole
  session: Session
  /** Key of the miner, as registered. */
  readonly peerKey: Uint8Array
  readonly lines: string[]
  /** Figures of the miner that runs, as they are scraped. */
  figures(): Promise<string>
  /** Stops the miner and starts it again from its folder. */
  restart(): Promise<void>
  stop(): Promise<void>
}

/** A gateway with one worker, a miner in seat 3 of group 5, stripes 0 to 9 of which are reserved for the gateway. */
export async function inTestNetwork(use: (network: TestNetwork) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'cumulus-miner-'))
  const chain = new FakeChain()
  const gateway = new FakeGateway(2)
  await gateway.listen(1)
  chain.addGateway(gateway.entry)
  chain.grants.add(`${TERRITORY}/${gateway.account}`)
  const lines: string[] = []
  let stop = new AbortController()
  let metrics = createMetrics({ process: false })
  const start = (): Promise<RunningRole> => {
    stop = new AbortController()
    const log = createLogger({ name: 'miner', level: 'debug', json: true, write: (line) => lines.push(line) })
    metrics = createMetrics({ process: false })
    const context = { signal: stop.signal, log, metrics }
    const audits = { gatherMs: 20, retryMs: 100 }
    const tuning = { keepFreeBytes: 0, fillBytesPerSecond: 1e9, audits }
    return runMiner({ folder, params, spaceBytes: SPACE, region: 'test', tuning }, context, chain)
  }
  const miner = await start()
  const peerKey = chain.entry!.peerKey
  const others: Uint8Array[] = Array.from({ length: 11 }, (_, i) => new Uint8Array(32).fill(100 + i))
  const tagger = TAGGER
  chain.openGroup(GROUP, { classId: 1, peerKeys: others.toSpliced(SEAT, 0, peerKey), tagger })
  chain.reserve(1n, gateway.account, GROUP, 0, 10)
  const network: TestNetwork = {
    chain,
    gateway,
    folder,
    miner,
    session: await gateway.session(2),
    peerKey,
    lines,
    figures: () => metrics.metrics(),
    async stop() {
      stop.abort(new Error('test stops the miner'))
      await network.miner.stopped
    },
    async restart() {
      await network.stop()
      await gateway.until(() => gateway.sessionCount === 0)
      network.miner = await start()
      network.session = await gateway.session(2)
    },
  }
  try {
    await use(network)
  } finally {
    await network.stop()
    await gateway.close()
    await rm(folder, { recursive: true, force: true })
  }
}

/** A segment of which only the miner's fragment has content. */
export function segmentOf(seed: number, change: Partial<SegmentDescriptor> = {}) {
  const body = new Uint8Array(4096).map((_, i) => (i * 31 + seed * 17) & 255)
  new DataView(body.buffer).setUint32(0, seed)
  const fragmentIds: Uint8Array[] = Array.from({ length: 12 }, (_, i) => new Uint8Array(32).fill(i + 1))
  fragmentIds[SEAT] = fragmentIdOf(body)
  const journalDigest = new Uint8Array(32)
  const descriptor: SegmentDescriptor = {
    classId: 1,
    codec: 2,
    dataCount: 4,
    length: 16_384,
    journalDigest,
    fragmentIds,
    ...change,
  }
  return { body, hash: fragmentIds[SEAT]!, meta: encodeDescriptor(descriptor), root: segmentRoot(descriptor) }
}

export function put(session: Session, stripe: number, segment = segmentOf(stripe), change = {}) {
  const { body, hash, meta } = segment
  return session.request(FrameOp.put, { group: GROUP, stripe, seat: SEAT, hash, meta, body, ...change })
}

export function get(session: Session, stripe: number, offset = 0, length = 0) {
  const meta = new ByteWriter(16).u32(length).finish()
  return session.request(FrameOp.get, { group: GROUP, stripe, seat: SEAT, offset, meta })
}
