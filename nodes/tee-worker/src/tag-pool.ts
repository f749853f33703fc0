import { Worker } from 'node:worker_threads'
import { Deferred, type Logger } from '@cumulus/service'
import { encodeDescriptor } from '@cumulus/storage'
import type { FetchedSegment } from './segment-fetcher.ts'
import type { TagAnswer, TagQuestion, TagThreadInit } from './tag-protocol.ts'
import type { StripeKey } from './tag-records.ts'

export type TagResult =
  | { readonly tags: Uint8Array<ArrayBuffer>; readonly taggedBytes: number }
  | { readonly refusal: 'inconsistent' }

/** Threads that rebuild and tag, one segment at a time each. A thread that dies takes the worker along. */
export class TagPool {
  readonly #threads: readonly TagThread[]

  constructor(
    init: TagThreadInit,
    threadCount: number,
    components: { log: Logger; onDeath: (error: unknown) => void },
  ) {
    this.#threads = Array.from({ length: threadCount }, () => new TagThread(init, components))
  }

  /** The fragments' buffers go over to the pool. */
  tag(
    key: StripeKey,
    root: Uint8Array,
    { descriptor, fragments }: FetchedSegment,
    blockCount: number,
  ): Promise<TagResult> {
    const idlest = this.#threads.reduce((best, thread) => (thread.load < best.load ? thread : best))
    const { group, stripe } = key
    return idlest.ask({ group, stripe, root, descriptor: encodeDescriptor(descriptor), fragments, blockCount })
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.close()))
  }
}

/** A segment that is being tagged takes a second or two. */
const STOP_MS = 20_000

class TagThread {
  readonly #worker: Worker
  readonly #answers = new Map<number, Deferred<TagResult>>()
  readonly #exited: Promise<void>
  #nextId = 1
  #ended: Error | undefined

  constructor(init: TagThreadInit, { log, onDeath }: { log: Logger; onDeath: (error: unknown) => void }) {
    const file = import.meta.url.endsWith('.ts') ? './tag-thread.ts' : './tag-thread.js'
    this.#worker = new Worker(new URL(file, import.meta.url), { workerData: init, name: 'tags' })
    this.#worker.on('message', (answer: TagAnswer) => this.#answered(answer))
    this.#worker.on('error', (error: Error) => {
      log.error('a tagging thread died', { error })
      this.#end(error)
      onDeath(error)
    })
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', () => {
        this.#end(new Error('the tagging thread ended'))
        resolve()
      })
    })
  }

  get load(): number {
    return this.#answers.size
  }

  ask(question: Omit<TagQuestion, 'id'>): Promise<TagResult> {
    if (this.#ended) return Promise.reject(this.#ended)
    const id = this.#nextId++
    const answer = new Deferred<TagResult>()
    this.#answers.set(id, answer)
    const buffers = question.fragments.map(({ bytes }) => bytes.buffer)
    this.#worker.postMessage({ ...question, id } satisfies TagQuestion, buffers)
    return answer.promise
  }

  /** Waits for what it has begun: a thread that is torn down in the middle may take the process along. */
  async close(): Promise<void> {
    const exit = this.#exited
    this.#end(new Error('the worker is stopping'))
    this.#worker.postMessage('stop' satisfies TagQuestion | 'stop')
    const force = setTimeout(() => void this.#worker.terminate(), STOP_MS)
    await exit
    clearTimeout(force)
  }

  #answered(answer: TagAnswer): void {
    const waiting = this.#answers.get(answer.id)
    this.#answers.delete(answer.id)
    if ('failure' in answer) waiting?.reject(new Error(answer.failure))
    else waiting?.resolve(answer)
  }

  #end(error: Error): void {
    this.#ended ??= error
    for (const answer of this.#answers.values()) answer.reject(this.#ended)
    this.#answers.clear()
  }
}
