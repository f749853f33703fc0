import { createHmac, hash } from 'node:crypto'

export interface Credentials {
  readonly accessKey: string
  readonly secretKey: string
  readonly region: string
}

export const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD'

/**
 * Headers of a request with AWS Signature Version 4 in its header form. Host, date and payload hash are signed.
 *
 * @param path already percent-encoded as sent, without a query
 * @param query already encoded and sorted, `key=value` joined by `&`
 * @param payloadHash SHA-256 of the body in hex, or UNSIGNED_PAYLOAD
 * Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
export function signedHeaders(
  request: { method: string; host: string; path: string; query?: string; payloadHash: string; date: Date },
  { accessKey, secretKey, region }: Credentials,
): Record<string, string> {
  const { method, host, path, query = '', payloadHash } = request
  const time = request.date.toISOString().replace(/[-:]|\.\d+/g, '')
  const day = time.slice(0, 8)
  const names = 'host;x-amz-content-sha256;x-amz-date'
  const canonical = [
    method,
    path,
    query,
    `host:${host}`,
    `x-amz-content-sha256:${payloadHash}`,
    `x-amz-date:${time}`,
    '',
    names,
    payloadHash,
  ].join('\n')
  const scope = `${day}/${region}/s3/aws4_request`
  const text = ['AWS4-HMAC-SHA256', time, scope, hash('sha256', canonical)].join('\n')
  const signature = createHmac('sha256', signingKey(secretKey, day, region))
    .update(text)
    .digest('hex')
  return {
    host,
    'x-amz-date': time,
    'x-amz-content-sha256': payloadHash,
    authorization: `AWS4-HMAC-SHA256 Credential=${accessKey}/${scope},SignedHeaders=${names},Signature=${signature}`,
  }
}

let cached: { of: string; key: Buffer } | undefined

function signingKey(secretKey: string, day: string, region: string): Buffer {
  const of = `${secretKey}/${day}/${region}`
  if (cached?.of !== of) {
    let key: Buffer = Buffer.from(`AWS4${secretKey}`)
    for (const word of [day, region, 's3', 'aws4_request']) key = createHmac('sha256', key).update(word).digest()
    cached = { of, key }
  }
  return cached.key
}
