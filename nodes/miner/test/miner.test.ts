import assert from 'node:assert/strict'
import { mkdtemp, open, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ByteWriter, equalBytes, utf8Decode } from '@cumulus/bytes'
import { registrationMessage } from '@cumulus/ledger/modules'
import { FrameOp } from '@cumulus/network'
import { createLogger, createMetrics } from '@cumulus/service'
import { verifyEd25519 } from '@cumulus/signature'
import { deletionMessage, pieceHashes, receiptMessage } from '@cumulus/storage'
import { usableUnits } from '@cumulus/store'
import { groupId, seat, stripeNumber } from '@cumulus/types'
import { runMiner } from '../src/index.ts'
import { FakeChain } from './support/fake-chain.ts'
import {
  FakeGateway,
  GROUP,
  get,
  inTestNetwork,
  params,
  put,
  SEAT,
  SPACE,
  segmentOf,
  TAGGER,
  TERRITORY,
} from './support/test-network.ts'

const statementOf = (stripe: number, segmentRoot: Uint8Array) => ({
  group: groupId(GROUP),
  stripe: stripeNumber(stripe),
  seat: seat(SEAT),
  segmentRoot,
})

describe('a miner', () => {
  it('signs for a fragment, keeps it over restarts, and gives back any range of it', async () => {
    await inTestNetwork(async (network) => {
      const segment = segmentOf(4)
      const receipt = await put(network.session, 4, segment)
      const message = receiptMessage(params.chainId, statementOf(4, segment.root))
      assert.ok(verifyEd25519(receipt.meta, message, network.peerKey))
      assert.ok(equalBytes(receipt.hash, segment.root))
      // The same again is the same answer.
      assert.ok(equalBytes((await put(network.session, 4, segment)).meta, receipt.meta))

      await network.restart()
      const whole = await get(network.session, 4)
      assert.ok(equalBytes(whole.body, segment.body) && equalBytes(whole.hash, segment.hash))
      assert.ok(equalBytes((await get(network.session, 4, 100, 50)).body, segment.body.subarray(100, 150)))
      const place = { group: GROUP, stripe: 4, seat: SEAT }
      const described = await network.session.request(FrameOp.describe, place)
      assert.ok(equalBytes(described.meta, segment.meta) && equalBytes(described.hash, segment.hash))
      assert.ok(equalBytes(described.body, pieceHashes(segment.body)))
    })
  })

  it('refuses every wrong put with a code that says why, and keeps nothing of it', async () => {
    await inTestNetwork(async ({ session, chain, miner }) => {
      const good = segmentOf(1)
      chain.openGroup(9, { classId: 1, peerKeys: [new Uint8Array(32)], tagger: TAGGER })
      chain.reserve(2n, `0x${'99'.repeat(20)}`, GROUP, 10, 5)
      const wrong: [string, string, number, Parameters<typeof put>[2], object][] = [
        ['NOT_YOUR_SEAT', 'another seat', 1, good, { seat: 4 }],
        ['NOT_YOUR_SEAT', 'a group without us', 1, good, { group: 9 }],
        ['NOT_YOUR_SEAT', 'no group', 1, good, { group: 77 }],
        ['NO_RESERVATION', 'a stripe nobody has reserved', 99, good, {}],
        ['NO_RESERVATION', 'the stripe of another gateway', 12, good, {}],
        ['MALFORMED', 'a descriptor cut short', 1, { ...good, meta: good.meta.subarray(1) }, {}],
        ['MALFORMED', 'seat 255', 1, good, { seat: 255 }],
        ['WRONG_CLASS', 'another class', 1, segmentOf(1, { classId: 2 }), {}],
        ['WRONG_CLASS', 'another k', 1, segmentOf(1, { dataCount: 3 }), {}],
        ['WRONG_LENGTH', 'a longer segment', 1, segmentOf(1, { length: 16_385 }), {}],
        ['WRONG_LENGTH', 'an empty segment', 1, segmentOf(1, { length: 0 }), {}],
        ['WRONG_LENGTH', 'half a body', 1, good, { body: good.body.subarray(0, 2048) }],
        ['HASH_MISMATCH', 'another fragment in the descriptor', 1, { ...good, meta: segmentOf(2).meta }, {}],
        ['HASH_MISMATCH', 'another body', 1, good, { body: segmentOf(2).body }],
      ]
      for (const [code, name, stripe, segment, change] of wrong) {
        await assert.rejects(put(session, stripe, segment, change), { name: 'RemoteError', code }, name)
      }
      await assert.rejects(get(session, 1), { code: 'NOT_FOUND' })
      const { units } = (await miner.status()) as { units: { used: number } }
      assert.equal(units.used, 0)
      await put(session, 1, good)
      await assert.rejects(put(session, 1, segmentOf(2)), { code: 'FRAGMENT_EXISTS' })
      await assert.rejects(get(session, 1, 4096, 1), { code: 'OUT_OF_RANGE' })
    })
  })

  it('serves nobody but registered gateways', async () => {
    await inTestNetwork(async ({ session, chain, gateway, miner }) => {
      await put(session, 1)
      chain.removeGateway(gateway.identity.publicKey)
      await session.closed
      await gateway.until(() => gateway.sessionCount === 0)
      assert.deepEqual(((await miner.status()) as { links: unknown[] }).links, [])
    })
  })

  it('dials gateways that register later, and leaves those whose hello is of another chain', async () => {
    await inTestNetwork(async ({ chain, session }) => {
      await put(session, 1)
      const [late, foreign] = [new FakeGateway(3), new FakeGateway(4)]
      try {
        await late.listen(2)
        await foreign.listen(1, 1)
        chain.addGateway(foreign.entry)
        chain.addGateway(late.entry)
        const lateSession = await late.session(3)
        // It may read what it knows of, but has reserved nothing.
        assert.ok(equalBytes((await get(lateSession, 1)).body, segmentOf(1).body))
        await assert.rejects(put(lateSession, 2), { code: 'NO_RESERVATION' })
        // Whoever brings what the chain has committed brings the right thing.
        chain.commit(GROUP, 2, segmentOf(2).root)
        while (
          await put(lateSession, 2).then(
            () => false,
            (error) => error.code === 'NO_RESERVATION',
          )
        ) {
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
        assert.ok(await get(lateSession, 2))
        await assert.rejects(put(lateSession, 2, segmentOf(3)), { code: 'WRONG_ROOT' })
        assert.equal(foreign.sessionCount <= 1, true)
      } finally {
        await late.close()
        await foreign.close()
      }
    })
  })

  it('asks the chain once for a whole reservation', async () => {
    await inTestNetwork(async ({ session, chain }) => {
      const before = { ...chain.reads }
      await Promise.all(Array.from({ length: 10 }, (_, stripe) => put(session, stripe)))
      await Promise.all(Array.from({ length: 10 }, (_, stripe) => put(session, stripe)))
      assert.equal((chain.reads['group'] ?? 0) - (before['group'] ?? 0), 1)
      // One for each of the first ten that came together, at most, and one for the range.
      assert.ok((chain.reads['stripes'] ?? 0) <= 12, `${chain.reads['stripes']}`)
      chain.isDown = true
      assert.ok(await put(session, 3))
      await assert.rejects(put(session, 50), { code: 'CHAIN_UNREACHABLE' })
    })
  })

  it('frees what the chain releases, and signs that it is gone only then', async () => {
    await inTestNetwork(async ({ session, chain, peerKey, miner }) => {
      const used = async () => ((await miner.status()) as { units: { used: number } }).units.used
      const remove = (stripe: number) => session.request(FrameOp.delete, { group: GROUP, stripe, seat: SEAT })
      for (const stripe of [1, 2, 3]) await put(session, stripe)
      for (const stripe of [1, 2, 3]) chain.commit(GROUP, stripe, segmentOf(stripe).root)
      await assert.rejects(remove(1), { code: 'NOT_RELEASED' })
      chain.release(GROUP, 1, { silent: true })
      const deletion = await remove(1)
      const message = deletionMessage(params.chainId, statementOf(1, segmentOf(1).root))
      assert.ok(verifyEd25519(deletion.meta, message, peerKey))
      await assert.rejects(get(session, 1), { code: 'NOT_FOUND' })
      assert.ok((await remove(1)).meta.length === 64) // said again
      chain.release(GROUP, 2)
      while ((await used()) !== 1) await new Promise((resolve) => setTimeout(resolve, 5))
      await assert.rejects(get(session, 2), { code: 'NOT_FOUND' })
      await assert.rejects(put(session, 2), { code: 'STRIPE_RELEASED' })
      assert.ok(await get(session, 3))
    })
  })

  it('learns at its next start what the chain did while it was away', async () => {
    await inTestNetwork(async (network) => {
      const { chain } = network
      for (const stripe of [1, 2, 3, 4, 5]) await put(network.session, stripe)
      await network.stop()
      chain.commit(GROUP, 1, segmentOf(1).root)
      chain.release(GROUP, 2)
      // Events that were missed: found by asking.
      chain.release(GROUP, 3, { silent: true })
      chain.commit(GROUP, 4, segmentOf(77).root, { silent: true })
      await network.restart()
      const status = async () => (await network.miner.status()) as { units: { used: number }; pendingFragments: number }
      while ((await status()).units.used !== 2) await new Promise((resolve) => setTimeout(resolve, 5))
      while ((await status()).pendingFragments !== 1) await new Promise((resolve) => setTimeout(resolve, 5))
      assert.ok(await get(network.session, 1))
      assert.ok(await get(network.session, 5))
      for (const stripe of [2, 3, 4]) await assert.rejects(get(network.session, stripe), { code: 'NOT_FOUND' })
    })
  })

  it('never gives out bytes that its disk has changed, and takes the fragment again', async () => {
    await inTestNetwork(async ({ session, folder, miner }) => {
      const segment = segmentOf(1)
      await put(session, 1, segment)
      for (const name of await readdir(join(folder, 'slabs'))) {
        const file = await open(join(folder, 'slabs', name), 'r+')
        const bytes = await file.readFile()
        const at = bytes.indexOf(segment.body)
        if (at >= 0) await file.write(new Uint8Array([1]), 0, 1, at + 77)
        await file.close()
      }
      await assert.rejects(get(session, 1), { code: 'FRAGMENT_CORRUPT' })
      const place = { group: GROUP, stripe: 1, seat: SEAT }
      await assert.rejects(session.request(FrameOp.describe, place), { code: 'FRAGMENT_CORRUPT' })
      assert.equal((await miner.health()).ok, false)
      await put(session, 1, segment)
      assert.ok(equalBytes((await get(session, 1)).body, segment.body))
      assert.equal((await miner.health()).ok, true)
    })
  })

  it('keeps pack logs for those who may use the territory', async () => {
    await inTestNetwork(async (network) => {
      const hash = new Uint8Array(32).fill(8)
      const context = new ByteWriter().u64(TERRITORY).u64(1n).finish()
      const append = (offset: number, bytes: number[], meta = context) =>
        network.session.request(FrameOp.logAppend, { hash, offset, meta, body: new Uint8Array(bytes) })
      assert.equal((await append(0, [1, 2, 3])).offset, 3)
      assert.equal((await append(0, [1, 2, 3, 4])).offset, 4)
      await assert.rejects(append(9, [1]), { code: 'LOG_GAP', details: { position: 9, length: 4 } })
      await assert.rejects(append(1, [9]), { code: 'LOG_CONFLICT' })
      const foreign = new ByteWriter().u64(7n).finish()
      await assert.rejects(append(0, [1], foreign), { code: 'NOT_GRANTED' })
      await assert.rejects(append(0, [1], new Uint8Array(3)), { code: 'MALFORMED' })

      await network.restart()
      const list = async (territory: bigint) => {
        const meta = new ByteWriter().u64(territory).finish()
        return JSON.parse(utf8Decode((await network.session.request(FrameOp.logList, { meta })).meta))
      }
      assert.deepEqual(await list(TERRITORY), [{ logId: '08'.repeat(32), territory: '42', bytes: 4 }])
      await assert.rejects(list(7n), { code: 'NOT_GRANTED' })
      const read = await network.session.request(FrameOp.logRead, { hash, offset: 1 })
      assert.deepEqual([...read.body], [2, 3, 4])
      await network.session.request(FrameOp.logDrop, { hash })
      await assert.rejects(network.session.request(FrameOp.logDrop, { hash }), { code: 'LOG_NOT_FOUND' })
      assert.deepEqual(await list(TERRITORY), [])
    })
  })

  it('shows what it has and how it is', async () => {
    await inTestNetwork(async ({ miner, session, chain }) => {
      await put(session, 1)
      const status = JSON.parse(JSON.stringify(await miner.status()))
      const units = usableUnits(SPACE, params.unitBytes)
      assert.deepEqual([status.account, status.state], [chain.account, 'active'])
      assert.deepEqual([status.units.declared, status.units.used, status.units.free], [units, 1, units - 1])
      assert.deepEqual([status.units.proven, status.pendingFragments], [0, 1])
      assert.equal(status.links[0].main, 'connected')
      const health = await miner.health()
      assert.deepEqual(
        [health.ok, health.checks.map(({ name }) => name)],
        [true, ['chain', 'registered', 'gateways', 'proofs', 'fragments']],
      )
    })
  })
})

describe('registration', () => {
  const log = createLogger({ name: 'miner', write: () => undefined })

  /** Ends what a test has started, even if it fails half-way. */
  const running: (() => Promise<void>)[] = []

  async function start(chain: FakeChain, folder: string, spaceBytes = SPACE, lines?: string[], topUpMax?: bigint) {
    const stop = new AbortController()
    const logger = lines ? createLogger({ name: 'miner', json: true, write: (line) => lines.push(line) }) : log
    const context = { signal: stop.signal, log: logger, metrics: createMetrics({ process: false }) }
    const tuning = { keepFreeBytes: 0, fillBytesPerSecond: 0 }
    const miner = await runMiner({ folder, params, spaceBytes, region: 'eu', topUpMax, tuning }, context, chain)
    const end = async () => {
      stop.abort(new Error('stop'))
      await miner.stopped
    }
    running.push(end)
    return end
  }

  async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
    const folder = await mkdtemp(join(tmpdir(), 'cumulus-miner-'))
    try {
      await use(folder)
    } finally {
      for (const end of running.splice(0)) await end()
      await rm(folder, { recursive: true, force: true })
    }
  }

  it('waits for funds, stakes for all units, and proves the peer key', async () => {
    await inFolder(async (folder) => {
      const chain = new FakeChain()
      chain.funds = 0n
      const lines: string[] = []
      const starting = start(chain, folder, SPACE, lines)
      while (!lines.some((line) => line.includes('waiting for funds'))) {
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      assert.equal(chain.registrations.length, 0)
      chain.funds = 10n ** 24n
      const stop = await starting
      const [registration] = chain.registrations
      const units = usableUnits(SPACE, params.unitBytes)
      assert.equal(registration!.units, units)
      assert.equal(registration!.stake, BigInt(units) * params.stakePerUnit)
      const message = registrationMessage(params.chainId, chain.account)
      assert.ok(verifyEd25519(registration!.peerSignature, message, registration!.peerKey))
      await stop()

      // Again: nothing to do. With more space: more units.
      await (await start(chain, folder))()
      assert.equal(chain.registrations.length, 1)
      await (await start(chain, folder, 2 * SPACE))()
      assert.equal(chain.entry!.declaredUnits, usableUnits(2 * SPACE, params.unitBytes))
      assert.equal(chain.entry!.stake, BigInt(chain.entry!.declaredUnits) * params.stakePerUnit)
      // With less, it does not start: what is declared must be there.
      await assert.rejects(start(chain, folder, SPACE), { code: 'WRONG_GEOMETRY' })
    })
  })

  it('does not start with the account of another folder, or without room for a unit', async () => {
    await inFolder(async (folder) => {
      const chain = new FakeChain()
      await (await start(chain, join(folder, 'a')))()
      await assert.rejects(start(chain, join(folder, 'b')), { code: 'OTHER_PEER_KEY' })
      await assert.rejects(start(chain, join(folder, 'c'), 4096), { code: 'NO_UNITS' })
      await assert.rejects(start(chain, join(folder, 'a'), SPACE / 2), { code: 'WRONG_GEOMETRY' })
      // The key moved to a smaller disk, and nothing else.
      await rm(join(folder, 'a', 'index'), { recursive: true })
      await assert.rejects(start(chain, join(folder, 'a'), SPACE / 2), { code: 'SPACE_TOO_SMALL' })
    })
  })

  it('pays what penalties took, as far as its owner allows, and no further', async () => {
    for (const { topUpMax, state, missingStake } of [
      { topUpMax: undefined, state: 'frozen', missingStake: 7n },
      { topUpMax: 6n, state: 'frozen', missingStake: 7n },
      { topUpMax: 7n, state: 'active', missingStake: 0n },
    ]) {
      await inFolder(async (folder) => {
        const chain = new FakeChain()
        await (await start(chain, folder))()
        const { stake } = chain.entry!
        chain.entry = { ...chain.entry!, state: 'frozen', missingStake: 7n }
        const lines: string[] = []
        const before = chain.reads['rewards'] ?? 0
        const stop = await start(chain, folder, SPACE, lines, topUpMax)
        // It looks at its entry when it starts, and decides at once.
        await chain.until(() => chain.reads['rewards'] === before + 1)
        await new Promise((resolve) => setImmediate(resolve))
        await stop()
        assert.deepEqual([chain.entry.state, chain.entry.missingStake], [state, missingStake])
        assert.equal(chain.entry.stake - stake, 7n - missingStake)
      })
    }
  })

  it('keeps region and addresses up to date', async () => {
    await inFolder(async (folder) => {
      const chain = new FakeChain()
      await (await start(chain, folder))()
      chain.entry = { ...chain.entry!, region: 'elsewhere' }
      await (await start(chain, folder))()
      assert.deepEqual([chain.updates.length, chain.entry!.region], [1, 'eu'])
    })
  })
})
