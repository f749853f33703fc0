import { createHmac, hash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { canonicalPath, type RequestTarget } from './request-target.ts'
import { S3Error } from './s3-error.ts'
import type { CredentialScope, SigningKeys } from './signing-keys.ts'
import type { S3User, UserDirectory } from './user-directory.ts'

const ALGORITHM = 'AWS4-HMAC-SHA256'

/** Allowed distance between the clocks of client and server. */
export const CLOCK_SKEW_MS_MAX = 15 * 60 * 1000

/** A presigned URL is valid for a week at most. */
export const PRESIGN_SECONDS_MAX = 7 * 24 * 60 * 60

/** How the payload is protected, by `x-amz-content-sha256`. */
export type PayloadProtection =
  | { readonly kind: 'unsigned' }
  /** SHA-256 in lower-case hex. */
  | { readonly kind: 'sha256'; readonly value: string }
  /** aws-chunked; `signed` chunks carry signatures, `trailer` says that checksums may follow the last chunk. */
  | { readonly kind: 'chunked'; readonly signed: boolean; readonly trailer: boolean }

/** A request whose signature holds. */
export interface Authenticated {
  readonly user: S3User
  readonly payload: PayloadProtection
  readonly presigned: boolean
  /** What the signatures of chunks go on from. */
  readonly seed: ChunkSeed
}

export interface ChunkSeed {
  readonly key: Buffer
  readonly signature: string
  readonly timestamp: string
  /** date/region/service/aws4_request */
  readonly scope: string
}

export interface SignedMessage {
  readonly method: string
  readonly target: RequestTarget
  readonly headers: IncomingHttpHeaders
  /** Names and values in turn, as they came; values are bytes in latin1 strings. */
  readonly rawHeaders: readonly string[]
}

export interface AuthenticationSettings {
  readonly users: UserDirectory
  readonly region: string
  readonly keys: SigningKeys
  readonly nowMs: number
}

interface Claim {
  readonly credential: CredentialScope
  readonly signedHeaders: readonly string[]
  readonly signature: string
  readonly timestamp: string
  readonly payloadHash: string
  readonly presigned: boolean
}

/**
 * Checks the signature of a request (AWS Signature Version 4, in the Authorization header or in the query).
 *
 * Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html and
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
 *
 * @throws S3Error saying what is wrong; AccessDenied for anonymous requests
 */
export function authenticate(message: SignedMessage, settings: AuthenticationSettings): Authenticated {
  const claim = readClaim(message)
  const { credential, timestamp } = claim
  if (message.headers['x-amz-security-token'] !== undefined || message.target.query.has('X-Amz-Security-Token')) {
    throw new S3Error('InvalidToken', 'Temporary credentials are not supported: leave the session token out.')
  }
  const malformed = claim.presigned ? 'AuthorizationQueryParametersError' : 'AuthorizationHeaderMalformed'
  if (credential.service !== 's3') {
    throw new S3Error(malformed, `The credential scope names the service "${credential.service}"; expected "s3".`)
  }
  if (credential.date !== timestamp.slice(0, 8)) {
    throw new S3Error(malformed, `Invalid credential date "${credential.date}": it is not the date of the request.`)
  }
  if (credential.region !== settings.region) {
    throw new S3Error(malformed, `The region '${credential.region}' is wrong; expecting '${settings.region}'`, {
      Region: settings.region,
    })
  }
  checkTime(claim, message, settings.nowMs)
  const user = settings.users.byAccessKey(credential.accessKey)
  if (user === undefined) {
    throw new S3Error('InvalidAccessKeyId', undefined, { AWSAccessKeyId: credential.accessKey })
  }
  checkSignedHeaders(claim, message)

  const key = settings.keys.keyFor(user.secretKey, credential)
  const scope = `${credential.date}/${credential.region}/s3/aws4_request`
  const canonical = canonicalRequest(message, claim, canonicalPath(message.target.path))
  const stringToSign = stringToSignOf(claim, scope, canonical)
  if (!equalSignatures(sign(key, stringToSign), claim.signature) && !holdsForRawPath(key, scope, claim, message)) {
    throw new S3Error('SignatureDoesNotMatch', undefined, {
      AWSAccessKeyId: credential.accessKey,
      StringToSign: stringToSign,
      SignatureProvided: claim.signature,
      CanonicalRequest: canonical,
    })
  }
  if (user.unavailable !== undefined) throw new S3Error('ServiceUnavailable', user.unavailable)
  return {
    user,
    payload: payloadProtection(claim.payloadHash),
    presigned: claim.presigned,
    seed: { key, signature: claim.signature, timestamp, scope },
  }
}

function stringToSignOf({ timestamp }: Claim, scope: string, canonical: string): string {
  return `${ALGORITHM}\n${timestamp}\n${scope}\n${hash('sha256', Buffer.from(canonical, 'latin1'), 'hex')}`
}

/** Some clients sign the path as they send it, `%2F` included, where the rule would have them encode it anew. */
function holdsForRawPath(key: Buffer, scope: string, claim: Claim, message: SignedMessage): boolean {
  const { path } = message.target
  if (path === canonicalPath(path)) return false
  return equalSignatures(
    sign(key, stringToSignOf(claim, scope, canonicalRequest(message, claim, path))),
    claim.signature,
  )
}

/** HMAC-SHA-256 in hex. */
export function sign(key: Buffer, text: string): string {
  return createHmac('sha256', key).update(text).digest('hex')
}

/** Compares signatures in hex without telling by its time where they differ. */
export function equalSignatures(expected: string, given: string): boolean {
  return (
    expected.length === given.length && timingSafeEqual(Buffer.from(expected, 'latin1'), Buffer.from(given, 'latin1'))
  )
}

function readClaim({ headers, target: { query } }: SignedMessage): Claim {
  const { authorization } = headers
  const presigned = query.has('X-Amz-Algorithm')
  const version2 = query.has('AWSAccessKeyId') && query.has('Signature')
  if (authorization !== undefined && (presigned || version2)) {
    throw new S3Error(
      'InvalidArgument',
      'Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified',
    )
  }
  if (presigned) return readQueryClaim(query, headers)
  if (version2 || authorization?.startsWith('AWS ')) throw unsupportedMechanism()
  if (authorization === undefined)
    throw new S3Error('AccessDenied', 'Anonymous access is not allowed: sign the request.')
  if (!authorization.startsWith(`${ALGORITHM} `)) {
    throw authorization.startsWith('AWS4-') ? unsupportedMechanism() : malformedHeader('unknown authorization type')
  }
  const fields = new Map<string, string>()
  for (const field of authorization.slice(ALGORITHM.length + 1).split(',')) {
    const equals = field.indexOf('=')
    const name = field.slice(0, equals).trim()
    if (equals < 0 || fields.has(name)) throw malformedHeader('expected comma-separated name=value fields')
    fields.set(name, field.slice(equals + 1).trim())
  }
  const credential = fields.get('Credential')
  const signedHeaders = fields.get('SignedHeaders')
  const signature = fields.get('Signature')
  if (!credential || !signedHeaders || !signature) {
    throw malformedHeader('Credential, SignedHeaders and Signature are required')
  }
  const payloadHash = headers['x-amz-content-sha256']
  if (typeof payloadHash !== 'string') {
    throw new S3Error('InvalidRequest', 'Missing required header for this request: x-amz-content-sha256')
  }
  return {
    credential: readCredential(credential, malformedHeader),
    signedHeaders: readSignedHeaders(signedHeaders, malformedHeader),
    signature,
    timestamp: readTimestamp(headers),
    payloadHash,
    presigned: false,
  }
}

function readQueryClaim(query: RequestTarget['query'], headers: IncomingHttpHeaders): Claim {
  if (query.get('X-Amz-Algorithm') !== ALGORITHM) throw unsupportedMechanism()
  const credential = query.get('X-Amz-Credential')
  const timestamp = query.get('X-Amz-Date')
  const signedHeaders = query.get('X-Amz-SignedHeaders')
  const signature = query.get('X-Amz-Signature')
  if (!credential || !timestamp || !signedHeaders || !signature || !query.has('X-Amz-Expires')) {
    throw malformedQuery(
      'Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.',
    )
  }
  if (Number.isNaN(timestampMs(timestamp)))
    throw malformedQuery("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
  const header = headers['x-amz-content-sha256']
  return {
    credential: readCredential(credential, malformedQuery),
    signedHeaders: readSignedHeaders(signedHeaders, malformedQuery),
    signature,
    timestamp,
    payloadHash: query.get('X-Amz-Content-Sha256') ?? (typeof header === 'string' ? header : 'UNSIGNED-PAYLOAD'),
    presigned: true,
  }
}

function readCredential(text: string, malformed: (why: string) => S3Error): CredentialScope {
  // Access keys hold no slash with us, but the scope is read from the end so that a stranger's is told apart correctly.
  const parts = text.split('/')
  const [date, region, service, terminator] = parts.slice(-4)
  const accessKey = parts.slice(0, -4).join('/')
  if (!accessKey || !/^\d{8}$/.test(date ?? '') || !region || !service || terminator !== 'aws4_request') {
    throw malformed('the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".')
  }
  return { accessKey, date: date!, region, service }
}

function readSignedHeaders(text: string, malformed: (why: string) => S3Error): string[] {
  const names = text.split(';')
  if (names.length > 128 || names.some((name) => !/^[a-z0-9!#$%&'*+\-.^_`|~]+$/.test(name))) {
    throw malformed('SignedHeaders must be lower-case header names separated by semicolons')
  }
  return names
}

/** `x-amz-date`, or `Date`, as YYYYMMDDTHHMMSSZ. */
function readTimestamp(headers: IncomingHttpHeaders): string {
  const amz = headers['x-amz-date']
  if (typeof amz === 'string') {
    if (!Number.isNaN(timestampMs(amz))) return amz
    // Some clients put an HTTP date there.
    const ms = Date.parse(amz)
    if (!Number.isNaN(ms)) return timestampOf(ms)
  } else if (headers.date !== undefined) {
    if (!Number.isNaN(timestampMs(headers.date))) return headers.date
    const ms = Date.parse(headers.date)
    if (!Number.isNaN(ms)) return timestampOf(ms)
  }
  throw new S3Error('AccessDenied', 'AWS authentication requires a valid Date or x-amz-date header')
}

function timestampOf(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d{3}/g, '')
}

/** Milliseconds of YYYYMMDDTHHMMSSZ; NaN if it is not one. */
function timestampMs(text: string): number {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text)
  if (match === null) return Number.NaN
  const [, year, month, day, hour, minute, second] = match
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
}

function checkTime(claim: Claim, { target }: SignedMessage, nowMs: number): void {
  const signedMs = timestampMs(claim.timestamp)
  const serverTime = new Date(nowMs).toISOString()
  if (!claim.presigned) {
    if (Math.abs(nowMs - signedMs) > CLOCK_SKEW_MS_MAX) {
      throw new S3Error('RequestTimeTooSkewed', undefined, {
        RequestTime: claim.timestamp,
        ServerTime: serverTime,
        MaxAllowedSkewMilliseconds: CLOCK_SKEW_MS_MAX,
      })
    }
    return
  }
  const text = target.query.get('X-Amz-Expires')!
  const seconds = Number(text)
  if (!/^-?\d+$/.test(text)) throw malformedQuery('X-Amz-Expires should be a number')
  if (seconds < 0) throw malformedQuery('X-Amz-Expires must be non-negative')
  if (seconds > PRESIGN_SECONDS_MAX)
    throw malformedQuery(
      'X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds',
    )
  if (signedMs - nowMs > CLOCK_SKEW_MS_MAX)
    throw new S3Error('AccessDenied', 'Request is not valid yet', { ServerTime: serverTime })
  if (nowMs > signedMs + seconds * 1000) {
    throw new S3Error('AccessDenied', 'Request has expired', {
      'X-Amz-Expires': seconds,
      Expires: new Date(signedMs + seconds * 1000).toISOString(),
      ServerTime: serverTime,
    })
  }
}

/** What decides over the request must be signed: the host, and every x-amz- header. */
function checkSignedHeaders({ signedHeaders }: Claim, { headers }: SignedMessage): void {
  const unsigned: string[] = []
  if (!signedHeaders.includes('host')) unsigned.push('host')
  for (const name in headers) if (name.startsWith('x-amz-') && !signedHeaders.includes(name)) unsigned.push(name)
  if (unsigned.length > 0) {
    throw new S3Error('AccessDenied', 'There were headers present in the request which were not signed', {
      HeadersNotSigned: unsigned.join(', '),
    })
  }
}

function canonicalRequest({ method, target, rawHeaders }: SignedMessage, claim: Claim, path: string): string {
  const values = new Map<string, string>()
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase()
    const value = rawHeaders[i + 1]!.trim().replace(/ {2,}/g, ' ')
    const before = values.get(name)
    values.set(name, before === undefined ? value : `${before},${value}`)
  }
  let headers = ''
  for (const name of claim.signedHeaders) headers += `${name}:${values.get(name) ?? ''}\n`
  return `${method}\n${path}\n${target.query.canonical()}\n${headers}\n${claim.signedHeaders.join(';')}\n${claim.payloadHash}`
}

function payloadProtection(value: string): PayloadProtection {
  switch (value) {
    case 'UNSIGNED-PAYLOAD':
      return { kind: 'unsigned' }
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD':
      return { kind: 'chunked', signed: true, trailer: false }
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER':
      return { kind: 'chunked', signed: true, trailer: true }
    case 'STREAMING-UNSIGNED-PAYLOAD-TRAILER':
      return { kind: 'chunked', signed: false, trailer: true }
  }
  if (/^[0-9a-f]{64}$/i.test(value)) return { kind: 'sha256', value: value.toLowerCase() }
  throw new S3Error(
    'InvalidArgument',
    'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.',
    { ArgumentName: 'x-amz-content-sha256', ArgumentValue: value },
  )
}

function unsupportedMechanism(): S3Error {
  return new S3Error(
    'InvalidRequest',
    'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.',
  )
}

function malformedHeader(why: string): S3Error {
  return new S3Error('AuthorizationHeaderMalformed', `The authorization header is malformed; ${why}`)
}

function malformedQuery(why: string): S3Error {
  return new S3Error('AuthorizationQueryParametersError', why)
}
