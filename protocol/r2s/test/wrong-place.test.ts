import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { BlockRef } from '../src/block.ts'
import { LoneMember } from './lone-member.ts'

describe('a block that names a digest at a place that is not its own', () => {
  it('does not keep the real block from being asked for, nor from coming in', () => {
    const lone = new LoneMember()
    const [one, two, three] = [1, 2, 3].map((author) => lone.sealed(author))
    lone.receive(one!, two!)
    // Member 3 signs what can never be accepted: its own first block, a round too high.
    const lie = lone.sealed(3, {
      round: 3,
      parents: [3, 1, 2].map((author) => ({ author, round: 2, digest: [one, two, three][author - 1]!.digest })),
    })
    lone.receive(lie)
    const honest = lone.child(1, [one!, two!, three!])
    const asked = lone
      .receive(honest)
      .flatMap((effect) => (effect.kind === 'send' && effect.message.kind === 'fetch' ? effect.message.wanted : []))
    const nameOf = ({ author, round, digest }: BlockRef) => `${author}@${round} ${digest.toHex()}`
    assert.deepEqual(asked.map(nameOf), [nameOf({ author: 3, round: 1, digest: Uint8Array.from(three!.digest) })])
    lone.receive(three!)
    assert.ok(lone.has(three!) && lone.has(honest))
    assert.ok(!lone.has(lie))
  })
})
