import type { ByteRange, ObjectInfo } from '../../object-layer.ts'
import { parseRange } from '../byte-range.ts'
import { checkReadConditions, matchesETag, readWriteConditions, unquoteETag } from '../conditions.ts'
import type { Exchange, Headers } from '../exchange.ts'
import { metadataHeaders, readMetadata } from '../metadata.ts'
import { checksumHeader, collect } from '../payload.ts'
import { checkKey } from '../route.ts'
import { S3Error } from '../s3-error.ts'
import { childrenOf, element, parseXml, textOf, xmlDocument } from '../xml.ts'
import { checkVersionId, ownBucket } from './access.ts'

const DELETE_KEYS_MAX = 1000

/** Everything is encrypted with AES-256 before it leaves the gateway. */
export const ENCRYPTION_HEADERS: Headers = { 'x-amz-server-side-encryption': 'AES256' }

export async function putObject(exchange: Exchange): Promise<void> {
  const { objects, location, user, limits, header, signal } = exchange
  const metadata = readMetadata(exchange)
  const conditions = readWriteConditions(header)
  const claims = exchange.payloadClaims(limits.putBytes)
  await ownBucket(exchange)
  const init = { metadata, owner: user.owner, signal, ...conditions }
  const info = await objects.putObject(location, exchange.payload(claims), init)
  exchange.send(200, { ETag: `"${info.etag}"`, ...ENCRYPTION_HEADERS, ...checksumHeaders(info) })
}

export async function headObject(exchange: Exchange): Promise<void> {
  const info = await readableInfo(exchange)
  const { range, partCount } = chosenRange(exchange, info)
  const { status, headers } = objectHeaders(exchange, info, range, partCount)
  const size = range === undefined ? info.size : range.end - range.start
  exchange.send(status, { ...headers, 'Content-Length': size })
}

async function readableInfo(exchange: Exchange): Promise<ObjectInfo> {
  checkVersionId(exchange)
  await ownBucket(exchange)
  const info = await exchange.objects.headObject(exchange.bucket, exchange.key)
  checkReadConditions(exchange.header, info)
  return info
}

export async function getObject(exchange: Exchange): Promise<void> {
  checkVersionId(exchange)
  await ownBucket(exchange)
  const reader = await exchange.objects.getObject(exchange.bucket, exchange.key)
  try {
    const { info } = reader
    checkReadConditions(exchange.header, info)
    const { range, partCount } = chosenRange(exchange, info)
    const { status, headers } = objectHeaders(exchange, info, range, partCount)
    const bytes = range ?? { start: 0, end: info.size }
    const size = bytes.end - bytes.start
    if (size === 0) exchange.send(status, headers)
    else await exchange.stream(status, headers, reader.read(bytes, exchange.signal), size)
  } finally {
    reader.close()
  }
}

/** The bytes that Range or partNumber ask for; no range means all. */
function chosenRange(
  { header, query }: Exchange,
  info: ObjectInfo,
): { range: ByteRange | undefined; partCount: number | undefined } {
  const rangeHeader = header('range')
  const partText = query.get('partNumber')
  if (partText === undefined) {
    const ifRange = header('if-range')
    // A client that goes on with a download wants the whole object if it is another one by now.
    const stale = ifRange !== undefined && !matchesETag(ifRange, info.etag)
    return { range: stale ? undefined : parseRange(rangeHeader, info.size), partCount: undefined }
  }
  if (rangeHeader !== undefined) {
    throw new S3Error('InvalidRequest', 'Cannot specify both Range header and partNumber query parameter')
  }
  const partNumber = readPartNumber(partText)
  const { partSizes } = info
  const sizes = partSizes ?? [info.size]
  const size = sizes[partNumber - 1]
  if (size === undefined) {
    throw new S3Error('InvalidRange', 'The requested partnumber is not satisfiable', {
      PartNumberRequested: partNumber,
      ActualPartCount: sizes.length,
    })
  }
  let start = 0
  for (let i = 0; i < partNumber - 1; i++) start += sizes[i]!
  return { range: { start, end: start + size }, partCount: partSizes?.length }
}

/** 1 to 10,000. @throws S3Error InvalidArgument */
export function readPartNumber(text: string | undefined): number {
  const number = Number(text)
  if (text === undefined || !/^\d{1,5}$/.test(text) || number < 1 || number > 10_000) {
    throw new S3Error('InvalidArgument', 'Part number must be an integer between 1 and 10000, inclusive', {
      ArgumentName: 'partNumber',
      ArgumentValue: text ?? '',
    })
  }
  return number
}

const OVERRIDES: Record<string, string> = {
  'response-cache-control': 'Cache-Control',
  'response-content-disposition': 'Content-Disposition',
  'response-content-encoding': 'Content-Encoding',
  'response-content-language': 'Content-Language',
  'response-content-type': 'Content-Type',
  'response-expires': 'Expires',
}

function objectHeaders(
  exchange: Exchange,
  info: ObjectInfo,
  range: ByteRange | undefined,
  partCount: number | undefined,
): { status: number; headers: Headers } {
  const headers: Headers = {
    ...metadataHeaders(info.metadata),
    ETag: `"${info.etag}"`,
    'Last-Modified': new Date(info.modifiedMs).toUTCString(),
    'Accept-Ranges': 'bytes',
    ...ENCRYPTION_HEADERS,
  }
  for (const name in OVERRIDES) {
    const value = exchange.query.get(name)
    if (value === undefined) continue
    if (!/^[\t\x20-\x7e\u0080-\u00ff]*$/.test(value))
      throw new S3Error('InvalidArgument', `${name} cannot be a header.`)
    headers[OVERRIDES[name]!] = value
  }
  // The checksum is that of the whole object, so it would contradict the bytes of a range.
  if (range === undefined && exchange.header('x-amz-checksum-mode')?.toUpperCase() === 'ENABLED') {
    Object.assign(headers, checksumHeaders(info))
  }
  if (partCount !== undefined) headers['x-amz-mp-parts-count'] = partCount
  if (range === undefined || range.end === range.start) return { status: 200, headers }
  headers['Content-Range'] = `bytes ${range.start}-${range.end - 1}/${info.size}`
  return { status: 206, headers }
}

export function checksumHeaders({ checksum }: Pick<ObjectInfo, 'checksum'>): Headers {
  return checksum === undefined
    ? {}
    : { [checksumHeader(checksum.algorithm)]: checksum.value, 'x-amz-checksum-type': checksum.type }
}

/** Elements of XML answers: ChecksumCRC32 … and ChecksumType. */
export function checksumElements({ checksum }: Pick<ObjectInfo, 'checksum'>): string {
  return checksum === undefined
    ? ''
    : element(`Checksum${checksum.algorithm}`, checksum.value) + element('ChecksumType', checksum.type)
}

export async function deleteObject(exchange: Exchange): Promise<void> {
  const { objects, bucket, key, header, signal } = exchange
  checkVersionId(exchange)
  const ifMatch = header('if-match')
  await ownBucket(exchange)
  await objects.deleteObject(bucket, key, { ifMatch: ifMatch === undefined ? undefined : unquoteETag(ifMatch), signal })
  exchange.send(204, {})
}

export async function deleteObjects(exchange: Exchange): Promise<void> {
  const { objects, bucket, limits, signal } = exchange
  const claims = exchange.payloadClaims(limits.xmlBytes)
  if (claims.md5 === undefined && claims.checksum === undefined && exchange.auth.payload.kind === 'unsigned') {
    throw new S3Error('InvalidRequest', 'Missing required header for this request: Content-MD5')
  }
  await ownBucket(exchange)
  const request = parseXml(await collect(exchange.payload(claims)), 'Delete')
  const entries = childrenOf(request, 'Object')
  if (entries.length === 0 || entries.length > DELETE_KEYS_MAX) throw new S3Error('MalformedXML')
  const quiet = textOf(request, 'Quiet')?.trim() === 'true'
  const keys = new Set<string>()
  let answer = ''
  for (const entry of entries) {
    const key = textOf(entry, 'Key')
    const versionId = textOf(entry, 'VersionId')
    if (key === undefined) throw new S3Error('MalformedXML')
    for (const name of ['ETag', 'LastModifiedTime', 'Size']) {
      if (textOf(entry, name) !== undefined) {
        throw new S3Error('NotImplemented', `Conditions (${name}) in DeleteObjects are not implemented.`)
      }
    }
    try {
      checkKey(key)
      if (versionId && versionId !== 'null') throw new S3Error('NoSuchVersion')
      keys.add(key)
    } catch (error) {
      if (!(error instanceof S3Error)) throw error
      answer += `<Error>${element('Key', key)}${element('VersionId', versionId)}${element('Code', error.code)}${element('Message', error.message)}</Error>`
    }
  }
  if (keys.size > 0) await objects.deleteObjects(bucket, [...keys], signal)
  if (!quiet) for (const key of keys) answer += `<Deleted>${element('Key', key)}</Deleted>`
  exchange.sendXml(xmlDocument('DeleteResult', answer))
}

export async function getObjectAttributes(exchange: Exchange): Promise<void> {
  const info = await readableInfo(exchange)
  const wanted = new Set((exchange.header('x-amz-object-attributes') ?? '').split(',').map((name) => name.trim()))
  let content = ''
  for (const name of wanted) {
    switch (name) {
      case 'ETag':
        content += element('ETag', info.etag)
        break
      case 'Checksum':
        if (info.checksum !== undefined) content += `<Checksum>${checksumElements(info)}</Checksum>`
        break
      case 'ObjectParts':
        if (info.partSizes !== undefined) {
          content += `<ObjectParts>${element('PartsCount', info.partSizes.length)}</ObjectParts>`
        }
        break
      case 'ObjectSize':
        content += element('ObjectSize', info.size)
        break
      case 'StorageClass':
        content += element('StorageClass', info.metadata['x-amz-storage-class'] ?? 'STANDARD')
        break
      default:
        throw new S3Error('InvalidArgument', 'Invalid attribute name specified.', {
          ArgumentName: 'x-amz-object-attributes',
          ArgumentValue: name,
        })
    }
  }
  exchange.sendXml(xmlDocument('GetObjectAttributesResponse', content), {
    'Last-Modified': new Date(info.modifiedMs).toUTCString(),
  })
}
