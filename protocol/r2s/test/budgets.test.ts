import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Block, refOf } from '../src/block.ts'
import { Budget } from '../src/budget.ts'
import { R2s } from '../src/consensus.ts'
import type { R2sEffect } from '../src/events.ts'
import { LoneMember, refusals } from './lone-member.ts'
import { configOf } from './members.ts'

const sentBytes = (effects: readonly R2sEffect[]) =>
  effects.reduce((sum, effect) => {
    if (effect.kind !== 'send') return sum
    const { message } = effect
    const blocks = message.kind === 'block' ? [message.block] : message.kind === 'blocks' ? message.blocks : []
    return blocks.reduce((bytes, { payload }) => bytes + payload.length, sum)
  }, 0)

describe('a budget', () => {
  it('is spent at once or in time, and lasts for what was begun', () => {
    const budget = new Budget(10, 5)
    assert.equal(budget.has(1_000), true)
    budget.spend(15)
    assert.equal(budget.has(1_000), false)
    assert.equal(budget.has(2_000), false)
    assert.equal(budget.has(2_200), true)
    assert.equal(budget.has(1e9), true)
    budget.spend(10)
    assert.equal(budget.has(1e9), false)
  })
})

describe('what one member can cost another', () => {
  /** Member 0 among blocks of 64 KiB, one a round. */
  const withBlocks = (rounds: number) => {
    const lone = new LoneMember()
    const blocks: Block[] = []
    let parents: Block[] = []
    for (let round = 1; round <= rounds; round++) {
      const next = [1, 2, 3].map((author) => {
        const payload = new Uint8Array(64 * 1024)
        return round === 1 ? lone.sealed(author, {}, payload) : sealedOn(lone, author, parents, payload)
      })
      lone.receive(...next)
      blocks.push(...next)
      parents = next
    }
    return { lone, blocks }
  }
  const sealedOn = (lone: LoneMember, author: number, parents: readonly Block[], payload: Uint8Array<ArrayBuffer>) => {
    const own = parents.filter(({ header }) => header.author === author)
    const others = parents.filter(({ header }) => header.author !== author)
    const round = parents[0]!.header.round + 1
    return lone.sealed(author, { round, parents: [...own, ...others].map(refOf) }, payload)
  }

  it('in answers is 32 MiB at once and 16 MiB a second, to each, whatever it asks', () => {
    const { lone, blocks } = withBlocks(20)
    const last = blocks.at(-1)!
    const wanted = [refOf(last)]
    const ask = (from: number) => sentBytes(lone.hear({ kind: 'fetch', wanted, have: [0, 0, 0, 0] }, from))
    const one = ask(1)
    assert.ok(one > 2 ** 20)
    let bytes = one
    for (let i = 0; i < 60; i++) bytes += ask(1)
    assert.ok(bytes < 32 * 2 ** 20 + one, `${bytes} bytes at once`)
    assert.equal(ask(2), one, 'others are answered')
    bytes = 0
    for (let i = 0; i < 100; i++) {
      lone.nowMs += 100
      for (let k = 0; k < 10; k++) bytes += ask(1)
    }
    assert.ok(bytes < 10 * 16 * 2 ** 20 + one && bytes > 9 * 16 * 2 ** 20, `${bytes} bytes in 10 s`)
  })

  it('in blocks to judge is so many at once and so many a second, and the blocks of others are judged', () => {
    const judgedBy = new Map<number, number>()
    const config = configOf(0, 4)
    const core = new R2s({
      ...config,
      verify: (author, message, signature) => {
        judgedBy.set(author, (judgedBy.get(author) ?? 0) + 1)
        return config.verify(author, message, signature)
      },
    })
    core.start({ kind: 'fresh' }, 0)
    const lone = new LoneMember()
    const unknown = lone.genesis.map(({ author }) => ({
      author,
      round: 9,
      digest: new Uint8Array(32).fill(author + 1),
    }))
    const orphan = (author: number, tsMs: number) =>
      lone.sealed(author, {
        round: 10,
        tsMs,
        parents: [unknown[author]!, ...unknown.filter((ref) => ref.author !== author)],
      })
    const effects: R2sEffect[] = []
    const blocks = Array.from({ length: 4_096 }, (_, i) => orphan(1, i))
    effects.push(...core.step({ kind: 'message', from: 1, message: { kind: 'blocks', blocks, gcRound: 0 }, nowMs: 1 }))
    assert.ok(judgedBy.get(1)! <= 2_048)
    assert.deepEqual([...new Set(refusals(effects))], ['TOO_MANY_BLOCKS'])
    assert.equal(refusals(effects).length, 1)
    // It is the sender's time, not the author's: the same block from somebody else is taken.
    core.step({ kind: 'message', from: 2, message: { kind: 'block', block: orphan(2, 1) }, nowMs: 1 })
    assert.equal(judgedBy.get(2), 1)
    const before = judgedBy.get(1)!
    core.step({
      kind: 'message',
      from: 1,
      message: { kind: 'blocks', blocks: blocks.slice(3_000), gcRound: 0 },
      nowMs: 1_001,
    })
    assert.ok(judgedBy.get(1)! - before <= 513)
  })
})
