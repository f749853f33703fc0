import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { equalBytes } from '@cumulus/bytes'
import { registrationMessage } from '@cumulus/ledger/modules'
import { dial, FrameOp, PeerIdentity, parseAddresses, RemoteError } from '@cumulus/network'
import { mainnet } from '@cumulus/params'
import {
  checkTags,
  decodePowers,
  decodeTaggerKey,
  type PodrParams,
  powersHash,
  stripeTagsMessage,
  tagsOfSeat,
} from '@cumulus/podr2'
import { createLogger, createMetrics } from '@cumulus/service'
import { verifyEd25519 } from '@cumulus/signature'
import { groupId, seat, stripeNumber } from '@cumulus/types'
import { TagDelivery } from '../src/delivery.ts'
import { type ChainGroup, type PendingQuote, TeeWorkerError, type WorkerState } from '../src/index.ts'
import { createWorkerMetrics } from '../src/metrics.ts'
import { MinerSessions } from '../src/miner-sessions.ts'
import { isRenewalDue } from '../src/registration.ts'
import { loadOrSealSeed } from '../src/sealed-key.ts'
import { SegmentFetcher, SegmentUnavailable } from '../src/segment-fetcher.ts'
import { TagRecords } from '../src/tag-records.ts'
import { Tagging } from '../src/tagging.ts'
import { GROUP, inWorld, params, SEATS, storeSegment, until, type World } from './support/fake-world.ts'

const podr: PodrParams = { chainId: params.chainId, ...params.audit }
const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected
const allHave = ({ miners }: World, stripe: number) => miners.every(({ tags }) => tags.has(stripe))
/** 0: the worker has heard of every seat that it took its tags, and hands them to nobody again. */
const undelivered = ({ worker }: World) => (worker.status() as { undelivered: number }).undelivered

describe('a TEE worker', () => {
  it('tags all seats of what is committed, signed and right', async () => {
    await inWorld(async (world) => {
      await world.start()
      const { chain, miners } = world
      const { root, fragments } = storeSegment(world, 3)
      chain.commit(GROUP, 3, root)
      await until('tags arrive', () => allHave(world, 3))
      const { hash, meta, body } = miners[5]!.tags.get(3)!
      assert.ok(equalBytes(hash, root))
      const place = { group: groupId(GROUP), stripe: stripeNumber(3) }
      const { peerKey, taggerKey, powersHash: registered } = chain.registration!
      assert.ok(verifyEd25519(meta, stripeTagsMessage(params.chainId, place, root, body), peerKey))
      const { body: powers } = await miners[0]!.session!.request(FrameOp.powers, {})
      assert.ok(equalBytes(powersHash(powers), registered))
      const key = decodeTaggerKey(taggerKey, registrationMessage(params.chainId, chain.account))
      const tagger = { key, powers: decodePowers(powers, key, podr.sectorCount) }
      for (const at of [0, 4, SEATS - 1]) {
        const own = tagsOfSeat(body, seat(at), SEATS)
        const where = { ...place, seat: seat(at) }
        assert.ok(checkTags(fragments[at]!, own, where, tagger, new Uint8Array(32).fill(7), podr), `seat ${at}`)
        assert.ok(
          !checkTags(fragments[at]!, own, { ...where, seat: seat((at + 1) % SEATS) }, tagger, new Uint8Array(32), podr),
        )
      }
    })
  })

  it('counts what it does, by these names', async () => {
    await inWorld(async (world) => {
      await world.start()
      const { chain } = world
      chain.commit(GROUP, 3, storeSegment(world, 3).root)
      await until('tags arrive', () => allHave(world, 3))
      await until('all have said so', () => undelivered(world) === 0)
      const text = await world.figures()
      const value = (name: string) => {
        const line = text.split('\n').find((one) => one.startsWith(`cumulus_tee_${name} `))
        return line && Number(line.slice(line.indexOf(' ') + 1))
      }
      const { fragmentBytes, dataCount } = params.classes.standard
      assert.equal(value('tagged_stripes_total'), 1)
      assert.equal(value('tagged_bytes_total'), SEATS * fragmentBytes)
      assert.equal(value('fetched_bytes_total'), dataCount * fragmentBytes)
      assert.equal(value('tag_seconds_count'), 1)
      assert.equal(value('deliveries_total{code="ok"}'), SEATS)
      for (const name of ['backlog', 'undelivered', 'sessions']) assert.notEqual(value(name), undefined, name)
      for (const name of ['refused_total', 'requests_total', 'unproven_total']) {
        assert.ok(text.includes(`# TYPE cumulus_tee_${name} counter`), name)
      }
    })
  })

  it('needs any four honest seats, and takes nobody’s word', async () => {
    await inWorld(async (world) => {
      await world.start()
      const { chain, miners } = world
      for (const miner of miners.slice(0, 4)) miner.lies = true
      for (const at of [4, 6, 8, 10]) miners[at]!.session!.close()
      const { root } = storeSegment(world, 1)
      chain.commit(GROUP, 1, root)
      await until('tags arrive at those that are there', () => [0, 5, 7, 9, 11].every((at) => miners[at]!.tags.has(1)))
    })
  })

  it('never tags a name for two contents, whatever the chain says, over restarts too', async () => {
    await inWorld(async (world) => {
      await world.start()
      const { chain, miners } = world
      chain.commit(GROUP, 2, storeSegment(world, 2).root)
      await until('tags arrive', () => allHave(world, 2))
      await until('all have said so', () => undelivered(world) === 0)
      const before = miners[0]!.tags.get(2)!.body
      for (const restart of [false, true]) {
        if (restart) {
          await world.stop()
          await world.start()
        }
        for (const { tags } of miners) tags.clear()
        const other = storeSegment(world, 2, 99)
        chain.commit(GROUP, 2, other.root)
        await until('it is refused', () => world.lines.some((line) => line.includes('never tagged again')))
        // What was committed later is tagged by then.
        const next = restart ? 9 : 8
        chain.commit(GROUP, next, storeSegment(world, next).root)
        await until('the next one is tagged', () => allHave(world, next))
        assert.ok(miners.every(({ tags }) => !tags.has(2)))
      }
      assert.ok(before.length > 0)
      const health = await world.worker.health()
      assert.ok(!health.ok)
    })
  })

  it('keeps to what it has claimed when it was restarted in between, and had refused nothing yet', async () => {
    await inWorld(async (world) => {
      await world.start()
      const { chain, miners } = world
      chain.commit(GROUP, 2, storeSegment(world, 2).root)
      await until('tags arrive', () => allHave(world, 2))
      await until('all have said so', () => undelivered(world) === 0)
      await world.stop()
      for (const { tags } of miners) tags.clear()
      chain.commit(GROUP, 2, storeSegment(world, 2, 99).root)
      await world.start()
      await until('it is refused', () => world.lines.some((line) => line.includes('never tagged again')))
      chain.commit(GROUP, 3, storeSegment(world, 3).root)
      await until('the next one is tagged', () => allHave(world, 3))
      assert.ok(miners.every(({ tags }) => !tags.has(2)))
    })
  })

  it('stops in the middle of fetching a segment, with seats left that it could ask', async () => {
    await inWorld(async (world) => {
      await world.start()
      const { chain, miners } = world
      for (const miner of miners) miner.onGet = () => new Promise(() => undefined)
      chain.commit(GROUP, 2, storeSegment(world, 2).root)
      await until('it fetches', () => miners.filter(({ asked }) => asked.get > 0).length >= 4)
      await world.stop()
    })
  })

  it('tags by several threads what it tags by one, with one segment more in memory than there are threads', async () => {
    await inWorld(async (world) => {
      const { chain, miners } = world
      const threads = 3
      await world.start({ tuning: { threads, lookMs: 200, retryMs: 100 } })
      const gate = Promise.withResolvers<void>()
      const held = new Set<number>()
      let heldMax = 0
      for (const miner of miners) {
        miner.onGet = (stripe) => {
          held.add(stripe)
          heldMax = Math.max(heldMax, held.size)
          return gate.promise
        }
        miner.onTags = (stripe) => void held.delete(stripe)
      }
      const stripes = Array.from({ length: 12 }, (_, i) => i)
      const segments = stripes.map((stripe) => storeSegment(world, stripe))
      for (const stripe of stripes) chain.commit(GROUP, stripe, segments[stripe]!.root)
      const backlog = () => (world.worker.status() as { tagBacklog: number }).tagBacklog
      await until('all wait', () => backlog() === stripes.length && held.size === threads + 1)
      gate.resolve()
      await until('all are tagged', () => stripes.every((stripe) => allHave(world, stripe)))
      assert.equal(heldMax, threads + 1)
      const { taggerKey } = chain.registration!
      const { body: powers } = await miners[0]!.session!.request(FrameOp.powers, {})
      const key = decodeTaggerKey(taggerKey, registrationMessage(params.chainId, chain.account))
      const tagger = { key, powers: decodePowers(powers, key, podr.sectorCount) }
      for (const stripe of stripes) {
        const at = stripe % SEATS
        const own = tagsOfSeat(miners[0]!.tags.get(stripe)!.body, seat(at), SEATS)
        const where = { group: groupId(GROUP), stripe: stripeNumber(stripe), seat: seat(at) }
        const { fragments } = segments[stripe]!
        assert.ok(checkTags(fragments[at]!, own, where, tagger, new Uint8Array(32).fill(stripe), podr), `${stripe}`)
      }
    })
  })

  it('never tags what is no segment: a parity that does not belong to the data', async () => {
    await inWorld(async (world) => {
      await world.start()
      const { root } = storeSegment(world, 0, 0, (fragments) => {
        fragments[7]![0]! ^= 1
      })
      world.chain.commit(GROUP, 0, root)
      await until('it is refused', () => world.lines.some((line) => line.includes('is no segment')))
      assert.ok(world.miners.every(({ tags }) => tags.size === 0))
      // Whoever committed it is to blame: the worker is well, and counts it.
      assert.ok((await world.worker.health()).ok)
      const { refused } = world.worker.status() as { refused: object }
      assert.deepEqual(refused, { 'other-root': 0, inconsistent: 1 })
    })
  })

  it('finds at its next start what was committed while it was away, and lets groups of others be', async () => {
    await inWorld(async (world) => {
      const { chain, miners } = world
      chain.open(
        GROUP + 1,
        miners.map(({ identity }) => identity.publicKey),
        `0x${'99'.repeat(20)}`,
      )
      const { root } = storeSegment(world, 6)
      chain.commit(GROUP, 6, root, { silent: true })
      chain.commit(GROUP + 1, 6, root, { silent: true })
      await world.start()
      await until('tags arrive', () => allHave(world, 6))
      assert.ok(miners.every(({ asked }) => asked.putTags === 1))
    })
  })

  it('delivers to a seat that was away, without fetching or tagging again', async () => {
    await inWorld(async (world) => {
      await world.start()
      const { chain, miners } = world
      const away = miners[9]!
      away.session!.close()
      chain.commit(GROUP, 4, storeSegment(world, 4).root)
      await until('the others have them', () => miners.filter(({ tags }) => tags.has(4)).length === SEATS - 1)
      await world.stop()
      const fetched = miners.reduce((sum, { asked }) => sum + asked.get, 0)
      await world.start()
      await until('it has them, too', () => away.tags.has(4))
      assert.equal(
        miners.reduce((sum, { asked }) => sum + asked.get, 0),
        fetched,
      )
    })
  })

  it('gives a seat that lost its tags those of a neighbour, by its own signature', async () => {
    await inWorld(async (world) => {
      await world.start()
      const { chain, miners } = world
      chain.commit(GROUP, 5, storeSegment(world, 5).root)
      await until('tags arrive', () => allHave(world, 5))
      await until('nothing is kept any more', () => undelivered(world) === 0)
      // The first neighbour asked shows tags that were not made here.
      miners[0]!.tags.set(5, { ...miners[0]!.tags.get(5)!, body: miners[0]!.tags.get(5)!.body.map((byte) => byte ^ 1) })
      const right = miners[1]!.tags.get(5)!.body
      const fetched = miners.reduce((sum, { asked }) => sum + asked.get, 0)
      miners[3]!.tags.delete(5)
      const asking = () => miners[3]!.session!.request(FrameOp.getTags, { group: GROUP, stripe: 5, seat: 3 })
      await assert.rejects(asking(), code('PENDING'))
      await until('it has them again', () => miners[3]!.tags.has(5))
      assert.ok(equalBytes(miners[3]!.tags.get(5)!.body, right))
      assert.equal(
        miners.reduce((sum, { asked }) => sum + asked.get, 0),
        fetched,
      )
    })
  })

  it('answers nobody who is no miner, and no seat for another', async () => {
    await inWorld(async (world) => {
      await world.start()
      const { chain, miners } = world
      const [address] = parseAddresses(chain.entry!.addresses)
      const stranger = dial({ identity: PeerIdentity.create(), address: address!, handlers: {} })
      // Shown the door during the first ping, or right behind it.
      await stranger.then(({ closed }) => closed).catch(() => undefined)
      const { session } = miners[2]!
      await assert.rejects(
        session!.request(FrameOp.getTags, { group: GROUP, stripe: 0, seat: 3 }),
        code('NOT_YOUR_SEAT'),
      )
      await assert.rejects(session!.request(FrameOp.getTags, { group: 77, stripe: 0, seat: 2 }), code('NOT_TAGGER'))
      await assert.rejects(
        session!.request(FrameOp.getTags, { group: GROUP, stripe: 0, seat: 2 }),
        code('NOT_COMMITTED'),
      )
      const other = { hash: new Uint8Array(32).fill(1) }
      await assert.rejects(session!.request(FrameOp.powers, other), (error) => error instanceof RemoteError)
    })
  })

  it('does not start as what does not exist, simulated where it is real, or without the records of its key', async () => {
    await inWorld(async (world) => {
      await assert.rejects(world.start({ mode: 'verifier' }), code('MODE_UNSUPPORTED'))
      await assert.rejects(world.start({ params: mainnet }), code('SIMULATION_REFUSED'))
      await assert.rejects(world.start({ attestation: 'sgx', quotes: undefined }), (error) => error instanceof Error)
      await world.start()
      const status = (await world.worker.status()) as { attestation: string }
      assert.equal(status.attestation, 'simulated, no hardware protection')
      await world.stop()
      await rm(join(world.folder, 'records'), { recursive: true })
      await assert.rejects(world.start(), code('RECORDS_LOST'))
    })
  })
})

describe('the key of a worker', () => {
  const inFolder = async (use: (folder: string) => Promise<void>) => {
    const folder = await mkdtemp(join(tmpdir(), 'cumulus-seal-'))
    try {
      await use(folder)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
  const owner = new Uint8Array(40).fill(1)

  it('is sealed on disk, the same at every start, and readable by its owner alone', async () => {
    await inFolder(async (folder) => {
      const [path, seal] = [join(folder, 'key'), join(folder, 'seal')]
      const { seed, isNew } = await loadOrSealSeed(path, seal, owner)
      assert.ok(isNew && seed.length === 96)
      const again = await loadOrSealSeed(path, seal, owner)
      assert.ok(!again.isNew && equalBytes(again.seed, seed))
      const file = await readFile(path)
      assert.equal(file.indexOf(Buffer.from(seed.subarray(0, 16))), -1)
      const { stat } = await import('node:fs/promises')
      for (const name of await readdir(folder)) assert.equal((await stat(join(folder, name))).mode & 0o077, 0)
    })
  })

  it('does not open for another owner, with another seal key, or damaged', async () => {
    await inFolder(async (folder) => {
      const [path, seal] = [join(folder, 'key'), join(folder, 'seal')]
      await loadOrSealSeed(path, seal, owner)
      const broken = (open: Promise<unknown>) =>
        assert.rejects(open, (error) => error instanceof TeeWorkerError && error.code === 'SEAL_BROKEN')
      await broken(loadOrSealSeed(path, seal, owner.with(0, 2)))
      const file = await readFile(path)
      for (const at of [0, 5, 20, 60]) {
        await writeFile(path, Buffer.from(new Uint8Array(file).with(at, file[at]! ^ 1)))
        await broken(loadOrSealSeed(path, seal, owner))
      }
      await writeFile(path, file.subarray(1))
      await broken(loadOrSealSeed(path, seal, owner))
      await writeFile(path, file)
      await writeFile(seal, 'short')
      await broken(loadOrSealSeed(path, seal, owner))
      await rm(seal)
      await broken(loadOrSealSeed(path, seal, owner))
    })
  })
})

describe('an attestation', () => {
  const rules = { attestationEpochs: 100, epochsPerEra: 6 }
  const due = (state: WorkerState, expiresAtEpoch: bigint, epoch: bigint, last?: PendingQuote) =>
    isRenewalDue({ state, expiresAtEpoch }, last, epoch, rules)

  it('is renewed when a fifth of its time is left, has ended, or was refused', () => {
    assert.equal(due('active', 121n, 100n), false)
    assert.equal(due('active', 120n, 100n), true)
    for (const state of ['expired', 'rejected', 'pending'] as const) assert.equal(due(state, 0n, 100n), true, state)
    assert.equal(due('exiting', 0n, 100n), false)
  })

  it('is left alone while votes are cast, and handed in anew when nobody may cast any more', () => {
    for (const state of ['pending', 'active', 'expired'] as const) {
      for (let epoch = 90n; epoch < 102n; epoch++) {
        assert.equal(due(state, 0n, epoch, { isWaiting: true, sinceEpoch: 90n }), false, `${state} ${epoch}`)
      }
      assert.equal(due(state, 0n, 102n, { isWaiting: true, sinceEpoch: 90n }), true, state)
    }
  })

  it('is handed in once an epoch', () => {
    for (const isWaiting of [false, true]) {
      assert.equal(due('rejected', 0n, 90n, { isWaiting, sinceEpoch: 90n }), false)
    }
    assert.equal(due('rejected', 0n, 91n, { isWaiting: false, sinceEpoch: 90n }), true)
  })

  it('is handed in again by a worker that waits in vain', async () => {
    await inWorld(async (world) => {
      const { chain } = world
      await world.start()
      await world.stop()
      chain.entry = { ...chain.entry!, state: 'pending', expiresAtEpoch: 0n }
      chain.quote = { isWaiting: true, sinceEpoch: 1n - BigInt(2 * params.epochsPerEra) }
      await world.start()
      await until('it is handed in', () => chain.calls.includes('renew'))
    })
  })
})

describe('a round of deliveries', () => {
  it('asks once for the group of many stripes', async () => {
    await inRecords({}, async (records) => {
      const stop = new AbortController()
      let asked = 0
      const delivery = new TagDelivery({
        records,
        sessions: new MinerSessions(),
        // Another worker tags it now: what is kept goes.
        groupOf: async () => void asked++,
        metrics: createWorkerMetrics(createMetrics({ process: false })),
        log: createLogger({ name: 'tee', write: () => undefined }),
      })
      for (let stripe = 0; stripe < 50; stripe++) await records.keep({ group: 7, stripe }, signedTags(96))
      const running = delivery.run({ signal: stop.signal })
      delivery.minerCame()
      await until('all are gone', () => records.keptCount === 0)
      stop.abort(new Error('test'))
      await running
      assert.equal(asked, 1)
    })
  })
})

describe('the fetcher of segments', () => {
  it('waits for no seat that says nothing, as long as another describes the segment', async () => {
    await inWorld(async (world) => {
      const { root, fragments } = storeSegment(world, 1)
      const { miners } = world
      const silent = new Set([0, 1])
      const sessions = {
        of: (peerKey: Uint8Array) => {
          const at = miners.findIndex(({ identity }) => equalBytes(identity.publicKey, peerKey))
          return {
            request: async (op: number, _: object, { signal }: { signal: AbortSignal }) => {
              if (silent.has(at)) await new Promise((__, reject) => signal.addEventListener('abort', reject))
              const { body, descriptor } = miners[at]!.fragments.get(1)!
              return op === FrameOp.describe ? { meta: descriptor } : { body }
            },
          }
        },
      } as unknown as MinerSessions
      const log = createLogger({ name: 'tee', write: () => undefined })
      const fetcher = new SegmentFetcher({ sessions, log }, { describeMs: 2 ** 31 - 1, hedgeMs: 1 })
      const peerKeys = miners.map(({ identity }) => identity.publicKey)
      const kind = params.classes.standard
      const segment = await fetcher.fetch(
        { group: GROUP, stripe: 1 },
        root,
        peerKeys,
        kind,
        AbortSignal.timeout(20_000),
      )
      assert.equal(segment.fragments.length, kind.dataCount)
      for (const { seat: at, bytes } of segment.fragments) assert.ok(equalBytes(bytes, fragments[at]!))
    })
  })
})

describe('the queue of a worker', () => {
  it('takes no more than it says, and takes again when there is room', async () => {
    await inRecords({}, async (records) => {
      const of = { id: 1, classId: 1, stripeCount: 0, tagger: `0x${'11'.repeat(20)}`, peerKeys: [] } as ChainGroup
      const job = (stripe: number) => ({ group: 1, stripe, root: new Uint8Array(32), of })
      const fetcher = {
        fetch: async () => {
          throw new SegmentUnavailable(0, 4)
        },
      }
      const roots = { prove: async () => undefined }
      const parts = { records, roots, fetcher, sessions: new MinerSessions(), params }
      const tagging = new Tagging({ ...parts, log: createLogger({ name: 'tee', write: () => undefined }) } as never)
      for (let stripe = 0; stripe < 16_384; stripe++) assert.equal(tagging.add(job(stripe)), 'taken')
      assert.deepEqual([tagging.add(job(16_384)), tagging.add(job(5)), tagging.backlog], ['full', 'known', 16_384])
      const stop = new AbortController()
      const running = tagging.run({ inFlight: 1, signal: stop.signal })
      await until('there is room', () => tagging.backlog < 16_384)
      assert.equal(tagging.add(job(16_384)), 'taken')
      stop.abort(new Error('test'))
      await running
    })
  })
})

/** Records of their own in a folder of their own. */
async function inRecords(
  init: { outboxBytesMax?: number },
  use: (records: TagRecords) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'cumulus-records-'))
  const records = await TagRecords.open(folder, new Uint8Array(32), { isNewKey: true, ...init })
  try {
    await use(records)
  } finally {
    await records.close()
    await rm(folder, { recursive: true, force: true })
  }
}

function signedTags(bytes: number) {
  return { root: new Uint8Array(32), signature: new Uint8Array(64), tags: new Uint8Array(bytes).fill(bytes & 255) }
}

describe('records', () => {
  it('hold a claim against every other one, over restarts', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cumulus-records-'))
    const key = { group: 1, stripe: 2 }
    const [a, b] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
    const claims: string[] = []
    try {
      for (const [isNewKey, root] of [
        [true, a],
        [false, b],
        [false, a],
      ] as const) {
        const records = await TagRecords.open(folder, new Uint8Array(32), { isNewKey })
        claims.push(await records.claim(key, root))
        await records.close()
      }
      assert.deepEqual(claims, ['new', 'other', 'again'])
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })

  it('keep the newest tags within their bounds, and forget who has taken those that go', async () => {
    const outboxBytesMax = 10_000
    await inRecords({ outboxBytesMax }, async (records) => {
      let random = 1
      const next = (below: number) => (random = (random * 48_271) % 0x7fff_ffff) % below
      for (let i = 0; i < 200; i++) {
        const key = { group: 1, stripe: next(40) }
        await records.keep(key, signedTags(48 * (1 + next(60))))
        await records.setDelivered(key, 1 + next(100))
        assert.ok(records.kept(key), 'what was kept last is there')
        assert.ok(records.outboxBytes <= outboxBytesMax)
        const sum = [...records.keptKeys()].reduce((bytes, one) => bytes + 96 + records.kept(one)!.tags.length, 0)
        assert.equal(records.outboxBytes, sum)
        for (let stripe = 0; stripe < 40; stripe++) {
          if (!records.kept({ group: 1, stripe })) assert.equal(records.delivered({ group: 1, stripe }), 0)
        }
        if (next(10) === 0) await records.drop(key)
      }
    })
  })

  it('give a name to one of two claims made at once', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cumulus-records-'))
    const records = await TagRecords.open(folder, new Uint8Array(32), { isNewKey: true })
    try {
      const key = { group: 1, stripe: 2 }
      const [a, b] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
      assert.deepEqual(await Promise.all([records.claim(key, a), records.claim(key, b)]), ['new', 'other'])
      assert.equal(await records.claim(key, a), 'again')
      await assert.rejects(
        TagRecords.open(join(folder, 'x'), new Uint8Array(32), { isNewKey: false }),
        (error) => error instanceof TeeWorkerError && error.code === 'RECORDS_LOST',
      )
    } finally {
      await records.close()
      await rm(folder, { recursive: true, force: true })
    }
  })
})
