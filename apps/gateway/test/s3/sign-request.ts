import { createHash, createHmac } from 'node:crypto'
import type { ChunkSeed } from '../../src/s3/authenticate.ts'
import { MAIN, REGION } from './s3-fixture.ts'

export interface SignInit {
  readonly method?: string
  /** As sent, percent-encoded. No query. */
  readonly path: string
  /** As sent; sorted and encoded by the caller. */
  readonly query?: string
  readonly headers?: Readonly<Record<string, string>>
  /** x-amz-content-sha256; by default the hash of `body`. */
  readonly payloadHash?: string
  readonly body?: string | Buffer
  readonly nowMs?: number
  readonly secretKey?: string
}

/** A signed request as text up to and with the empty line: for tests that write to sockets what no SDK would. */
export function signedHead(init: SignInit): { head: string; seed: ChunkSeed } {
  const { method = 'GET', path, query = '', body = '', nowMs = Date.now(), secretKey = MAIN.secretKey } = init
  const timestamp = new Date(nowMs).toISOString().replace(/[-:]|\.\d{3}/g, '')
  const date = timestamp.slice(0, 8)
  const payloadHash = init.payloadHash ?? sha256(body)
  const headers: Record<string, string> = {
    host: 'localhost',
    'x-amz-content-sha256': payloadHash,
    'x-amz-date': timestamp,
    ...init.headers,
  }
  const names = Object.keys(headers)
    .filter((name) => name === 'host' || name.startsWith('x-amz-'))
    .sort()
  const canonical = `${method}\n${path}\n${query}\n${names.map((name) => `${name}:${headers[name]}\n`).join('')}\n${names.join(';')}\n${payloadHash}`
  const scope = `${date}/${REGION}/s3/aws4_request`
  let key: Buffer = Buffer.from(`AWS4${secretKey}`)
  for (const step of [date, REGION, 's3', 'aws4_request']) key = createHmac('sha256', key).update(step).digest()
  const signature = createHmac('sha256', key)
    .update(`AWS4-HMAC-SHA256\n${timestamp}\n${scope}\n${sha256(canonical)}`)
    .digest('hex')
  headers['authorization'] =
    `AWS4-HMAC-SHA256 Credential=${MAIN.accessKey}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const head = `${method} ${path}${query === '' ? '' : `?${query}`} HTTP/1.1\r\n${lines.join('')}\r\n`
  return { head, seed: { key, signature, timestamp, scope } }
}

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}
