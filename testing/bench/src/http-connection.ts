import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { BenchError } from './bench-error.ts'

/** A head larger than this is not one of ours. */
const HEAD_BYTES_MAX = 16 * 1024
/** Of an error's body, this much is kept for the message. */
const ERROR_BODY_BYTES_MAX = 2048

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
}

export interface Exchange {
  /** Request line and headers with their line ends, without the empty line. */
  readonly head: string
  readonly body?: Iterable<Buffer>
  /** Bytes of the answer's body, valid during the call only. */
  readonly onBody?: (chunk: Buffer) => void
}

interface Waiting {
  readonly onBody: Exchange['onBody']
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

/**
 * One kept-alive HTTP/1.1 connection, one request at a time: `node:net` with buffers that the kernel fills in place,
 * and no stream per request. On a small machine the client's CPU time is taken from the server that is to be measured.
 * It understands what the servers measured here answer: bodies with a Content-Length, and no others.
 */
export class HttpConnection {
  readonly #socket: Socket
  #waiting: Waiting | undefined
  #head: Buffer[] = []
  #answer: Answer | undefined
  #bodyLeft = 0
  #errorBody = ''
  #failure: Error | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
  }

  static async open(host: string, port: number, signal: AbortSignal): Promise<HttpConnection> {
    signal.throwIfAborted()
    const made: { connection?: HttpConnection } = {}
    const socket = connect({
      host,
      port,
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafe(256 * 1024),
        callback: (bytes, buffer) => {
          made.connection!.#receive(Buffer.from(buffer.buffer, buffer.byteOffset, bytes))
          return true
        },
      },
    })
    made.connection = new HttpConnection(socket)
    const abort = () => socket.destroy(signal.reason instanceof Error ? signal.reason : new Error('aborted'))
    signal.addEventListener('abort', abort, { once: true })
    socket.on('close', () => signal.removeEventListener('abort', abort))
    await once(socket, 'connect')
    socket.on('error', (error) => made.connection!.#fail(error))
    socket.on('close', () => made.connection!.#fail(new Error('the server closed the connection')))
    return made.connection
  }

  close(): void {
    this.#socket.destroy()
  }

  /** @throws BenchError REFUSED for any status but 2xx, BROKEN_ANSWER; whatever `onBody` throws */
  async request({ head, body, onBody }: Exchange): Promise<Answer> {
    if (this.#failure) throw this.#failure
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    this.#waiting = { onBody, resolve, reject }
    // The answer may be an error that comes before the body is sent: it ends both.
    const answered = promise.then(
      () => true,
      () => true,
    )
    this.#socket.cork()
    this.#socket.write(`${head}\r\n`, 'latin1')
    let corked = true
    for (const piece of body ?? []) {
      const more = this.#socket.write(piece)
      if (corked) {
        this.#socket.uncork()
        corked = false
      }
      if (
        !more &&
        (await Promise.race([
          answered,
          once(this.#socket, 'drain').then(
            () => false,
            () => true,
          ),
        ]))
      )
        break
    }
    if (corked) this.#socket.uncork()
    return promise
  }

  #receive(chunk: Buffer): void {
    try {
      if (!this.#waiting) throw new BenchError('BROKEN_ANSWER', 'the server spoke without being asked')
      if (!this.#answer) {
        chunk = this.#receiveHead(chunk)
        if (!this.#answer) return
      }
      if (chunk.length > this.#bodyLeft) throw new BenchError('BROKEN_ANSWER', 'the body is longer than announced')
      this.#bodyLeft -= chunk.length
      if (this.#answer.status >= 300) {
        if (this.#errorBody.length < ERROR_BODY_BYTES_MAX)
          this.#errorBody += chunk.toString('latin1', 0, ERROR_BODY_BYTES_MAX)
      } else if (chunk.length > 0) this.#waiting.onBody?.(chunk)
      if (this.#bodyLeft === 0) this.#finish()
    } catch (error) {
      this.#fail(error as Error)
      this.#socket.destroy()
    }
  }

  /** Returns what belongs to the body. */
  #receiveHead(chunk: Buffer): Buffer {
    // Parts are copied: the buffer is the next read's.
    const bytes = this.#head.length === 0 ? chunk : Buffer.concat([...this.#head, chunk])
    const end = bytes.indexOf('\r\n\r\n')
    if (end === -1) {
      if (bytes.length > HEAD_BYTES_MAX) throw new BenchError('BROKEN_ANSWER', 'the head is too long')
      this.#head = [Buffer.from(bytes)]
      return Buffer.alloc(0)
    }
    this.#head = []
    const [statusLine, ...lines] = bytes.toString('latin1', 0, end).split('\r\n')
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(statusLine!)?.[1])
    const headers: Record<string, string> = {}
    for (const line of lines) {
      const colon = line.indexOf(':')
      headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim()
    }
    const length = status === 204 || status === 304 ? '0' : headers['content-length']
    if (!Number.isInteger(status) || length === undefined || !/^\d+$/.test(length)) {
      throw new BenchError('BROKEN_ANSWER', `the head is not one we understand: ${statusLine}`, { headers })
    }
    this.#answer = { status, headers }
    this.#bodyLeft = Number(length)
    return bytes.subarray(end + 4)
  }

  #finish(): void {
    const answer = this.#answer!
    const { resolve, reject } = this.#waiting!
    this.#answer = undefined
    this.#waiting = undefined
    const body = this.#errorBody
    this.#errorBody = ''
    if (answer.status < 300) resolve(answer)
    else reject(new BenchError('REFUSED', `status ${answer.status}: ${body}`, { status: answer.status, body }))
  }

  #fail(error: Error): void {
    this.#failure ??=
      error instanceof BenchError
        ? error
        : new BenchError('BROKEN_ANSWER', `the connection broke: ${error.message}`, {}, { cause: error })
    this.#waiting?.reject(this.#failure)
    this.#waiting = undefined
  }
}
