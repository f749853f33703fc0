import type { Header } from './block.ts'
import { publicCoin } from './coin.ts'
import { learnCoin } from './coin-asking.ts'
import { memberCount, membersIn } from './committee.ts'
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

/**
 * The threshold is all that is asked for: shares are unique, so whichever come first give the same value. A share of somebody who signed a
 * bad one before, and so costs a second sum, is taken when nothing better will come.
 *
 * @param isOverdue nothing has come for long
 */
export function combine(m: MemberState, round: number, state: CoinState, isOverdue = false): void {
  if (state.asked) return
  const { coinThreshold } = m.committee
  const usable = state.have & ~state.bad
  const trusted = usable & ~m.badSharers
  const isAllThere = (holdersOf(m) & ~m.badSharers & ~state.have) === 0
  if (memberCount(trusted) < coinThreshold && !isOverdue && !isAllThere) return
  if (memberCount(usable) < coinThreshold) return
  const authors = [...membersIn(trusted), ...membersIn(usable & m.badSharers)].slice(0, coinThreshold)
  state.asked = true
  m.effects.push({
    kind: 'combine',
    round,
    shares: authors.map((author) => ({ author, share: state.shares[author]! })),
  })
}

function holdersOf({ config: { coin } }: MemberState): number {
  return coin.mode === 'threshold' ? coin.holders : 0
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
  for (const author of badShares) {
    state.bad |= 1 << author
    m.badSharers |= 1 << author
  }
  if (badShares.length > 0) m.effects.push({ kind: 'bad-shares', round, authors: badShares })
  state.asked = false
  if (badShares.length > 0) combine(m, round, state)
}
