import { hash } from 'node:crypto'
import type { Checksum, ChecksumRequest, ObjectDigest } from '../../object-layer.ts'
import { S3Error } from '../s3-error.ts'
import { type CrcAlgorithm, combineCrcs } from './combine-crc.ts'
import { createChecksum } from './running-checksum.ts'

/** What of a part enters the digest of the whole. */
export interface DigestedPart {
  readonly size: number
  /** MD5 in hex. */
  readonly etag: string
  readonly checksum?: Checksum
}

/** ETag of a multipart object: MD5 of the parts' MD5s, and their number. */
export function multipartETag(etags: readonly string[]): string {
  return `${hash('md5', Buffer.from(etags.join(''), 'hex'), 'hex')}-${etags.length}`
}

/**
 * Digest of an object made of parts, from the digests of the parts alone. A CRC of the whole is combined from those of the
 * parts; a composite checksum is the checksum of the parts' checksums. Without a request, or if a part lacks the
 * checksum, there is none.
 */
export function multipartDigest(parts: readonly DigestedPart[], request: ChecksumRequest | undefined): ObjectDigest {
  const etag = multipartETag(parts.map((part) => part.etag))
  if (request === undefined) return { etag }
  const values: { value: Buffer; size: number }[] = []
  for (const { size, checksum } of parts) {
    if (checksum?.algorithm !== request.algorithm) return { etag }
    values.push({ size, value: Buffer.from(checksum.value, 'base64') })
  }
  if (request.type === 'FULL_OBJECT') {
    const value = combineCrcs(request.algorithm as CrcAlgorithm, values).toString('base64')
    return { etag, checksum: { ...request, value } }
  }
  const composite = createChecksum(request.algorithm)
  for (const { value } of values) composite.update(value)
  return { etag, checksum: { ...request, value: `${composite.digest().toString('base64')}-${parts.length}` } }
}

/** The kinds of checksum S3 allows for multipart uploads: hashes cannot be combined, CRC64NVME is for whole objects only. */
export function checksumRequest(algorithm: ChecksumRequest['algorithm'], type: string | undefined): ChecksumRequest {
  const standard = algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE'
  const chosen = type ?? standard
  if (chosen !== 'FULL_OBJECT' && chosen !== 'COMPOSITE') {
    throw new S3Error('InvalidRequest', `Value for x-amz-checksum-type header is invalid: ${chosen}`)
  }
  const combinable = algorithm === 'CRC32' || algorithm === 'CRC32C' || algorithm === 'CRC64NVME'
  if (chosen === 'FULL_OBJECT' ? !combinable : algorithm === 'CRC64NVME') {
    throw new S3Error(
      'InvalidRequest',
      `The ${chosen} checksum type cannot be used with the ${algorithm.toLowerCase()} checksum algorithm.`,
    )
  }
  return { algorithm, type: chosen }
}
