import { DecodeError, equalBytes } from '@cumulus/bytes'
import { type Committee, decodeCertificate, verifyCertificate } from '@cumulus/certificate'
import type { CertificateStore, DecidedBatch } from '@cumulus/execution'
import { ChainPeers, Follower } from '@cumulus/full-node'
import { FrameOp, NetworkError, type PeerIdentity, RemoteError } from '@cumulus/network'
import { encodeCheckpoint } from '@cumulus/r2s'
import { type Logger, sleep } from '@cumulus/service'
import { fastAggregateVerify } from '@cumulus/threshold'
import type { ExecutedChain } from './certifier.ts'
import type { MemberAddress, Members } from './members.ts'
import { consensusRootOf, encodeMark } from './order-mark.ts'
import { decodeOrderPoint, type OrderPoint } from './order-points.ts'

interface CatchUpComponents {
  readonly identity: PeerIdentity
  readonly members: readonly MemberAddress[]
  readonly self: number
  readonly committee: Committee
  readonly links: Members
  readonly chain: ExecutedChain & { readonly genesisHash: Uint8Array }
  readonly certificates: CertificateStore
  readonly log: Logger
}

/** How often to look whether the tip is reached. */
const LOOK_MS = 50
const ANSWER_MS_MAX = 5_000

/**
 * The way back for a member whom the others have left behind (R²S, section 2.10): chain blocks with certificates to the tip,
 * executed like any others, then a checkpoint of the order that the header of a certified block binds.
 */
export class CatchUp {
  readonly #components: CatchUpComponents

  constructor(components: CatchUpComponents) {
    this.#components = components
  }

  /** Blocks to the certified tip of the others. Asking for the next says that the last one is executed. */
  async *toTip({ signal }: { signal: AbortSignal }): AsyncGenerator<DecidedBatch> {
    const { identity, members, self, chain, certificates, links, log } = this.#components
    const atTip = new AbortController()
    const ended = AbortSignal.any([signal, atTip.signal])
    const peers = new ChainPeers({
      identity,
      genesisHash: chain.genesisHash,
      // A member may take our session for the one that the order speaks by.
      handlers: links.handlers,
      log,
    })
    members.forEach(({ peerKey, address }, seat) => {
      if (seat !== self) peers.add({ peerKey, addresses: [address], origin: 'committee' })
    })
    const follower = new Follower({ ledger: chain, peers, certificates, verifier: this.#verifier(), log })
    const running = peers.run({ signal: ended })
    const look = setInterval(() => {
      const known = peers.connected.filter(({ status }) => status !== undefined).length
      // More than f tell how far they are: one of them is honest.
      if (known > this.#faultCount && chain.head.number >= follower.targetHeight) atTip.abort()
    }, LOOK_MS)
    try {
      for await (const batch of follower.decided({ signal: ended })) {
        yield { ...batch, mark: encodeMark({ kind: 'followed' }) }
      }
    } finally {
      clearInterval(look)
      atTip.abort()
      await running.catch((error) => log.debug('peers ended', { error }))
    }
  }

  /**
   * Where the order stood at the last round that is wholly at or below the head; undefined if it cannot be had just now.
   * Its checkpoint is the one that the header binds; that the block is the last of its round, more than f members say.
   */
  async orderPoint({ signal }: { signal: AbortSignal }): Promise<OrderPoint | undefined> {
    const { members, self, chain, log } = this.#components
    const offset = Number(chain.head.number)
    const answers = await Promise.all(
      members.map((_, seat) => (seat === self ? undefined : this.#ask(seat, offset, signal))),
    )
    const counts = new Map<string, number>()
    for (const point of answers) {
      if (!point) continue
      const key = `${point.height} ${point.round} ${point.index} ${encodeCheckpoint(point.checkpoint).toHex()}`
      const count = (counts.get(key) ?? 0) + 1
      counts.set(key, count)
      if (count <= this.#faultCount) continue
      const header = chain.header(point.height)
      const root = consensusRootOf({ ...point, era: this.#components.committee.era }, point.checkpoint)
      if (header && equalBytes(header.consensusRoot, root)) return point
      log.error('members name a place in the order that is not the one of the chain', { height: point.height })
    }
    return undefined
  }

  get #faultCount(): number {
    const { members, quorum } = this.#components.committee
    return members.length - quorum
  }

  async #ask(seat: number, offset: number, signal: AbortSignal): Promise<OrderPoint | undefined> {
    const { links, log } = this.#components
    try {
      const ended = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS_MAX)])
      return decodeOrderPoint(await links.request(seat, FrameOp.getOrderPoint, { offset }, { signal: ended }))
    } catch (error) {
      if (signal.aborted) return undefined
      const isTheirs = error instanceof DecodeError || error instanceof RemoteError || error instanceof NetworkError
      if (!isTheirs && (error as Error).name !== 'TimeoutError') throw error
      log.debug('no place in the order', { member: seat, reason: (error as Error).message })
      return undefined
    }
  }

  #verifier() {
    const { committee } = this.#components
    return {
      read: (bytes: Uint8Array) => decodeCertificate(bytes),
      verify: (bytes: Uint8Array) => verifyCertificate(decodeCertificate(bytes), committee, { fastAggregateVerify }),
    }
  }
}

/** Waits a moment before the next try; an abort ends it too. */
export async function rest(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, signal).catch(() => {})
}
