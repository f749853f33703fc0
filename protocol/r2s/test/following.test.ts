import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { refOf } from '../src/block.ts'
import type { R2sEffect } from '../src/events.ts'
import { LoneMember, THRESHOLD_COIN } from './lone-member.ts'

const sent = (effects: readonly R2sEffect[], kind: string) =>
  effects.flatMap((effect) => (effect.kind === 'send' && effect.message.kind === kind ? [effect.to] : []))

/** Member 0, to whom two others have said that what it waits for is gone. */
function leftBehind(): { lone: LoneMember; effects: R2sEffect[] } {
  const lone = new LoneMember()
  const unknown = lone.genesis.map(({ author }) => ({
    author,
    round: 299,
    digest: new Uint8Array(32).fill(author + 1),
  }))
  const orphan = lone.sealed(1, { round: 300, parents: [unknown[1]!, unknown[0]!, unknown[2]!, unknown[3]!] })
  lone.receive(orphan)
  lone.nowMs += 1_000
  const gone = { kind: 'blocks', blocks: [], gcRound: 236 } as const
  return { lone, effects: [1, 2].flatMap((from) => lone.hear(gone, from)) }
}

describe('a member that was left behind', () => {
  it('says so, and asks for no blocks while it follows the chain', () => {
    const { lone, effects } = leftBehind()
    assert.equal(effects.filter(({ kind }) => kind === 'behind').length, 1)
    const unknown = lone.genesis.map(({ author }) => ({ author, round: 300, digest: new Uint8Array(32).fill(author) }))
    for (let round = 301; round < 500; round++) {
      const parents = unknown.map((ref) => ({ ...ref, round: round - 1 }))
      const later = lone.receive(
        lone.sealed(2, { round, parents: [parents[2]!, parents[0]!, parents[1]!, parents[3]!] }),
      )
      lone.nowMs += 100
      assert.deepEqual([...later, ...lone.core.step({ kind: 'tick', nowMs: lone.nowMs })], [])
    }
    assert.ok(lone.core.parkedCount <= 1, 'nothing is kept of what will lie below the checkpoint')
  })

  it('has the others send their newest blocks once it has adopted a checkpoint', () => {
    const { lone } = leftBehind()
    const checkpoint = { round: 490, gcRound: 426, output: [], ejectedFrom: [null, null, null, null] }
    const effects = lone.core.step({ kind: 'adopt', checkpoint, nowMs: lone.nowMs })
    assert.deepEqual(sent(effects, 'hello'), [1, 2, 3])
  })

  it('goes on as before if the checkpoint brings nothing new', () => {
    const { lone } = leftBehind()
    const checkpoint = { round: 0, gcRound: 0, output: [], ejectedFrom: [null, null, null, null] }
    assert.deepEqual(sent(lone.core.step({ kind: 'adopt', checkpoint, nowMs: lone.nowMs }), 'hello'), [1, 2, 3])
    const block = lone.sealed(1)
    lone.receive(block)
    assert.ok(lone.has(block))
  })
})

describe('a block that comes again', () => {
  it('is judged once: accepted, parked or refused, as answers to questions bring many twice', () => {
    let judged = 0
    const coin = { ...THRESHOLD_COIN, wellFormed: (share: Uint8Array) => ++judged > 0 && share[0] === 1 }
    const lone = new LoneMember(4, {}, coin)
    const coinShare = new Uint8Array(96).fill(1)
    const unknown = lone.genesis.map((ref) => ({ ...ref, round: 4, digest: new Uint8Array(32).fill(9) }))
    const parked = lone.sealed(1, { round: 5, coinShare, parents: [unknown[1]!, unknown[0]!, unknown[2]!] })
    for (let i = 0; i < 10; i++) lone.receive(parked)
    assert.equal(judged, 1)
    assert.equal(lone.core.parkedCount, 1)
    assert.equal(refOf(parked).round, 5)
  })
})
