import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Engine } from '../src/engine.ts'
import { bytesOf, get, OWNER, put, signal, TestNetwork, until } from './support/network.ts'

describe('a gateway on twelve miners', () => {
  const network = new TestNetwork()
  let engine: Engine
  before(async () => {
    engine = await network.gateway()
    await engine.objects.createBucket(OWNER, 'photos', { region: 'r', signal })
  })
  after(() => network.close())

  for (const length of [0, 1, 65_519, 65_520, 65_521, 200_000, 262_080, 262_081, 1_000_000]) {
    it(`gives ${length} bytes back`, async () => {
      const bytes = bytesOf(length, length)
      const info = await put(engine.objects, 'photos', `size/${length}`, bytes)
      assert.equal(info.size, length)
      assert.deepEqual(await get(engine.objects, 'photos', `size/${length}`), bytes)
    })
  }

  it('gives ranges back', async () => {
    const bytes = bytesOf(1_000_000, 1_000_000)
    for (const [start, end] of [
      [0, 1],
      [65_519, 65_522],
      [262_000, 600_000],
      [999_999, 1_000_000],
      [5, 5],
    ] as const) {
      assert.deepEqual(await get(engine.objects, 'photos', 'size/1000000', start, end), bytes.subarray(start, end))
    }
  })

  it('commits what it wrote', async () => {
    await until(() => network.chain.count('committed') >= 5)
  })
})
