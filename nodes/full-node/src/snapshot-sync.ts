import { DecodeError, equalBytes } from '@cumulus/bytes'
import { sha256 } from '@cumulus/hash'
import {
  type HashedHeader,
  LEDGER_TABLES,
  type LedgerStore,
  RangeProofError,
  SnapshotImport,
  snapshotProgress,
} from '@cumulus/ledger'
import { FrameOp, RemoteError } from '@cumulus/network'
import { type Logger, sleep } from '@cumulus/service'
import type { ChainPeer, ChainPeers } from './chain-peers.ts'
import { fetchCertificate } from './fetch-blocks.ts'
import type { CertificateVerifier } from './finality.ts'
import { FullNodeError, PeerFault } from './full-node-error.ts'
import { decodeManifests, type SnapshotManifest } from './snapshot-manifest.ts'
import { countMeta } from './wire.ts'

export interface SnapshotSyncComponents {
  /** Empty, or with an import that was begun. */
  readonly store: LedgerStore
  readonly genesisHash: Uint8Array
  readonly peers: ChainPeers
  /** Absent without a committee: then trusted peers are believed. */
  readonly verifier?: CertificateVerifier
  readonly log: Logger
}

export interface SnapshotSyncLimits {
  /** Chunks under way at once. */
  readonly chunksAhead: number
  /** Time for peers to appear; after it a peer without a snapshot means that there is none. */
  readonly searchMs: number
  readonly idleMs: number
  /** Snapshots that one peer may offer. */
  readonly offersMax: number
}

export const defaultSnapshotSyncLimits: SnapshotSyncLimits = {
  chunksAhead: 6,
  searchMs: 15_000,
  idleMs: 250,
  offersMax: 4,
}

interface Offer {
  readonly manifest: SnapshotManifest
  readonly header: HashedHeader
  readonly peers: Set<ChainPeer>
}

/**
 * Begins a chain with the state of a recent block instead of the first: takes the newest snapshot whose block is vouched
 * for, fetches its chunks from all peers that have it, proves each against the state root, and goes on where it stopped.
 *
 * @returns the block, or undefined if nobody has a snapshot: then all blocks have to be followed
 * @throws FullNodeError SNAPSHOT_FAILED, or the abort reason
 */
export async function syncSnapshot(
  components: SnapshotSyncComponents,
  { signal }: { signal: AbortSignal },
  given: Partial<SnapshotSyncLimits> = {},
): Promise<HashedHeader | undefined> {
  const limits = { ...defaultSnapshotSyncLimits, ...given }
  const { store, genesisHash, log } = components
  const untilMs = performance.now() + limits.searchMs
  /** Those whose chunks did not add up. */
  const refused = new Set<string>()
  for (;;) {
    signal.throwIfAborted()
    const offer = await bestOffer(components, limits, refused, signal)
    if (!offer) {
      if (performance.now() > untilMs) {
        if (!snapshotProgress(store)) return undefined
        log.warn('nobody has the snapshot that was begun; it is given up')
        clear(store)
        return undefined
      }
      await sleep(limits.idleMs, signal)
      continue
    }
    const { header, manifest } = offer
    const begun = snapshotProgress(store)
    if (begun && !equalBytes(begun.id, manifest.id)) {
      log.info('the snapshot that was begun is gone; another is read from its beginning')
      clear(store)
    }
    log.info('reading a snapshot', { height: header.number, chunks: manifest.chunks.length, begun: begun?.count ?? 0 })
    const snapshot = new SnapshotImport(store, header, manifest.id)
    const outcome = await readChunks(components, limits, offer, snapshot, signal)
    if (outcome === 'gone') continue
    if (outcome === 'lie' || !snapshot.isWhole) {
      refused.add(manifest.id.toHex())
      for (const peer of offer.peers) {
        components.peers.judge(peer, new PeerFault('BAD_SNAPSHOT', `the snapshot of block ${header.number} is a lie`))
      }
      clear(store)
      continue
    }
    try {
      snapshot.finish(manifest.headers, manifest.content, genesisHash)
    } catch (cause) {
      throw new FullNodeError(
        'SNAPSHOT_FAILED',
        `every chunk of the snapshot of block ${header.number} was proven, and together they give another state`,
        { number: header.number },
        { cause },
      )
    }
    log.info('snapshot read', { height: header.number })
    return header
  }
}

/** The newest snapshot whose block is vouched for; one that was begun comes first. */
async function bestOffer(
  components: SnapshotSyncComponents,
  limits: SnapshotSyncLimits,
  refused: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<Offer | undefined> {
  const { peers, store, verifier } = components
  const able = peers.connected.filter(({ isTrusted, status }) => (verifier ? status!.isCertified : isTrusted))
  const offers = new Map<string, Offer>()
  await Promise.all(
    able.map(async (peer) => {
      try {
        const reply = await peers.request(
          peer,
          (session, deadline) => session.request(FrameOp.getSnapshot, {}, { signal: deadline }),
          { signal },
        )
        for (const manifest of decodeManifests(reply.body, limits.offersMax)) {
          const header = manifest.headers.at(-1)!
          const id = manifest.id.toHex()
          // What is not certified yet will be in a moment.
          if (refused.has(id) || header.number > (peer.status?.certified ?? 0n)) continue
          const known = offers.get(id) ?? { manifest, header, peers: new Set() }
          known.peers.add(peer)
          offers.set(id, known)
        }
      } catch (error) {
        if (signal.aborted) return
        if (error instanceof RemoteError && error.code === 'UNSUPPORTED') return
        peers.judge(peer, error instanceof DecodeError ? new PeerFault('MALFORMED', error.message) : error)
      }
    }),
  )
  const begun = snapshotProgress(store)?.id.toHex()
  const ranked = [...offers.entries()].sort(([a, one], [b, two]) => {
    if (a === begun || b === begun) return a === begun ? -1 : 1
    return Number(two.header.number - one.header.number) || two.peers.size - one.peers.size
  })
  for (const [, offer] of ranked) {
    if (!verifier) return offer
    for (const peer of [...offer.peers]) {
      try {
        await fetchCertificate(peers, peer, offer.header, verifier, signal)
        return offer
      } catch (error) {
        if (signal.aborted) throw error
        peers.judge(peer, error)
        offer.peers.delete(peer)
      }
    }
  }
  return undefined
}

/** Fetches chunks ahead and reads them in, in order. */
async function readChunks(
  { peers, log }: SnapshotSyncComponents,
  { chunksAhead, idleMs }: SnapshotSyncLimits,
  { manifest, header, peers: sources }: Offer,
  snapshot: SnapshotImport,
  signal: AbortSignal,
): Promise<'done' | 'gone' | 'lie'> {
  const { chunks } = manifest
  const ending = new AbortController()
  const ended = AbortSignal.any([signal, ending.signal])
  const fetched = new Map<number, Promise<Uint8Array | undefined>>()
  let saidAtMs = performance.now()
  try {
    while (snapshot.count < chunks.length) {
      for (let index = snapshot.count; index < Math.min(chunks.length, snapshot.count + chunksAhead); index++) {
        if (!fetched.has(index)) fetched.set(index, fetchChunk(index))
      }
      const index = snapshot.count
      const chunk = await fetched.get(index)
      signal.throwIfAborted()
      if (!chunk) return 'gone'
      fetched.delete(index)
      try {
        snapshot.add(chunk)
      } catch (error) {
        if (!(error instanceof RangeProofError || error instanceof DecodeError)) throw error
        log.warn('a chunk that its root does not prove', { index, reason: error.message })
        return 'lie'
      }
      if (performance.now() - saidAtMs > 2_000) {
        saidAtMs = performance.now()
        log.info('reading a snapshot', { height: header.number, chunk: snapshot.count, of: chunks.length })
      }
    }
    return 'done'
  } finally {
    ending.abort()
  }

  /** The chunk that the manifest names; undefined if nobody has it any more. */
  async function fetchChunk(index: number): Promise<Uint8Array | undefined> {
    while (!ended.aborted) {
      const nowMs = performance.now()
      const able = [...sources].filter(({ peerId, session }) => session && !peers.isBanned(peerId))
      if (able.length === 0) return undefined
      const [peer] = able
        .filter(({ restUntilMs }) => restUntilMs <= nowMs)
        .sort((a, b) => a.requestCount - b.requestCount || b.score - a.score)
      if (!peer) {
        await sleep(idleMs, ended).catch(() => {})
        continue
      }
      try {
        const question = { offset: Number(header.number), meta: countMeta(index) }
        const { body } = await peers.request(
          peer,
          (session, deadline) => session.request(FrameOp.getSnapshotChunk, question, { signal: deadline }),
          { signal: ended },
        )
        const { bytes, hash } = chunks[index]!
        if (body.length !== bytes || !equalBytes(sha256(body), hash)) {
          throw new PeerFault('BAD_SNAPSHOT', `chunk ${index} of block ${header.number} is not the one announced`)
        }
        return body
      } catch (error) {
        if (ended.aborted) return undefined
        if (error instanceof RemoteError && error.code === 'NO_SUCH_SNAPSHOT') sources.delete(peer)
        else peers.judge(peer, error)
      }
    }
    return undefined
  }
}

/** Removes everything, in pieces that fit into memory. */
function clear(store: LedgerStore): void {
  const [from, before] = [new Uint8Array(0), new Uint8Array(255).fill(0xff)]
  // What says that an import is under way goes last.
  for (const table of [...LEDGER_TABLES.filter((name) => name !== 'meta'), 'meta'] as const) {
    for (;;) {
      const keys = store.keys(table, from, before, 10_000)
      if (keys.length === 0) break
      store.write(keys.map((key) => ({ table, key: Uint8Array.from(key), value: undefined })))
    }
  }
}
