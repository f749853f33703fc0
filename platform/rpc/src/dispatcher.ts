import { createBreather, type Logger } from '@cumulus/service'
import { isRecord } from './decode.ts'
import { parseJson } from './json.ts'
import type { RpcLimits } from './limits.ts'
import { type Caller, decodeParams, type Method, type MethodName, type MethodTable } from './method.ts'
import type { RpcMetrics } from './metrics.ts'
import { overLimit, RpcError } from './rpc-error.ts'

/** Turns the bytes of a request or a batch into the text of its answer. Knows JSON-RPC 2.0, and no method. */
export class Dispatcher {
  readonly #table: ReadonlyMap<string, Method>
  readonly #limits: RpcLimits
  readonly #metrics: RpcMetrics
  readonly #log: Logger
  readonly #nowMs: () => number
  /** Shared by all askers: requests that are answered without waiting for anything are one turn of the event loop. */
  readonly #breathe: () => Promise<void> | undefined
  #active = 0
  #closed: PromiseWithResolvers<void> | undefined

  constructor(
    table: MethodTable,
    limits: RpcLimits,
    metrics: RpcMetrics,
    log: Logger,
    nowMs: () => number = () => performance.now(),
  ) {
    // A map: names such as `constructor` must not be found.
    this.#table = new Map(Object.entries(table) as [MethodName, Method][])
    this.#limits = limits
    this.#metrics = metrics
    this.#log = log
    this.#nowMs = nowMs
    this.#breathe = createBreather()
  }

  /** Refuses what comes from now on; resolves once nothing is being answered, so that the chain may be closed. */
  async close(): Promise<void> {
    this.#closed ??= Promise.withResolvers()
    if (this.#active > 0) await this.#closed.promise
  }

  /** Never throws. Undefined if nothing is to be answered: all requests were notifications. */
  async answer(body: Uint8Array, caller: Caller): Promise<string | undefined> {
    this.#active++
    try {
      return await this.#answer(body, caller)
    } finally {
      if (--this.#active === 0) this.#closed?.resolve()
    }
  }

  async #answer(body: Uint8Array, caller: Caller): Promise<string | undefined> {
    let requests: unknown
    try {
      requests = parseJson(body, this.#limits.jsonDepthMax)
      if (!Array.isArray(requests)) return await this.#answerOne(requests, caller)
      if (requests.length === 0) throw new RpcError('INVALID_REQUEST', 'the batch is empty')
      if (requests.length > this.#limits.batchLengthMax) {
        throw overLimit(
          'batch_length',
          `the batch has ${requests.length} requests, at most ${this.#limits.batchLengthMax} are taken`,
        )
      }
    } catch (error) {
      return errorText(null, this.#counted(error))
    }
    const answers: string[] = []
    let size = 0
    const { batchResponseBytesMax, batchMsMax } = this.#limits
    const endsAtMs = this.#nowMs() + batchMsMax
    for (const request of requests as unknown[]) {
      if (caller.signal.aborted) break
      const excess =
        size > batchResponseBytesMax
          ? overLimit('batch_response', `the answers of the batch passed ${batchResponseBytesMax} bytes`)
          : this.#nowMs() >= endsAtMs
            ? overLimit('batch_time', `the batch took more than ${batchMsMax} ms; send fewer requests at a time`)
            : undefined
      const answer = excess ? this.#refuse(request, excess) : await this.#answerOne(request, caller)
      if (answer === undefined) continue
      size += answer.length
      answers.push(answer)
    }
    return answers.length > 0 ? `[${answers.join(',')}]` : undefined
  }

  async #answerOne(request: unknown, caller: Caller): Promise<string | undefined> {
    if (!isRecord(request) || typeof request['method'] !== 'string') {
      return errorText(idOf(request), new RpcError('INVALID_REQUEST', 'a request is an object with a method'))
    }
    const { method: name, params } = request
    const entry = this.#table.get(name as string)
    const method = entry ? (name as string) : 'unknown'
    const end = this.#metrics.durationSeconds.startTimer({ method })
    let answer: string
    let outcome = 'ok'
    try {
      if (this.#closed) throw new RpcError('REFUSED', 'the node is shutting down')
      if (!validId(request)) throw new RpcError('INVALID_REQUEST', 'the id must be a number, a short text or null')
      if (!entry) {
        throw new RpcError(
          'METHOD_NOT_FOUND',
          `the method ${(name as string).slice(0, 80)} does not exist/is not available`,
        )
      }
      for (let breath = this.#breathe(); breath; breath = this.#breathe()) await breath
      const result = await entry.answer(decodeParams(entry, params), caller)
      answer = `{"jsonrpc":"2.0","id":${JSON.stringify(idOf(request))},"result":${JSON.stringify(result ?? null)}}`
      const { responseBytesMax } = this.#limits
      if (answer.length > responseBytesMax) {
        throw overLimit('response_bytes', `the answer has ${answer.length} bytes, at most ${responseBytesMax} are sent`)
      }
    } catch (error) {
      outcome = 'error'
      answer = errorText(idOf(request), this.#counted(error, method, caller.signal))
    }
    end()
    this.#metrics.requests.inc({ method, outcome })
    return 'id' in request ? answer : undefined
  }

  #refuse(request: unknown, error: RpcError): string | undefined {
    if (!isRecord(request) || !('id' in request)) return undefined
    return errorText(idOf(request), this.#counted(error))
  }

  /** What a stranger is told. Our own faults are logged in full and answered without detail. */
  #counted(error: unknown, method?: string, signal?: AbortSignal): RpcError {
    // Nobody reads the answer.
    if (signal?.aborted && error === signal.reason) return new RpcError('REFUSED', 'the request was given up')
    if (error instanceof RpcError) {
      if (error.limit) this.#metrics.limitHits.inc({ limit: error.limit })
      return error
    }
    this.#log.error('request failed', { method, error })
    return new RpcError('INTERNAL', 'internal error; the log of the node has more')
  }
}

/** The answer to a request that could not be read or related to one. */
export function errorText(id: unknown, error: RpcError): string {
  return JSON.stringify({ jsonrpc: '2.0', id, error })
}

function idOf(request: unknown): number | string | null {
  return isRecord(request) && validId(request) ? ((request['id'] as number | string | null | undefined) ?? null) : null
}

function validId({ id }: Record<string, unknown>): boolean {
  return id === undefined || id === null || typeof id === 'number' || (typeof id === 'string' && id.length <= 128)
}
