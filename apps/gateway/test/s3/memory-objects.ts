import { createHash, randomUUID } from 'node:crypto'
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
} from '../../src/object-layer.ts'
import { createChecksum } from '../../src/s3/checksum/running-checksum.ts'

interface Stored {
  info: ObjectInfo
  bytes: Buffer
  uploadId?: string
}

interface Upload {
  info: UploadInfo
  parts: Map<number, { info: PartInfo; bytes: Buffer }>
}

interface Bucket {
  info: BucketInfo
  objects: Map<string, Stored>
  uploads: Map<string, Upload>
}

/** The object layer in memory: the plain meaning of the interface, for tests of what stands in front of it. */
export class MemoryObjects implements ObjectLayer {
  /** Bytes per buffer that a reader yields. */
  chunkBytes = 64 * 1024
  readonly #buckets = new Map<string, Bucket>()
  readonly #nowMs: () => number

  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs
  }

  async listBuckets(owner: OwnerId): Promise<BucketInfo[]> {
    return [...this.#buckets.values()].map(({ info }) => info).filter((info) => info.owner === owner)
  }

  async createBucket(owner: OwnerId, name: string, { region }: { region: string }): Promise<BucketInfo> {
    const known = this.#buckets.get(name)
    if (known !== undefined) {
      throw new ObjectError(known.info.owner === owner ? 'BucketAlreadyOwnedByYou' : 'BucketAlreadyExists', 'taken')
    }
    const info = { name, owner, createdMs: this.#nowMs(), region }
    this.#buckets.set(name, { info, objects: new Map(), uploads: new Map() })
    return info
  }

  async headBucket(bucket: string): Promise<BucketInfo> {
    return this.#bucket(bucket).info
  }

  async deleteBucket(bucket: string): Promise<void> {
    if (this.#bucket(bucket).objects.size > 0) throw new ObjectError('BucketNotEmpty', 'objects are left')
    this.#buckets.delete(bucket)
  }

  async putObject(target: ObjectTarget, content: ObjectContent, init: PutInit): Promise<ObjectInfo> {
    this.#bucket(target.bucket)
    const bytes = await collect(content, init.signal)
    return this.#write(target, bytes, content.digest(), init, init.metadata)
  }

  async headObject(bucket: string, key: string): Promise<ObjectInfo> {
    return this.#object(bucket, key).info
  }

  async getObject(bucket: string, key: string): Promise<ObjectReader> {
    const { info, bytes } = this.#object(bucket, key)
    const chunkBytes = this.chunkBytes
    return {
      info,
      async *read({ start, end }: ByteRange, signal: AbortSignal) {
        for (let at = start; at < end; at += chunkBytes) {
          signal.throwIfAborted()
          yield Buffer.from(bytes.subarray(at, Math.min(end, at + chunkBytes)))
          await new Promise((resolve) => setImmediate(resolve))
        }
      },
      close() {},
    }
  }

  async deleteObject(bucket: string, key: string, { ifMatch }: { ifMatch?: string }): Promise<void> {
    const { objects } = this.#bucket(bucket)
    const stored = objects.get(key)
    if (ifMatch !== undefined && stored?.info.etag !== ifMatch)
      throw new ObjectError('PreconditionFailed', 'not that ETag')
    objects.delete(key)
  }

  async deleteObjects(bucket: string, keys: readonly string[]): Promise<void> {
    for (const key of keys) this.#bucket(bucket).objects.delete(key)
  }

  async copyObject(source: ObjectTarget, target: ObjectTarget, init: CopyInit): Promise<ObjectInfo> {
    const { info, bytes } = this.#object(source.bucket, source.key)
    init.condition?.(info)
    // A copy is one object, however its source was uploaded.
    const digest = { etag: createHash('md5').update(bytes).digest('hex'), checksum: info.checksum }
    return this.#write(target, bytes, digest, init, init.metadata ?? info.metadata)
  }

  async listObjects(bucket: string, query: ListQuery): Promise<ListPage<ObjectInfo>> {
    const { objects } = this.#bucket(bucket)
    const infos = [...objects.values()].map(({ info }) => info).sort((a, b) => compareKeys(a.key, b.key))
    return page(infos, query, (info) => compareKeys(info.key, query.after) > 0)
  }

  async createUpload(
    target: ObjectTarget,
    init: { metadata: ObjectMetadata; checksum?: ChecksumRequest; owner: OwnerId },
  ): Promise<UploadInfo> {
    const info = { ...target, ...init, uploadId: randomUUID(), initiatedMs: this.#nowMs() }
    this.#bucket(target.bucket).uploads.set(info.uploadId, { info, parts: new Map() })
    return info
  }

  async headUpload(target: ObjectTarget, uploadId: string): Promise<UploadInfo> {
    return this.#upload(target, uploadId).info
  }

  async putPart(
    target: ObjectTarget,
    uploadId: string,
    partNumber: number,
    content: ObjectContent,
    signal: AbortSignal,
  ): Promise<PartInfo> {
    this.#upload(target, uploadId)
    const bytes = await collect(content, signal)
    return this.#writePart(target, uploadId, partNumber, bytes, content.digest())
  }

  async copyPart(
    source: ObjectTarget,
    range: ByteRange | undefined,
    target: ObjectTarget,
    uploadId: string,
    partNumber: number,
    _signal: AbortSignal,
    condition?: (source: ObjectInfo) => void,
  ): Promise<PartInfo> {
    const { info, bytes } = this.#object(source.bucket, source.key)
    condition?.(info)
    const piece = range === undefined ? bytes : bytes.subarray(range.start, range.end)
    const { checksum: wanted } = this.#upload(target, uploadId).info
    const digest: ObjectDigest = { etag: createHash('md5').update(piece).digest('hex') }
    if (wanted === undefined) return this.#writePart(target, uploadId, partNumber, piece, digest)
    const checksum = createChecksum(wanted.algorithm)
    checksum.update(piece)
    const value = checksum.digest().toString('base64')
    return this.#writePart(target, uploadId, partNumber, piece, { ...digest, checksum: { ...wanted, value } })
  }

  async listParts(
    target: ObjectTarget,
    uploadId: string,
    { after, limit }: { after: number; limit: number },
  ): Promise<{ parts: PartInfo[]; truncated: boolean }> {
    const parts = [...this.#upload(target, uploadId).parts.values()]
      .map(({ info }) => info)
      .filter(({ partNumber }) => partNumber > after)
      .sort((a, b) => a.partNumber - b.partNumber)
    return { parts: parts.slice(0, limit), truncated: parts.length > limit }
  }

  async listUploads(bucket: string, query: ListUploadsQuery): Promise<ListPage<UploadInfo>> {
    const uploads = [...this.#bucket(bucket).uploads.values()]
      .map(({ info }) => info)
      .sort((a, b) => compareKeys(a.key, b.key) || a.initiatedMs - b.initiatedMs || compareKeys(a.uploadId, b.uploadId))
    const marker = uploads.findIndex((each) => each.key === query.after && each.uploadId === query.afterUploadId)
    return page(uploads, query, (info) => {
      const order = compareKeys(info.key, query.after)
      return order > 0 || (order === 0 && marker >= 0 && uploads.indexOf(info) > marker)
    })
  }

  async completeUpload(
    target: ObjectTarget,
    uploadId: string,
    parts: readonly { partNumber: number }[],
    digest: ObjectDigest,
    init: PutInit,
  ): Promise<ObjectInfo> {
    const bucket = this.#bucket(target.bucket)
    const current = bucket.objects.get(target.key)
    if (!bucket.uploads.has(uploadId) && current?.uploadId === uploadId) return current.info
    const upload = this.#upload(target, uploadId)
    const stored = parts.map(({ partNumber }) => {
      const part = upload.parts.get(partNumber)
      if (part === undefined) throw new ObjectError('InvalidPart', 'no such part')
      return part
    })
    const bytes = Buffer.concat(stored.map((part) => part.bytes))
    const partSizes = stored.map(({ info }) => info.size)
    const info = this.#write(target, bytes, digest, init, init.metadata, partSizes)
    bucket.objects.get(target.key)!.uploadId = uploadId
    bucket.uploads.delete(uploadId)
    return info
  }

  async abortUpload(target: ObjectTarget, uploadId: string): Promise<void> {
    this.#upload(target, uploadId)
    this.#bucket(target.bucket).uploads.delete(uploadId)
  }

  #write(
    target: ObjectTarget,
    bytes: Buffer,
    digest: ObjectDigest,
    init: Omit<PutInit, 'metadata'>,
    metadata: ObjectMetadata,
    partSizes?: readonly number[],
  ): ObjectInfo {
    init.signal.throwIfAborted()
    const { objects } = this.#bucket(target.bucket)
    const current = objects.get(target.key)
    if (init.ifNoneMatch !== undefined && current !== undefined)
      throw new ObjectError('PreconditionFailed', 'it exists')
    if (init.ifMatch !== undefined) {
      if (current === undefined) throw new ObjectError('NoSuchKey', 'there is none')
      if (current.info.etag !== init.ifMatch) throw new ObjectError('PreconditionFailed', 'not that ETag')
    }
    const info: ObjectInfo = {
      bucket: target.bucket,
      key: target.key,
      owner: init.owner,
      size: bytes.length,
      modifiedMs: this.#nowMs(),
      metadata,
      partSizes,
      ...digest,
    }
    objects.set(target.key, { info, bytes })
    return info
  }

  #writePart(
    target: ObjectTarget,
    uploadId: string,
    partNumber: number,
    bytes: Buffer,
    digest: ObjectDigest,
  ): PartInfo {
    const info = { partNumber, size: bytes.length, modifiedMs: this.#nowMs(), ...digest }
    this.#upload(target, uploadId).parts.set(partNumber, { info, bytes })
    return info
  }

  #bucket(name: string): Bucket {
    const bucket = this.#buckets.get(name)
    if (bucket === undefined) throw new ObjectError('NoSuchBucket', 'The specified bucket does not exist.')
    return bucket
  }

  #object(bucket: string, key: string): Stored {
    const stored = this.#bucket(bucket).objects.get(key)
    if (stored === undefined) throw new ObjectError('NoSuchKey', 'The specified key does not exist.')
    return stored
  }

  #upload(target: ObjectTarget, uploadId: string): Upload {
    const upload = this.#bucket(target.bucket).uploads.get(uploadId)
    if (upload === undefined || upload.info.key !== target.key) {
      throw new ObjectError('NoSuchUpload', 'The specified multipart upload does not exist.')
    }
    return upload
  }
}

async function collect(content: ObjectContent, signal: AbortSignal): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of content.body) {
    signal.throwIfAborted()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function page<Item extends { key: string }>(
  sorted: readonly Item[],
  { prefix, delimiter, after, limit }: ListQuery,
  isAfter: (item: Item) => boolean,
): ListPage<Item> {
  const result = {
    items: [] as Item[],
    prefixes: [] as string[],
    truncated: false,
    next: undefined as string | undefined,
  }
  if (limit === 0) return result
  for (const item of sorted) {
    if (!item.key.startsWith(prefix)) continue
    const cut = delimiter === '' ? -1 : item.key.indexOf(delimiter, prefix.length)
    const common = cut < 0 ? undefined : item.key.slice(0, cut + delimiter.length)
    if (common === undefined ? !isAfter(item) : compareKeys(common, after) <= 0) continue
    if (common !== undefined && result.prefixes.at(-1) === common) continue
    if (result.items.length + result.prefixes.length === limit) return { ...result, truncated: true }
    if (common === undefined) result.items.push(item)
    else result.prefixes.push(common)
    result.next = common ?? item.key
  }
  return result
}

function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a, 'utf8'), Buffer.from(b, 'utf8'))
}
