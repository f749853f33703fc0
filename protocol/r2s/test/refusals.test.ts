import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Block, COIN_BYTES, type Evidence, type Header, refOf } from '../src/block.ts'
import type { CoinRule } from '../src/coin.ts'
import type { R2sEffect } from '../src/events.ts'
import { REPLY_BLOCKS_MAX } from '../src/message.ts'
import type { RefusalCode } from '../src/validity.ts'
import { LoneMember, refusals, THRESHOLD_COIN, WELL_FORMED_SHARE } from './lone-member.ts'

/** Sends a member something that must be refused, and says what came of it. */
type Case = readonly [what: string, provoke: () => R2sEffect[]]

const header =
  (change: (member: LoneMember) => Partial<Header>): Case[1] =>
  () => {
    const member = new LoneMember()
    return member.receive(member.sealed(1, change(member)))
  }

/** Round 1 of seven members, with two blocks of member 6; member 1 builds upon one of them and member 2 upon the other. */
function twinsInTheCone(): { member: LoneMember; second: Block[] } {
  const member = new LoneMember(7)
  const first = [1, 2, 3, 4, 5].map((author) => member.sealed(author))
  const twins = [member.sealed(6), member.sealed(6, { tsMs: 1001 })]
  member.receive(...first, ...twins)
  // Pushed blocks of a known equivocator are dropped, until somebody builds upon them.
  const second = [1, 2, 3, 4, 5].map((author) => {
    const twin = author === 1 ? [twins[0]!] : author === 2 ? [twins[1]!] : []
    return member.child(author, [...first, ...twin], { tsMs: 1001 })
  })
  member.receive(...second)
  member.hear({ kind: 'blocks', blocks: twins, gcRound: 0 })
  assert.ok(second.every((block) => member.has(block)))
  return { member, second }
}

/** Rounds 1 to 3 of four members whose coin has a key: from round 4 on a share of coin(1) is due. */
function fourthRound(coinShare: Uint8Array | null): R2sEffect[] {
  const member = new LoneMember(4, {}, THRESHOLD_COIN)
  let round = [1, 2, 3].map((author) => member.sealed(author))
  member.receive(...round)
  for (let i = 0; i < 2; i++) {
    round = [1, 2, 3].map((author) => member.child(author, round))
    member.receive(...round)
  }
  const effects = member.receive(member.child(1, round, { coinShare }))
  assert.equal(member.core.dag.highestRound, refusals(effects).length > 0 ? 3 : 4)
  return effects
}

/** Five rounds of four members, of whom two hold shares, so that nobody can sum a coin; then somebody shows one that is none. */
function wrongCoin(): R2sEffect[] {
  const member = new LoneMember(4, { coinAskMs: 0 }, { ...THRESHOLD_COIN, holders: 0b0011 } as CoinRule)
  let parents: Block[] = []
  for (let round = 1; round <= 5; round++) {
    const shareOf = (author: number) => (round > 3 && author === 1 ? WELL_FORMED_SHARE : null)
    parents = [1, 2, 3].map((author) => {
      return round === 1 ? member.sealed(author) : member.child(author, parents, { coinShare: shareOf(author) })
    })
    member.receive(...parents)
  }
  const shown = member.hear({ kind: 'coins', coins: [{ round: 1, value: new Uint8Array(COIN_BYTES) }] }, 2)
  assert.deepEqual(refusals(shown), [])
  return member.core.step({ kind: 'coin-verified', round: 1, isRight: false, nowMs: member.nowMs })
}

function evidenceOf(member: LoneMember, change: Partial<Evidence>): Evidence {
  const [first, second] = [member.sealed(3), member.sealed(3, { tsMs: 1001 })]
  return {
    author: 3,
    round: 1,
    firstDigest: first.digest,
    firstSignature: first.signature,
    secondDigest: second.digest,
    secondSignature: second.signature,
    ...change,
  }
}

const evidence = (change: (member: LoneMember) => Partial<Evidence>): Case[1] =>
  header((member) => ({ evidence: evidenceOf(member, change(member)) }))

/** A parent that turns out invalid once its own parents are here: its time is before theirs. */
function invalidParent(childFirst: boolean): R2sEffect[] {
  const member = new LoneMember()
  const first = [1, 2, 3].map((author) => member.sealed(author, { tsMs: 1100 }))
  const bad = member.child(2, first, { tsMs: 1099 })
  const good = [1, 3].map((author) => member.child(author, first, { tsMs: 1100 }))
  const child = member.child(1, [...good, bad].sort(byAuthor), { tsMs: 1100 })
  const [early, late] = childFirst ? [child, bad] : [bad, child]
  const before = member.receive(...first, ...good, early)
  assert.deepEqual(refusals(before), childFirst ? [] : ['TIME_BEFORE_PARENT'])
  const after = member.receive(late)
  assert.ok(!member.has(child) && !member.has(bad))
  return after.filter((effect) => effect.kind !== 'refuse' || effect.code !== 'TIME_BEFORE_PARENT')
}

const byAuthor = (a: Block, b: Block): number => a.header.author - b.header.author

/** Every code there is: the type checker misses none. */
const CASES: Record<RefusalCode, readonly Case[]> = {
  MALFORMED: [
    ...[
      new Uint8Array(0),
      Uint8Array.of(0),
      Uint8Array.of(9),
      Uint8Array.of(1, 0, 0),
      new Uint8Array(5000).fill(2),
    ].map(
      (bytes): Case => [
        `${bytes.length} bytes that are no message`,
        () => new LoneMember().core.step({ kind: 'frame', from: 1, bytes, nowMs: 1000 }),
      ],
    ),
  ],
  NOT_A_MEMBER: [0, 4, -1, 0.5, Number.NaN].flatMap((from): Case[] => [
    [`a message from ${from}`, () => new LoneMember().hear({ kind: 'hello', round: 0 }, from)],
    [
      `bytes from ${from}`,
      () => new LoneMember().core.step({ kind: 'frame', from, bytes: new Uint8Array(0), nowMs: 1000 }),
    ],
  ]),
  WRONG_CHAIN: [['a block of another chain', header(() => ({ chainId: 8n }))]],
  WRONG_ERA: [
    ['a block of the era before', header(() => ({ era: 0 }))],
    ['a block of the era to come', header(() => ({ era: 2 }))],
  ],
  BAD_AUTHOR: [
    [
      'a block of a fifth member of four',
      () => {
        const member = new LoneMember()
        const block = new LoneMember(7).sealed(4)
        return member.receive(block)
      },
    ],
    ...(['yours', 'mine'] as const).map((which): Case => {
      return [
        `somebody else's block as the newest of ${which}`,
        () => {
          const member = new LoneMember()
          member.core.start({ kind: 'lost' }, 1000)
          const answer = { kind: 'newest', yours: null, mine: null, [which]: member.sealed(2) } as const
          return member.hear(answer)
        },
      ]
    }),
  ],
  BAD_ROUND: [
    [
      'a block of round 0',
      // The layout has no such block: it can only be handed over.
      () => {
        const member = new LoneMember()
        const block = member.sealed(1)
        return member.hear({ kind: 'block', block: { ...block, header: { ...block.header, round: 0 } } })
      },
    ],
  ],
  PAYLOAD_TOO_BIG: [
    [
      'one byte more than the era allows',
      () => {
        const member = new LoneMember(4, { payloadBytesMax: 100 })
        assert.deepEqual(refusals(member.receive(member.sealed(2, {}, new Uint8Array(100)))), [])
        return member.receive(member.sealed(1, {}, new Uint8Array(101)))
      },
    ],
  ],
  BAD_PARENTS: [
    ['no own block first', header(({ genesis: g }) => ({ parents: [g[0]!, g[1]!, g[2]!] }))],
    ['parents out of order', header(({ genesis: g }) => ({ parents: [g[1]!, g[2]!, g[0]!] }))],
    ['a parent twice', header(({ genesis: g }) => ({ parents: [g[1]!, g[0]!, g[0]!] }))],
    ['the own block twice', header(({ genesis: g }) => ({ parents: [g[1]!, g[0]!, g[1]!, g[2]!] }))],
    ['a parent by nobody', header(({ genesis: g }) => ({ parents: [g[1]!, g[0]!, g[2]!, { ...g[3]!, author: 4 }] }))],
    [
      'an older parent before one of the round before',
      () => {
        const member = new LoneMember()
        const first = [1, 2, 3].map((author) => member.sealed(author))
        const old = member.genesis[0]!
        const parents = [refOf(first[0]!), old, refOf(first[1]!), refOf(first[2]!)]
        return member.receive(...first, member.sealed(1, { round: 2, parents }))
      },
    ],
  ],
  TOO_FEW_PARENTS: [
    ['two of three', header(({ genesis: g }) => ({ parents: [g[1]!, g[0]!] }))],
    [
      'three, of which one is older',
      () => {
        const member = new LoneMember()
        const first = [1, 2].map((author) => member.sealed(author))
        return member.receive(
          ...first,
          member.sealed(1, { round: 2, parents: [...first.map(refOf), member.genesis[3]!] }),
        )
      },
    ],
  ],
  PARENT_TOO_OLD: [['genesis from round 100', header(({ genesis: g }) => ({ round: 100, parents: g.slice(1) }))]],
  BAD_GENESIS: [
    [
      'genesis of another anchor',
      header(({ genesis: g }) => ({ parents: [g[1]!, g[0]!, { ...g[2]!, digest: new Uint8Array(32) }] })),
    ],
  ],
  BAD_COIN_SHARE: [
    ['a share that is not due', header(() => ({ coinShare: WELL_FORMED_SHARE }))],
    ['no share where one is due', () => fourthRound(null)],
    ['a share that is no point of the group', () => fourthRound(new Uint8Array(96).fill(2))],
  ],
  BAD_EVIDENCE: [
    [
      'one block twice',
      evidence((m) => ({ secondDigest: m.sealed(3).digest, secondSignature: m.sealed(3).signature })),
    ],
    ['a signature of somebody else', evidence((m) => ({ firstSignature: m.signs(1, 1, m.sealed(3).digest) }))],
    ['a signature for another round', evidence((m) => ({ secondSignature: m.signs(3, 2, m.sealed(3).digest) }))],
    ['a round that was not signed', evidence(() => ({ round: 2 }))],
    ['round 0', evidence(() => ({ round: 0 }))],
    ['an author that is none', evidence(() => ({ author: 4 }))],
    ['an honest author', evidence(() => ({ author: 2 }))],
  ],
  BAD_SIGNATURE: [
    [
      "another member's name",
      (): R2sEffect[] => {
        const member = new LoneMember()
        return member.receive({ ...member.sealed(2), signature: member.signs(1, 1, member.sealed(2).digest) })
      },
    ],
    [
      'nothing',
      () => {
        const member = new LoneMember()
        return member.receive({ ...member.sealed(1), signature: new Uint8Array(64) })
      },
    ],
  ],
  TIME_BEFORE_PARENT: [
    [
      'a millisecond before a parent',
      () => {
        const member = new LoneMember()
        const first = [1, 2, 3].map((author) => member.sealed(author, { tsMs: 1000 + author }))
        assert.deepEqual(refusals(member.receive(...first, member.child(2, first, { tsMs: 1003 }))), [])
        return member.receive(member.child(1, first, { tsMs: 1002 }))
      },
    ],
  ],
  BAD_EXPOSED: [
    ['a mask of members that are none', header(() => ({ exposed: 16 }))],
    [
      'an author without twins in the cone',
      () => {
        const member = new LoneMember(7)
        const first = [1, 2, 3, 4, 5].map((author) => member.sealed(author))
        member.receive(...first)
        return member.receive(member.child(1, first, { exposed: 1 << 6 }))
      },
    ],
    [
      'twins in the cone, and nobody named',
      () => {
        const { member, second } = twinsInTheCone()
        const right = member.child(2, second, { tsMs: 1001, exposed: 1 << 6 })
        assert.deepEqual(refusals(member.receive(right)), [])
        assert.ok(member.has(right))
        return member.receive(member.child(1, second, { tsMs: 1001 }))
      },
    ],
    [
      'an author a parent names, and the child no longer',
      () => {
        const { member, second } = twinsInTheCone()
        const third = [1, 2, 3, 4, 5].map((author) => member.child(author, second, { tsMs: 1001, exposed: 1 << 6 }))
        member.receive(...third)
        return member.receive(member.child(1, third, { tsMs: 1001 }))
      },
    ],
  ],
  EXPOSED_PARENT: [['a parent that is named', header(() => ({ exposed: 1 }))]],
  INVALID_PARENT: [
    ['a child after its refused parent', () => invalidParent(false)],
    ['a child that waited for it', () => invalidParent(true)],
  ],
  BAD_COIN: [['a coin that its committee never made', wrongCoin]],
  TOO_MANY_ANSWERS: [
    [
      'a block more than an answer may have',
      () => {
        const member = new LoneMember()
        const block = member.sealed(1)
        const blocks = new Array<Block>(REPLY_BLOCKS_MAX + 1).fill(block)
        const effects = member.hear({ kind: 'blocks', blocks, gcRound: 0 })
        assert.ok(!member.has(block), 'none of them is looked at')
        return effects
      },
    ],
  ],
  TOO_MANY_BLOCKS: [
    [
      'more new blocks at once than all that can be missing',
      () => {
        const member = new LoneMember()
        const blocks = Array.from({ length: 2_049 }, (_, i) => member.sealed(1, { tsMs: 1000 + i }))
        return member.hear({ kind: 'blocks', blocks, gcRound: 0 })
      },
    ],
  ],
}

describe('a member refuses', () => {
  for (const [code, cases] of Object.entries(CASES)) {
    for (const [what, provoke] of cases) it(`${code}: ${what}`, () => assert.deepEqual(refusals(provoke()), [code]))
  }

  it('nothing of what lies beside these', () => {
    const member = new LoneMember()
    const fine = member.sealed(1, { evidence: evidenceOf(member, {}) })
    assert.deepEqual(refusals(member.receive(fine)), [])
    assert.ok(member.has(fine))
    assert.equal(member.core.equivocators, 8)
    assert.deepEqual(refusals(fourthRound(WELL_FORMED_SHARE)), [])
  })
})
