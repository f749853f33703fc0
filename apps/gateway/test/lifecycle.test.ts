import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Engine } from '../src/engine.ts'
import { recoverOwner } from '../src/recover.ts'
import { bytesOf, content, dataKeyOf, get, OTHER, OWNER, put, signal, TestNetwork, until } from './support/network.ts'

describe('the life of segments', () => {
  const network = new TestNetwork()
  let engine: Engine
  const store = () => engine.ownerStore(OWNER)!
  const segments = () => [...engine.index.segments(1n)]
  before(async () => {
    engine = await network.gateway()
    await engine.objects.createBucket(OWNER, 'b', { region: 'r', signal })
  })
  after(() => network.close())

  async function seal(): Promise<void> {
    await store().journal.rotate()
    await until(() => store().keeper.pendingSeals === 0 && store().keeper.pendingCommits === 0)
    await until(() => store().journal.packCount <= 1)
  }

  it('releases a segment when its object is deleted', async () => {
    await put(engine.objects, 'b', 'large', bytesOf(1, 262_080 * 2))
    await until(() => network.chain.count('committed') === 2)
    await engine.objects.deleteObject('b', 'large', { signal })
    await until(() => network.chain.count('released') === 2)
    assert.equal(segments().filter(({ kind }) => kind === 0).length, 0)
  })

  it('keeps what is being read until it is read, though it is replaced meanwhile', async () => {
    const bytes = bytesOf(2, 262_080 * 4)
    await put(engine.objects, 'b', 'read', bytes)
    await until(() => store().keeper.pendingCommits === 0)
    const reader = await engine.objects.getObject('b', 'read')
    const stream = reader.read({ start: 0, end: bytes.length }, signal)[Symbol.asyncIterator]()
    const parts = [(await stream.next()).value as Uint8Array]
    await put(engine.objects, 'b', 'read', bytesOf(3, 10))
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    for (let next = await stream.next(); !next.done; next = await stream.next()) parts.push(next.value)
    assert.deepEqual(Buffer.concat(parts), bytes)
    const released = network.chain.count('released')
    reader.close()
    await until(() => network.chain.count('released') >= released + 4)
    assert.deepEqual(await get(engine.objects, 'b', 'read'), bytesOf(3, 10))
  })

  it('releases what an upload that failed has written', async () => {
    const released = network.chain.count('released')
    const body = (async function* () {
      yield bytesOf(4, 600_000)
      throw new Error('the client went away')
    })()
    const broken = { size: 1_000_000, body, digest: () => ({ etag: 'never' }) }
    await assert.rejects(
      engine.objects.putObject({ bucket: 'b', key: 'broken' }, broken, { metadata: {}, owner: OWNER, signal }),
      /went away/,
    )
    await until(() => network.chain.count('released') === released + 2)
    await assert.rejects(get(engine.objects, 'b', 'broken'), { code: 'NoSuchKey' })
  })

  it('leaves nothing of a body whose digest is wrong', async () => {
    const wrong = { ...content(bytesOf(5, 1_000)), digest: () => assert.fail('BadDigest') as never }
    await assert.rejects(
      engine.objects.putObject({ bucket: 'b', key: 'wrong' }, wrong, { metadata: {}, owner: OWNER, signal }),
      /BadDigest/,
    )
    await assert.rejects(get(engine.objects, 'b', 'wrong'), { code: 'NoSuchKey' })
  })

  it('compacts packs that are less than half needed, and everything in them stays', async () => {
    const kept = new Map<string, Buffer>()
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 12; i++) {
        const key = `pack/${round}/${i}`
        const bytes = bytesOf(round * 100 + i, 15_000)
        await put(engine.objects, 'b', key, bytes)
        if (i % 6 === 0) kept.set(key, bytes)
      }
      await seal()
    }
    const target = { bucket: 'b', key: 'multi' }
    const { uploadId } = await engine.objects.createUpload(target, { metadata: {}, owner: OWNER })
    await engine.objects.putPart(target, uploadId, 1, content(bytesOf(6, 20_000)), signal)
    await seal()
    const before = segments().filter(({ kind }) => kind === 1).length
    const all = { prefix: 'pack/', delimiter: '', after: '', limit: 1000 }
    const keys = (await engine.objects.listObjects('b', all)).items.map(({ key }) => key)
    await engine.objects.deleteObjects(
      'b',
      keys.filter((key) => !kept.has(key)),
      signal,
    )
    await until(() => segments().filter(({ kind }) => kind === 1).length < before - 1)
    for (const [key, bytes] of kept) assert.deepEqual(await get(engine.objects, 'b', key), bytes)
    await engine.objects.completeUpload(
      target,
      uploadId,
      [{ partNumber: 1 }],
      { etag: 'e-1' },
      { metadata: {}, owner: OWNER, signal },
    )
    assert.deepEqual(await get(engine.objects, 'b', 'multi'), bytesOf(6, 20_000))
    await seal()

    // What was deleted stays deleted for a gateway that only has the packs.
    await network.stop(engine)
    const folder = await network.folder()
    const account = '0x0000000000000000000000000000000000000077'
    engine = await network.gateway({ folder, account, owners: false })
    const components = { chain: network.chain.as(account), log: network.log, folder, signal }
    await recoverOwner(engine, components, { owner: OWNER, territory: 1n, dataKey: dataKeyOf(OWNER) })
    const found = (await engine.objects.listObjects('b', { ...all, prefix: '' })).items.map(({ key }) => key)
    assert.deepEqual(found, ['multi', ...kept.keys(), 'read'].sort())
    for (const [key, bytes] of kept) assert.deepEqual(await get(engine.objects, 'b', key), bytes)
  })

  it('moves a segment whose reservation ran out before it was committed', async () => {
    network.chain.refuseCommits = true
    const bytes = bytesOf(7, 262_080)
    await put(engine.objects, 'b', 'moved', bytes)
    network.chain.now += network.params.reservationEpochs + 1
    network.chain.refuseCommits = false
    await until(() => store().keeper.stats.relocated >= 1 && store().keeper.pendingCommits === 0)
    assert.deepEqual(await get(engine.objects, 'b', 'moved'), bytes)
  })

  it('says what is missing when the territory is full', async () => {
    network.chain.capacityStripes = 0
    await assert.rejects(
      (async () => {
        for (let i = 0; i < 40; i++) await put(engine.objects, 'b', 'full', bytesOf(8, 262_080))
      })(),
      { code: 'QuotaExceeded' },
    )
    network.chain.capacityStripes = Number.POSITIVE_INFINITY
    await until(async () => {
      try {
        await put(engine.objects, 'b', 'full', bytesOf(9, 262_080))
        return true
      } catch {
        return false
      }
    })
    assert.deepEqual(await get(engine.objects, 'b', 'full'), bytesOf(9, 262_080))
  })

  it('keeps the buckets of owners apart', async () => {
    await engine.addOwner({ owner: OTHER, territory: 2n, dataKey: dataKeyOf(OTHER) })
    await assert.rejects(engine.objects.createBucket(OTHER, 'b', { region: 'r', signal }), {
      code: 'BucketAlreadyExists',
    })
    await engine.objects.createBucket(OTHER, 'c', { region: 'r', signal })
    assert.deepEqual(
      (await engine.objects.listBuckets(OTHER)).map(({ name }) => name),
      ['c'],
    )
    await assert.rejects(engine.objects.deleteBucket('b', signal), { code: 'BucketNotEmpty' })
  })
})
