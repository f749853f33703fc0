import { createHash, randomBytes } from 'node:crypto'
import type { Mutation } from '../journal/mutation.ts'
import type { Part, StoredObject, StoredPart } from '../journal/rows.ts'
import {
  type BucketInfo,
  type ByteRange,
  type ChecksumRequest,
  type CopyInit,
  type ListPage,
  type ListQuery,
  type ListUploadsQuery,
  type ObjectContent,
  type ObjectDigest,
  ObjectError,
  type ObjectInfo,
  type ObjectLayer,
  type ObjectMetadata,
  type ObjectReader,
  type ObjectTarget,
  type OwnerId,
  type PartInfo,
  type PutInit,
  type UploadInfo,
} from '../object-layer.ts'
import { createChecksum } from '../s3/index.ts'
import type { SegmentLayout } from '../segments/segment-layout.ts'
import type { SegmentPool } from '../segments/segment-pool.ts'
import { type BodySourceComponents, type ReadBudget, readBody } from './body-reader.ts'
import { type StoredBody, storeBody } from './body-writer.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { BucketRow, ObjectHead, ObjectIndex, ObjectRow, PartRow, UploadRow } from './object-index.ts'
import type { OwnerStore } from './owner-store.ts'

/** As many as S3 allows one owner by default, times ten. */
const BUCKETS_MAX = 1_000
/** 5 TiB, as S3. */
const OBJECT_BYTES_MAX = 5 * 2 ** 40

export interface DataEngineComponents {
  readonly layout: SegmentLayout
  readonly index: ObjectIndex
  readonly pool: SegmentPool
  readonly inline: BodySourceComponents['inline']
  readonly buffers: BufferPool
  readonly budget: ReadBudget
  /** Store of an owner that this gateway serves. */
  readonly ownerStore: (owner: OwnerId) => OwnerStore | undefined
}

/** The object layer on the network: bodies in segments and packs, everything else in the journal of the bucket's owner. */
export class DataEngine implements ObjectLayer {
  readonly #c: DataEngineComponents
  /** Names being created, so that two owners cannot get the same one. */
  readonly #creating = new Set<string>()

  constructor(components: DataEngineComponents) {
    this.#c = components
  }

  // Buckets

  async listBuckets(owner: OwnerId): Promise<BucketInfo[]> {
    const buckets: BucketInfo[] = []
    for (const row of this.#c.index.buckets()) if (row.owner === owner) buckets.push(bucketInfo(row))
    return buckets
  }

  async createBucket(
    owner: OwnerId,
    bucket: string,
    init: { region: string; signal: AbortSignal },
  ): Promise<BucketInfo> {
    const store = this.#storeOf(owner)
    if (this.#creating.has(bucket)) throw new ObjectError('ConditionalRequestConflict', 'the bucket is being created')
    this.#creating.add(bucket)
    try {
      return await store.journal.submit({
        exclusive: [bucketName(bucket)],
        shared: [],
        build: () => {
          const old = this.#c.index.bucket(bucket)
          if (old) {
            throw old.owner === owner
              ? new ObjectError('BucketAlreadyOwnedByYou', 'the bucket is yours already', { bucket })
              : new ObjectError('BucketAlreadyExists', 'another owner has this bucket', { bucket })
          }
          let count = 0
          for (const row of this.#c.index.buckets()) if (row.owner === owner) count++
          if (count >= BUCKETS_MAX) throw new ObjectError('TooManyBuckets', `${count} buckets`, { max: BUCKETS_MAX })
          const value = { createdMs: Date.now(), region: init.region }
          return { mutations: [{ kind: 'bucket-set', bucket, value }], result: { name: bucket, owner, ...value } }
        },
      })
    } finally {
      this.#creating.delete(bucket)
    }
  }

  async headBucket(bucket: string): Promise<BucketInfo> {
    return bucketInfo(this.#bucket(bucket))
  }

  async deleteBucket(bucket: string, _signal: AbortSignal): Promise<void> {
    const { store } = this.#open(bucket)
    await store.journal.submit({
      exclusive: [bucketName(bucket)],
      shared: [],
      build: () => {
        this.#bucket(bucket)
        if (!this.#c.index.isBucketEmpty(bucket)) {
          throw new ObjectError('BucketNotEmpty', 'the bucket holds objects or uploads', { bucket })
        }
        return { mutations: [{ kind: 'bucket-delete', bucket }], result: undefined }
      },
    })
  }

  // Objects

  async putObject(target: ObjectTarget, content: ObjectContent, init: PutInit): Promise<ObjectInfo> {
    const { store } = this.#open(target.bucket)
    this.#checkSize(content.size)
    if (init.ifNoneMatch || init.ifMatch) this.#checkCondition(target, init)
    const body = await this.#store(store, target, content.body, content.size, init.signal)
    try {
      return await this.#commitObject(store, target, body, content.digest(), init)
    } finally {
      body.unpin()
    }
  }

  #commitObject(
    store: OwnerStore,
    target: ObjectTarget,
    body: StoredBody,
    digest: ObjectDigest,
    init: PutInit,
  ): Promise<ObjectInfo> {
    init.signal.throwIfAborted()
    const { bucket, key } = target
    return store.journal.submit({
      exclusive: [objectName(target)],
      shared: [bucketName(bucket)],
      data: body.tail ? [body.tail] : [],
      build: (place) => {
        const { owner } = this.#bucket(bucket)
        this.#checkCondition(target, init)
        const value: StoredObject = {
          size: body.size,
          modifiedMs: Date.now(),
          etag: digest.etag,
          owner: init.owner === owner ? '' : init.owner,
          metadata: init.metadata,
          checksum: digest.checksum,
          uploadId: '',
          parts: body.size > 0 ? [body.part(place)] : [],
        }
        return {
          mutations: [{ kind: 'object-set', bucket, key, value }],
          result: objectInfo(bucket, owner, { key, ...value }),
        }
      },
    })
  }

  async headObject(bucket: string, key: string): Promise<ObjectInfo> {
    const { owner } = this.#bucket(bucket)
    return objectInfo(bucket, owner, { key, ...this.#object(bucket, key) })
  }

  async getObject(bucket: string, key: string): Promise<ObjectReader> {
    const { store, row } = this.#open(bucket)
    const object = this.#object(bucket, key)
    const segments = new Set(object.parts.flatMap(({ extents }) => extents.map(({ segment }) => segment)))
    for (const segment of segments) store.keeper.pin(segment)
    let isOpen = true
    return {
      info: objectInfo(bucket, row.owner, { key, ...object }),
      read: (range, signal) => {
        if (!isOpen) throw new Error('the reader is closed')
        return this.#read(store, object.parts, range, signal)
      },
      close: () => {
        if (!isOpen) return
        isOpen = false
        for (const segment of segments) store.keeper.unpin(segment)
      },
    }
  }

  async deleteObject(bucket: string, key: string, init: { ifMatch?: string; signal: AbortSignal }): Promise<void> {
    const { store } = this.#open(bucket)
    await store.journal.submit({
      exclusive: [objectName({ bucket, key })],
      shared: [bucketName(bucket)],
      build: () => {
        this.#bucket(bucket)
        const object = this.#c.index.object(bucket, key)
        if (init.ifMatch !== undefined) this.#checkMatch(object, init.ifMatch)
        return { mutations: object ? [{ kind: 'object-delete', bucket, key }] : [], result: undefined }
      },
    })
  }

  async deleteObjects(bucket: string, keys: readonly string[], _signal: AbortSignal): Promise<void> {
    const { store } = this.#open(bucket)
    const distinct = [...new Set(keys)]
    await store.journal.submit({
      exclusive: distinct.map((key) => objectName({ bucket, key })),
      shared: [bucketName(bucket)],
      build: () => {
        this.#bucket(bucket)
        const mutations: Mutation[] = []
        for (const key of distinct) {
          if (this.#c.index.object(bucket, key)) mutations.push({ kind: 'object-delete', bucket, key })
        }
        return { mutations, result: undefined }
      },
    })
  }

  async copyObject(source: ObjectTarget, target: ObjectTarget, init: CopyInit): Promise<ObjectInfo> {
    const { store } = this.#open(target.bucket)
    const reader = await this.getObject(source.bucket, source.key)
    try {
      init.condition?.(reader.info)
      const metadata = init.metadata ?? reader.info.metadata
      const put = { ...init, metadata }
      if (source.bucket === target.bucket && source.key === target.key) return await this.#rewrite(store, target, put)
      const range = { start: 0, end: reader.info.size }
      const hash = createHash('md5')
      const body = await this.#store(
        store,
        target,
        watched(reader.read(range, init.signal), (chunk) => hash.update(chunk)),
        range.end,
        init.signal,
      )
      try {
        const { checksum } = reader.info
        const digest: ObjectDigest = {
          etag: hash.digest('hex'),
          // One over parts says nothing about an object in one part.
          checksum: checksum?.type === 'FULL_OBJECT' ? checksum : undefined,
        }
        return await this.#commitObject(store, target, body, digest, put)
      } finally {
        body.unpin()
      }
    } finally {
      reader.close()
    }
  }

  /** A copy onto itself changes metadata only: the bytes stay where they are. */
  #rewrite(store: OwnerStore, target: ObjectTarget, init: PutInit): Promise<ObjectInfo> {
    const { bucket, key } = target
    return store.journal.submit({
      exclusive: [objectName(target)],
      shared: [bucketName(bucket)],
      build: () => {
        const { owner } = this.#bucket(bucket)
        const old = this.#object(bucket, key)
        this.#checkCondition(target, init)
        const value: StoredObject = {
          ...old,
          modifiedMs: Date.now(),
          metadata: init.metadata,
          owner: init.owner === owner ? '' : init.owner,
        }
        return {
          mutations: [{ kind: 'object-set', bucket, key, value }],
          result: objectInfo(bucket, owner, { key, ...value }),
        }
      },
    })
  }

  async listObjects(bucket: string, query: ListQuery): Promise<ListPage<ObjectInfo>> {
    const { owner } = this.#bucket(bucket)
    const page = this.#c.index.listObjects(bucket, query)
    return { ...page, items: page.items.map((object) => objectInfo(bucket, owner, object)) }
  }

  // Multipart

  async createUpload(
    target: ObjectTarget,
    init: { metadata: ObjectMetadata; checksum?: ChecksumRequest; owner: OwnerId },
  ): Promise<UploadInfo> {
    const { store } = this.#open(target.bucket)
    const { bucket, key } = target
    const initiatedMs = Date.now()
    // Time first: ids of one key sort by their age, as S3 lists them.
    const uploadId = initiatedMs.toString(16).padStart(12, '0') + randomBytes(10).toString('hex')
    return store.journal.submit({
      exclusive: [uploadName(uploadId)],
      shared: [bucketName(bucket)],
      build: () => {
        const { owner } = this.#bucket(bucket)
        const value = {
          owner: init.owner === owner ? '' : init.owner,
          initiatedMs,
          metadata: init.metadata,
          checksum: init.checksum,
        }
        return {
          mutations: [{ kind: 'upload-set', bucket, key, uploadId, value }],
          result: { bucket, key, uploadId, ...value, owner: init.owner },
        }
      },
    })
  }

  async headUpload(target: ObjectTarget, uploadId: string): Promise<UploadInfo> {
    const { owner } = this.#bucket(target.bucket)
    return uploadInfo(target.bucket, owner, this.#upload(target, uploadId))
  }

  async putPart(
    target: ObjectTarget,
    uploadId: string,
    partNumber: number,
    content: ObjectContent,
    signal: AbortSignal,
  ): Promise<PartInfo> {
    const { store } = this.#open(target.bucket)
    this.#upload(target, uploadId)
    this.#checkSize(content.size)
    const body = await this.#store(store, target, content.body, content.size, signal)
    try {
      return await this.#commitPart(store, target, uploadId, partNumber, body, content.digest(), signal)
    } finally {
      body.unpin()
    }
  }

  async copyPart(
    source: ObjectTarget,
    range: ByteRange | undefined,
    target: ObjectTarget,
    uploadId: string,
    partNumber: number,
    signal: AbortSignal,
    condition?: (source: ObjectInfo) => void,
  ): Promise<PartInfo> {
    const { store } = this.#open(target.bucket)
    const { checksum: wanted } = this.#upload(target, uploadId)
    const reader = await this.getObject(source.bucket, source.key)
    try {
      condition?.(reader.info)
      const { start, end } = range ?? { start: 0, end: reader.info.size }
      const md5 = createHash('md5')
      const checksum = wanted && createChecksum(wanted.algorithm)
      const bytes = watched(reader.read({ start, end }, signal), (chunk) => {
        md5.update(chunk)
        checksum?.update(chunk)
      })
      const body = await this.#store(store, target, bytes, end - start, signal)
      try {
        const etag = md5.digest('hex')
        const value = checksum?.digest().toString('base64')
        const digest = wanted && value ? { etag, checksum: { ...wanted, value } } : { etag }
        return await this.#commitPart(store, target, uploadId, partNumber, body, digest, signal)
      } finally {
        body.unpin()
      }
    } finally {
      reader.close()
    }
  }

  #commitPart(
    store: OwnerStore,
    target: ObjectTarget,
    uploadId: string,
    partNumber: number,
    body: StoredBody,
    digest: ObjectDigest,
    signal: AbortSignal,
  ): Promise<PartInfo> {
    signal.throwIfAborted()
    const { bucket, key } = target
    return store.journal.submit({
      exclusive: [uploadName(uploadId)],
      shared: [bucketName(bucket)],
      data: body.tail ? [body.tail] : [],
      build: (place) => {
        this.#upload(target, uploadId)
        const value: StoredPart = {
          etag: digest.etag,
          modifiedMs: Date.now(),
          checksum: digest.checksum,
          part: body.part(place),
        }
        return {
          mutations: [{ kind: 'part-set', bucket, key, uploadId, partNumber, value }],
          result: partInfo({ partNumber, ...value }),
        }
      },
    })
  }

  async listParts(
    target: ObjectTarget,
    uploadId: string,
    query: { after: number; limit: number },
  ): Promise<{ parts: PartInfo[]; truncated: boolean }> {
    this.#upload(target, uploadId)
    const parts: PartInfo[] = []
    for (const part of this.#c.index.parts(uploadId, query.after)) {
      if (parts.length >= query.limit) return { parts, truncated: query.limit > 0 }
      parts.push(partInfo(part))
    }
    return { parts, truncated: false }
  }

  async listUploads(bucket: string, query: ListUploadsQuery): Promise<ListPage<UploadInfo>> {
    const { owner } = this.#bucket(bucket)
    const page = this.#c.index.listUploads(bucket, query)
    return { ...page, items: page.items.map((upload) => uploadInfo(bucket, owner, upload)) }
  }

  async completeUpload(
    target: ObjectTarget,
    uploadId: string,
    parts: readonly { partNumber: number }[],
    digest: ObjectDigest,
    init: PutInit,
  ): Promise<ObjectInfo> {
    const { store } = this.#open(target.bucket)
    const { bucket, key } = target
    init.signal.throwIfAborted()
    return store.journal.submit({
      exclusive: [objectName(target), uploadName(uploadId)],
      shared: [bucketName(bucket)],
      build: () => {
        const { owner } = this.#bucket(bucket)
        const upload = this.#c.index.upload(bucket, key, uploadId)
        if (!upload) {
          const done = this.#c.index.object(bucket, key)
          if (done?.uploadId !== uploadId) throw noSuchUpload(uploadId)
          return { mutations: [], result: objectInfo(bucket, owner, { key, ...done }) }
        }
        this.#checkCondition(target, init)
        const stored: Part[] = []
        let size = 0
        for (const { partNumber } of parts) {
          const row = this.#c.index.part(uploadId, partNumber)
          if (!row) throw new ObjectError('InvalidPart', `part ${partNumber} was not uploaded`, { partNumber })
          stored.push(row.part)
          size += row.part.size
        }
        this.#checkSize(size)
        const value: StoredObject = {
          size,
          modifiedMs: Date.now(),
          etag: digest.etag,
          owner: upload.owner,
          metadata: init.metadata,
          checksum: digest.checksum,
          uploadId,
          parts: stored,
        }
        return {
          mutations: [
            { kind: 'object-set', bucket, key, value },
            { kind: 'upload-delete', bucket, key, uploadId },
          ],
          result: objectInfo(bucket, owner, { key, ...value }),
        }
      },
    })
  }

  async abortUpload(target: ObjectTarget, uploadId: string, _signal: AbortSignal): Promise<void> {
    const { store } = this.#open(target.bucket)
    const { bucket, key } = target
    await store.journal.submit({
      exclusive: [uploadName(uploadId)],
      shared: [bucketName(bucket)],
      build: () => {
        this.#upload(target, uploadId)
        return { mutations: [{ kind: 'upload-delete', bucket, key, uploadId }], result: undefined }
      },
    })
  }

  // Parts of the above

  #store(
    store: OwnerStore,
    target: ObjectTarget,
    body: AsyncIterable<Uint8Array>,
    size: number | undefined,
    signal: AbortSignal,
  ): Promise<StoredBody> {
    const { layout, buffers } = this.#c
    const { keeper, journal } = store
    return storeBody({ layout, buffers, keeper, wrapKey: journal.keys.wrapKey, ...target }, body, size, signal)
  }

  #read(store: OwnerStore, parts: readonly Part[], range: ByteRange, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { layout, pool, inline, budget } = this.#c
    const { journal, keeper } = store
    return readBody({ layout, pool, inline, budget, journal, keeper }, parts, range, signal)
  }

  #storeOf(owner: OwnerId): OwnerStore {
    const store = this.#c.ownerStore(owner)
    if (!store) throw new ObjectError('ServiceUnavailable', `this gateway does not serve ${owner}`, { owner })
    return store
  }

  #bucket(bucket: string): BucketRow {
    const row = this.#c.index.bucket(bucket)
    if (!row) throw new ObjectError('NoSuchBucket', 'there is no such bucket', { bucket })
    return row
  }

  #open(bucket: string): { store: OwnerStore; row: BucketRow } {
    const row = this.#bucket(bucket)
    return { store: this.#storeOf(row.owner), row }
  }

  #object(bucket: string, key: string): ObjectRow {
    const object = this.#c.index.object(bucket, key)
    if (!object) throw new ObjectError('NoSuchKey', 'there is no such key', { bucket, key })
    return object
  }

  #upload(target: ObjectTarget, uploadId: string): UploadRow {
    this.#bucket(target.bucket)
    const upload = this.#c.index.upload(target.bucket, target.key, uploadId)
    if (!upload) throw noSuchUpload(uploadId)
    return upload
  }

  #checkCondition(target: ObjectTarget, init: Pick<PutInit, 'ifNoneMatch' | 'ifMatch'>): void {
    if (!init.ifNoneMatch && init.ifMatch === undefined) return
    const object = this.#c.index.object(target.bucket, target.key)
    if (init.ifNoneMatch && object) throw new ObjectError('PreconditionFailed', 'the key exists', { ...target })
    if (init.ifMatch !== undefined) {
      if (!object) throw new ObjectError('NoSuchKey', 'there is no such key', { ...target })
      this.#checkMatch(object, init.ifMatch)
    }
  }

  #checkMatch(object: ObjectRow | undefined, etag: string): void {
    if (object?.etag !== etag) {
      throw new ObjectError('PreconditionFailed', 'the object is another one', { etag: object?.etag ?? '' })
    }
  }

  #checkSize(size: number | undefined): void {
    if (size !== undefined && size > OBJECT_BYTES_MAX) {
      throw new ObjectError('EntityTooLarge', `${size} bytes, at most ${OBJECT_BYTES_MAX} are taken`, { size })
    }
  }
}

async function* watched(
  body: AsyncIterable<Uint8Array>,
  watch: (bytes: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  for await (const bytes of body) {
    watch(bytes)
    yield bytes
  }
}

function noSuchUpload(uploadId: string): ObjectError {
  return new ObjectError('NoSuchUpload', 'there is no such upload', { uploadId })
}

function bucketName(bucket: string): string {
  return `b/${bucket}`
}

function objectName({ bucket, key }: ObjectTarget): string {
  return `o/${bucket}/${key}`
}

function uploadName(uploadId: string): string {
  return `u/${uploadId}`
}

function bucketInfo({ name, owner, createdMs, region }: BucketRow): BucketInfo {
  return { name, owner, createdMs, region }
}

function objectInfo(
  bucket: string,
  bucketOwner: OwnerId,
  object: ObjectHead & { parts?: readonly Part[] },
): ObjectInfo {
  const { key, size, modifiedMs, etag, metadata, checksum, uploadId, parts } = object
  return {
    bucket,
    key,
    owner: object.owner || bucketOwner,
    size,
    modifiedMs,
    etag,
    metadata,
    ...(checksum ? { checksum } : {}),
    ...(uploadId && parts ? { partSizes: parts.map((part) => part.size) } : {}),
  }
}

function uploadInfo(bucket: string, bucketOwner: OwnerId, upload: UploadRow): UploadInfo {
  const { key, uploadId, initiatedMs, metadata, checksum } = upload
  return {
    bucket,
    key,
    uploadId,
    owner: upload.owner || bucketOwner,
    initiatedMs,
    metadata,
    ...(checksum ? { checksum } : {}),
  }
}

function partInfo({
  partNumber,
  part,
  etag,
  modifiedMs,
  checksum,
}: Omit<PartRow, 'sequence' | 'recordSegment' | 'recordBytes'>): PartInfo {
  return { partNumber, size: part.size, etag, modifiedMs, ...(checksum ? { checksum } : {}) }
}
