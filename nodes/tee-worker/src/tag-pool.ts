import { Worker } from 'node:worker_threads'
import { Deferred, endThread, type Logger } from '@cumulus/service'
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

class TagThread {
  readonly #worker: Worker
  readonly #answers = new Map<number, Deferred<TagResult>>()
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
    this.#worker.on('exit', () => this.#end(new Error('the tagging thread ended')))
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

  /** Waits for what it has begun. */
  async close(): Promise<void> {
    this.#end(new Error('the worker is stopping'))
    await endThread(this.#worker, 'stop' satisfies TagQuestion | 'stop')
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
