import type { Exchange } from '../exchange.ts'
import { refuseUnsupported } from '../metadata.ts'
import { S3Error, type S3ErrorCode } from '../s3-error.ts'
import { element, xmlDocument } from '../xml.ts'
import { checkVersionId, ownBucket, ownerElements } from './access.ts'

// What clients ask for before they do anything. The answers are the true ones for buckets that have none of these
// features, the same that S3 gives for a fresh bucket.

export type Handler = (exchange: Exchange) => Promise<void>

/** A feature that no bucket has: S3's error for "not configured". */
export function notConfigured(code: S3ErrorCode): Handler {
  return async (exchange) => {
    await ownBucket(exchange)
    throw new S3Error(code, undefined, { BucketName: exchange.bucket })
  }
}

/** A setting that every bucket has in the same way. */
export function fixedAnswer(root: string, content = ''): Handler {
  return async (exchange) => {
    await ownBucket(exchange)
    exchange.sendXml(xmlDocument(root, content))
  }
}

/** Everything is encrypted with AES-256 before it leaves the gateway, so that is what is answered. */
export const getBucketEncryption = fixedAnswer(
  'ServerSideEncryptionConfiguration',
  '<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>false</BucketKeyEnabled></Rule>',
)

export const getBucketAcl: Handler = async (exchange) => {
  const { owner } = await ownBucket(exchange)
  sendAcl(exchange, owner)
}

export const getObjectAcl: Handler = async (exchange) => {
  checkVersionId(exchange)
  await ownBucket(exchange)
  const { owner } = await exchange.objects.headObject(exchange.bucket, exchange.key)
  sendAcl(exchange, owner)
}

/** Setting what is so anyway is granted; a body with grants is not. */
export const putAcl: Handler = async (exchange) => {
  await ownBucket(exchange)
  refuseUnsupported(exchange)
  if (exchange.header('x-amz-acl') === undefined) throw new S3Error('AccessControlListNotSupported')
  if (exchange.resource.key !== undefined) await exchange.objects.headObject(exchange.bucket, exchange.key)
  exchange.send(200, {})
}

export const getObjectTagging: Handler = async (exchange) => {
  checkVersionId(exchange)
  await ownBucket(exchange)
  await exchange.objects.headObject(exchange.bucket, exchange.key)
  exchange.sendXml(xmlDocument('Tagging', '<TagSet></TagSet>'))
}

export const objectNotLocked: Handler = async (exchange) => {
  checkVersionId(exchange)
  await ownBucket(exchange)
  await exchange.objects.headObject(exchange.bucket, exchange.key)
  throw new S3Error('NoSuchObjectLockConfiguration')
}

function sendAcl(exchange: Exchange, owner: string): void {
  const who = ownerElements(exchange, owner)
  exchange.sendXml(
    xmlDocument(
      'AccessControlPolicy',
      `<Owner>${who}</Owner><AccessControlList><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">${who}</Grantee>${element('Permission', 'FULL_CONTROL')}</Grant></AccessControlList>`,
    ),
  )
}
