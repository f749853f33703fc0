import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { Deferred, endThread, type Logger } from '@cumulus/service'
import type {
  ReadJob,
  ReadResult,
  RepairJob,
  RepairResult,
  SeatReceipt,
  SegmentRef,
  WriteAftermath,
  WriteJob,
  WriteResult,
} from './jobs.ts'
import type { SegmentEngine } from './segment-engine.ts'
import { fromPlainError, type WorkerEvent, type WorkerInit, type WorkerRequest } from './worker-protocol.ts'

export type WrittenSegment = WriteResult & { readonly aftermath: Promise<WriteAftermath> }

/** Where segments are written and read: worker threads, or, without any, the engine of the calling thread. */
export interface SegmentPool {
  /** Ports of the workers, which miners dial besides the main one. */
  readonly ports: readonly number[]
  /** The pieces' buffers go over to the pool; `consumed` gives them, or others of the same size, back. */
  write(job: WriteJob, consumed: (buffers: readonly ArrayBuffer[]) => void): Promise<WrittenSegment>
  read(job: ReadJob): Promise<ReadResult>
  repair(job: RepairJob): Promise<RepairResult>
  receipts(ref: SegmentRef): Promise<SeatReceipt[]>
  /** Connected peers of the least connected worker. */
  readonly peerCount: number
  close(): Promise<void>
}

/** The engine of the calling thread as a pool. */
export class InlinePool implements SegmentPool {
  readonly ports: readonly number[] = []
  readonly peerCount = Number.POSITIVE_INFINITY
  readonly #engine: SegmentEngine

  constructor(engine: SegmentEngine) {
    this.#engine = engine
  }

  write(job: WriteJob, consumed: (buffers: readonly ArrayBuffer[]) => void): Promise<WrittenSegment> {
    return this.#engine.write(job, () => consumed(job.pieces.map(({ buffer }) => buffer)))
  }

  read(job: ReadJob): Promise<ReadResult> {
    return this.#engine.read(job)
  }

  repair(job: RepairJob): Promise<RepairResult> {
    return this.#engine.repair(job)
  }

  receipts(ref: SegmentRef): Promise<SeatReceipt[]> {
    return this.#engine.receipts(ref)
  }

  async close(): Promise<void> {}
}

/** Engines in worker threads, one job each to the one with the least to do. A worker that dies takes the gateway along. */
export class WorkerPool implements SegmentPool {
  readonly ports: readonly number[]
  readonly #workers: readonly WorkerHandle[]

  private constructor(workers: readonly WorkerHandle[]) {
    this.#workers = workers
    this.ports = workers.map(({ port }) => port)
  }

  /** @param onDeath called with the reason if a worker ends by itself */
  static async start(
    inits: readonly WorkerInit[],
    components: { log: Logger; onDeath: (error: unknown) => void },
  ): Promise<WorkerPool> {
    return new WorkerPool(await Promise.all(inits.map((init) => WorkerHandle.start(init, components))))
  }

  get peerCount(): number {
    return Math.min(...this.#workers.map(({ peerCount }) => peerCount))
  }

  async write(job: WriteJob, consumed: (buffers: readonly ArrayBuffer[]) => void): Promise<WrittenSegment> {
    return this.#idlest().write(job, consumed)
  }

  read(job: ReadJob): Promise<ReadResult> {
    // One stream stays with one worker while it can: rebuilt segments are kept there.
    const preferred = this.#workers[job.ref.place.stripe % this.#workers.length]!
    return (preferred.load <= this.#idlest().load + 2 ? preferred : this.#idlest()).ask({ op: 'read', job })
  }

  repair(job: RepairJob): Promise<RepairResult> {
    return this.#idlest().ask({ op: 'repair', job })
  }

  receipts(ref: SegmentRef): Promise<SeatReceipt[]> {
    return this.#idlest().ask({ op: 'receipts', job: ref })
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.close()))
  }

  #idlest(): WorkerHandle {
    let best = this.#workers[0]!
    for (const worker of this.#workers) if (worker.load < best.load) best = worker
    return best
  }
}

type Question = WorkerRequest extends infer Request
  ? Request extends { op: 'stop' }
    ? never
    : Omit<Request, 'id'>
  : never

/** A segment being written counts as so many reads. */
const WRITE_LOAD = 8

class WorkerHandle {
  readonly port: number
  readonly #worker: Worker
  readonly #answers = new Map<number, Deferred<unknown>>()
  readonly #aftermaths = new Map<number, Deferred<WriteAftermath>>()
  readonly #consumed = new Map<number, (buffers: readonly ArrayBuffer[]) => void>()
  #nextId = 1
  #closing = false
  load = 0
  peerCount = 0

  private constructor(worker: Worker, port: number) {
    this.#worker = worker
    this.port = port
  }

  static async start(
    init: WorkerInit,
    { log, onDeath }: { log: Logger; onDeath: (error: unknown) => void },
  ): Promise<WorkerHandle> {
    const file = import.meta.url.endsWith('.ts') ? './segment-worker.ts' : './segment-worker.js'
    const worker = new Worker(new URL(file, import.meta.url), { workerData: init, name: 'segments' })
    const [ready] = (await once(worker, 'message')) as [Extract<WorkerEvent, { kind: 'ready' }>]
    const handle = new WorkerHandle(worker, ready.port)
    worker.on('message', (event: WorkerEvent) => handle.#onEvent(event))
    worker.on('error', (error) => {
      log.error('segment worker died', { error })
      handle.#failAll(error)
      onDeath(error)
    })
    worker.on('exit', () => handle.#failAll(new Error('segment worker ended')))
    return handle
  }

  async write(job: WriteJob, consumed: (buffers: readonly ArrayBuffer[]) => void): Promise<WrittenSegment> {
    const aftermath = new Deferred<WriteAftermath>()
    aftermath.promise.catch(() => {})
    const buffers = [...new Set(job.pieces.map(({ buffer }) => buffer))]
    this.load += WRITE_LOAD
    const done = () => {
      this.load -= WRITE_LOAD
    }
    aftermath.promise.then(done, done)
    const id = this.#nextId
    this.#aftermaths.set(id, aftermath)
    this.#consumed.set(id, consumed)
    try {
      const result = await this.ask<WriteResult>({ op: 'write', job }, buffers)
      return { ...result, aftermath: aftermath.promise }
    } catch (error) {
      this.#aftermaths.delete(id)
      this.#consumed.delete(id)
      aftermath.reject(error)
      throw error
    }
  }

  async ask<Answer>(question: Question, transfer: ArrayBuffer[] = []): Promise<Answer> {
    if (this.#closing) throw new Error('the gateway is stopping')
    const id = this.#nextId++
    const answer = new Deferred<unknown>()
    this.#answers.set(id, answer)
    this.load++
    try {
      this.#worker.postMessage({ ...question, id }, transfer)
      return (await answer.promise) as Answer
    } finally {
      this.load--
      this.#answers.delete(id)
    }
  }

  async close(): Promise<void> {
    if (this.#closing) return
    this.#closing = true
    await endThread(this.#worker, { id: 0, op: 'stop' } satisfies WorkerRequest)
  }

  #onEvent(event: WorkerEvent): void {
    switch (event.kind) {
      case 'ready':
        return
      case 'peers':
        this.peerCount = event.peers.length
        return
      case 'consumed':
        this.#consumed.get(event.id)?.(event.buffers)
        this.#consumed.delete(event.id)
        return
      case 'answer':
        this.#answers.get(event.id)?.resolve(event.value)
        return
      case 'aftermath':
        this.#aftermaths.get(event.id)?.resolve(event.value)
        this.#aftermaths.delete(event.id)
        return
      case 'failed':
        this.#answers.get(event.id)?.reject(fromPlainError(event.error))
        this.#aftermaths.get(event.id)?.reject(fromPlainError(event.error))
        this.#aftermaths.delete(event.id)
    }
  }

  #failAll(error: unknown): void {
    for (const answer of this.#answers.values()) answer.reject(error)
    for (const aftermath of this.#aftermaths.values()) aftermath.reject(error)
    this.#aftermaths.clear()
  }
}
