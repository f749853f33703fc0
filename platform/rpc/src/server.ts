import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { type HealthReport, type Logger, type Metrics, ServiceError } from '@cumulus/service'
import { WebSocketServer } from 'ws'
import { type Budgets, ByteBudget } from './byte-budget.ts'
import type { ChainView } from './chain-view.ts'
import { Dispatcher } from './dispatcher.ts'
import { EtherscanApi } from './etherscan/api.ts'
import { Verifier, type VerifierInit } from './etherscan/verifier.ts'
import { Filters } from './filters.ts'
import { HttpTraffic } from './http-traffic.ts'
import { defaultLimits, type RpcLimits } from './limits.ts'
import { MethodContext } from './methods/context.ts'
import { createMethods } from './methods/index.ts'
import { RpcMetrics } from './metrics.ts'
import { type AccessRules, allowedOrigin, defaultAccess, isKnownHost } from './origin.ts'
import { RpcError } from './rpc-error.ts'
import { SocketSession } from './socket-session.ts'

interface RpcServerComponents {
  readonly chain: ChainView
  readonly log: Logger
  readonly metrics: Metrics
  /** For GET /health. */
  health(): HealthReport | Promise<HealthReport>
}

interface RpcServerInit {
  readonly host: string
  /** 0 = any free port. */
  readonly port: number
  readonly limits?: Partial<RpcLimits>
  readonly access?: Partial<AccessRules>
  /** Verification of contract sources, by `/api`; without it that part of the API is refused. */
  readonly verification?: VerifierInit
  /** ms since any fixed moment; for filters that nobody asks, and batches that take long. */
  readonly nowMs?: () => number
  readonly signal?: AbortSignal
}

export interface RpcServer {
  readonly port: number
  /** Figures for status pages. */
  readonly counts: { readonly sockets: number; readonly filters: number }
  /** Ends all connections; resolves once the port is free. */
  close(): Promise<void>
}

/**
 * Serves JSON-RPC 2.0 on one port: POST over HTTP, and WebSocket. GET /health is answered too.
 *
 * @throws ServiceError PORT_TAKEN, LISTEN_FAILED
 */
export async function startRpcServer(components: RpcServerComponents, init: RpcServerInit): Promise<RpcServer> {
  const server = new HttpRpcServer(components, init)
  await server.listen(init.host, init.port)
  init.signal?.addEventListener('abort', () => void server.close(), { once: true })
  return server
}

class HttpRpcServer implements RpcServer {
  readonly #limits: RpcLimits
  readonly #access: AccessRules
  readonly #metrics: RpcMetrics
  readonly #health: RpcServerComponents['health']
  readonly #filters: Filters
  readonly #budgets: Budgets
  readonly #traffic: HttpTraffic
  readonly #verifier: Verifier | undefined
  readonly #api: EtherscanApi
  readonly #dispatcher: Dispatcher
  readonly #http: Server
  readonly #webSockets: WebSocketServer
  readonly #sessions = new Set<SocketSession>()
  readonly #timers: NodeJS.Timeout[]

  constructor({ chain, log, metrics, health }: RpcServerComponents, init: RpcServerInit) {
    const limits = { ...defaultLimits, ...init.limits }
    this.#limits = limits
    this.#access = { ...defaultAccess, ...init.access }
    this.#metrics = new RpcMetrics(metrics)
    this.#health = health
    this.#budgets = {
      bodies: new ByteBudget(limits.bodyBytesTotalMax),
      answers: new ByteBudget(limits.responseBytesTotalMax),
    }
    this.#traffic = new HttpTraffic(limits, this.#metrics, this.#budgets)
    const nowMs = init.nowMs ?? (() => performance.now())
    this.#filters = new Filters(chain, limits, this.#metrics, nowMs)
    this.#dispatcher = new Dispatcher(
      createMethods(new MethodContext(chain, limits, this.#filters, { log })),
      limits,
      this.#metrics,
      log,
      nowMs,
    )
    this.#verifier = init.verification && new Verifier(init.verification, log)
    this.#api = new EtherscanApi({
      chain,
      dispatcher: this.#dispatcher,
      metrics: this.#metrics,
      verifier: this.#verifier,
    })
    this.#http = createServer(
      {
        requestTimeout: limits.requestTimeoutMs,
        headersTimeout: Math.min(10_000, limits.requestTimeoutMs),
        // Node looks for late ones only so often: by default every 30 s.
        connectionsCheckingInterval: Math.min(5_000, limits.requestTimeoutMs),
        maxHeaderSize: 16_384,
        keepAliveTimeout: 65_000,
      },
      (request, response) => {
        this.#answer(request, response).catch((error: unknown) => {
          if (!response.headersSent) this.#traffic.refuse(response, 500, new RpcError('INTERNAL', 'internal error'))
          // A client that went away in the middle is no news.
          if (!request.destroyed) log.warn('request failed', { error })
        })
      },
    )
    // A client that neither sends nor reads.
    this.#http.timeout = 120_000
    this.#http.maxConnections = limits.connectionsMax
    this.#http.on('drop', () => this.#metrics.refusedConnections.inc({ reason: 'connections' }))
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
    // No compression: it costs memory per socket, and a small message can inflate.
    this.#webSockets = new WebSocketServer({
      noServer: true,
      maxPayload: limits.bodyBytesMax,
      perMessageDeflate: false,
    })
    this.#timers = [
      setInterval(() => this.#filters.expire(), Math.min(30_000, limits.filterIdleMs)),
      setInterval(() => {
        for (const session of this.#sessions) session.ping()
      }, limits.pingIntervalMs),
    ]
    for (const timer of this.#timers) timer.unref()
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port
  }

  get counts() {
    return { sockets: this.#sessions.size, filters: this.#filters.count }
  }

  async listen(host: string, port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#http.once('error', (cause: NodeJS.ErrnoException) => {
        const code = cause.code === 'EADDRINUSE' ? 'PORT_TAKEN' : 'LISTEN_FAILED'
        reject(new ServiceError(code, `cannot listen on ${host}:${port}: ${cause.message}`, { host, port }, { cause }))
      })
      this.#http.listen(port, host, resolve)
    })
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    for (const session of this.#sessions) session.close()
    this.#filters.close()
    this.#verifier?.close()
    this.#http.closeAllConnections()
    await this.#dispatcher.close()
    if (this.#http.listening) await new Promise<void>((resolve) => this.#http.close(() => resolve()))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!isKnownHost(request.headers.host, this.#access)) {
      this.#metrics.refusedConnections.inc({ reason: 'host' })
      return this.#traffic.refuse(
        response,
        403,
        new RpcError('INVALID_REQUEST', 'this server is not known under that host name'),
      )
    }
    const origin = allowedOrigin(request.headers.origin, this.#access)
    if (origin !== undefined) {
      response.setHeader('access-control-allow-origin', origin)
      if (origin !== '*') response.setHeader('vary', 'origin')
    }
    switch (request.method) {
      case 'OPTIONS':
        response.setHeader('access-control-allow-methods', 'POST, GET, OPTIONS')
        response.setHeader('access-control-allow-headers', 'content-type')
        response.setHeader('access-control-max-age', '600')
        response.writeHead(204).end()
        return
      case 'GET':
      case 'HEAD':
        return await this.#answerGet(request, response)
      case 'POST':
        return await this.#answerPost(request, response)
      default:
        response.setHeader('allow', 'POST, GET, OPTIONS')
        return this.#traffic.refuse(
          response,
          405,
          new RpcError('INVALID_REQUEST', 'send JSON-RPC by POST or over a WebSocket'),
        )
    }
  }

  async #answerGet(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (isApi(request)) return await this.#answerApi(request, response)
    if (request.url?.split('?')[0] !== '/health') {
      return this.#traffic.refuse(
        response,
        404,
        new RpcError('INVALID_REQUEST', 'send JSON-RPC by POST or over a WebSocket'),
      )
    }
    const report = await this.#health()
    response.writeHead(report.ok ? 200 : 503, { 'content-type': 'application/json' }).end(`${JSON.stringify(report)}\n`)
  }

  async #answerPost(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (isApi(request)) return await this.#answerApi(request, response)
    // Browsers send other types across origins without asking first.
    const type = contentType(request)
    if (type !== 'application/json') {
      this.#metrics.refusedConnections.inc({ reason: 'content_type' })
      return this.#traffic.refuse(
        response,
        415,
        new RpcError('INVALID_REQUEST', 'content-type must be application/json'),
      )
    }
    await this.#traffic.carry(request, response, async (body, signal) => {
      const text = await this.#dispatcher.answer(body, { signal })
      return text === undefined ? { status: 204 } : { status: 200, text }
    })
  }

  /** Etherscan's API: the fields stand in the URL, in a form, or both. */
  async #answerApi(request: IncomingMessage, response: ServerResponse): Promise<void> {
    await this.#traffic.carry(request, response, async (body, signal) => {
      const query = Object.fromEntries(new URL(request.url!, 'http://localhost').searchParams)
      if (contentType(request) === 'application/x-www-form-urlencoded') {
        for (const [key, value] of new URLSearchParams(body.toString())) query[key] = value
      }
      return { status: 200, text: await this.#api.answer(query, signal) }
    })
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => {}) // it may break before it is a WebSocket
    const { origin, host } = request.headers
    const refusal = !isKnownHost(host, this.#access)
      ? { reason: 'host', status: '403 Forbidden' }
      : origin !== undefined && allowedOrigin(origin, this.#access) === undefined
        ? { reason: 'origin', status: '403 Forbidden' }
        : this.#sessions.size >= this.#limits.socketsMax
          ? { reason: 'sockets', status: '503 Service Unavailable' }
          : undefined
    if (refusal) {
      this.#metrics.refusedConnections.inc({ reason: refusal.reason })
      socket.end(`HTTP/1.1 ${refusal.status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
      return
    }
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      const session = new SocketSession(webSocket, {
        dispatcher: this.#dispatcher,
        limits: this.#limits,
        metrics: this.#metrics,
        budgets: this.#budgets,
        mayHold: () => {
          let count = 0
          for (const { subscriptionCount } of this.#sessions) count += subscriptionCount
          return count < this.#limits.subscriptionsMax
        },
      })
      this.#sessions.add(session)
      this.#metrics.sockets.set(this.#sessions.size)
      webSocket.on('close', () => {
        this.#sessions.delete(session)
        this.#metrics.sockets.set(this.#sessions.size)
      })
    })
  }
}

function isApi({ url }: IncomingMessage): boolean {
  return /^\/api\/?(?:\?|$)/.test(url ?? '')
}

function contentType({ headers }: IncomingMessage): string | undefined {
  return headers['content-type']?.split(';')[0]?.trim().toLowerCase()
}
