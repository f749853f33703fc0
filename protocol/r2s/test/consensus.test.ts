import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Block, decodeBlock, encodeBlock, type Header, sealBlock } from '../src/block.ts'
import { R2s } from '../src/consensus.ts'
import type { Commit, R2sEffect } from '../src/events.ts'
import { encodeLogRecord, readLog } from '../src/log.ts'
import { encodeMessage } from '../src/message.ts'
import { configOf, SmallNetwork } from './members.ts'

const hex = (block: Block): string => Buffer.from(block.digest).toString('hex')

describe('a committee', () => {
  it('agrees on one order, 200 seeds', () => {
    for (let seed = 0; seed < 200; seed++) {
      const size = [1, 2, 3, 4, 4, 4, 7][seed % 7]!
      const network = new SmallNetwork(size, seed, {}, true, true)
      if (seed % 3 === 0 && size >= 4) network.down.add(seed % size)
      network.run(250)
      const orders = network.commits
        .filter((_, member) => !network.down.has(member))
        .map((commits) => commits.map(({ round, blocks }) => `${round}:${blocks.map(hex)}`))
      const shortest = Math.min(...orders.map((order) => order.length))
      assert.ok(shortest > 5, `seed ${seed}: ${shortest} rounds`)
      for (const order of orders) assert.deepEqual(order.slice(0, shortest), orders[0]!.slice(0, shortest))
    }
  })

  it('stands still without a quorum, and nobody decides', () => {
    const network = new SmallNetwork(4, 1)
    network.down.add(0).add(1)
    network.run(1000)
    assert.deepEqual(network.commits.flat(), [])
    assert.equal(network.members[2]!.lastOwnRound, 1)
  })

  it('falls quiet when nobody has anything to say, and wakes at once', () => {
    const network = new SmallNetwork(4, 1, { idleRoundMs: 1000 }, false)
    network.run(900)
    assert.deepEqual(
      network.members.map((member) => member.lastOwnRound),
      [1, 1, 1, 1],
    )
    network.talk = true
    network.step(2, { kind: 'work', pending: true, nowMs: 900 })
    network.run(1000)
    assert.ok(network.members[0]!.lastOwnRound >= 3)
  })
})

/** A lone member and blocks its peers signed for it. */
function alone(): {
  core: R2s
  receive(block: Block): R2sEffect[]
  sealed(author: number, change?: Partial<Header>): Block
} {
  const core = new R2s(configOf(0, 4))
  core.start({ kind: 'fresh' }, 1000)
  const genesis = core.dag.genesis.map((vertex) => vertex.ref)
  return {
    core,
    receive: (block) =>
      core.step({ kind: 'frame', from: 1, bytes: encodeMessage({ kind: 'block', block }), nowMs: 1000 }),
    sealed(author, change = {}) {
      const header = {
        chainId: 7n,
        era: 1,
        round: 1,
        author,
        tsMs: 1000,
        exposed: 0,
        parents: [genesis[author]!, ...genesis.filter((ref) => ref.author !== author)],
        coinShare: null,
        votes: [],
        evidence: null,
        txCount: 0,
        ...change,
      }
      return sealBlock(header, new Uint8Array(3), configOf(author, 4).sign)
    },
  }
}

/** A committee of one whose first block is on its way to the disk. */
function lone(): { core: R2s } {
  const core = new R2s(configOf(0, 1))
  core.start({ kind: 'fresh' }, 0)
  const contents = { payload: new Uint8Array(0), txCount: 0, votes: [], coinShare: null }
  core.step({ kind: 'proposal', round: 1, ...contents, nowMs: 1 })
  return { core }
}

const refusals = (effects: readonly R2sEffect[]): string[] =>
  effects.flatMap((effect) => (effect.kind === 'refuse' ? [effect.code] : []))

describe('a member', () => {
  it('accepts a valid block', () => {
    const { core, receive, sealed } = alone()
    const block = sealed(1)
    const effects = receive(block)
    assert.deepEqual(refusals(effects), [])
    assert.ok(core.dag.find({ author: 1, round: 1, digest: block.digest }))
    assert.deepEqual(
      receive(block).filter(({ kind }) => kind === 'store'),
      [],
      'once',
    )
  })

  it('proves an equivocation once, and puts the proof into its next block', () => {
    const network = new SmallNetwork(4, 5)
    const { sealed } = alone()
    const first = sealed(3)
    const second = sealed(3, { tsMs: 1001 })
    network.down.add(3)
    network.run(5)
    for (const block of [first, second, first, second]) {
      network.step(0, { kind: 'message', from: 3, message: { kind: 'block', block }, nowMs: 2000 })
    }
    assert.equal(network.effects.filter(({ kind }) => kind === 'equivocation').length, 1)
    network.run(4000, () => network.commits[1]!.some(({ ejected }) => ejected.includes(3)))
    assert.ok(network.commits[1]!.some(({ ejected }) => ejected.includes(3)))
    assert.equal(network.members[1]!.equivocators, 8)
  })

  it('asks for ancestors it lacks, from whoever sent the child', () => {
    const { core, receive, sealed } = alone()
    const parents = [1, 2, 3].map((author) => sealed(author))
    const refs = parents.map((block) => ({ author: block.header.author, round: 1, digest: block.digest }))
    const effects = receive(sealed(1, { round: 2, parents: refs }))
    const asked = effects.find((effect) => effect.kind === 'send' && effect.message.kind === 'fetch')
    assert.ok(asked?.kind === 'send' && asked.to === 1 && asked.message.kind === 'fetch')
    assert.equal(asked.message.wanted.length, 3)
    assert.equal(core.parkedCount, 1)
    core.step({ kind: 'message', from: 1, message: { kind: 'blocks', blocks: parents, gcRound: 0 }, nowMs: 1001 })
    assert.equal(core.parkedCount, 0)
    assert.equal(core.dag.highestRound, 2)
  })

  it('holds a block from the future until its time', () => {
    const { core, receive, sealed } = alone()
    assert.deepEqual(refusals(receive(sealed(1, { tsMs: 1700 }))), [])
    assert.equal(core.dag.present(1), 0)
    core.step({ kind: 'tick', nowMs: 1200 })
    assert.equal(core.dag.present(1), 2)
  })

  it('asks for another wake where a timer fires early', () => {
    const { core } = lone()
    const first = core.step({ kind: 'persisted', round: 1, nowMs: 2 })
    const wake = first.find((effect) => effect.kind === 'wake')
    assert.ok(wake?.kind === 'wake')
    const early = core.step({ kind: 'tick', nowMs: wake.atMs - 0.5 })
    assert.ok(early.some((effect) => effect.kind === 'wake' && effect.atMs >= wake.atMs))
  })

  it('sends no block before it is durable', () => {
    const core = new R2s(configOf(0, 4))
    const effects = core.start({ kind: 'fresh' }, 0)
    assert.deepEqual(
      effects.map(({ kind }) => kind).filter((kind) => kind !== 'wake'),
      ['propose'],
    )
    const built = core.step({
      kind: 'proposal',
      round: 1,
      payload: new Uint8Array(0),
      txCount: 0,
      votes: [],
      coinShare: null,
      nowMs: 1,
    })
    assert.deepEqual(
      built.map(({ kind }) => kind).filter((kind) => kind !== 'wake'),
      ['persist'],
    )
    const sent = core.step({ kind: 'persisted', round: 1, nowMs: 2 })
    assert.ok(sent.some(({ kind }) => kind === 'broadcast'))
    assert.ok(!sent.some(({ kind }) => kind === 'store'), 'it is in the log already')
  })

  it('goes on where its log ends, and never signs a round again', () => {
    const network = new SmallNetwork(4, 3)
    network.run(300)
    const records = network.members[0]!.window().map((block) => encodeLogRecord({ kind: 'block', block }))
    const log = readLog(Buffer.concat(records))
    assert.equal(log.damage, 'none')
    const core = new R2s(configOf(0, 4))
    const effects = core.start({ kind: 'log', ...log }, 300)
    assert.equal(core.lastOwnRound, network.members[0]!.lastOwnRound)
    const told = effects.flatMap((effect) => (effect.kind === 'commit' ? [effect.commit] : []))
    const order = (commits: readonly Commit[]): string[] =>
      commits.map(({ round, blocks }) => `${round}:${blocks.map(hex)}`)
    assert.deepEqual(order(told), order(network.commits[0]!.slice(0, told.length)))
    assert.ok(told.length > 5)
  })

  it('signs nothing after losing its log until a quorum has told it how far it was', () => {
    const core = new R2s(configOf(0, 4))
    const effects = core.start({ kind: 'lost' }, 0)
    assert.ok(effects.every((effect) => effect.kind !== 'propose'))
    assert.equal(effects.filter((effect) => effect.kind === 'send' && effect.message.kind === 'ask-newest').length, 3)
    const answer = { kind: 'newest', yours: null, mine: null } as const
    for (const from of [1, 2, 2]) core.step({ kind: 'message', from, message: answer, nowMs: 1 })
    assert.ok(core.inquiring)
    core.step({ kind: 'message', from: 3, message: answer, nowMs: 1 })
    assert.ok(!core.inquiring)
  })

  it('begins with round 1 where all others have lost their logs too', () => {
    for (const size of [4, 7, 11]) {
      for (let seed = 0; seed < 20; seed++) {
        const network = new SmallNetwork(size, seed, {}, true, true, 'lost')
        network.run(500)
        assert.ok(
          network.members.every(({ decidedRound }) => decidedRound > 5),
          `${size} members, seed ${seed}`,
        )
      }
    }
  })

  it('falls silent when somebody signs with its key', () => {
    const { receive, sealed, core } = alone()
    assert.ok(receive(sealed(0)).some(({ kind }) => kind === 'silenced'))
    assert.deepEqual(
      core.step({ kind: 'tick', nowMs: 9999 }).filter(({ kind }) => kind === 'propose'),
      [],
    )
  })
})

describe('a log', () => {
  const { sealed } = alone()
  const records = [1, 2, 3].map((author) => encodeLogRecord({ kind: 'block', block: sealed(author) }))
  const whole = Buffer.concat(records)
  const lastAt = whole.length - records[2]!.length
  const judge = (bytes: Uint8Array, durableBytes?: number) => {
    const { damage, blocks } = readLog(bytes, durableBytes)
    return [damage, blocks.length]
  }

  it('is read to its end, with zeros behind it or not', () => {
    for (const zeros of [0, 1, 7, 12, 600]) {
      const bytes = Buffer.concat([whole, Buffer.alloc(zeros)])
      for (const durable of [0, lastAt, whole.length]) assert.deepEqual(judge(bytes, durable), ['none', 3])
    }
  })

  it('is torn where its last write did not arrive, and keeps all before', () => {
    for (let cut = lastAt + 1; cut < whole.length; cut++) {
      assert.deepEqual(judge(whole.subarray(0, cut), lastAt), ['torn', 2])
    }
    for (let cut = lastAt - (lastAt % 512) + 512; cut < whole.length; cut += 512) {
      assert.deepEqual(judge(Uint8Array.from(whole).fill(0, cut), lastAt), ['torn', 2])
    }
  })

  it('is distrusted where a sector is gone, and a whole record behind it is not', () => {
    const long = [5, 6, 7].map((round) => {
      const block = sealBlock({ ...sealed(1).header, round }, new Uint8Array(1_500).fill(round), configOf(1, 4).sign)
      return encodeLogRecord({ kind: 'block', block })
    })
    const bytes = Buffer.concat(long)
    for (let sector = 0; sector * 512 < bytes.length; sector++) {
      const gone = Uint8Array.from(bytes).fill(0, 512 * sector, 512 * sector + 512)
      const isLast = 512 * sector + 512 > bytes.length - long[2]!.length
      assert.equal(readLog(gone, 0).damage, isLast ? 'torn' : 'corrupt', `sector ${sector}`)
    }
  })

  it('is distrusted where any bit of what was durable is wrong, or gone', () => {
    for (let at = 0; at < whole.length; at++) {
      const flipped = Uint8Array.from(whole)
      flipped[at]! ^= 1 << (at % 8)
      const kept = at < records[0]!.length ? 0 : at < lastAt ? 1 : 2
      // All of it is there: who says that it was not durable?
      for (const durable of [0, lastAt, undefined]) assert.deepEqual(judge(flipped, durable), ['corrupt', kept])
      assert.equal(readLog(whole.subarray(0, at), whole.length).damage, 'corrupt')
      // The payload of the last one ends with zeros.
      const isSame = at >= whole.length - 3
      assert.equal(readLog(Uint8Array.from(whole).fill(0, at)).damage, isSame ? 'none' : 'corrupt')
    }
  })
})

describe('a block', () => {
  it('survives its codec, and no changed byte goes unnoticed', () => {
    const { sealed } = alone()
    const block = sealed(2)
    const bytes = encodeBlock(block)
    assert.deepEqual(encodeBlock(decodeBlock(bytes)), bytes)
    for (let cut = 0; cut < bytes.length; cut++) {
      assert.throws(() => decodeBlock(bytes.subarray(0, cut)), { code: 'MALFORMED' })
    }
    assert.throws(() => decodeBlock(Buffer.concat([bytes, Buffer.alloc(1)])), { code: 'MALFORMED' })
    const { receive } = alone()
    for (let at = 0; at < bytes.length; at++) {
      const changed = Uint8Array.from(bytes)
      changed[at]! ^= 0x11
      try {
        assert.notDeepEqual(refusals(receive(decodeBlock(changed))), [], `byte ${at}`)
      } catch (error) {
        if ((error as { code?: string }).code !== 'MALFORMED') throw error
      }
    }
  })
})
