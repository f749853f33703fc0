import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Block, refOf } from '../src/block.ts'
import type { R2sEffect } from '../src/events.ts'
import { LoneMember } from './lone-member.ts'

const CROWD = [1, 2, 3, 4, 5]
const LATE = 6

/** Member 0 of seven, with its own blocks: those up to round `last` as soon as it may, the next when told. */
function working(last: number) {
  const lone = new LoneMember(7)
  const own: Block[] = []
  let asked = 0
  const perform = (effects: readonly R2sEffect[]): void => {
    for (const effect of effects) {
      if (effect.kind === 'propose') asked = effect.round
      if (effect.kind === 'propose' && effect.round <= last) propose(effect.round)
      if (effect.kind !== 'persist') continue
      own.push(effect.block)
      perform(lone.core.step({ kind: 'persisted', round: effect.block.header.round, nowMs: lone.nowMs }))
    }
  }
  const propose = (round: number): void => {
    const contents = { payload: new Uint8Array(1), txCount: 0, votes: [], coinShare: null }
    perform(lone.core.step({ kind: 'proposal', round, ...contents, nowMs: lone.nowMs }))
  }
  const receive = (...blocks: Block[]) => {
    lone.nowMs += 10
    perform(lone.receive(...blocks))
  }
  /** What it cites of the last member in its next block. */
  const cited = () => {
    propose(last + 1)
    const { header } = own.at(-1)!
    assert.equal(header.round, last + 1)
    return header.parents.filter(({ author }) => author === LATE)
  }
  propose(1)
  return { lone, own, receive, cited, proposeNext: () => propose(asked) }
}

describe('a chain of blocks that its author has given up', () => {
  /** Two blocks, and two of a new chain. */
  const chains = () => {
    const { lone, receive, cited } = working(4)
    const rounds: Block[][] = []
    for (let round = 1; round <= 4; round++) {
      rounds.push(CROWD.map((author) => (round === 1 ? lone.sealed(author) : lone.child(author, rounds.at(-1)!))))
      receive(...rounds.at(-1)!)
    }
    const first = lone.sealed(LATE)
    const old = [first, lone.child(LATE, [first, ...rounds[0]!])]
    const begun = lone.sealed(LATE, { round: 3, parents: [lone.genesis[LATE]!, ...rounds[1]!.map(refOf)] })
    const anew = [begun, lone.child(LATE, [begun, ...rounds[2]!])]
    return { receive, cited, old, anew }
  }

  it('is cited by its top, beside the new one', () => {
    const { receive, cited, old, anew } = chains()
    receive(...anew, ...old)
    assert.deepEqual(cited(), [anew[1]!, old[1]!].map(refOf))
  })

  it('is not cited where it has not come, and the new one is', () => {
    const { receive, cited, old, anew } = chains()
    receive(...anew, old[1]!)
    assert.deepEqual(cited(), [refOf(anew[1]!)])
  })

  it('is cited alone where the new one has not come', () => {
    const { receive, cited, old, anew } = chains()
    receive(...old, anew[1]!)
    assert.deepEqual(cited(), [refOf(old[1]!)])
  })
})

describe('evidence in a block that is in no commit', () => {
  it('is in a later one of the same author', () => {
    const { lone, own, receive, proposeNext } = working(2)
    const twins = [lone.sealed(LATE), lone.sealed(LATE, { tsMs: 1001 })]
    let round = CROWD.map((author) => lone.sealed(author))
    receive(...twins, ...round)
    const { evidence } = own[1]!.header
    assert.equal(evidence?.author, LATE)
    // Nobody cites it.
    while (own[1]!.header.round > lone.core.gcRound) {
      const before = round
      round = CROWD.map((author) => lone.child(author, before))
      receive(...round)
    }
    proposeNext()
    assert.ok(own[2]!.header.round > own[1]!.header.round + 1)
    assert.deepEqual(own[2]!.header.evidence, evidence)
  })
})

describe('a member that catches up', () => {
  it('brings nothing in blocks that may come too late to be cited', () => {
    const lone = new LoneMember(4, { parentDepthRounds: 8 })
    const rounds: Block[][] = []
    for (let round = 1; round <= 12; round++) {
      const before = rounds.at(-1)
      rounds.push([1, 2, 3].map((author) => (before ? lone.child(author, before) : lone.sealed(author))))
    }
    /** By round: of the contents of own blocks. */
    const bytesMax: number[] = []
    const perform = (effects: readonly R2sEffect[]): void => {
      for (const effect of effects) {
        if (effect.kind === 'propose') {
          bytesMax[effect.round] = effect.payloadBytesMax
          propose(effect.round)
        }
        if (effect.kind !== 'persist') continue
        perform(lone.core.step({ kind: 'persisted', round: effect.block.header.round, nowMs: lone.nowMs }))
      }
    }
    const propose = (round: number): void => {
      const contents = { payload: new Uint8Array(0), txCount: 0, votes: [], coinShare: null }
      perform(lone.core.step({ kind: 'proposal', round, ...contents, nowMs: lone.nowMs }))
    }
    propose(1)
    // The last first: all of them are accepted in one step.
    perform(lone.receive(...rounds.flat().reverse()))
    const first = bytesMax.findIndex((bytes) => bytes > 0)
    // Four below the last of the others.
    assert.equal(first, 9)
    assert.equal(bytesMax.length, 13)
    assert.ok(bytesMax.slice(first).every((bytes) => bytes > 0))
  })
})

describe('a block beside the chain of a known equivocator', () => {
  it('is not cited: a late member needs that chain, and both would expose it', () => {
    const { lone, own, receive, cited } = working(4)
    const twin = lone.sealed(LATE, { tsMs: 1001 })
    receive(twin)
    // Whoever is convicted is only heard where others have built upon it: its block of each round comes after theirs of the next.
    let round = [1, 2, 3, 4, LATE].map((author) => lone.sealed(author))
    receive(...round)
    for (let i = 2; i <= 4; i++) {
      const before = round
      // Member 4 falls silent before the last.
      const authors = i === 4 ? [1, 2, 3, LATE] : [1, 2, 3, 4, LATE]
      round = authors.map((author) => lone.child(author, before))
      receive(...round.slice(0, -1), before.at(-1)!)
    }
    const ahead = lone.child(1, [own.at(-1)!, ...round], { tsMs: own.at(-1)!.header.tsMs })
    receive(ahead, round.at(-1)!)
    assert.deepEqual(cited(), [refOf(round.at(-1)!)])
  })
})
