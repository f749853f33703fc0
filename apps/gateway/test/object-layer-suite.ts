import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import {
  type ByteRange,
  type ChecksumRequest,
  type ObjectContent,
  type ObjectDigest,
  ObjectError,
  type ObjectErrorCode,
  type ObjectLayer,
  type ObjectTarget,
  type PutInit,
} from '../src/object-layer.ts'
import { multipartDigest } from '../src/s3/checksum/multipart-digest.ts'
import { createChecksum } from '../src/s3/checksum/running-checksum.ts'

/** An object layer under test, and how to let go of it. */
export interface ObjectLayerUnderTest {
  readonly objects: ObjectLayer
  close?(): Promise<void>
}

export interface SuiteInit {
  /** Accounts that may own buckets here. */
  readonly owners?: readonly [string, string]
  /** Sizes of objects that are written and read: those where the implementation changes its ways belong here. */
  readonly sizes?: readonly number[]
}

const DEFAULT_OWNERS = [`0x${'1'.repeat(40)}`, `0x${'2'.repeat(40)}`] as const
/** Nothing, a byte, around a 64 KiB chunk, and several of them. */
const DEFAULT_SIZES = [0, 1, 4096, 65_535, 65_536, 65_537, 300_001]

/**
 * What every object layer promises. Buckets are named anew for each fact, so the layer may be one that keeps things.
 *
 * @example
 * describe('objects in memory', () => objectLayerSuite(async () => ({ objects: new MemoryObjects() })))
 */
export function objectLayerSuite(make: () => Promise<ObjectLayerUnderTest>, init: SuiteInit = {}): void {
  const { owners: [owner, stranger] = DEFAULT_OWNERS, sizes = DEFAULT_SIZES } = init
  const { signal } = new AbortController()
  let under: ObjectLayerUnderTest
  let objects: ObjectLayer
  let bucketCount = 0

  before(async () => {
    under = await make()
    objects = under.objects
  })
  after(() => under.close?.())

  async function newBucket(): Promise<string> {
    const name = `suite-${process.pid}-${bucketCount++}`
    await objects.createBucket(owner, name, { region: 'us-east-1', signal })
    return name
  }

  function put(bucket: string, key: string, bytes: Uint8Array | string = key, more: Partial<PutInit> = {}) {
    return objects.putObject({ bucket, key }, contentOf(Buffer.from(bytes)), { metadata: {}, owner, signal, ...more })
  }

  async function read(bucket: string, key: string, range?: ByteRange): Promise<Buffer> {
    const reader = await objects.getObject(bucket, key)
    try {
      return await joined(reader.read(range ?? { start: 0, end: reader.info.size }, signal))
    } finally {
      reader.close()
    }
  }

  describe('buckets', () => {
    it('are seen at once, with their owner and region', async () => {
      const name = await newBucket()
      const info = await objects.headBucket(name)
      assert.deepEqual([info.name, info.owner, info.region], [name, owner, 'us-east-1'])
      assert.ok((await objects.listBuckets(owner)).some((each) => each.name === name))
      assert.ok(!(await objects.listBuckets(stranger)).some((each) => each.name === name))
    })

    it('have one owner', async () => {
      const name = await newBucket()
      const again = { region: 'us-east-1', signal }
      await fails(objects.createBucket(owner, name, again), 'BucketAlreadyOwnedByYou')
      await fails(objects.createBucket(stranger, name, again), 'BucketAlreadyExists')
    })

    it('are deleted when they are empty, and only then', async () => {
      const name = await newBucket()
      await put(name, 'key')
      await fails(objects.deleteBucket(name, signal), 'BucketNotEmpty')
      await objects.deleteObject(name, 'key', { signal })
      await objects.deleteBucket(name, signal)
      await fails(objects.headBucket(name), 'NoSuchBucket')
      await fails(objects.deleteBucket(name, signal), 'NoSuchBucket')
      await fails(put(name, 'key'), 'NoSuchBucket')
      await fails(objects.headObject(name, 'key'), 'NoSuchBucket')
      await fails(objects.listObjects(name, listing()), 'NoSuchBucket')
      await objects.createBucket(stranger, name, { region: 'us-east-1', signal })
      await objects.deleteBucket(name, signal)
    })
  })

  describe('objects', () => {
    for (const size of sizes) {
      it(`of ${size} bytes come back as they were, whole and in ranges`, async () => {
        const bucket = await newBucket()
        const bytes = randomBytes(size)
        const info = await put(bucket, 'key', bytes)
        assert.deepEqual([info.size, info.etag], [size, md5(bytes)])
        assert.deepEqual(await read(bucket, 'key'), bytes)
        const cuts = [0, 1, size >> 1, 65_536, size - 1, size].filter((cut) => cut >= 0 && cut <= size)
        for (const start of cuts) {
          for (const end of cuts) {
            if (start < end) assert.deepEqual(await read(bucket, 'key', { start, end }), bytes.subarray(start, end))
          }
        }
      })
    }

    it('keep metadata, owner, checksum and time', async () => {
      const bucket = await newBucket()
      const metadata = { 'content-type': 'text/plain', 'x-amz-meta-ä': 'ü ', expires: 'never' }
      const content = contentOf(Buffer.from('x'), { algorithm: 'CRC32C', type: 'FULL_OBJECT' })
      const written = await objects.putObject({ bucket, key: 'key' }, content, { metadata, owner, signal })
      for (const info of [
        written,
        await objects.headObject(bucket, 'key'),
        (await objects.getObject(bucket, 'key')).info,
      ]) {
        assert.deepEqual(info.metadata, metadata)
        assert.deepEqual(info.checksum, content.digest().checksum)
        assert.deepEqual([info.bucket, info.key, info.owner], [bucket, 'key', owner])
        assert.equal(info.modifiedMs, written.modifiedMs)
      }
    })

    it('are told apart by every byte of their key', async () => {
      const bucket = await newBucket()
      const keys = [
        'a',
        'a/',
        'a//',
        '/a',
        '..',
        '../a',
        './a',
        'A',
        'ä',
        'a\u0308',
        '\u0001',
        ' ',
        'a ',
        '😀',
        '\uffff',
        '\ufeff',
        '\ufeffa',
        'k'.repeat(1024),
      ]
      for (const key of keys) await put(bucket, key)
      for (const key of keys) assert.equal((await read(bucket, key)).toString(), key)
      const { items } = await objects.listObjects(bucket, listing())
      assert.deepEqual(
        items.map(({ key }) => key),
        [...keys].sort(byBytes),
      )
    })

    it('are replaced as a whole, while readers of the old one read on', async () => {
      const bucket = await newBucket()
      const old = randomBytes(300_000)
      await put(bucket, 'key', old)
      const reader = await objects.getObject(bucket, 'key')
      const stream = reader.read({ start: 0, end: old.length }, signal)[Symbol.asyncIterator]()
      const first = await stream.next()
      await put(bucket, 'key', 'new')
      const rest = [first.value as Uint8Array]
      for (let step = await stream.next(); !step.done; step = await stream.next()) rest.push(step.value)
      reader.close()
      assert.deepEqual(Buffer.concat(rest), old)
      assert.equal((await read(bucket, 'key')).toString(), 'new')
    })

    it('appear not at all if the body or its digest fails', async () => {
      const bucket = await newBucket()
      await put(bucket, 'kept', 'before')
      const broken = (): ObjectContent => ({
        size: 100_000,
        body: (async function* () {
          yield randomBytes(70_000)
          throw new Error('the client left')
        })(),
        digest: () => ({ etag: 'never asked' }),
      })
      const refused = (): ObjectContent => ({
        ...contentOf(Buffer.from('whole')),
        digest() {
          throw new Error('not what the client said')
        },
      })
      for (const key of ['kept', 'new']) {
        const init: PutInit = { metadata: {}, owner, signal }
        await assert.rejects(objects.putObject({ bucket, key }, broken(), init), /the client left/)
        await assert.rejects(objects.putObject({ bucket, key }, refused(), init), /not what the client said/)
      }
      assert.equal((await read(bucket, 'kept')).toString(), 'before')
      await fails(objects.headObject(bucket, 'new'), 'NoSuchKey')
    })

    it('are written under conditions, one winner among many', async () => {
      const bucket = await newBucket()
      const first = await put(bucket, 'key', 'one', { ifNoneMatch: '*' })
      await fails(put(bucket, 'key', 'two', { ifNoneMatch: '*' }), 'PreconditionFailed')
      await fails(put(bucket, 'key', 'two', { ifMatch: md5('other') }), 'PreconditionFailed')
      await fails(put(bucket, 'absent', 'two', { ifMatch: md5('other') }), 'NoSuchKey')
      await put(bucket, 'key', 'two', { ifMatch: first.etag })
      const race = await Promise.allSettled(
        ['x', 'y', 'z'].map((text) => put(bucket, 'race', text, { ifNoneMatch: '*' })),
      )
      assert.equal(race.filter(({ status }) => status === 'fulfilled').length, 1)
    })

    it('are deleted once, many at once, or under a condition', async () => {
      const bucket = await newBucket()
      for (const key of ['a', 'b', 'c', 'd']) await put(bucket, key)
      await objects.deleteObject(bucket, 'a', { signal })
      await objects.deleteObject(bucket, 'a', { signal })
      await fails(objects.getObject(bucket, 'a'), 'NoSuchKey')
      await objects.deleteObjects(bucket, ['b', 'absent', 'c'], signal)
      await fails(objects.deleteObject(bucket, 'd', { ifMatch: md5('other'), signal }), 'PreconditionFailed')
      assert.deepEqual(
        (await objects.listObjects(bucket, listing())).items.map(({ key }) => key),
        ['d'],
      )
      await objects.deleteObject(bucket, 'd', { ifMatch: md5('d'), signal })
      await fails(objects.headObject(bucket, 'd'), 'NoSuchKey')
    })

    it('are copied with their own life', async () => {
      const [bucket, other] = [await newBucket(), await newBucket()]
      const bytes = randomBytes(100_000)
      const source = { bucket, key: 'source' }
      const target = { bucket: other, key: 'target' }
      await put(bucket, 'source', bytes, { metadata: { 'x-amz-meta-a': '1' } })
      const copy = await objects.copyObject(source, target, { owner, signal })
      assert.deepEqual([copy.size, copy.etag, copy.key], [bytes.length, md5(bytes), 'target'])
      assert.deepEqual(copy.metadata, { 'x-amz-meta-a': '1' })
      await objects.deleteObject(bucket, 'source', { signal })
      assert.deepEqual(await read(other, 'target'), bytes)
      await objects.copyObject(target, target, { owner, signal, metadata: { 'x-amz-meta-b': '2' } })
      assert.deepEqual((await objects.headObject(other, 'target')).metadata, { 'x-amz-meta-b': '2' })
      assert.deepEqual(await read(other, 'target'), bytes)
      await fails(objects.copyObject(source, target, { owner, signal }), 'NoSuchKey')
      await fails(objects.copyObject(target, target, { owner, signal, ifNoneMatch: '*' }), 'PreconditionFailed')
      const refused = { owner, signal, condition: () => assert.fail('no copy of this') }
      await assert.rejects(objects.copyObject(target, { ...target, key: 'not' }, refused), /no copy of this/)
      await fails(objects.headObject(other, 'not'), 'NoSuchKey')
    })
  })

  describe('listings', () => {
    const keys = ['a', 'a/1', 'a/2', 'a0', 'b/1', 'b/c/1', 'b/c/2', 'z', 'ä', '\uffee', '😀']
    let bucket: string
    before(async () => {
      bucket = await newBucket()
      for (const key of [...keys].reverse()) await put(bucket, key)
    })

    it('give prefixes once, in order among the keys', async () => {
      const page = await objects.listObjects(bucket, listing({ delimiter: '/' }))
      assert.deepEqual(page.prefixes, ['a/', 'b/'])
      assert.deepEqual(
        page.items.map(({ key }) => key),
        ['a', 'a0', 'z', 'ä', '\uffee', '😀'],
      )
      const below = await objects.listObjects(bucket, listing({ delimiter: '/', prefix: 'b/' }))
      assert.deepEqual([below.prefixes, below.items.map(({ key }) => key)], [['b/c/'], ['b/1']])
      const long = await objects.listObjects(bucket, listing({ delimiter: '/c/' }))
      assert.deepEqual(long.prefixes, ['b/c/'])
    })

    it('start strictly after a key, or after all that a prefix stands for', async () => {
      const after = async (query: Partial<ReturnType<typeof listing>>) => {
        const page = await objects.listObjects(bucket, listing(query))
        return [...page.prefixes, ...page.items.map(({ key }) => key)].sort(byBytes)
      }
      assert.deepEqual(await after({ after: 'z' }), ['ä', '\uffee', '😀'])
      assert.deepEqual(await after({ after: 'b/', delimiter: '/' }), ['z', 'ä', '\uffee', '😀'])
      assert.deepEqual(await after({ after: 'b/', prefix: 'b/' }), ['b/1', 'b/c/1', 'b/c/2'])
      assert.deepEqual(await after({ after: '😀' }), [])
      assert.deepEqual(await after({ prefix: 'nothing' }), [])
    })

    it('join to the whole, page by page', async () => {
      for (const delimiter of ['', '/']) {
        const whole = await objects.listObjects(bucket, listing({ delimiter }))
        for (const limit of [1, 2, 3, 5, 100]) {
          const items: string[] = []
          const prefixes: string[] = []
          for (let after = ''; ; ) {
            const page = await objects.listObjects(bucket, listing({ delimiter, limit, after }))
            assert.ok(page.items.length + page.prefixes.length <= limit)
            items.push(...page.items.map(({ key }) => key))
            prefixes.push(...page.prefixes)
            if (!page.truncated) break
            assert.ok(byBytes(page.next!, after) > 0, 'pages go forward')
            after = page.next!
          }
          assert.deepEqual(
            items,
            whole.items.map(({ key }) => key),
          )
          assert.deepEqual(prefixes, whole.prefixes)
        }
      }
    })
  })

  describe('multipart uploads', () => {
    const target = (bucket: string): ObjectTarget => ({ bucket, key: 'big/object' })
    const checksum: ChecksumRequest = { algorithm: 'CRC64NVME', type: 'FULL_OBJECT' }

    async function upload(bucket: string, bodies: ReadonlyMap<number, Buffer>): Promise<string> {
      const { uploadId } = await objects.createUpload(target(bucket), {
        metadata: { 'x-amz-meta-u': '1' },
        checksum,
        owner,
      })
      for (const [number, bytes] of bodies) {
        const part = await objects.putPart(target(bucket), uploadId, number, contentOf(bytes, checksum), signal)
        assert.deepEqual([part.partNumber, part.size, part.etag], [number, bytes.length, md5(bytes)])
      }
      return uploadId
    }

    async function complete(bucket: string, uploadId: string, numbers: number[], more: Partial<PutInit> = {}) {
      const { parts } = await objects.listParts(target(bucket), uploadId, { after: 0, limit: 1000 })
      const chosen = numbers.map((number) => parts.find(({ partNumber }) => partNumber === number)!)
      const digest = multipartDigest(chosen, checksum)
      const putInit = { metadata: { 'x-amz-meta-u': '1' }, owner, signal, ...more }
      return { digest, info: await objects.completeUpload(target(bucket), uploadId, chosen, digest, putInit) }
    }

    it('put together the parts that are named, in order, and drop the others', async () => {
      const bucket = await newBucket()
      const bodies = new Map([
        [7, randomBytes(70_000)],
        [2, randomBytes(100_000)],
        [3, Buffer.from('dropped')],
        [9, randomBytes(1)],
      ])
      const uploadId = await upload(bucket, bodies)
      await fails(objects.headObject(bucket, 'big/object'), 'NoSuchKey')
      const page = await objects.listParts(target(bucket), uploadId, { after: 2, limit: 2 })
      assert.deepEqual([page.parts.map(({ partNumber }) => partNumber), page.truncated], [[3, 7], true])
      const { digest, info } = await complete(bucket, uploadId, [2, 7, 9])
      const expected = Buffer.concat([bodies.get(2)!, bodies.get(7)!, bodies.get(9)!])
      assert.deepEqual(info.partSizes, [100_000, 70_000, 1])
      assert.deepEqual([info.etag, info.checksum], [digest.etag, digest.checksum])
      assert.deepEqual(info.metadata, { 'x-amz-meta-u': '1' })
      assert.deepEqual(await read(bucket, 'big/object'), expected)
      assert.deepEqual(await read(bucket, 'big/object', { start: 99_990, end: 170_001 }), expected.subarray(99_990))
      await fails(objects.headUpload(target(bucket), uploadId), 'NoSuchUpload')
    })

    it('give the same answer when completed again', async () => {
      const bucket = await newBucket()
      const uploadId = await upload(bucket, new Map([[1, Buffer.from('once')]]))
      const { digest, info } = await complete(bucket, uploadId, [1])
      const init: PutInit = { metadata: {}, owner, signal }
      const again = await objects.completeUpload(target(bucket), uploadId, [{ partNumber: 1 }], digest, init)
      assert.deepEqual(again, info)
      await put(bucket, 'big/object', 'replaced')
      await fails(objects.completeUpload(target(bucket), uploadId, [{ partNumber: 1 }], digest, init), 'NoSuchUpload')
    })

    it('keep the last of the parts with one number', async () => {
      const bucket = await newBucket()
      const uploadId = await upload(bucket, new Map([[1, Buffer.from('first')]]))
      await objects.putPart(target(bucket), uploadId, 1, contentOf(Buffer.from('second'), checksum), signal)
      const { parts } = await objects.listParts(target(bucket), uploadId, { after: 0, limit: 10 })
      assert.deepEqual(
        parts.map(({ etag }) => etag),
        [md5('second')],
      )
      await complete(bucket, uploadId, [1])
      assert.equal((await read(bucket, 'big/object')).toString(), 'second')
    })

    it('copy parts out of objects, with the checksum they want', async () => {
      const bucket = await newBucket()
      const source = randomBytes(200_000)
      await put(bucket, 'source', source)
      const uploadId = await upload(bucket, new Map())
      const copy = (range: ByteRange | undefined, number: number) =>
        objects.copyPart({ bucket, key: 'source' }, range, target(bucket), uploadId, number, signal)
      const part = await copy({ start: 65_530, end: 131_080 }, 1)
      const piece = source.subarray(65_530, 131_080)
      assert.deepEqual([part.size, part.etag], [piece.length, md5(piece)])
      assert.deepEqual(part.checksum, contentOf(piece, checksum).digest().checksum)
      await copy(undefined, 2)
      const condition = () => assert.fail('no copy of this')
      await assert.rejects(
        objects.copyPart({ bucket, key: 'source' }, undefined, target(bucket), uploadId, 3, signal, condition),
        /no copy of this/,
      )
      await fails(
        objects.copyPart({ bucket, key: 'absent' }, undefined, target(bucket), uploadId, 3, signal),
        'NoSuchKey',
      )
      await objects.deleteObject(bucket, 'source', { signal })
      await complete(bucket, uploadId, [1, 2])
      assert.deepEqual(await read(bucket, 'big/object'), Buffer.concat([piece, source]))
    })

    it('leave nothing when aborted', async () => {
      const bucket = await newBucket()
      const uploadId = await upload(bucket, new Map([[1, Buffer.from('gone')]]))
      await objects.abortUpload(target(bucket), uploadId, signal)
      await fails(objects.abortUpload(target(bucket), uploadId, signal), 'NoSuchUpload')
      await fails(objects.listParts(target(bucket), uploadId, { after: 0, limit: 1 }), 'NoSuchUpload')
      await fails(objects.putPart(target(bucket), uploadId, 1, contentOf(Buffer.from('x')), signal), 'NoSuchUpload')
      const init: PutInit = { metadata: {}, owner, signal }
      await fails(
        objects.completeUpload(target(bucket), uploadId, [{ partNumber: 1 }], { etag: 'e-1' }, init),
        'NoSuchUpload',
      )
      await fails(objects.headObject(bucket, 'big/object'), 'NoSuchKey')
    })

    it('are refused under a condition that does not hold, and can then be completed without', async () => {
      const bucket = await newBucket()
      const uploadId = await upload(bucket, new Map([[1, Buffer.from('later')]]))
      await put(bucket, 'big/object', 'earlier')
      await fails(complete(bucket, uploadId, [1], { ifNoneMatch: '*' }), 'PreconditionFailed')
      assert.equal((await read(bucket, 'big/object')).toString(), 'earlier')
      await complete(bucket, uploadId, [1], { ifMatch: md5('earlier') })
      assert.equal((await read(bucket, 'big/object')).toString(), 'later')
    })

    it('are listed by key, then by age, page by page', async () => {
      const bucket = await newBucket()
      const ids: [string, string][] = []
      for (const key of ['dir/a', 'dir/a', 'dir/b', 'e']) {
        const { uploadId } = await objects.createUpload({ bucket, key }, { metadata: {}, owner })
        ids.push([key, uploadId])
      }
      const query = { ...listing(), afterUploadId: '' }
      const found: [string, string][] = []
      for (let page = await objects.listUploads(bucket, { ...query, limit: 1 }); ; ) {
        found.push(...page.items.map(({ key, uploadId }): [string, string] => [key, uploadId]))
        if (!page.truncated) break
        const [after, afterUploadId] = found.at(-1)!
        page = await objects.listUploads(bucket, { ...query, limit: 1, after, afterUploadId })
      }
      assert.deepEqual(
        found.map(([key]) => key),
        ['dir/a', 'dir/a', 'dir/b', 'e'],
      )
      assert.deepEqual(new Set(found.map(([, id]) => id)), new Set(ids.map(([, id]) => id)))
      const rolled = await objects.listUploads(bucket, { ...query, delimiter: '/' })
      assert.deepEqual([rolled.prefixes, rolled.items.map(({ key }) => key)], [['dir/'], ['e']])
    })
  })
}

/** Content as the front end would hand it over, in pieces of odd sizes. */
export function contentOf(bytes: Buffer, request?: ChecksumRequest): ObjectContent {
  const digest: ObjectDigest = {
    etag: md5(bytes),
    checksum: request && { ...request, value: checksumOf(request, bytes) },
  }
  return {
    size: bytes.length,
    body: (async function* () {
      for (let at = 0; at < bytes.length; at += 40_009) yield bytes.subarray(at, at + 40_009)
    })(),
    digest: () => digest,
  }
}

function checksumOf({ algorithm }: ChecksumRequest, bytes: Buffer): string {
  const checksum = createChecksum(algorithm)
  checksum.update(bytes)
  return checksum.digest().toString('base64')
}

function listing(query: { prefix?: string; delimiter?: string; after?: string; limit?: number } = {}) {
  return { prefix: '', delimiter: '', after: '', limit: 1000, ...query }
}

async function joined(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function fails(promise: Promise<unknown>, code: ObjectErrorCode): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof ObjectError, String(error))
    assert.equal(error.code, code)
    return true
  })
}

function md5(data: Uint8Array | string): string {
  return createHash('md5').update(data).digest('hex')
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
