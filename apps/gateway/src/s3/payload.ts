import { createHash, type Hash } from 'node:crypto'
import type { Checksum, ChecksumAlgorithm, ChecksumRequest, ObjectContent, ObjectDigest } from '../object-layer.ts'
import type { Authenticated } from './authenticate.ts'
import type { BodySource } from './body-source.ts'
import {
  CHECKSUM_ALGORITHMS,
  CHECKSUM_BYTES,
  createChecksum,
  type RunningChecksum,
} from './checksum/running-checksum.ts'
import { ChunkDecoder } from './chunk-decoder.ts'
import { S3Error } from './s3-error.ts'

/** What the client said about its payload. Read and checked before the first byte of it. */
export interface PayloadClaims {
  /** Bytes of the payload itself, without chunk framing. */
  readonly size: number
  /** Content-MD5, raw. */
  readonly md5: Buffer | undefined
  /** `value` is undefined if it comes in a trailer. */
  readonly checksum: { readonly algorithm: ChecksumAlgorithm; readonly value: string | undefined } | undefined
  readonly trailers: ReadonlySet<string>
}

/** Reads one header of the request, or of what a presigned URL carries in place of headers. */
export type HeaderReader = (name: string) => string | undefined

/**
 * @param bytesMax larger payloads are refused
 * @throws S3Error MissingContentLength, EntityTooLarge, InvalidDigest, InvalidRequest
 */
export function readPayloadClaims(
  header: HeaderReader,
  protection: Authenticated['payload'],
  bytesMax: number,
): PayloadClaims {
  const chunked = protection.kind === 'chunked'
  const length = header(chunked ? 'x-amz-decoded-content-length' : 'content-length')
  if (length === undefined) {
    throw new S3Error(
      'MissingContentLength',
      chunked ? 'You must provide the x-amz-decoded-content-length HTTP header.' : undefined,
    )
  }
  if (!/^\d{1,16}$/.test(length)) throw new S3Error('InvalidArgument', 'The content length is not a number.')
  const size = Number(length)
  if (size > bytesMax) {
    throw new S3Error('EntityTooLarge', undefined, { ProposedSize: size, MaxSizeAllowed: bytesMax })
  }
  const trailers = new Set<string>()
  const announced = header('x-amz-trailer')
  if (announced !== undefined) {
    if (!chunked || !protection.trailer) {
      throw new S3Error('InvalidRequest', 'x-amz-trailer needs an x-amz-content-sha256 that ends in -TRAILER.')
    }
    for (const name of announced.split(',')) trailers.add(name.trim().toLowerCase())
  }
  return { size, md5: readContentMd5(header), checksum: readChecksumClaim(header, trailers), trailers }
}

function readContentMd5(header: HeaderReader): Buffer | undefined {
  const value = header('content-md5')
  if (value === undefined) return undefined
  const md5 = decodeBase64(value)
  if (md5?.length !== 16) throw new S3Error('InvalidDigest', 'The Content-MD5 you specified is not valid.')
  return md5
}

function readChecksumClaim(header: HeaderReader, trailers: ReadonlySet<string>): PayloadClaims['checksum'] {
  let claim: PayloadClaims['checksum']
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const name = checksumHeader(algorithm)
    const value = header(name)
    if (value === undefined && !trailers.has(name)) continue
    if (claim !== undefined || (value !== undefined && trailers.has(name))) {
      throw new S3Error(
        'InvalidRequest',
        'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.',
      )
    }
    if (value !== undefined) checkChecksumSyntax(algorithm, value)
    claim = { algorithm, value }
  }
  const named = header('x-amz-sdk-checksum-algorithm')?.toUpperCase()
  if (named !== undefined) {
    if (!isChecksumAlgorithm(named)) {
      throw new S3Error('InvalidRequest', `Checksum algorithm provided is unsupported: ${named}`)
    }
    if (claim === undefined) {
      throw new S3Error(
        'InvalidRequest',
        'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.',
      )
    }
    if (claim.algorithm !== named) {
      throw new S3Error('InvalidRequest', 'Value for x-amz-sdk-checksum-algorithm header is invalid.')
    }
  }
  return claim
}

/** `x-amz-checksum-crc32` … */
export function checksumHeader(algorithm: ChecksumAlgorithm): string {
  return `x-amz-checksum-${algorithm.toLowerCase()}`
}

export function isChecksumAlgorithm(name: string): name is ChecksumAlgorithm {
  return Object.hasOwn(CHECKSUM_BYTES, name)
}

/** @throws S3Error InvalidRequest if `value` is not the base64 of so many bytes */
function checkChecksumSyntax(algorithm: ChecksumAlgorithm, value: string): void {
  if (decodeBase64(value)?.length !== CHECKSUM_BYTES[algorithm]) {
    throw new S3Error('InvalidRequest', `Value for ${checksumHeader(algorithm)} header is invalid.`)
  }
}

/** Node decodes anything; here it must be exactly what encoding would give. */
function decodeBase64(value: string): Buffer | undefined {
  const bytes = Buffer.from(value, 'base64')
  return bytes.toString('base64') === value ? bytes : undefined
}

/**
 * The payload of a request on its way to the object layer: frames taken off, digests taken in passing, claims checked
 * when the last byte has passed. Everything is checked before the iterator ends, so a reader that saw the end holds a
 * payload that is what the client signed.
 */
export class Payload implements ObjectContent {
  readonly size: number
  readonly body: AsyncIterable<Uint8Array>

  readonly #open: () => BodySource
  readonly #claims: PayloadClaims
  readonly #decoder: ChunkDecoder | undefined
  readonly #sha256: string | undefined
  readonly #md5: Hash = createHash('md5')
  /** The checksum that is kept, and further ones that are only compared. */
  readonly #checksums = new Map<ChecksumAlgorithm, RunningChecksum>()
  readonly #kept: ChecksumRequest | undefined
  #digest: ObjectDigest | undefined

  /**
   * @param open called when the first byte is asked for: the moment to answer `100 Continue`
   * @param kept the checksum to compute and keep although the client may not have sent it: parts of an upload that has one
   */
  constructor(
    open: () => BodySource,
    { payload, seed }: Authenticated,
    claims: PayloadClaims,
    kept?: ChecksumRequest | undefined,
  ) {
    this.#open = open
    this.#claims = claims
    this.size = claims.size
    this.#kept = kept ?? (claims.checksum && { algorithm: claims.checksum.algorithm, type: 'FULL_OBJECT' })
    if (payload.kind === 'chunked') {
      this.#decoder = new ChunkDecoder(
        claims.size,
        payload.signed ? seed : undefined,
        payload.trailer ? claims.trailers : undefined,
      )
    }
    this.#sha256 = payload.kind === 'sha256' ? payload.value : undefined
    if (this.#sha256 !== undefined) this.#want('SHA256')
    if (claims.checksum !== undefined) this.#want(claims.checksum.algorithm)
    if (this.#kept !== undefined) this.#want(this.#kept.algorithm)
    this.body = this.#read()
  }

  digest(): ObjectDigest {
    if (this.#digest === undefined) throw new Error('the digest of a payload is known only after its last byte')
    return this.#digest
  }

  #want(algorithm: ChecksumAlgorithm): void {
    if (!this.#checksums.has(algorithm)) this.#checksums.set(algorithm, createChecksum(algorithm))
  }

  async *#read(): AsyncGenerator<Uint8Array, void, undefined> {
    const source = this.#open()
    const decoder = this.#decoder
    let size = 0
    try {
      for (let raw = await source.next(); raw !== undefined; raw = await source.next()) {
        if (decoder === undefined) {
          size += raw.length
          this.#update(raw)
          yield raw
          continue
        }
        decoder.push(raw)
        for (let data = decoder.read(); data !== undefined; data = decoder.read()) {
          size += data.length
          this.#update(data)
          yield data
        }
      }
      decoder?.finish()
      if (size !== this.#claims.size) throw new S3Error('IncompleteBody')
      this.#conclude()
    } finally {
      source.release()
    }
  }

  #update(data: Buffer): void {
    this.#md5.update(data)
    for (const checksum of this.#checksums.values()) checksum.update(data)
  }

  #conclude(): void {
    const { md5: claimedMd5, checksum: claim } = this.#claims
    const md5 = this.#md5.digest()
    const values = new Map<ChecksumAlgorithm, Buffer>()
    for (const [algorithm, checksum] of this.#checksums) values.set(algorithm, checksum.digest())
    const sha256 = this.#sha256 === undefined ? undefined : values.get('SHA256')!.toString('hex')
    if (sha256 !== this.#sha256) {
      throw new S3Error('XAmzContentSHA256Mismatch', undefined, {
        ClientComputedContentSHA256: this.#sha256!,
        S3ComputedContentSHA256: sha256!,
      })
    }
    if (claimedMd5 !== undefined && !md5.equals(claimedMd5)) {
      throw new S3Error('BadDigest', 'The Content-MD5 you specified did not match what we received.', {
        ExpectedDigest: claimedMd5.toString('base64'),
        CalculatedDigest: md5.toString('base64'),
      })
    }
    if (claim !== undefined) {
      const value = claim.value ?? this.#decoder?.trailers.get(checksumHeader(claim.algorithm)) ?? ''
      checkChecksumSyntax(claim.algorithm, value)
      if (values.get(claim.algorithm)!.toString('base64') !== value) {
        throw new S3Error('BadDigest', `The ${claim.algorithm} you specified did not match the calculated checksum.`)
      }
    }
    this.#digest = { etag: md5.toString('hex'), checksum: this.#keptChecksum(values) }
  }

  #keptChecksum(values: ReadonlyMap<ChecksumAlgorithm, Buffer>): Checksum | undefined {
    const kept = this.#kept
    return kept && { ...kept, value: values.get(kept.algorithm)!.toString('base64') }
  }
}

/** Reads a whole payload into memory. The claims' size has been checked to be within a limit. */
export async function collect(payload: Payload): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of payload.body) chunks.push(chunk)
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)
}
