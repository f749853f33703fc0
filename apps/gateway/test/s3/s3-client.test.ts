import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { request } from 'node:http'
import { Readable } from 'node:stream'
import { after, before, beforeEach, describe, it } from 'node:test'
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketAclCommand,
  GetBucketEncryptionCommand,
  GetBucketLocationCommand,
  GetBucketPolicyCommand,
  GetBucketVersioningCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListMultipartUploadsCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  ListPartsCommand,
  PutBucketTaggingCommand,
  PutObjectCommand,
  type S3Client,
  type S3ServiceException,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { ALT, type Fixture, MAIN, startFixture } from './s3-fixture.ts'

const MIB = 2 ** 20
const Bucket = 'a-bucket'

describe('an SDK client', () => {
  let s3: Fixture
  let client: S3Client

  before(async () => {
    s3 = await startFixture()
    client = s3.client
    await client.send(new CreateBucketCommand({ Bucket }))
  })
  after(() => s3.close())

  describe('with buckets', () => {
    it('creates, lists, looks at and deletes them', async () => {
      await client.send(new CreateBucketCommand({ Bucket: 'other-bucket' }))
      const { Buckets, Owner } = await client.send(new ListBucketsCommand({}))
      assert.deepEqual(
        Buckets?.map(({ Name }) => Name),
        [Bucket, 'other-bucket'],
      )
      assert.equal(Owner?.ID, MAIN.id)
      assert.equal((await client.send(new HeadBucketCommand({ Bucket }))).BucketRegion, 'us-east-1')
      assert.equal((await client.send(new GetBucketLocationCommand({ Bucket }))).LocationConstraint, undefined)
      await client.send(new DeleteBucketCommand({ Bucket: 'other-bucket' }))
      await fails(client.send(new HeadBucketCommand({ Bucket: 'other-bucket' })), 'NotFound', 404)
    })

    it('pages through them', async () => {
      const names = ['page-1', 'page-2', 'page-3']
      for (const name of names) await client.send(new CreateBucketCommand({ Bucket: name }))
      const first = await client.send(new ListBucketsCommand({ MaxBuckets: 2, Prefix: 'page-' }))
      const second = await client.send(
        new ListBucketsCommand({ Prefix: 'page-', ContinuationToken: first.ContinuationToken }),
      )
      assert.deepEqual(
        [...first.Buckets!, ...second.Buckets!].map(({ Name }) => Name),
        names,
      )
      for (const name of names) await client.send(new DeleteBucketCommand({ Bucket: name }))
    })

    it('is refused what is taken, misnamed, elsewhere or not empty', async () => {
      await fails(client.send(new CreateBucketCommand({ Bucket })), 'BucketAlreadyOwnedByYou', 409)
      await fails(s3.clientOf(ALT).send(new CreateBucketCommand({ Bucket })), 'BucketAlreadyExists', 409)
      for (const name of ['Upper', 'a', '192.168.0.1', 'a..b', '-ab', 'xn--ab']) {
        await fails(client.send(new CreateBucketCommand({ Bucket: name })), 'InvalidBucketName', 400)
      }
      const configuration = { LocationConstraint: 'eu-west-1' as const }
      await fails(
        client.send(new CreateBucketCommand({ Bucket: 'far', CreateBucketConfiguration: configuration })),
        'IllegalLocationConstraintException',
        400,
      )
      await put('left')
      await fails(client.send(new DeleteBucketCommand({ Bucket })), 'BucketNotEmpty', 409)
      await remove('left')
    })

    it('cannot use those of another user', async () => {
      const alt = s3.clientOf(ALT)
      await put('mine')
      await fails(alt.send(new GetObjectCommand({ Bucket, Key: 'mine' })), 'AccessDenied', 403)
      await fails(alt.send(new PutObjectCommand({ Bucket, Key: 'theirs', Body: 'x' })), 'AccessDenied', 403)
      await fails(alt.send(new ListObjectsV2Command({ Bucket })), 'AccessDenied', 403)
      await fails(alt.send(new DeleteBucketCommand({ Bucket })), 'AccessDenied', 403)
      await alt.send(new CreateBucketCommand({ Bucket: 'alt-bucket' }))
      await fails(
        alt.send(new CopyObjectCommand({ Bucket: 'alt-bucket', Key: 'x', CopySource: `${Bucket}/mine` })),
        'AccessDenied',
        403,
      )
      assert.deepEqual(
        (await alt.send(new ListBucketsCommand({}))).Buckets?.map(({ Name }) => Name),
        ['alt-bucket'],
      )
      await remove('mine')
    })

    it('gets the answers of a plain bucket to what it probes', async () => {
      await put('probe')
      assert.equal((await client.send(new GetBucketVersioningCommand({ Bucket }))).Status, undefined)
      const { Grants } = await client.send(new GetBucketAclCommand({ Bucket }))
      assert.deepEqual(
        Grants?.map(({ Permission, Grantee }) => [Permission, Grantee?.ID]),
        [['FULL_CONTROL', MAIN.id]],
      )
      const { ServerSideEncryptionConfiguration } = await client.send(new GetBucketEncryptionCommand({ Bucket }))
      assert.equal(
        ServerSideEncryptionConfiguration?.Rules?.[0]?.ApplyServerSideEncryptionByDefault?.SSEAlgorithm,
        'AES256',
      )
      await fails(client.send(new GetBucketPolicyCommand({ Bucket })), 'NoSuchBucketPolicy', 404)
      assert.deepEqual((await client.send(new GetObjectTaggingCommand({ Bucket, Key: 'probe' }))).TagSet, [])
      const tagging = new PutBucketTaggingCommand({ Bucket, Tagging: { TagSet: [] } })
      await fails(client.send(tagging), 'NotImplemented', 501)
      await remove('probe')
    })

    it('reaches them by virtual host', async () => {
      const virtual = s3.clientOf(MAIN, {
        endpoint: `http://localhost:${s3.port}`,
        forcePathStyle: false,
        requestChecksumCalculation: 'WHEN_REQUIRED',
      })
      // The name resolves nowhere, so the connection goes to the loopback while Host keeps the bucket.
      const url = new URL(
        await getSignedUrl(virtual, new PutObjectCommand({ Bucket, Key: 'by/host' }), { expiresIn: 60 }),
      )
      assert.equal(url.hostname, `${Bucket}.localhost`)
      const status = await plainHttp('PUT', url, Buffer.from('hosted'), { host: url.host })
      assert.equal(status, 200)
      assert.equal(await read('by/host'), 'hosted')
      await remove('by/host')
    })
  })

  describe('with objects', () => {
    for (const [name, size] of [
      ['nothing', 0],
      ['a byte', 1],
      ['4 KiB', 4096],
      ['3 MiB and a bit', 3 * MIB + 7],
    ] as const) {
      it(`gets back ${name}, from a buffer and from a stream`, async () => {
        const body = randomBytes(size)
        const etag = `"${createHash('md5').update(body).digest('hex')}"`
        const streamed = {
          Body: Readable.from([body.subarray(0, size >> 1), body.subarray(size >> 1)]),
          ContentLength: size,
        }
        for (const input of [{ Body: body }, streamed]) {
          const put = await client.send(new PutObjectCommand({ Bucket, Key: 'sized', ...input }))
          assert.equal(put.ETag, etag)
          assert.ok(put.ChecksumCRC32, 'the SDK protects by CRC32 unless told otherwise')
          const got = await client.send(new GetObjectCommand({ Bucket, Key: 'sized', ChecksumMode: 'ENABLED' }))
          assert.deepEqual(Buffer.from(await got.Body!.transformToByteArray()), body)
          assert.equal(got.ETag, etag)
          assert.equal(got.ContentLength, size)
          assert.equal(got.ChecksumCRC32, put.ChecksumCRC32)
        }
        await remove('sized')
      })
    }

    for (const algorithm of ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const) {
      it(`protects by ${algorithm}`, async () => {
        const put = await client.send(
          new PutObjectCommand({ Bucket, Key: 'checked', Body: randomBytes(70_000), ChecksumAlgorithm: algorithm }),
        )
        const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'checked', ChecksumMode: 'ENABLED' }))
        assert.ok(put[`Checksum${algorithm}`])
        assert.equal(head[`Checksum${algorithm}`], put[`Checksum${algorithm}`])
        await remove('checked')
      })
    }

    it('keeps keys exactly as they are', async () => {
      const keys = [
        'a//b',
        '/lead',
        'trail/',
        '../up',
        'a/../b',
        './x',
        'sp ace',
        'p+lus',
        '100%',
        'ümläut/日本',
        '?#[]',
        "q'(*)!",
        '\t\n\u0001',
        '&<>"',
        '😀',
      ]
      for (const Key of keys) {
        await client.send(new PutObjectCommand({ Bucket, Key, Body: Key }))
        assert.equal(await read(Key), Key)
      }
      const listed = await client.send(new ListObjectsV2Command({ Bucket, EncodingType: 'url' }))
      const names = listed.Contents!.map(({ Key }) => decodeURIComponent(Key!))
      assert.deepEqual(
        names,
        [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
      )
      const plain = await client.send(new ListObjectsV2Command({ Bucket, Prefix: '&' }))
      assert.equal(plain.Contents![0]!.Key, '&<>"')
      const { Deleted, Errors } = await client.send(
        new DeleteObjectsCommand({
          Bucket,
          Delete: { Objects: keys.filter((Key) => !Key.includes('\u0001')).map((Key) => ({ Key })) },
        }),
      )
      assert.equal(Errors, undefined)
      assert.equal(Deleted?.length, keys.length - 1)
      await remove('\t\n\u0001')
      assert.equal((await client.send(new ListObjectsV2Command({ Bucket }))).KeyCount, 0)
    })

    it('keeps metadata and standard headers', async () => {
      const Metadata = { plain: 'value', spaced: 'a  b', empty: '' }
      const Expires = new Date(Date.UTC(2030, 0, 1))
      const headers = {
        ContentType: 'text/x-test',
        CacheControl: 'max-age=1',
        ContentDisposition: 'attachment; filename="x"',
        ContentEncoding: 'gzip',
        ContentLanguage: 'de',
      }
      await client.send(
        new PutObjectCommand({
          Bucket,
          Key: 'meta',
          Body: Readable.from(['x']),
          ContentLength: 1,
          Metadata,
          Expires,
          StorageClass: 'STANDARD_IA',
          ...headers,
        }),
      )
      const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'meta' }))
      assert.deepEqual(head.Metadata, { plain: 'value', spaced: 'a  b', empty: '' })
      for (const [name, value] of Object.entries(headers)) assert.equal(head[name as keyof typeof headers], value)
      assert.equal(head.ExpiresString, Expires.toUTCString())
      assert.equal(head.StorageClass, 'STANDARD_IA')
      assert.equal(head.AcceptRanges, 'bytes')
      await remove('meta')
    })

    it('is refused 2,049 bytes of metadata', async () => {
      const put = (size: number) =>
        client.send(new PutObjectCommand({ Bucket, Key: 'fat', Body: 'x', Metadata: { k: 'v'.repeat(size - 1) } }))
      await put(2048)
      await fails(put(2049), 'MetadataTooLarge', 400)
      await remove('fat')
    })

    it('reads ranges', async () => {
      await client.send(new PutObjectCommand({ Bucket, Key: 'ranged', Body: '0123456789' }))
      const cases: [string, string, string | undefined][] = [
        ['bytes=0-0', '0', 'bytes 0-0/10'],
        ['bytes=2-4', '234', 'bytes 2-4/10'],
        ['bytes=7-', '789', 'bytes 7-9/10'],
        ['bytes=-3', '789', 'bytes 7-9/10'],
        ['bytes=-99', '0123456789', 'bytes 0-9/10'],
        ['bytes=8-99', '89', 'bytes 8-9/10'],
        ['bytes=4-2', '0123456789', undefined],
        ['bytes=0-1,3-4', '0123456789', undefined],
        ['lines=0-1', '0123456789', undefined],
      ]
      for (const [Range, text, contentRange] of cases) {
        const got = await client.send(new GetObjectCommand({ Bucket, Key: 'ranged', Range }))
        assert.equal(await got.Body!.transformToString(), text, Range)
        assert.equal(got.ContentRange, contentRange)
        assert.equal(got.$metadata.httpStatusCode, contentRange === undefined ? 200 : 206)
        assert.equal(
          (await client.send(new HeadObjectCommand({ Bucket, Key: 'ranged', Range }))).ContentLength,
          text.length,
        )
      }
      for (const Range of ['bytes=10-', 'bytes=-0']) {
        await fails(client.send(new GetObjectCommand({ Bucket, Key: 'ranged', Range })), 'InvalidRange', 416)
      }
      await remove('ranged')
    })

    it('reads under conditions', async () => {
      const { ETag } = await client.send(new PutObjectCommand({ Bucket, Key: 'when', Body: 'now' }))
      const get = (conditions: object) =>
        client
          .send(new GetObjectCommand({ Bucket, Key: 'when', ...conditions }))
          .then(({ Body }) => Body!.transformToString())
      const past = new Date(Date.now() - 3600_000)
      const future = new Date(Date.now() + 3600_000)
      assert.equal(await get({ IfMatch: ETag }), 'now')
      assert.equal(await get({ IfMatch: ETag, IfUnmodifiedSince: past }), 'now')
      assert.equal(await get({ IfNoneMatch: '"other"', IfModifiedSince: future }), 'now')
      assert.equal(await get({ IfModifiedSince: past, IfUnmodifiedSince: future }), 'now')
      await fails(get({ IfMatch: '"other"' }), 'PreconditionFailed', 412)
      await fails(get({ IfUnmodifiedSince: past }), 'PreconditionFailed', 412)
      await fails(get({ IfNoneMatch: ETag }), 'Unknown', 304)
      await fails(get({ IfNoneMatch: ETag, IfModifiedSince: past }), 'Unknown', 304)
      await fails(get({ IfModifiedSince: future }), 'Unknown', 304)
      await remove('when')
    })

    it('writes under conditions', async () => {
      const put = (conditions: object) =>
        client.send(new PutObjectCommand({ Bucket, Key: 'once', Body: 'x', ...conditions }))
      await fails(put({ IfMatch: '"none"' }), 'NoSuchKey', 404)
      const { ETag } = await put({ IfNoneMatch: '*' })
      await fails(put({ IfNoneMatch: '*' }), 'PreconditionFailed', 412)
      await fails(put({ IfMatch: '"other"' }), 'PreconditionFailed', 412)
      await put({ IfMatch: ETag })
      await fails(put({ IfNoneMatch: ETag }), 'NotImplemented', 501)
      await fails(
        client.send(new DeleteObjectCommand({ Bucket, Key: 'once', IfMatch: '"other"' })),
        'PreconditionFailed',
        412,
      )
      await remove('once')
    })

    it('copies, with the metadata of the source or its own', async () => {
      await client.send(
        new PutObjectCommand({
          Bucket,
          Key: 'from/ä +1',
          Body: 'copied',
          Metadata: { a: '1' },
          StorageClass: 'STANDARD_IA',
        }),
      )
      const CopySource = `/${Bucket}/${encodeURIComponent('from/ä +1')}`
      const copy = (init: object) => client.send(new CopyObjectCommand({ Bucket, Key: 'to', CopySource, ...init }))
      const { CopyObjectResult } = await copy({})
      const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'to' }))
      assert.equal(CopyObjectResult?.ETag, head.ETag)
      assert.deepEqual(head.Metadata, { a: '1' })
      assert.equal(head.StorageClass, undefined, 'the class is the request’s')
      await copy({ MetadataDirective: 'REPLACE', Metadata: { b: '2' } })
      assert.deepEqual((await client.send(new HeadObjectCommand({ Bucket, Key: 'to' }))).Metadata, { b: '2' })
      assert.equal(await read('to'), 'copied')
      await fails(copy({ CopySourceIfMatch: '"other"' }), 'PreconditionFailed', 412)
      await fails(copy({ CopySourceIfNoneMatch: head.ETag }), 'PreconditionFailed', 412)
      await fails(copy({ CopySource: `${Bucket}/absent` }), 'NoSuchKey', 404)
      await fails(copy({ CopySource: 'nonsense' }), 'InvalidArgument', 400)
      await fails(copy({ Key: 'from/ä +1' }), 'InvalidRequest', 400)
      await copy({ Key: 'from/ä +1', MetadataDirective: 'REPLACE' })
      await remove('from/ä +1')
      assert.equal(await read('to'), 'copied')
      await remove('to')
    })

    it('deletes what is there and what is not', async () => {
      await put('gone')
      await remove('gone')
      await remove('gone')
      await fails(client.send(new GetObjectCommand({ Bucket, Key: 'gone' })), 'NoSuchKey', 404)
      await fails(client.send(new HeadObjectCommand({ Bucket, Key: 'gone' })), 'NotFound', 404)
    })

    it('deletes many quietly, and hears of the ones refused', async () => {
      for (const key of ['d1', 'd2']) await put(key)
      const Objects = [
        { Key: 'd1' },
        { Key: 'd2', VersionId: 'null' },
        { Key: 'x'.repeat(1025) },
        { Key: 'd3', VersionId: 'v7' },
      ]
      const { Deleted, Errors } = await client.send(
        new DeleteObjectsCommand({ Bucket, Delete: { Quiet: true, Objects } }),
      )
      assert.equal(Deleted, undefined)
      assert.deepEqual(
        Errors?.map(({ Code }) => Code),
        ['KeyTooLongError', 'NoSuchVersion'],
      )
      assert.equal((await client.send(new ListObjectsCommand({ Bucket }))).Contents, undefined)
      const many = Array.from({ length: 1001 }, (_, i) => ({ Key: `k${i}` }))
      await fails(client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: many } })), 'MalformedXML', 400)
    })

    it('answers what is asked about an object', async () => {
      const { ETag, ChecksumCRC32 } = await put('attributes')
      const got = await client.send(
        new GetObjectAttributesCommand({
          Bucket,
          Key: 'attributes',
          ObjectAttributes: ['ETag', 'ObjectSize', 'Checksum', 'StorageClass'],
        }),
      )
      assert.equal(`"${got.ETag}"`, ETag)
      assert.equal(got.ObjectSize, 'attributes'.length)
      assert.equal(got.Checksum?.ChecksumCRC32, ChecksumCRC32)
      await remove('attributes')
    })
  })

  describe('with presigned URLs', () => {
    // Without the checksum of a body that the signer does not know: by default the SDK signs that of an empty one.
    let signer: S3Client
    before(() => {
      signer = s3.clientOf(MAIN, { requestChecksumCalculation: 'WHEN_REQUIRED' })
    })

    it('is held to the checksum that was signed, as by S3', async () => {
      const put = await getSignedUrl(client, new PutObjectCommand({ Bucket, Key: 'empty' }))
      const answer = await fetch(put, { method: 'PUT', body: 'not empty' })
      assert.equal(answer.status, 400)
      assert.match(await answer.text(), /BadDigest/)
      assert.equal((await fetch(put, { method: 'PUT', body: '' })).status, 200)
      await remove('empty')
    })

    it('puts, gets with other headers, and deletes', async () => {
      const put = await getSignedUrl(signer, new PutObjectCommand({ Bucket, Key: 'signed +ä' }), { expiresIn: 60 })
      const answer = await fetch(put, { method: 'PUT', body: 'by url' })
      assert.equal(answer.status, 200, await answer.text())
      const get = await getSignedUrl(
        client,
        new GetObjectCommand({
          Bucket,
          Key: 'signed +ä',
          ResponseContentType: 'text/override',
          ResponseContentDisposition: 'inline',
        }),
      )
      const got = await fetch(get)
      assert.equal(await got.text(), 'by url')
      assert.equal(got.headers.get('content-type'), 'text/override')
      assert.equal(got.headers.get('content-disposition'), 'inline')
      const tampered = await fetch(get.replace('override', 'other'))
      assert.equal(tampered.status, 403)
      assert.match(await tampered.text(), /SignatureDoesNotMatch/)
      const remove = await getSignedUrl(client, new DeleteObjectCommand({ Bucket, Key: 'signed +ä' }))
      assert.equal((await fetch(remove, { method: 'DELETE' })).status, 204)
    })

    it('carries metadata in the URL', async () => {
      const url = await getSignedUrl(
        signer,
        new PutObjectCommand({ Bucket, Key: 'hoisted', Metadata: { tag: 'ü' }, StorageClass: 'STANDARD_IA' }),
      )
      assert.equal((await fetch(url, { method: 'PUT', body: 'x' })).status, 200)
      const info = await s3.objects.headObject(Bucket, 'hoisted')
      assert.equal(info.metadata['x-amz-meta-tag'], 'ü')
      assert.equal(info.metadata['x-amz-storage-class'], 'STANDARD_IA')
      await remove('hoisted')
    })
  })

  describe('listing', () => {
    const keys = ['a', 'a/1', 'a/2', 'a0', 'b/1', 'b/c/1', 'z', 'ä', '😀', '\uffee']
    before(async () => {
      for (const key of keys) await put(key)
    })

    it('finds keys in the order of their UTF-8 bytes', async () => {
      const { Contents } = await client.send(new ListObjectsV2Command({ Bucket }))
      assert.deepEqual(
        Contents?.map(({ Key }) => Key),
        ['a', 'a/1', 'a/2', 'a0', 'b/1', 'b/c/1', 'z', 'ä', '\uffee', '😀'],
      )
    })

    it('rolls keys up at a delimiter', async () => {
      const roots = await client.send(new ListObjectsCommand({ Bucket, Delimiter: '/' }))
      assert.deepEqual(
        roots.CommonPrefixes?.map(({ Prefix }) => Prefix),
        ['a/', 'b/'],
      )
      assert.deepEqual(
        roots.Contents?.map(({ Key }) => Key),
        ['a', 'a0', 'z', 'ä', '\uffee', '😀'],
      )
      const below = await client.send(new ListObjectsV2Command({ Bucket, Delimiter: '/', Prefix: 'b/' }))
      assert.deepEqual(
        below.CommonPrefixes?.map(({ Prefix }) => Prefix),
        ['b/c/'],
      )
      assert.equal(below.KeyCount, 2)
    })

    it('pages of any size join to the whole, by both versions', async () => {
      for (const Delimiter of [undefined, '/']) {
        const whole = await client.send(new ListObjectsV2Command({ Bucket, Delimiter }))
        const expected = [
          ...(whole.Contents ?? []).map(({ Key }) => Key),
          ...(whole.CommonPrefixes ?? []).map(({ Prefix }) => Prefix),
        ].sort()
        for (const MaxKeys of [1, 2, 3, 7]) {
          const second: (string | undefined)[] = []
          let ContinuationToken: string | undefined
          do {
            const page = await client.send(new ListObjectsV2Command({ Bucket, Delimiter, MaxKeys, ContinuationToken }))
            assert.ok(page.KeyCount! <= MaxKeys)
            second.push(
              ...(page.Contents ?? []).map(({ Key }) => Key),
              ...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix),
            )
            assert.equal(page.IsTruncated, page.NextContinuationToken !== undefined)
            ContinuationToken = page.NextContinuationToken
          } while (ContinuationToken !== undefined)
          assert.deepEqual(second.sort(), expected)

          const first: (string | undefined)[] = []
          let Marker: string | undefined
          do {
            const page = await client.send(new ListObjectsCommand({ Bucket, Delimiter, MaxKeys, Marker }))
            first.push(
              ...(page.Contents ?? []).map(({ Key }) => Key),
              ...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix),
            )
            Marker = page.IsTruncated ? (page.NextMarker ?? page.Contents!.at(-1)!.Key) : undefined
          } while (Marker !== undefined)
          assert.deepEqual(first.sort(), expected)
        }
      }
    })

    it('starts after a key, shows owners when asked, and nothing for zero keys', async () => {
      const after = await client.send(new ListObjectsV2Command({ Bucket, StartAfter: 'b/c/1', FetchOwner: true }))
      assert.deepEqual(
        after.Contents?.map(({ Key }) => Key),
        ['z', 'ä', '\uffee', '😀'],
      )
      assert.equal(after.Contents![0]!.Owner?.ID, MAIN.id)
      const none = await client.send(new ListObjectsV2Command({ Bucket, MaxKeys: 0 }))
      assert.deepEqual([none.KeyCount, none.IsTruncated], [0, false])
      await fails(client.send(new ListObjectsV2Command({ Bucket, ContinuationToken: '!' })), 'InvalidArgument', 400)
      await fails(client.send(new ListObjectsV2Command({ Bucket, MaxKeys: -1 })), 'InvalidArgument', 400)
      await fails(client.send(new ListObjectsV2Command({ Bucket: 'no-such-bucket' })), 'NoSuchBucket', 404)
    })

    it('sees every object as its only version', async () => {
      const { Versions, IsTruncated, NextKeyMarker } = await client.send(
        new ListObjectVersionsCommand({ Bucket, MaxKeys: 2 }),
      )
      assert.deepEqual(
        Versions?.map(({ Key, VersionId, IsLatest }) => [Key, VersionId, IsLatest]),
        [
          ['a', 'null', true],
          ['a/1', 'null', true],
        ],
      )
      assert.deepEqual([IsTruncated, NextKeyMarker], [true, 'a/1'])
      assert.equal(await read('a/1', 'null'), 'a/1')
      await fails(client.send(new GetObjectCommand({ Bucket, Key: 'a', VersionId: 'v1' })), 'NoSuchVersion', 404)
      for (const key of keys) await remove(key)
    })
  })

  describe('with multipart uploads', () => {
    const Key = 'big'
    let UploadId: string

    beforeEach(async () => {
      UploadId = (
        await client.send(
          new CreateMultipartUploadCommand({ Bucket, Key, Metadata: { m: '1' }, ChecksumAlgorithm: 'CRC32' }),
        )
      ).UploadId!
    })

    it('puts together what came in any order', async () => {
      const bodies = [randomBytes(5 * MIB), randomBytes(5 * MIB + 1), randomBytes(9)]
      const Parts: CompletedPart[] = []
      for (const PartNumber of [3, 1, 2]) {
        const part = await client.send(
          new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body: bodies[PartNumber - 1] }),
        )
        Parts.push({ PartNumber, ETag: part.ETag, ChecksumCRC32: part.ChecksumCRC32 })
      }
      const listed = await client.send(new ListPartsCommand({ Bucket, Key, UploadId, MaxParts: 2 }))
      assert.deepEqual(
        listed.Parts?.map(({ PartNumber, Size }) => [PartNumber, Size]),
        [
          [1, 5 * MIB],
          [2, 5 * MIB + 1],
        ],
      )
      assert.deepEqual([listed.IsTruncated, listed.NextPartNumberMarker], [true, '2'])
      const complete = () =>
        client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }))
      await fails(complete(), 'InvalidPartOrder', 400)
      Parts.sort((a, b) => a.PartNumber! - b.PartNumber!)
      const done = await complete()
      const md5s = bodies.map((body) => createHash('md5').update(body).digest())
      assert.equal(done.ETag, `"${createHash('md5').update(Buffer.concat(md5s)).digest('hex')}-3"`)
      assert.equal((await complete()).ETag, done.ETag, 'asking again gives the same answer')
      const got = await client.send(new GetObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }))
      assert.deepEqual(Buffer.from(await got.Body!.transformToByteArray()), Buffer.concat(bodies))
      assert.deepEqual(got.Metadata, { m: '1' })
      assert.equal(got.ChecksumCRC32, done.ChecksumCRC32)
      const second = await client.send(new GetObjectCommand({ Bucket, Key, PartNumber: 2 }))
      assert.deepEqual(Buffer.from(await second.Body!.transformToByteArray()), bodies[1])
      assert.equal(second.PartsCount, 3)
      await fails(client.send(new GetObjectCommand({ Bucket, Key, PartNumber: 4 })), 'InvalidRange', 416)
      await remove(Key)
    })

    it('has the CRC of the whole if it wants it', async () => {
      const bodies = [randomBytes(5 * MIB), randomBytes(100)]
      for (const ChecksumAlgorithm of ['CRC32', 'CRC32C', 'CRC64NVME'] as const) {
        const created = await client.send(
          new CreateMultipartUploadCommand({ Bucket, Key: 'crc', ChecksumAlgorithm, ChecksumType: 'FULL_OBJECT' }),
        )
        const Parts = []
        for (const [index, Body] of bodies.entries()) {
          const part = await client.send(
            new UploadPartCommand({
              Bucket,
              Key: 'crc',
              UploadId: created.UploadId,
              PartNumber: index + 1,
              Body,
              ChecksumAlgorithm,
            }),
          )
          Parts.push({ PartNumber: index + 1, ETag: part.ETag })
        }
        const wrong = { Bucket, Key: 'crc', UploadId: created.UploadId, MultipartUpload: { Parts } }
        const bad = {
          [`Checksum${ChecksumAlgorithm}`]: ChecksumAlgorithm === 'CRC64NVME' ? 'AAAAAAAAAAA=' : 'AAAAAA==',
        }
        await fails(client.send(new CompleteMultipartUploadCommand({ ...wrong, ...bad })), 'BadDigest', 400)
        const done = await client.send(new CompleteMultipartUploadCommand(wrong))
        const put = await client.send(
          new PutObjectCommand({ Bucket, Key: 'crc', Body: Buffer.concat(bodies), ChecksumAlgorithm }),
        )
        assert.equal(done[`Checksum${ChecksumAlgorithm}`], put[`Checksum${ChecksumAlgorithm}`])
        assert.equal(done.ChecksumType, 'FULL_OBJECT')
      }
      await remove('crc')
    })

    it('copies parts, ranges too', async () => {
      const source = randomBytes(5 * MIB + 10)
      await client.send(new PutObjectCommand({ Bucket, Key: 'source', Body: source }))
      const copy = (PartNumber: number, CopySourceRange?: string) =>
        client.send(
          new UploadPartCopyCommand({
            Bucket,
            Key,
            UploadId,
            PartNumber,
            CopySource: `${Bucket}/source`,
            CopySourceRange,
          }),
        )
      const Parts = [
        { PartNumber: 1, ETag: (await copy(1)).CopyPartResult?.ETag },
        { PartNumber: 2, ETag: (await copy(2, 'bytes=5-9')).CopyPartResult?.ETag },
      ]
      await fails(copy(3, `bytes=0-${source.length}`), 'InvalidArgument', 400)
      await fails(copy(3, 'bytes=5-'), 'InvalidArgument', 400)
      await client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }))
      const got = await client.send(new GetObjectCommand({ Bucket, Key }))
      assert.deepEqual(
        Buffer.from(await got.Body!.transformToByteArray()),
        Buffer.concat([source, source.subarray(5, 10)]),
      )
      await remove(Key)
      await remove('source')
    })

    it('is refused parts that are small, absent, changed or of another checksum', async () => {
      const upload = (PartNumber: number, more: object = {}) =>
        client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body: 'small', ...more }))
      const complete = (Parts: object[], more: object = {}) =>
        client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts }, ...more }))
      const { ETag } = await upload(1)
      await upload(2)
      await fails(upload(0), 'InvalidArgument', 400)
      await fails(upload(10_001), 'InvalidArgument', 400)
      await fails(upload(3, { ChecksumAlgorithm: 'SHA256' }), 'InvalidRequest', 400)
      await fails(
        complete([
          { PartNumber: 1, ETag },
          { PartNumber: 2, ETag },
        ]),
        'EntityTooSmall',
        400,
      )
      await fails(complete([{ PartNumber: 3, ETag }]), 'InvalidPart', 400)
      await fails(complete([{ PartNumber: 1, ETag: '"0123456789abcdef0123456789abcdef"' }]), 'InvalidPart', 400)
      await fails(complete([{ PartNumber: 1, ETag, ChecksumCRC32: 'AAAAAA==' }]), 'InvalidPart', 400)
      await fails(complete([]), 'MalformedXML', 400)
      await fails(complete([{ PartNumber: 1, ETag }], { MpuObjectSize: 6 }), 'InvalidRequest', 400)
      await fails(complete([{ PartNumber: 1, ETag }], { IfMatch: '"x"' }), 'NoSuchKey', 404)
      await complete([{ PartNumber: 1, ETag }], { MpuObjectSize: 5, IfNoneMatch: '*' })
      assert.equal(await read(Key), 'small')
      await remove(Key)
    })

    it('lists uploads and aborts them', async () => {
      const other = (await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'dir/x' }))).UploadId!
      const all = await client.send(new ListMultipartUploadsCommand({ Bucket, Delimiter: '/' }))
      assert.ok(all.Uploads?.some((upload) => upload.UploadId === UploadId))
      assert.deepEqual(
        all.CommonPrefixes?.map(({ Prefix }) => Prefix),
        ['dir/'],
      )
      const first = await client.send(new ListMultipartUploadsCommand({ Bucket, MaxUploads: 1 }))
      const next = await client.send(
        new ListMultipartUploadsCommand({
          Bucket,
          KeyMarker: first.NextKeyMarker,
          UploadIdMarker: first.NextUploadIdMarker,
        }),
      )
      assert.equal(
        next.Uploads!.length + 1,
        (await client.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads!.length,
      )
      await client.send(new AbortMultipartUploadCommand({ Bucket, Key: 'dir/x', UploadId: other }))
      await fails(client.send(new ListPartsCommand({ Bucket, Key: 'dir/x', UploadId: other })), 'NoSuchUpload', 404)
      await fails(
        client.send(new UploadPartCommand({ Bucket, Key, UploadId: 'nonsense', PartNumber: 1, Body: 'x' })),
        'NoSuchUpload',
        404,
      )
      await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }))
    })
  })

  it('finds its requests in the metrics', async () => {
    const text = await s3.metrics.metrics()
    assert.match(text, /cumulus_gateway_s3_requests_total\{operation="PutObject",status="200"\} \d+/)
    assert.match(text, /cumulus_gateway_s3_requests_total\{operation="GetObject",status="416"\} \d+/)
    assert.match(text, /cumulus_gateway_s3_auth_failures_total\{reason="SignatureDoesNotMatch"\} 1/)
    assert.match(text, /cumulus_gateway_s3_received_bytes_total \d{6,}/)
    assert.match(text, /cumulus_gateway_s3_in_flight_requests 0/)
  })

  function put(Key: string) {
    return client.send(new PutObjectCommand({ Bucket, Key, Body: Key }))
  }

  async function read(Key: string, VersionId?: string): Promise<string> {
    return (await client.send(new GetObjectCommand({ Bucket, Key, VersionId }))).Body!.transformToString()
  }

  function remove(Key: string) {
    return client.send(new DeleteObjectCommand({ Bucket, Key }))
  }

  function plainHttp(
    method: string,
    url: URL,
    body: Buffer,
    headers: Record<string, string>,
  ): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        { host: '127.0.0.1', port: s3.port, method, path: url.pathname + url.search, headers },
        (answer) => {
          answer.resume().on('end', () => resolve(answer.statusCode))
        },
      )
      outgoing.on('error', reject).end(body)
    })
  }
})

async function fails(promise: Promise<unknown>, name: string, status: number): Promise<void> {
  await assert.rejects(promise, (error: S3ServiceException) => {
    assert.deepEqual([error.name, error.$metadata?.httpStatusCode], [name, status], error.message)
    return true
  })
}
