/**
 * The seam between what people speak (S3 now, WebDAV and NBD later) and where bytes live. The front end checks
 * signatures, digests and syntax; the object layer keeps objects. All calls are strongly consistent: what was
 * answered is seen by every later call.
 */
export interface ObjectLayer {
  listBuckets(owner: OwnerId): Promise<BucketInfo[]>
  createBucket(owner: OwnerId, bucket: string, init: { region: string; signal: AbortSignal }): Promise<BucketInfo>
  /** @throws ObjectError NoSuchBucket */
  headBucket(bucket: string): Promise<BucketInfo>
  /** @throws ObjectError NoSuchBucket, BucketNotEmpty */
  deleteBucket(bucket: string, signal: AbortSignal): Promise<void>

  /** Resolves when the object is durable. Nothing is visible if `content.digest` or the body throws. */
  putObject(target: ObjectTarget, content: ObjectContent, init: PutInit): Promise<ObjectInfo>
  /** @throws ObjectError NoSuchBucket, NoSuchKey */
  headObject(bucket: string, key: string): Promise<ObjectInfo>
  /** @throws ObjectError NoSuchBucket, NoSuchKey. The object that is read stays readable to the end even if replaced. */
  getObject(bucket: string, key: string): Promise<ObjectReader>
  /** Silent if there is no such key, as S3. With `ifMatch`, only if the ETag is still that one. */
  deleteObject(bucket: string, key: string, init: { ifMatch?: string; signal: AbortSignal }): Promise<void>
  /** Deletes many at once, one durable write for all. Keys that do not exist count as deleted. */
  deleteObjects(bucket: string, keys: readonly string[], signal: AbortSignal): Promise<void>
  /** The new object has its own metadata and shares no bytes with the old one that deletion of either could lose. */
  copyObject(source: ObjectTarget, target: ObjectTarget, init: CopyInit): Promise<ObjectInfo>
  /** Keys in exact order of their UTF-8 bytes. */
  listObjects(bucket: string, query: ListQuery): Promise<ListPage<ObjectInfo>>

  createUpload(
    target: ObjectTarget,
    init: { metadata: ObjectMetadata; checksum?: ChecksumRequest; owner: OwnerId },
  ): Promise<UploadInfo>
  /** @throws ObjectError NoSuchUpload */
  headUpload(target: ObjectTarget, uploadId: string): Promise<UploadInfo>
  /** Replaces a part of the same number. Durable when it resolves. */
  putPart(
    target: ObjectTarget,
    uploadId: string,
    partNumber: number,
    content: ObjectContent,
    signal: AbortSignal,
  ): Promise<PartInfo>
  /** Copies bytes into a part, with the checksum the upload asks for (`createChecksum` of s3/checksum). */
  copyPart(
    source: ObjectTarget,
    range: ByteRange | undefined,
    target: ObjectTarget,
    uploadId: string,
    partNumber: number,
    signal: AbortSignal,
    /** Checked against the source by the same read that copies it, range included; throws what is to be answered. */
    condition?: (source: ObjectInfo) => void,
  ): Promise<PartInfo>
  listParts(
    target: ObjectTarget,
    uploadId: string,
    query: { after: number; limit: number },
  ): Promise<{ parts: PartInfo[]; truncated: boolean }>
  listUploads(bucket: string, query: ListUploadsQuery): Promise<ListPage<UploadInfo>>
  /**
   * Puts the object together from `parts` in this order; parts not named are dropped. Sizes and ETags are checked by
   * the caller against `listParts`. Idempotent for the same upload id for as long as the result is the current object.
   */
  completeUpload(
    target: ObjectTarget,
    uploadId: string,
    parts: readonly { partNumber: number }[],
    digest: ObjectDigest,
    init: PutInit,
  ): Promise<ObjectInfo>
  abortUpload(target: ObjectTarget, uploadId: string, signal: AbortSignal): Promise<void>
}

/** Stable id of the account that owns buckets: the owner's chain address, lower case. */
export type OwnerId = string

export interface ObjectTarget {
  readonly bucket: string
  /** 1 to 1,024 bytes of UTF-8. */
  readonly key: string
}

export interface BucketInfo {
  readonly name: string
  readonly owner: OwnerId
  readonly createdMs: number
  readonly region: string
}

/** Headers that come back as they were given, names in lower case: content-type, cache-control, x-amz-meta-…, x-amz-storage-class … */
export type ObjectMetadata = Readonly<Record<string, string>>

export interface ObjectContent {
  /** Bytes of the payload, verified as far as its framing allows. Throws what is to be answered. Consumed once. */
  readonly body: AsyncIterable<Uint8Array>
  /** Known size of the payload in bytes. */
  readonly size: number | undefined
  /** Called once, after the last byte of `body`: digests of what was read. Throws if they are not what the client said. */
  digest(): ObjectDigest
}

export interface ObjectDigest {
  /** Without quotes: MD5 in hex, or `md5-of-md5s-N` for multipart. */
  readonly etag: string
  /** At most one is kept per object. */
  readonly checksum?: Checksum
}

export type ChecksumAlgorithm = 'CRC32' | 'CRC32C' | 'CRC64NVME' | 'SHA1' | 'SHA256'

export interface ChecksumRequest {
  readonly algorithm: ChecksumAlgorithm
  readonly type: 'FULL_OBJECT' | 'COMPOSITE'
}

export interface Checksum extends ChecksumRequest {
  /** Base64, with `-N` for composite ones. */
  readonly value: string
}

export interface ObjectInfo {
  readonly bucket: string
  readonly key: string
  readonly owner: OwnerId
  readonly size: number
  readonly modifiedMs: number
  readonly etag: string
  readonly metadata: ObjectMetadata
  readonly checksum?: Checksum
  /** Sizes of the parts in order, for objects made by multipart upload: GET ?partNumber. */
  readonly partSizes?: readonly number[]
}

export interface PutInit {
  readonly metadata: ObjectMetadata
  readonly owner: OwnerId
  /** Atomic with the write: `*` = the key must not exist (If-None-Match: *). */
  readonly ifNoneMatch?: '*'
  /** Atomic with the write: the current ETag must be this one. */
  readonly ifMatch?: string
  readonly signal: AbortSignal
}

export interface CopyInit extends Omit<PutInit, 'metadata'> {
  /** undefined = the source's metadata. */
  readonly metadata?: ObjectMetadata
  /** Checked against the source by the same read that copies it; throws what is to be answered. */
  readonly condition?: (source: ObjectInfo) => void
}

export interface ByteRange {
  /** First byte. */
  readonly start: number
  /** One past the last byte. */
  readonly end: number
}

export interface ObjectReader {
  readonly info: ObjectInfo
  /**
   * Verified plaintext of the range. May be called more than once; memory per stream is bounded and bytes are
   * fetched only as they are consumed. Buffers belong to the consumer.
   */
  read(range: ByteRange, signal: AbortSignal): AsyncIterable<Uint8Array>
  /** Lets go of the object's segments. */
  close(): void
}

export interface ListQuery {
  readonly prefix: string
  /** Empty = none. */
  readonly delimiter: string
  /** Keys and common prefixes strictly after this one. Empty = from the start. */
  readonly after: string
  /** 0 to 1,000. */
  readonly limit: number
}

export interface ListPage<Item> {
  readonly items: Item[]
  /** Ascending; together with `items` at most `limit`. */
  readonly prefixes: string[]
  readonly truncated: boolean
  /** Last key or common prefix of the page: what `after` continues from. */
  readonly next?: string
}

export interface ListUploadsQuery extends ListQuery {
  /** With `after` = a key: uploads of that key after this id, too. */
  readonly afterUploadId: string
}

export interface UploadInfo {
  readonly bucket: string
  readonly key: string
  readonly uploadId: string
  readonly owner: OwnerId
  readonly initiatedMs: number
  readonly metadata: ObjectMetadata
  readonly checksum?: ChecksumRequest
}

export interface PartInfo {
  readonly partNumber: number
  readonly size: number
  readonly etag: string
  readonly modifiedMs: number
  readonly checksum?: Checksum
}

/** Codes are S3's where S3 has one: the front end answers them as they are. */
export type ObjectErrorCode =
  | 'NoSuchBucket'
  | 'NoSuchKey'
  | 'NoSuchUpload'
  | 'BucketAlreadyExists'
  | 'BucketAlreadyOwnedByYou'
  | 'BucketNotEmpty'
  | 'TooManyBuckets'
  | 'PreconditionFailed'
  | 'ConditionalRequestConflict'
  | 'EntityTooLarge'
  | 'InvalidPart'
  | 'QuotaExceeded'
  | 'SlowDown'
  | 'ServiceUnavailable'
  | 'InternalError'

export class ObjectError extends Error {
  readonly code: ObjectErrorCode
  readonly details: Readonly<Record<string, string | number>>
  constructor(
    code: ObjectErrorCode,
    message: string,
    details: Readonly<Record<string, string | number>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.name = 'ObjectError'
    this.code = code
    this.details = details
  }
}
