import { type Logger, retry } from '@cumulus/service'
import { ChainError } from './chain-error.ts'
import type { ChainMetrics } from './metrics.ts'

export interface ConnectionLimits {
  /** For one HTTP request. */
  readonly requestTimeoutMs: number
  /** Rounds over all URLs before a request fails with UNREACHABLE, and the wait between them, doubled each time. */
  readonly rounds: number
  readonly roundBaseMs: number
  readonly roundMaxMs: number
  /** Calls in one HTTP request. Nodes take 100. */
  readonly batchLengthMax: number
  /** HTTP requests at once; more calls wait. */
  readonly requestsMax: number
  /** Calls that wait or are under way. */
  readonly callsMax: number
  readonly responseBytesMax: number
}

export const defaultConnectionLimits: ConnectionLimits = {
  requestTimeoutMs: 15_000,
  rounds: 6,
  roundBaseMs: 100,
  roundMaxMs: 2_000,
  batchLengthMax: 50,
  requestsMax: 16,
  callsMax: 4_096,
  responseBytesMax: 64 * 2 ** 20,
}

export interface RpcCall {
  readonly method: string
  readonly params: readonly unknown[]
}

/** What a node answered instead of a result. */
export class RpcRefusal extends Error {
  readonly number: number
  readonly data: unknown
  constructor(number: number, message: string, data: unknown) {
    super(message)
    this.name = 'RpcRefusal'
    this.number = number
    this.data = data
  }

  /** Cumulus nodes give their own code as `data.code`. */
  get code(): string | undefined {
    const code = (this.data as { code?: unknown } | null | undefined)?.code
    return typeof code === 'string' ? code : undefined
  }
}

export type RpcAnswer = { readonly result: unknown } | { readonly refusal: RpcRefusal }

interface Waiting {
  readonly call: RpcCall
  readonly resolve: (answer: RpcAnswer) => void
  readonly reject: (error: unknown) => void
}

/**
 * JSON-RPC to the first of several nodes that answers. It stays with that node until it fails, so that what was written
 * can be read. Calls made in the same turn of the event loop share one HTTP request.
 */
export class RpcConnection {
  readonly #urls: readonly string[]
  readonly #limits: ConnectionLimits
  readonly #log: Logger
  readonly #metrics: ChainMetrics | undefined
  readonly #signal: AbortSignal
  #urlIndex = 0
  #waiting: Waiting[] = []
  #calls = 0
  #requests = 0
  #isScheduled = false
  #isDown = false

  constructor(
    {
      urls,
      log,
      metrics,
      signal,
    }: { urls: readonly string[]; log: Logger; metrics?: ChainMetrics; signal: AbortSignal },
    limits: ConnectionLimits,
  ) {
    if (urls.length === 0) throw new RangeError('a chain client needs at least one URL')
    this.#urls = urls
    this.#log = log
    this.#metrics = metrics
    this.#signal = signal
    this.#limits = limits
  }

  /**
   * One call, sent together with others of this turn.
   *
   * @throws RpcRefusal, ChainError UNREACHABLE, BUSY, BAD_ANSWER
   */
  async request(method: string, params: readonly unknown[]): Promise<unknown> {
    if (this.#calls >= this.#limits.callsMax) {
      throw new ChainError('BUSY', `${this.#calls} calls to the chain wait already`)
    }
    this.#calls++
    try {
      const answer = await new Promise<RpcAnswer>((resolve, reject) => {
        this.#waiting.push({ call: { method, params }, resolve, reject })
        this.#schedule()
      })
      return resultOf(answer)
    } finally {
      this.#calls--
    }
  }

  /**
   * Calls that one and the same node answers, in this order.
   *
   * @throws ChainError UNREACHABLE, BAD_ANSWER
   */
  batch(calls: readonly RpcCall[]): Promise<RpcAnswer[]> {
    const { rounds, roundBaseMs, roundMaxMs } = this.#limits
    return retry(() => this.#round(calls), {
      attempts: rounds,
      baseMs: roundBaseMs,
      maxMs: roundMaxMs,
      signal: this.#signal,
      retriable: (error) => error instanceof ChainError && error.code === 'UNREACHABLE',
    })
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#flush()
    })
  }

  #flush(): void {
    while (this.#waiting.length > 0 && this.#requests < this.#limits.requestsMax) {
      const part = this.#waiting.splice(0, this.#limits.batchLengthMax)
      this.#requests++
      this.batch(part.map(({ call }) => call))
        .then((answers) => {
          for (const [index, { resolve }] of part.entries()) resolve(answers[index]!)
        })
        .catch((error: unknown) => {
          for (const { reject } of part) reject(error)
        })
        .finally(() => {
          this.#requests--
          this.#flush()
        })
    }
  }

  /** Tries each URL once, beginning with the one that answered last. */
  async #round(calls: readonly RpcCall[]): Promise<RpcAnswer[]> {
    let last: unknown
    for (let i = 0; i < this.#urls.length; i++) {
      const url = this.#urls[this.#urlIndex]!
      try {
        const answers = await this.#post(url, calls)
        if (this.#isDown) this.#log.info('chain reachable again', { url })
        this.#isDown = false
        return answers
      } catch (error) {
        this.#signal.throwIfAborted()
        last = error
        this.#metrics?.failures.inc()
        this.#log.debug('chain request failed', { url, error })
        this.#urlIndex = (this.#urlIndex + 1) % this.#urls.length
      }
    }
    if (last instanceof ChainError) throw last
    if (!this.#isDown) this.#log.warn('chain unreachable', { urls: this.#urls.join(' '), error: last })
    this.#isDown = true
    throw new ChainError('UNREACHABLE', `no node answers at ${this.#urls.join(', ')}`, { cause: last })
  }

  async #post(url: string, calls: readonly RpcCall[]): Promise<RpcAnswer[]> {
    const body = calls.map(({ method, params }, id) => ({ jsonrpc: '2.0', id, method, params }))
    this.#metrics?.requests.inc()
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body.length === 1 ? body[0] : body),
      signal: AbortSignal.any([this.#signal, AbortSignal.timeout(this.#limits.requestTimeoutMs)]),
    })
    const text = await readText(response, this.#limits.responseBytesMax)
    if (!response.ok && response.status >= 500) throw new Error(`HTTP ${response.status}`)
    return parseAnswers(text, calls.length, url)
  }
}

/** @throws RpcRefusal */
export function resultOf(answer: RpcAnswer): unknown {
  if ('refusal' in answer) throw answer.refusal
  return answer.result
}

async function readText(response: Response, bytesMax: number): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += (chunk as Uint8Array).length
    if (size > bytesMax) throw new ChainError('BAD_ANSWER', `the node answers more than ${bytesMax} bytes`)
    text += decoder.decode(chunk as Uint8Array, { stream: true })
  }
  return text + decoder.decode()
}

function parseAnswers(text: string, count: number, url: string): RpcAnswer[] {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (cause) {
    // A proxy's error page, or an answer cut short: another try may help.
    throw new Error(`${url} answers what is not JSON: ${text.slice(0, 100)}`, { cause })
  }
  const list = Array.isArray(parsed) ? parsed : [parsed]
  const byId = new Map<unknown, Record<string, unknown>>()
  for (const item of list) if (typeof item === 'object' && item !== null) byId.set(item.id, item)
  // An error without an id concerns the request as a whole.
  const whole = byId.get(null)
  return Array.from({ length: count }, (_, id) => {
    const item = byId.get(id) ?? whole
    const error = item?.['error'] as { code?: unknown; message?: unknown; data?: unknown } | undefined
    if (error) return { refusal: new RpcRefusal(Number(error.code), String(error.message), error.data) }
    if (!item || !('result' in item)) throw new ChainError('BAD_ANSWER', `${url} leaves a call unanswered`)
    return { result: item['result'] }
  })
}
