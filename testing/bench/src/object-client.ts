import { HttpConnection } from './http-connection.ts'
import type { Pattern } from './pattern.ts'
import { type Credentials, signedHeaders, UNSIGNED_PAYLOAD } from './sign.ts'

/** Servers close kept-alive connections after some seconds (node:http: 5), perhaps just when the next request is sent. */
const IDLE_MS_MAX = 2_000

/** Puts and gets patterns over HTTP: S3 with credentials, plain WebDAV without. */
export class ObjectClient {
  readonly #host: string
  readonly #port: number
  readonly #credentials: Credentials | undefined
  readonly #signal: AbortSignal
  readonly #idle: { readonly connection: HttpConnection; readonly sinceMs: number }[] = []
  readonly #all = new Set<HttpConnection>()

  constructor(init: { host: string; port: number; credentials?: Credentials; signal: AbortSignal }) {
    this.#host = init.host
    this.#port = init.port
    this.#credentials = init.credentials
    this.#signal = init.signal
  }

  close(): void {
    for (const connection of this.#all) connection.close()
  }

  /**
   * Request line and headers, to be sent within 15 minutes. Made apart from sending, so that signing can be left out of
   * what is measured.
   */
  head(method: string, path: string, init: { bytes?: number; payloadHash?: string; query?: string } = {}): string {
    const host = `${this.#host}:${this.#port}`
    const { query = '', payloadHash = UNSIGNED_PAYLOAD } = init
    const headers: Record<string, string> = this.#credentials
      ? signedHeaders({ method, host, path, query, payloadHash, date: new Date() }, this.#credentials)
      : { host }
    if (method === 'PUT' || method === 'POST') headers['content-length'] = String(init.bytes ?? 0)
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    return `${method} ${path}${query && `?${query}`} HTTP/1.1\r\n${lines.join('')}`
  }

  /** Returns the ETag without its quotes, or an empty text. */
  async put(head: string, pattern: Pattern): Promise<string> {
    const { headers } = await this.#with((connection) => connection.request({ head, body: pattern.pieces() }))
    return headers['etag']?.replaceAll('"', '') ?? ''
  }

  /** Compares every byte with the pattern. */
  async get(head: string, pattern: Pattern): Promise<void> {
    const verifier = pattern.verifier(head.slice(0, head.indexOf(' HTTP')))
    await this.#with((connection) => connection.request({ head, onBody: verifier.take }))
    verifier.end()
  }

  /** A request without a body, whose answer's body does not matter. */
  async call(head: string): Promise<void> {
    await this.#with((connection) => connection.request({ head }))
  }

  async #with<T>(use: (connection: HttpConnection) => Promise<T>): Promise<T> {
    const connection = this.#reuse() ?? (await HttpConnection.open(this.#host, this.#port, this.#signal))
    this.#all.add(connection)
    try {
      const result = await use(connection)
      this.#idle.push({ connection, sinceMs: performance.now() })
      return result
    } catch (error) {
      connection.close()
      this.#all.delete(connection)
      throw error
    }
  }

  #reuse(): HttpConnection | undefined {
    const usable = performance.now() - IDLE_MS_MAX
    for (let entry = this.#idle.pop(); entry; entry = this.#idle.pop()) {
      if (entry.sinceMs > usable) return entry.connection
      entry.connection.close()
      this.#all.delete(entry.connection)
    }
    return undefined
  }
}

/** Runs `act` for 0..count−1, `width` at a time; ends at the first error. */
export async function inFlight(count: number, width: number, act: (index: number) => Promise<void>): Promise<void> {
  let next = 0
  const one = async (): Promise<void> => {
    while (next < count) {
      try {
        await act(next++)
      } catch (error) {
        next = count
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(width, count) }, one))
}
