import { SdkError } from './sdk-error.ts'

const TIMEOUT_MS = 10_000
const ANSWER_BYTES_MAX = 4 * 2 ** 20

/** JSON-RPC over HTTP, asked of one URL until it fails, then of the next. */
export class Endpoint {
  readonly #urls: readonly string[]
  readonly #timeoutMs: number
  #index = 0
  #id = 0

  constructor(urls: readonly string[], timeoutMs = TIMEOUT_MS) {
    if (urls.length === 0) throw new RangeError('an endpoint needs a URL')
    this.#urls = urls
    this.#timeoutMs = timeoutMs
  }

  /** @throws SdkError UNREACHABLE; BAD_ANSWER if a node answers with an error */
  async ask(method: string, params: readonly unknown[], signal?: AbortSignal): Promise<unknown> {
    let last: unknown
    for (let attempt = 0; attempt < this.#urls.length; attempt++) {
      signal?.throwIfAborted()
      try {
        return await this.#post(this.#urls[this.#index]!, method, params, signal)
      } catch (error) {
        if (error instanceof SdkError) throw error
        last = error
        this.#index = (this.#index + 1) % this.#urls.length
      }
    }
    signal?.throwIfAborted()
    throw new SdkError('UNREACHABLE', `no node answers at ${this.#urls.join(', ')}`, { cause: last })
  }

  async #post(url: string, method: string, params: readonly unknown[], signal?: AbortSignal): Promise<unknown> {
    const timeout = AbortSignal.timeout(this.#timeoutMs)
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: ++this.#id, method, params }),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    })
    if (!response.ok) throw new Error(`HTTP ${response.status}`)
    let answer: { result?: unknown; error?: { code?: unknown; message?: unknown } }
    const text = await readText(response)
    try {
      answer = JSON.parse(text)
    } catch (cause) {
      throw new SdkError('BAD_ANSWER', `${method}: no JSON`, { cause })
    }
    if (answer?.error) throw new SdkError('BAD_ANSWER', `${method}: ${String(answer.error.message)}`)
    if (answer?.result === undefined) throw new SdkError('BAD_ANSWER', `${method}: neither result nor error`)
    return answer.result
  }
}

async function readText(response: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  let size = 0
  const reader = response.body!.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    size += value.length
    if (size > ANSWER_BYTES_MAX) {
      await reader.cancel()
      throw new SdkError('BAD_ANSWER', `an answer of more than ${ANSWER_BYTES_MAX} bytes`)
    }
    text += decoder.decode(value, { stream: true })
  }
}
