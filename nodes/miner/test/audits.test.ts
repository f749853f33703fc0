import assert from 'node:assert/strict'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { equalBytes } from '@cumulus/bytes'
import { FrameOp, RemoteError } from '@cumulus/network'
import { SlabStore, spaceBudget } from '@cumulus/store'
import { decodeTagRecord, encodeTagRecord } from '../src/tag-record.ts'
import { FakeTeeWorker } from './support/fake-tee-worker.ts'
import { GROUP, inTestNetwork, params, put, SEAT, SPACE, segmentOf, type TestNetwork } from './support/test-network.ts'

interface Tagged extends TestNetwork {
  readonly worker: FakeTeeWorker
  /** For what a test holds back. */
  readonly gate: PromiseWithResolvers<void>
}

/** A miner linked with a TEE worker that tags its group. */
async function withWorker(use: (network: Tagged) => Promise<void>): Promise<void> {
  await inTestNetwork(async (network) => {
    const worker = new FakeTeeWorker()
    await worker.listen()
    const gate = Promise.withResolvers<void>()
    try {
      network.chain.addWorker(worker.entry)
      await network.chain.until(() => worker.session !== undefined)
      await use(Object.assign(network, { worker, gate }))
    } finally {
      gate.resolve() // nothing may wait for it for ever
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

/** Changes a byte of the fragment of a stripe, behind the back of a miner that is stopped. */
async function damage(folder: string, stripe: number): Promise<void> {
  const [first] = await readdir(join(folder, 'slabs'))
  const slab = await open(join(folder, 'slabs', first!), 'r+')
  // It lies somewhere in the first cells: found by its content.
  const { size } = await slab.stat()
  const bytes = Buffer.alloc(size)
  await slab.read(bytes, 0, size, 0)
  const at = bytes.indexOf(Buffer.from(segmentOf(stripe).body))
  await slab.write(Buffer.from([bytes[at + 10]! ^ 1]), 0, 1, at + 10)
  await slab.close()
}

/** Stops the miner and changes tags that have passed their check; without a change, takes them away. */
async function spoilTags(network: TestNetwork, stripe: number, change?: (tags: Uint8Array) => void): Promise<void> {
  await network.stop()
  const { units, indexBytes } = spaceBudget(SPACE, params.unitBytes)
  const slabs = await SlabStore.open(network.folder, { units, unitBytes: params.unitBytes, indexBytes })
  const key = { group: GROUP, stripe, seat: SEAT }
  const known = new Uint8Array(slabs.getTags(key)!)
  await slabs.dropTags(key, known)
  if (change) {
    const record = decodeTagRecord(known)
    const tags = new Uint8Array(record.tags)
    change(tags)
    const spoilt = encodeTagRecord({ ...record, tags })
    await slabs.offerTags(key, spoilt)
    await slabs.adoptTags(key, spoilt, spoilt)
    await slabs.markConfirmed(key, spoilt, true)
  }
  await slabs.close()
}

const code = (expected: string) => (error: unknown) => error instanceof RemoteError && error.code === expected

describe('tags at a miner', () => {
  it('are checked in full, confirmed on chain in one transaction for many stripes, and given to who may ask', async () => {
    await withWorker(async (network) => {
      const { worker, chain, session } = network
      // Until the powers are there, all tags wait: those that came before the first check, and those that came after.
      worker.serving = network.gate.promise
      for (const stripe of [0, 1, 2]) {
        const { body, root } = await store(network, stripe)
        await worker.put(stripe, worker.tagsOf(stripe, body, root))
      }
      await chain.until(() => worker.asked.length > 0)
      network.gate.resolve()
      await chain.until(async () => (await bits(network)) === 0b111n)
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

  it('that are others than those that have passed are refused, and audits go on with the old ones', async () => {
    await withWorker(async (network) => {
      const { worker, chain } = network
      await storeTagged(network, 0)
      const { root, body } = segmentOf(0)
      const lie = worker.tagsOf(0, segmentOf(9).body, root)
      chain.challengeMiner(worker.entry, worker.key, entries([0, 0], [0, 1]))
      await assert.rejects(worker.put(0, lie), code('BAD_TAGS'))
      await chain.until(() => chain.verdicts.length === 1)
      await assert.rejects(worker.put(0, lie), code('BAD_TAGS'))
      // The right ones may come again.
      await worker.put(0, worker.tagsOf(0, body, root))
      chain.challengeMiner(worker.entry, worker.key, entries([0, 2]))
      await chain.until(() => chain.verdicts.length === 2)
      assert.deepEqual(chain.verdicts, ['passed 2 0', 'passed 1 0'])
      assert.equal(await bits(network), 1n)
    })
  })

  it('that come while others are being confirmed are checked for themselves', async () => {
    await withWorker(async (network) => {
      const { worker, chain } = network
      chain.confirming = network.gate.promise
      const { body, root } = await store(network, 0)
      const right = worker.tagsOf(0, body, root)
      await worker.put(0, right)
      await chain.until(() => worker.asked.includes('powers'))
      // They have passed, and the transaction is under way.
      const isKept = () =>
        worker.session!.request(FrameOp.getTags, { group: GROUP, stripe: 0, seat: SEAT }).then(
          ({ body: tags }) => equalBytes(tags, right.body),
          () => false,
        )
      await chain.until(isKept)
      await worker.put(0, worker.tagsOf(0, segmentOf(9).body, root)).catch(() => undefined)
      network.gate.resolve()
      await chain.until(async () => (await bits(network)) === 1n)
      assert.ok(await isKept())
      chain.challengeMiner(worker.entry, worker.key, entries([0, 0], [0, 1], [0, 2]))
      await chain.until(() => chain.verdicts.length === 1)
      assert.deepEqual(chain.verdicts, ['passed 3 0'])
    })
  })

  it('that come in place of others before these are checked are checked all the same', async () => {
    await withWorker(async (network) => {
      const { worker, chain } = network
      worker.serving = network.gate.promise
      const { body, root } = await store(network, 0)
      await worker.put(0, worker.tagsOf(0, body, root))
      // The check of the first has begun.
      await chain.until(() => worker.asked.includes('powers'))
      await worker.put(0, worker.tagsOf(0, segmentOf(9).body, root))
      network.gate.resolve()
      await chain.until(() => network.lines.some((line) => line.includes('wrong tags')))
      assert.equal(await bits(network), 0n)
      await worker.put(0, worker.tagsOf(0, body, root))
      await chain.until(async () => (await bits(network)) === 1n)
    })
  })

  it('are another worker’s if the same account comes back with another key', async () => {
    await withWorker(async (network) => {
      const { worker, chain } = network
      await storeTagged(network, 0)
      worker.rotate()
      chain.changeWorker(worker.entry)
      chain.handOver(GROUP, worker.entry.account)
      await network.restart()
      await chain.until(() => worker.session !== undefined)
      const { body, root } = segmentOf(0)
      await chain.until(() => network.lines.filter((line) => line.includes('wrong tags')).length === 1)
      assert.equal(await bits(network), 0n)
      await worker.put(0, worker.tagsOf(0, body, root))
      await chain.until(async () => (await bits(network)) === 1n)
      chain.challengeMiner(worker.entry, worker.key, entries([0, 1]))
      await chain.until(() => chain.verdicts.length === 1)
      assert.deepEqual(chain.verdicts, ['passed 1 0'])
    })
  })

  it('that nobody has any more are given up before an audit asks for them', async () => {
    await withWorker(async (network) => {
      const { worker, chain } = network
      await storeTagged(network, 0, 1)
      await spoilTags(network, 1)
      await network.restart()
      await chain.until(() => chain.calls.includes(`loss ${GROUP}/0/2`))
      assert.equal(await bits(network), 1n)
      // The worker makes them again in the end.
      const { body, root } = segmentOf(1)
      await chain.until(() => worker.session !== undefined)
      await worker.put(1, worker.tagsOf(1, body, root))
      await chain.until(async () => (await bits(network)) === 3n)
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

  it('of a group that another worker has taken is answered without it, since its tags went with the old one', async () => {
    await withWorker(async (network) => {
      const { worker, chain } = network
      await storeTagged(network, 0)
      chain.challengeMiner(worker.entry, worker.key, entries([0, 1]))
      await chain.until(() => chain.verdicts.length === 1)
      chain.handOver(GROUP, `0x${'78'.repeat(20)}`)
      await network.restart()
      await chain.until(async () => {
        const asking = network.session.request(FrameOp.getTags, { group: GROUP, stripe: 0, seat: SEAT })
        return asking.then(
          () => false,
          (error: unknown) => code('NOT_FOUND')(error),
        )
      })
      chain.challengeMiner(worker.entry, worker.key, entries([0, 1], [0, 0]))
      await chain.until(() => chain.verdicts.length === 2)
      assert.deepEqual(chain.verdicts, ['passed 1 0', 'passed 2 3'])
    })
  })

  it('is not answered with a wrong proof: tags that were spoilt are found and asked for', async () => {
    await withWorker(async (network) => {
      const { worker, chain } = network
      await storeTagged(network, 0, 1, 2)
      const { body, root } = segmentOf(1)
      // A tag of the same worker, for the block before: a point like any other, so that only the proof can tell.
      const at = SEAT * 3 * 48
      await spoilTags(network, 1, (tags) => tags.set(tags.subarray(at, at + 48), at + 48))
      await network.restart()
      worker.stock.set(1, worker.tagsOf(1, body, root))
      chain.challengeMiner(worker.entry, worker.key, entries([0, 0], [1, 1], [2, 0], [1, 0]))
      await chain.until(() => chain.verdicts.length === 1)
      assert.deepEqual(chain.verdicts, ['passed 4 0'])
      assert.ok(network.lines.some((line) => line.includes('spoilt')))
    })
  })

  it('over tags that are spoilt and that nobody has is let go, and what is left stays provable', async () => {
    await withWorker(async (network) => {
      const { worker, chain } = network
      await storeTagged(network, 0, 1)
      // No point at all.
      await spoilTags(network, 1, (tags) => tags.fill(0, SEAT * 3 * 48, SEAT * 3 * 48 + 48))
      await network.restart()
      chain.challengeMiner(worker.entry, worker.key, entries([0, 0], [1, 0]))
      await chain.until(() => chain.calls.includes(`loss ${GROUP}/0/2`))
      chain.closeChallenge()
      chain.challengeMiner(worker.entry, worker.key, entries([0, 0], [0, 1]))
      await chain.until(() => chain.verdicts.length === 2)
      assert.deepEqual(chain.verdicts, ['missed', 'passed 2 0'])
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
      await damage(folder, 0)
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

describe('what a miner has lost', () => {
  it('is reported as soon as it is found, asked for or not, and again until the chain has taken it', async () => {
    await withWorker(async (network) => {
      const { chain, folder } = network
      await storeTagged(network, 0, 1, 2)
      await network.stop()
      await damage(folder, 0)
      await damage(folder, 2)
      chain.lossFailures = 1
      await network.restart()
      await chain.until(async () => (await bits(network)) === 2n)
      // Mended by a gateway: it counts again, with the tags that were here all the time.
      for (const stripe of [0, 2]) await put(network.session, stripe)
      await chain.until(async () => (await bits(network)) === 7n)
      assert.deepEqual(chain.verdicts, [])
    })
  })

  it('is not reported for ever to a chain that does not count on it', async () => {
    await withWorker(async (network) => {
      const { chain, folder } = network
      await storeTagged(network, 0)
      await network.stop()
      await damage(folder, 0)
      chain.refusesLosses = true
      const confirmed = chain.calls.length
      await network.restart()
      await chain.until(() => network.lines.some((line) => line.includes('a loss could not be reported')))
      await put(network.session, 0)
      // It was settled: so it is confirmed anew.
      await chain.until(() => chain.calls.length > confirmed)
      assert.equal(network.lines.filter((line) => line.includes('a loss could not be reported')).length, 1)
    })
  })

  it('is reported although nothing of it is left', async () => {
    await withWorker(async (network) => {
      const { chain } = network
      await storeTagged(network, 0)
      chain.commit(GROUP, 5, segmentOf(5).root, { silent: true })
      chain.taggedBits.set(`${GROUP}/${SEAT}/0`, 0b100001n)
      await network.restart()
      await chain.until(() => chain.calls.includes(`loss ${GROUP}/0/32`))
      assert.equal(await bits(network), 1n)
    })
  })
})

describe('a TEE worker whose attestation is not in force', () => {
  const links = async ({ miner }: TestNetwork) =>
    ((await miner.status()) as { workerLinks: unknown[] }).workerLinks.length

  it('is a stranger: it is neither dialled nor answered', async () => {
    await inTestNetwork(async (network) => {
      const worker = new FakeTeeWorker()
      await worker.listen()
      try {
        const { chain } = network
        chain.addWorker({ ...worker.entry, isServing: false })
        const other = new FakeTeeWorker()
        await other.listen()
        chain.addWorker({ ...other.entry, account: `0x${'78'.repeat(20)}` })
        await chain.until(() => other.session !== undefined)
        assert.equal(worker.session, undefined)
        assert.equal(await links(network), 1)
        chain.changeWorker(worker.entry)
        await chain.until(() => worker.session !== undefined)
        await other.close()
      } finally {
        await network.stop()
        await worker.close()
      }
    })
  })

  it('still helps to prove by its tags, and reads nothing', async () => {
    await withWorker(async (network) => {
      const { worker, chain } = network
      await storeTagged(network, 0)
      chain.changeWorker({ ...worker.entry, isServing: false })
      await network.restart()
      // When it is known whose tags are here.
      await chain.until(async () => (await links(network)) === 1)
      await chain.until(() => worker.session !== undefined)
      const place = { group: GROUP, stripe: 0, seat: SEAT }
      for (const op of [FrameOp.get, FrameOp.describe]) {
        await assert.rejects(
          worker.session!.request(op, { ...place, meta: new Uint8Array(4) }),
          code('UNKNOWN_GATEWAY'),
        )
      }
      await assert.rejects(worker.session!.request(FrameOp.getTags, place), code('NOT_YOUR_SEAT'))
      chain.challengeMiner(worker.entry, worker.key, entries([0, 0]))
      await chain.until(() => chain.verdicts.length === 1)
      assert.deepEqual(chain.verdicts, ['passed 1 0'])
    })
  })
})

describe('what a miner shows of its proofs', () => {
  it('is backlog, last proof and earnings, by these names', async () => {
    await withWorker(async (network) => {
      const { chain } = network
      chain.audited = { ...chain.audited, passed: 1, lastPassedEpoch: 41n }
      chain.earned = { claimable: 3n * 10n ** 18n, locked: 25n * 10n ** 17n, paid: 10n ** 18n }
      await storeTagged(network, 0)
      await store(network, 1)
      const isCommitted = async () =>
        ((await network.miner.status()) as { pendingFragments: number }).pendingFragments === 0
      await chain.until(isCommitted)
      await network.restart()
      const value = async (name: string, labels = '') => {
        const start = `cumulus_miner_${name}{account="${chain.account}"${labels}} `
        const line = (await network.figures()).split('\n').find((one) => one.startsWith(start))
        return line && Number(line.slice(start.length))
      }
      await chain.until(async () => (await value('earnings', ',kind="paid"')) !== undefined)
      assert.equal(await value('tag_backlog'), 1)
      assert.equal(await value('last_proof_epoch'), 41)
      for (const [kind, tokens] of Object.entries({ claimable: 3, locked: 2.5, paid: 1 })) {
        assert.equal(await value('earnings', `,kind="${kind}"`), tokens)
      }
      const text = await network.figures()
      for (const name of ['proofs_total', 'tags_total', 'losses_total', 'proof_seconds']) {
        assert.match(text, new RegExp(`# TYPE cumulus_miner_${name} `))
      }
    })
  })
})
