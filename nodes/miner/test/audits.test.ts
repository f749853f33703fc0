import assert from 'node:assert/strict'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { equalBytes } from '@cumulus/bytes'
import { FrameOp, RemoteError } from '@cumulus/network'
import { FakeTeeWorker } from './support/fake-tee-worker.ts'
import { GROUP, inTestNetwork, put, SEAT, segmentOf, type TestNetwork } from './support/test-network.ts'

interface Tagged extends TestNetwork {
  readonly worker: FakeTeeWorker
}

/** A miner linked with a TEE worker that tags its group. */
async function withWorker(use: (network: Tagged) => Promise<void>): Promise<void> {
  await inTestNetwork(async (network) => {
    const worker = new FakeTeeWorker()
    await worker.listen()
    try {
      network.chain.addWorker(worker.entry)
      await network.chain.until(() => worker.session !== undefined)
      await use(Object.assign(network, { worker }))
    } finally {
      await network.stop()
      await worker.close()
    }
  })
}

async function store(network: Tagged, stripe: number, segment = segmentOf(stripe)) {
  await put(network.session, stripe, segment)
  network.chain.commit(GROUP, stripe, segment.root)
  return segment
}

async function storeTagged(network: Tagged, ...stripes: number[]): Promise<void> {
  for (const stripe of stripes) {
    const { body, root } = await store(network, stripe)
    await network.worker.put(stripe, network.worker.tagsOf(stripe, body, root))
  }
  const wanted = stripes.reduce((bits, stripe) => bits | (1n << BigInt(stripe)), 0n)
  await network.chain.until(async () => ((await bits(network)) & wanted) === wanted)
}

const bits = (network: TestNetwork) => network.chain.tagged(GROUP, SEAT, 0)

const entries = (...list: [stripe: number, block: number][]) =>
  list.map(([stripe, block]) => ({ group: GROUP, stripe, block }))

const code = (expected: string) => (error: unknown) => error instanceof RemoteError && error.code === expected

describe('tags at a miner', () => {
  it('are checked in full, confirmed on chain in one transaction for many stripes, and given to who may ask', async () => {
    await withWorker(async (network) => {
      const { worker, chain, session } = network
      await storeTagged(network, 0, 1, 2)
      assert.equal(await bits(network), 0b111n)
      assert.ok(chain.calls.length <= 2, `${chain.calls}`)
      assert.deepEqual(worker.asked, ['powers'])
      const place = { group: GROUP, stripe: 1, seat: SEAT }
      const { body, root } = segmentOf(1)
      const expected = worker.tagsOf(1, body, root)
      for (const asking of [session, worker.session!]) {
        const reply = await asking.request(FrameOp.getTags, place)
        assert.deepEqual(new Uint8Array(reply.body), expected.body)
        assert.ok(equalBytes(reply.hash, root))
        assert.ok(equalBytes(reply.meta, expected.meta))
      }
    })
  })

  it('that are wrong are dropped and never confirmed, and do not keep right ones from it', async () => {
    await withWorker(async (network) => {
      const { worker, chain } = network
      const good = await store(network, 0)
      const bad = await store(network, 1)
      // Signed by the worker, and of another fragment.
      await worker.put(1, worker.tagsOf(1, segmentOf(9).body, bad.root))
      await worker.put(0, worker.tagsOf(0, good.body, good.root))
      await chain.until(async () => (await bits(network)) === 1n)
      await chain.until(() => network.lines.some((line) => line.includes('wrong tags')))
      await assert.rejects(
        worker.session!.request(FrameOp.getTags, { group: GROUP, stripe: 1, seat: SEAT }),
        code('NOT_FOUND'),
      )
      assert.equal(await bits(network), 1n)
    })
  })

  it('are refused with a code that says why', async () => {
    await withWorker(async (network) => {
      const { worker, session } = network
      const { body, root } = await store(network, 0)
      const tags = worker.tagsOf(0, body, root)
      const refused = (expected: string, change: object, stripe = 0) =>
        assert.rejects(worker.put(stripe, tags, change), code(expected))
      await refused('NOT_FOUND', {}, 1)
      await refused('WRONG_ROOT', { hash: root.with(0, root[0]! ^ 1) })
      await refused('BAD_TAGS', { body: tags.body.subarray(48) })
      await refused('BAD_TAGS', { body: tags.body.with(7, tags.body[7]! ^ 1) })
      await refused('BAD_TAGS', { meta: tags.meta.subarray(1) })
      await refused('NOT_YOUR_SEAT', { seat: SEAT + 1 })
      await refused('NOT_TAGGER', { group: GROUP + 1 })
      const place = { group: GROUP, stripe: 0, seat: SEAT }
      await assert.rejects(session.request(FrameOp.putTags, { ...place, ...tags }), code('UNKNOWN_WORKER'))
      await assert.rejects(session.request(FrameOp.getTags, place), code('NOT_FOUND'))
    })
  })

  it('that the chain counts on and that are gone are asked for at the next start', async () => {
    await withWorker(async (network) => {
      const { worker, chain } = network
      const { body, root } = await store(network, 0)
      chain.taggedBits.set(`${GROUP}/${SEAT}/0`, 1n)
      worker.stock.set(0, worker.tagsOf(0, body, root))
      await network.restart()
      await chain.until(() => chain.calls.length > 0)
      assert.equal(await bits(network), 1n)
      assert.ok(worker.asked.includes('tags 0'))
      const reply = await worker.session!.request(FrameOp.getTags, { group: GROUP, stripe: 0, seat: SEAT })
      assert.ok(equalBytes(reply.body, worker.stock.get(0)!.body))
    })
  })
})

describe('a challenge', () => {
  it('is answered with a proof that holds, blocks of several stripes and a repeated fragment among them', async () => {
    await withWorker(async (network) => {
      const { worker, chain } = network
      await storeTagged(network, 0, 1, 2)
      chain.challengeMiner(worker.entry, worker.key, entries([0, 0], [0, 2], [1, 1], [2, 0]))
      await chain.until(() => chain.verdicts.length > 0)
      assert.deepEqual(chain.verdicts, ['passed 4 0'])
    })
  })

  it('of stripes that were released meanwhile is answered without them, or with nothing at all', async () => {
    await withWorker(async (network) => {
      const { worker, chain } = network
      await storeTagged(network, 0, 1)
      chain.release(GROUP, 1)
      await chain.until(() => network.lines.some((line) => line.includes('cell freed')))
      chain.challengeMiner(worker.entry, worker.key, entries([0, 1], [1, 0], [1, 1]))
      await chain.until(() => chain.verdicts.length === 1)
      chain.challengeMiner(worker.entry, worker.key, entries([1, 0]))
      await chain.until(() => chain.verdicts.length === 2)
      assert.deepEqual(chain.verdicts, ['passed 3 6', 'passed 1 1'])
    })
  })

  it('is answered although it came while the miner was away', async () => {
    await withWorker(async (network) => {
      const { worker, chain } = network
      await storeTagged(network, 0)
      await network.stop()
      chain.challengeMiner(worker.entry, worker.key, entries([0, 0]))
      await network.restart()
      await chain.until(() => chain.verdicts.length > 0)
      assert.deepEqual(chain.verdicts, ['passed 1 0'])
    })
  })

  it('is answered although no event told of it, the chain was away for a while, and first tries failed', async () => {
    await withWorker(async (network) => {
      const { worker, chain } = network
      await storeTagged(network, 0)
      chain.isDown = true
      chain.hidesEvents = true
      chain.submitFailures = 2
      chain.challengeMiner(worker.entry, worker.key, entries([0, 0]))
      setTimeout(() => (chain.isDown = false), 300)
      await chain.until(() => chain.verdicts.length > 0)
      assert.deepEqual(chain.verdicts, ['passed 1 0'])
    })
  })

  it('over a damaged fragment is not answered with a lie: the loss is reported, and what is left stays provable', async () => {
    await withWorker(async (network) => {
      const { worker, chain, folder } = network
      await storeTagged(network, 0, 1)
      await network.stop()
      const slab = await open(join(folder, 'slabs', '000000'), 'r+').catch(async () => {
        const { readdir } = await import('node:fs/promises')
        const [first] = await readdir(join(folder, 'slabs'))
        return open(join(folder, 'slabs', first!), 'r+')
      })
      // Both fragments lie somewhere in the first cells: find the one of stripe 0 by its content.
      const { size } = await slab.stat()
      const bytes = Buffer.alloc(size)
      await slab.read(bytes, 0, size, 0)
      const at = bytes.indexOf(Buffer.from(segmentOf(0).body))
      await slab.write(Buffer.from([bytes[at + 10]! ^ 1]), 0, 1, at + 10)
      await slab.close()
      await network.restart()
      chain.challengeMiner(worker.entry, worker.key, entries([0, 0], [1, 0]))
      await chain.until(() => chain.calls.some((call) => call.startsWith('loss')))
      assert.ok(chain.calls.includes(`loss ${GROUP}/0/1`))
      chain.closeChallenge()
      chain.challengeMiner(worker.entry, worker.key, entries([1, 0], [1, 2]))
      await chain.until(() => chain.verdicts.length === 2)
      assert.deepEqual(chain.verdicts, ['missed', 'passed 2 0'])
      assert.equal(await bits(network), 2n)
    })
  })
})
