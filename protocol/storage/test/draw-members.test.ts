import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { drawMembers, type MinerCandidate } from '@cumulus/storage'
import fc from 'fast-check'

const seed = fc.uint8Array({ minLength: 32, maxLength: 32 })
const anyCandidates = fc
  .array(fc.record({ operator: fc.nat(30).map(String), idleUnits: fc.nat(1_000) }), { maxLength: 60 })
  .map((list) => list.map((candidate, id) => ({ ...candidate, id })))

describe('the draw of a group', () => {
  it('takes miners of distinct operators that have idle units, or nobody', () => {
    fc.assert(
      fc.property(anyCandidates, seed, (candidates, beacon) => {
        const operators = new Set(candidates.filter((c) => c.idleUnits > 0).map((c) => c.operator))
        const members = drawMembers(candidates, 12, beacon)
        if (operators.size < 12) return assert.equal(members, undefined)
        assert.equal(new Set(members?.map((id) => candidates[id]!.operator)).size, 12)
        assert.ok(members?.every((id) => candidates[id]!.idleUnits > 0))
      }),
    )
  })
  it('is the same for everybody with the same seed', () => {
    fc.assert(
      fc.property(anyCandidates, seed, (candidates, beacon) =>
        assert.deepEqual(drawMembers(candidates, 3, beacon), drawMembers(candidates, 3, beacon)),
      ),
    )
  })
  it('favours miners in proportion to their idle units', () => {
    const candidates: MinerCandidate<string>[] = [
      { id: 'small', operator: 'a', idleUnits: 1 },
      { id: 'large', operator: 'b', idleUnits: 3 },
    ]
    let large = 0
    for (let i = 0; i < 2_000; i++) {
      const beacon = new Uint8Array(32)
      new DataView(beacon.buffer).setUint32(0, i)
      if (drawMembers(candidates, 1, beacon)?.[0] === 'large') large++
    }
    // 1,500 expected, standard deviation 19: six of them either way.
    assert.ok(large > 1_384 && large < 1_616, `${large} of 2000`)
  })
})
