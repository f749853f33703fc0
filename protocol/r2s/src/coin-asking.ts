import type { RoundCoin } from './coin.ts'
import { combine } from './coin-shares.ts'
import { mayServe } from './fetching.ts'
import { isPeer, type MemberState, refuse, send } from './member-state.ts'
import { COINS_MAX } from './message.ts'
import { keptCoins } from './r2s-params.ts'

/** To look for a coin costs as much as sending so many bytes; one that is sent takes so many. */
const LOOK_BYTES = 16
const COIN_MESSAGE_BYTES = 100

/**
 * SPEC 3: all shares that came may have been needed, and one may have come in a block that is too old to be cited, so that
 * whoever missed it never hears of it again. What others have built upon for `coinAskMs`, and is not known, is asked for.
 */
export function askForCoins(m: MemberState): void {
  if (m.config.coin.mode === 'public') return
  const lacking = lowestLacking(m)
  const { coinAskMs, fetchRetryMs } = m.config.params
  if (lacking !== m.lackingRound) {
    m.lackingRound = lacking
    m.coinAskAtMs = lacking === null ? Number.POSITIVE_INFINITY : m.nowMs + coinAskMs
  }
  if (lacking === null || m.isFollowing || m.nowMs < m.coinAskAtMs) return
  m.coinAskAtMs = m.nowMs + Math.max(coinAskMs, fetchRetryMs)
  const rounds: number[] = []
  for (let round = lacking; rounds.length < COINS_MAX && isBuiltUpon(m, round); round++) {
    const state = m.coins.get(round)
    if (state && state.have & m.badSharers) combine(m, round, state, true)
    // What is being summed or verified will be known soon.
    if (!m.rule.isRevealed(round) && !m.shownCoins.has(round) && !state?.asked) rounds.push(round)
  }
  m.coinAnswerers = 0
  if (rounds.length === 0) return
  for (let peer = 0; peer < m.committee.size; peer++) {
    if (!isPeer(m, peer) || m.coinLiars & (1 << peer)) continue
    m.coinAnswerers |= 1 << peer
    send(m, peer, { kind: 'ask-coins', rounds })
  }
}

/** The first round whose coin is missing though others have built upon its shares. */
function lowestLacking(m: MemberState): number | null {
  let round = Math.max(m.unknownCoinRound, m.rule.firstUndecidedRound)
  while (m.rule.isRevealed(round)) round++
  m.unknownCoinRound = round
  return isBuiltUpon(m, round) ? round : null
}

/** A block above the decision round has a quorum of its blocks as parents. */
function isBuiltUpon(m: MemberState, round: number): boolean {
  return round + m.config.params.waveLength <= m.dag.highestRound
}

export function showCoins(m: MemberState, to: number, rounds: readonly number[]): void {
  if (!mayServe(m, to)) return
  const coins: RoundCoin[] = []
  for (const round of rounds) {
    const value = m.knownCoins.get(round)
    if (value) coins.push({ round, value })
  }
  m.served[to]!.bytes.spend(rounds.length * LOOK_BYTES + coins.length * COIN_MESSAGE_BYTES)
  if (coins.length > 0) send(m, to, { kind: 'coins', coins })
}

/** One answer of each to each question; what nobody asked for, or came too late, is nobody's fault and costs nothing. */
export function coinsShown(m: MemberState, from: number, coins: readonly RoundCoin[]): void {
  if (!(m.coinAnswerers & (1 << from))) return
  m.coinAnswerers &= ~(1 << from)
  for (const { round, value } of coins.slice(0, COINS_MAX)) {
    if (m.rule.isRevealed(round) || m.shownCoins.has(round) || !isBuiltUpon(m, round)) continue
    m.shownCoins.set(round, { from, value })
  }
  verifyNext(m)
}

/** One after the other: then a lie costs one check. */
function verifyNext(m: MemberState): void {
  if (m.verifyingRound !== null) return
  for (const [round, { value }] of m.shownCoins) {
    if (m.rule.isRevealed(round)) {
      m.shownCoins.delete(round)
      continue
    }
    m.verifyingRound = round
    m.effects.push({ kind: 'verify-coin', round, value })
    return
  }
}

/** Whoever shows a coin that is none is not heard any more, nor asked. */
export function coinVerified(m: MemberState, round: number, isRight: boolean): void {
  const shown = m.shownCoins.get(round)
  if (!shown || m.verifyingRound !== round) return
  m.verifyingRound = null
  m.shownCoins.delete(round)
  if (isRight) learnCoin(m, round, shown.value)
  else distrust(m, shown.from)
  verifyNext(m)
}

function distrust(m: MemberState, liar: number): void {
  refuse(m, liar, 'BAD_COIN')
  m.coinLiars |= 1 << liar
  for (const [round, { from }] of m.shownCoins) if (from === liar) m.shownCoins.delete(round)
  m.coinAskAtMs = Math.min(m.coinAskAtMs, m.nowMs)
}

/** From its shares, or from somebody who knew it: the same value, verified. */
export function learnCoin(m: MemberState, round: number, value: Uint8Array): void {
  m.coins.delete(round)
  if (m.rule.isRevealed(round)) return
  m.knownCoins.set(round, value)
  m.effects.push({ kind: 'store-coin', coin: { round, value } })
  m.rule.reveal(round, value)
}

/** Coins that the log kept. */
export function restoreCoins(m: MemberState, coins: Iterable<RoundCoin>): void {
  for (const { round, value } of coins) {
    m.knownCoins.set(round, value)
    m.rule.reveal(round, value)
  }
}

/**
 * Who does not decide round r takes no block above r + 4 × `undecidedRoundsStop`, so whoever still needs a coin further down is
 * told that the blocks it needs are gone, and joins where the others are (SPEC 2.10).
 */
export function forgetCoins(m: MemberState): void {
  const lowest = m.rule.firstUndecidedRound - keptCoins(m.config.params)
  // Known in the order of rounds, nearly.
  for (const round of m.knownCoins.keys()) {
    if (round >= lowest) return
    m.knownCoins.delete(round)
  }
}
