import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Block } from '../src/block.ts'
import { R2s } from '../src/consensus.ts'
import type { R2sEffect } from '../src/events.ts'
import { LoneMember, THRESHOLD_COIN, WELL_FORMED_SHARE } from './lone-member.ts'
import { configOf } from './members.ts'

const bounds = { undecidedRoundsMax: 4, undecidedRoundsStop: 8, stalledRoundMs: 60_000 }

/** A committee of one: its rounds go on, and nobody tells it the coin. */
function undecided() {
  const core = new R2s({ ...configOf(0, 1, bounds), coin: THRESHOLD_COIN })
  const asked: number[] = []
  const payloads: number[] = []
  let nowMs = 0
  const perform = (effects: readonly R2sEffect[]): void => {
    for (const effect of effects) {
      if (effect.kind === 'persist') perform(core.step({ kind: 'persisted', round: effect.block.header.round, nowMs }))
      if (effect.kind === 'combine') asked.push(effect.round)
      if (effect.kind !== 'propose') continue
      payloads.push(effect.payloadBytesMax)
      const coinShare = effect.coinRound === null ? null : WELL_FORMED_SHARE
      const contents = { payload: Uint8Array.of(1), txCount: 0, votes: [], coinShare }
      perform(core.step({ kind: 'proposal', round: effect.round, ...contents, nowMs }))
    }
  }
  perform(core.start({ kind: 'fresh' }, nowMs))
  const pass = (ms: number, stepMs: number) => {
    for (const untilMs = nowMs + ms; nowMs < untilMs; ) {
      nowMs += stepMs
      perform(core.step({ kind: 'tick', nowMs }))
    }
  }
  const tellCoins = () => {
    for (const round of asked.splice(0)) {
      perform(core.step({ kind: 'coin', round, value: new Uint8Array(96).fill(round), badShares: [], nowMs }))
    }
  }
  return { core, pass, tellCoins, payloads }
}

describe('rounds that nobody can decide', () => {
  it('bring nothing after some, and come once a minute after more, until they are decided', () => {
    const { core, pass, tellCoins, payloads } = undecided()
    pass(1_000, 1)
    assert.equal(core.lastOwnRound, 9)
    assert.ok(payloads.slice(6).every((bytes) => bytes === 0))
    pass(180_000, 100)
    assert.equal(core.lastOwnRound, 12)
    tellCoins()
    pass(100, 1)
    assert.ok(core.decidedRound >= 9)
    assert.ok(core.lastOwnRound > 12, 'the pace is the usual one again')
  })

  it('are kept up to a bound, whatever others send', () => {
    const lone = new LoneMember(4, bounds, THRESHOLD_COIN)
    let parents: Block[] = []
    for (let round = 1; round <= 60; round++) {
      const coinShare = round > 3 ? WELL_FORMED_SHARE : null
      parents = [1, 2, 3].map((author) =>
        round === 1 ? lone.sealed(author) : lone.child(author, parents, { coinShare }),
      )
      lone.receive(...parents)
    }
    assert.equal(lone.core.dag.highestRound, 1 + 4 * bounds.undecidedRoundsStop)
    assert.ok(lone.core.parkedCount <= 2 * 4 * 64)
  })
})
