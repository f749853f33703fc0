import { concatBytes } from '@cumulus/bytes'
import type { Mempool } from '@cumulus/execution'
import { sha256 } from '@cumulus/hash'
import type { Transaction } from '@cumulus/ledger'
import { FrameOp } from '@cumulus/network'
import { Counter, type Logger, type Metrics } from '@cumulus/service'
import type { ChainPeer, ChainPeers } from './chain-peers.ts'
import { decodeVerdicts, encodeTransactions, TRANSACTIONS_PER_MESSAGE_MAX } from './wire.ts'

export interface ForwarderComponents {
  readonly mempool: Pick<Mempool, 'onAdded' | 'get'>
  readonly peers: ChainPeers
  readonly log: Logger
  readonly metrics?: Metrics
}

export interface ForwarderLimits {
  /** Nodes that get a transaction at once, and that get it again if it is not in a block after `againMs`. */
  readonly peersPerTransaction: number
  readonly againMs: number
  /** Tries in all; then it is left to whoever sent it. */
  readonly triesMax: number
  /** What arrives within this time travels together. */
  readonly gatherMs: number
  readonly waitingMax: number
  readonly messageBytesMax: number
}

export const defaultForwarderLimits: ForwarderLimits = {
  peersPerTransaction: 2,
  againMs: 3_000,
  triesMax: 20,
  gatherMs: 5,
  waitingMax: 10_000,
  messageBytesMax: 2 ** 20,
}

interface Forwarded {
  readonly transaction: Transaction
  tries: number
  dueAtMs: number
}

/**
 * Sends transactions of the own mempool to nodes that order, or that are nearer to them. All of one sender go to the same
 * two, so that they arrive in the order of their nonces and blocks do not hold them eleven times; while a transaction
 * waits in the pool it goes to two others every few seconds.
 */
export class TransactionForwarder {
  readonly #components: ForwarderComponents
  readonly #limits: ForwarderLimits
  readonly #waiting = new Map<string, Forwarded>()
  readonly #sent: Counter<'verdict'> | undefined

  constructor(components: ForwarderComponents, limits: Partial<ForwarderLimits> = {}) {
    this.#components = components
    this.#limits = { ...defaultForwarderLimits, ...limits }
    this.#sent =
      components.metrics &&
      new Counter({
        name: 'cumulus_node_forwarded_transactions_total',
        help: 'Transactions sent to other nodes, by what became of them there',
        labelNames: ['verdict'],
        registers: [components.metrics],
      })
  }

  /** Transactions that are not in a block yet. */
  get waitingCount(): number {
    return this.#waiting.size
  }

  /** Works until `signal` aborts. */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    const { mempool } = this.#components
    const stop = mempool.onAdded((transaction) => {
      if (this.#waiting.size >= this.#limits.waitingMax) this.#waiting.delete(this.#waiting.keys().next().value!)
      this.#waiting.set(transaction.hash.toHex(), { transaction, tries: 0, dueAtMs: 0 })
      wake()
    })
    let wake: () => void = () => {}
    try {
      while (!signal.aborted) {
        const nextMs = this.#send(signal)
        await new Promise<void>((resolve) => {
          const end = () => {
            clearTimeout(timer)
            signal.removeEventListener('abort', end)
            resolve()
          }
          let timer = setTimeout(end, nextMs)
          signal.addEventListener('abort', end, { once: true })
          wake = () => {
            wake = () => {}
            clearTimeout(timer)
            timer = setTimeout(end, this.#limits.gatherMs)
          }
        })
      }
    } finally {
      stop()
    }
  }

  /** Sends what is due; ms until something else may be. */
  #send(signal: AbortSignal): number {
    const { againMs, triesMax, peersPerTransaction } = this.#limits
    const { mempool, peers } = this.#components
    const nowMs = performance.now()
    const byPeer = new Map<ChainPeer, Uint8Array[]>()
    const able = peers.connected
    const ordering = able.filter(({ status }) => status!.isOrdering)
    const candidates = ordering.length > 0 ? ordering : able
    for (const [hash, entry] of this.#waiting) {
      const { transaction } = entry
      if (entry.tries >= triesMax || !mempool.get(transaction.hash)) {
        this.#waiting.delete(hash)
        continue
      }
      if (entry.dueAtMs > nowMs || candidates.length === 0) continue
      const ranked = rank(candidates, transaction)
      const first = (entry.tries * peersPerTransaction) % ranked.length
      for (let i = 0; i < Math.min(peersPerTransaction, ranked.length); i++) {
        const peer = ranked[(first + i) % ranked.length]!
        const raws = byPeer.get(peer)
        if (raws) raws.push(transaction.raw)
        else byPeer.set(peer, [transaction.raw])
      }
      entry.tries++
      entry.dueAtMs = nowMs + againMs
    }
    for (const [peer, raws] of byPeer) void this.#sendTo(peer, raws, signal)
    return this.#waiting.size === 0 ? 60_000 : candidates.length === 0 ? 200 : againMs / 4
  }

  async #sendTo(peer: ChainPeer, raws: readonly Uint8Array[], signal: AbortSignal): Promise<void> {
    const { peers, log } = this.#components
    try {
      for (const body of this.#messages(raws)) {
        const reply = await peers.request(
          peer,
          (session, deadline) => session.request(FrameOp.sendTransactions, { body }, { signal: deadline }),
          { signal },
        )
        for (const verdict of decodeVerdicts(reply.meta)) this.#sent?.inc({ verdict })
      }
    } catch (error) {
      // They go to others in a moment.
      if (!signal.aborted) log.debug('transactions not sent', { peer: peer.peerId, reason: (error as Error).message })
    }
  }

  *#messages(raws: readonly Uint8Array[]): Generator<Uint8Array> {
    let some: Uint8Array[] = []
    let bytes = 0
    for (const raw of raws) {
      if (some.length === TRANSACTIONS_PER_MESSAGE_MAX || bytes + raw.length > this.#limits.messageBytesMax) {
        yield encodeTransactions(some)
        some = []
        bytes = 0
      }
      some.push(raw)
      bytes += raw.length
    }
    if (some.length > 0) yield encodeTransactions(some)
  }
}

/** Peers in the order in which they get the transactions of a sender: rendezvous hashing, so that few change places. */
function rank(peers: readonly ChainPeer[], { sender, hash }: Transaction): ChainPeer[] {
  if (peers.length === 1) return [...peers]
  const by = sender === undefined ? hash : Uint8Array.fromHex(sender.slice(2))
  return peers
    .map((peer) => ({ peer, weight: sha256(concatBytes(by, peer.known.peerKey)).toHex() }))
    .sort((a, b) => (a.weight < b.weight ? -1 : 1))
    .map(({ peer }) => peer)
}
