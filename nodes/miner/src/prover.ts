import { Worker } from 'node:worker_threads'
import { type BlockPlace, blockBytes, type PodrParams, TAG_BYTES } from '@cumulus/podr2'
import { Deferred } from '@cumulus/service'
import { type ProofAnswer, type ProofQuestion, TAGGERS_MAX, type TaggerRef } from './proof-protocol.ts'

/** The thread could not do what it was asked: `code` of podr2, or INTERNAL. */
export class ProverError extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.name = 'ProverError'
    this.code = code
  }
}

/** Bytes of one place after the other; each may be short, and is given up to the prover. */
export interface Blocks {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Blocks that `bytes` stands for: those that it does not reach are zeros. */
  readonly count: number
  readonly tags: Uint8Array
}

export interface Combination {
  readonly seed: Uint8Array
  readonly places: readonly BlockPlace[]
  readonly dropped?: bigint
  readonly params: PodrParams
  /** Of the places not dropped, in their order. */
  readonly blocks: AsyncIterable<Blocks>
}

/** After so long without work the thread ends and its memory, some 40 MB, is free. */
const IDLE_MS = 120_000
/** Pieces on their way to the thread. */
const AHEAD_COUNT = 2

/** Proves and checks in one thread of low priority, which all miners of a process share. One task at a time, proofs first. */
export class Prover {
  static #shared: Prover | undefined

  /** The one of this process. */
  static get shared(): Prover {
    Prover.#shared ??= new Prover()
    return Prover.#shared
  }

  readonly #answers = new Map<number, Deferred<Uint8Array | boolean | undefined>>()
  readonly #waiting: { readonly isUrgent: boolean; readonly start: () => void }[] = []
  /** Powers that the thread holds, by hash. */
  #held = new Set<string>()
  #worker: Worker | undefined
  #nextId = 1
  #isBusy = false
  #idle: NodeJS.Timeout | undefined

  /** Whether a proof waits for its turn: what can wait should make room. */
  get isProofWaiting(): boolean {
    return this.#waiting.some(({ isUrgent }) => isUrgent)
  }

  holdsPowers(hash: Uint8Array): boolean {
    return this.#held.has(hash.toHex())
  }

  /**
   * Takes the powers of a tagger. Unless they passed before, each is checked: 0.3 ms a power.
   *
   * @throws ProverError MALFORMED_POWERS, MALFORMED_KEY
   */
  async takePowers(
    tagger: TaggerRef,
    bytes: Uint8Array,
    { isChecked, sectorCount }: { isChecked: boolean; sectorCount: number },
  ): Promise<void> {
    await this.#exclusively(false, async () => {
      await this.#ask({ op: 'powers', tagger, bytes, isChecked, sectorCount })
      // The thread forgets the oldest, too.
      if (this.#held.size >= TAGGERS_MAX) this.#held.delete(this.#held.values().next().value!)
      this.#held.add(tagger.powersHash.toHex())
    })
  }

  /**
   * The proof of a challenge, 128 bytes, verified as a validator will: 31 ms at c = 100, beside some 200 ms for the proof.
   *
   * @throws ProverError PROOF_WRONG or MALFORMED_TAG if a tag is wrong, and what `blocks` throws
   */
  prove(tagger: TaggerRef, combination: Combination, signal: AbortSignal): Promise<Uint8Array> {
    return this.#exclusively(true, () => this.#combine('proof', tagger, combination, signal)) as Promise<Uint8Array>
  }

  /**
   * Whether tags that came from elsewhere are right. @throws ProverError, and what `blocks` throws
   * @param init.isUrgent a challenge waits for it
   */
  check(
    tagger: TaggerRef,
    combination: Combination,
    signal: AbortSignal,
    { isUrgent = false }: { readonly isUrgent?: boolean } = {},
  ): Promise<boolean> {
    return this.#exclusively(isUrgent, () => this.#combine('check', tagger, combination, signal)) as Promise<boolean>
  }

  async #combine(
    what: 'proof' | 'check',
    tagger: TaggerRef,
    { seed, places, dropped = 0n, params, blocks }: Combination,
    signal: AbortSignal,
  ): Promise<Uint8Array | boolean | undefined> {
    await this.#ask({ op: 'begin', what, seed, places, dropped, params })
    const added: Promise<unknown>[] = []
    let index = 0
    try {
      for await (const { bytes, count, tags } of blocks) {
        signal.throwIfAborted()
        if (bytes.length > count * blockBytes(params) || tags.length !== count * TAG_BYTES) {
          throw new ProverError('BAD_BLOCK', `${bytes.length} bytes with ${tags.length} of tags for ${count} blocks`)
        }
        const adding = this.#ask({ op: 'add', index, count, bytes, tags }, [bytes.buffer])
        adding.catch(() => undefined) // awaited below
        added.push(adding)
        index += count
        if (added.length >= AHEAD_COUNT) await added.shift()
      }
    } finally {
      await Promise.allSettled(added)
    }
    await Promise.all(added)
    return await this.#ask({ op: 'finish', tagger })
  }

  async #exclusively<Value>(isUrgent: boolean, work: () => Promise<Value>): Promise<Value> {
    if (this.#isBusy) {
      const turn = new Deferred()
      const entry = { isUrgent, start: () => turn.resolve() }
      const place = isUrgent ? this.#waiting.findIndex((other) => !other.isUrgent) : -1
      if (place < 0) this.#waiting.push(entry)
      else this.#waiting.splice(place, 0, entry)
      await turn.promise
    }
    this.#isBusy = true
    clearTimeout(this.#idle)
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next) next.start()
      else {
        this.#isBusy = false
        this.#idle = setTimeout(() => this.#end(new Error('the thread had nothing to do')), IDLE_MS)
        this.#idle.unref()
      }
    }
  }

  #ask(question: ProofQuestion, transfer: ArrayBuffer[] = []): Promise<Uint8Array | boolean | undefined> {
    this.#worker ??= this.#start()
    const id = this.#nextId++
    const answer = new Deferred<Uint8Array | boolean | undefined>()
    this.#answers.set(id, answer)
    this.#worker.ref()
    this.#worker.postMessage({ id, question }, transfer)
    return answer.promise
  }

  #start(): Worker {
    const file = import.meta.url.endsWith('.ts') ? './proof-thread.ts' : './proof-thread.js'
    const worker = new Worker(new URL(file, import.meta.url), { name: 'proofs' })
    worker.on('message', (answer: ProofAnswer) => {
      const waiting = this.#answers.get(answer.id)
      this.#answers.delete(answer.id)
      if (this.#answers.size === 0) worker.unref()
      if ('failure' in answer) waiting?.reject(new ProverError(answer.failure.code, answer.failure.message))
      else waiting?.resolve(answer.result)
    })
    worker.on('error', (error: Error) => this.#end(error, worker))
    worker.on('exit', () => this.#end(new Error('the proving thread ended'), worker))
    return worker
  }

  /** Whoever waits hears of it; the next question starts another thread. */
  #end(error: Error, which = this.#worker): void {
    if (!which || which !== this.#worker) return
    this.#worker = undefined
    this.#held = new Set()
    for (const answer of this.#answers.values()) answer.reject(error)
    this.#answers.clear()
    // Asked to go: a thread that is torn down may take the process along. One that has gone already does not hear it.
    which.postMessage('stop')
  }
}
