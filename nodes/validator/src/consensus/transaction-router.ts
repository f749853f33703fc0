import { ByteReader, ByteWriter, DecodeError, hexToBytes } from '@cumulus/bytes'
import { type Mempool, PoolError } from '@cumulus/execution'
import { keccak256, sha256 } from '@cumulus/hash'
import { TRANSACTION_BYTES_MAX, type Transaction } from '@cumulus/ledger'
import { type FrameMessage, FrameOp, type FrameReply, RemoteError } from '@cumulus/network'
import { encodePayload } from '@cumulus/r2s'
import { Counter, type Logger, type Metrics } from '@cumulus/service'
import type { Address } from '@cumulus/types'
import type { Members } from './members.ts'
import { SecondTurn } from './second-turn.ts'

interface RouterComponents {
  readonly members: Members
  readonly memberCount: number
  readonly self: number
  readonly mempool: Mempool
  readonly log: Logger
  readonly metrics: Metrics
  readonly nowMs: () => number
  /** Whether that member is there and takes part in the order. */
  readonly isActive: (member: number) => boolean
  /** Somebody's transactions may have become this member's to take. */
  readonly changed: () => void
}

/** Members that get a transaction at first, and each time it was not ordered. One of them may be down or may not like it. */
const MEMBERS_AT_ONCE = 2
/** How often a second member looks whether its turn has come, while transactions wait. */
const LOOK_MS = 100
/** Not ordered for this long, a transaction is given to two others. */
const RESEND_MS = 3_000
/** A member that was given a transaction takes those of its sender into own blocks for this long. */
const CHARGE_MS = 60_000
const CHARGES_MAX = 20_000
/** What comes within this time travels together. */
const GATHER_MS = 2
const FRAME_TRANSACTIONS_MAX = 256
const FRAME_BYTES_MAX = 2 ** 20
/** Own transactions given to others in one look around: the rest waits for the next. */
const RESENDS_MAX = 1_024
const ANSWER_MS_MAX = 10_000
/** Watched over at a time; more than a mempool holds. What comes above stays here, and goes into own blocks if it may. */
const ROUTED_MAX = 50_000

/** A transaction that entered the network here. */
interface Routed {
  readonly transaction: Transaction
  readonly sender: Address
  /** How many times it was given to members. */
  attempts: number
  sentAtMs: number
}

/**
 * Who puts a transaction into its blocks: two members chosen by its sender, so that its nonces stay in order and the
 * committee does not carry it n times; the second only if the first does not. Whoever got it from its sender watches over it, and gives it to two others
 * every three seconds until it is ordered.
 */
export class TransactionRouter {
  readonly #components: RouterComponents
  readonly #orders = new Map<Address, readonly number[]>()
  readonly #routed = new Map<string, Routed>()
  /** Senders whose transactions others asked us to take, until when. */
  readonly #charges = new Map<Address, number>()
  readonly #waiting = new Map<number, Transaction[]>()
  readonly #metrics: ReturnType<typeof createMetrics>
  readonly #secondTurn: SecondTurn
  #gathering: NodeJS.Timeout | undefined
  #looking: NodeJS.Timeout | undefined

  constructor(components: RouterComponents) {
    this.#components = components
    this.#secondTurn = new SecondTurn(components.nowMs)
    this.#metrics = createMetrics(components.metrics)
  }

  /** Watches over transactions until `signal` aborts. */
  run({ signal }: { signal: AbortSignal }): void {
    const { mempool } = this.#components
    const stop = mempool.onAdded((transaction, origin) => {
      if (transaction.sender) this.#secondTurn.arrived(transaction.sender, transaction.nonce)
      this.#looking ??= setTimeout(() => this.#look(), LOOK_MS)
      if (origin === 'local') this.watch(transaction)
    })
    // Those that outlived a restart.
    for (const sender of mempool.senders()) {
      const { pending, queued } = mempool.content(sender)
      for (const transaction of [...pending, ...queued]) this.watch(transaction)
    }
    const timer = setInterval(() => this.#lookAround(), RESEND_MS / 3)
    signal.addEventListener(
      'abort',
      () => {
        stop()
        clearInterval(timer)
        clearTimeout(this.#gathering)
        clearTimeout(this.#looking)
      },
      { once: true },
    )
  }

  /** Whether this member takes transactions of that sender into its own blocks. */
  readonly mayTake = (sender: Address): boolean => {
    const { self, isActive } = this.#components
    // A chosen one that is away is stood in for by the next.
    let place = 0
    for (const member of this.#orderOf(sender)) {
      if (member === self) return place === 0 || this.#secondTurn.hasCome(sender)
      if (isActive(member) && ++place >= MEMBERS_AT_ONCE) break
    }
    const until = this.#charges.get(sender)
    return until !== undefined && until > this.#components.nowMs()
  }

  /** They are in the chain, or were left out of it. */
  executed(transactions: readonly Transaction[]): void {
    for (const { sender, nonce } of transactions) if (sender) this.#secondTurn.executed(sender, nonce)
  }

  /** Takes what another member was given. Answers `FrameOp.shareTransactions`. */
  async receive(frame: FrameMessage): Promise<FrameReply> {
    const until = this.#components.nowMs() + CHARGE_MS
    // All at once, so that their signatures are checked together.
    const transactions = await Promise.all(decodeShared(frame.body).map((raw) => this.#submit(raw)))
    let taken = 0
    for (const transaction of transactions) {
      if (!transaction?.sender) continue
      this.#charge(transaction.sender, until)
      taken++
    }
    this.#metrics.received.inc(taken)
    return { meta: new ByteWriter(16).u16(taken).finish() }
  }

  async #submit(raw: Uint8Array): Promise<Transaction | undefined> {
    const { mempool } = this.#components
    try {
      return await mempool.submit(raw, { origin: 'peer' })
    } catch (error) {
      // Outdated, too poor, no transaction at all: whoever watches over it will see.
      if (!(error instanceof PoolError)) throw error
      return error.code === 'ALREADY_KNOWN' ? mempool.get(keccak256(raw)) : undefined
    }
  }

  /** Sees to it that a transaction of the mempool is ordered. */
  watch(transaction: Transaction): void {
    const { sender } = transaction
    if (!sender || this.#components.memberCount === 1 || this.#routed.size >= ROUTED_MAX) return
    const routed = { transaction, sender, attempts: 0, sentAtMs: 0 }
    this.#routed.set(transaction.hash.toHex(), routed)
    this.#give(routed)
  }

  get counts(): { watched: number; charges: number } {
    return { watched: this.#routed.size, charges: this.#charges.size }
  }

  /** To the next two of its sender's order. This member itself may be one of them. */
  #give(routed: Routed): void {
    const { members, self, nowMs } = this.#components
    const present = this.#orderOf(routed.sender).filter((member) => member === self || members.isConnected(member))
    const first = (routed.attempts * MEMBERS_AT_ONCE) % present.length
    for (let i = 0; i < Math.min(MEMBERS_AT_ONCE, present.length); i++) {
      const member = present[(first + i) % present.length]!
      if (member === self) this.#charge(routed.sender, nowMs() + CHARGE_MS)
      else this.#post(member, routed.transaction)
    }
    if (routed.attempts++ > 0) this.#metrics.resent.inc()
    routed.sentAtMs = nowMs()
  }

  #post(member: number, transaction: Transaction): void {
    const waiting = this.#waiting.get(member)
    if (waiting) waiting.push(transaction)
    else this.#waiting.set(member, [transaction])
    this.#gathering ??= setTimeout(() => this.#sendAll(), GATHER_MS)
  }

  #sendAll(): void {
    this.#gathering = undefined
    for (const [member, transactions] of this.#waiting) {
      for (let i = 0; i < transactions.length; ) {
        const raws: Uint8Array[] = []
        let bytes = 0
        while (i < transactions.length && raws.length < FRAME_TRANSACTIONS_MAX) {
          const { raw } = transactions[i]!
          if (raws.length > 0 && bytes + raw.length > FRAME_BYTES_MAX) break
          raws.push(raw)
          bytes += 4 + raw.length
          i++
        }
        this.#send(member, raws)
      }
    }
    this.#waiting.clear()
  }

  #send(member: number, raws: readonly Uint8Array[]): void {
    const { members, log } = this.#components
    this.#metrics.sent.inc(raws.length)
    const body = encodePayload(raws)
    members
      .request(member, FrameOp.shareTransactions, { body }, { signal: AbortSignal.timeout(ANSWER_MS_MAX) })
      // They are still watched over, and will go to others.
      .catch((error) => log.debug('transactions not taken', { member, count: raws.length, error }))
  }

  /** What was ordered, or is gone for another reason, needs no care any longer. */
  #lookAround(): void {
    const { mempool, nowMs } = this.#components
    const now = nowMs()
    let resends = 0
    for (const [hash, routed] of this.#routed) {
      if (now - routed.sentAtMs < RESEND_MS) continue
      if (!mempool.get(routed.transaction.hash)) this.#routed.delete(hash)
      else if (resends++ < RESENDS_MAX) this.#give(routed)
    }
    for (const [sender, until] of this.#charges) if (until <= now) this.#charges.delete(sender)
    this.#secondTurn.forgetOld()
  }

  #look(): void {
    this.#looking = this.#secondTurn.isEmpty ? undefined : setTimeout(() => this.#look(), LOOK_MS)
    this.#components.changed()
  }

  #charge(sender: Address, until: number): void {
    if (!this.#charges.has(sender) && this.#charges.size >= CHARGES_MAX) {
      this.#charges.delete(this.#charges.keys().next().value!)
    }
    this.#charges.set(sender, until)
  }

  /** All seats, in the order in which they stand in for each other for this sender. */
  #orderOf(sender: Address): readonly number[] {
    let order = this.#orders.get(sender)
    if (!order) {
      order = seatOrder(sender, this.#components.memberCount)
      if (this.#orders.size >= CHARGES_MAX) this.#orders.clear()
      this.#orders.set(sender, order)
    }
    return order
  }
}

/** Seats by SHA-256(sender): a start, and from there a stride that visits all. */
export function seatOrder(sender: Address, count: number): number[] {
  const digest = sha256(hexToBytes(sender))
  const view = new DataView(digest.buffer, digest.byteOffset, digest.byteLength)
  const left = Array.from({ length: count }, (_, seat) => seat)
  const order: number[] = []
  for (let i = 0; left.length > 0; i = (i + 1) % 8) {
    order.push(...left.splice(view.getUint32(4 * i, true) % left.length, 1))
  }
  return order
}

function decodeShared(bytes: Uint8Array): Uint8Array[] {
  if (bytes.length > FRAME_BYTES_MAX + FRAME_TRANSACTIONS_MAX * 4 + TRANSACTION_BYTES_MAX) {
    throw new RemoteError('TOO_LARGE', `${bytes.length} bytes of transactions`)
  }
  const reader = new ByteReader(bytes)
  const raws: Uint8Array[] = []
  try {
    while (reader.remaining > 0) {
      if (raws.length >= FRAME_TRANSACTIONS_MAX) throw new RemoteError('TOO_LARGE', 'too many transactions')
      raws.push(reader.prefixed(TRANSACTION_BYTES_MAX).slice())
    }
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    throw new RemoteError('MALFORMED', 'not a list of transactions')
  }
  return raws
}

function createMetrics(metrics: Metrics) {
  const registers = [metrics]
  return {
    sent: new Counter({
      name: 'cumulus_consensus_transactions_sent_total',
      help: 'Transactions given to other members',
      registers,
    }),
    resent: new Counter({
      name: 'cumulus_consensus_transactions_resent_total',
      help: 'Transactions given to further members because they were not ordered in time',
      registers,
    }),
    received: new Counter({
      name: 'cumulus_consensus_transactions_received_total',
      help: 'Transactions taken from other members',
      registers,
    }),
  }
}
