import { DecodeError, equalBytes } from '@cumulus/bytes'
import type { DecidedBatch, Mempool, Orderer } from '@cumulus/execution'
import { decodeTransaction, type Ledger, type Transaction } from '@cumulus/ledger'
import { Counter, Gauge, type Logger, type Metrics } from '@cumulus/service'
import type { ChainPeer, ChainPeers } from './chain-peers.ts'
import { type FetchedBlock, type FetchedRange, fetchRange } from './fetch-blocks.ts'
import type { CertificateStore, CertificateVerifier } from './finality.ts'
import { FullNodeError } from './full-node-error.ts'
import { BLOCKS_PER_REPLY_MAX } from './wire.ts'

export interface FollowerComponents {
  readonly ledger: Pick<Ledger, 'head'>
  readonly peers: ChainPeers
  /** Both or none: without a committee, trusted peers are followed. */
  readonly verifier?: CertificateVerifier
  readonly certificates?: CertificateStore
  /** Finds out in threads who signed, ahead of execution. Default: execution asks, 50 µs each. */
  readonly senders?: Pick<Mempool, 'recoverSenders'>
  readonly log: Logger
  readonly metrics?: Metrics
}

export interface FollowerLimits {
  /** Blocks and bytes asked for at once. */
  readonly rangeBlocks: number
  readonly rangeBytes: number
  /** Ranges that are fetched, or fetched and not executed: the bound on memory ahead of execution. */
  readonly rangesMax: number
  /** Ranges that one peer delivers at the same time. */
  readonly rangesPerPeer: number
  /** Certificates for blocks that are not executed yet. */
  readonly certificatesMax: number
  /** How often to look for a peer when there was none. */
  readonly idleMs: number
}

export const defaultFollowerLimits: FollowerLimits = {
  rangeBlocks: 128,
  rangeBytes: 4 * 2 ** 20,
  // At most 32 MiB of blocks, some seconds of execution.
  rangesMax: 8,
  rangesPerPeer: 2,
  certificatesMax: 64,
  idleMs: 500,
}

/** Blocks to fetch, in the order of the chain; ranges follow each other without a gap. */
interface Range {
  readonly first: bigint
  count: number
  state: 'open' | 'fetching' | 'ready'
  fetched: FetchedRange | undefined
  /** By block, with their senders; of the range that is executed, and the next. */
  transactions: Promise<readonly (readonly Transaction[])[]> | undefined
  /** Who could not deliver it. */
  readonly failed: Set<string>
}

/** How far behind the network this node is. */
export interface SyncProgress {
  readonly startingHeight: bigint
  readonly height: bigint
  readonly targetHeight: bigint
  readonly blocksPerSecond: number
  /** Undefined while nothing moves. */
  readonly etaSeconds: number | undefined
}

/** Fewer blocks behind is keeping up, not catching up. */
const TIP_BLOCKS = 16n

/**
 * Takes the order from those who agreed on it: fetches blocks from several peers at once, ahead of execution by a bounded
 * window, checks what can be checked, and hands them out one by one to be executed again. A block is taken as final if a
 * committee's certificate vouches for it or for a descendant; without a committee, if a trusted peer has it. What then
 * executes to another hash halts the ledger (`DecidedBatch.expected`).
 *
 * Nothing is kept but the chain: after a crash it goes on from the head.
 */
export class Follower implements Orderer {
  readonly kind = 'follower'
  readonly #components: FollowerComponents
  readonly #limits: FollowerLimits
  readonly #metrics: ReturnType<typeof createFollowerMetrics> | undefined
  #ranges: Range[] = []
  /** First height that no range covers. */
  #next: bigint
  readonly #startingHeight: bigint
  /** Verified, of blocks behind those fetched so far. */
  readonly #later = new Map<bigint, Uint8Array>()
  #wake: () => void = () => {}
  #stored: () => void = () => {}
  /** Height and time of the last seconds, for the rate. */
  readonly #marks: { height: bigint; atMs: number }[] = []

  constructor(components: FollowerComponents, limits: Partial<FollowerLimits> = {}) {
    this.#components = components
    this.#limits = { ...defaultFollowerLimits, ...limits }
    if (this.#limits.rangeBlocks > BLOCKS_PER_REPLY_MAX) {
      throw new FullNodeError('BAD_CONFIG', `a range has at most ${BLOCKS_PER_REPLY_MAX} blocks`)
    }
    this.#startingHeight = components.ledger.head.number
    this.#next = this.#startingHeight + 1n
    this.#metrics = components.metrics && createFollowerMetrics(components.metrics, this)
  }

  /** Called after each certificate that was stored: heads that others see have moved. */
  onCertified(listener: () => void): void {
    this.#stored = listener
  }

  /** Highest block that peers offer and we may follow; the own head if nobody offers more. */
  get targetHeight(): bigint {
    let target = this.#components.ledger.head.number
    for (const peer of this.#eligible()) if (peer.status!.certified > target) target = peer.status!.certified
    return target
  }

  progress(): SyncProgress {
    const height = this.#components.ledger.head.number
    const targetHeight = this.targetHeight
    const [oldest, newest] = [this.#marks[0], this.#marks.at(-1)]
    const seconds = oldest && newest ? (newest.atMs - oldest.atMs) / 1000 : 0
    const blocksPerSecond = seconds > 0 ? Number(newest!.height - oldest!.height) / seconds : 0
    const left = Number(targetHeight - height)
    const etaSeconds = left === 0 ? 0 : blocksPerSecond > 0 ? Math.ceil(left / blocksPerSecond) : undefined
    return { startingHeight: this.#startingHeight, height, targetHeight, blocksPerSecond, etaSeconds }
  }

  /** For `eth_syncing`: undefined at the tip. */
  syncing(): { startingBlock: bigint; currentBlock: bigint; highestBlock: bigint } | undefined {
    const { startingHeight, height, targetHeight } = this.progress()
    if (targetHeight - height < TIP_BLOCKS) return undefined
    return { startingBlock: startingHeight, currentBlock: height, highestBlock: targetHeight }
  }

  status(): object {
    const { height, targetHeight, blocksPerSecond, etaSeconds } = this.progress()
    const certified = this.#components.certificates?.highest
    return {
      kind: this.kind,
      follows: this.#components.verifier ? 'certificates of the committee' : 'trusted peers, without certificates',
      height: height.toString(),
      targetHeight: targetHeight.toString(),
      certified: certified?.toString(),
      behind: (targetHeight - height).toString(),
      blocksPerSecond: Math.round(blocksPerSecond * 10) / 10,
      etaSeconds,
      rangesAhead: this.#ranges.length,
    }
  }

  async *decided({ signal }: { signal: AbortSignal }): AsyncGenerator<DecidedBatch> {
    const { ledger, peers } = this.#components
    const ending = new AbortController()
    const ended = AbortSignal.any([signal, ending.signal])
    const stopListening = peers.onChange(() => this.#wake())
    this.#ranges = []
    this.#next = ledger.head.number + 1n
    try {
      while (!signal.aborted) {
        const range = await this.#nextRange(ended)
        if (!range) return
        const { blocks, certificate } = range.fetched!
        if (certificate) this.#keepForLater(certificate.height, certificate.bytes)
        const transactions = await this.#prepare(range)
        for (const [index, block] of blocks.entries()) {
          if (signal.aborted) return
          const next = this.#ranges[1]
          if (next?.state === 'ready') this.#prepare(next).catch(() => {}) // its turn comes, and then it is told
          yield this.#batch(block, transactions[index]!)
          this.#executed()
        }
        this.#ranges.shift()
      }
    } finally {
      ending.abort()
      stopListening()
      this.#ranges = []
    }
  }

  /** Transactions of a range that has arrived. Those of two ranges at most: decoded they take several times the room. */
  #prepare(range: Range): Promise<readonly (readonly Transaction[])[]> {
    range.transactions ??= (async () => {
      const decoded = range.fetched!.blocks.map(({ transactions }) => transactions.map(decodeAgreed))
      await this.#components.senders?.recoverSenders(decoded.flat())
      return decoded
    })()
    return range.transactions
  }

  /** What the block was made from, as far as execution depends on it. */
  #batch({ header }: FetchedBlock, transactions: readonly Transaction[]): DecidedBatch {
    const { head } = this.#components.ledger
    if (!equalBytes(header.parentHash, head.hash)) {
      throw new FullNodeError(
        'FORK',
        `block ${header.number} that we should follow has another parent than our block ${head.number}`,
        { number: header.number, parentHash: header.parentHash.toHex(), ownHash: head.hash.toHex() },
      )
    }
    const { number, timestampMs, prevRandao, coinbase, consensusRoot } = header
    return {
      number,
      timestampMs,
      prevRandao,
      coinbase,
      consensusRoot,
      transactions,
      expected: header,
    }
  }

  #executed(): void {
    const { ledger, certificates } = this.#components
    const { number } = ledger.head
    const certificate = this.#later.get(number)
    if (certificate) {
      certificates?.put(number, certificate)
      this.#later.delete(number)
    }
    this.#mark(number)
    this.#metrics?.followed.inc()
    if (certificate || !certificates) this.#stored()
  }

  #keepForLater(height: bigint, certificate: Uint8Array): void {
    this.#later.set(height, certificate)
    // Those that are far ahead will come again with their blocks.
    if (this.#later.size > this.#limits.certificatesMax) this.#later.delete(this.#later.keys().next().value!)
  }

  #mark(height: bigint): void {
    const atMs = performance.now()
    const last = this.#marks.at(-1)
    if (last && atMs - last.atMs < 250) return
    this.#marks.push({ height, atMs })
    if (this.#marks.length > 40) this.#marks.shift()
  }

  /** The first range, once it is there; undefined if the signal aborts. */
  async #nextRange(signal: AbortSignal): Promise<Range | undefined> {
    while (!signal.aborted) {
      this.#assign(signal)
      const first = this.#ranges[0]
      if (first?.state === 'ready') return first
      await this.#change(signal)
    }
    return undefined
  }

  /** Resolves when a range arrived, a peer has news, or after a while. */
  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', end)
        this.#wake = () => {}
        resolve()
      }
      const timer = setTimeout(end, this.#limits.idleMs)
      signal.addEventListener('abort', end, { once: true })
      this.#wake = end
      if (signal.aborted) end()
    })
  }

  /** Cuts what is missing into ranges and gives the open ones to peers, the first ones first. */
  #assign(signal: AbortSignal): void {
    const { rangesMax, rangeBlocks } = this.#limits
    const target = this.targetHeight
    while (this.#ranges.length < rangesMax && this.#next <= target) {
      const left = target - this.#next + 1n
      const count = left < BigInt(rangeBlocks) ? Number(left) : rangeBlocks
      this.#ranges.push({
        first: this.#next,
        count,
        state: 'open',
        fetched: undefined,
        transactions: undefined,
        failed: new Set(),
      })
      this.#next += BigInt(count)
    }
    // Ranges may have been split into more than there is room for.
    for (const range of this.#ranges.slice(0, rangesMax)) {
      if (range.state !== 'open') continue
      const peer = this.#choose(range)
      if (peer) void this.#fetch(range, peer, signal)
    }
  }

  #choose(range: Range): ChainPeer | undefined {
    const nowMs = performance.now()
    const able = this.#eligible().filter(
      ({ status, restUntilMs }) =>
        restUntilMs <= nowMs && status!.certified >= range.first && status!.lowest <= range.first,
    )
    let open = able.filter(({ peerId }) => !range.failed.has(peerId))
    if (open.length === 0) {
      // Everybody failed once: begin again.
      range.failed.clear()
      open = able
    }
    return open
      .filter(({ requestCount }) => requestCount < this.#limits.rangesPerPeer)
      .sort((a, b) => a.requestCount - b.requestCount || b.score - a.score)[0]
  }

  /** Peers whose chain we may follow. */
  #eligible(): ChainPeer[] {
    const { peers, verifier } = this.#components
    return peers.connected.filter(({ isTrusted, status }) => (verifier ? status!.isCertified : isTrusted))
  }

  async #fetch(range: Range, peer: ChainPeer, signal: AbortSignal): Promise<void> {
    const { peers, verifier } = this.#components
    range.state = 'fetching'
    try {
      const limits = { count: range.count, bytes: this.#limits.rangeBytes }
      const fetched = await fetchRange(peers, peer, { first: range.first, ...limits, verifier, signal })
      if (signal.aborted) return
      range.fetched = fetched
      range.state = 'ready'
      this.#metrics?.fetchedBytes.inc(fetched.bytes)
      this.#split(range, fetched.blocks.length)
    } catch (error) {
      if (signal.aborted) return
      range.state = 'open'
      range.failed.add(peer.peerId)
      this.#components.log.debug('blocks not fetched', {
        peer: peer.peerId,
        first: range.first,
        reason: (error as Error).message,
      })
      peers.judge(peer, error)
    }
    this.#wake()
  }

  /** An answer is full, or the peer has no more: the rest is a range of its own. */
  #split(range: Range, count: number): void {
    if (count === range.count) return
    const rest: Range = {
      first: range.first + BigInt(count),
      count: range.count - count,
      state: 'open',
      fetched: undefined,
      transactions: undefined,
      failed: new Set(),
    }
    range.count = count
    this.#ranges.splice(this.#ranges.indexOf(range) + 1, 0, rest)
  }
}

/** A transaction of a block that was agreed on: its form was judged by whoever executed it first. */
function decodeAgreed(raw: Uint8Array): Transaction {
  try {
    return decodeTransaction(raw)
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    throw new FullNodeError('FORK', `a block that was agreed on holds what is no transaction: ${error.message}`, {
      raw: raw.toHex(),
    })
  }
}

function createFollowerMetrics(metrics: Metrics, follower: Follower) {
  const registers = [metrics]
  new Gauge({
    name: 'cumulus_node_target_height',
    help: 'Highest chain block that peers offer',
    registers,
    collect() {
      this.set(Number(follower.targetHeight))
    },
  })
  new Gauge({
    name: 'cumulus_node_behind_blocks',
    help: 'Chain blocks between the head and what peers offer',
    registers,
    collect() {
      const { targetHeight, height } = follower.progress()
      this.set(Number(targetHeight - height))
    },
  })
  return {
    followed: new Counter({ name: 'cumulus_node_followed_blocks_total', help: 'Chain blocks followed', registers }),
    fetchedBytes: new Counter({ name: 'cumulus_node_fetched_bytes_total', help: 'Bytes of blocks fetched', registers }),
  }
}
