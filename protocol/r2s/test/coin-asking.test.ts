import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Block, COIN_BYTES } from '../src/block.ts'
import type { CoinRule, RoundCoin } from '../src/coin.ts'
import { R2s } from '../src/consensus.ts'
import type { R2sEffect } from '../src/events.ts'
import { encodeLogRecord, readLog } from '../src/log.ts'
import { COINS_MAX } from '../src/message.ts'
import type { R2sParams } from '../src/r2s-params.ts'
import { LoneMember, refusals, WELL_FORMED_SHARE } from './lone-member.ts'
import { configOf } from './members.ts'

/** Of four members, three hold shares, all of which are needed: member 0, who makes no blocks here, and members 1 and 2. */
const SCARCE: CoinRule = { mode: 'threshold', holders: 0b0111, wellFormed: (share) => share[0] === 1 }
const ASK_MS = 400
/** A round is built upon by a block so many rounds above it. */
const WAVE = 4

const coinOf = (round: number): RoundCoin => ({ round, value: new Uint8Array(COIN_BYTES).fill(round) })
const wrongCoinOf = (round: number): RoundCoin => ({ round, value: new Uint8Array(COIN_BYTES).fill(round + 1) })

/** Member 0 hears `rounds` rounds of the others, and never learns a coin by itself. */
function lacking(
  rounds: number,
  { params = {}, coin = SCARCE }: { params?: Partial<R2sParams>; coin?: CoinRule } = {},
) {
  const lone = new LoneMember(4, { coinAskMs: ASK_MS, ...params }, coin)
  let parents: Block[] = []
  const heard: R2sEffect[] = []
  const hearRounds = (count: number) => {
    for (let i = 0; i < count; i++) {
      const round = (parents[0]?.header.round ?? 0) + 1
      const shareOf = (author: number) =>
        round >= WAVE && coin.mode === 'threshold' && coin.holders & (1 << author) ? WELL_FORMED_SHARE : null
      parents = [1, 2, 3].map((author) =>
        round === 1 ? lone.sealed(author) : lone.child(author, parents, { coinShare: shareOf(author) }),
      )
      heard.push(...lone.receive(...parents))
    }
  }
  hearRounds(rounds)
  const pass = (ms: number) => {
    lone.nowMs += ms
    return lone.core.step({ kind: 'tick', nowMs: lone.nowMs })
  }
  const show = (from: number, ...coins: RoundCoin[]) => lone.hear({ kind: 'coins', coins }, from)
  const verified = (round: number, isRight: boolean) =>
    lone.core.step({ kind: 'coin-verified', round, isRight, nowMs: lone.nowMs })
  return { lone, core: lone.core, heard, hearRounds, pass, show, verified }
}

/** Who is asked for which rounds. */
function questions(effects: readonly R2sEffect[]): { to: number; rounds: readonly number[] }[] {
  return effects.flatMap((effect) =>
    effect.kind === 'send' && effect.message.kind === 'ask-coins'
      ? [{ to: effect.to, rounds: effect.message.rounds }]
      : [],
  )
}

const roundsOf = (effects: readonly R2sEffect[], kind: 'verify-coin' | 'commit'): number[] =>
  effects.flatMap((effect) =>
    effect.kind === 'verify-coin' && kind === effect.kind
      ? [effect.round]
      : effect.kind === 'commit' && kind === effect.kind
        ? [effect.commit.round]
        : [],
  )

const answers = (effects: readonly R2sEffect[]): readonly RoundCoin[][] =>
  effects.flatMap((effect) =>
    effect.kind === 'send' && effect.message.kind === 'coins' ? [[...effect.message.coins]] : [],
  )

describe('a coin whose shares do not come', () => {
  it('is asked for, of all, when others have built upon it for a while, and again until it is known', () => {
    const { heard, hearRounds, pass, core } = lacking(WAVE)
    assert.deepEqual(questions(pass(10 * ASK_MS)), [], 'its shares may still be on their way')
    hearRounds(3)
    assert.deepEqual(questions(heard), [])
    assert.deepEqual(questions(pass(ASK_MS - 1)), [])
    const asked = [1, 2, 3].map((to) => ({ to, rounds: [1, 2, 3] }))
    assert.deepEqual(questions(pass(1)), asked)
    assert.deepEqual(questions(pass(ASK_MS - 1)), [])
    assert.deepEqual(questions(pass(1)), asked)
    assert.equal(core.decidedRound, 0)
  })

  it('is not asked for while its shares are summed, however long that takes', () => {
    const { heard, pass } = lacking(WAVE + 2, { coin: { ...SCARCE, holders: 0b1110 } as CoinRule })
    assert.ok(heard.some(({ kind }) => kind === 'combine'))
    for (let i = 0; i < 3; i++) assert.deepEqual(questions(pass(ASK_MS)), [])
  })

  it('says when it wants to be woken for it', () => {
    const { pass } = lacking(WAVE + 1)
    const wakes = pass(ASK_MS).flatMap((effect) => (effect.kind === 'wake' ? [effect.atMs] : []))
    assert.ok(wakes.length > 0 && wakes.every((atMs) => atMs <= 1000 + 2 * ASK_MS), String(wakes))
  })

  it('is learnt from whoever knows it once it is verified, is stored, and decides the round', () => {
    const { pass, show, verified, core } = lacking(WAVE + 2)
    pass(ASK_MS)
    assert.deepEqual(roundsOf(show(2, coinOf(1), coinOf(2)), 'verify-coin'), [1])
    assert.equal(core.decidedRound, 0)
    const learnt = verified(1, true)
    assert.deepEqual(roundsOf(learnt, 'verify-coin'), [2], 'one after the other')
    assert.deepEqual(
      learnt.flatMap((effect) => (effect.kind === 'store-coin' ? [effect.coin] : [])),
      [coinOf(1)],
    )
    assert.deepEqual(roundsOf(learnt, 'commit'), [1])
    assert.deepEqual(roundsOf(verified(2, true), 'commit'), [2])
    assert.equal(core.sizes.shownCoins, 0)
  })

  it('is not believed where it is none: all its sender showed is dropped, it is refused, not asked again and not heard; the others are asked at once', () => {
    const { pass, show, verified, core } = lacking(WAVE + 3)
    pass(ASK_MS)
    show(3, wrongCoinOf(1), wrongCoinOf(2), wrongCoinOf(3))
    const refused = verified(1, false)
    assert.deepEqual(refusals(refused), ['BAD_COIN'])
    assert.deepEqual(roundsOf(refused, 'verify-coin'), [], 'a lie costs one check')
    assert.deepEqual(
      questions(refused),
      [1, 2].map((to) => ({ to, rounds: [1, 2, 3] })),
    )
    assert.deepEqual(roundsOf(show(3, coinOf(1)), 'verify-coin'), [])
    assert.deepEqual(roundsOf(show(1, coinOf(1)), 'verify-coin'), [1])
    verified(1, true)
    assert.equal(core.decidedRound, 1)
  })

  it('is verified once, whoever else shows it meanwhile', () => {
    const { pass, show, verified } = lacking(WAVE + 1)
    pass(ASK_MS)
    assert.deepEqual(roundsOf(show(1, coinOf(1)), 'verify-coin'), [1])
    assert.deepEqual(roundsOf(show(2, coinOf(1)), 'verify-coin'), [])
    assert.deepEqual(questions(pass(ASK_MS)), [], 'nor asked for while it is')
    verified(1, true)
    assert.deepEqual(verified(1, true), [], 'an answer to nothing changes nothing')
  })

  it('is asked for 64 at a time, the lowest first', () => {
    const { pass, show, core } = lacking(WAVE + 100)
    const rounds = Array.from({ length: COINS_MAX }, (_, i) => i + 1)
    const [first] = questions(pass(ASK_MS))
    assert.deepEqual(first?.rounds, rounds)
    const flood = Array.from({ length: COINS_MAX + 20 }, (_, i) => coinOf(i + 1))
    assert.deepEqual(roundsOf(show(1, ...flood), 'verify-coin'), [1])
    assert.equal(core.sizes.shownCoins, COINS_MAX)
  })

  it('costs nothing where it was not asked for, is known, or is of a round that nobody has built upon', () => {
    const { pass, show, verified, core } = lacking(WAVE + 1)
    assert.deepEqual(roundsOf(show(1, coinOf(1)), 'verify-coin'), [], 'nothing was asked')
    pass(ASK_MS)
    assert.deepEqual(roundsOf(show(1, coinOf(2), coinOf(3)), 'verify-coin'), [], 'too early')
    assert.deepEqual(roundsOf(show(1, coinOf(1)), 'verify-coin'), [], 'a second answer to one question')
    assert.deepEqual(roundsOf(show(2, coinOf(1)), 'verify-coin'), [1])
    verified(1, true)
    assert.deepEqual(roundsOf(show(3, coinOf(1)), 'verify-coin'), [], 'known')
    assert.equal(core.sizes.shownCoins, 0)
  })

  it('that comes by its shares after all, while what was shown is verified, is taken once', () => {
    const { lone, pass, show, verified, core } = lacking(WAVE + 1)
    pass(ASK_MS)
    show(1, coinOf(1))
    const first = [1, 2, 3].map((author) => core.dag.slot(3, author)[0]!.block!)
    const late = lone.child(0, first, { coinShare: WELL_FORMED_SHARE, parents: refsUpon(core, first) })
    lone.receive(late)
    assert.deepEqual(roundsOf(verified(1, true), 'commit'), [1])
    const again = core.step({ kind: 'coin', round: 1, value: coinOf(1).value, badShares: [], nowMs: lone.nowMs })
    assert.ok(!again.some(({ kind }) => kind === 'store-coin' || kind === 'commit'))
  })

  it('is nothing that anybody asks for where all can compute it', () => {
    const { pass, show, core } = lacking(40, { coin: { mode: 'public', seed: new Uint8Array(32) } })
    assert.ok(core.decidedRound > 30)
    assert.deepEqual(questions(pass(10 * ASK_MS)), [])
    assert.deepEqual(roundsOf(show(1, coinOf(38)), 'verify-coin'), [])
  })
})

function refsUpon(core: R2s, parents: readonly Block[]) {
  const genesis = core.dag.genesis[0]!.ref
  return [genesis, ...parents.map(({ header: { author, round }, digest }) => ({ author, round, digest }))]
}

/** A member that has been told the coins of its first `count` rounds. */
function knowing(count: number, params: Partial<R2sParams> = {}) {
  const member = lacking(WAVE, { params })
  for (let round = 1; round <= count; round++) {
    member.hearRounds(1)
    member.pass(ASK_MS)
    member.show(1, coinOf(round))
    member.verified(round, true)
    assert.equal(member.core.decidedRound, round)
  }
  return member
}

describe('a member that knows coins', () => {
  it('shows them to whoever asks, also those of decided rounds, and is silent about others', () => {
    const { lone } = knowing(5)
    const ask = (...rounds: number[]) => answers(lone.hear({ kind: 'ask-coins', rounds }, 3))
    assert.deepEqual(ask(1, 4, 5), [[coinOf(1), coinOf(4), coinOf(5)]])
    assert.deepEqual(ask(5, 6, 900), [[coinOf(5)]])
    assert.deepEqual(ask(6), [])
  })

  it('answers 64 questions of a member within a retry time', () => {
    const { lone, core } = knowing(1)
    const ask = () => answers(lone.hear({ kind: 'ask-coins', rounds: [1] }, 3)).length
    lone.nowMs += 1000
    const answered = Array.from({ length: 100 }, ask).reduce((sum, count) => sum + count, 0)
    assert.equal(answered, 64)
    lone.nowMs += 1000
    assert.equal(ask(), 1)
    assert.equal(core.halted, false)
  })

  it('keeps them over a restart: it decides at once what it had decided, and shows them again', () => {
    const before = knowing(6)
    const records = [
      ...before.core.window().map((block) => encodeLogRecord({ kind: 'block', block })),
      ...before.core.coins().map((coin) => encodeLogRecord({ kind: 'coin', coin })),
    ]
    const log = readLog(Buffer.concat(records))
    assert.equal(log.damage, 'none')
    const core = new R2s({ ...configOf(0, 4), coin: SCARCE })
    const effects = core.start({ kind: 'log', ...log }, 5_000)
    assert.deepEqual(roundsOf(effects, 'commit'), [1, 2, 3, 4, 5, 6])
    assert.ok(!effects.some(({ kind }) => kind === 'store-coin'), 'they are in the log already')
    const shown = core.step({
      kind: 'message',
      from: 2,
      message: { kind: 'ask-coins', rounds: [2, 6] },
      nowMs: 5_000,
    })
    assert.deepEqual(answers(shown), [[coinOf(2), coinOf(6)]])
  })

  it('forgets those that nobody who accepts blocks of today can lack', () => {
    const bounds = {
      undecidedRoundsMax: 4,
      undecidedRoundsStop: 4,
      gcDepthRounds: 16,
      parentDepthRounds: 8,
      exposureDepthRounds: 4,
    }
    const { core } = knowing(60, bounds)
    const kept = 4 * bounds.undecidedRoundsStop + bounds.gcDepthRounds
    assert.equal(core.sizes.knownCoins, kept)
    assert.equal(core.coins()[0]!.round, 61 - kept)
  })
})
