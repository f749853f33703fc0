import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { HALF_ORDER, type Transaction } from '@cumulus/ledger'
import { endThread, type Logger } from '@cumulus/service'
import { addressFromBytes } from '@cumulus/types'
import { poolErrors } from './pool-error.ts'
import { JOB_BYTES, RESULT_BYTES } from './recovery-messages.ts'

interface SenderRecoveryInit {
  /** Threads besides the caller's. Default: all cores but one, at most 4; 0 = none. */
  readonly workers?: number
  /** A batch up to this size is done by the calling thread: a message to a thread and back takes as long as about two. */
  readonly inlineMax?: number
  /** Signatures that may wait. */
  readonly waitingMax?: number
}

/** Signatures of decided transactions that wait at a time: 13 ms of work for four threads. */
const DECIDED_PIECE_COUNT = 1_024

interface Job {
  readonly transaction: Transaction
  readonly done: PromiseWithResolvers<void>
}

/**
 * Finds out who signed. Recovery takes about 50 µs, more than everything else at a transaction's entry. What arrives
 * within one turn of the event loop is one batch: a small one is done at once, a large one goes to threads, so that the
 * calling thread, which executes chain blocks, stays free just when many transactions come in.
 */
export class SenderRecovery {
  readonly #log: Logger
  readonly #workersMax: number
  readonly #inlineMax: number
  readonly #waitingMax: number
  /** Started with the first large batch. */
  readonly #workers: RecoveryThread[] = []
  #batch: Job[] = []
  #waiting = 0
  #isClosed = false

  constructor(log: Logger, init: SenderRecoveryInit = {}) {
    this.#log = log
    this.#workersMax = init.workers ?? Math.min(4, availableParallelism() - 1)
    this.#inlineMax = init.inlineMax ?? 4
    this.#waitingMax = init.waitingMax ?? 8_192
  }

  /**
   * Resolves once `transaction.sender` costs nothing to ask.
   *
   * @throws PoolError BUSY
   */
  recover(transaction: Transaction): Promise<void> {
    if (this.#waiting >= this.#waitingMax) return Promise.reject(poolErrors.busy(this.#waiting))
    return this.#enqueue(transaction)
  }

  /** The same for what was decided: it is executed in any case, so it is never refused. Whoever calls bounds it. */
  async recoverAll(transactions: readonly Transaction[]): Promise<void> {
    // Piece by piece, so that there is room for what comes in meanwhile.
    for (let at = 0; at < transactions.length; at += DECIDED_PIECE_COUNT) {
      const piece = transactions.slice(at, at + DECIDED_PIECE_COUNT)
      await Promise.all(piece.map((transaction) => this.#enqueue(transaction)))
    }
  }

  #enqueue(transaction: Transaction): Promise<void> {
    this.#waiting++
    const job: Job = { transaction, done: Promise.withResolvers() }
    if (this.#batch.push(job) === 1) setImmediate(() => this.#dispatch())
    return job.done.promise
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all(this.#workers.splice(0).map((worker) => worker.close()))
  }

  #dispatch(): void {
    let batch = this.#batch
    this.#batch = []
    const threads = batch.length > this.#inlineMax ? this.#threads() : []
    if (threads.length === 0) {
      this.#inline(batch)
      return
    }
    // Nobody signs like that: known without any work.
    this.#inline(batch.filter(({ transaction }) => !isPlausible(transaction)))
    batch = batch.filter(({ transaction }) => isPlausible(transaction))
    // Ascending by load: whoever has least to do gets its share first.
    threads.sort((a, b) => a.load - b.load)
    const share = Math.ceil(batch.length / threads.length)
    threads.forEach((thread, index) => {
      const jobs = batch.slice(index * share, (index + 1) * share)
      if (jobs.length > 0) void this.#outside(thread, jobs)
    })
  }

  #inline(jobs: readonly Job[]): void {
    for (const { transaction, done } of jobs) {
      void transaction.sender // remembered
      this.#waiting--
      done.resolve()
    }
  }

  async #outside(thread: RecoveryThread, jobs: readonly Job[]): Promise<void> {
    let results: Uint8Array
    try {
      results = await thread.run(encodeJobs(jobs.map(({ transaction }) => transaction)), jobs.length)
    } catch (error) {
      // Slower, but every transaction gets its answer.
      if (!this.#isClosed) this.#log.warn('sender recovery thread died', { error })
      const at = this.#workers.indexOf(thread)
      if (at >= 0) this.#workers.splice(at, 1)
      return this.#inline(jobs)
    }
    jobs.forEach(({ transaction, done }, index) => {
      const result = results.subarray(index * RESULT_BYTES, (index + 1) * RESULT_BYTES)
      transaction.tellSender(result[0] === 1 ? addressFromBytes(result.slice(1)) : undefined)
      this.#waiting--
      done.resolve()
    })
  }

  #threads(): RecoveryThread[] {
    while (!this.#isClosed && this.#workers.length < this.#workersMax) this.#workers.push(new RecoveryThread())
    return [...this.#workers]
  }
}

class RecoveryThread {
  readonly #worker: Worker
  readonly #waiting: { readonly count: number; readonly result: PromiseWithResolvers<Uint8Array> }[] = []
  /** Signatures it has not answered. */
  load = 0

  constructor() {
    const file = import.meta.url.endsWith('.ts') ? './sender-recovery-worker.ts' : './sender-recovery-worker.js'
    this.#worker = new Worker(new URL(file, import.meta.url), { name: 'senders' })
    this.#worker.unref()
    this.#worker.on('message', (results: Uint8Array) => {
      const { count, result } = this.#waiting.shift()!
      this.load -= count
      result.resolve(results)
    })
    this.#worker.on('error', (error) => this.#failAll(error))
    this.#worker.on('exit', () => this.#failAll(new Error('the thread ended')))
  }

  run(jobs: Uint8Array<ArrayBuffer>, count: number): Promise<Uint8Array> {
    const result = Promise.withResolvers<Uint8Array>()
    this.#waiting.push({ count, result })
    this.load += count
    this.#worker.postMessage(jobs, [jobs.buffer])
    return result.promise
  }

  async close(): Promise<void> {
    await endThread(this.#worker, 'stop')
  }

  #failAll(error: unknown): void {
    for (const { result } of this.#waiting.splice(0)) result.reject(error)
  }
}

/** Neither zero nor malleable (EIP-2): the curve is not asked about others. */
function isPlausible({ r, s }: Transaction): boolean {
  return r !== 0n && s !== 0n && s <= HALF_ORDER
}

function encodeJobs(transactions: readonly Transaction[]): Uint8Array<ArrayBuffer> {
  const jobs = new Uint8Array(transactions.length * JOB_BYTES)
  transactions.forEach(({ signingHash, r, s, yParity }, index) => {
    const at = index * JOB_BYTES
    jobs.set(signingHash, at)
    jobs.subarray(at + 32, at + 96).setFromHex(r.toString(16).padStart(64, '0') + s.toString(16).padStart(64, '0'))
    jobs[at + 96] = yParity
  })
  return jobs
}
