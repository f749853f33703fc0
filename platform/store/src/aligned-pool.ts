import { StoreError } from './store-error.ts'

/** What O_DIRECT asks of addresses, positions and lengths on every file system we know. */
export const PAGE_BYTES = 4096

/** The part of WebAssembly that we use: TypeScript declares it only in its DOM library. */
const { WebAssembly } = globalThis as unknown as {
  WebAssembly: { Memory: new (size: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer } }
}

/** Buffers waiting for a place; more are refused. */
const WAITING_MAX = 4096

/**
 * A fixed number of page-aligned buffers, in the memory of one WebAssembly instance: the only memory whose alignment
 * JavaScript can rely on (an `ArrayBuffer` of the usual kind begins 16 bytes into a page). Places are handed out last
 * in, first out: those never needed are never touched and cost no memory.
 */
export class AlignedPool {
  readonly bufferBytes: number
  readonly count: number
  readonly #memory: Uint8Array
  readonly #free: number[] = []
  readonly #taken = new Set<number>()
  readonly #waiting: ((buffer: Uint8Array) => void)[] = []

  constructor(init: { bufferBytes: number; count: number }) {
    this.bufferBytes = Math.ceil(init.bufferBytes / PAGE_BYTES) * PAGE_BYTES
    this.count = init.count
    const pages = Math.ceil((this.bufferBytes * this.count) / 65_536)
    this.#memory = new Uint8Array(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer)
    for (let place = this.count - 1; place >= 0; place--) this.#free.push(place)
  }

  get freeCount(): number {
    return this.#free.length
  }

  /** A buffer of `bytes`, or undefined if none is free or they are too many. */
  tryTake(bytes: number = this.bufferBytes): Uint8Array | undefined {
    if (bytes > this.bufferBytes) return undefined
    const place = this.#free.pop()
    return place === undefined ? undefined : this.#lend(place).subarray(0, bytes)
  }

  /** Waits for a whole buffer. @throws StoreError OVERLOADED if too many wait already */
  async take(): Promise<Uint8Array> {
    const now = this.tryTake()
    if (now) return now
    if (this.#waiting.length >= WAITING_MAX) throw new StoreError('OVERLOADED', 'too many wait for a buffer')
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** Ends the use of a buffer, by itself or any view into it. Others are ignored: their owner is the collector. */
  give(buffer: Uint8Array): void {
    if (!this.owns(buffer)) return
    const place = Math.floor(buffer.byteOffset / this.bufferBytes)
    // Two holders of one buffer would write over each other: better to stop here.
    if (!this.#taken.delete(place)) throw new Error(`buffer ${place} was given back twice`)
    const next = this.#waiting.shift()
    if (next) next(this.#lend(place))
    else this.#free.push(place)
  }

  owns(buffer: Uint8Array): boolean {
    return buffer.buffer === this.#memory.buffer
  }

  #lend(place: number): Uint8Array {
    this.#taken.add(place)
    return this.#memory.subarray(place * this.bufferBytes, (place + 1) * this.bufferBytes)
  }
}
