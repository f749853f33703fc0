import { equalBytes, isZero, utf8Encode } from '@cumulus/bytes'
import {
  type FrameHandler,
  type FrameHandlers,
  type FrameMessage,
  FrameOp,
  type FrameReply,
  RemoteError,
  type Session,
} from '@cumulus/network'
import type { Logger } from '@cumulus/service'
import type { WorkerMetrics } from './metrics.ts'
import type { TagRecords } from './tag-records.ts'
import type { Tagging } from './tagging.ts'
import type { ChainGroup, WorkerChain } from './worker-chain.ts'

export interface FrameServiceComponents {
  readonly chainId: number
  /** Encoded powers of the own key, and their hash. */
  readonly powers: Uint8Array
  readonly powersHash: Uint8Array
  readonly chain: Pick<WorkerChain, 'stripes'>
  readonly records: TagRecords
  readonly tagging: Pick<Tagging, 'add'>
  readonly ownGroup: (id: number) => Promise<ChainGroup | undefined>
  readonly metrics: WorkerMetrics
  readonly log: Logger
}

const VERSION = 1
/** For what costs a segment to make again: so often each miner may ask, on average and at once. */
const ASKS_PER_MINUTE = 60
const ASKS_AT_ONCE_MAX = 120
const ASKERS_MAX = 16_384

/** Answers miners. */
export class FrameService {
  readonly #parts: FrameServiceComponents
  /** By peer id: questions it may still ask, and when that was reckoned. */
  readonly #allowances = new Map<string, { count: number; atMs: number }>()

  constructor(parts: FrameServiceComponents) {
    this.#parts = parts
  }

  get handlers(): FrameHandlers {
    const { chainId } = this.#parts
    return {
      [FrameOp.hello]: () => ({ meta: utf8Encode(JSON.stringify({ role: 'tee-worker', chainId, version: VERSION })) }),
      [FrameOp.powers]: this.#counted('powers', (frame) => this.#powers(frame)),
      [FrameOp.getTags]: this.#counted('get-tags', (frame, session) => this.#getTags(frame, session)),
    }
  }

  #powers(frame: FrameMessage): FrameReply {
    const { powers, powersHash } = this.#parts
    if (!isZero(frame.hash) && !equalBytes(frame.hash, powersHash)) {
      throw new RemoteError('NOT_FOUND', 'these are not the powers of a key of this worker')
    }
    return { hash: powersHash, body: powers }
  }

  /** A seat that lost its tags. They are at hand, or will be pushed to it when they are. */
  async #getTags({ group: id, stripe, seat }: FrameMessage, session: Session): Promise<FrameReply> {
    const { records, ownGroup, chain, tagging } = this.#parts
    const group = await ownGroup(id)
    if (!group) throw new RemoteError('NOT_TAGGER', 'another worker tags this group')
    const peerKey = group.peerKeys[seat]
    if (!peerKey || !equalBytes(peerKey, session.peerKey)) {
      throw new RemoteError('NOT_YOUR_SEAT', 'this miner does not hold that seat', { group: id, seat })
    }
    const kept = records.kept({ group: id, stripe })
    if (kept) return { hash: kept.root, meta: kept.signature, body: kept.tags }
    if (records.refusal({ group: id, stripe })) throw new RemoteError('UNTAGGABLE', 'this stripe is never tagged')
    this.#spend(session.peerId)
    const [known] = await chain.stripes(id, stripe, 1)
    if (known?.state !== 'committed') throw new RemoteError('NOT_COMMITTED', 'the certified chain has nothing here')
    tagging.add({ group: id, stripe, root: known.root, of: group }, { urgent: true })
    throw new RemoteError('PENDING', 'the tags are being made and will be sent')
  }

  /** @throws RemoteError OVERLOADED */
  #spend(peerId: string): void {
    const now = performance.now()
    if (this.#allowances.size >= ASKERS_MAX) this.#allowances.clear()
    const known = this.#allowances.get(peerId) ?? { count: ASKS_AT_ONCE_MAX, atMs: now }
    const count = Math.min(ASKS_AT_ONCE_MAX, known.count + ((now - known.atMs) / 60_000) * ASKS_PER_MINUTE)
    if (count < 1) throw new RemoteError('OVERLOADED', 'ask for fewer tags at a time')
    this.#allowances.set(peerId, { count: count - 1, atMs: now })
  }

  #counted(op: string, handler: FrameHandler): FrameHandler {
    const { metrics, log } = this.#parts
    return async (frame, session) => {
      try {
        const reply = await handler(frame, session)
        metrics.requests.inc({ op, code: 'ok' })
        return reply
      } catch (error) {
        const refusal = asRefusal(error)
        metrics.requests.inc({ op, code: refusal?.code ?? 'INTERNAL' })
        if (!refusal) log.error('a request failed', { op, peer: session.peerId, error })
        throw refusal ?? error
      }
    }
  }
}

function asRefusal(error: unknown): RemoteError | undefined {
  if (error instanceof RemoteError) return error
  if (error instanceof Error && error.name === 'ChainError') {
    return new RemoteError('CHAIN_UNREACHABLE', 'the worker cannot ask the chain')
  }
  return undefined
}
