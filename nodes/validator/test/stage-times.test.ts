import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Block, Commit } from '@cumulus/r2s'
import { createMetrics } from '@cumulus/service'
import { noGauges } from '../bench/no-gauges.ts'
import { createConsensusMetrics } from '../src/consensus/consensus-metrics.ts'
import { StageTimes } from '../src/consensus/stage-times.ts'

const self = 2

function blockOf(round: number, txCount: number, author = self): Block {
  return { header: { round, author, txCount } } as Block
}

describe('the times of stages', () => {
  const setUp = () => {
    const registry = createMetrics()
    const clock = { nowMs: 1_000 }
    const times = new StageTimes(
      createConsensusMetrics(registry, () => noGauges),
      () => clock.nowMs,
    )
    const after = (ms: number) => {
      clock.nowMs += ms
    }
    /** An own block, from the pool to the chain. */
    const live = (round: number, txCount: number) => {
      const transactions = Array.from({ length: txCount }, () => ({}))
      for (const transaction of transactions) times.arrived(transaction)
      after(3)
      times.proposed()
      after(2)
      times.taken(transactions)
      after(1)
      times.built(blockOf(round, txCount))
      after(4)
      times.durable(round)
      after(80)
      times.combined(round, 5)
      const slots = [
        { author: 0, digest: new Uint8Array(32), direct: true },
        { author: self, digest: new Uint8Array(32), direct: true },
        { author: 1, digest: null, direct: false },
      ]
      const blocks = [blockOf(round, 9, 0), blockOf(round, txCount)]
      const commit = { round, slots, blocks } as unknown as Commit
      times.committed(commit, self, round + 4)
      after(7)
      const executed = times.executing(commit)
      after(10)
      if (txCount > 0) executed(BigInt(round), 6)
      after(40)
      times.certified(BigInt(round))
    }
    return { times, live, registry }
  }

  it('add up to the way from the pool to the certificate', () => {
    const { times, live } = setUp()
    live(1, 2)
    const ms = Object.entries(times.table).map(([stage, { p50 }]) => [stage, p50])
    assert.deepEqual(ms, [
      ['pool', 5],
      ['share', 2],
      ['build', 1],
      ['log', 4],
      ['order', 75],
      ['coin', 5],
      ['queue', 7],
      ['execute', 4],
      ['store', 6],
      ['certificate', 40],
    ])
    // The share is computed while transactions wait.
    assert.equal(
      ms.reduce((sum, [stage, p50]) => (stage === 'share' ? sum : sum + Number(p50)), 0),
      3 + 2 + 1 + 4 + 80 + 7 + 10 + 40,
    )
    assert.deepEqual(times.commitMs, { p50: 84, p99: 84, count: 1 })
  })

  it('are of blocks with transactions only; rounds and slots are counted of all', async () => {
    const { times, live, registry } = setUp()
    live(1, 0)
    live(2, 0)
    assert.deepEqual(times.table, {})
    assert.equal(times.commitMs, undefined)
    const text = await registry.metrics()
    assert.match(text, /cumulus_consensus_slots_total\{decision="commit",by="wave"\} 4\n/)
    assert.match(text, /cumulus_consensus_slots_total\{decision="skip",by="anchor"\} 2\n/)
    assert.match(text, /cumulus_consensus_commit_rounds_sum 8\n/)
  })
})
