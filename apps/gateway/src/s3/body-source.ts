import type { IncomingMessage } from 'node:http'
import { S3Error } from './s3-error.ts'
import type { StallWatch, Watched } from './stall-watch.ts'

/**
 * The raw body of a request as it comes from the socket: buffers are handed on as they are (Node's own async iterator
 * joins, that is copies, what is waiting). At most what the parser emits from one read of the socket (64 KiB) is held, since the socket
 * is paused while anything waits.
 */
export class BodySource implements Watched {
  waitingSinceMs: number | undefined
  waitedMs = 0
  bytes = 0

  readonly #request: IncomingMessage
  readonly #watch: StallWatch
  readonly #onReleased: (totalBytes: number) => void
  #totalBytes = 0
  readonly #waiting: Buffer[] = []
  #ended = false
  #error: Error | undefined
  #wake: (() => void) | undefined

  /** @param onReleased told how many bytes came, when the body is read or given up */
  constructor(request: IncomingMessage, watch: StallWatch, onReleased: (totalBytes: number) => void) {
    this.#request = request
    this.#watch = watch
    this.#onReleased = onReleased
    request.on('data', this.#onData).on('end', this.#onEnd).on('close', this.#onClose).on('error', this.#onError)
    watch.add(this)
  }

  /** Next buffer; undefined at the end. @throws S3Error IncompleteBody, RequestTimeout */
  async next(): Promise<Buffer | undefined> {
    for (;;) {
      const chunk = this.#waiting.shift()
      if (chunk !== undefined) return chunk
      if (this.#error !== undefined) throw this.#error
      if (this.#ended) return undefined
      this.waitingSinceMs = performance.now()
      if (this.#request.isPaused()) this.#request.resume()
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  /** Leaves the rest of the body to the connection. */
  release(): void {
    this.#watch.remove(this)
    this.#request.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onClose)
    if (!this.#ended) this.#request.pause()
    this.#onReleased(this.#totalBytes)
  }

  onStall(): void {
    this.#fail(new S3Error('RequestTimeout'))
  }

  readonly #onData = (chunk: Buffer): void => {
    this.bytes += chunk.length
    this.#totalBytes += chunk.length
    this.#waiting.push(chunk)
    // Whoever waits takes this one in the next microtask; a second one means that we are the slow side.
    if (this.#wake === undefined) this.#request.pause()
    else this.#proceed()
  }

  readonly #onEnd = (): void => {
    this.#ended = true
    this.#proceed()
  }

  readonly #onClose = (): void => {
    if (!this.#ended) this.#fail(new S3Error('IncompleteBody', 'The client closed the connection within the body.'))
  }

  readonly #onError = (): void => {
    if (!this.#ended) this.#fail(new S3Error('IncompleteBody', 'The connection was lost within the body.'))
  }

  #fail(error: Error): void {
    this.#error ??= error
    this.#proceed()
  }

  #proceed(): void {
    if (this.waitingSinceMs !== undefined) {
      this.waitedMs += performance.now() - this.waitingSinceMs
      this.waitingSinceMs = undefined
    }
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }
}
