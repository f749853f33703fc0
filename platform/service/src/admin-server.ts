import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Metrics } from './metrics.ts'
import { ServiceError } from './service-error.ts'

export interface HealthReport {
  readonly ok: boolean
  readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail?: string }[]
}

interface AdminSources {
  readonly host: string
  /** 0 = any free port. */
  readonly port: number
  readonly metrics: Metrics
  health(): HealthReport | Promise<HealthReport>
  status(): object | Promise<object>
}

export interface AdminServer {
  readonly port: number
  close(): Promise<void>
}

/**
 * HTTP for operators and their tools, on loopback unless told otherwise: GET /health (200 or 503), /ready (the same),
 * /status (JSON), /metrics (Prometheus). No request changes anything.
 *
 * @throws ServiceError PORT_TAKEN
 */
export async function startAdminServer(
  sources: AdminSources,
  init: { signal?: AbortSignal } = {},
): Promise<AdminServer> {
  const server = createServer(
    { requestTimeout: 10_000, headersTimeout: 5_000, maxHeaderSize: 8_192 },
    (request, response) => {
      request.resume()
      answer(sources, request.method ?? '', request.url ?? '', response).catch((error: unknown) => {
        sendJson(response, 500, {
          error: { code: 'INTERNAL', message: error instanceof Error ? error.message : String(error) },
        })
      })
    },
  )
  server.maxConnections = 64
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE'
      reject(
        new ServiceError(
          taken ? 'PORT_TAKEN' : 'LISTEN_FAILED',
          `cannot listen on ${sources.host}:${sources.port}: ${error.message}`,
          { host: sources.host, port: sources.port },
          { cause: error },
        ),
      )
    })
    server.listen(sources.port, sources.host, resolve)
  })
  const close = async () => {
    server.closeAllConnections()
    if (server.listening) await new Promise<void>((resolve) => server.close(() => resolve()))
  }
  init.signal?.addEventListener('abort', () => void close(), { once: true })
  return { port: (server.address() as AddressInfo).port, close }
}

async function answer(sources: AdminSources, method: string, url: string, response: ServerResponse): Promise<void> {
  if (method !== 'GET' && method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD')
    return sendJson(response, 405, { error: { code: 'METHOD_NOT_ALLOWED', message: 'only GET is answered here' } })
  }
  switch (url.split('?')[0]) {
    case '/health':
    case '/ready': {
      const report = await sources.health()
      return sendJson(response, report.ok ? 200 : 503, report)
    }
    case '/status':
      return sendJson(response, 200, await sources.status())
    case '/metrics': {
      const text = await sources.metrics.metrics()
      response.writeHead(200, { 'content-type': sources.metrics.contentType }).end(text)
      return
    }
    default:
      return sendJson(response, 404, {
        error: { code: 'NOT_FOUND', message: 'try /health, /ready, /status or /metrics' },
      })
  }
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  if (response.headersSent) return
  const text = JSON.stringify(body, (_, value) => (typeof value === 'bigint' ? value.toString() : value), 2)
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(`${text}\n`)
}
