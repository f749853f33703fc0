import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type BlockRef, sealBlock } from '../src/block.ts'
import { R2s } from '../src/consensus.ts'
import type { Checkpoint, R2sEffect } from '../src/events.ts'
import { configOf } from './members.ts'

const contents = { payload: Uint8Array.of(1, 0, 0, 0, 9), txCount: 1, votes: [], coinShare: null }
const returned = { kind: 'returned', payload: contents.payload, txCount: 1 } as const

const refAt = (round: number, author: number): BlockRef => ({
  author,
  round,
  digest: new Uint8Array(32).fill(author + 1),
})

/** The order stands before `round`; of the round below two all blocks are output. */
const checkpointAt = (round: number): Checkpoint => ({
  round,
  gcRound: round - 65,
  output: [0, 1, 2, 3].map((author) => refAt(round - 2, author)),
  ejectedFrom: [null, null, null, null],
})

/** A block that stands on what the checkpoint of the round after it has as output. */
const blockOn = (round: number, author: number) => {
  const parents = [author, ...[0, 1, 2, 3].filter((other) => other !== author)].map((one) => refAt(round - 1, one))
  const header = { chainId: 7n, era: 1, round, author, tsMs: 1, exposed: 0, parents, coinShare: null, votes: [] }
  return sealBlock({ ...header, evidence: null, txCount: 0 }, new Uint8Array(0), configOf(author, 4).sign)
}

const without = (effects: readonly R2sEffect[], ...kinds: R2sEffect['kind'][]) =>
  effects.filter(({ kind }) => !kinds.includes(kind))

describe('a member that was left behind with an own block under way', () => {
  const started = () => {
    const core = new R2s(configOf(0, 4))
    core.start({ kind: 'fresh' }, 0)
    return core
  }
  const receive = (core: R2s, round: number) =>
    [1, 2, 3].flatMap((from) =>
      core.step({ kind: 'message', from, message: { kind: 'block', block: blockOn(round, from) }, nowMs: 2 }),
    )
  const propose = (core: R2s, round: number) => core.step({ kind: 'proposal', round, ...contents, nowMs: 3 })
  const asksFor = (effects: readonly R2sEffect[]) =>
    effects.flatMap((effect) => (effect.kind === 'propose' ? [effect.round] : []))

  it('gives back what comes for a round whose parents are gone, and goes on where the order stands', () => {
    const core = started()
    core.step({ kind: 'adopt', checkpoint: checkpointAt(301), nowMs: 2 })
    assert.deepEqual(without(propose(core, 1), 'wake', 'send'), [returned])
    assert.deepEqual(asksFor(receive(core, 300)), [301])
  })

  it('gives back what it had chosen no parents for yet, and is not mute afterwards', () => {
    const core = started()
    core.step({ kind: 'adopt', checkpoint: checkpointAt(301), nowMs: 2 })
    receive(core, 300)
    // Nothing can be checked in full so soon after joining: it waits with its parents.
    assert.deepEqual(without(propose(core, 301), 'wake', 'send'), [])
    assert.deepEqual(without(core.step({ kind: 'adopt', checkpoint: checkpointAt(601), nowMs: 4 }), 'wake', 'send'), [
      returned,
    ])
    assert.deepEqual(asksFor(receive(core, 600)), [601])
  })

  it('asks all others for what they sent meanwhile, at once, and again whenever nothing comes for long', () => {
    const core = started()
    const greeted = (effects: readonly R2sEffect[]) =>
      effects.flatMap((effect) => (effect.kind === 'send' && effect.message.kind === 'hello' ? [effect.to] : []))
    assert.deepEqual(greeted(core.step({ kind: 'adopt', checkpoint: checkpointAt(301), nowMs: 2 })), [1, 2, 3])
    let greetings = 0
    for (let nowMs = 3; nowMs <= 20_002; nowMs++) greetings += greeted(core.step({ kind: 'tick', nowMs })).length
    assert.equal(greetings, 30)
    // A block says that there is nothing to ask for.
    receive(core, 300)
    assert.deepEqual(greeted(core.step({ kind: 'tick', nowMs: 21_900 })), [])
  })
})
