import type { Exchange } from '../exchange.ts'
import { S3Error } from '../s3-error.ts'
import { createBucket, deleteBucket, getBucketLocation, headBucket, listBuckets } from './buckets.ts'
import {
  fixedAnswer,
  getBucketAcl,
  getBucketEncryption,
  getObjectAcl,
  getObjectTagging,
  type Handler,
  notConfigured,
  objectNotLocked,
  putAcl,
} from './canned.ts'
import { copyObject, uploadPartCopy } from './copies.ts'
import { listObjects, listObjectsV2, listObjectVersions, listUploads } from './listing.ts'
import {
  abortMultipartUpload,
  completeMultipartUpload,
  createMultipartUpload,
  listParts,
  uploadPart,
} from './multipart.ts'
import { deleteObject, deleteObjects, getObject, getObjectAttributes, headObject, putObject } from './objects.ts'

interface Operation {
  /** S3's name, for metrics and logs. */
  readonly name: string
  readonly handle: Handler
}

/** Everything that is answered, by level, method and sub-resource. What is not here is NotImplemented. */
const OPERATIONS: Readonly<Record<string, Operation>> = {
  'service GET': { name: 'ListBuckets', handle: listBuckets },

  'bucket PUT': { name: 'CreateBucket', handle: createBucket },
  'bucket HEAD': { name: 'HeadBucket', handle: headBucket },
  'bucket DELETE': { name: 'DeleteBucket', handle: deleteBucket },
  'bucket GET': { name: 'ListObjects', handle: listObjects },
  'bucket GET versions': { name: 'ListObjectVersions', handle: listObjectVersions },
  'bucket GET uploads': { name: 'ListMultipartUploads', handle: listUploads },
  'bucket POST delete': { name: 'DeleteObjects', handle: deleteObjects },
  'bucket GET location': { name: 'GetBucketLocation', handle: getBucketLocation },
  'bucket GET acl': { name: 'GetBucketAcl', handle: getBucketAcl },
  'bucket PUT acl': { name: 'PutBucketAcl', handle: putAcl },
  'bucket GET versioning': { name: 'GetBucketVersioning', handle: fixedAnswer('VersioningConfiguration') },
  'bucket GET encryption': { name: 'GetBucketEncryption', handle: getBucketEncryption },
  'bucket GET logging': { name: 'GetBucketLogging', handle: fixedAnswer('BucketLoggingStatus') },
  'bucket GET notification': { name: 'GetBucketNotification', handle: fixedAnswer('NotificationConfiguration') },
  'bucket GET accelerate': { name: 'GetBucketAccelerate', handle: fixedAnswer('AccelerateConfiguration') },
  'bucket GET requestPayment': {
    name: 'GetBucketRequestPayment',
    handle: fixedAnswer('RequestPaymentConfiguration', '<Payer>BucketOwner</Payer>'),
  },
  'bucket GET tagging': { name: 'GetBucketTagging', handle: notConfigured('NoSuchTagSet') },
  'bucket GET policy': { name: 'GetBucketPolicy', handle: notConfigured('NoSuchBucketPolicy') },
  'bucket GET policyStatus': { name: 'GetBucketPolicyStatus', handle: notConfigured('NoSuchBucketPolicy') },
  'bucket GET lifecycle': { name: 'GetBucketLifecycle', handle: notConfigured('NoSuchLifecycleConfiguration') },
  'bucket GET cors': { name: 'GetBucketCors', handle: notConfigured('NoSuchCORSConfiguration') },
  'bucket GET website': { name: 'GetBucketWebsite', handle: notConfigured('NoSuchWebsiteConfiguration') },
  'bucket GET object-lock': {
    name: 'GetObjectLockConfiguration',
    handle: notConfigured('ObjectLockConfigurationNotFoundError'),
  },
  'bucket GET publicAccessBlock': {
    name: 'GetPublicAccessBlock',
    handle: notConfigured('NoSuchPublicAccessBlockConfiguration'),
  },
  'bucket GET ownershipControls': {
    name: 'GetBucketOwnershipControls',
    handle: notConfigured('OwnershipControlsNotFoundError'),
  },
  'bucket GET replication': {
    name: 'GetBucketReplication',
    handle: notConfigured('ReplicationConfigurationNotFoundError'),
  },

  'object PUT': { name: 'PutObject', handle: putObject },
  'object GET': { name: 'GetObject', handle: getObject },
  'object HEAD': { name: 'HeadObject', handle: headObject },
  'object DELETE': { name: 'DeleteObject', handle: deleteObject },
  'object POST uploads': { name: 'CreateMultipartUpload', handle: createMultipartUpload },
  'object PUT uploadId': { name: 'UploadPart', handle: uploadPart },
  'object POST uploadId': { name: 'CompleteMultipartUpload', handle: completeMultipartUpload },
  'object DELETE uploadId': { name: 'AbortMultipartUpload', handle: abortMultipartUpload },
  'object GET uploadId': { name: 'ListParts', handle: listParts },
  'object GET acl': { name: 'GetObjectAcl', handle: getObjectAcl },
  'object PUT acl': { name: 'PutObjectAcl', handle: putAcl },
  'object GET tagging': { name: 'GetObjectTagging', handle: getObjectTagging },
  'object GET retention': { name: 'GetObjectRetention', handle: objectNotLocked },
  'object GET legal-hold': { name: 'GetObjectLegalHold', handle: objectNotLocked },
  'object GET attributes': { name: 'GetObjectAttributes', handle: getObjectAttributes },
}

/** Variants that one key of the table cannot tell apart: by a parameter or a header. */
const LIST_OBJECTS_V2: Operation = { name: 'ListObjectsV2', handle: listObjectsV2 }
const COPY_OBJECT: Operation = { name: 'CopyObject', handle: copyObject }
const UPLOAD_PART_COPY: Operation = { name: 'UploadPartCopy', handle: uploadPartCopy }

const METHODS = new Set(['GET', 'HEAD', 'PUT', 'POST', 'DELETE'])

/**
 * The operation of an authenticated request.
 *
 * @param route from `operationOf`
 * @throws S3Error MethodNotAllowed, NotImplemented naming the sub-resource
 */
export function chooseOperation(exchange: Exchange, route: string): Operation {
  const { header, query, request } = exchange
  if (route === 'bucket GET' && query.get('list-type') === '2') return LIST_OBJECTS_V2
  if (header('x-amz-copy-source') !== undefined) {
    if (route === 'object PUT') return COPY_OBJECT
    if (route === 'object PUT uploadId') return UPLOAD_PART_COPY
  }
  if (Object.hasOwn(OPERATIONS, route)) return OPERATIONS[route]!
  const [level, method, sub] = route.split(' ') as [string, string, string | undefined]
  if (!METHODS.has(request.method!) || (sub === undefined && !(level === 'bucket' && method === 'POST'))) {
    throw new S3Error('MethodNotAllowed', undefined, { Method: method, ResourceType: level.toUpperCase() })
  }
  const what =
    sub === undefined ? 'Upload by HTML form' : `${method} ?${sub} of a${level === 'object' ? 'n object' : ` ${level}`}`
  throw new S3Error('NotImplemented', `${what} is not implemented.`, sub === undefined ? {} : { SubResource: sub })
}
