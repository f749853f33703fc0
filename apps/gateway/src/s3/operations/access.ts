import type { BucketInfo, OwnerId } from '../../object-layer.ts'
import type { Exchange } from '../exchange.ts'
import { S3Error } from '../s3-error.ts'
import { element } from '../xml.ts'

/**
 * The bucket, if it belongs to the user who signed.
 *
 * @throws S3Error AccessDenied; ObjectError NoSuchBucket
 */
export async function ownBucket(exchange: Exchange, bucket = exchange.bucket): Promise<BucketInfo> {
  const info = await exchange.objects.headBucket(bucket)
  if (info.owner !== exchange.user.owner) throw new S3Error('AccessDenied')
  const expected = exchange.header('x-amz-expected-bucket-owner')
  if (expected !== undefined && expected !== exchange.user.id && expected !== info.owner) {
    throw new S3Error('AccessDenied', 'The bucket is not owned by the x-amz-expected-bucket-owner.')
  }
  return info
}

/** We keep no versions: the one there is has the id "null". */
export function checkVersionId({ query }: Exchange): void {
  const versionId = query.get('versionId')
  if (versionId !== undefined && versionId !== 'null' && versionId !== '')
    throw new S3Error('NoSuchVersion', undefined, { VersionId: versionId })
}

/** <ID> and <DisplayName> of an owner. Objects belong to the owner of their bucket, who is the user who signed. */
export function ownerElements({ user }: Exchange, owner: OwnerId): string {
  const known = owner === user.owner
  return element('ID', known ? user.id : owner) + element('DisplayName', known ? user.displayName : owner)
}
