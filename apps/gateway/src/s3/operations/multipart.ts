import { type Checksum, type ChecksumRequest, ObjectError, type ObjectInfo, type PartInfo } from '../../object-layer.ts'
import { checksumRequest, multipartDigest, multipartETag } from '../checksum/multipart-digest.ts'
import { CHECKSUM_ALGORITHMS } from '../checksum/running-checksum.ts'
import { readWriteConditions, unquoteETag } from '../conditions.ts'
import type { Exchange, Headers } from '../exchange.ts'
import { readMetadata, refuseUnsupported } from '../metadata.ts'
import { checksumHeader, collect, isChecksumAlgorithm } from '../payload.ts'
import { S3Error } from '../s3-error.ts'
import { childrenOf, element, parseXml, textOf, type XmlNode, xmlDocument } from '../xml.ts'
import { ownBucket, ownerElements } from './access.ts'
import { readCount } from './listing.ts'
import { checksumElements, ENCRYPTION_HEADERS, readPartNumber } from './objects.ts'

/** Parts of one upload, and parts of one page of ListParts. */
const PARTS_MAX = 10_000
const PAGE_LIMIT = 1000

export async function createMultipartUpload(exchange: Exchange): Promise<void> {
  const { objects, location, header, user } = exchange
  const metadata = readMetadata(exchange)
  const algorithm = header('x-amz-checksum-algorithm')?.toUpperCase()
  const type = header('x-amz-checksum-type')?.toUpperCase()
  if (algorithm !== undefined && !isChecksumAlgorithm(algorithm)) {
    throw new S3Error('InvalidRequest', `Checksum algorithm provided is unsupported: ${algorithm}`)
  }
  if (algorithm === undefined && type !== undefined) {
    throw new S3Error(
      'InvalidRequest',
      'The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.',
    )
  }
  const checksum = algorithm === undefined ? undefined : checksumRequest(algorithm, type)
  await ownBucket(exchange)
  const upload = await objects.createUpload(location, { metadata, checksum, owner: user.owner })
  const headers: Headers = { ...ENCRYPTION_HEADERS }
  if (checksum !== undefined) {
    headers['x-amz-checksum-algorithm'] = checksum.algorithm
    headers['x-amz-checksum-type'] = checksum.type
  }
  exchange.sendXml(
    xmlDocument(
      'InitiateMultipartUploadResult',
      element('Bucket', location.bucket) + element('Key', location.key) + element('UploadId', upload.uploadId),
    ),
    headers,
  )
}

export async function uploadPart(exchange: Exchange): Promise<void> {
  const { objects, location, query, limits, signal } = exchange
  const partNumber = readPartNumber(query.get('partNumber'))
  const uploadId = query.get('uploadId')!
  refuseUnsupported(exchange)
  const claims = exchange.payloadClaims(limits.partBytes)
  await ownBucket(exchange)
  const upload = await objects.headUpload(location, uploadId)
  const { checksum: wanted } = upload
  if (wanted !== undefined && claims.checksum !== undefined && claims.checksum.algorithm !== wanted.algorithm) {
    throw new S3Error(
      'InvalidRequest',
      `Checksum Type mismatch occurred, expected checksum Type: ${wanted.algorithm.toLowerCase()}, actual checksum Type: ${claims.checksum.algorithm.toLowerCase()}`,
    )
  }
  const part = await objects.putPart(location, uploadId, partNumber, exchange.payload(claims, wanted), signal)
  const headers: Headers = { ETag: `"${part.etag}"`, ...ENCRYPTION_HEADERS }
  if (part.checksum !== undefined) headers[checksumHeader(part.checksum.algorithm)] = part.checksum.value
  exchange.send(200, headers)
}

interface ClaimedPart {
  readonly partNumber: number
  readonly etag: string
  readonly checksums: ReadonlyMap<Checksum['algorithm'], string>
}

export async function completeMultipartUpload(exchange: Exchange): Promise<void> {
  const { objects, location, query, limits, header, user, signal } = exchange
  const uploadId = query.get('uploadId')!
  const conditions = readWriteConditions(header)
  // A checksum header here speaks of the finished object, not of this request's XML.
  const withoutChecksums = (name: string) => (name.startsWith('x-amz-checksum-') ? undefined : header(name))
  const payload = exchange.payload(exchange.payloadClaims(limits.xmlBytes, withoutChecksums))
  await ownBucket(exchange)
  const claimed = readClaimedParts(parseXml(await collect(payload), 'CompleteMultipartUpload'))
  let info: ObjectInfo
  try {
    const upload = await objects.headUpload(location, uploadId)
    const parts = checkParts(exchange, claimed, await allParts(exchange, uploadId))
    checkObjectSize(exchange, parts)
    const digest = multipartDigest(parts, upload.checksum)
    checkObjectChecksum(exchange, digest.checksum)
    const init = { metadata: upload.metadata, owner: user.owner, signal, ...conditions }
    info = await objects.completeUpload(location, uploadId, claimed, digest, init)
  } catch (error) {
    if (!(error instanceof ObjectError) || error.code !== 'NoSuchUpload') throw error
    // A client that missed the answer asks again. The parts are gone by then, but the object layer knows this upload as
    // long as the object is still what it made; else it throws NoSuchUpload once more.
    const etag = repeatedETag(claimed)
    if (etag === undefined) throw error
    const init = { metadata: {}, owner: user.owner, signal }
    info = await objects.completeUpload(location, uploadId, claimed, { etag }, init)
    if (info.etag !== etag) throw error
  }
  const host = header('host')
  const url = `http://${host}/${location.bucket}/${location.key.split('/').map(encodeURIComponent).join('/')}`
  exchange.sendXml(
    xmlDocument(
      'CompleteMultipartUploadResult',
      element('Location', url) +
        element('Bucket', location.bucket) +
        element('Key', location.key) +
        element('ETag', `"${info.etag}"`) +
        checksumElements(info),
    ),
    ENCRYPTION_HEADERS,
  )
}

function readClaimedParts(request: XmlNode): ClaimedPart[] {
  const parts = childrenOf(request, 'Part')
  if (parts.length === 0 || parts.length > PARTS_MAX) throw new S3Error('MalformedXML')
  let before = 0
  return parts.map((part) => {
    const number = textOf(part, 'PartNumber')?.trim()
    const etag = textOf(part, 'ETag')
    if (number === undefined || etag === undefined) throw new S3Error('MalformedXML')
    const partNumber = readPartNumber(number)
    if (partNumber <= before) throw new S3Error('InvalidPartOrder')
    before = partNumber
    const checksums = new Map<Checksum['algorithm'], string>()
    for (const algorithm of CHECKSUM_ALGORITHMS) {
      const value = textOf(part, `Checksum${algorithm}`)
      if (value !== undefined) checksums.set(algorithm, value.trim())
    }
    return { partNumber, etag: unquoteETag(etag).toLowerCase(), checksums }
  })
}

async function allParts({ objects, location }: Exchange, uploadId: string): Promise<Map<number, PartInfo>> {
  const known = new Map<number, PartInfo>()
  for (let after = 0; ; ) {
    const { parts, truncated } = await objects.listParts(location, uploadId, { after, limit: PAGE_LIMIT })
    for (const part of parts) known.set((after = part.partNumber), part)
    if (!truncated || parts.length === 0) return known
  }
}

/** @throws S3Error InvalidPart, EntityTooSmall */
function checkParts(
  { limits }: Exchange,
  claimed: readonly ClaimedPart[],
  known: ReadonlyMap<number, PartInfo>,
): PartInfo[] {
  return claimed.map(({ partNumber, etag, checksums }, index) => {
    const part = known.get(partNumber)
    if (part === undefined || part.etag !== etag)
      throw new S3Error('InvalidPart', undefined, { PartNumber: partNumber, ETag: etag })
    for (const [algorithm, value] of checksums) {
      if (part.checksum?.algorithm === algorithm && part.checksum.value !== value) {
        throw new S3Error('InvalidPart', undefined, { PartNumber: partNumber, ETag: etag })
      }
    }
    if (part.size < limits.partBytesMin && index < claimed.length - 1) {
      throw new S3Error('EntityTooSmall', undefined, {
        ProposedSize: part.size,
        MinSizeAllowed: limits.partBytesMin,
        PartNumber: partNumber,
        ETag: etag,
      })
    }
    return part
  })
}

function checkObjectSize({ limits, header }: Exchange, parts: readonly PartInfo[]): void {
  const size = parts.reduce((sum, part) => sum + part.size, 0)
  if (size > limits.objectBytes) {
    throw new S3Error('EntityTooLarge', undefined, { ProposedSize: size, MaxSizeAllowed: limits.objectBytes })
  }
  const expected = header('x-amz-mp-object-size')
  if (expected !== undefined && Number(expected) !== size) {
    throw new S3Error(
      'InvalidRequest',
      `The provided 'x-amz-mp-object-size' header value ${expected} does not match what was computed: ${size}`,
    )
  }
}

/** The client may say what the whole object's checksum is. @throws S3Error BadDigest, InvalidRequest */
function checkObjectChecksum({ header }: Exchange, checksum: Checksum | undefined): void {
  const type = header('x-amz-checksum-type')?.toUpperCase()
  const mismatch = type !== undefined && checksum !== undefined && type !== checksum.type
  if (mismatch) {
    throw new S3Error(
      'InvalidRequest',
      `The upload was created using the ${checksum.type} checksum mode. The complete request must use the same checksum mode.`,
    )
  }
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const value = header(checksumHeader(algorithm))
    if (value === undefined) continue
    if (checksum?.algorithm !== algorithm) {
      throw new S3Error('InvalidRequest', `The upload was not created using a ${algorithm.toLowerCase()} checksum.`)
    }
    // Composite checksums are sent with and without their number of parts.
    if (value !== checksum.value && value !== checksum.value.replace(/-\d+$/, '')) {
      throw new S3Error('BadDigest', `The ${algorithm} you specified did not match the calculated checksum.`)
    }
  }
}

function repeatedETag(claimed: readonly ClaimedPart[]): string | undefined {
  return claimed.every(({ etag }) => /^[0-9a-f]{32}$/.test(etag))
    ? multipartETag(claimed.map(({ etag }) => etag))
    : undefined
}

export async function abortMultipartUpload(exchange: Exchange): Promise<void> {
  const { objects, location, query, signal } = exchange
  await ownBucket(exchange)
  await objects.abortUpload(location, query.get('uploadId')!, signal)
  exchange.send(204, {})
}

export async function listParts(exchange: Exchange): Promise<void> {
  const { objects, location, query } = exchange
  const uploadId = query.get('uploadId')!
  const limit = readCount(query, 'max-parts', PAGE_LIMIT)
  const after = readCount(query, 'part-number-marker', PARTS_MAX, 0)
  await ownBucket(exchange)
  const upload = await objects.headUpload(location, uploadId)
  const { parts, truncated } =
    limit === 0 ? { parts: [], truncated: false } : await objects.listParts(location, uploadId, { after, limit })
  const owner = ownerElements(exchange, upload.owner)
  const listed = parts.map(
    (part) =>
      `<Part>${element('PartNumber', part.partNumber)}${element('LastModified', new Date(part.modifiedMs).toISOString())}${element('ETag', `"${part.etag}"`)}${element('Size', part.size)}${part.checksum === undefined ? '' : element(`Checksum${part.checksum.algorithm}`, part.checksum.value)}</Part>`,
  )
  exchange.sendXml(
    xmlDocument(
      'ListPartsResult',
      element('Bucket', location.bucket) +
        element('Key', location.key) +
        element('UploadId', uploadId) +
        `<Initiator>${owner}</Initiator><Owner>${owner}</Owner>` +
        element('StorageClass', upload.metadata['x-amz-storage-class'] ?? 'STANDARD') +
        element('PartNumberMarker', after) +
        element('NextPartNumberMarker', truncated ? parts.at(-1)?.partNumber : undefined) +
        element('MaxParts', limit) +
        element('IsTruncated', truncated) +
        listed.join('') +
        requestElements(upload.checksum),
    ),
  )
}

function requestElements(checksum: ChecksumRequest | undefined): string {
  return checksum === undefined
    ? ''
    : element('ChecksumAlgorithm', checksum.algorithm) + element('ChecksumType', checksum.type)
}
