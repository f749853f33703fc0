import { createHash, createHmac } from 'node:crypto'
import type { ChunkSeed } from '../../src/s3/authenticate.ts'

export const SEED: ChunkSeed = {
  key: Buffer.from('k'.repeat(32)),
  signature: 'f'.repeat(64),
  timestamp: '20130524T000000Z',
  scope: '20130524/us-east-1/s3/aws4_request',
}

/** aws-chunked as a client writes it: the tests' own encoder. */
export function encodeChunks(
  chunks: readonly Uint8Array[],
  { seed, trailers }: { seed?: ChunkSeed; trailers?: Record<string, string> } = {},
): Buffer {
  const out: Uint8Array[] = []
  let previous = seed?.signature ?? ''
  const sign = (kind: string, tail: string): string => {
    const text = `AWS4-HMAC-SHA256-${kind}\n${seed!.timestamp}\n${seed!.scope}\n${previous}\n${tail}`
    return (previous = createHmac('sha256', seed!.key).update(text).digest('hex'))
  }
  for (const chunk of [...chunks.filter(({ length }) => length > 0), new Uint8Array(0)]) {
    const signature = seed && `;chunk-signature=${sign('PAYLOAD', `${sha256('')}\n${sha256(chunk)}`)}`
    out.push(Buffer.from(`${chunk.length.toString(16)}${signature ?? ''}\r\n`), chunk)
    if (chunk.length > 0) out.push(Buffer.from('\r\n'))
  }
  let tail = ''
  for (const name in trailers) tail += `${name}:${trailers[name]}\n`
  if (trailers !== undefined) {
    out.push(Buffer.from(tail.replaceAll('\n', '\r\n')))
    if (seed !== undefined) out.push(Buffer.from(`x-amz-trailer-signature:${sign('TRAILER', sha256(tail))}\r\n`))
  }
  out.push(Buffer.from('\r\n'))
  return Buffer.concat(out)
}

function sha256(data: Uint8Array | string): string {
  return createHash('sha256').update(data).digest('hex')
}
