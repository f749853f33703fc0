import type { ObjectMetadata } from '../object-layer.ts'
import type { Exchange, Headers } from './exchange.ts'
import { S3Error } from './s3-error.ts'

const USER_PREFIX = 'x-amz-meta-'

/** Standard headers that are kept with an object and come back as they were. */
const KEPT_HEADERS = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
] as const

/** Classes that promise immediate reads. They are kept as labels: Cumulus stores everything the same way. */
const STORAGE_CLASSES = new Set(['STANDARD', 'REDUCED_REDUNDANCY', 'STANDARD_IA', 'ONEZONE_IA', 'INTELLIGENT_TIERING'])

/** Headers that ask for something we would have to ignore silently, which S3 clients must be able to rely on. */
const REFUSED_HEADERS = [
  'x-amz-grant-full-control',
  'x-amz-grant-read',
  'x-amz-grant-read-acp',
  'x-amz-grant-write-acp',
  'x-amz-object-lock-mode',
  'x-amz-object-lock-retain-until-date',
  'x-amz-object-lock-legal-hold',
  'x-amz-server-side-encryption-aws-kms-key-id',
  'x-amz-server-side-encryption-context',
  'x-amz-server-side-encryption-customer-algorithm',
  'x-amz-server-side-encryption-customer-key',
  'x-amz-copy-source-server-side-encryption-customer-algorithm',
  'x-amz-website-redirect-location',
  'x-amz-write-offset-bytes',
] as const

/**
 * Metadata of a new object, from the headers of its request. User metadata is text: bytes above 0x7f are read as UTF-8
 * (as latin1 if they are not), and the limit counts UTF-8.
 *
 * @throws S3Error MetadataTooLarge, InvalidStorageClass, NotImplemented
 */
export function readMetadata(exchange: Exchange): ObjectMetadata {
  refuseUnsupported(exchange)
  const { header, request, auth, query } = exchange
  const metadata: Record<string, string> = {}
  for (const name of KEPT_HEADERS) {
    let value = header(name)
    // The framing of this request is not an encoding of the object.
    if (name === 'content-encoding') value = value?.replace(/(^|,)\s*aws-chunked\s*(?=,|$)/g, '').replace(/^,\s*/, '')
    if (value) metadata[name] = value
  }
  let userBytes = 0
  const names = Object.keys(request.headers)
  if (auth.presigned) names.push(...query.names().map((name) => name.toLowerCase()))
  for (const name of new Set(names)) {
    if (!name.startsWith(USER_PREFIX)) continue
    const raw = header(name) ?? ''
    const value = name in request.headers ? decodeHeaderText(raw) : raw
    userBytes += name.length - USER_PREFIX.length + Buffer.byteLength(value, 'utf8')
    metadata[name] = value
  }
  const { userMetadataBytes } = exchange.limits
  if (userBytes > userMetadataBytes) {
    throw new S3Error('MetadataTooLarge', undefined, { Size: userBytes, MaxSizeAllowed: userMetadataBytes })
  }
  const storageClass = readStorageClass(exchange)
  if (storageClass !== undefined) metadata['x-amz-storage-class'] = storageClass
  return metadata
}

/** The storage class to keep; undefined for STANDARD. */
export function readStorageClass({ header }: Exchange): string | undefined {
  const storageClass = header('x-amz-storage-class')
  if (storageClass === undefined || storageClass === 'STANDARD') return undefined
  if (!STORAGE_CLASSES.has(storageClass))
    throw new S3Error('InvalidStorageClass', undefined, { StorageClassRequested: storageClass })
  return storageClass
}

/** @throws S3Error NotImplemented naming the header, AccessControlListNotSupported */
export function refuseUnsupported({ header }: Exchange): void {
  for (const name of REFUSED_HEADERS) {
    if (header(name) !== undefined)
      throw new S3Error('NotImplemented', `The header ${name} is not implemented.`, { Header: name })
  }
  if (header('x-amz-tagging')) {
    throw new S3Error('NotImplemented', 'The header x-amz-tagging is not implemented.', { Header: 'x-amz-tagging' })
  }
  const encryption = header('x-amz-server-side-encryption')
  if (encryption !== undefined && encryption !== 'AES256') {
    throw new S3Error(
      'NotImplemented',
      `Server-side encryption by ${encryption} is not implemented; every object is encrypted with AES256.`,
      {
        Header: 'x-amz-server-side-encryption',
      },
    )
  }
  const acl = header('x-amz-acl')
  if (acl !== undefined && acl !== 'private' && acl !== 'bucket-owner-full-control') {
    throw new S3Error('AccessControlListNotSupported')
  }
}

/** Headers of an object's answer. Text beyond ASCII leaves as an RFC 2047 word, as S3 sends it. */
export function metadataHeaders(metadata: ObjectMetadata): Headers {
  const headers: Headers = { 'Content-Type': 'binary/octet-stream' }
  for (const name in metadata) {
    const value = metadata[name]!
    if (name.startsWith(USER_PREFIX)) headers[name] = encodeHeaderText(value)
    else headers[STANDARD_SPELLING[name] ?? name] = value
  }
  return headers
}

const STANDARD_SPELLING: Record<string, string> = {
  'cache-control': 'Cache-Control',
  'content-disposition': 'Content-Disposition',
  'content-encoding': 'Content-Encoding',
  'content-language': 'Content-Language',
  'content-type': 'Content-Type',
  expires: 'Expires',
}

/** Node hands header bytes over as latin1. */
function decodeHeaderText(raw: string): string {
  if (isAscii(raw)) return raw
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(raw, 'latin1'))
  } catch {
    return raw
  }
}

function encodeHeaderText(text: string): string {
  return isAscii(text) ? text : `=?UTF-8?B?${Buffer.from(text, 'utf8').toString('base64')}?=`
}

function isAscii(text: string): boolean {
  // A tab is allowed in header values, other control characters never get in: Node's parser refuses them. In a presigned
  // URL they could come percent-encoded; they leave encoded like all that is not plain text.
  return /^[\t\x20-\x7e]*$/.test(text)
}
