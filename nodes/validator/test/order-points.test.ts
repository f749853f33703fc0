import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { ByteWriter } from '@cumulus/bytes'
import { createCommittee } from '@cumulus/certificate'
import type { CertificateStore } from '@cumulus/execution'
import type { HashedHeader } from '@cumulus/ledger'
import { type FrameMessage, type FrameReply, NetworkError, PeerIdentity, RemoteError } from '@cumulus/network'
import { type Checkpoint, encodeCheckpoint } from '@cumulus/r2s'
import { createLogger } from '@cumulus/service'
import { BlsKey } from '@cumulus/threshold'
import type { Address } from '@cumulus/types'
import { testAccount } from '../../execution/test/transactions.ts'
import { Backoff } from '../src/consensus/backoff.ts'
import { CatchUp } from '../src/consensus/catch-up.ts'
import type { Members } from '../src/consensus/members.ts'
import { consensusRootOf } from '../src/consensus/order-mark.ts'
import { type OrderPoint, OrderPoints } from '../src/consensus/order-points.ts'

const rules = { era: 0, gcDepthRounds: 64 } // a place each 4 rounds

const checkpointAt = (round: number): Checkpoint => ({
  round: round + 1,
  gcRound: 0,
  output: [{ author: 1, round, digest: new Uint8Array(32).fill(round) }],
  ejectedFrom: [null, null, null, null],
})

/** Block n was made of round 2n. */
const pointAt = (height: number): OrderPoint => ({
  height: BigInt(height),
  round: 2 * height,
  index: 0,
  checkpoint: checkpointAt(2 * height),
})

/** A chain whose headers bind those places. */
function chainOf(length: number) {
  const header = (number: bigint) => {
    const place = { era: 0, round: 2 * Number(number), index: 0 }
    return { number, consensusRoot: consensusRootOf(place, checkpointAt(place.round)) } as HashedHeader
  }
  return { head: header(BigInt(length)), header, genesisHash: new Uint8Array(32) }
}

const frameAt = (offset: number) => ({ offset }) as FrameMessage

describe('places to join the order', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'cumulus-points-'))
  })
  beforeEach(() => rm(join(dir, 'order'), { recursive: true, force: true }))
  after(() => rm(dir, { recursive: true }))

  const open = (chain = chainOf(1_000)) => OrderPoints.open(dir, rules, chain)
  const fill = async (points: OrderPoints, from: number, to: number) => {
    for (let height = from; height <= to; height++) await points.add(pointAt(height), 2 * (height - 1))
    await points.flush()
  }
  const answered = (points: OrderPoints, height: number) => points.answer(frameAt(height), 1_000n).offset

  it('are the same few at all members, and the last at or below the height that is asked for is named', async () => {
    const points = await open()
    await fill(points, 1, 20)
    assert.deepEqual(
      [20, 19, 18, 17, 2].map((height) => answered(points, height)),
      [20, 18, 18, 16, 2],
    )
    // One that was told only the end keeps the same ones of it.
    await rm(join(dir, 'order'), { recursive: true })
    const late = await open()
    await fill(late, 11, 20)
    assert.equal(answered(late, 17), answered(points, 17))
    assert.throws(() => answered(late, 11), { code: 'NO_SUCH_POINT' })
    assert.throws(() => late.answer(frameAt(20), 19n), { code: 'NOT_YET' })
  })

  it('are known after a restart, as far as the chain goes, but for files that are not what its headers bind', async () => {
    await fill(await open(), 1, 20)
    const folder = join(dir, 'order', 'points')
    await writeFile(join(folder, '16'), new Uint8Array(5))
    await writeFile(join(folder, '14'), new Uint8Array(500))
    await writeFile(join(folder, '12.7.1.tmp'), '')
    const points = await open(chainOf(19))
    assert.equal(answered(points, 20), 18)
    assert.equal(answered(points, 17), 12)
    assert.equal(points.last?.round, 36)
    assert.ok(!(await readdir(folder)).some((name) => ['20', '16', '14', '12.7.1.tmp'].includes(name)))
  })

  it('are so many at most, in memory and on the disk', async () => {
    await fill(await open(), 1, 100)
    assert.equal((await readdir(join(dir, 'order', 'points'))).length, 32)
    assert.equal(answered(await open(), 100), 100)
  })

  it('stop the member when the disk refuses them', async () => {
    const points = await open()
    await writeFile(join(dir, 'order'), 'no folder')
    await points.add(pointAt(2), 2)
    await points.flush()
    await assert.rejects(points.add(pointAt(4), 4), { code: 'LOG_FAILED' })
  })
})

describe('a member that asks where it can join the order', () => {
  const seats = Array.from({ length: 4 }, (_, index) => {
    const bls = BlsKey.fromSeed(new Uint8Array(32).fill(index + 1))
    const identity = new PeerIdentity(new Uint8Array(32).fill(index + 1))
    const account = testAccount(index).address.toLowerCase() as Address
    return { account, peerKey: identity.publicKey, blsKey: bls.publicKey, address: '/ip4/127.0.0.1/tcp/1', identity }
  })
  const committee = createCommittee({ chainId: 1, era: 0, members: seats })

  /** @param answers of the seats 1 to 3 */
  const join0 = async (answers: readonly ((height: number) => FrameReply)[]) => {
    let asked = 0
    const links = {
      request: async (seat: number, _op: number, { offset }: { offset: number }) => {
        asked++
        return { body: new Uint8Array(0), meta: new Uint8Array(0), offset: 0, ...answers[seat - 1]!(offset) }
      },
    } as unknown as Members
    const catchUp = new CatchUp({
      identity: seats[0]!.identity,
      members: seats.map(({ peerKey }) => ({ peerKey, address: { host: '127.0.0.1', port: 1 } })),
      self: 0,
      committee,
      links,
      chain: chainOf(20),
      certificates: {} as CertificateStore,
      senders: { recoverSenders: async () => {} },
      log: createLogger({ name: 'test', write: () => {} }),
    })
    return { point: await catchUp.orderPoint({ signal: new AbortController().signal }), asked }
  }

  /** Names the last of these heights that is not above the one asked for. */
  const having =
    (...heights: number[]) =>
    (asked: number): FrameReply => {
      const height = heights.findLast((one) => one <= asked)
      if (height === undefined) throw new RemoteError('NO_SUCH_POINT', 'too long ago')
      return answerOf(pointAt(height))
    }
  const answerOf = ({ height, round, index, checkpoint }: OrderPoint): FrameReply => ({
    offset: Number(height),
    meta: new ByteWriter(16).u32(round).u32(index).finish(),
    body: encodeCheckpoint(checkpoint),
  })
  const silent = () => {
    throw new NetworkError('CLOSED', 'gone')
  }
  const malformed = () => ({ offset: 18, meta: Uint8Array.of(1), body: Uint8Array.of(2) })
  const notBound = () => answerOf({ ...pointAt(18), checkpoint: checkpointAt(99) })

  it('takes what more than f name and the header binds, whatever one other says', async () => {
    for (const liar of [having(6), having(), silent, malformed, notBound]) {
      const { point } = await join0([having(18), liar, having(18)])
      assert.equal(point?.height, 18n)
    }
  })

  it('finds the place that all have when one lacks the newest', async () => {
    const { point } = await join0([having(12, 16, 18), having(12, 16), silent])
    assert.equal(point?.height, 16n)
  })

  it('takes nothing that one alone names, or that no header binds, and asks so often at most', async () => {
    assert.equal((await join0([having(18), having(), silent])).point, undefined)
    assert.equal((await join0([silent, silent, silent])).point, undefined)
    assert.equal((await join0([notBound, notBound, silent])).point, undefined)
    // Always one lower: it leads nowhere, and ends.
    const endless = (height: number) => answerOf(pointAt(height - 1))
    const { point, asked } = await join0([endless, having(2), silent])
    assert.equal(point, undefined)
    assert.ok(asked <= 3 * 8, `asked ${asked} times`)
  })
})

describe('tries to join the order', () => {
  it('become rarer while they lead nowhere', () => {
    const backoff = new Backoff(100, 5_000)
    const waits = Array.from({ length: 8 }, () => backoff.nextMs())
    assert.deepEqual(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000])
    backoff.reset()
    assert.equal(backoff.nextMs(), 100)
  })
})
