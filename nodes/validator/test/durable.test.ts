import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { readLog } from '@cumulus/r2s'
import { LOG_HEAD_BYTES } from '../src/consensus/log-file.ts'
import { assertSameChain, headOf, transfer } from './chain-tools.ts'
import { noDiskCalls, watchDisk } from './disk-calls.ts'
import { eventually, TestCommittee, type TestMember } from './test-committee.ts'

/** A bound, whatever else the machine does. */
const WITHIN_MS = 90_000

const pace = { minRoundMs: 10, idleRoundMs: 40 }

describe('a committee of four with a member', () => {
  it('whose disk stands still sees nothing of it that is not durable, and goes on', {
    skip: noDiskCalls,
  }, async (t) => {
    const committee = await TestCommittee.start(4, { pace })
    const [held, ...others] = committee.members as [TestMember, ...TestMember[]]
    const released = Promise.withResolvers<void>()
    let isHeld = false
    /** Of the newest own block that was written: not on the disk while it is held. */
    let written = 0
    try {
      await transfer(others[0]!, 1, 2)
      await watchDisk(t, async (call, done) => {
        if (call.path !== join(held.dir, 'order', 'wal.log')) return done()
        const isOwn = call.kind === 'write' && call.start >= LOG_HEAD_BYTES
        const blocks = isOwn ? readLog(call.bytes).blocks : []
        for (const { header } of blocks) if (header.author === 0) written = Math.max(written, header.round)
        if (written > 0 && (call.kind === 'sync' || call.isSyncing)) {
          isHeld = true
          await released.promise
        }
        return done()
      })
      await eventually('a disk that stands still', () => isHeld, WITHIN_MS)

      const orders = async () =>
        (await Promise.all(others.map((other) => other.status()))).map(({ orderer }) => orderer)
      const from = Math.max(...(await orders()).map(({ decidedRound }) => decidedRound))
      await transfer(others[1]!, 2, 3)
      const go = async () => {
        const now = await orders()
        for (const { members } of now) assert.ok(members[0]!.round < written, `round ${members[0]!.round} was shown`)
        return now.every(({ decidedRound }) => decidedRound >= from + 20)
      }
      await eventually('twenty rounds of the others', go, WITHIN_MS)
      assert.equal((await held.status()).orderer.members[0]!.round, written - 1)

      released.resolve()
      const isBack = async () => (await orders()).every(({ members, round }) => members[0]!.round >= round - 5)
      await eventually('its own blocks', isBack, WITHIN_MS)
      await transfer(held, 3, 2)
      await assertSameChain(committee.members, await headOf(held))
      for (const { evidence } of await orders()) assert.deepEqual(evidence, [])
    } finally {
      released.resolve()
      await committee.remove()
    }
  })
})
