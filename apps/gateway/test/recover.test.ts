import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import type { Engine } from '../src/engine.ts'
import { recoverOwner } from '../src/recover.ts'
import { bytesOf, content, dataKeyOf, get, OWNER, put, signal, TestNetwork, until } from './support/network.ts'

const CONTENT = new Map<string, Buffer>([
  ['empty', bytesOf(1, 0)],
  ['small', bytesOf(2, 5_000)],
  ['medium', bytesOf(3, 150_000)],
  ['large', bytesOf(4, 900_000)],
  ['späte/änderung', bytesOf(5, 70_000)],
])

async function fill(engine: Engine): Promise<void> {
  const { objects } = engine
  await objects.createBucket(OWNER, 'one', { region: 'r', signal })
  await objects.createBucket(OWNER, 'two', { region: 'r', signal })
  await objects.createBucket(OWNER, 'gone', { region: 'r', signal })
  for (const [key, bytes] of CONTENT) {
    await put(objects, 'one', key, bytesOf(99, 10_000))
    await put(objects, 'one', `deleted/${key}`, bytes)
    await put(objects, 'one', key, bytes)
  }
  await sealNow(engine)
  for (const key of CONTENT.keys()) await objects.deleteObject('one', `deleted/${key}`, { signal })
  await objects.deleteBucket('gone', signal)
  const target = { bucket: 'two', key: 'parts' }
  const { uploadId } = await objects.createUpload(target, { metadata: { 'x-amz-meta-a': 'b' }, owner: OWNER })
  await objects.putPart(target, uploadId, 1, content(bytesOf(10, 100_000)), signal)
  await objects.putPart(target, uploadId, 2, content(bytesOf(11, 50)), signal)
  await objects.completeUpload(
    target,
    uploadId,
    [{ partNumber: 1 }, { partNumber: 2 }],
    { etag: 'x-2' },
    {
      metadata: { 'x-amz-meta-a': 'b' },
      owner: OWNER,
      signal,
    },
  )
}

async function sealNow(engine: Engine): Promise<void> {
  const { journal, keeper } = engine.ownerStore(OWNER)!
  await journal.rotate()
  await until(() => keeper.pendingSeals === 0 && keeper.pendingCommits === 0)
}

async function hasAll({ objects }: Engine): Promise<void> {
  assert.deepEqual(
    (await objects.listBuckets(OWNER)).map(({ name }) => name),
    ['one', 'two'],
  )
  const query = { prefix: '', delimiter: '', after: '', limit: 1000 }
  assert.deepEqual(
    (await objects.listObjects('one', query)).items.map(({ key }) => key),
    [...CONTENT.keys()].sort(),
  )
  for (const [key, bytes] of CONTENT) assert.deepEqual(await get(objects, 'one', key), bytes)
  assert.deepEqual(await get(objects, 'two', 'parts'), Buffer.concat([bytesOf(10, 100_000), bytesOf(11, 50)]))
  assert.equal((await objects.headObject('two', 'parts')).metadata['x-amz-meta-a'], 'b')
}

describe('recovery of an owner on an empty gateway', () => {
  const networks: TestNetwork[] = []
  after(() => Promise.all(networks.map((network) => network.close())))

  async function lostGateway(prepare: (engine: Engine) => Promise<void> = async () => {}): Promise<TestNetwork> {
    const network = new TestNetwork()
    networks.push(network)
    const engine = await network.gateway()
    await fill(engine)
    await prepare(engine)
    await network.stop(engine)
    return network
  }

  async function recover(network: TestNetwork, account: `0x${string}` = '0x0000000000000000000000000000000000000077') {
    const folder = await network.folder()
    const engine = await network.gateway({ folder, account, owners: false })
    const result = await recoverOwner(
      engine,
      { chain: network.chain.as(account), log: network.log, folder, signal },
      { owner: OWNER, territory: 1n, dataKey: dataKeyOf(OWNER) },
    )
    return { engine, folder, result }
  }

  it('brings back packs, large objects and what was only in the open log', async () => {
    const network = await lostGateway()
    const { engine, result } = await recover(network)
    assert.deepEqual(result.lostSegments, [])
    assert.equal(result.objects, CONTENT.size + 1)
    await hasAll(engine)
    await put(engine.objects, 'one', 'after', bytesOf(20, 3_000))
    await sealNow(engine)
    await until(() => engine.ownerStore(OWNER)!.journal.packCount <= 1)
    await hasSame(engine, 'after', bytesOf(20, 3_000))
  })

  it('does so for a gateway of the same account, without using a stripe twice', async () => {
    const network = await lostGateway()
    const { engine } = await recover(network, '0x0000000000000000000000000000000000000099')
    await put(engine.objects, 'one', 'after', bytesOf(21, 900_000))
    await sealNow(engine)
    await hasSame(engine, 'after', bytesOf(21, 900_000))
  })

  it('survives a restart afterwards, and a second recovery', async () => {
    const network = await lostGateway()
    const first = await recover(network)
    await put(first.engine.objects, 'two', 'later', bytesOf(22, 40_000))
    await network.stop(first.engine)
    const again = await network.gateway({ folder: first.folder, account: '0x0000000000000000000000000000000000000077' })
    await hasAll(again)
    await network.stop(again)
    const second = await recover(network, '0x0000000000000000000000000000000000000055')
    await hasAll(second.engine)
    assert.deepEqual(await get(second.engine.objects, 'two', 'later'), bytesOf(22, 40_000))
  })

  it('works with any eight miners gone, as long as one of them holds the open log', async () => {
    const network = await lostGateway()
    const holders = network.miners.filter(({ logs }) => [...logs.values()].some((log) => log.territory === 1n))
    const others = network.miners.filter((miner) => !holders.includes(miner))
    const kept = [holders[0]!, ...others.slice(0, 3)]
    const connect = network.miners.map((miner) => miner.connect.bind(miner))
    for (const miner of network.miners) if (!kept.includes(miner)) miner.connect = async () => {}
    const folder = await network.folder()
    const account = '0x0000000000000000000000000000000000000077'
    const engine = await network.gateway({ folder, account, owners: false })
    await recoverOwner(
      engine,
      { chain: network.chain.as(account), log: network.log, folder, signal },
      { owner: OWNER, territory: 1n, dataKey: dataKeyOf(OWNER) },
    )
    await hasAll(engine)
    for (const [i, miner] of network.miners.entries()) miner.connect = connect[i]!
  })

  it('takes over stripes that were written and never committed', async () => {
    const network = new TestNetwork()
    networks.push(network)
    const old = await network.gateway()
    await fill(old)
    network.chain.refuseCommits = true
    const late = bytesOf(30, 600_000)
    await put(old.objects, 'one', 'late', late)
    await old.ownerStore(OWNER)!.journal.rotate()
    await until(() => old.ownerStore(OWNER)!.keeper.pendingSeals === 0)
    await network.stop(old)
    network.chain.refuseCommits = false
    const { engine, result } = await recover(network)
    assert.deepEqual(result.lostSegments, [])
    await until(() => engine.ownerStore(OWNER)!.keeper.pendingCommits === 0)
    await hasSame(engine, 'late', late)
  })

  it('is refused with another key, and on a gateway that has the owner', async () => {
    const network = await lostGateway()
    const folder = await network.folder()
    const account = '0x0000000000000000000000000000000000000077'
    const engine = await network.gateway({ folder, account, owners: false })
    const components = { chain: network.chain.as(account), log: network.log, folder, signal }
    const wrong = { owner: OWNER, territory: 1n, dataKey: dataKeyOf('somebody else') }
    await assert.rejects(recoverOwner(engine, components, wrong), { code: 'DAMAGED_JOURNAL' })
    const right = { owner: OWNER, territory: 1n, dataKey: dataKeyOf(OWNER) }
    await recoverOwner(engine, components, right)
    await assert.rejects(recoverOwner(engine, components, right), { code: 'NOT_EMPTY' })
  })
})

async function hasSame(engine: Engine, key: string, bytes: Buffer): Promise<void> {
  assert.deepEqual(await get(engine.objects, 'one', key), bytes)
  await hasAllButListing(engine)
}

async function hasAllButListing({ objects }: Engine): Promise<void> {
  for (const [key, bytes] of CONTENT) assert.deepEqual(await get(objects, 'one', key), bytes)
}
