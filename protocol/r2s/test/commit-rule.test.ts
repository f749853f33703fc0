import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Dag, type Vertex } from '../src/dag.ts'
import { certificates, voteOf } from '../src/support.ts'
import { DrawnDag } from './drawn-dag.ts'

describe('a wave', () => {
  it('commits every leader where all blocks arrive', () => {
    const drawn = new DrawnDag(
      `      1     2     3     4
       A    abcd  abcd  abcd  abcd
       B    abcd  abcd  abcd  abcd
       C    abcd  abcd  abcd  abcd
       D    abcd  abcd  abcd  abcd`,
      { size: 4 },
    )
    assert.equal(drawn.decide(), null, 'nothing before the coin')
    drawn.reveal(1, 'cabd')
    assert.equal(drawn.decide(), 'C1 commit, A1 commit, B1 commit, D1 commit')
  })

  it('skips a leader of whom a quorum saw nothing', () => {
    const drawn = new DrawnDag(
      `      1     2     3     4
       A    abcd  abc   abc   abc
       B    abcd  abc   abc   abc
       C    abcd  abc   abc   abc
       D    -     -     -     -`,
      { size: 4 },
    )
    drawn.reveal(1, 'dabc')
    assert.equal(drawn.decide(), 'D1 skip, A1 commit, B1 commit, C1 commit')
  })

  it('waits while neither a quorum certified nor a quorum blamed', () => {
    // Only A2 carries D1 on: A3 and C3 vote for it through A2, B3 has not seen A2 and blames it.
    const drawn = new DrawnDag(
      `      1     2     3     4
       A    abcd  abcd  abc   abc
       B    abcd  abc   bc    abc
       C    abcd  abc   bac   abc
       D    abcd  -     -     -`,
      { size: 4 },
    )
    drawn.reveal(1, 'abcd')
    assert.equal(drawn.decide(), null)
  })

  it('does not skip a twin because nobody saw the other', () => {
    const drawn = new DrawnDag(
      `      1     2     3     4
       A    abcd  abcd  abc   abc
       B    abcd  abcd  abc   abc
       C    abcd  abcd  abc   abc
       D    abcd  -     -     -
       D'   abcd  -     -     -`,
      { size: 4 },
    )
    drawn.reveal(1, 'dabc')
    assert.equal(drawn.decide(), 'D1 commit, A1 commit, B1 commit, C1 commit')
  })

  it('counts a vote for one of two twins in the cone only', () => {
    // A2 stands behind D1, B2 behind D1'. Blocks of round 3 hold both and vote for the first they list.
    const drawn = new DrawnDag(
      `      1     2      3
       A    abcd  abcd   abc
       B    abcd  abcd'  bac
       C    abcd  abc    cba
       D    abcd  -      -
       D'   abcd  -      -`,
      { size: 4 },
    )
    assert.equal(voteOf(drawn.vertex('A3'), 3, 4, 4), drawn.vertex('D1'))
    assert.equal(voteOf(drawn.vertex('B3'), 3, 4, 4), drawn.vertex("D'1"))
    assert.equal(voteOf(drawn.vertex('C3'), 3, 4, 4), drawn.vertex("D'1"))
  })

  it('takes no anchor beyond an undecided slot', () => {
    // D1 is undecided and so is D5, of whom only some know; A5 is committed behind it. With the order d, a the anchor
    // of round 1 would be D5, so round 1 stays open; with a, d it is A5.
    const text = `1     2     3     4     5     6     7     8
       A    abcd  abcd  abc   abc   abcd  abcd  abc   abc
       B    abcd  abc   bc    abc   abcd  abc   bc    abc
       C    abcd  abc   bac   abc   abcd  abc   bac   abc
       D    abcd  -     -     abc   abcd  -     -     -`
    const behind = new DrawnDag(text, { size: 4 })
    behind.reveal(1, 'dabc')
    behind.reveal(5, 'dabc')
    assert.equal(behind.decide(), null)
    const before = new DrawnDag(text, { size: 4 })
    before.reveal(1, 'dabc')
    before.reveal(5, 'abcd')
    assert.equal(before.decide(), 'D1 skip by anchor, A1 commit, B1 commit, C1 commit')
  })

  it('stops where two twins are certified', () => {
    assert.throws(
      () =>
        new DrawnDag(
          `      1     2     3     4
           A    abcd  abcd  abd   abd
           B    abcd  abcd  abd   abd
           C    abcd  abcd' cd'a' cd'a'
           D    abcd  abcd  abd   -
           D'   abcd  abcd' cd'a' -
           A'   abcd  abcd' cd'a' -`,
          { size: 4 },
        ),
      { code: 'TWO_CERTIFIED_TWINS' },
    )
  })
})

/** Votes and certificates as the specification words them, by walking the graph. */
function supportBySearch(block: Vertex, author: number, round: number): Vertex | null {
  for (const parent of block.parents) if (parent.author === author && parent.round === round) return parent
  for (const parent of block.parents) {
    if (parent.round <= round) continue
    const found = supportBySearch(parent, author, round)
    if (found) return found
  }
  return null
}

describe('support tables', () => {
  it('say what a search of the graph says', () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.nat(999)), fc.constantFrom(4, 5), (stream, waveLength) => {
        const draw = (limit: number): number => stream.next().value! % limit
        const size = 4
        const dag = new Dag(size, waveLength, new Uint8Array(32))
        for (let round = 1; round <= 7; round++) {
          for (let author = 0; author < size; author++) {
            for (let twin = 0; twin <= (draw(3) === 0 ? 1 : 0); twin++) {
              const parents: Vertex[] = []
              for (let other = 0; other < size; other++) {
                const slot = dag.slot(round - 1, other)
                if (slot.length > 0 && draw(5) > 0) parents.push(slot[draw(slot.length)]!)
              }
              const older = dag.slot(Math.max(0, round - 2), draw(size))[0]
              if (older && round > 2) parents.push(older)
              const digest = Uint8Array.of(round, author, twin)
              const block = { header: { author, round, tsMs: 0, exposed: 0, evidence: null }, digest } as never
              const vertex = dag.vertexOf(block, parents, { checked: true, clean: true })
              dag.add(vertex)
              for (let a = 0; a < size; a++) {
                for (let row = 0; row < waveLength - 2; row++) {
                  const leaderRound = round - 1 - row
                  if (leaderRound < 1) continue
                  assert.equal(vertex.support[row * size + a], supportBySearch(vertex, a, leaderRound))
                }
              }
              const certs = certificates(parents, round, size, 3, waveLength)
              const leaderRound = round - waveLength + 1
              if (leaderRound < 1) continue
              const voters = parents.filter((parent) => parent.round === round - 1)
              for (let a = 0; a < size; a++) {
                const votes = voters.map((voter) => supportBySearch(voter, a, leaderRound))
                const winner = votes.find((vote) => vote && votes.filter((other) => other === vote).length >= 3)
                assert.equal(certs[a], winner ?? null)
              }
            }
          }
        }
      }),
      { numRuns: 60 },
    )
  })
})
