import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Logger, Metrics } from '@cumulus/service'
import { ObjectError, type ObjectLayer } from '../object-layer.ts'
import { authenticate } from './authenticate.ts'
import { Exchange, type ServerScope } from './exchange.ts'
import { S3_LIMITS, type S3Limits } from './limits.ts'
import { createS3Metrics } from './metrics.ts'
import { chooseOperation } from './operations/index.ts'
import { parseTarget } from './request-target.ts'
import { operationOf, resourceOf } from './route.ts'
import { S3Error } from './s3-error.ts'
import { SigningKeys } from './signing-keys.ts'
import { StallWatch } from './stall-watch.ts'
import type { UserDirectory } from './user-directory.ts'
import { element, xmlErrorDocument } from './xml.ts'

/** What the front end works with, and how it is tuned. */
export interface S3ServerConfig {
  readonly host: string
  /** 0 = any free one. */
  readonly port: number
  readonly objects: ObjectLayer
  readonly users: UserDirectory
  /** The one region there is: what clients must sign for. */
  readonly region: string
  /** Names of this endpoint for virtual-host style: `bucket.<suffix>`. */
  readonly hostSuffixes: readonly string[]
  readonly limits?: Partial<S3Limits>
  readonly metrics: Metrics
  readonly log: Logger
  /** Milliseconds since 1970. */
  readonly clock?: () => number
}

export interface S3Server {
  readonly port: number
  /** Takes no new requests, lets those under way finish within `closeGraceMs`, then cuts them off. */
  close(): Promise<void>
}

/**
 * Serves S3 over HTTP from an object layer. Resolves when it listens; aborting `signal` closes it.
 *
 * @example
 * const s3 = await startS3Server({ host: '127.0.0.1', port: 9000, objects, users, region: 'us-east-1',
 *   hostSuffixes: ['localhost'], metrics, log }, { signal })
 */
export async function startS3Server(config: S3ServerConfig, { signal }: { signal: AbortSignal }): Promise<S3Server> {
  signal.throwIfAborted()
  const limits: S3Limits = { ...S3_LIMITS, ...config.limits }
  const { log, users, region, hostSuffixes, clock = Date.now } = config
  const metrics = createS3Metrics(config.metrics)
  const watch = new StallWatch(limits)
  const hostId = randomBytes(24).toString('base64')
  const scope: ServerScope = { objects: config.objects, region, limits, metrics, watch, hostId }
  const keys = new SigningKeys()
  const nextRequestId = requestIds()
  let inFlight = 0
  let closing: Promise<void> | undefined
  /** Requests under way per connection. */
  const busy = new WeakMap<Socket, number>()

  const server = createServer({
    maxHeaderSize: limits.headerBytes,
    headersTimeout: limits.headersTimeoutMs,
    // The time of a whole request has no bound, since objects have up to 5 GiB; StallWatch sees to slow bodies.
    requestTimeout: 0,
    connectionsCheckingInterval: Math.max(50, Math.min(5_000, limits.headersTimeoutMs / 4)),
    keepAliveTimeout: limits.keepAliveMs,
    noDelay: true,
    // Wide enough that a 64 KiB chunk does not stall the reader behind it.
    highWaterMark: 256 * 2 ** 10,
  })
  server.maxConnections = limits.connections

  async function serve(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): Promise<void> {
    const exchange = new Exchange(scope, request, response, nextRequestId(), expectsContinue)
    const { socket } = request
    inFlight++
    busy.set(socket, (busy.get(socket) ?? 0) + 1)
    metrics.inFlight.set(inFlight)
    response.once('close', () => {
      inFlight--
      busy.set(socket, busy.get(socket)! - 1)
      metrics.inFlight.set(inFlight)
      // Node would keep the connection for a next request that the closing server does not take.
      if (closing !== undefined) setImmediate(() => server.closeIdleConnections())
    })
    try {
      if (inFlight > limits.requestsInFlight) throw new S3Error('SlowDown')
      await handle(exchange)
    } catch (error) {
      answerError(exchange, error)
    }
  }

  function handle(exchange: Exchange): Promise<void> {
    const { request } = exchange
    const method = request.method!
    const target = parseTarget(request.url!)
    exchange.target = target
    exchange.resource = resourceOf(target.path, request.headers.host, hostSuffixes)
    if (method === 'OPTIONS') throw new S3Error('AccessForbidden')
    try {
      const message = { method, target, headers: request.headers, rawHeaders: request.rawHeaders }
      exchange.auth = authenticate(message, { users, region, keys, nowMs: clock() })
    } catch (error) {
      if (error instanceof S3Error) metrics.authFailures.inc({ reason: error.code })
      throw error
    }
    const operation = chooseOperation(exchange, operationOf(method, exchange.resource, target.query))
    exchange.operation = operation.name
    return operation.handle(exchange)
  }

  function answerError(exchange: Exchange, error: unknown): void {
    // Whoever left caused the failure by leaving.
    if (exchange.left) return
    const answer = toS3Error(error)
    const { requestId, operation } = exchange
    if (answer.status >= 500 && answer.code !== 'NotImplemented' && answer.code !== 'SlowDown') {
      log.error('s3 request failed', { requestId, operation, code: answer.code, error })
    } else {
      log.debug('s3 request refused', { requestId, operation, code: answer.code })
    }
    if (exchange.response.headersSent) exchange.destroy()
    else exchange.sendError(answer)
  }

  server.on('request', (request, response) => void serve(request, response, false))
  server.on('checkContinue', (request, response) => void serve(request, response, true))
  server.on('checkExpectation', (request, response) => void serve(request, response, false))
  server.on('connect', (_request, socket) => socket.destroy())
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    metrics.malformed.inc({ reason: error.code ?? 'unknown' })
    // Nonsense behind a request whose answer is under way: an error now would land inside that answer.
    if (busy.get(socket)) socket.destroy()
    else answerRaw(socket, error.code, nextRequestId(), limits)
  })
  server.on('connection', (socket) => {
    metrics.connections.inc()
    socket.once('close', () => metrics.connections.dec())
  })

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(config.port, config.host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  server.on('error', (error) => log.error('s3 server failed', { error }))

  function close(): Promise<void> {
    closing ??= new Promise<void>((resolve) => {
      signal.removeEventListener('abort', onAbort)
      const force = setTimeout(() => server.closeAllConnections(), limits.closeGraceMs)
      // Idle connections end now; those at work after their answer.
      server.close(() => {
        clearTimeout(force)
        watch.close()
        resolve()
      })
    })
    return closing
  }
  function onAbort(): void {
    void close()
  }
  signal.addEventListener('abort', onAbort, { once: true })

  return { port: (server.address() as AddressInfo).port, close }
}

function toS3Error(error: unknown): S3Error {
  if (error instanceof S3Error) return error
  if (error instanceof ObjectError) {
    // What happened inside is for the log, except where the client can do something about it.
    return new S3Error(error.code, error.code === 'InternalError' ? undefined : error.message || undefined)
  }
  return new S3Error('InternalError')
}

/** 16 hex digits: a random start per process, then counting, so that ids of a log sort by time. */
function requestIds(): () => string {
  const prefix = randomBytes(3).toString('hex').toUpperCase()
  let count = randomBytes(3).readUIntBE(0, 3)
  return () => prefix + (count++).toString(16).toUpperCase().padStart(10, '0')
}

/** Answers what never became a request. */
function answerRaw(socket: Socket, code: string | undefined, requestId: string, limits: S3Limits): void {
  if (!socket.writable || code === 'ECONNRESET' || code === 'EPIPE') {
    socket.destroy()
    return
  }
  const error =
    code === 'HPE_HEADER_OVERFLOW'
      ? new S3Error('RequestHeaderSectionTooLarge', undefined, { MaxSizeAllowed: limits.headerBytes })
      : code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? new S3Error('RequestTimeout')
        : new S3Error('BadRequest')
  let content = element('Code', error.code) + element('Message', error.message)
  for (const name in error.details) content += element(name, error.details[name])
  const body = xmlErrorDocument(content + element('RequestId', requestId))
  socket.end(
    `HTTP/1.1 ${error.status} Bad Request\r\nServer: Cumulus\r\nx-amz-request-id: ${requestId}\r\nContent-Type: application/xml\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
  // A client that goes on sending would hold the socket.
  setTimeout(() => socket.destroy(), limits.drainMs).unref()
  socket.resume()
}
