import type { ChecksumRequest, ListPage, ObjectInfo, UploadInfo } from '../../object-layer.ts'
import type { Exchange } from '../exchange.ts'
import { encodeKey, type Query } from '../request-target.ts'
import { checkKey } from '../route.ts'
import { S3Error } from '../s3-error.ts'
import { element, xmlDocument } from '../xml.ts'
import { ownBucket, ownerElements } from './access.ts'

/** S3 answers no more at once, whatever is asked for. */
const PAGE_LIMIT = 1000

/** How names are written: as they are, or percent-encoded for names that XML cannot carry. */
type NameWriter = (name: string, value: string | undefined) => string

export async function listObjects(exchange: Exchange): Promise<void> {
  const { bucket, query } = exchange
  const list = readListing(query)
  const marker = query.get('marker') ?? ''
  await ownBucket(exchange)
  const page = await listPage(exchange, list, marker)
  const { name } = list
  exchange.sendXml(
    xmlDocument(
      'ListBucketResult',
      element('Name', bucket) +
        name('Prefix', list.prefix) +
        name('Marker', marker) +
        // S3 names the next marker only for listings with a delimiter; else the last key is it.
        (page.truncated && list.delimiter !== '' ? name('NextMarker', page.next) : '') +
        element('MaxKeys', list.limit) +
        optionalName(list, 'Delimiter', list.delimiter) +
        element('EncodingType', list.encoding) +
        element('IsTruncated', page.truncated) +
        contents(exchange, page, name, true) +
        commonPrefixes(page, name),
    ),
  )
}

export async function listObjectsV2(exchange: Exchange): Promise<void> {
  const { bucket, query } = exchange
  const list = readListing(query)
  const startAfter = query.get('start-after') ?? ''
  const token = query.get('continuation-token')
  const after = token === undefined ? startAfter : decodeToken(token)
  await ownBucket(exchange)
  const page = await listPage(exchange, list, after)
  const { name } = list
  exchange.sendXml(
    xmlDocument(
      'ListBucketResult',
      element('Name', bucket) +
        name('Prefix', list.prefix) +
        (startAfter === '' ? '' : name('StartAfter', startAfter)) +
        element('ContinuationToken', token) +
        element('NextContinuationToken', page.truncated ? encodeToken(page.next!) : undefined) +
        element('KeyCount', page.items.length + page.prefixes.length) +
        element('MaxKeys', list.limit) +
        optionalName(list, 'Delimiter', list.delimiter) +
        element('EncodingType', list.encoding) +
        element('IsTruncated', page.truncated) +
        contents(exchange, page, name, query.get('fetch-owner') === 'true') +
        commonPrefixes(page, name),
    ),
  )
}

/** Buckets keep no versions, so every object is its own latest version, "null". */
export async function listObjectVersions(exchange: Exchange): Promise<void> {
  const { bucket, query } = exchange
  const list = readListing(query)
  const marker = query.get('key-marker') ?? ''
  const versionMarker = query.get('version-id-marker') ?? ''
  if (versionMarker !== '' && marker === '') {
    throw new S3Error('InvalidArgument', 'A version-id marker cannot be specified without a key marker.')
  }
  await ownBucket(exchange)
  const page = await listPage(exchange, list, marker)
  const { name } = list
  const versions = page.items.map(
    (info) =>
      `<Version>${name('Key', info.key)}<VersionId>null</VersionId><IsLatest>true</IsLatest>${objectElements(info)}<Owner>${ownerElements(exchange, info.owner)}</Owner></Version>`,
  )
  exchange.sendXml(
    xmlDocument(
      'ListVersionsResult',
      element('Name', bucket) +
        name('Prefix', list.prefix) +
        name('KeyMarker', marker) +
        element('VersionIdMarker', versionMarker) +
        (page.truncated ? name('NextKeyMarker', page.next) + element('NextVersionIdMarker', 'null') : '') +
        element('MaxKeys', list.limit) +
        optionalName(list, 'Delimiter', list.delimiter) +
        element('EncodingType', list.encoding) +
        element('IsTruncated', page.truncated) +
        versions.join('') +
        commonPrefixes(page, name),
    ),
  )
}

export async function listUploads(exchange: Exchange): Promise<void> {
  const { bucket, query, objects } = exchange
  const list = readListing(query, 'max-uploads')
  const keyMarker = query.get('key-marker') ?? ''
  // Without a key there is nothing the id could continue.
  const uploadMarker = keyMarker === '' ? '' : (query.get('upload-id-marker') ?? '')
  await ownBucket(exchange)
  const page =
    list.limit === 0
      ? emptyPage<UploadInfo>()
      : await objects.listUploads(bucket, {
          prefix: list.prefix,
          delimiter: list.delimiter,
          after: keyMarker,
          limit: list.limit,
          afterUploadId: uploadMarker,
        })
  const { name } = list
  const uploads = page.items.map((upload) => {
    const owner = ownerElements(exchange, upload.owner)
    return `<Upload>${name('Key', upload.key)}${element('UploadId', upload.uploadId)}<Initiator>${owner}</Initiator><Owner>${owner}</Owner>${element('StorageClass', upload.metadata['x-amz-storage-class'] ?? 'STANDARD')}${element('Initiated', new Date(upload.initiatedMs).toISOString())}${checksumElements(upload.checksum)}</Upload>`
  })
  const last = page.items.at(-1)
  exchange.sendXml(
    xmlDocument(
      'ListMultipartUploadsResult',
      element('Bucket', bucket) +
        name('KeyMarker', keyMarker) +
        element('UploadIdMarker', uploadMarker) +
        (page.truncated
          ? name('NextKeyMarker', page.next) +
            element('NextUploadIdMarker', last !== undefined && last.key === page.next ? last.uploadId : '')
          : '') +
        name('Prefix', list.prefix) +
        optionalName(list, 'Delimiter', list.delimiter) +
        element('EncodingType', list.encoding) +
        element('MaxUploads', list.limit) +
        element('IsTruncated', page.truncated) +
        uploads.join('') +
        commonPrefixes(page, name),
    ),
  )
}

interface Listing {
  readonly prefix: string
  readonly delimiter: string
  readonly limit: number
  readonly encoding: 'url' | undefined
  readonly name: NameWriter
}

function readListing(query: Query, limitName = 'max-keys'): Listing {
  const encoding = query.get('encoding-type')
  if (encoding !== undefined && encoding.toLowerCase() !== 'url') {
    throw new S3Error('InvalidArgument', 'Invalid Encoding Method specified in Request', {
      ArgumentName: 'encoding-type',
      ArgumentValue: encoding,
    })
  }
  const write: NameWriter =
    encoding === undefined
      ? (name, value) => element(name, value)
      : (name, value) => element(name, value === undefined ? undefined : encodeKey(value))
  return {
    prefix: query.get('prefix') ?? '',
    delimiter: query.get('delimiter') ?? '',
    limit: readCount(query, limitName, PAGE_LIMIT),
    encoding: encoding === undefined ? undefined : 'url',
    name: write,
  }
}

/** A count from the query: larger ones are cut to `limit`. @throws S3Error InvalidArgument */
export function readCount(query: Query, name: string, limit: number, absent = limit): number {
  const text = query.get(name)
  if (text === undefined || text === '') return absent
  if (!/^\d{1,10}$/.test(text) || Number(text) > 0x7fffffff) {
    throw new S3Error('InvalidArgument', `Provided ${name} not an integer or within integer range`, {
      ArgumentName: name,
      ArgumentValue: text,
    })
  }
  return Math.min(Number(text), limit)
}

function listPage(
  { objects, bucket }: Exchange,
  { prefix, delimiter, limit }: Listing,
  after: string,
): Promise<ListPage<ObjectInfo>> {
  // Asking for nothing is answered with nothing, and with "not truncated", since no marker could go on from there.
  if (limit === 0) return Promise.resolve(emptyPage<ObjectInfo>())
  return objects.listObjects(bucket, { prefix, delimiter, limit, after })
}

function emptyPage<Item>(): ListPage<Item> {
  return { items: [], prefixes: [], truncated: false }
}

function contents(exchange: Exchange, page: ListPage<ObjectInfo>, name: NameWriter, withOwner: boolean): string {
  let out = ''
  for (const info of page.items) {
    const owner = withOwner ? `<Owner>${ownerElements(exchange, info.owner)}</Owner>` : ''
    out += `<Contents>${name('Key', info.key)}${objectElements(info)}${owner}</Contents>`
  }
  return out
}

function objectElements(info: ObjectInfo): string {
  return (
    element('LastModified', new Date(info.modifiedMs).toISOString()) +
    element('ETag', `"${info.etag}"`) +
    checksumElements(info.checksum) +
    element('Size', info.size) +
    element('StorageClass', info.metadata['x-amz-storage-class'] ?? 'STANDARD')
  )
}

function checksumElements(checksum: ChecksumRequest | undefined): string {
  return checksum === undefined
    ? ''
    : element('ChecksumAlgorithm', checksum.algorithm) + element('ChecksumType', checksum.type)
}

function commonPrefixes(page: ListPage<unknown>, name: NameWriter): string {
  return page.prefixes.map((prefix) => `<CommonPrefixes>${name('Prefix', prefix)}</CommonPrefixes>`).join('')
}

function optionalName({ name }: Listing, element: string, value: string): string {
  return value === '' ? '' : name(element, value)
}

/** Opaque to clients, so that they do not build on what it says. */
function encodeToken(after: string): string {
  return Buffer.from(after, 'utf8').toString('base64url')
}

function decodeToken(token: string): string {
  const bytes = Buffer.from(token, 'base64url')
  const after = bytes.toString('utf8')
  if (token === '' || bytes.toString('base64url') !== token || !Buffer.from(after, 'utf8').equals(bytes)) {
    throw new S3Error('InvalidArgument', 'The continuation token provided is incorrect', {
      ArgumentName: 'continuation-token',
    })
  }
  checkKey(after)
  return after
}
