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
import { verifyEd25519 } from '@cumulus/signature'
import { groupId, seat, stripeNumber } from '@cumulus/types'
import { TeeWorkerError } from '../src/index.ts'
import { loadOrSealSeed } from '../src/sealed-key.ts'
import { TagRecords } from '../src/tag-records.ts'
import { GROUP, inWorld, params, SEATS, storeSegment, until, type World } from './support/fake-world.ts'

const podr: PodrParams = { chainId: params.chainId, ...params.audit }
const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected
const allHave = ({ miners }: World, stripe: number) => miners.every(({ tags }) => tags.has(stripe))

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
        await new Promise((resolve) => setTimeout(resolve, 300))
        assert.ok(miners.every(({ tags }) => !tags.has(2)))
      }
      assert.ok(before.length > 0)
      const health = await world.worker.health()
      assert.ok(!health.ok)
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
      const undelivered = () => (world.worker.status() as { undelivered: number }).undelivered
      await until('nothing is kept any more', () => undelivered() === 0)
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

describe('records', () => {
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
