import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Budgets } from './byte-budget.ts'
import { errorText } from './dispatcher.ts'
import type { RpcLimits } from './limits.ts'
import type { RpcMetrics } from './metrics.ts'
import { overLimit, RpcError } from './rpc-error.ts'

export interface HttpAnswer {
  readonly status: number
  /** JSON. */
  readonly text?: string
}

/**
 * Bodies in and answers out over HTTP, and the bounds on both: how much may be there that was not answered yet, and how
 * much that was not read yet. A client that sends or reads slowly costs its share for a limited time only.
 */
export class HttpTraffic {
  readonly #limits: RpcLimits
  readonly #metrics: RpcMetrics
  readonly #budgets: Budgets

  constructor(limits: RpcLimits, metrics: RpcMetrics, budgets: Budgets) {
    this.#limits = limits
    this.#metrics = metrics
    this.#budgets = budgets
  }

  /** @param work gets the body, and a signal that aborts when the client has gone */
  async carry(
    request: IncomingMessage,
    response: ServerResponse,
    work: (body: Buffer, signal: AbortSignal) => Promise<HttpAnswer>,
  ): Promise<void> {
    const gone = new AbortController()
    response.once('close', () => gone.abort(new Error('the client has gone')))
    const held: (() => void)[] = []
    try {
      const body = await this.#read(request, held)
      if (body instanceof RpcError) {
        this.#metrics.limitHits.inc({ limit: body.limit! })
        // The rest of the body is not read, so the connection cannot be used again.
        response.setHeader('connection', 'close')
        this.refuse(response, body.limit === 'body_bytes' ? 413 : 503, body)
        return
      }
      const { status, text } = await work(body, gone.signal)
      if (text === undefined) response.writeHead(status).end()
      else this.#send(response, status, text)
    } finally {
      for (const give of held) give()
    }
  }

  refuse(response: ServerResponse, status: number, error: RpcError): void {
    response.writeHead(status, { 'content-type': 'application/json' }).end(errorText(null, error))
  }

  /** The whole body, or an error as soon as it is known to be too large. */
  async #read(request: IncomingMessage, held: (() => void)[]): Promise<Buffer | RpcError> {
    const { bodyBytesMax, bodyBytesTotalMax } = this.#limits
    const tooLarge = () => overLimit('body_bytes', `the request has more than ${bodyBytesMax} bytes`)
    if (Number(request.headers['content-length'] ?? 0) > bodyBytesMax) return tooLarge()
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > bodyBytesMax) return tooLarge()
      const give = this.#budgets.bodies.take(chunk.length)
      if (!give) return tooManyBodies(bodyBytesTotalMax)
      held.push(give)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks, bytes)
  }

  #send(response: ServerResponse, status: number, text: string): void {
    const give = this.#budgets.answers.take(text.length)
    if (!give) {
      this.#metrics.limitHits.inc({ limit: 'response_bytes_total' })
      this.refuse(response, 503, overLimit('response_bytes_total', 'too many answers wait to be read; try again'))
      return
    }
    const timer = setTimeout(() => {
      this.#metrics.limitHits.inc({ limit: 'response_time' })
      response.destroy()
    }, this.#limits.responseTimeoutMs)
    timer.unref()
    response.once('close', () => {
      clearTimeout(timer)
      give()
    })
    response.writeHead(status, { 'content-type': 'application/json' }).end(text)
  }
}

export function tooManyBodies(bytesMax: number): RpcError {
  return overLimit('body_bytes_total', `more than ${bytesMax} bytes of requests wait; try again`)
}
