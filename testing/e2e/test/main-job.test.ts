import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { LocalNetwork } from '../src/local-network.ts'
import { digestOf, seededBytes, seededChunks, seededDigest, seededStream } from '../src/seeded-bytes.ts'

const MiB = 2 ** 20
const BUCKET = 'main-job'
const SMALL_COUNT = 5_000

/** What the network was given and must give back: size and SHA-256 by key. */
const expected = new Map<string, { bytes: number; sha256: string }>()

describe('a local network', { concurrency: false }, () => {
  let network: LocalNetwork
  let s3: S3Client

  before(async () => {
    network = await LocalNetwork.start()
    s3 = network.s3()
    await s3.send(new CreateBucketCommand({ Bucket: BUCKET }))
  })
  after(async () => {
    s3?.destroy()
    await network?.remove()
  })

  it('consists of separate processes, all healthy', async () => {
    const { processes } = await network.status()
    assert.deepEqual(
      (['validator', 'miner', 'tee-worker', 'gateway'] as const).map((role) => network.processes(role).length),
      [4, 12, 1, 1],
    )
    assert.equal(new Set(network.file.processes.map((entry) => entry.pid)).size, 18)
    for (const entry of processes) assert.ok(entry.ok, `${entry.name} is not healthy`)
  })

  it('takes objects of no bytes, one byte, 100 MB and 1 GiB', async () => {
    await store(
      'empty',
      0,
      async (key) => void (await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: '' }))),
    )
    await store(
      'one',
      1,
      async (key) =>
        void (await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: seededBytes(key, 1) }))),
    )
    // The SDK's defaults: multipart in parts of 5 MiB, CRC32 of every part, composite at the end.
    await store('multipart-100MB', 100e6, async (key, bytes) => {
      await new Upload({ client: s3, params: { Bucket: BUCKET, Key: key, Body: seededStream(key, bytes) } }).done()
    })
    await store('1GiB', 1024 * MiB, async (key, bytes) => {
      await s3.send(
        new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: seededStream(key, bytes), ContentLength: bytes }),
      )
    })
  })

  it(`takes ${SMALL_COUNT} objects of 4 KiB`, async () => {
    const keys = Array.from({ length: SMALL_COUNT }, (_, i) => `small/${String(i).padStart(5, '0')}`)
    await inParallel(32, keys, (key) =>
      store(
        key,
        4096,
        async () =>
          void (await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: seededBytes(key, 4096) }))),
      ),
    )
  })

  it('lists them all in order and gives them all back', async () => {
    assert.deepEqual(await listKeys(s3), [...expected.keys()].sort())
    await verifyAll()
  })

  it('keeps users apart', async () => {
    const other = network.s3('alt')
    await assert.rejects(other.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'one' })), { name: 'AccessDenied' })
    other.destroy()
  })

  it('gives everything back when 8 of 12 miners are killed, ranges included', async () => {
    await fullyStored()
    const doomed = network.processes('miner').filter((_, i) => i % 3 !== 1)
    assert.equal(doomed.length, 8)
    await Promise.all(doomed.map((entry) => network.kill(entry)))
    await verifyAll()
    const whole = { bytes: 1024 * MiB, key: '1GiB' }
    for (const [first, last] of [
      [0, 0],
      [65_519, 65_521],
      [33_546_239, 33_546_241],
      [700 * MiB - 3, 703 * MiB],
      [whole.bytes - 1, whole.bytes - 1],
    ] as const) {
      const answer = await s3.send(
        new GetObjectCommand({ Bucket: BUCKET, Key: whole.key, Range: `bytes=${first}-${last}` }),
      )
      assert.equal(answer.ContentRange, `bytes ${first}-${last}/${whole.bytes}`)
      assert.deepEqual(
        Buffer.from(await answer.Body!.transformToByteArray()),
        seededRange(whole.key, whole.bytes, first, last + 1),
      )
    }
  })

  it('refuses a write it cannot make durable, and says why', async () => {
    await assert.rejects(
      s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'too-few-miners', Body: seededBytes('x', 40 * MiB) })),
      { name: 'ServiceUnavailable' },
    )
    assert.ok(!(await listKeys(s3)).includes('too-few-miners'))
  })

  it('goes on when the miners are back, and have paid what their absence cost', async () => {
    await network.up()
    // Who misses two audits in a row loses some of its stake, and gets nothing new until that is made up for.
    for (const { name, role } of network.file.processes) {
      if (role !== 'miner') continue
      const stake = JSON.parse(await network.cumulus('miner', 'stake', '--name', name, '--json'))
      const missing = BigInt(stake.collateralLimit) - BigInt(stake.stake) + BigInt(stake.debt)
      if (missing > 0n)
        await network.cumulus('miner', 'stake', '--name', name, '--add', String(missing / 10n ** 18n + 1n))
    }
    await store('after-the-return', 40 * MiB, async (key, bytes) => {
      await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: seededBytes(key, bytes) }))
    })
    await verify('after-the-return')
  })

  it('loses nothing acknowledged when the gateway is killed in the middle of uploads', async () => {
    for (let round = 0; round < 2; round++) {
      const acknowledged: string[] = []
      let stop = false
      const writer = async (lane: number) => {
        for (let i = 0; !stop; i++) {
          const key = `crash/${round}/${lane}/${i}`
          const bytes = lane === 0 ? 20 * MiB : lane === 1 ? 300_000 : 4096
          const body = seededBytes(key, bytes)
          try {
            await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: body }))
          } catch {
            if (stop) return
            throw new Error(`${key} was refused before the kill`)
          }
          acknowledged.push(key)
          expected.set(key, { bytes, sha256: seededDigest(key, bytes) })
        }
      }
      const writers = [0, 1, 2, 3].map(writer)
      await network.until(
        'uploads acknowledged',
        60,
        async () => acknowledged.length > 60 && acknowledged.some((key) => key.includes(`/${round}/0/`)),
      )
      stop = true
      await network.kill(network.processes('gateway')[0]!)
      await Promise.all(writers)
      await network.up()
      const keys = new Set(await listKeys(s3))
      for (const key of acknowledged) assert.ok(keys.has(key), `${key} was acknowledged and is gone`)
      await inParallel(4, acknowledged, (key) => verify(key))
      // What was under way is there whole or not at all.
      for (const key of keys) {
        if (!key.startsWith(`crash/${round}/`) || expected.has(key)) continue
        const bytes = key.startsWith(`crash/${round}/0/`)
          ? 20 * MiB
          : key.startsWith(`crash/${round}/1/`)
            ? 300_000
            : 4096
        expected.set(key, { bytes, sha256: seededDigest(key, bytes) })
        await verify(key)
      }
    }
  })

  it('completes a multipart upload that was begun before the gateway was killed', async () => {
    const key = 'interrupted-multipart'
    const part = (n: number) => seededBytes(`${key}/${n}`, n === 3 ? 1_000 : 6 * MiB)
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket: BUCKET, Key: key }))
    const send = (n: number) =>
      s3.send(new UploadPartCommand({ Bucket: BUCKET, Key: key, UploadId, PartNumber: n, Body: part(n) }))
    const etags = new Map([
      [2, (await send(2)).ETag],
      [1, (await send(1)).ETag],
    ])
    await network.kill(network.processes('gateway')[0]!)
    await network.up()
    etags.set(3, (await send(3)).ETag)
    await s3.send(
      new CompleteMultipartUploadCommand({
        Bucket: BUCKET,
        Key: key,
        UploadId,
        MultipartUpload: { Parts: [1, 2, 3].map((n) => ({ PartNumber: n, ETag: etags.get(n) })) },
      }),
    )
    const whole = Buffer.concat([part(1), part(2), part(3)])
    const { sha256 } = await digestOf([whole] as unknown as AsyncIterable<Uint8Array>)
    expected.set(key, { bytes: whole.length, sha256 })
    await verify(key)
  })

  it('rebuilds everything from chain and network when the gateway has lost its folder', async () => {
    await s3.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'small/00000' }))
    expected.delete('small/00000')
    const gateway = network.processes('gateway')[0]!
    await network.kill(gateway)
    await rm(gateway.dir, { recursive: true })
    // A gateway without its index must not show empty buckets, nor write over what is there.
    await network.up()
    await assert.rejects(listKeys(s3), { name: 'ServiceUnavailable', message: /gateway recover/ })
    const owner = network.file.s3.users.find((user) => user.name === 'main')!
    await network.cumulus('gateway', 'recover', '--key', owner.ownerKey)
    await network.up()
    assert.deepEqual(await listKeys(s3), [...expected.keys()].sort())
    await verifyAll()
  })

  it('keeps its data over down and up', async () => {
    await network.down()
    await network.up()
    await verify('multipart-100MB')
    await verify('small/04999')
  })

  async function store(key: string, bytes: number, put: (key: string, bytes: number) => Promise<void>): Promise<void> {
    await put(key, bytes)
    expected.set(key, { bytes, sha256: seededDigest(key, bytes) })
  }

  async function verify(key: string): Promise<void> {
    const answer = await s3.send(new GetObjectCommand({ Bucket: BUCKET, Key: key }))
    const found = await digestOf(answer.Body as unknown as AsyncIterable<Uint8Array>)
    assert.deepEqual(found, { sha256: expected.get(key)!.sha256, bytes: expected.get(key)!.bytes }, key)
  }

  async function verifyAll(): Promise<void> {
    await inParallel(16, [...expected.keys()], verify)
  }

  /** Until every segment that was acknowledged is on all of its seats. */
  async function fullyStored(): Promise<void> {
    await network.until('every fragment on its seat', 120, async () => {
      const { processes } = await network.status()
      const owners = processes.find((entry) => entry.role === 'gateway')?.status['owners'] as {
        pendingSeals: number
        pendingRepairs: number
      }[]
      return owners.length > 0 && owners.every((owner) => owner.pendingSeals === 0 && owner.pendingRepairs === 0)
    })
  }
})

async function listKeys(s3: S3Client): Promise<string[]> {
  const keys: string[] = []
  let token: string | undefined
  do {
    const page = await s3.send(new ListObjectsV2Command({ Bucket: BUCKET, ContinuationToken: token }))
    for (const object of page.Contents ?? []) keys.push(object.Key!)
    token = page.NextContinuationToken
  } while (token !== undefined)
  return keys
}

async function inParallel<Item>(
  count: number,
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = [...items]
  await Promise.all(
    Array.from({ length: count }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item)
    }),
  )
}

/** Bytes [start, end) of the seeded object, made without keeping all of it. */
function seededRange(seed: string, bytes: number, start: number, end: number): Buffer {
  const parts: Buffer[] = []
  let at = 0
  for (const chunk of seededChunks(seed, bytes)) {
    const from = Math.max(start - at, 0)
    const to = Math.min(end - at, chunk.length)
    if (from < to) parts.push(Buffer.from(chunk.subarray(from, to)))
    at += chunk.length
    if (at >= end) break
  }
  return Buffer.concat(parts)
}
