import assert from 'node:assert/strict'
import { createHash, createHmac } from 'node:crypto'
import { describe, it } from 'node:test'
import { SignatureV4 } from '@smithy/signature-v4'
import fc from 'fast-check'
import { authenticate, PRESIGN_SECONDS_MAX, type SignedMessage } from '../../src/s3/authenticate.ts'
import { parseTarget } from '../../src/s3/request-target.ts'
import { SigningKeys } from '../../src/s3/signing-keys.ts'
import type { S3User } from '../../src/s3/user-directory.ts'
import { MAIN } from './s3-fixture.ts'

const NOW_MS = Date.UTC(2026, 1, 3, 4, 5, 6)
const REGION = 'eu-central-7'

class Sha256 {
  readonly #hash
  constructor(secret?: Uint8Array | string) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret)
  }
  update(data: Uint8Array | string): void {
    this.#hash.update(data)
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest()
  }
}

const signer = new SignatureV4({
  service: 's3',
  region: REGION,
  uriEscapePath: false,
  applyChecksum: true,
  credentials: { accessKeyId: MAIN.accessKey, secretAccessKey: MAIN.secretKey },
  // biome-ignore lint/suspicious/noExplicitAny: the package's type of a hash constructor names a browser's buffer
  sha256: Sha256 as any,
})

interface Draft {
  readonly method: string
  readonly segments: readonly string[]
  readonly query: Readonly<Record<string, string | string[]>>
  readonly headers: Readonly<Record<string, string>>
}

/** What the signer takes; its type also names parts that a request on the wire does not have. */
type HttpRequest = Parameters<typeof signer.presign>[0]

const anyText = fc.string({ unit: 'grapheme', maxLength: 12 })
const anyName = fc.stringMatching(/^[a-z][a-z0-9-]{0,10}$/)
const anyDraft: fc.Arbitrary<Draft> = fc.record({
  method: fc.constantFrom('GET', 'PUT', 'POST', 'DELETE', 'HEAD'),
  // Empty segments make double slashes; dots must not be taken for relative paths.
  segments: fc.array(fc.oneof(anyText, fc.constantFrom('', '.', '..', 'a+b', 'a b', '%2F', "~*'()!", 'ä/ö')), {
    maxLength: 5,
  }),
  query: fc.dictionary(
    fc.oneof(
      anyText.filter((text) => text !== '' && text !== '__proto__'),
      anyName,
    ),
    fc.oneof(anyText, fc.array(anyText, { minLength: 2, maxLength: 3 })),
    { maxKeys: 4 },
  ),
  headers: fc.dictionary(
    anyName.map((name) => `x-amz-meta-${name}`),
    fc.stringMatching(/^[!-~]( {0,3}[!-~]){0,10}$/),
    { maxKeys: 4 },
  ),
})

describe('SigV4', () => {
  it('accepts what the SDK signs, whatever the key, the query and the headers', async () => {
    await fc.assert(
      fc.asyncProperty(anyDraft, async (draft) => {
        const message = await signedMessage(draft)
        assert.equal(authenticated(message).user, MAIN)
      }),
      { numRuns: 300 },
    )
  })

  it('accepts what the SDK presigns, until it expires', async () => {
    await fc.assert(
      fc.asyncProperty(anyDraft, fc.integer({ min: 1, max: PRESIGN_SECONDS_MAX }), async (draft, expiresIn) => {
        const message = await presignedMessage(draft, expiresIn)
        assert.equal(authenticated(message).presigned, true)
        authenticated(message, NOW_MS + expiresIn * 1000)
        assert.throws(() => authenticated(message, NOW_MS + expiresIn * 1000 + 1), {
          code: 'AccessDenied',
          message: /expired/,
        })
      }),
    )
  })

  it('refuses any other method, path, query, header or signature', async () => {
    await fc.assert(
      fc.asyncProperty(anyDraft, async (draft) => {
        const message = await signedMessage(draft)
        const { path } = message.target
        const changed: Partial<SignedMessage>[] = [
          { method: 'PATCH' },
          { target: { ...message.target, path: `${path}x` } },
          { target: parseTarget(`${path}?zzz=1&${message.target.query.canonical()}`) },
          withHeader(message, 'host', 'elsewhere'),
          withHeader(message, 'x-amz-content-sha256', createHash('sha256').update('other').digest('hex')),
        ]
        for (const change of changed) {
          assert.throws(() => authenticated({ ...message, ...change }), { code: 'SignatureDoesNotMatch' })
        }
      }),
      { numRuns: 50 },
    )
  })

  // https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "GET Object"
  it('computes the signature of the example in the S3 API reference', () => {
    const user: S3User = {
      ...MAIN,
      accessKey: 'AKIAIOSFODNN7EXAMPLE',
      secretKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    }
    const headers = {
      host: 'examplebucket.s3.amazonaws.com',
      range: 'bytes=0-9',
      'x-amz-content-sha256': 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
      'x-amz-date': '20130524T000000Z',
      authorization:
        'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    }
    const message = {
      method: 'GET',
      target: parseTarget('/test.txt'),
      headers,
      rawHeaders: Object.entries(headers).flat(),
    }
    const settings = {
      users: { byAccessKey: () => user },
      region: 'us-east-1',
      keys: new SigningKeys(),
      nowMs: Date.UTC(2013, 4, 24),
    }
    assert.equal(authenticate(message, settings).user, user)
  })

  it('takes a key for another day, region or secret for another key, and holds a bounded number', () => {
    const keys = new SigningKeys(2)
    const scope = { accessKey: 'a', date: '20260203', region: 'r', service: 's3' }
    const first = keys.keyFor('one', scope)
    assert.equal(keys.keyFor('one', scope), first)
    assert.notDeepEqual(keys.keyFor('two', scope), first)
    assert.notDeepEqual(keys.keyFor('one', { ...scope, date: '20260204' }), first)
    keys.keyFor('one', { ...scope, region: 'q' })
    const again = keys.keyFor('one', scope)
    assert.notEqual(again, first)
    assert.deepEqual(again, first)
  })

  const skewed: [string, number][] = [
    ['too old', 15 * 60_000 + 1000],
    ['from the future', -(15 * 60_000 + 1000)],
  ]
  for (const [what, offsetMs] of skewed) {
    it(`refuses a request that is ${what}`, async () => {
      const message = await signedMessage({ method: 'GET', segments: [], query: {}, headers: {} })
      assert.throws(() => authenticated(message, NOW_MS + offsetMs), { code: 'RequestTimeTooSkewed' })
      authenticated(message, NOW_MS + offsetMs - Math.sign(offsetMs) * 1000)
    })
  }

  it('answers a user it cannot serve with the reason, but only if the signature holds', async () => {
    const reason = 'the index is elsewhere'
    const users = { byAccessKey: () => ({ ...MAIN, unavailable: reason }) }
    const settings = { users, region: REGION, keys: new SigningKeys(8), nowMs: NOW_MS }
    const message = await signedMessage({ method: 'GET', segments: [], query: {}, headers: {} })
    assert.throws(() => authenticate(message, settings), { code: 'ServiceUnavailable', message: reason })
    const wrong = { byAccessKey: () => ({ ...MAIN, secretKey: 'another', unavailable: reason }) }
    assert.throws(() => authenticate(message, { ...settings, users: wrong }), { code: 'SignatureDoesNotMatch' })
  })

  const bent: [string, (headers: Record<string, string>) => void, string][] = [
    ['without a signature', (h) => delete h['authorization'], 'AccessDenied'],
    ['signed by version 2', (h) => (h['authorization'] = `AWS ${MAIN.accessKey}:c2ln`), 'InvalidRequest'],
    ['signed by another scheme', (h) => (h['authorization'] = 'Basic YTpi'), 'AuthorizationHeaderMalformed'],
    ['with an unknown access key', (h) => edit(h, MAIN.accessKey, 'NOBODY'), 'InvalidAccessKeyId'],
    ['for another region', (h) => edit(h, REGION, 'mars-north-1'), 'AuthorizationHeaderMalformed'],
    ['for another service', (h) => edit(h, '/s3/', '/ec2/'), 'AuthorizationHeaderMalformed'],
    ['with a scope of another day', (h) => edit(h, '20260203/', '20260202/'), 'AuthorizationHeaderMalformed'],
    ['with half a credential', (h) => edit(h, '/aws4_request', ''), 'AuthorizationHeaderMalformed'],
    ['whose host is not signed', (h) => edit(h, 'SignedHeaders=host;', 'SignedHeaders='), 'AccessDenied'],
    ['with an x-amz- header that is not signed', (h) => (h['x-amz-meta-late'] = '1'), 'AccessDenied'],
    ['with a short signature', (h) => edit(h, /Signature=.*/, 'Signature=abc'), 'SignatureDoesNotMatch'],
    [
      'with a signature that is not hex',
      (h) => edit(h, /Signature=.*/, `Signature=${'é'.repeat(64)}`),
      'SignatureDoesNotMatch',
    ],
    ['without a payload hash', (h) => delete h['x-amz-content-sha256'], 'InvalidRequest'],
    ['without a date', (h) => delete h['x-amz-date'], 'AccessDenied'],
    ['with a session token', (h) => (h['x-amz-security-token'] = 'token'), 'InvalidToken'],
  ]
  for (const [what, change, code] of bent) {
    it(`refuses a request ${what}`, async () => {
      const message = await signedMessage({ method: 'GET', segments: ['a'], query: {}, headers: {} })
      const headers = { ...message.headers } as Record<string, string>
      change(headers)
      assert.throws(() => authenticated({ ...message, headers, rawHeaders: Object.entries(headers).flat() }), { code })
    })
  }

  for (const [name, value, says] of [
    ['X-Amz-Expires', '604801', /week/],
    ['X-Amz-Expires', '-1', /non-negative/],
    ['X-Amz-Expires', 'soon', /number/],
    ['X-Amz-Date', 'yesterday', /X-Amz-Date/],
    ['X-Amz-Credential', 'x', /Credential/],
    ['X-Amz-Signature', '', /X-Amz-Signature/],
  ] as const) {
    it(`refuses a presigned URL with ${name}=${value}`, async () => {
      const { target, ...message } = await presignedMessage(
        { method: 'GET', segments: ['a'], query: {}, headers: {} },
        60,
      )
      const query = new URLSearchParams(target.query.names().map((each) => [each, target.query.get(each)!]))
      query.set(name, value)
      assert.throws(() => authenticated({ ...message, target: parseTarget(`${target.path}?${query}`) }), {
        code: 'AuthorizationQueryParametersError',
        message: says,
      })
    })
  }

  it('refuses two ways of signing at once', async () => {
    const header = await signedMessage({ method: 'GET', segments: [], query: {}, headers: {} })
    const { target } = await presignedMessage({ method: 'GET', segments: [], query: {}, headers: {} }, 60)
    assert.throws(() => authenticated({ ...header, target }), { code: 'InvalidArgument' })
  })
})

function authenticated(message: SignedMessage, nowMs = NOW_MS) {
  const users = { byAccessKey: (accessKey: string) => (accessKey === MAIN.accessKey ? MAIN : undefined) }
  return authenticate(message, { users, region: REGION, keys: new SigningKeys(), nowMs })
}

function httpRequest({ method, segments, query, headers }: Draft): HttpRequest {
  const path = `/${segments.map(escapeAll).join('/')}`
  const request = { method, protocol: 'http:', hostname: 'localhost', path, query }
  return { ...request, headers: { host: 'localhost:9000', ...headers } } as unknown as HttpRequest
}

async function signedMessage(draft: Draft): Promise<SignedMessage> {
  const signed = await signer.sign(httpRequest(draft), { signingDate: new Date(NOW_MS) })
  return onTheWire(signed as unknown as WireRequest)
}

async function presignedMessage(draft: Draft, expiresIn: number): Promise<SignedMessage> {
  // As the S3 presigner has it.
  const headers = { ...draft.headers, 'X-Amz-Content-Sha256': 'UNSIGNED-PAYLOAD' }
  const request = httpRequest({ ...draft, headers })
  const signed = await signer.presign(request, { signingDate: new Date(NOW_MS), expiresIn })
  return onTheWire(signed as unknown as WireRequest)
}

interface WireRequest {
  readonly method: string
  readonly path: string
  readonly query?: Readonly<Record<string, string | string[]>>
  readonly headers: Readonly<Record<string, string>>
}

function onTheWire(request: WireRequest): SignedMessage {
  const pairs = Object.entries(request.query ?? {}).flatMap(([name, value]) =>
    [value].flat().map((each) => `${escapeAll(name)}=${escapeAll(each)}`),
  )
  const headers: Record<string, string> = {}
  for (const name in request.headers) headers[name.toLowerCase()] = request.headers[name]!
  const url = pairs.length === 0 ? request.path : `${request.path}?${pairs.join('&')}`
  return { method: request.method, target: parseTarget(url), headers, rawHeaders: Object.entries(headers).flat() }
}

function withHeader(message: SignedMessage, name: string, value: string): Partial<SignedMessage> {
  const headers = { ...message.headers, [name]: value } as Record<string, string>
  return { headers, rawHeaders: Object.entries(headers).flat() }
}

function edit(headers: Record<string, string>, from: string | RegExp, to: string): void {
  headers['authorization'] = headers['authorization']!.replace(from, to)
}

function escapeAll(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}
