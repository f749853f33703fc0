import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Block, type BlockRef, refOf } from '../src/block.ts'
import type { R2sEffect } from '../src/events.ts'
import { LoneMember } from './lone-member.ts'

/** Rounds of members 1 to 3, none of which member 0 has. */
function apart(rounds: number) {
  const lone = new LoneMember()
  const all: Block[][] = []
  for (let round = 1; round <= rounds; round++) {
    const before = all.at(-1)
    all.push([1, 2, 3].map((author) => (before ? lone.child(author, before) : lone.sealed(author))))
  }
  return { lone, all }
}

const placesOf = (refs: readonly BlockRef[]) => refs.map(({ author, round }) => `${author} in ${round}`)

function questions(effects: readonly R2sEffect[]) {
  return effects.flatMap((effect) =>
    effect.kind === 'send' && effect.message.kind === 'fetch'
      ? [{ to: effect.to, wanted: placesOf(effect.message.wanted), have: effect.message.have }]
      : [],
  )
}

describe('an answer that is cut short', () => {
  it('is followed by a question for the rest, to whoever gave it, at once', () => {
    const { lone, all } = apart(4)
    const wanted = placesOf(all[2]!.map(refOf))
    const first = questions(lone.receive(all[3]![0]!))
    assert.deepEqual(first, [{ to: 1, wanted, have: [0, 0, 0, 0] }])
    const next = questions(lone.hear({ kind: 'blocks', blocks: all[0]!, gcRound: 0 }, 2))
    assert.deepEqual(next, [{ to: 2, wanted, have: [0, 1, 1, 1] }])
    const last = lone.hear({ kind: 'blocks', blocks: [...all[1]!, ...all[2]!], gcRound: 0 }, 2)
    assert.deepEqual(questions(last), [], 'all is there')
    assert.ok(lone.has(all[3]![0]!))
  })

  it('is followed by none where it brought nothing', () => {
    const { lone, all } = apart(4)
    lone.receive(all[3]![0]!)
    lone.hear({ kind: 'blocks', blocks: all[0]!, gcRound: 0 }, 2)
    for (const blocks of [all[0]!, [], [all[3]![1]!]]) {
      const asked = questions(lone.hear({ kind: 'blocks', blocks, gcRound: 0 }, 3))
      assert.deepEqual(
        asked.filter(({ to }) => to === 3),
        [],
      )
    }
  })
})
