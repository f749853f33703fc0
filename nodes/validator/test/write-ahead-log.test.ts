import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it, type TestContext } from 'node:test'
import { bytesToHex, equalBytes } from '@cumulus/bytes'
import { type Block, COIN_BYTES, encodeLogRecord, encodePayload, genesisDigest, sealBlock } from '@cumulus/r2s'
import fc from 'fast-check'
import { LOG_HEAD_BYTES } from '../src/consensus/log-file.ts'
import { WriteAheadLog } from '../src/consensus/write-ahead-log.ts'
import { DurableBytes, noDiskCalls, watchDisk } from './disk-calls.ts'

const owner = { chainId: 27_103n, era: 0, member: 1, peerKey: new Uint8Array(32).fill(3) }
const anchor = new Uint8Array(32).fill(7)

function block(round: number, author = 1, bytes = 100): Block {
  const header = {
    chainId: owner.chainId,
    era: 0,
    round,
    author,
    tsMs: 1_000 + round,
    exposed: 0,
    parents: [{ author, round: round - 1, digest: genesisDigest(anchor, author) }],
    coinShare: null,
    votes: [],
    evidence: null,
    txCount: 1,
  }
  return sealBlock(header, encodePayload([new Uint8Array(bytes).fill(round)]), () => new Uint8Array(64))
}

const coin = (round: number) => ({ round, value: new Uint8Array(COIN_BYTES).fill(round) })

const checkpoint = { round: 9, gcRound: 3, output: [], ejectedFrom: [null, null, null, null] }

describe('the write-ahead log', () => {
  let root: string
  let dir: string
  let count = 0
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'cumulus-wal-'))
  })
  beforeEach(() => {
    dir = join(root, String(count++))
  })
  after(() => rm(root, { recursive: true }))

  /** What whoever draws keys leaves in the folder of their member. */
  const vouch = async (peerKey = owner.peerKey) => {
    await mkdir(dir, { recursive: true })
    await writeFile(join(dir, 'order.new'), `${bytesToHex(peerKey)}\n`)
  }
  const open = (height = 0n) => WriteAheadLog.open(dir, owner, height)
  const path = () => join(dir, 'order', 'wal.log')
  /** A log with own blocks of rounds 1 to `rounds`. */
  const write = async (rounds: number) => {
    const { wal } = await open()
    for (let round = 1; round <= rounds; round++) {
      wal.append({ kind: 'block', block: block(round, 0) })
      await wal.persist(block(round))
    }
    await wal.close()
  }
  const roundsOf = async () => {
    const { wal, found } = await open()
    await wal.close()
    if (found.kind !== 'log') return found.kind
    return found.blocks.filter(({ header }) => header.author === 1).map((b) => b.header.round)
  }

  it('is fresh once, if somebody vouches for the keys, and afterwards holds what was persisted, in order', async () => {
    await vouch()
    const { wal, found } = await open()
    assert.equal(found.kind, 'fresh')
    await wal.close()
    await write(3)
    const again = await open(12n)
    await again.wal.close()
    assert.equal(again.found.kind, 'log')
    const blocks = again.found.kind === 'log' ? again.found.blocks : []
    assert.deepEqual(
      blocks.map(({ header }) => [header.author, header.round]),
      [1, 2, 3].flatMap((round) => [
        [0, round],
        [1, round],
      ]),
    )
    assert.deepEqual(blocks[5]!.digest, block(3).digest)
  })

  /** What is durable of the log, of what is to replace it, and of their names. */
  const watchFolder = async (t: TestContext) => {
    const files = new Map<number, DurableBytes>()
    const folder = new DurableBytes()
    const log = () => {
      const { ino } = statSync(path())
      if (!files.has(ino)) files.set(ino, new DurableBytes())
      return files.get(ino)!
    }
    await watchDisk(t, (call, done) => {
      if (call.path === join(dir, 'order')) return folder.carryOut(call, done)
      if (!call.path.startsWith(path())) return done()
      const { ino } = statSync(call.path)
      if (!files.has(ino)) files.set(ino, new DurableBytes())
      return files.get(ino)!.carryOut(call, done)
    })
    /** Of the log, up to the end of a block. */
    const assertDurable = async (last: Block) => {
      const file = await readFile(path())
      const record = encodeLogRecord({ kind: 'block', block: last })
      const at = file.indexOf(record)
      assert.ok(at > 0, `round ${last.header.round} is not in the file`)
      // The marks between may be old.
      for (const [start, end] of [
        [0, 512],
        [LOG_HEAD_BYTES, at + record.length],
      ] as const) {
        assert.equal(log().firstLost(start, end), undefined, `round ${last.header.round} may be lost`)
      }
    }
    return { log, folder, assertDurable }
  }

  it('has an own block and all before it on the disk when it says so, after one wait', {
    skip: noDiskCalls,
  }, async (t) => {
    const { log, assertDurable } = await watchFolder(t)
    const { wal } = await open()
    let round = 0
    const persist = async (bytes?: number) => {
      const own = block(++round, 1, bytes)
      const before = log().waitCount
      await wal.persist(own)
      await assertDurable(own)
      assert.equal(log().waitCount, before + 1, `waits for round ${round}`)
    }
    for (let i = 0; i < 3; i++) await persist()
    wal.append({ kind: 'block', block: block(round + 1, 0) })
    wal.append({ kind: 'coin', coin: coin(2) })
    await persist()
    // What was written before, and nobody has waited for.
    wal.append({ kind: 'block', block: block(round + 1, 2) })
    await wal.flush()
    await persist()
    for (const author of [0, 2, 3]) wal.append({ kind: 'block', block: block(round + 1, author, 400_000) })
    await persist()
    // Beyond the zeros.
    await persist(2_500_000)
    await persist()
    // Two at once.
    const [one, two] = [block(++round), block(++round)]
    const before = log().waitCount
    await Promise.all([
      wal.persist(one).then(() => assertDurable(one)),
      wal.persist(two).then(() => assertDurable(two)),
    ])
    assert.equal(log().waitCount, before + 2)
    await wal.close()
  })

  it('has what it read, or began anew with, on the disk before it goes on', { skip: noDiskCalls }, async (t) => {
    await write(3)
    const { log, folder, assertDurable } = await watchFolder(t)
    const { wal } = await open()
    await assertDurable(block(3))
    const before = folder.waitCount
    await wal.rotate({ checkpoint, coins: [], blocks: [block(4, 0), block(4)] }, 77n)
    await assertDurable(block(4))
    assert.equal(folder.waitCount, before + 1) // for its name
    const waits = log().waitCount
    await wal.persist(block(5))
    await assertDurable(block(5))
    assert.equal(log().waitCount, waits + 1)
    await wal.close()
  })

  it('takes own blocks while it is begun anew, and has each of them whenever the power goes', {
    skip: noDiskCalls,
  }, async (t) => {
    await write(3)
    const { folder, assertDurable } = await watchFolder(t)
    const { wal } = await open()
    wal.append({ kind: 'block', block: block(4, 0) })
    // Large enough for some pieces, and no sector of zeros.
    const window = Array.from({ length: 12 }, (_, i) => block(4, i + 10, 400_000))
    const renames = folder.waitCount
    let isRotated = false
    const rotation = wal.rotate({ checkpoint, coins: [coin(3)], blocks: [block(4, 0), ...window, block(3)] }, 77n)
    rotation.finally(() => {
      isRotated = true
    })
    let round = 3
    const others: Block[] = []
    let countAfter = 0
    while (countAfter < 2) {
      if (isRotated) countAfter++
      const other = block(++round, 0, round === 5 ? 700_000 : 100)
      others.push(other)
      wal.append({ kind: 'block', block: other })
      await wal.persist(block(round))
      await assertDurable(block(round))
    }
    await rotation
    assert.equal(folder.waitCount, renames + 1)
    // The large one came before the change.
    assert.ok(round > 6)
    await wal.close()
    const { wal: last, found } = await open()
    assert.ok(found.kind === 'log')
    assert.equal(wal.bytes, last.bytes)
    await last.close()
    assert.equal(found.height, 77n)
    assert.deepEqual(found.coins, [coin(3)])
    // Everything once, in its order.
    const all = [block(4, 0), ...window, block(3)]
    for (const other of others) all.push(other, block(other.header.round))
    assert.deepEqual(
      found.blocks.map(({ digest }) => bytesToHex(digest)),
      all.map(({ digest }) => bytesToHex(digest)),
    )
  })

  it('lets no own block wait for a log that is begun anew, whatever the disk does with that', {
    skip: noDiskCalls,
  }, async (t) => {
    const { wal } = await open()
    await wal.persist(block(1))
    const held = Promise.withResolvers<void>()
    await watchDisk(t, async (call, done) => {
      if (call.path.endsWith('.new')) await held.promise
      return done()
    })
    const rotation = wal.rotate({ checkpoint, coins: [], blocks: [block(1)] }, 1n)
    for (let round = 2; round < 8; round++) await wal.persist(block(round, 1, 300_000))
    assert.equal(wal.isRotating, true)
    assert.equal(wal.isLong, false)
    held.resolve()
    await rotation
    assert.equal(wal.isRotating, false)
    await wal.close()
    assert.deepEqual(await roundsOf(), [1, 2, 3, 4, 5, 6, 7])
  })

  it('stays what it was if it is closed, or the process dies, while another is in the making', {
    skip: noDiskCalls,
  }, async (t) => {
    const { wal } = await open()
    await wal.persist(block(1))
    let isHeld = true
    const held = Promise.withResolvers<void>()
    await watchDisk(t, async (call, done) => {
      if (isHeld && call.path.endsWith('.new')) await held.promise
      return done()
    })
    const rotation = wal.rotate({ checkpoint, coins: [], blocks: [block(1, 0, 3_000_000)] }, 1n)
    await wal.persist(block(2))
    // As after kill -9.
    const copy = join(root, `copy-${count}`)
    await cp(dir, copy, { recursive: true })
    const { wal: other, found } = await WriteAheadLog.open(copy, owner, 0n)
    await other.close()
    assert.ok(found.kind === 'log')
    assert.deepEqual(
      found.blocks.map(({ header }) => header.round),
      [1, 2],
    )
    await wal.persist(block(3))
    const closing = wal.close()
    isHeld = false
    held.resolve()
    await Promise.all([rotation, closing])
    assert.deepEqual(await readdir(join(dir, 'order')), ['wal.log'])
    assert.deepEqual(await roundsOf(), [1, 2, 3])
  })

  it('has every own block that was reported as durable, whichever sectors of the next write a power cut leaves', async () => {
    const { wal } = await open()
    for (const round of [1, 2]) {
      wal.append({ kind: 'block', block: block(round, 0) })
      await wal.persist(block(round))
    }
    await wal.flush() // behind what follows each sync
    const before = new Uint8Array(await readFile(path()))
    for (const author of [0, 2, 3]) wal.append({ kind: 'block', block: block(3, author, 700) })
    // Not `persist`, for this is the moment before it is durable.
    wal.append({ kind: 'block', block: block(3) })
    await wal.flush()
    const after = new Uint8Array(await readFile(path()))
    await wal.close()
    const sectors = Array.from({ length: after.length / 512 }, (_, i) => i).filter(
      (i) => !equalBytes(before.subarray(512 * i, 512 * i + 512), after.subarray(512 * i, 512 * i + 512)),
    )
    assert.ok(sectors.length > 5)
    const usedBefore = Math.ceil(before.findLastIndex((byte) => byte !== 0) / 512)
    const anyArrived = fc.oneof(
      fc.subarray(sectors),
      fc.nat({ max: sectors.length }).map((count) => sectors.slice(0, count)),
    )
    await fc.assert(
      fc.asyncProperty(anyArrived, fc.boolean(), async (arrived, isCut) => {
        const bytes = before.slice()
        for (const i of arrived) bytes.set(after.subarray(512 * i, 512 * i + 512), 512 * i)
        // Where the file had to grow, it may end with what arrived.
        const used = Math.max(usedBefore, ...arrived.map((i) => i + 1)) * 512
        await writeFile(path(), isCut ? bytes.subarray(0, used) : bytes)
        const kept = await roundsOf()
        if (kept === 'lost') {
          // Something whole behind something that is not: better to ask once too often. Not where the write just broke off.
          assert.ok(arrived.some((sector, i) => sector !== sectors[i]))
          await rm(join(dir, 'order', 'LOST'))
          return
        }
        assert.ok(Array.isArray(kept))
        assert.deepEqual(kept, arrived.length === sectors.length ? [1, 2, 3] : kept.length === 3 ? [1, 2, 3] : [1, 2])
        // Goes on behind what was whole.
        const next = await open()
        await next.wal.persist(block(4))
        await next.wal.close()
        assert.deepEqual(await roundsOf(), [...kept, 4])
      }),
      { numRuns: 60 },
    )
  })

  it('is lost if anything in it is damaged, and stays so until an own block is persisted again', async () => {
    await write(3)
    const bytes = new Uint8Array(await readFile(path()))
    // The last block, which the others may have by now.
    bytes[bytes.findLastIndex((byte) => byte !== 0)]! ^= 1
    await writeFile(path(), bytes)
    for (let start = 0; start < 2; start++) {
      const { wal, found } = await open()
      assert.equal(found.kind, 'lost')
      wal.append({ kind: 'block', block: block(5, 0) })
      await wal.flush()
      await wal.close()
    }
    const { wal } = await open()
    await wal.persist(block(9))
    await wal.close()
    assert.deepEqual(await roundsOf(), [9])
    assert.equal((await stat(`${path()}.damaged`)).size, bytes.length)
  })

  it('writes where it has written zeros before, but for a block that is larger than what is ahead', async () => {
    const { wal } = await open()
    const sizes = [(await stat(path())).size]
    for (const [i, bytes] of [100, 100, 300_000, 3_000_000, 100, 100].entries()) {
      await wal.persist(block(i + 1, 1, bytes))
      await wal.flush()
      const { size } = await stat(path())
      assert.ok(size >= wal.bytes)
      sizes.push(size)
    }
    assert.ok(sizes[0]! >= 2 ** 20)
    assert.equal(sizes[2], sizes[1])
    await wal.close()
    assert.deepEqual(await roundsOf(), [1, 2, 3, 4, 5, 6])
  })

  it('is lost, never fresh, if it is missing and nobody vouches that its keys were never used', async () => {
    const isLost = async (height = 0n) => {
      const { wal, found } = await open(height)
      await wal.close()
      assert.equal(found.kind, 'lost')
      await rm(dir, { recursive: true })
    }
    await isLost()
    await isLost(1n)
    await vouch()
    await isLost(1n)
    await vouch(new Uint8Array(32).fill(4))
    await isLost()
    // Good for one log only, whether it was written to or not.
    for (const rounds of [0, 1]) {
      await vouch()
      await write(rounds)
      await rm(join(dir, 'order'), { recursive: true })
      await isLost()
    }
    await write(1)
    await writeFile(path(), '')
    await isLost()
  })

  it('begins anew from a checkpoint, and remembers the height of the chain at that time', async () => {
    await write(2)
    const { wal } = await open()
    const before = wal.bytes
    wal.append({ kind: 'block', block: block(3, 0, 5_000) })
    await wal.rotate({ checkpoint, coins: [coin(3)], blocks: [block(4, 0), block(4)] }, 77n)
    assert.ok(wal.bytes < before)
    wal.append({ kind: 'coin', coin: coin(6) })
    await wal.persist(block(5))
    await wal.close()
    const { wal: last, found } = await open()
    await last.close()
    assert.ok(found.kind === 'log')
    assert.equal(found.height, 77n)
    assert.deepEqual(found.checkpoint, checkpoint)
    assert.deepEqual(
      found.blocks.map(({ header }) => header.round),
      [4, 4, 5],
    )
    assert.deepEqual(found.coins, [coin(3), coin(6)])
  })

  it('is long when it has grown, and not right after it was begun anew', async () => {
    const { wal } = await open()
    for (let round = 1; !wal.isLong; round++) wal.append({ kind: 'block', block: block(round, 0, 120_000) })
    assert.ok(wal.bytes >= 8 * 2 ** 20)
    await wal.rotate({ checkpoint, coins: [], blocks: [block(9)] }, 1n)
    assert.equal(wal.isLong, false)
    await wal.close()
  })

  it('refuses the log of another seat, era or chain', async () => {
    await write(1)
    for (const other of [{ member: 2 }, { era: 1 }, { chainId: 1n }]) {
      await assert.rejects(WriteAheadLog.open(dir, { ...owner, ...other }, 0n), { code: 'OTHER_LOG' })
    }
  })

  it('fails for good once it cannot be written: nothing may be signed after that', async () => {
    const { wal } = await open()
    await wal.persist(block(1))
    await rm(dir, { recursive: true })
    await assert.rejects(wal.rotate({ checkpoint, coins: [], blocks: [] }, 1n), { code: 'LOG_FAILED' })
    await assert.rejects(wal.persist(block(2)), { code: 'LOG_FAILED' })
    await wal.close()
  })
})
