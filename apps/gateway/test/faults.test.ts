import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Engine } from '../src/engine.ts'
import { UNSEALED_MAX } from '../src/journal/owner-journal.ts'
import { bytesOf, get, OWNER, put, signal, small, TestNetwork, until } from './support/network.ts'

describe('a gateway whose miners fail', () => {
  const network = new TestNetwork()
  let engine: Engine
  const large = bytesOf(1, 900_000)
  const smallOnes = Array.from({ length: 20 }, (_, i) => bytesOf(100 + i, 3_000 + i))

  before(async () => {
    engine = await network.gateway()
    await engine.objects.createBucket(OWNER, 'b', { region: 'r', signal })
    await put(engine.objects, 'b', 'large', large)
    for (const [i, bytes] of smallOnes.entries()) await put(engine.objects, 'b', `small/${i}`, bytes)
    await seal()
  })
  after(() => network.close())

  async function seal(): Promise<void> {
    const { journal, keeper } = engine.ownerStore(OWNER)!
    await journal.rotate()
    await until(() => keeper.pendingSeals === 0 && keeper.pendingCommits === 0 && journal.packCount <= 1)
  }

  async function readsAll(): Promise<void> {
    assert.deepEqual(await get(engine.objects, 'b', 'large'), large)
    assert.deepEqual(await get(engine.objects, 'b', 'large', 300_000, 700_001), large.subarray(300_000, 700_001))
    assert.deepEqual(await get(engine.objects, 'b', 'large', 65_519, 65_522), large.subarray(65_519, 65_522))
    for (const [i, bytes] of smallOnes.entries()) assert.deepEqual(await get(engine.objects, 'b', `small/${i}`), bytes)
  }

  it('reads sealed packs and segments from the seats', readsAll)

  it('drops the logs of a pack at its seats once the chain knows its segment', async () => {
    // The one that is left is that of the open pack, which tells where the sealed one is.
    const names = () => new Set(network.miners.flatMap(({ logs }) => [...logs.keys()]))
    await until(() => names().size === 1)
  })

  for (const gone of [
    [0, 1, 2, 3, 4, 5, 6, 7],
    [4, 5, 6, 7, 8, 9, 10, 11],
    [0, 2, 4, 6, 8, 10, 11, 3],
  ]) {
    it(`reads everything while miners ${gone} are gone`, async () => {
      for (const i of gone) network.miners[i]!.disconnect()
      await readsAll()
      for (const i of gone) await network.miners[i]!.connect(engine.port)
    })
  }

  it('refuses writes when no quorum of miners is there, and takes them again when it is', async () => {
    for (const i of [0, 1, 2]) network.miners[i]!.disconnect()
    await assert.rejects(put(engine.objects, 'b', 'refused', bytesOf(5, 200_000)), { code: 'ServiceUnavailable' })
    await assert.rejects(get(engine.objects, 'b', 'refused'), { code: 'NoSuchKey' })
    for (const i of [0, 1, 2]) await network.miners[i]!.connect(engine.port)
    await put(engine.objects, 'b', 'taken', bytesOf(5, 200_000))
    assert.deepEqual(await get(engine.objects, 'b', 'taken'), bytesOf(5, 200_000))
  })

  it('writes while two miners are gone, and gives them their fragments when they are back', async () => {
    for (const i of [3, 9]) network.miners[i]!.disconnect()
    const before = [3, 9].map((i) => network.miners[i]!.fragments.size)
    await put(engine.objects, 'b', 'two-gone', bytesOf(6, 200_000))
    await until(() => engine.ownerStore(OWNER)!.keeper.pendingRepairs > 0)
    for (const i of [3, 9]) await network.miners[i]!.connect(engine.port)
    await until(() => engine.ownerStore(OWNER)!.keeper.pendingRepairs === 0)
    assert.deepEqual(
      [3, 9].map((i) => network.miners[i]!.fragments.size),
      before.map((count) => count + 1),
    )
  })

  it('finds a damaged fragment, reads around it and mends it', async () => {
    network.miners[1]!.corruptAll()
    await readsAll()
    await until(() => engine.ownerStore(OWNER)!.keeper.pendingRepairs === 0)
    const { getCount } = network.miners[2]!
    await readsAll()
    assert.ok(getCount > 0)
    for (const i of [4, 5, 6, 7, 8, 9, 10, 11]) network.miners[i]!.disconnect()
    await readsAll() // needs the mended fragments of seat 1
    for (const i of [4, 5, 6, 7, 8, 9, 10, 11]) await network.miners[i]!.connect(engine.port)
  })

  it('does not wait for a slow seat', async () => {
    network.miners[0]!.getDelayMs = 10_000
    const reading = readsAll().then(() => 'read')
    const waited = new Promise((resolve) => setTimeout(resolve, 9_000, 'waited').unref())
    assert.equal(await Promise.race([reading, waited]), 'read')
    network.miners[0]!.getDelayMs = 0
  })

  it('says that data is not there for now when more than eight miners are gone', async () => {
    for (const i of [0, 1, 2, 3, 4, 5, 6, 7, 8]) network.miners[i]!.disconnect()
    await assert.rejects(get(engine.objects, 'b', 'large'), { code: 'ServiceUnavailable' })
    for (const i of [0, 1, 2, 3, 4, 5, 6, 7, 8]) await network.miners[i]!.connect(engine.port)
    await readsAll()
  })

  it('replaces a log seat that fails, and loses nothing acknowledged', async () => {
    const holders = () => network.miners.filter(({ logs }) => [...logs.values()].some((log) => log.territory === 1n))
    await put(engine.objects, 'b', 'log/1', bytesOf(7, 500))
    const lengthAt = (miner: (typeof network.miners)[number]) =>
      Math.max(0, ...[...miner.logs.values()].filter((log) => log.territory === 1n).map(({ bytes }) => bytes.length))
    const longest = (of: typeof network.miners) => {
      const lengths = of.map(lengthAt)
      return lengths.filter((length) => length === Math.max(...lengths)).length
    }
    assert.ok(longest(holders()) >= 3)
    const gone = holders().sort((a, b) => lengthAt(b) - lengthAt(a))[0]!
    gone.disconnect()
    await put(engine.objects, 'b', 'log/2', bytesOf(8, 500))
    assert.ok(longest(holders().filter((miner) => miner !== gone)) >= 3)
    await gone.connect(engine.port)
  })

  it('refuses small writes when fewer than three seats take the log', async () => {
    for (const miner of network.miners.slice(2)) miner.refuseLogs = true
    await assert.rejects(put(engine.objects, 'b', 'log/refused', bytesOf(9, 500)), { code: 'ServiceUnavailable' })
    await assert.rejects(get(engine.objects, 'b', 'log/refused'), { code: 'NoSuchKey' })
    for (const miner of network.miners) miner.refuseLogs = false
    await put(engine.objects, 'b', 'log/3', bytesOf(10, 500))
    assert.deepEqual(await get(engine.objects, 'b', 'log/3'), bytesOf(10, 500))
    await assert.rejects(get(engine.objects, 'b', 'log/refused'), { code: 'NoSuchKey' })
  })

  it('lets writes wait while the network is behind', async (t) => {
    // Bodies of this size are held in the memory for bodies until they are written.
    const fragmentBytes = 2 ** 18
    const behind = new TestNetwork({
      ...small,
      classes: { ...small.classes, standard: { ...small.classes.standard, fragmentBytes } },
    })
    t.after(() => behind.close())
    const gateway = await behind.gateway({ bufferBytes: 8 * fragmentBytes })
    const { objects } = gateway
    const { journal } = gateway.ownerStore(OWNER)!
    await objects.createBucket(OWNER, 'b', { region: 'r', signal })
    for (const miner of behind.miners) miner.refusePuts = true
    const bytes = (i: number) => bytesOf(200 + i, 200_000)
    let count = 0
    while (journal.packCount < UNSEALED_MAX) await put(objects, 'b', `${count}`, bytes(count++))
    // Four fit the last pack. The others hold all memory for bodies, and a pack on its way needs a segment's.
    const puts = Array.from({ length: 16 }, () => put(objects, 'b', `${count}`, bytes(count++)))
    let settled = 0
    for (const one of puts) {
      one.then(
        () => settled++,
        () => settled++,
      )
    }
    await until(() => settled >= 3 && journal.waitingCount > 0)
    for (const miner of behind.miners) miner.refusePuts = false
    await Promise.all(puts)
    for (let i = 0; i < count; i++) assert.deepEqual(await get(objects, 'b', `${i}`), bytes(i))
  })

  it('refuses writes while the network takes nothing at all, and takes them again when it does', async (t) => {
    const behind = new TestNetwork()
    t.after(() => behind.close())
    const gateway = await behind.gateway({ roomMs: 1_000 })
    const { objects } = gateway
    const { journal, keeper } = gateway.ownerStore(OWNER)!
    await objects.createBucket(OWNER, 'b', { region: 'r', signal })
    for (const miner of behind.miners) miner.refusePuts = true
    const bytes = (i: number) => bytesOf(200 + i, 50_000)
    let count = 0
    let refused: { code?: string } | undefined
    while (!refused && count < 100) {
      await put(objects, 'b', `${count}`, bytes(count)).then(
        () => count++,
        (error: { code?: string }) => {
          refused = error
        },
      )
    }
    assert.equal(refused?.code, 'ServiceUnavailable')
    assert.equal(journal.packCount, UNSEALED_MAX)
    await assert.rejects(put(objects, 'b', 'refused', bytes(0)), { code: 'ServiceUnavailable' })

    for (const miner of behind.miners) miner.refusePuts = false
    await until(() => keeper.pendingSeals === 0 && journal.packCount <= 1)
    for (let i = 0; i < 60; i++) await put(objects, 'b', `after/${i}`, bytes(1_000 + i))
    for (let i = 0; i < count; i++) assert.deepEqual(await get(objects, 'b', `${i}`), bytes(i))
    for (let i = 0; i < 60; i++) assert.deepEqual(await get(objects, 'b', `after/${i}`), bytes(1_000 + i))
    await assert.rejects(get(objects, 'b', 'refused'), { code: 'NoSuchKey' })
  })

  it('starts again with everything that was acknowledged', async () => {
    const folder = await network.folder()
    const again = new TestNetwork()
    let first = await again.gateway({ folder })
    await first.objects.createBucket(OWNER, 'b', { region: 'r', signal })
    await put(first.objects, 'b', 'large', large)
    await put(first.objects, 'b', 'small', smallOnes[0]!)
    await again.stop(first)
    first = await again.gateway({ folder })
    assert.deepEqual(await get(first.objects, 'b', 'large'), large)
    assert.deepEqual(await get(first.objects, 'b', 'small'), smallOnes[0])
    await put(first.objects, 'b', 'small', smallOnes[1]!)
    assert.deepEqual(await get(first.objects, 'b', 'small'), smallOnes[1])
    await again.close()
  })
})
