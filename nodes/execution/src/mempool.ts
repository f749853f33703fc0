import { type DropCode, decodeTransaction, intrinsicGas, type Transaction } from '@cumulus/ledger'
import type { Metrics } from '@cumulus/service'
import type { Address } from '@cumulus/types'
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
  readonly senders?: Pick<SenderRecovery, 'recover' | 'close'>
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
  readonly byNonce: Map<bigint, Entry>
  /** The most that all of them may cost together, in wei. */
  cost: bigint
  /** Its next nonce in the chain, as of `generation`. */
  nonce: bigint
  generation: number
}

/** How a transaction left the batch it was in. */
export interface SettledBatch {
  readonly included: readonly Transaction[]
  readonly dropped: readonly { readonly transaction: Transaction; readonly code: DropCode }[]
}

/** Transactions that one newcomer may push out: each costs a pass over all senders. */
const VICTIMS_MAX = 8

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
  readonly #waitingListeners = new Set<() => void>()
  readonly #addedListeners = new Set<(transaction: Transaction, origin: TransactionOrigin) => void>()
  readonly #components: MempoolComponents
  #bytes = 0
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

  get(hash: Uint8Array): Transaction | undefined {
    return this.#entries.get(hash.toHex())?.transaction
  }

  /** Nonce that the next transaction of `address` needs: what waits without a gap is counted. */
  nextNonce(address: Address): bigint {
    const sender = this.#senders.get(address)
    if (!sender) return this.#state.nonce(address)
    let nonce = this.#nonceOf(address, sender)
    while (sender.byNonce.has(nonce)) nonce++
    return nonce
  }

  /** Executable one after the other / behind a missing nonce. */
  counts(): { pending: number; queued: number } {
    let pending = 0
    for (const [address, sender] of this.#senders) {
      pending += Number(this.nextNonce(address) - this.#nonceOf(address, sender))
    }
    return { pending, queued: this.#entries.size - pending }
  }

  /** Of one sender or of all, in order of nonces: executable one after the other / behind a missing nonce. */
  content(from?: Address): { pending: Map<Address, Transaction[]>; queued: Map<Address, Transaction[]> } {
    const content = { pending: new Map<Address, Transaction[]>(), queued: new Map<Address, Transaction[]>() }
    for (const [address, sender] of this.#senders) {
      if (from !== undefined && address !== from) continue
      const next = this.nextNonce(address)
      const all = [...sender.byNonce.values()].map(({ transaction }) => transaction)
      all.sort((a, b) => (a.nonce < b.nonce ? -1 : 1))
      const executable = all.findIndex(({ nonce }) => nonce >= next)
      const count = executable < 0 ? all.length : executable
      if (count > 0) content.pending.set(address, all.slice(0, count))
      if (count < all.length) content.queued.set(address, all.slice(count))
    }
    return content
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
      const entry = this.#firstUntaken(address, sender)
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
      if (!mayTake || mayTake(address)) offer(sender, this.#firstUntaken(address, sender))
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
      if (entry) entry.isTaken = false
    }
    for (const listener of this.#waitingListeners) listener()
  }

  /** To be called after each chain block, with the block's own batch: the state is the new one by then. */
  settle({ included, dropped }: SettledBatch): void {
    this.#generation++
    const touched = new Set<Address>()
    for (const transaction of included) {
      if (transaction.sender) touched.add(transaction.sender)
      this.#remove(transaction, 'included')
    }
    for (const { transaction, code } of dropped) {
      const entry = this.#entries.get(transaction.hash.toHex())
      if (entry && passing.has(code)) entry.isTaken = false
      else this.#remove(transaction, 'invalid')
    }
    for (const address of touched) {
      const nonce = this.#state.nonce(address)
      for (const entry of this.#senders.get(address)?.byNonce.values() ?? []) {
        if (entry.transaction.nonce < nonce) this.#remove(entry.transaction, 'outdated')
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

    const next = this.#state.nonce(address)
    if (transaction.nonce < next) throw poolErrors.nonceTooLow(transaction.nonce, next)
    if (transaction.nonce - next > BigInt(this.limits.nonceGapMax)) {
      throw poolErrors.nonceTooHigh(transaction.nonce, next, this.limits.nonceGapMax)
    }
    const sender = this.#senders.get(address)
    const replaced = sender?.byNonce.get(transaction.nonce)
    if (replaced) this.#judgeReplacement(replaced, transaction)
    else if ((sender?.byNonce.size ?? 0) >= this.limits.perSenderMax) {
      throw poolErrors.senderFull(this.limits.perSenderMax)
    }
    const cost = (sender?.cost ?? 0n) - (replaced ? costOf(replaced.transaction) : 0n) + costOf(transaction)
    const balance = this.#state.balance(address)
    if (cost > balance) throw poolErrors.insufficientFunds(cost, balance)

    this.#makeRoom(transaction, address, replaced)
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

  /** Drops the cheapest last transactions of other senders until this one fits, or refuses it. */
  #makeRoom(transaction: Transaction, address: Address, replaced: Entry | undefined): void {
    const { countMax, bytesMax } = this.limits
    const victims: Entry[] = []
    let count = this.#entries.size + (replaced ? 0 : 1)
    let bytes = this.#bytes + transaction.raw.length - (replaced?.transaction.raw.length ?? 0)
    while (count > countMax || bytes > bytesMax) {
      const victim = victims.length < VICTIMS_MAX ? this.#cheapestTail(address, new Set(victims)) : undefined
      if (!victim || victim.transaction.maxPriorityFeePerGas >= transaction.maxPriorityFeePerGas) {
        throw poolErrors.poolFull(countMax)
      }
      victims.push(victim)
      count--
      bytes -= victim.transaction.raw.length
    }
    for (const victim of victims) this.#remove(victim.transaction, 'evicted')
  }

  /** Only the last nonce of a sender can go without stranding others. One pass over the senders; only when full. */
  #cheapestTail(except: Address, gone: ReadonlySet<Entry>): Entry | undefined {
    let cheapest: Entry | undefined
    for (const [address, { byNonce }] of this.#senders) {
      if (address === except) continue
      let last: Entry | undefined
      for (const entry of byNonce.values()) {
        if (!gone.has(entry) && (!last || entry.transaction.nonce > last.transaction.nonce)) last = entry
      }
      if (!last || last.isTaken) continue
      if (!cheapest || last.transaction.maxPriorityFeePerGas < cheapest.transaction.maxPriorityFeePerGas)
        cheapest = last
    }
    return cheapest
  }

  #insert(
    hash: string,
    transaction: Transaction,
    address: Address,
    origin: TransactionOrigin,
    arrivedAtMs: number,
  ): void {
    let sender = this.#senders.get(address)
    if (!sender) this.#senders.set(address, (sender = { byNonce: new Map(), cost: 0n, nonce: 0n, generation: -1 }))
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
  #firstUntaken(address: Address, sender: Sender): Entry | undefined {
    let nonce = this.#nonceOf(address, sender)
    let entry = sender.byNonce.get(nonce)
    while (entry?.isTaken) entry = sender.byNonce.get(++nonce)
    return entry
  }

  #nonceOf(address: Address, sender: Sender): bigint {
    if (sender.generation !== this.#generation) {
      sender.nonce = this.#state.nonce(address)
      sender.generation = this.#generation
    }
    return sender.nonce
  }
}

function costOf({ gasLimit, maxFeePerGas, value }: Transaction): bigint {
  return gasLimit * maxFeePerGas + value
}

/** What the coinbase gets per gas. */
function tipOf({ maxFeePerGas, maxPriorityFeePerGas }: Transaction, baseFee: bigint): bigint {
  const room = maxFeePerGas - baseFee
  return room < maxPriorityFeePerGas ? room : maxPriorityFeePerGas
}
