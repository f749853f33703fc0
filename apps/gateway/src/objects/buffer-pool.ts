import { ObjectError } from '../object-layer.ts'

interface Waiter {
  readonly bytes: number
  readonly bytesMax: number
  readonly wake: () => void
}

/** A write that cannot get memory for so long is told to come back. */
const WAIT_MS = 60_000

/**
 * The memory for bodies on their way: a fixed number of bytes, handed out in order of asking. Buffers of a whole
 * segment are kept and used again, since fresh ones cost a page fault for every 4 KiB.
 *
 * One segment more is for packs on their way into the network: bodies may all be waiting for just that.
 */
export class BufferPool {
  readonly #segmentBytes: number
  readonly #bytesMax: number
  readonly #spare: ArrayBuffer[] = []
  readonly #waiters: Waiter[] = []
  #usedBytes = 0

  constructor(segmentBytes: number, bytesMax: number) {
    if (bytesMax < 2 * segmentBytes) throw new RangeError('at least two segments must fit the buffers')
    this.#segmentBytes = segmentBytes
    this.#bytesMax = bytesMax
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  /** Waits for its turn. @throws ObjectError SlowDown · the signal's reason */
  acquire(bytes: number, signal?: AbortSignal): Promise<void> {
    return this.#acquire(bytes, this.#bytesMax, signal)
  }

  async #acquire(bytes: number, bytesMax: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    // Who may go further does not wait for those who may not.
    const isNext = this.#waiters.length === 0 || bytesMax > this.#bytesMax
    if (isNext && this.#usedBytes + bytes <= bytesMax) {
      this.#usedBytes += bytes
      return
    }
    await new Promise<void>((resolve, reject) => {
      const leave = (error: unknown) => {
        const at = this.#waiters.indexOf(waiter)
        if (at >= 0) this.#waiters.splice(at, 1)
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        this.#wakeNext()
        reject(error)
      }
      const onAbort = () => leave(signal!.reason)
      const timer = setTimeout(
        () => leave(new ObjectError('SlowDown', 'too many bodies are on their way', { waitedMs: WAIT_MS })),
        WAIT_MS,
      )
      const waiter: Waiter = {
        bytes,
        bytesMax,
        wake: () => {
          clearTimeout(timer)
          signal?.removeEventListener('abort', onAbort)
          resolve()
        },
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      if (bytesMax > this.#bytesMax) this.#waiters.unshift(waiter)
      else this.#waiters.push(waiter)
    })
  }

  release(bytes: number): void {
    this.#usedBytes -= bytes
    this.#wakeNext()
  }

  /** A buffer that holds a segment; contents are left from its last use. */
  async take(signal?: AbortSignal): Promise<ArrayBuffer> {
    await this.acquire(this.#segmentBytes, signal)
    return this.#spare.pop() ?? new ArrayBuffer(this.#segmentBytes)
  }

  /** As `take`, before whoever waits, and with one segment more than bodies may have. */
  async takeFirst(signal?: AbortSignal): Promise<ArrayBuffer> {
    await this.#acquire(this.#segmentBytes, this.#bytesMax + this.#segmentBytes, signal)
    return this.#spare.pop() ?? new ArrayBuffer(this.#segmentBytes)
  }

  give(buffer: ArrayBuffer): void {
    if (buffer.byteLength === this.#segmentBytes) this.#spare.push(buffer)
    this.release(this.#segmentBytes)
  }

  #wakeNext(): void {
    while (this.#waiters.length > 0 && this.#usedBytes + this.#waiters[0]!.bytes <= this.#waiters[0]!.bytesMax) {
      const waiter = this.#waiters.shift()!
      this.#usedBytes += waiter.bytes
      waiter.wake()
    }
  }
}
