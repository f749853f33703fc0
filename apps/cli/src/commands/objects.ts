import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat as statFile } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import type { Readable } from 'node:stream'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import {
  CreateBucketCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { CliError, command, formatBytes, UsageError } from '../command.ts'
import { explainS3Error, objectSettings, openObjects, parseObjectPath } from '../object-client.ts'
import { Progress } from '../progress.ts'
import { dim, renderTable } from '../table.ts'

/** Files up to this size go in one request; larger ones in parts of it. */
const PART_BYTES = 32 * 2 ** 20

export const put = command({
  name: 'put',
  summary: 'Stores files in a bucket. The bucket is made if it is not there.',
  positionals: 'FILE... BUCKET[/KEY]',
  settings: objectSettings,
  about:
    'A folder is stored with everything under it. A target that ends in "/" (or is a bucket alone) keeps the names of the files.',
  examples: ['cumulus put film.mp4 videos/', 'cumulus put ./site web/2026'],
  async run({ settings, positionals, signal }) {
    if (positionals.length < 2) throw new UsageError('name at least one file and a target')
    const sources = positionals.slice(0, -1)
    const target = parseObjectPath(positionals.at(-1)!)
    const client = await openObjects(settings)
    const stored: { key: string; size: number }[] = []
    try {
      await ensureBucket(client, target.bucket)
      for (const source of sources) {
        const files = await filesUnder(source)
        for (const file of files) {
          const key = keyFor(file, source, target.key, sources.length > 1 || files.length > 1 || file !== source)
          const size = await putFile(client, file, target.bucket, key, signal)
          stored.push({ key, size })
        }
      }
    } catch (error) {
      throw error instanceof CliError ? error : explainS3Error(error, `cannot store in ${target.bucket}`)
    } finally {
      client.destroy()
    }
    if (settings.json) console.log(JSON.stringify({ bucket: target.bucket, stored }))
    return 0
  },
})

export const get = command({
  name: 'get',
  summary: 'Fetches an object, verified, into a file.',
  positionals: 'BUCKET/KEY [FILE]',
  settings: objectSettings,
  about:
    'FILE defaults to the last part of the key; "-" is standard output. The file appears only when every byte has arrived and was verified.',
  async run({ settings, positionals, signal }) {
    if (positionals.length < 1 || positionals.length > 2)
      throw new UsageError('name one object, and a file if you like')
    const { bucket, key } = parseObjectPath(positionals[0]!)
    if (key === '') throw new UsageError('name the key as well: BUCKET/KEY')
    const client = await openObjects(settings)
    const file = positionals[1] ?? basename(key)
    try {
      const size = await getFile(client, bucket, key, file, signal)
      if (settings.json && file !== '-') console.log(JSON.stringify({ bucket, key, file, size }))
    } catch (error) {
      throw error instanceof CliError ? error : explainS3Error(error, `cannot fetch ${bucket}/${key}`)
    } finally {
      client.destroy()
    }
    return 0
  },
})

export const ls = command({
  name: 'ls',
  summary: 'Lists buckets, or the objects of a bucket.',
  positionals: '[BUCKET[/PREFIX]]',
  settings: { ...objectSettings, recursive: { kind: 'flag', help: 'do not stop at "/"', default: false } },
  async run({ settings, positionals }) {
    const client = await openObjects(settings)
    try {
      if (positionals.length === 0) {
        const buckets = (await client.send(new ListBucketsCommand({}))).Buckets ?? []
        if (settings.json)
          console.log(JSON.stringify(buckets.map((bucket) => ({ name: bucket.Name, created: bucket.CreationDate }))))
        else
          for (const bucket of buckets)
            console.log(`${bucket.CreationDate?.toISOString().slice(0, 19).replace('T', ' ')}  ${bucket.Name}`)
        return 0
      }
      const { bucket, key: prefix } = parseObjectPath(positionals[0]!)
      let token: string | undefined
      const rows: string[][] = []
      do {
        const page = await client.send(
          new ListObjectsV2Command({
            Bucket: bucket,
            Prefix: prefix,
            ContinuationToken: token,
            ...(settings.recursive ? {} : { Delimiter: '/' }),
          }),
        )
        for (const common of page.CommonPrefixes ?? []) {
          if (settings.json) console.log(JSON.stringify({ prefix: common.Prefix }))
          else rows.push(['', dim('folder'), common.Prefix ?? ''])
        }
        for (const object of page.Contents ?? []) {
          if (settings.json)
            console.log(
              JSON.stringify({ key: object.Key, size: object.Size, modified: object.LastModified, etag: object.ETag }),
            )
          else
            rows.push([
              object.LastModified?.toISOString().slice(0, 19).replace('T', ' ') ?? '',
              formatBytes(object.Size ?? 0),
              object.Key ?? '',
            ])
        }
        token = page.NextContinuationToken
      } while (token !== undefined)
      if (!settings.json && rows.length > 0) console.log(renderTable([['modified', 'size', 'key'], ...rows]))
    } catch (error) {
      throw explainS3Error(error, 'cannot list')
    } finally {
      client.destroy()
    }
    return 0
  },
})

export const remove = command({
  name: 'rm',
  summary: 'Deletes objects.',
  positionals: 'BUCKET/KEY...',
  settings: {
    ...objectSettings,
    recursive: { kind: 'flag', help: 'everything whose key starts with this', default: false },
  },
  async run({ settings, positionals }) {
    if (positionals.length === 0) throw new UsageError('name at least one object')
    const client = await openObjects(settings)
    let deleted = 0
    try {
      for (const path of positionals) {
        const { bucket, key } = parseObjectPath(path)
        if (key === '' && !settings.recursive) throw new UsageError(`${path} is a bucket; --recursive empties it`)
        for await (const keys of settings.recursive ? keysUnder(client, bucket, key) : [[key]]) {
          const answer = await client.send(
            new DeleteObjectsCommand({
              Bucket: bucket,
              Delete: { Quiet: true, Objects: keys.map((name) => ({ Key: name })) },
            }),
          )
          const failed = answer.Errors?.[0]
          if (failed) throw new CliError(failed.Code ?? 'S3_ERROR', `cannot delete ${failed.Key}: ${failed.Message}`)
          deleted += keys.length
        }
      }
    } catch (error) {
      throw error instanceof CliError || error instanceof UsageError ? error : explainS3Error(error, 'cannot delete')
    } finally {
      client.destroy()
    }
    console.log(
      settings.json ? JSON.stringify({ deleted }) : `Deleted ${deleted} ${deleted === 1 ? 'object' : 'objects'}.`,
    )
    return 0
  },
})

export const stat = command({
  name: 'stat',
  summary: 'Shows what is known of an object or a bucket.',
  positionals: 'BUCKET[/KEY]',
  settings: objectSettings,
  async run({ settings, positionals }) {
    if (positionals.length !== 1) throw new UsageError('name one object or bucket')
    const { bucket, key } = parseObjectPath(positionals[0]!)
    const client = await openObjects(settings)
    try {
      const facts: Record<string, unknown> = { bucket }
      if (key === '') {
        await client.send(new HeadBucketCommand({ Bucket: bucket }))
        let objects = 0
        let bytes = 0
        for await (const page of pagesUnder(client, bucket, '')) {
          objects += page.length
          bytes += page.reduce((sum, object) => sum + (object.Size ?? 0), 0)
        }
        Object.assign(facts, { objects, bytes })
      } else {
        const head = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key, ChecksumMode: 'ENABLED' }))
        Object.assign(facts, {
          key,
          bytes: head.ContentLength,
          modified: head.LastModified,
          etag: head.ETag?.replaceAll('"', ''),
          type: head.ContentType,
          crc32: head.ChecksumCRC32,
          crc64nvme: head.ChecksumCRC64NVME,
          sha256: head.ChecksumSHA256,
          ...head.Metadata,
        })
      }
      if (settings.json) console.log(JSON.stringify(facts))
      else {
        for (const [name, value] of Object.entries(facts)) {
          if (value === undefined) continue
          const shown =
            name === 'bytes'
              ? `${value} (${formatBytes(Number(value))})`
              : value instanceof Date
                ? value.toISOString()
                : value
          console.log(`${dim(name.padEnd(10))} ${shown}`)
        }
      }
    } catch (error) {
      throw explainS3Error(error, `cannot look at ${positionals[0]}`)
    } finally {
      client.destroy()
    }
    return 0
  },
})

async function ensureBucket(client: S3Client, bucket: string): Promise<void> {
  try {
    await client.send(new HeadBucketCommand({ Bucket: bucket }))
  } catch (error) {
    const missing = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode === 404
    if (!missing) throw error
    await client.send(new CreateBucketCommand({ Bucket: bucket }))
    process.stderr.write(`Made bucket ${bucket}.\n`)
  }
}

/** The file itself, or every file under a folder. */
async function filesUnder(path: string): Promise<string[]> {
  const info = await statFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new CliError(
      'NO_SUCH_FILE',
      `cannot read ${path}: ${error.code === 'ENOENT' ? 'there is no such file' : error.message}`,
    )
  })
  if (!info.isDirectory()) return [path]
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

function keyFor(file: string, source: string, targetKey: string, several: boolean): string {
  const name = file === source ? basename(file) : relative(source, file).split(sep).join('/')
  if (targetKey === '') return name
  if (targetKey.endsWith('/')) return targetKey + name
  return several ? `${targetKey}/${name}` : targetKey
}

async function putFile(
  client: S3Client,
  file: string,
  bucket: string,
  key: string,
  signal: AbortSignal,
): Promise<number> {
  const { size } = await statFile(file)
  const progress = new Progress(key, size)
  try {
    if (size <= PART_BYTES) {
      const handle = await open(file, 'r')
      try {
        await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: await handle.readFile() }), {
          abortSignal: signal,
        })
      } finally {
        await handle.close()
      }
      progress.update(size)
    } else {
      const upload = new Upload({
        client,
        params: { Bucket: bucket, Key: key, Body: createReadStream(file, { highWaterMark: 2 ** 20 }) },
        partSize: PART_BYTES,
        queueSize: 2,
      })
      signal.addEventListener('abort', () => void upload.abort(), { once: true })
      upload.on('httpUploadProgress', (event) => progress.update(event.loaded ?? 0))
      await upload.done()
      progress.update(size)
    }
  } catch (error) {
    progress.fail()
    throw error
  }
  progress.finish()
  return size
}

async function getFile(
  client: S3Client,
  bucket: string,
  key: string,
  file: string,
  signal: AbortSignal,
): Promise<number> {
  const answer = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }), { abortSignal: signal })
  const body = answer.Body as Readable
  if (file === '-') {
    await pipeline(body, process.stdout, { signal, end: false })
    return answer.ContentLength ?? 0
  }
  const progress = new Progress(key, answer.ContentLength)
  const partial = `${resolve(file)}.partial`
  await mkdir(dirname(partial), { recursive: true })
  let done = 0
  const count = new Transform({
    transform(chunk: Buffer, _, next) {
      done += chunk.length
      progress.update(done)
      next(null, chunk)
    },
  })
  try {
    await pipeline(body, count, createWriteStream(partial, { flush: true }), { signal })
    if (answer.ContentLength !== undefined && done !== answer.ContentLength) {
      throw new CliError(
        'TRUNCATED',
        `${bucket}/${key} ended after ${done} of ${answer.ContentLength} bytes`,
        'Try again.',
      )
    }
    await rename(partial, file)
  } catch (error) {
    progress.fail()
    await rm(partial, { force: true })
    throw error
  }
  progress.finish()
  return done
}

async function* pagesUnder(client: S3Client, bucket: string, prefix: string) {
  let token: string | undefined
  do {
    const page = await client.send(
      new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, ContinuationToken: token }),
    )
    yield page.Contents ?? []
    token = page.NextContinuationToken
  } while (token !== undefined)
}

async function* keysUnder(client: S3Client, bucket: string, prefix: string): AsyncIterable<string[]> {
  for await (const page of pagesUnder(client, bucket, prefix)) {
    if (page.length > 0) yield page.map((object) => object.Key ?? '')
  }
}
