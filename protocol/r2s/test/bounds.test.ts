import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Block, refOf } from '../src/block.ts'
import { R2s } from '../src/consensus.ts'
import type { R2sEffect, R2sEvent } from '../src/events.ts'
import { MemberState } from '../src/member-state.ts'
import { candidates } from '../src/parents.ts'
import { Parking } from '../src/parking.ts'
import { LoneMember, refusals, THRESHOLD_COIN, WELL_FORMED_SHARE } from './lone-member.ts'
import { configOf, SmallNetwork } from './members.ts'

/** A committee that has collected garbage, and the blocks of its first round. */
function longAgo(): { network: SmallNetwork; old: Block[] } {
  const params = { gcDepthRounds: 16, parentDepthRounds: 6, exposureDepthRounds: 4 }
  const network = new SmallNetwork(4, 1, params, true, true)
  network.run(2000, () => network.members.every((member) => member.gcRound > 20))
  assert.ok(network.members[0]!.gcRound > 20)
  const old = network.effects.flatMap((effect) =>
    effect.kind === 'persist' && effect.block.header.round === 2 ? [effect.block] : [],
  )
  assert.equal(old.length, 4)
  return { network, old }
}

/** What a member keeps of the DAG and says about it. */
const window = (core: R2s): string[] => core.window().map((block) => Buffer.from(block.digest).toString('hex'))

describe('what comes too late', () => {
  it('leaves no trace, whether pushed, fetched or told: blocks at or below gcRound', () => {
    const { network, old } = longAgo()
    const core = network.members[0]!
    const before = window(core)
    const [, second, third] = old
    const late: R2sEvent[] = [
      { kind: 'message', from: 1, message: { kind: 'block', block: second! }, nowMs: network.nowMs },
      { kind: 'message', from: 1, message: { kind: 'blocks', blocks: old, gcRound: 0 }, nowMs: network.nowMs },
      { kind: 'message', from: 2, message: { kind: 'newest', yours: null, mine: third! }, nowMs: network.nowMs },
    ]
    for (const event of late) {
      const effects = core.step(event)
      assert.deepEqual(refusals(effects), [], 'nobody is blamed for it')
      assert.deepEqual(
        effects.filter(({ kind }) => kind === 'store' || kind === 'send'),
        [],
      )
    }
    assert.deepEqual(window(core), before)
    assert.equal(core.parkedCount, 0)
  })

  it('is told gone when asked for, and nothing else is sent', () => {
    const { network, old } = longAgo()
    const core = network.members[0]!
    const fetch = { kind: 'fetch', wanted: old.map(refOf), have: [0, 0, 0, 0] } as const
    const sent = core.step({ kind: 'message', from: 1, message: fetch, nowMs: network.nowMs })
    assert.deepEqual(
      sent.flatMap((effect) => (effect.kind === 'send' ? [effect.message] : [])),
      [{ kind: 'blocks', blocks: [], gcRound: core.gcRound }],
    )
  })

  it('is not what a peer of long ago is greeted with: only what is still kept is sent again', () => {
    const { network } = longAgo()
    const core = network.members[0]!
    const sent = core.step({ kind: 'message', from: 1, message: { kind: 'hello', round: 1 }, nowMs: network.nowMs })
    const rounds = sent.flatMap((effect) =>
      effect.kind === 'send' && effect.message.kind === 'block' ? [effect.message.block.header.round] : [],
    )
    assert.ok(rounds.length > 0)
    assert.ok(rounds.every((round) => round > core.gcRound))
    assert.equal(rounds.at(-1), core.lastOwnRound)
  })

  it('from somebody who says he is far ahead of his time moves nobody', () => {
    const { network } = longAgo()
    const core = network.members[0]!
    for (const message of [
      { kind: 'hello', round: 2 ** 32 - 1 },
      { kind: 'newest', yours: null, mine: null },
      { kind: 'blocks', blocks: [], gcRound: 2 ** 32 - 1 },
    ] as const) {
      const effects = core.step({ kind: 'message', from: 1, message, nowMs: network.nowMs })
      const kinds = effects.map(({ kind }) => kind).filter((kind) => kind !== 'wake' && kind !== 'propose')
      assert.deepEqual(kinds, [], message.kind)
    }
  })

  it('makes nobody follow the chain because one member says so, only because more than f do', () => {
    const lone = new LoneMember()
    const parents = [1, 2, 3].map((author) => lone.sealed(author))
    lone.receive(lone.child(1, parents)) // whose parents are missing
    assert.equal(lone.core.parkedCount, 1)
    const gone = { kind: 'blocks', blocks: [], gcRound: 500 } as const
    const isBehind = (effects: R2sEffect[]): boolean => effects.some(({ kind }) => kind === 'behind')
    assert.ok(!isBehind(lone.hear(gone, 1)))
    assert.ok(!isBehind(lone.hear(gone, 1)), 'nor because he repeats it')
    assert.ok(isBehind(lone.hear({ ...gone, gcRound: 300 }, 2)))
  })
})

const proposedBytes = (effects: readonly R2sEffect[]): number[] =>
  effects.flatMap((effect) => (effect.kind === 'propose' ? [effect.payloadBytesMax] : []))

/** A committee of one that goes through a round; its coin is never told. */
class Loner {
  readonly core: R2s
  nowMs = 0
  #effects: R2sEffect[]

  constructor(undecidedRoundsMax: number) {
    const config = configOf(0, 1, { undecidedRoundsMax, idleRoundMs: 1 })
    this.core = new R2s({ ...config, coin: THRESHOLD_COIN })
    this.#effects = this.core.start({ kind: 'fresh' }, 0)
  }

  /** Bytes that the payload of each of the next rounds may have. */
  rounds(count: number): number[] {
    const allowed: number[] = []
    while (allowed.length < count) {
      const asked = this.#effects.find((effect) => effect.kind === 'propose')
      this.#effects = []
      if (asked?.kind === 'propose') {
        allowed.push(asked.payloadBytesMax)
        const coinShare = asked.coinRound === null ? null : WELL_FORMED_SHARE
        const contents = { payload: new Uint8Array(0), txCount: 0, votes: [], coinShare }
        this.step({ kind: 'proposal', round: asked.round, ...contents, nowMs: 0 })
        this.step({ kind: 'persisted', round: asked.round, nowMs: 0 })
      }
      this.nowMs += 2
      this.step({ kind: 'tick', nowMs: 0 })
    }
    return allowed
  }

  step(event: R2sEvent): void {
    this.#effects.push(...this.core.step({ ...event, nowMs: this.nowMs }))
  }
}

describe('backpressure', () => {
  it('takes the payload away, not the round, while the node says that it is late', () => {
    const loner = new Loner(48)
    const full = loner.rounds(3)
    loner.step({ kind: 'pressure', high: true, nowMs: 0 })
    const pressed = loner.rounds(3)
    loner.step({ kind: 'pressure', high: false, nowMs: 0 })
    const after = loner.rounds(2)
    assert.deepEqual(full, [2 ** 20, 2 ** 20, 2 ** 20])
    // The first was asked for before.
    assert.deepEqual(pressed.slice(1), [0, 0])
    assert.deepEqual(after.slice(1), [2 ** 20])
  })

  it('takes it away from the first round that finds more rounds undecided than allowed', () => {
    const loner = new Loner(5)
    const allowed = loner.rounds(12)
    assert.equal(loner.core.decidedRound, 0, 'the coin is not told')
    // Round R finds R - 1 undecided rounds below it.
    assert.deepEqual(
      allowed.map((bytes) => bytes > 0),
      Array.from({ length: 12 }, (_, i) => i <= 5),
    )
  })

  it('is asked for by the node and by nobody else: a fresh member may fill its first block', () => {
    const core = new R2s(configOf(0, 4))
    assert.deepEqual(proposedBytes(core.start({ kind: 'fresh' }, 0)), [2 ** 20])
  })
})

describe('an author whose blocks come by fetching', () => {
  /** Four rounds of all four members, as accepted; parents of member 0's next block. */
  function cited(slowShare: number, missing: readonly number[] = []): string[] {
    const m = new MemberState(configOf(0, 4))
    const lone = new LoneMember()
    let round = [0, 1, 2, 3].map((author) => lone.sealed(author))
    for (let r = 1; ; r++) {
      const present = r === 4 ? round.filter(({ header }) => !missing.includes(header.author)) : round
      for (const block of present) {
        const parents = block.header.parents.map((ref) => m.dag.find(ref)!)
        const vertex = m.dag.vertexOf(block, parents, { checked: true, clean: true })
        m.dag.add(vertex)
        if (block.header.author === 0) m.lastOwn = vertex
      }
      if (r === 4) break
      // Nobody cites member 3, so that it stays a candidate for a weak parent.
      round = [0, 1, 2, 3].map((author) => lone.child(author, author === 3 ? round : round.slice(0, 3)))
    }
    m.fetchShare[3] = slowShare
    return candidates(m, 5, 0, false).map(({ author, round }) => `${author}@${round}`)
  }

  it('is cited at once up to the share that is allowed', () => {
    assert.deepEqual(cited(0.3), ['0@4', '1@4', '2@4', '3@4'])
  })

  it('is cited three rounds late above it', () => {
    assert.deepEqual(cited(0.31), ['0@4', '1@4', '2@4', '3@2'])
  })

  it('is cited at once all the same where there is no quorum without him', () => {
    assert.deepEqual(cited(0.31, [2]), ['0@4', '1@4', '3@4'])
  })
})

describe('the room for blocks that wait', () => {
  const orphan = (lone: LoneMember, author: number, round: number): Block => {
    const parents = [author, ...[1, 2, 3].filter((other) => other !== author)]
    return lone.sealed(author, {
      round,
      parents: parents.map((by) => ({ author: by, round: round - 1, digest: new Uint8Array(32).fill(4 * round + by) })),
    })
  }

  it('keeps the lowest rounds of each author', () => {
    const lone = new LoneMember(4, { parkedPerAuthorMax: 3 })
    const kept = [30, 10, 40, 20, 50].map((round) => orphan(lone, 1, round))
    lone.receive(...kept, orphan(lone, 2, 60))
    assert.equal(lone.core.parkedCount, 4)
    // What was evicted is forgotten and may come again; what is kept is known.
    const stored = (block: Block): boolean => lone.receive(block).length >= 0 && lone.core.parkedCount === 4
    assert.ok(kept.every(stored))
  })

  it('holds no more than its bound, whatever is sent', () => {
    const lone = new LoneMember(4, { parkedPerAuthorMax: 3 })
    for (let round = 100; round > 2; round--) lone.receive(orphan(lone, 1 + (round % 3), round))
    assert.ok(lone.core.parkedCount <= 3 * 2 * 3, `${lone.core.parkedCount} parked`)
  })

  it('forgets what an evicted block alone waited for, and asks again for an evicted one that others wait for', () => {
    const lone = new LoneMember()
    const parking = new Parking(4, { parkedPerAuthorMax: 2, fetchRetryMs: 10 })
    const park = (block: Block): void => {
      const missing = block.header.parents
      parking.park({ block, from: 1, fetched: false, missingCount: missing.length, notBeforeMs: 0 }, missing, 0)
    }
    const rounds = [5, 7, 9].map((round) => orphan(lone, 1, round))
    rounds.forEach(park)
    assert.deepEqual(
      rounds.map((block) => parking.has(block.digest)),
      [true, true, false],
    )
    const asked = parking.due(0).map(({ ref }) => ref.round)
    assert.deepEqual([...new Set(asked)], [4, 6], 'nothing for the one that went')
    assert.deepEqual(parking.due(1), [], 'and nothing twice at once')
  })

  it('is free again once the rounds are collected away', () => {
    const lone = new LoneMember()
    const parking = new Parking(4, { parkedPerAuthorMax: 8, fetchRetryMs: 10 })
    for (const round of [5, 7]) {
      const block = orphan(lone, 1, round)
      const missing = block.header.parents
      parking.park({ block, from: 1, fetched: false, missingCount: missing.length, notBeforeMs: 0 }, missing, 0)
    }
    const ready = parking.prune(6)
    assert.deepEqual(
      ready.map(({ block }) => block.header.round),
      [7],
      'round 5 is gone, and round 7 waits for nothing above',
    )
    assert.equal(parking.size, 0)
    assert.deepEqual(parking.due(1000), [], 'nobody is asked for what is gone')
  })
})
