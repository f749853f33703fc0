import type { Header } from './block.ts'
import { publicCoin } from './coin.ts'
import { learnCoin } from './coin-asking.ts'
import { memberCount } from './committee.ts'
import type { CoinState, MemberState } from './member-state.ts'

export function collectShare(m: MemberState, { round, author, coinShare }: Header): void {
  const coinRound = round - (m.config.params.waveLength - 1)
  if (coinRound < 1 || m.rule.isRevealed(coinRound)) return
  if (m.config.coin.mode === 'public') {
    m.rule.reveal(coinRound, publicCoin(m.config.coin.seed, coinRound))
    return
  }
  if (coinShare === null) return
  let state = m.coins.get(coinRound)
  if (!state) {
    state = { shares: new Array(m.committee.size).fill(null), have: 0, bad: 0, asked: false }
    m.coins.set(coinRound, state)
  }
  if (state.have & (1 << author)) return
  state.have |= 1 << author
  state.shares[author] = coinShare
  combine(m, coinRound, state)
}

/** The threshold is all that is asked for: shares are unique, so whichever come first give the same value. */
export function combine(m: MemberState, round: number, state: CoinState): void {
  const usable = state.have & ~state.bad
  if (state.asked || memberCount(usable) < m.committee.coinThreshold) return
  const shares = []
  for (let author = 0; shares.length < m.committee.coinThreshold; author++) {
    if (usable & (1 << author)) shares.push({ author, share: state.shares[author]! })
  }
  state.asked = true
  m.effects.push({ kind: 'combine', round, shares })
}

export function coinArrived(
  m: MemberState,
  round: number,
  value: Uint8Array | null,
  badShares: readonly number[],
): void {
  const state = m.coins.get(round)
  if (!state) return
  if (value) {
    learnCoin(m, round, value)
    return
  }
  for (const author of badShares) state.bad |= 1 << author
  if (badShares.length > 0) m.effects.push({ kind: 'bad-shares', round, authors: badShares })
  state.asked = false
  if (badShares.length > 0) combine(m, round, state)
}
