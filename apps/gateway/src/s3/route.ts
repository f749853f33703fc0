import { decodePathText, type Query } from './request-target.ts'
import { S3Error } from './s3-error.ts'

/** S3's limit for a key, in bytes of UTF-8. */
export const KEY_BYTES_MAX = 1024

/** What a request is about: nothing (the service), a bucket, or an object in it. */
export interface Resource {
  readonly bucket: string | undefined
  readonly key: string | undefined
}

/** Query keys that choose an operation; anything else is a parameter of one. */
const SUB_RESOURCES = new Set([
  'abac',
  'accelerate',
  'acl',
  'analytics',
  'attributes',
  'cors',
  'delete',
  'encryption',
  'intelligent-tiering',
  'inventory',
  'legal-hold',
  'lifecycle',
  'location',
  'logging',
  'metadataConfiguration',
  'metadataInventoryTable',
  'metadataJournalTable',
  'metadataTable',
  'metrics',
  'notification',
  'object-lock',
  'ownershipControls',
  'policy',
  'policyStatus',
  'publicAccessBlock',
  'renameObject',
  'replication',
  'requestPayment',
  'restore',
  'retention',
  'select',
  'session',
  'tagging',
  'torrent',
  'uploadId',
  'uploads',
  'versioning',
  'versions',
  'website',
])

/**
 * Bucket and key of a request, by path (`/bucket/key`) or by virtual host (`bucket.suffix`, `/key`).
 *
 * @param hostSuffixes host names of this endpoint; `bucket.` may come before them
 * @throws S3Error InvalidURI, InvalidBucketName, KeyTooLongError, InvalidArgument
 */
export function resourceOf(path: string, host: string | undefined, hostSuffixes: readonly string[]): Resource {
  let bucket = bucketOfHost(host, hostSuffixes)
  let keyPath = path.slice(1)
  if (bucket === undefined) {
    if (keyPath === '') return { bucket: undefined, key: undefined }
    const slash = keyPath.indexOf('/')
    bucket = decodePathText(slash < 0 ? keyPath : keyPath.slice(0, slash))
    keyPath = slash < 0 ? '' : keyPath.slice(slash + 1)
  }
  if (!isBucketName(bucket)) throw new S3Error('InvalidBucketName', undefined, { BucketName: bucket })
  if (keyPath === '') return { bucket, key: undefined }
  const key = decodePathText(keyPath)
  checkKey(key)
  return { bucket, key }
}

function bucketOfHost(host: string | undefined, suffixes: readonly string[]): string | undefined {
  if (host === undefined) return undefined
  const name = host.replace(/:\d+$/, '').toLowerCase()
  if (suffixes.includes(name)) return undefined
  for (const suffix of suffixes) {
    if (name.endsWith(`.${suffix}`)) return name.slice(0, -suffix.length - 1)
  }
  return undefined
}

/**
 * Keys are kept exactly as given, `..`, slashes and control characters included: they never become paths. Only NUL is
 * refused, since no version of XML can carry it, not even as a reference.
 */
export function checkKey(key: string): void {
  const size = Buffer.byteLength(key, 'utf8')
  if (size === 0) throw new S3Error('InvalidArgument', 'The key is empty.')
  if (size > KEY_BYTES_MAX)
    throw new S3Error('KeyTooLongError', undefined, { Size: size, MaxSizeAllowed: KEY_BYTES_MAX })
  if (key.includes('\0')) throw new S3Error('InvalidArgument', 'A key cannot contain the NUL character.')
}

/** Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html */
export function isBucketName(name: string): boolean {
  return (
    /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) &&
    !name.includes('..') &&
    !/^\d{1,3}(\.\d{1,3}){3}$/.test(name) &&
    !/^(xn--|sthree-|amzn-s3-demo-)|(-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)$/.test(name)
  )
}

/**
 * Name under which the handlers know a request: level, method and sub-resource, e.g. `object GET uploadId`.
 *
 * @throws S3Error InvalidRequest for two sub-resources at once
 */
export function operationOf(method: string, { bucket, key }: Resource, query: Query): string {
  const level = bucket === undefined ? 'service' : key === undefined ? 'bucket' : 'object'
  const subs = new Set(query.names().filter((name) => SUB_RESOURCES.has(name)))
  if (subs.size > 1) {
    throw new S3Error('InvalidRequest', `Conflicting query string parameters: ${[...subs].join(', ')}`)
  }
  const [sub] = subs
  return sub === undefined ? `${level} ${method}` : `${level} ${method} ${sub}`
}
