import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DecodeError } from '@cumulus/bytes'
import { sha256 } from '@cumulus/hash'
import { type HashedHeader, type SnapshotSource, writeSnapshot } from '@cumulus/ledger'
import { type FrameHandlers, type FrameMessage, FrameOp, RemoteError } from '@cumulus/network'
import type { Params } from '@cumulus/params'
import { Counter, Gauge, type Logger, type Metrics, sleep } from '@cumulus/service'
import {
  decodeManifest,
  encodeManifest,
  encodeManifests,
  MANIFEST_BYTES_MAX,
  SNAPSHOT_HEADERS_MAX,
  type SnapshotManifest,
} from './snapshot-manifest.ts'
import { countMeta, decodeCount } from './wire.ts'

export interface SnapshotKeeperComponents {
  /** Folder of the node: snapshots lie in `snapshots/<height>`. */
  readonly dir: string
  readonly params: Params
  readonly genesisMs: number
  /** The chain as it is at this moment, for as long as it takes to write it down. */
  readSnapshot(): SnapshotSource & { close(): void }
  readonly log: Logger
  readonly metrics?: Metrics
}

export interface SnapshotKeeperLimits {
  readonly keep: number
  /**
   * Consensus time from one to the next, at least; rounded up to whole epochs. By consensus time, so that all nodes make the
   * same ones, and chunks can be had from any of them.
   */
  readonly intervalMsMin: number
  /** Work in one go, and the rest after it: the same thread executes blocks. */
  readonly workMs: number
  readonly restMs: number
  /** The next one begins no earlier than after so many times what the last one took. */
  readonly spacing: number
}

export const defaultSnapshotKeeperLimits: SnapshotKeeperLimits = {
  keep: 2,
  // Epochs may be of seconds, and the whole state is read each time; with two kept, a new node has 10 minutes to read one at least.
  intervalMsMin: 10 * 60_000,
  workMs: 4,
  restMs: 10,
  spacing: 10,
}

interface Kept {
  readonly height: bigint
  readonly folder: string
  readonly manifest: Uint8Array
  readonly decoded: SnapshotManifest
}

/**
 * Writes down the state now and then, at the first block of an epoch, and serves it: a new node reads it in chunks instead of executing
 * all blocks since the first. Made from a read transaction, beside the execution of further blocks, in small steps.
 */
export class SnapshotKeeper {
  readonly handlers: FrameHandlers
  readonly #components: SnapshotKeeperComponents
  readonly #limits: SnapshotKeeperLimits
  readonly #folder: string
  readonly #metrics: ReturnType<typeof createKeeperMetrics> | undefined
  /** Newest first. */
  #kept: Kept[] = []
  /** That of the last block. */
  #interval: number | undefined
  #making: Promise<void> | undefined
  #notBeforeMs = 0
  readonly #ending = new AbortController()

  constructor(components: SnapshotKeeperComponents, limits: Partial<SnapshotKeeperLimits> = {}) {
    this.#components = components
    this.#limits = { ...defaultSnapshotKeeperLimits, ...limits }
    this.#folder = join(components.dir, 'snapshots')
    this.#metrics = components.metrics && createKeeperMetrics(components.metrics, this)
    this.handlers = {
      [FrameOp.getSnapshot]: () => this.#getSnapshot(),
      [FrameOp.getSnapshotChunk]: (frame) => this.#getChunk(frame),
    }
  }

  /** Heights of the snapshots kept, newest first. */
  get heights(): bigint[] {
    return this.#kept.map(({ height }) => height)
  }

  /** Finds what earlier runs left; halves of snapshots are removed. */
  async open(): Promise<void> {
    await mkdir(this.#folder, { recursive: true })
    for (const name of await readdir(this.#folder)) {
      const folder = join(this.#folder, name)
      const kept = /^\d+$/.test(name) ? await load(folder, BigInt(name)) : undefined
      if (kept) this.#kept.push(kept)
      else await rm(folder, { recursive: true, force: true })
    }
    this.#kept.sort((a, b) => Number(b.height - a.height))
    await this.#forgetOld()
  }

  /** To be called with each block, when it is stored and nothing of the next one is. */
  onBlock(header: HashedHeader): void {
    const { params, genesisMs, log } = this.#components
    const { intervalMsMin, spacing } = this.#limits
    const epochMs = params.slotMs * params.slotsPerEpoch
    const intervalMs = Math.max(1, Math.ceil(intervalMsMin / epochMs)) * epochMs
    const interval = Math.floor((header.timestampMs - genesisMs) / intervalMs)
    const isNew = this.#interval !== undefined && interval > this.#interval
    this.#interval = interval
    if (!isNew || this.#making || this.#ending.signal.aborted || performance.now() < this.#notBeforeMs) return
    const source = this.#components.readSnapshot()
    const startedAtMs = performance.now()
    this.#making = this.#make(source, header)
      .catch((error) => {
        if (this.#ending.signal.aborted) return
        this.#metrics?.failed.inc()
        log.error('no snapshot', { height: header.number, error })
      })
      .finally(() => {
        source.close()
        this.#making = undefined
        this.#notBeforeMs = performance.now() + spacing * (performance.now() - startedAtMs)
      })
  }

  /** Ends what is being made. */
  async close(): Promise<void> {
    this.#ending.abort()
    await this.#making
  }

  async #make(source: SnapshotSource, header: HashedHeader): Promise<void> {
    const { signal } = this.#ending
    const { workMs, restMs } = this.#limits
    const draft = join(this.#folder, `${header.number}.draft`)
    await rm(draft, { recursive: true, force: true })
    await mkdir(draft, { recursive: true })
    const headers = headersOf(source, header)
    const chunks: { bytes: number; hash: Uint8Array }[] = []
    let sinceMs = performance.now()
    for (const chunk of writeSnapshot(source, header.stateRoot)) {
      if (chunk) {
        await writeDurable(join(draft, chunkName(chunks.length)), chunk)
        chunks.push({ bytes: chunk.length, hash: sha256(chunk) })
      }
      if (chunk || performance.now() - sinceMs > workMs) {
        await sleep(restMs, signal)
        sinceMs = performance.now()
      }
    }
    const manifest = encodeManifest(headers, contentOf(source, header), chunks)
    if (manifest.length > MANIFEST_BYTES_MAX) throw new Error(`a manifest of ${manifest.length} bytes`)
    await writeDurable(join(draft, 'manifest'), manifest)
    const folder = join(this.#folder, String(header.number))
    await rm(folder, { recursive: true, force: true })
    await rename(draft, folder)
    this.#kept.unshift({ height: header.number, folder, manifest, decoded: decodeManifest(manifest) })
    await this.#forgetOld()
    this.#metrics?.made.inc()
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.bytes, 0)
    this.#components.log.info('snapshot kept', { height: header.number, chunks: chunks.length, bytes })
  }

  async #forgetOld(): Promise<void> {
    for (const { folder } of this.#kept.splice(this.#limits.keep)) await rm(folder, { recursive: true, force: true })
  }

  #getSnapshot() {
    const fitting: Uint8Array[] = []
    let bytes = 0
    for (const { manifest } of this.#kept) {
      bytes += manifest.length + 4
      if (bytes <= MANIFEST_BYTES_MAX) fitting.push(manifest)
    }
    return { meta: countMeta(fitting.length), body: encodeManifests(fitting) }
  }

  async #getChunk(frame: FrameMessage) {
    const kept = this.#kept.find(({ height }) => height === BigInt(frame.offset))
    const index = indexOf(frame)
    const chunk = kept?.decoded.chunks[index]
    if (!kept || !chunk) throw new RemoteError('NO_SUCH_SNAPSHOT', 'this snapshot is not kept, or has fewer chunks')
    try {
      return { offset: frame.offset, body: new Uint8Array(await readFile(join(kept.folder, chunkName(index)))) }
    } catch (error) {
      // Removed a moment ago, for a newer one.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      throw new RemoteError('NO_SUCH_SNAPSHOT', 'this snapshot is no longer kept')
    }
  }
}

function indexOf(frame: FrameMessage): number {
  try {
    return decodeCount(frame.meta, 2 ** 32 - 1)
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    throw new RemoteError('MALFORMED', error.message)
  }
}

function contentOf(source: SnapshotSource, { number }: HashedHeader): { body: Uint8Array; receipts: Uint8Array } {
  const key = new Uint8Array(8)
  new DataView(key.buffer).setBigUint64(0, number)
  const [body, receipts] = [source.get('body', key), source.get('receipts', key)]
  if (!body || !receipts) throw new Error(`block ${number} is lost`)
  return { body: Uint8Array.from(body), receipts: Uint8Array.from(receipts) }
}

function headersOf(source: SnapshotSource, { number }: HashedHeader): Uint8Array[] {
  const count = BigInt(SNAPSHOT_HEADERS_MAX) - 1n
  const headers: Uint8Array[] = []
  for (let at = number > count ? number - count : 0n; at <= number; at++) {
    const key = new Uint8Array(8)
    new DataView(key.buffer).setBigUint64(0, at)
    const header = source.get('header', key)
    if (!header) throw new Error(`header ${at} is lost`)
    headers.push(Uint8Array.from(header))
  }
  return headers
}

async function load(folder: string, height: bigint): Promise<Kept | undefined> {
  try {
    const manifest = new Uint8Array(await readFile(join(folder, 'manifest')))
    return { height, folder, manifest, decoded: decodeManifest(manifest) }
  } catch {
    // Half removed, or made by another version.
    return undefined
  }
}

function chunkName(index: number): string {
  return String(index).padStart(6, '0')
}

async function writeDurable(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'w')
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
}

function createKeeperMetrics(metrics: Metrics, keeper: SnapshotKeeper) {
  const registers = [metrics]
  new Gauge({
    name: 'cumulus_node_snapshot_height',
    help: 'Block of the newest snapshot kept, 0 without one',
    registers,
    collect() {
      this.set(Number(keeper.heights[0] ?? 0n))
    },
  })
  return {
    made: new Counter({ name: 'cumulus_node_snapshots_total', help: 'Snapshots made', registers }),
    failed: new Counter({ name: 'cumulus_node_snapshots_failed_total', help: 'Snapshots not made', registers }),
  }
}
