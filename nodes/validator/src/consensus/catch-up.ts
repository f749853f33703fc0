import { DecodeError } from '@cumulus/bytes'
import { type Committee, decodeCertificate, verifyCertificate } from '@cumulus/certificate'
import type { CertificateStore, DecidedBatch, Mempool } from '@cumulus/execution'
import { ChainPeers, Follower } from '@cumulus/full-node'
import { FrameOp, NetworkError, type PeerIdentity, RemoteError } from '@cumulus/network'
import { encodeCheckpoint } from '@cumulus/r2s'
import { type Logger, sleep } from '@cumulus/service'
import { fastAggregateVerify } from '@cumulus/threshold'
import type { ExecutedChain } from './certifier.ts'
import type { MemberAddress, Members } from './members.ts'
import { encodeMark } from './order-mark.ts'
import { decodeOrderPoint, isBound, type OrderPoint } from './order-points.ts'

interface CatchUpComponents {
  readonly identity: PeerIdentity
  readonly members: readonly MemberAddress[]
  readonly self: number
  readonly committee: Committee
  readonly links: Members
  readonly chain: ExecutedChain & { readonly genesisHash: Uint8Array }
  readonly certificates: CertificateStore
  readonly senders: Pick<Mempool, 'recoverSenders'>
  readonly log: Logger
}

/** How often to look whether the tip is reached. */
const LOOK_MS = 50
const ANSWER_MS_MAX = 5_000
/** Heights that one member can make us ask for. */
const HINTS_PER_MEMBER_MAX = 3

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
    const { identity, members, self, chain, certificates, senders, links, log } = this.#components
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
    const follower = new Follower({ ledger: chain, peers, certificates, verifier: this.#verifier(), senders, log })
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
   * Where the order stood at some round that is wholly at or below the head; undefined if it cannot be had just now.
   * Its checkpoint is the one that the header binds; that the block is the last of its round, more than f members say.
   */
  async orderPoint({ signal }: { signal: AbortSignal }): Promise<OrderPoint | undefined> {
    const { members, self, chain } = this.#components
    const hints = members.map(() => new Set<number>())
    // All who answer the same question should name the same place. But one that was killed, or came later, may lack what another
    // has kept; then the lower one is asked for.
    for (let offset: number | undefined = Number(chain.head.number); offset !== undefined && !signal.aborted; ) {
      const height: number = offset
      const answers = await Promise.all(
        members.map((_, seat) => (seat === self ? undefined : this.#ask(seat, height, signal))),
      )
      const agreed = this.#agreed(answers)
      if (agreed) return agreed
      for (const [seat, point] of answers.entries()) {
        if (point && hints[seat]!.size < HINTS_PER_MEMBER_MAX) hints[seat]!.add(Number(point.height))
      }
      const lower = hints.flatMap((named) => [...named]).filter((named) => named < height)
      offset = lower.length > 0 ? Math.max(...lower) : undefined
    }
    return undefined
  }

  #agreed(answers: readonly (OrderPoint | undefined)[]): OrderPoint | undefined {
    const { chain, committee, log } = this.#components
    const counts = new Map<string, number>()
    for (const point of answers) {
      if (!point) continue
      const key = `${point.height} ${point.round} ${point.index} ${encodeCheckpoint(point.checkpoint).toHex()}`
      const count = (counts.get(key) ?? 0) + 1
      counts.set(key, count)
      if (count <= this.#faultCount) continue
      if (isBound(point, committee.era, chain)) return point
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
