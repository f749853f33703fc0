import { type DropCode, decodeTransaction, intrinsicGas, type Transaction } from '@cumulus/ledger'
import type { Metrics } from '@cumulus/service'
import type { Address } from '@cumulus/types'
import { EvictionOrder, isBelow, type Rank, standings, type Tail } from './eviction-order.ts'
import type { MempoolJournal } from './mempool-journal.ts'
import { defaultMempoolLimits, type MempoolLimits } from './mempool-limits.ts'
import { createPoolMetrics } from './mempool-metrics.ts'
import type { BatchRoom, TransactionSource } from './orderer.ts'
import { PoolError, poolErrors } from './pool-error.ts'
import { PriorityQueue } from './priority-queue.ts'
import type { SenderRecovery } from './sender-recovery.ts'

/** Who brought a transaction: somebody who asked this node to send it, or a peer that passed it on. */
export type TransactionOrigin = 'local' | 'peer'

/** What the pool asks of the chain: always its last executed block. */
export interface PoolState {
  nonce(address: Address): bigint
  balance(address: Address): bigint
  nextBaseFee(): bigint
}

interface MempoolComponents {
  readonly chainId: number
  readonly state: PoolState
  /** Who signed what `submit` is given. Default: asked of the transaction, on this thread. */
  readonly senders?: Pick<SenderRecovery, 'recover' | 'recoverAll' | 'close'>
  /** Keeps local transactions over a restart. */
  readonly journal?: MempoolJournal
  readonly metrics?: Metrics
  /** Wall clock: arrival times outlive the process. */
  readonly nowMs?: () => number
}

interface Entry {
  readonly transaction: Transaction
  readonly sender: Address
  /** Order of arrival: the first of two equal bids goes first. */
  readonly arrival: number
  readonly arrivedAtMs: number
  readonly origin: TransactionOrigin
  /** Handed to the orderer; stays until the block that settles it. */
  isTaken: boolean
}

/** One sender's transactions by nonce. Few: at most `perSenderMax`. */
interface Sender {
  readonly address: Address
  readonly byNonce: Map<bigint, Entry>
  /** The most that all of them may cost together, in wei. */
  cost: bigint
  /** Its next nonce in the chain, as of `generation`. */
  nonce: bigint
  generation: number
  /** Those that follow one another from `nonce` on; the others are queued behind a gap. */
  pendingCount: number
}

/** Who goes first at a base fee. */
interface Eviction {
  readonly baseFee: bigint
  readonly order: EvictionOrder<Sender, Entry>
}

/** How a transaction left the batch it was in. */
export interface SettledBatch {
  readonly included: readonly Transaction[]
  readonly dropped: readonly { readonly transaction: Transaction; readonly code: DropCode }[]
}

/** Transactions that one newcomer may push out: one of the largest takes the room of many small ones, and pays as much gas. */
const VICTIMS_MAX = 64

/** These may succeed later: they go back to the waiting ones. */
const passing: ReadonlySet<DropCode> = new Set(['BLOCK_FULL', 'FEE_TOO_LOW', 'NONCE_TOO_HIGH'])

/**
 * Transactions that wait for a chain block. Those that were submitted here are also in a journal, where there is one: a
 * node that restarts still sends what it promised to send. What peers passed on is in memory only.
 */
export class Mempool implements TransactionSource {
  readonly limits: MempoolLimits
  readonly #chainId: bigint
  readonly #state: PoolState
  readonly #nowMs: () => number
  readonly #metrics: ReturnType<typeof createPoolMetrics> | undefined
  readonly #entries = new Map<string, Entry>()
  readonly #senders = new Map<Address, Sender>()
  /** Made when the pool is full, and anew with each chain block, for tips change with it. */
  #eviction: Eviction | undefined
  readonly #waitingListeners = new Set<() => void>()
  readonly #addedListeners = new Set<(transaction: Transaction, origin: TransactionOrigin) => void>()
  readonly #components: MempoolComponents
  #bytes = 0
  #pendingCount = 0
  #arrivals = 0
  /** Counts chain blocks: nonces read before the last one are read again. */
  #generation = 0

  constructor(components: MempoolComponents, limits: Partial<MempoolLimits> = {}) {
    const { chainId, state, metrics, nowMs } = components
    this.#components = components
    this.limits = { ...defaultMempoolLimits, ...limits }
    this.#chainId = BigInt(chainId)
    this.#state = state
    this.#nowMs = nowMs ?? Date.now
    this.#metrics = metrics && createPoolMetrics(metrics, this)
  }

  get count(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /**
   * Takes a transaction as it came over the wire. The costly check, who signed it, comes after all cheap ones and leaves
   * this thread when there are many. A local one is in the journal once this resolves.
   *
   * @throws PoolError; nothing has changed then
   */
  async submit(raw: Uint8Array, { origin = 'local' }: { origin?: TransactionOrigin } = {}): Promise<Transaction> {
    const transaction = this.#counted(() => {
      const decoded = this.#decode(raw)
      if (this.#entries.has(decoded.hash.toHex())) throw poolErrors.alreadyKnown()
      this.#judgeAlone(decoded)
      return decoded
    })
    try {
      await this.#components.senders?.recover(transaction)
    } catch (error) {
      throw this.#rejected(error)
    }
    this.add(transaction, { origin })
    if (origin === 'local') await this.#components.journal?.append(transaction.raw, this.#nowMs())
    return transaction
  }

  /**
   * Takes a transaction in.
   *
   * @throws PoolError; nothing has changed then
   */
  add(transaction: Transaction, { origin = 'local' }: { origin?: TransactionOrigin } = {}): void {
    this.#counted(() => this.#add(transaction, origin, this.#nowMs()))
    this.#metrics?.accepted.inc()
    for (const listener of this.#addedListeners) listener(transaction, origin)
    for (const listener of this.#waitingListeners) listener()
  }

  /** Takes back what the journal kept; what the chain has settled meanwhile is left out. Once, after the chain is open. */
  async restore(): Promise<{ restored: number; outdated: number }> {
    const counts = { restored: 0, outdated: 0 }
    const { journal } = this.#components
    if (!journal) return counts
    for (const { raw, addedAtMs } of await journal.load()) {
      try {
        const transaction = this.#decode(raw)
        await this.#components.senders?.recover(transaction)
        this.#add(transaction, 'local', addedAtMs)
        counts.restored++
      } catch (error) {
        if (!(error instanceof PoolError)) throw error
        counts.outdated++
      }
    }
    this.#expire()
    await this.#compact()
    return counts
  }

  /** Ends the threads and the journal. Nothing may be submitted afterwards. */
  async close(): Promise<void> {
    await this.#components.senders?.close()
    await this.#components.journal?.close()
  }

  /**
   * Finds out who signed transactions of a decided batch that this pool does not have, in the threads that do it for those that
   * come in: the thread that executes has enough to do. Resolves once asking for the senders costs nothing.
   */
  async recoverSenders(transactions: readonly Transaction[]): Promise<void> {
    await this.#components.senders?.recoverAll(transactions)
  }

  get(hash: Uint8Array): Transaction | undefined {
    return this.#entries.get(hash.toHex())?.transaction
  }

  /** Nonce that the next transaction of `address` needs: what waits without a gap is counted. */
  nextNonce(address: Address): bigint {
    const sender = this.#senders.get(address)
    if (!sender) return this.#state.nonce(address)
    this.#refresh(sender)
    return sender.nonce + BigInt(sender.pendingCount)
  }

  /** Executable one after the other / behind a missing nonce. */
  counts(): { pending: number; queued: number } {
    return { pending: this.#pendingCount, queued: this.#entries.size - this.#pendingCount }
  }

  /** Whose transactions wait. */
  senders(): Address[] {
    return [...this.#senders.keys()]
  }

  /** Of one sender, in order of nonces: executable one after the other / behind a missing nonce. */
  content(from: Address): { pending: Transaction[]; queued: Transaction[] } {
    const sender = this.#senders.get(from)
    if (!sender) return { pending: [], queued: [] }
    this.#refresh(sender)
    const all = [...sender.byNonce.values()].map(({ transaction }) => transaction)
    all.sort((a, b) => (a.nonce < b.nonce ? -1 : 1))
    return { pending: all.slice(0, sender.pendingCount), queued: all.slice(sender.pendingCount) }
  }

  onWaiting(listener: () => void): () => void {
    this.#waitingListeners.add(listener)
    return () => this.#waitingListeners.delete(listener)
  }

  /** Calls back with each transaction that was taken in; returns what ends it. */
  onAdded(listener: (transaction: Transaction, origin: TransactionOrigin) => void): () => void {
    this.#addedListeners.add(listener)
    return () => this.#addedListeners.delete(listener)
  }

  get hasWaiting(): boolean {
    return this.hasWaitingOf(() => true)
  }

  /** Whether `take` would find anything of these senders. */
  hasWaitingOf(mayTake: (sender: Address) => boolean): boolean {
    const baseFee = this.#state.nextBaseFee()
    for (const [address, sender] of this.#senders) {
      if (!mayTake(address)) continue
      const entry = this.#firstUntaken(sender)
      if (entry && entry.transaction.maxFeePerGas >= baseFee) return true
    }
    return false
  }

  /** @param mayTake of which senders; of all if not given */
  take(room: BatchRoom, mayTake?: (sender: Address) => boolean): readonly Transaction[] {
    const baseFee = this.#state.nextBaseFee()
    const heads = new PriorityQueue<{ entry: Entry; tip: bigint; sender: Sender }>(
      (a, b) => a.tip > b.tip || (a.tip === b.tip && a.entry.arrival < b.entry.arrival),
    )
    const offer = (sender: Sender, entry: Entry | undefined) => {
      if (!entry || entry.isTaken || entry.transaction.maxFeePerGas < baseFee) return
      heads.push({ entry, sender, tip: tipOf(entry.transaction, baseFee) })
    }
    for (const [address, sender] of this.#senders) {
      if (!mayTake || mayTake(address)) offer(sender, this.#firstUntaken(sender))
    }

    const taken: Transaction[] = []
    let { gas, bytes } = room
    for (let best = heads.pop(); best && taken.length < room.count; best = heads.pop()) {
      const { entry, sender } = best
      const { transaction } = entry
      // One that does not fit ends its sender's turn, not the batch: smaller ones of others may still fit.
      if (transaction.gasLimit > gas || transaction.raw.length > bytes) continue
      gas -= transaction.gasLimit
      bytes -= transaction.raw.length
      entry.isTaken = true
      taken.push(transaction)
      offer(sender, sender.byNonce.get(transaction.nonce + 1n))
    }
    return taken
  }

  /** They were taken, and will not be ordered after all: they wait again. */
  release(hashes: Iterable<Uint8Array>): void {
    for (const hash of hashes) {
      const entry = this.#entries.get(hash.toHex())
      if (!entry) continue
      entry.isTaken = false
      this.#rank(this.#senders.get(entry.sender)!)
    }
    for (const listener of this.#waitingListeners) listener()
  }

  /** To be called after each chain block, with the block's own batch: the state is the new one by then. */
  settle({ included, dropped }: SettledBatch): void {
    this.#generation++
    this.#eviction = undefined
    const touched = new Set<Address>()
    let isDelegating = false
    for (const transaction of included) {
      if (transaction.sender) touched.add(transaction.sender)
      if (transaction.authorizations.length > 0) isDelegating = true
      this.#remove(transaction, 'included')
    }
    for (const { transaction, code } of dropped) {
      const entry = this.#entries.get(transaction.hash.toHex())
      if (entry && passing.has(code)) entry.isTaken = false
      else this.#remove(transaction, 'invalid')
    }
    // Nonces of those who signed an authorization rise without a transaction of theirs (EIP-7702). Who they are only
    // their signatures say, at 50 µs each; to read the nonce of everybody who waits costs less.
    for (const address of isDelegating ? this.senders() : touched) {
      const sender = this.#senders.get(address)
      if (!sender) continue
      this.#refresh(sender)
      for (const entry of sender.byNonce.values()) {
        if (entry.transaction.nonce < sender.nonce) this.#remove(entry.transaction, 'outdated')
      }
    }
    this.#expire()
    if (this.#components.journal?.isOverfull) void this.#compact()
  }

  #decode(raw: Uint8Array): Transaction {
    const { transactionBytesMax } = this.limits
    if (raw.length > transactionBytesMax) throw poolErrors.tooLarge(raw.length, transactionBytesMax)
    try {
      return decodeTransaction(raw)
    } catch (error) {
      throw poolErrors.malformed(error as Error)
    }
  }

  #counted<Value>(work: () => Value): Value {
    try {
      return work()
    } catch (error) {
      throw this.#rejected(error)
    }
  }

  #rejected(error: unknown): unknown {
    if (error instanceof PoolError) this.#metrics?.rejected.inc({ code: error.code })
    return error
  }

  /** Leaves in the journal what still waits. */
  async #compact(): Promise<void> {
    const local = this.#entries.values().filter(({ origin }) => origin === 'local')
    await this.#components.journal?.rewrite(
      local.map(({ transaction, arrivedAtMs }) => ({ raw: transaction.raw, addedAtMs: arrivedAtMs })),
    )
  }

  #add(transaction: Transaction, origin: TransactionOrigin, arrivedAtMs: number): void {
    const hash = transaction.hash.toHex()
    if (this.#entries.has(hash)) throw poolErrors.alreadyKnown()
    this.#judgeAlone(transaction)
    // Recovering the sender is the costly check.
    const { sender: address } = transaction
    if (!address) throw poolErrors.badSignature()

    const sender = this.#senders.get(address)
    const next = this.#state.nonce(address)
    if (transaction.nonce < next) throw poolErrors.nonceTooLow(transaction.nonce, next)
    if (transaction.nonce - next > BigInt(this.limits.nonceGapMax)) {
      throw poolErrors.nonceTooHigh(transaction.nonce, next, this.limits.nonceGapMax)
    }
    const replaced = sender?.byNonce.get(transaction.nonce)
    if (replaced) this.#judgeReplacement(replaced, transaction)
    else if ((sender?.byNonce.size ?? 0) >= this.limits.perSenderMax) {
      throw poolErrors.senderFull(this.limits.perSenderMax)
    }
    const cost = (sender?.cost ?? 0n) - (replaced ? costOf(replaced.transaction) : 0n) + costOf(transaction)
    const balance = this.#state.balance(address)
    if (cost > balance) throw poolErrors.insufficientFunds(cost, balance)

    this.#makeRoom(transaction, sender, next, replaced)
    if (replaced) this.#remove(replaced.transaction, 'replaced')
    this.#insert(hash, transaction, address, origin, arrivedAtMs)
  }

  /** What can be said without the chain. */
  #judgeAlone(transaction: Transaction): void {
    const { limits } = this
    if (transaction.raw.length > limits.transactionBytesMax) {
      throw poolErrors.tooLarge(transaction.raw.length, limits.transactionBytesMax)
    }
    if (transaction.chainId !== this.#chainId) throw poolErrors.wrongChain(transaction.chainId, this.#chainId)
    if (transaction.gasLimit > limits.transactionGasMax) {
      throw poolErrors.gasLimitTooHigh(transaction.gasLimit, limits.transactionGasMax)
    }
    const { intrinsic, floor } = intrinsicGas(transaction)
    for (const least of [intrinsic, floor]) {
      if (transaction.gasLimit < least) throw poolErrors.intrinsicGas(transaction.gasLimit, least)
    }
    if (transaction.maxPriorityFeePerGas > transaction.maxFeePerGas) throw poolErrors.tipAboveMaxFee()
    if (transaction.maxPriorityFeePerGas < limits.minTip) {
      throw poolErrors.underpriced(transaction.maxPriorityFeePerGas, limits.minTip)
    }
  }

  #judgeReplacement(old: Entry, transaction: Transaction): void {
    const raised = (fee: bigint) => fee + (fee * this.limits.replacementPercent + 99n) / 100n
    const { maxFeePerGas, maxPriorityFeePerGas } = old.transaction
    if (
      old.isTaken ||
      transaction.maxFeePerGas < raised(maxFeePerGas) ||
      transaction.maxPriorityFeePerGas < raised(maxPriorityFeePerGas)
    ) {
      throw poolErrors.replacementUnderpriced(raised(maxFeePerGas), raised(maxPriorityFeePerGas))
    }
  }

  /**
   * Drops last transactions of other senders until this one fits, those that are worth least first, or refuses it. What
   * misses a nonce makes room for others of its kind only.
   */
  #makeRoom(transaction: Transaction, sender: Sender | undefined, next: bigint, replaced: Entry | undefined): void {
    const { countMax, bytesMax, queuedMax } = this.limits
    if (sender) this.#refresh(sender)
    const isQueued = transaction.nonce > next + BigInt(sender?.pendingCount ?? 0)
    let count = this.#entries.size + (replaced ? 0 : 1)
    let bytes = this.#bytes + transaction.raw.length - (replaced?.transaction.raw.length ?? 0)
    let queued = isQueued ? this.counts().queued + (replaced ? 0 : 1) : 0
    const isOver = () => count > countMax || bytes > bytesMax || queued > queuedMax
    if (!isOver()) return

    const { baseFee, order } = this.#evictionOrder()
    const rank = rankOf(transaction, sender, isQueued, baseFee)
    const victims: Tail<Sender, Entry>[] = []
    while (isOver()) {
      const victim = victims.length < VICTIMS_MAX ? order.lowest(sender, isQueued) : undefined
      if (!victim || !isBelow(victim.rank, rank)) {
        for (const one of victims) this.#rank(one.sender)
        throw isQueued && queued > queuedMax ? poolErrors.queueFull(queuedMax) : poolErrors.poolFull(countMax)
      }
      victims.push(victim)
      order.set(victim.sender, tailOf(victim.sender, baseFee, victim.entry.transaction.nonce))
      count--
      bytes -= victim.entry.transaction.raw.length
      if (isQueued) queued--
    }
    for (const { entry } of victims) this.#remove(entry.transaction, 'evicted')
  }

  #evictionOrder(): Eviction {
    const baseFee = this.#state.nextBaseFee()
    if (this.#eviction?.baseFee === baseFee) return this.#eviction
    const eviction = (this.#eviction = { baseFee, order: new EvictionOrder() })
    for (const sender of this.#senders.values()) {
      this.#refresh(sender)
      this.#rank(sender)
    }
    return eviction
  }

  /** To be called when a sender's transactions have changed. Costs nothing as long as the pool is not full. */
  #rank(sender: Sender): void {
    if (!this.#eviction) return
    const { order, baseFee } = this.#eviction
    order.set(sender, sender.byNonce.size > 0 ? tailOf(sender, baseFee) : undefined)
  }

  #insert(
    hash: string,
    transaction: Transaction,
    address: Address,
    origin: TransactionOrigin,
    arrivedAtMs: number,
  ): void {
    let sender = this.#senders.get(address)
    if (!sender) {
      sender = { address, byNonce: new Map(), cost: 0n, nonce: 0n, generation: -1, pendingCount: 0 }
      this.#senders.set(address, sender)
    }
    this.#refresh(sender)
    const entry: Entry = {
      transaction,
      sender: address,
      arrival: this.#arrivals++,
      arrivedAtMs,
      origin,
      isTaken: false,
    }
    sender.byNonce.set(transaction.nonce, entry)
    sender.cost += costOf(transaction)
    this.#entries.set(hash, entry)
    this.#bytes += transaction.raw.length
    this.#recount(sender)
    this.#rank(sender)
  }

  #remove(transaction: Transaction, reason: string): void {
    const hash = transaction.hash.toHex()
    const entry = this.#entries.get(hash)
    if (!entry) return
    this.#entries.delete(hash)
    this.#bytes -= transaction.raw.length
    const sender = this.#senders.get(entry.sender)!
    sender.byNonce.delete(transaction.nonce)
    sender.cost -= costOf(transaction)
    this.#recount(sender)
    this.#rank(sender)
    if (sender.byNonce.size === 0) this.#senders.delete(entry.sender)
    this.#metrics?.removed.inc({ reason })
  }

  #expire(): void {
    const oldest = this.#nowMs() - this.limits.lifetimeMs
    // Insertion order is order of arrival: the first that is young enough ends the search.
    for (const entry of this.#entries.values()) {
      if (entry.arrivedAtMs > oldest) break
      if (!entry.isTaken) this.#remove(entry.transaction, 'expired')
    }
  }

  /** The first transaction of a sender that can be executed and has not been handed out. */
  #firstUntaken(sender: Sender): Entry | undefined {
    this.#refresh(sender)
    let { nonce } = sender
    let entry = sender.byNonce.get(nonce)
    while (entry?.isTaken) entry = sender.byNonce.get(++nonce)
    return entry
  }

  /** Brings a sender to the last chain block. */
  #refresh(sender: Sender): void {
    if (sender.generation === this.#generation) return
    sender.nonce = this.#state.nonce(sender.address)
    sender.generation = this.#generation
    this.#recount(sender)
  }

  #recount(sender: Sender): void {
    let count = 0
    for (let { nonce } = sender; sender.byNonce.has(nonce); nonce++) count++
    this.#pendingCount += count - sender.pendingCount
    sender.pendingCount = count
  }
}

/** @param below nonce: what is there and above is about to go */
function tailOf(sender: Sender, baseFee: bigint, below?: bigint): Tail<Sender, Entry> | undefined {
  let last: Entry | undefined
  for (const entry of sender.byNonce.values()) {
    const { nonce } = entry.transaction
    if ((below === undefined || nonce < below) && (!last || nonce > last.transaction.nonce)) last = entry
  }
  if (!last) return undefined
  const isQueued = last.transaction.nonce >= sender.nonce + BigInt(sender.pendingCount)
  return { sender, entry: last, isQueued, rank: rankOf(last.transaction, sender, isQueued, baseFee) }
}

/** A transaction is worth no more than the poorest of those that must go before it. */
function rankOf(transaction: Transaction, sender: Sender | undefined, isQueued: boolean, baseFee: bigint): Rank {
  let tip = tipOf(transaction, baseFee)
  if (!isQueued && sender) {
    for (let { nonce } = sender; nonce < transaction.nonce; nonce++) {
      const before = sender.byNonce.get(nonce)
      if (!before) break
      const its = tipOf(before.transaction, baseFee)
      if (its < tip) tip = its
    }
  }
  const standing = tip < 0n ? standings.unpayable : isQueued ? standings.queued : standings.executable
  return { standing, tip }
}

function costOf({ gasLimit, maxFeePerGas, value }: Transaction): bigint {
  return gasLimit * maxFeePerGas + value
}

/** What the coinbase gets per gas. */
function tipOf({ maxFeePerGas, maxPriorityFeePerGas }: Transaction, baseFee: bigint): bigint {
  const room = maxFeePerGas - baseFee
  return room < maxPriorityFeePerGas ? room : maxPriorityFeePerGas
}
