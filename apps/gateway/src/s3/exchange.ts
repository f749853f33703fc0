import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ObjectLayer } from '../object-layer.ts'
import type { Authenticated } from './authenticate.ts'
import { BodySource } from './body-source.ts'
import type { S3Limits } from './limits.ts'
import type { S3Metrics } from './metrics.ts'
import { Payload, type PayloadClaims, readPayloadClaims } from './payload.ts'
import type { Query, RequestTarget } from './request-target.ts'
import type { Resource } from './route.ts'
import type { S3Error } from './s3-error.ts'
import type { StallWatch, Watched } from './stall-watch.ts'
import type { S3User } from './user-directory.ts'
import { element, xmlErrorDocument } from './xml.ts'

/** What all requests of a server share. */
export interface ServerScope {
  readonly objects: ObjectLayer
  readonly region: string
  readonly limits: S3Limits
  readonly metrics: S3Metrics
  readonly watch: StallWatch
  /** Sent as x-amz-id-2: tells processes apart in logs of clients. */
  readonly hostId: string
}

export type Headers = Record<string, string | number>

/** One request and its answer. */
export class Exchange {
  readonly scope: ServerScope
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly requestId: string
  /** Label for metrics and logs: the operation once it is known. */
  operation = 'Unknown'
  target!: RequestTarget
  resource: Resource = { bucket: undefined, key: undefined }
  auth!: Authenticated

  readonly #startedMs = performance.now()
  readonly #expectsContinue: boolean
  #abort: AbortController | undefined
  #left = false

  constructor(
    scope: ServerScope,
    request: IncomingMessage,
    response: ServerResponse,
    requestId: string,
    expectsContinue: boolean,
  ) {
    this.scope = scope
    this.request = request
    this.response = response
    this.requestId = requestId
    this.#expectsContinue = expectsContinue
    response.on('close', this.#onClose)
    // Errors of the socket also arrive as 'close'; without a listener they would be thrown.
    response.on('error', ignore)
    request.on('error', ignore)
  }

  /** Aborts when the client leaves, and when the server is closed by force. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#left) this.#abort.abort(clientLeft())
    }
    return this.#abort.signal
  }

  /** The client is gone: nobody to answer. */
  get left(): boolean {
    return this.#left
  }

  get objects(): ObjectLayer {
    return this.scope.objects
  }

  get limits(): S3Limits {
    return this.scope.limits
  }

  get query(): Query {
    return this.target.query
  }

  get user(): S3User {
    return this.auth.user
  }

  get bucket(): string {
    return this.resource.bucket!
  }

  get key(): string {
    return this.resource.key!
  }

  get location(): { readonly bucket: string; readonly key: string } {
    return { bucket: this.bucket, key: this.key }
  }

  /** A header of the request. In presigned URLs, x-amz- parameters stand for the headers of their names. */
  readonly header = (name: string): string | undefined => {
    const value = this.request.headers[name]
    if (typeof value === 'string') return value
    if (this.auth.presigned && name.startsWith('x-amz-')) {
      for (const each of this.query.names()) if (each.toLowerCase() === name) return this.query.get(each)
    }
    return undefined
  }

  /** What the client says about its payload. @throws S3Error, before anything was read */
  payloadClaims(bytesMax: number, header = this.header): PayloadClaims {
    return readPayloadClaims(header, this.auth.payload, bytesMax)
  }

  payload(claims: PayloadClaims, kept?: ConstructorParameters<typeof Payload>[3]): Payload {
    return new Payload(this.#openBody, this.auth, claims, kept)
  }

  readonly #openBody = (): BodySource => {
    // Nothing has been read until here, so a refusal before this point saved the client sending its body.
    if (this.#expectsContinue) this.response.writeContinue()
    const { receivedBytes } = this.scope.metrics
    return new BodySource(this.request, this.scope.watch, (bytes) => receivedBytes.inc(bytes))
  }

  /** Headers of every answer. */
  headers(extra: Headers): Headers {
    return {
      'x-amz-request-id': this.requestId,
      'x-amz-id-2': this.scope.hostId,
      Server: 'Cumulus',
      ...extra,
    }
  }

  /** Answers with a body that is at hand. */
  send(status: number, extra: Headers, body: string | Buffer = ''): void {
    const { response } = this
    if (this.#left || response.headersSent) return
    const bytes = typeof body === 'string' ? Buffer.from(body, 'utf8') : body
    const headers = this.headers(extra)
    if (status !== 204 && status !== 304 && !('Content-Length' in headers)) headers['Content-Length'] = bytes.length
    this.scope.metrics.sentBytes.inc(bytes.length)
    if (this.#bodyIsRead()) {
      response.writeHead(status, headers)
      response.end(bytes)
    } else {
      this.#sendEarly(status, headers, bytes)
    }
  }

  sendXml(document: string, extra: Headers = {}): void {
    this.send(200, { 'Content-Type': 'application/xml', ...extra }, document)
  }

  sendError(error: S3Error): void {
    const { method } = this.request
    if (error.code === 'NotModified') {
      this.send(304, { ...error.headers })
      return
    }
    let resource = this.resource.bucket === undefined ? '/' : `/${this.resource.bucket}`
    if (this.resource.key !== undefined) resource += `/${this.resource.key}`
    let content = element('Code', error.code) + element('Message', error.message)
    for (const name in error.details) content += element(name, error.details[name])
    content +=
      element('Resource', resource) + element('RequestId', this.requestId) + element('HostId', this.scope.hostId)
    const headers: Headers = { 'Content-Type': 'application/xml', ...error.headers }
    if (error.status === 503) headers['Retry-After'] = 1
    this.send(error.status, headers, method === 'HEAD' ? '' : xmlErrorDocument(content))
  }

  /**
   * Sends bytes as they come, never faster than the client takes them. Wrong content cannot be taken back once the header
   * is out, so a failure, or a byte too many or too few, destroys the connection: the client sees a short answer.
   */
  async stream(status: number, extra: Headers, body: AsyncIterable<Uint8Array>, size: number): Promise<void> {
    const { response } = this
    const iterator = body[Symbol.asyncIterator]()
    // What fails before the first byte can still be answered properly.
    let step = await iterator.next()
    let sent = 0
    const transfer = new OutgoingTransfer(this)
    try {
      response.writeHead(status, this.headers({ ...extra, 'Content-Length': size }))
      for (; !step.done; step = await iterator.next()) {
        sent += step.value.length
        if (sent > size) break
        if (sent === size) response.end(step.value)
        else if (!response.write(step.value)) await transfer.drained()
        transfer.bytes += step.value.length
        if (this.#left) return
      }
      if (sent !== size) throw new Error(`an object of ${size} bytes was read as ${sent}`)
      if (size === 0) response.end()
    } catch (error) {
      this.destroy()
      throw error
    } finally {
      transfer.close()
      this.scope.metrics.sentBytes.inc(sent)
      await iterator.return?.()
    }
  }

  destroy(): void {
    this.request.socket.destroy()
  }

  #bodyIsRead(): boolean {
    const { headers, complete } = this.request
    return complete || ((headers['content-length'] ?? '0') === '0' && headers['transfer-encoding'] === undefined)
  }

  /**
   * Answers although the body is still under way. Closing now would reset the connection and could take the answer from
   * the client, so what it sends is read and thrown away for a while; then the connection ends.
   */
  #sendEarly(status: number, headers: Headers, bytes: Buffer): void {
    const { request, response } = this
    const { drainBytes, drainMs } = this.limits
    response.writeHead(status, { ...headers, Connection: 'close' })
    if (request.method === 'HEAD') response.flushHeaders()
    else response.write(bytes)
    let left = drainBytes
    const end = (): void => {
      clearTimeout(timer)
      request.off('data', onData).off('end', end).off('close', end)
      response.end()
    }
    const onData = (chunk: Buffer): void => {
      if ((left -= chunk.length) < 0) end()
    }
    const timer = setTimeout(end, drainMs)
    request.on('data', onData).on('end', end).on('close', end)
    request.resume()
  }

  readonly #onClose = (): void => {
    const { response, scope } = this
    if (!response.writableFinished) {
      this.#left = true
      this.#abort?.abort(clientLeft())
    }
    const status = response.headersSent && !this.#left ? String(response.statusCode) : '499'
    scope.metrics.requests.inc({ operation: this.operation, status })
    scope.metrics.seconds.observe({ operation: this.operation }, (performance.now() - this.#startedMs) / 1000)
  }
}

/** Waits for a client that takes its answer slowly, under the eye of the watch. */
class OutgoingTransfer implements Watched {
  waitingSinceMs: number | undefined
  waitedMs = 0
  bytes = 0
  readonly #exchange: Exchange
  #watched = false

  constructor(exchange: Exchange) {
    this.#exchange = exchange
  }

  drained(): Promise<void> {
    const { response, scope } = this.#exchange
    if (this.#exchange.left) return Promise.resolve()
    if (!this.#watched) {
      this.#watched = true
      scope.watch.add(this)
    }
    const sinceMs = performance.now()
    this.waitingSinceMs = sinceMs
    return new Promise((resolve) => {
      const done = (): void => {
        response.off('drain', done).off('close', done)
        this.waitedMs += performance.now() - sinceMs
        this.waitingSinceMs = undefined
        resolve()
      }
      response.on('drain', done).on('close', done)
    })
  }

  onStall(): void {
    this.#exchange.destroy()
  }

  close(): void {
    if (this.#watched) this.#exchange.scope.watch.remove(this)
  }
}

function clientLeft(): Error {
  return new DOMException('the client closed the connection', 'AbortError')
}

function ignore(): void {}
