import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Block } from '../src/block.ts'
import type { R2sEffect } from '../src/events.ts'
import { LoneMember, WELL_FORMED_SHARE } from './lone-member.ts'

const ASK_MS = 400
/** Of round 1: shares of its coin are in the blocks of round 4. */
const FIRST_SHARES = 4

const isWellFormed = (share: Uint8Array) => share[0] === 1

/** Member 0 of seven, five of whose shares are needed, and rounds of the others. */
function seven(holders = 0b111_1111) {
  const lone = new LoneMember(7, { coinAskMs: ASK_MS }, { mode: 'threshold', holders, wellFormed: isWellFormed })
  let parents: Block[] = []
  /** One more round by these, who come in this order. */
  const hear = (...authors: number[]): R2sEffect[] => {
    const round = (parents[0]?.header.round ?? 0) + 1
    const shareOf = (author: number) => (round >= FIRST_SHARES && holders & (1 << author) ? WELL_FORMED_SHARE : null)
    const blocks = authors.map((author) =>
      round === 1 ? lone.sealed(author) : lone.child(author, parents, { coinShare: shareOf(author) }),
    )
    const effects = lone.receive(...blocks)
    parents = blocks.sort((a, b) => a.header.author - b.header.author)
    return effects
  }
  const sumIs = (round: number, badShares: number[]) => {
    const value = badShares.length > 0 ? null : new Uint8Array(96).fill(round)
    return lone.core.step({ kind: 'coin', round, value, badShares, nowMs: lone.nowMs })
  }
  for (let round = 1; round < FIRST_SHARES; round++) hear(1, 2, 3, 4, 5, 6)
  return { lone, hear, sumIs }
}

/** Whose shares are to be summed, by round. */
function sums(effects: readonly R2sEffect[]): [round: number, authors: number[]][] {
  return effects.flatMap((effect) =>
    effect.kind === 'combine' ? [[effect.round, effect.shares.map(({ author }) => author)]] : [],
  )
}

describe('a member that signed a bad share of the coin', () => {
  it('is told of once, and from then on others come first: it costs no second sum any more', () => {
    const { hear, sumIs } = seven()
    assert.deepEqual(sums(hear(1, 2, 3, 4, 5, 6)), [[1, [1, 2, 3, 4, 5]]])
    const again = sumIs(1, [1])
    assert.deepEqual(
      again.flatMap((effect) => (effect.kind === 'bad-shares' ? [effect.authors] : [])),
      [[1]],
    )
    assert.deepEqual(sums(again), [[1, [2, 3, 4, 5, 6]]])
    sumIs(1, [])
    assert.deepEqual(sums(hear(1, 2, 3, 4, 5, 6)), [[2, [2, 3, 4, 5, 6]]])
  })

  it('is made do with when nothing better comes for a while', () => {
    const { lone, hear, sumIs } = seven()
    hear(1, 2, 3, 4, 5, 6)
    sumIs(1, [1])
    sumIs(1, [])
    // Member 6 falls silent; four of the others and the bad one are five.
    const effects = [...hear(1, 2, 3, 4, 5), ...hear(1, 2, 3, 4, 5)]
    assert.deepEqual(sums(effects), [])
    lone.nowMs += 10
    lone.core.step({ kind: 'tick', nowMs: lone.nowMs })
    assert.deepEqual(sums(hear(1, 2, 3, 4, 5)), [])
    lone.nowMs += ASK_MS
    const overdue = sums(lone.core.step({ kind: 'tick', nowMs: lone.nowMs }))
    assert.deepEqual(overdue, [
      [2, [2, 3, 4, 5, 1]],
      [3, [2, 3, 4, 5, 1]],
    ])
  })

  it('is taken at once where all others with a share of the key are there', () => {
    const { hear, sumIs } = seven(0b011_1110)
    assert.deepEqual(sums(hear(1, 2, 3, 4, 5, 6)), [[1, [1, 2, 3, 4, 5]]])
    assert.deepEqual(sums(sumIs(1, [1])), [], 'four are left')
    assert.deepEqual(sums(hear(1, 2, 3, 4, 5, 6)), [[2, [2, 3, 4, 5, 1]]])
  })
})
