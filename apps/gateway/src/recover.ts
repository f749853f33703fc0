import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ByteWriter, bytesToPlainHex, equalBytes, hexToBytes, isZero, utf8Decode } from '@cumulus/bytes'
import { FrameOp } from '@cumulus/network'
import { type Logger, limitConcurrency, sleep } from '@cumulus/service'
import { decodeDescriptor, segmentRoot } from '@cumulus/storage'
import type { ChainReservation, ChainStripe, GatewayChain } from './chain/gateway-chain.ts'
import type { Engine, OwnerInit } from './engine.ts'
import {
  decodeJournal,
  decodePackFooter,
  decodePackHeader,
  logIdOf,
  openRecord,
  PACK_FOOTER_BYTES,
  parseEntries,
} from './journal/pack-format.ts'
import { type AppliedEntry, EPOCH_MAX, SEGMENTS_PER_EPOCH } from './objects/object-index.ts'
import { deriveDataKeys, packJournalKey } from './owner-keys.ts'
import type { SegmentRef, StripePlace } from './segments/jobs.ts'

/** What `recoverOwner` is doing, for a progress bar. */
export interface RecoverProgress {
  readonly step: 'miners' | 'stripes' | 'logs' | 'journals' | 'segments'
  readonly done: number
  readonly total: number
}

export interface RecoverResult {
  readonly packs: number
  readonly logs: number
  readonly buckets: number
  readonly objects: number
  /** Segments that something needs and the network does not have any more. */
  readonly lostSegments: readonly number[]
}

/** `NOT_EMPTY`: this gateway already has an index of the owner · `NO_MINERS`: too few are connected · `DAMAGED_JOURNAL`. */
export class RecoverError extends Error {
  readonly code: 'NOT_EMPTY' | 'NO_MINERS' | 'DAMAGED_JOURNAL'
  constructor(code: RecoverError['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'RecoverError'
    this.code = code
  }
}

interface Found {
  readonly place: StripePlace
  readonly descriptor: Uint8Array
  readonly state: 'committed' | 'reserved'
}

/** Journal of one pack, read when it is its turn. */
interface PackSource {
  readonly segment: number
  readonly read: () => Promise<AppliedEntry[]>
  readonly sealed?: Found
}

const MINERS_WAIT_MS = 30_000
/** After enough miners for reading are there, others get so long to come as well: open logs are on three of them only. */
const MINERS_GRACE_MS = 5_000
const ASK_MS = 10_000
const LOG_READ_BYTES = 4 * 2 ** 20
const LOG_BYTES_MAX = 256 * 2 ** 20

/**
 * Rebuilds everything of an owner on a gateway that has nothing of it, from the chain (which stripes are there), the
 * seats (packs and open logs) and the owner's data key (to read their journals). Ends with the owner being served.
 *
 * All packs are applied in the order they were written; so the index is what it was. Logs that are not segments yet
 * are taken over as local logs and sealed like our own.
 */
export async function recoverOwner(
  engine: Engine,
  components: { chain: GatewayChain; log: Logger; folder: string; signal: AbortSignal },
  init: OwnerInit,
  onProgress: (progress: RecoverProgress) => void = () => {},
): Promise<RecoverResult> {
  const { chain, log, signal } = components
  const { owner, territory } = init
  const { index } = engine
  if (engine.ownerStore(owner) || (index.progress(territory) && !engine.isRecovering(territory))) {
    throw new RecoverError('NOT_EMPTY', `this gateway already has an index of territory ${territory}`)
  }
  await engine.setRecovering(territory, true)
  const keys = deriveDataKeys(init.dataKey)
  const reservations = await chain.reservationsOf(territory)
  const groups = new Map<number, readonly Uint8Array[]>()
  for (const { group } of reservations) {
    if (!groups.has(group)) groups.set(group, (await chain.group(group)).peerKeys)
  }
  await minersConnected(engine, groups, signal, onProgress)

  const found = await findStripes(engine, chain, reservations, groups, signal, onProgress)
  const sources = new Map<number, PackSource>()
  for (const stripe of found.filter((one) => !isZero(decodeDescriptor(one.descriptor).journalDigest))) {
    const source = await packSource(engine, keys.journalKey, territory, stripe)
    // A committed one is the truth; of others any will do, they have the same content.
    if (source && (stripe.state === 'committed' || !sources.has(source.segment))) sources.set(source.segment, source)
  }
  const logs = await findLogs(engine, territory, groups, keys.journalKey, signal, onProgress)
  for (const entry of logs) {
    // Known from now on, so that it is dropped at all of them when it is not needed any more.
    engine.noteLog(territory, entry.logId, entry.holders)
    if (sources.get(entry.segment)?.sealed?.state === 'committed') continue
    sources.set(entry.segment, { segment: entry.segment, read: async () => entry.entries })
    const path = join(components.folder, 'packs', `${territory}-${entry.segment}.log`)
    await writeFile(path, entry.bytes, { mode: 0o600, flush: true })
  }

  const ordered = [...sources.values()].sort((a, b) => a.segment - b.segment)
  const voided = new Set<number>()
  for (const source of ordered) {
    for (const { mutations } of await source.read()) {
      for (const mutation of mutations) if (mutation.kind === 'void') for (const s of mutation.sequences) voided.add(s)
    }
  }
  for (const [i, source] of ordered.entries()) {
    onProgress({ step: 'journals', done: i, total: ordered.length })
    const entries = (await source.read()).filter(({ sequence }) => !voided.has(sequence))
    index.apply(owner, territory, source.segment, entries)
  }
  onProgress({ step: 'journals', done: ordered.length, total: ordered.length })
  const lastEpoch = Math.floor((ordered.at(-1)?.segment ?? 0) / SEGMENTS_PER_EPOCH)
  index.startEpoch(territory, Math.min(EPOCH_MAX, lastEpoch + 1))
  await index.flushed()

  const lostSegments = await settleSegments(engine, init, ordered, found, log, onProgress)
  await engine.setRecovering(territory, false)
  const counts = countOf(engine, owner)
  log.info('owner recovered', { owner, territory, packs: ordered.length, logs: logs.length, ...counts })
  return { packs: ordered.length, logs: logs.length, ...counts, lostSegments }
}

async function minersConnected(
  engine: Engine,
  groups: ReadonlyMap<number, readonly Uint8Array[]>,
  signal: AbortSignal,
  onProgress: (progress: RecoverProgress) => void,
): Promise<void> {
  const wanted = [...new Set([...groups.values()].flat().map((key) => bytesToPlainHex(key)))]
  const startedMs = Date.now()
  for (;;) {
    const peers = new Set(engine.peers.peers)
    const done = wanted.filter((key) => peers.has(key)).length
    onProgress({ step: 'miners', done, total: wanted.length })
    const workers = Math.min(done, engine.pool.peerCount)
    if (workers >= wanted.length) return
    const waitedMs = Date.now() - startedMs
    if (
      waitedMs > MINERS_GRACE_MS &&
      [...groups.values()].every((keys) => connected(engine, keys) * 3 >= keys.length)
    ) {
      if (waitedMs > MINERS_GRACE_MS * 2 || workers >= done) return
    }
    if (waitedMs > MINERS_WAIT_MS) {
      throw new RecoverError('NO_MINERS', `${done} of ${wanted.length} miners are connected: too few to read from`)
    }
    await sleep(100, signal)
  }
}

function connected(engine: Engine, keys: readonly Uint8Array[]): number {
  return keys.filter((key) => engine.peers.of(key)).length
}

/** Descriptors of all stripes that hold something, as their seats tell and the chain vouches. */
async function findStripes(
  engine: Engine,
  chain: GatewayChain,
  reservations: readonly ChainReservation[],
  groups: ReadonlyMap<number, readonly Uint8Array[]>,
  signal: AbortSignal,
  onProgress: (progress: RecoverProgress) => void,
): Promise<Found[]> {
  const limited = limitConcurrency(16)
  const asked: Promise<Found | undefined>[] = []
  let done = 0
  for (const { group, firstStripe, stripeCount } of reservations) {
    const stripes = await chain.stripesOf(group, firstStripe, stripeCount)
    for (const [i, stripe] of stripes.entries()) {
      if (stripe.state !== 'committed' && stripe.state !== 'reserved') continue
      const place = { group, stripe: firstStripe + i, peerKeys: groups.get(group)! }
      const task = limited(() => describe(engine, place, stripe, signal))
      task.then(
        () => onProgress({ step: 'stripes', done: ++done, total: asked.length }),
        () => {},
      )
      asked.push(task)
    }
  }
  return (await Promise.all(asked)).filter((found) => found !== undefined)
}

async function describe(
  engine: Engine,
  place: StripePlace,
  stripe: ChainStripe,
  signal: AbortSignal,
): Promise<Found | undefined> {
  const votes = new Map<string, { descriptor: Uint8Array; seats: number; dataCount: number }>()
  for (const [seat, key] of place.peerKeys.entries()) {
    const session = engine.peers.of(key)
    if (!session) continue
    try {
      const { meta } = await session.request(
        FrameOp.describe,
        { group: place.group, stripe: place.stripe, seat },
        { signal: AbortSignal.any([signal, AbortSignal.timeout(ASK_MS)]) },
      )
      const descriptor = decodeDescriptor(meta)
      const root = segmentRoot(descriptor)
      if (stripe.state === 'committed') {
        // The chain's word: the first that fits is the right one.
        if (equalBytes(root, stripe.root)) return { place, descriptor: new Uint8Array(meta), state: 'committed' }
        continue
      }
      const vote = votes.get(root.toHex()) ?? {
        descriptor: new Uint8Array(meta),
        seats: 0,
        dataCount: descriptor.dataCount,
      }
      vote.seats++
      votes.set(root.toHex(), vote)
    } catch (error) {
      signal.throwIfAborted()
      void error // this seat has nothing, or is gone: the others are asked
    }
  }
  for (const { descriptor, seats, dataCount } of votes.values()) {
    if (seats >= dataCount) return { place, descriptor, state: 'reserved' }
  }
  return undefined
}

/** The pack in a stripe, if it is one of this territory. */
async function packSource(
  engine: Engine,
  journalKey: Uint8Array,
  territory: bigint,
  found: Found,
): Promise<PackSource | undefined> {
  const ref: SegmentRef = { place: found.place, descriptor: found.descriptor }
  const { length, journalDigest } = decodeDescriptor(found.descriptor)
  const bytes = async (start: number, end: number) =>
    (await engine.pool.read({ ref, start, end, sequential: false })).bytes
  if (length < PACK_FOOTER_BYTES) return undefined
  const footerBytes = await bytes(length - PACK_FOOTER_BYTES, length)
  const footer = decodePackFooter(footerBytes)
  if (footer.territory !== territory) return undefined
  const { segment, journalLength, salt } = footer
  const key = packJournalKey(journalKey, salt)
  const read = async (): Promise<AppliedEntry[]> => {
    const journal = await bytes(length - PACK_FOOTER_BYTES - journalLength, length - PACK_FOOTER_BYTES)
    try {
      return decodeJournal(journal, footerBytes, journalDigest).map(({ sequence, record }) => ({
        sequence,
        recordBytes: record.length,
        mutations: openRecord(key, segment, sequence, record),
      }))
    } catch (cause) {
      const { group, stripe } = found.place
      throw new RecoverError(
        'DAMAGED_JOURNAL',
        `the journal in stripe ${stripe} of group ${group} cannot be read: is this the owner's key?`,
        { cause },
      )
    }
  }
  return { segment, read, sealed: found }
}

interface FoundLog {
  readonly logId: Uint8Array
  /** Peers that have some of it. */
  readonly holders: Uint8Array[]
  readonly segment: number
  readonly bytes: Uint8Array
  readonly entries: AppliedEntry[]
}

/** Open logs of a territory: of each the copy with the most entries that verify. */
async function findLogs(
  engine: Engine,
  territory: bigint,
  groups: ReadonlyMap<number, readonly Uint8Array[]>,
  journalKey: Uint8Array,
  signal: AbortSignal,
  onProgress: (progress: RecoverProgress) => void,
): Promise<FoundLog[]> {
  const best = new Map<string, FoundLog>()
  const holders = new Map<string, Uint8Array[]>()
  const peers = new Map([...groups.values()].flat().map((key) => [bytesToPlainHex(key), key]))
  let done = 0
  for (const key of peers.values()) {
    onProgress({ step: 'logs', done: done++, total: peers.size })
    const session = engine.peers.of(key)
    if (!session) continue
    const limit = () => AbortSignal.any([signal, AbortSignal.timeout(ASK_MS)])
    try {
      const meta = new ByteWriter(16).u64(territory).finish()
      const reply = await session.request(FrameOp.logList, { meta }, { signal: limit() })
      for (const { logId, bytes: length } of parseLogList(reply.meta)) {
        const known = best.get(logId)
        if (!holders.has(logId)) holders.set(logId, [])
        holders.get(logId)!.push(key)
        if (known && known.bytes.length >= length) continue
        const parts: Uint8Array[] = []
        for (let at = 0; at < length; ) {
          const meta = new ByteWriter(16).u32(Math.min(LOG_READ_BYTES, length - at)).finish()
          const part = await session.request(
            FrameOp.logRead,
            { hash: hexToBytes(logId), offset: at, meta },
            { signal: limit() },
          )
          if (part.body.length === 0) break
          parts.push(new Uint8Array(part.body))
          at += part.body.length
        }
        const log = readLog(Buffer.concat(parts), logId, holders.get(logId)!, territory, journalKey)
        if (log && (!known || log.entries.length > known.entries.length)) best.set(logId, log)
      }
    } catch {
      signal.throwIfAborted() // other seats have the log as well
    }
  }
  return [...best.values()]
}

function parseLogList(meta: Uint8Array): { logId: string; bytes: number }[] {
  const list: unknown = JSON.parse(utf8Decode(meta))
  if (!Array.isArray(list)) return []
  return list.filter((entry): entry is { logId: string; bytes: number } => {
    const { logId, bytes } = (entry ?? {}) as Record<string, unknown>
    return (
      typeof logId === 'string' &&
      /^[0-9a-f]{64}$/.test(logId) &&
      Number.isSafeInteger(bytes) &&
      (bytes as number) >= 0 &&
      (bytes as number) <= LOG_BYTES_MAX
    )
  })
}

/** A log as far as it is intact and of this owner. */
function readLog(
  bytes: Uint8Array,
  logId: string,
  holders: Uint8Array[],
  territory: bigint,
  journalKey: Uint8Array,
): FoundLog | undefined {
  try {
    const header = decodePackHeader(bytes)
    if (header.territory !== territory || logIdOf(header).toHex() !== logId) return undefined
    const key = packJournalKey(journalKey, header.salt)
    const entries: AppliedEntry[] = []
    let end = 64
    for (const { sequence, record, dataStart, dataLength } of parseEntries(bytes).entries) {
      const mutations = openRecord(key, header.segment, sequence, record)
      entries.push({ sequence, recordBytes: record.length, mutations })
      end = dataStart + dataLength + record.length
    }
    return { logId: hexToBytes(logId), holders, segment: header.segment, bytes: bytes.subarray(0, end), entries }
  } catch {
    return undefined
  }
}

/** Brings the index and the chain together, and starts to serve the owner. */
async function settleSegments(
  engine: Engine,
  init: OwnerInit,
  sources: readonly PackSource[],
  found: readonly Found[],
  log: Logger,
  onProgress: (progress: RecoverProgress) => void,
): Promise<number[]> {
  const { index } = engine
  const { territory } = init
  const byPlace = new Map(found.map((one) => [`${one.place.group}/${one.place.stripe}`, one]))
  const lost: number[] = []
  for (const row of [...index.segments(territory)]) {
    const there = byPlace.get(`${row.group}/${row.stripe}`)
    const isSame = there && equalBytes(there.descriptor, row.descriptor)
    if (isSame && there.state === 'committed') index.setSegmentState(territory, row.segment, 'committed')
    // Written and not committed: the keeper commits it, or moves it if the reservation was another gateway's.
    else if (isSame) continue
    else if (index.liveBytes(territory, row.segment) === 0) index.dropSegment(territory, row.segment)
    else if (!sources.some((source) => source.segment === row.segment)) lost.push(row.segment)
  }
  const store = await engine.addOwner(init)
  let done = 0
  const unknown = sources.filter(({ segment, sealed }) => sealed && !index.segment(territory, segment))
  // Packs whose place the journal does not tell: the last ones, or those whose later packs are gone.
  for (const { segment, sealed } of unknown) {
    onProgress({ step: 'segments', done: done++, total: unknown.length })
    const { group, stripe } = sealed!.place
    const { descriptor, state } = sealed!
    await store.keeper.adopt({ segment, kind: 1, group, stripe, descriptor, users: [] }, state === 'committed')
  }
  await store.journal.rotate()
  if (lost.length > 0) log.error('segments are lost', { territory, segments: lost })
  return lost
}

function countOf(engine: Engine, owner: string): { buckets: number; objects: number } {
  let buckets = 0
  let objects = 0
  for (const row of engine.index.buckets()) {
    if (row.owner !== owner) continue
    buckets++
    objects += engine.index.objectCount(row.name)
  }
  return { buckets, objects }
}
