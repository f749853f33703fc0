import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { assertSameChain, headOf, transfer } from './chain-tools.ts'
import { eventually, TestCommittee, type TestMember } from './test-committee.ts'

const pace = { minRoundMs: 5, idleRoundMs: 10 }
/** Three hundred rounds, on a machine that has other work. */
const FORGETTING_MS_MAX = 120_000

describe('a committee of four', () => {
  it('goes on when the member it cannot do without was away for long, and all others remember only what is on their disks', async () => {
    const committee = await TestCommittee.start(4, { pace })
    const [one, two, late, dead] = committee.members as [TestMember, TestMember, TestMember, TestMember]
    try {
      await transfer(late, 0, 2)
      await late.stop()
      // Longer than others remember: it cannot fetch what it lacks.
      await transfer(one, 1, 3)
      const { decidedRound } = (await one.status()).orderer
      await eventually(
        'rounds',
        async () => (await one.status()).orderer.decidedRound > decidedRound + 300,
        FORGETTING_MS_MAX,
      )
      const height = await headOf(one)
      await dead.stop()
      await Promise.all([one.stop(), two.stop()])
      await Promise.all([one.start(), two.start()])
      // Two of four make no chain block by which it could join. They must know an older one.
      await late.start()
      await transfer(one, 2, 3)
      await transfer(late, 3, 3)
      const rest = [one, two, late]
      const head = await headOf(late)
      assert.ok(head > height)
      await assertSameChain(rest, head)
    } finally {
      await committee.remove()
    }
  })
})
