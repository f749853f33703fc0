import type { ObjectInfo, ObjectMetadata, ObjectTarget } from '../../object-layer.ts'
import { parseCopyRange } from '../byte-range.ts'
import { copySourceCondition, readWriteConditions } from '../conditions.ts'
import type { Exchange } from '../exchange.ts'
import { readMetadata, readStorageClass, refuseUnsupported } from '../metadata.ts'
import { isChecksumAlgorithm } from '../payload.ts'
import { decodePathText } from '../request-target.ts'
import { checkKey, isBucketName } from '../route.ts'
import { S3Error } from '../s3-error.ts'
import { element, xmlDocument } from '../xml.ts'
import { ownBucket } from './access.ts'
import { checksumElements, ENCRYPTION_HEADERS, readPartNumber } from './objects.ts'

export async function copyObject(exchange: Exchange): Promise<void> {
  const { objects, location, user, header, signal, limits } = exchange
  const source = readCopySource(header('x-amz-copy-source')!)
  const replace = readDirective(exchange, 'x-amz-metadata-directive') === 'REPLACE'
  // Objects have no tags: copying none and replacing them by none are the same.
  readDirective(exchange, 'x-amz-tagging-directive')
  let metadata = replace ? readMetadata(exchange) : undefined
  if (!replace) refuseUnsupported(exchange)
  const storageClass = readStorageClass(exchange)
  const ontoItself = source.bucket === location.bucket && source.key === location.key
  if (ontoItself && !replace && header('x-amz-storage-class') === undefined) {
    throw new S3Error(
      'InvalidRequest',
      "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
    )
  }
  const algorithm = header('x-amz-checksum-algorithm')?.toUpperCase()
  if (algorithm !== undefined && !isChecksumAlgorithm(algorithm)) {
    throw new S3Error('InvalidRequest', `Checksum algorithm provided is unsupported: ${algorithm}`)
  }
  const conditions = readWriteConditions(header)
  const wanted = copySourceCondition(header)
  await ownBucket(exchange)
  await ownSourceBucket(exchange, source)
  let seen: ObjectInfo | undefined
  if (!replace) {
    const before = await objects.headObject(source.bucket, source.key)
    // The class is the request's, never the source's, so the rest of the metadata has to be passed on with it.
    if (before.metadata['x-amz-storage-class'] !== storageClass) {
      seen = before
      metadata = withStorageClass(before.metadata, storageClass)
    }
  }
  const info = await objects.copyObject(source, location, {
    owner: user.owner,
    signal,
    metadata,
    ...conditions,
    condition: (info) => {
      wanted?.(info)
      checkCopySize(info.size, limits.putBytes)
      if (algorithm !== undefined && info.checksum?.algorithm !== algorithm) {
        throw new S3Error(
          'NotImplemented',
          'A copy keeps the checksum of its source: another algorithm is not implemented.',
        )
      }
      if (seen !== undefined && (info.etag !== seen.etag || info.modifiedMs !== seen.modifiedMs)) {
        throw new S3Error(
          'ConditionalRequestConflict',
          'The source was replaced while it was copied. Retry the request.',
        )
      }
    },
  })
  const content = copyElements(info) + checksumElements(info)
  exchange.sendXml(xmlDocument('CopyObjectResult', content), ENCRYPTION_HEADERS)
}

export async function uploadPartCopy(exchange: Exchange): Promise<void> {
  const { objects, location, query, header, signal, limits } = exchange
  const source = readCopySource(header('x-amz-copy-source')!)
  const range = parseCopyRange(header('x-amz-copy-source-range'))
  const partNumber = readPartNumber(query.get('partNumber'))
  const uploadId = query.get('uploadId')!
  const wanted = copySourceCondition(header)
  refuseUnsupported(exchange)
  await ownBucket(exchange)
  await ownSourceBucket(exchange, source)
  const part = await objects.copyPart(source, range, location, uploadId, partNumber, signal, (info) => {
    wanted?.(info)
    if (range !== undefined && range.end > info.size) {
      throw new S3Error('InvalidArgument', `Range specified is not valid for source object of size: ${info.size}`, {
        ArgumentName: 'x-amz-copy-source-range',
        ArgumentValue: header('x-amz-copy-source-range')!,
      })
    }
    checkCopySize(range === undefined ? info.size : range.end - range.start, limits.partBytes)
  })
  const checksum = part.checksum && element(`Checksum${part.checksum.algorithm}`, part.checksum.value)
  exchange.sendXml(xmlDocument('CopyPartResult', copyElements(part) + (checksum ?? '')), ENCRYPTION_HEADERS)
}

function copyElements({ modifiedMs, etag }: { modifiedMs: number; etag: string }): string {
  return element('LastModified', new Date(modifiedMs).toISOString()) + element('ETag', `"${etag}"`)
}

/**
 * `/bucket/key?versionId=null`, percent-encoded. A `+` is a plus, as in paths: whoever encodes writes `%2B`, and who does not means it.
 *
 * @throws S3Error InvalidArgument, NoSuchVersion
 */
function readCopySource(header: string): ObjectTarget {
  const [path, version] = header.split(/\?versionId=/)
  const text = decodePathText(path!.replace(/^\//, ''))
  const slash = text.indexOf('/')
  const bucket = text.slice(0, slash)
  const key = text.slice(slash + 1)
  if (slash < 1 || key === '' || !isBucketName(bucket)) {
    throw new S3Error('InvalidArgument', 'Copy Source must mention the source bucket and key: sourcebucket/sourcekey', {
      ArgumentName: 'x-amz-copy-source',
      ArgumentValue: header,
    })
  }
  if (version !== undefined && version !== 'null') throw new S3Error('NoSuchVersion', undefined, { VersionId: version })
  checkKey(key)
  return { bucket, key }
}

async function ownSourceBucket(exchange: Exchange, { bucket }: ObjectTarget): Promise<void> {
  if (bucket === exchange.bucket) return
  const { owner } = await exchange.objects.headBucket(bucket)
  if (owner !== exchange.user.owner) throw new S3Error('AccessDenied')
}

function readDirective({ header }: Exchange, name: string): 'COPY' | 'REPLACE' {
  const value = header(name) ?? 'COPY'
  if (value !== 'COPY' && value !== 'REPLACE') {
    throw new S3Error('InvalidArgument', 'Unknown metadata directive.', { ArgumentName: name, ArgumentValue: value })
  }
  return value
}

function withStorageClass(
  { 'x-amz-storage-class': _, ...rest }: ObjectMetadata,
  storageClass: string | undefined,
): ObjectMetadata {
  return storageClass === undefined ? rest : { ...rest, 'x-amz-storage-class': storageClass }
}

function checkCopySize(size: number, bytesMax: number): void {
  if (size > bytesMax) {
    throw new S3Error(
      'InvalidRequest',
      `The specified copy source is larger than the maximum allowable size for a copy source: ${bytesMax}`,
    )
  }
}
