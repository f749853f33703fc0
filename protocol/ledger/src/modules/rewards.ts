import type { Address } from '@cumulus/types'
import type { C } from './audit-state.ts'
import { miners } from './miners.ts'
import { BASIS_POINTS } from './rules.ts'
import { treasury } from './treasury.ts'

/**
 * Rewards of miners: part of the Audit module. A passed audit brings points, as many as the miner's power at that moment.
 * When an era is over, its pot is divided in proportion to points; a share is free at once, the rest comes free evenly
 * over `rewardLockEpochs`. Nothing is computed for anybody until the miner passes, claims or is asked about.
 */

/** Eras settled by one call: a miner that earns is settled at every audit, so that there is seldom more than one. */
const SETTLED_PER_CALL = 8
/** Vestings that one era's settlement finds over: more than one begins, so that the list does not grow without end. */
const ENDED_PER_SETTLEMENT = 2

/** @param cost of the proof's transaction, which the pot gives back */
export function earn(c: C, miner: Address, points: bigint, cost: bigint): void {
  settle(c, miner)
  if (points === 0n && cost === 0n) return
  const era = BigInt(c.block.era)
  const account = c.s.rewards.at(miner)
  const { earnedCount, settledCount } = account.get()
  const last = earnedCount > settledCount ? c.s.earned.at(miner).at(earnedCount - 1) : undefined
  if (last?.field('era').get() === era) {
    last.update({ points: last.field('points').get() + points, costs: last.field('costs').get() + cost })
  } else {
    c.s.earned.at(miner).at(earnedCount).set({ era, points, costs: cost })
    account.update({ earnedCount: earnedCount + 1 })
  }
  c.s.eraPoints.set(era, c.s.eraPoints.get(era) + points)
  c.s.eraCosts.set(era, c.s.eraCosts.get(era) + cost)
}

interface Earned {
  readonly era: bigint
  readonly points: bigint
  readonly costs: bigint
}

/**
 * What a miner gets of an era, or undefined while its pot is not known: first the costs of all proofs that passed, then the
 * rest by points.
 */
function shareOf(c: C, { era, points, costs }: Earned): { nowAmount: bigint; lockedAmount: bigint } | undefined {
  const service = c.ask(treasury)
  // An era that runs still brings points.
  if (era >= BigInt(c.block.era) || !service.isIssued(Number(era))) return undefined
  const pot = service.eraPot('miners', Number(era))
  const allCosts = c.s.eraCosts.get(era)
  if (allCosts > pot) return { nowAmount: (pot * costs) / allCosts, lockedAmount: 0n }
  const share = points === 0n ? 0n : ((pot - allCosts) * points) / c.s.eraPoints.get(era)
  const nowAmount = (share * BigInt(c.params.audit.rewardNow)) / BASIS_POINTS
  return { nowAmount: costs + nowAmount, lockedAmount: share - nowAmount }
}

/** Turns points of eras that are over into money. */
export function settle(c: C, miner: Address): void {
  const account = c.s.rewards.at(miner)
  for (let i = 0; i < SETTLED_PER_CALL; i++) {
    const { earnedCount, settledCount, freed } = account.get()
    if (settledCount === earnedCount) return
    const earned = c.s.earned.at(miner).at(settledCount)
    const values = earned.get()
    const { era } = values
    const share = shareOf(c, values)
    if (share === undefined) return
    account.update({ settledCount: settledCount + 1, freed: freed + share.nowAmount })
    earned.clear()
    endVestings(c, miner, ENDED_PER_SETTLEMENT)
    beginVesting(c, miner, share.lockedAmount, vestsFrom(c, era))
    c.emit.Rewarded(miner, era, share.nowAmount, share.lockedAmount)
  }
}

/** The first epoch behind an era: whenever a miner is settled, nobody's reward comes free later for it. */
function vestsFrom(c: C, era: bigint): bigint {
  return (era + 1n) * BigInt(c.params.epochsPerEra)
}

function beginVesting(c: C, miner: Address, amount: bigint, fromEpoch: bigint): void {
  const account = c.s.rewards.at(miner)
  const { vestingCount, vestingAmount, vestingMoment } = account.get()
  c.s.vestings.at(miner).at(vestingCount).set({ amount, fromEpoch })
  account.update({
    vestingCount: vestingCount + 1,
    vestingAmount: vestingAmount + amount,
    vestingMoment: vestingMoment + amount * fromEpoch,
  })
}

/** Moves vestings that are over to what is free. They begin in the order of their numbers and last equally long. */
function endVestings(c: C, miner: Address, most: number): void {
  const account = c.s.rewards.at(miner)
  let { vestingCount, endedCount, vestingAmount, vestingMoment, freed } = account.get()
  const before = endedCount
  for (let i = 0; i < most && endedCount < vestingCount; i++) {
    const vesting = c.s.vestings.at(miner).at(endedCount)
    const { amount, fromEpoch } = vesting.get()
    if (BigInt(c.block.epoch) < fromEpoch + BigInt(c.params.audit.rewardLockEpochs)) break
    vesting.clear()
    vestingAmount -= amount
    vestingMoment -= amount * fromEpoch
    freed += amount
    endedCount++
  }
  if (endedCount > before) account.update({ endedCount, vestingAmount, vestingMoment, freed })
}

/** What a miner has of settled eras: all vestings that are over must have been ended. */
function balanceOf(c: C, miner: Address): { free: bigint; locked: bigint } {
  const { vestingAmount, vestingMoment, freed, taken } = c.s.rewards.at(miner).get()
  const epoch = BigInt(c.block.epoch)
  const vested = (epoch * vestingAmount - vestingMoment) / BigInt(c.params.audit.rewardLockEpochs)
  return { free: freed + vested - taken, locked: vestingAmount - vested }
}

/** The same as `settle` and `balanceOf` would come to, without writing. */
export function rewardsOf(c: C, miner: Address): { claimable: bigint; locked: bigint; paid: bigint } {
  const { earnedCount, settledCount, vestingCount, endedCount, freed, taken, paid } = c.s.rewards.at(miner).get()
  const lock = BigInt(c.params.audit.rewardLockEpochs)
  const epoch = BigInt(c.block.epoch)
  let free = freed
  let amounts = 0n
  /** Of all vestings: amount · epochs still to come. */
  let rest = 0n
  const vest = (amount: bigint, fromEpoch: bigint) => {
    const left = fromEpoch + lock - epoch
    amounts += amount
    if (left > 0n) rest += amount * left
  }
  for (let i = endedCount; i < vestingCount; i++) {
    const { amount, fromEpoch } = c.s.vestings.at(miner).at(i).get()
    vest(amount, fromEpoch)
  }
  for (let i = settledCount; i < earnedCount; i++) {
    const earned = c.s.earned.at(miner).at(i).get()
    const share = shareOf(c, earned)
    if (share === undefined) break
    free += share.nowAmount
    vest(share.lockedAmount, vestsFrom(c, earned.era))
  }
  const locked = (rest + lock - 1n) / lock
  return { claimable: free + amounts - locked - taken, locked, paid }
}

/** Pays what is free: debts first, the rest to the beneficiary. */
export function claim(c: C, miner: Address): bigint {
  settle(c, miner)
  endVestings(c, miner, Number.MAX_SAFE_INTEGER)
  const { free } = balanceOf(c, miner)
  if (free === 0n) throw c.error.NothingToClaim()
  const account = c.s.rewards.at(miner)
  const { taken, paid } = account.get()
  const forDebt = c.ask(miners).payDebt(miner, free)
  const to = c.ask(miners).payeeOf(miner)
  const toTreasury = c.ask(treasury).pay('miners', treasury.address, forDebt)
  if (toTreasury > 0n) c.ask(treasury).forfeit(toTreasury)
  const amount = c.ask(treasury).pay('miners', to, free - forDebt)
  // The shares of an era never come to more than its pot, and the pot of all eras holds what is not paid yet.
  if (toTreasury + amount !== free) throw new Error(`the pot of the miners is ${free - toTreasury - amount} wei short`)
  account.update({ taken: taken + free, paid: paid + amount })
  if (amount > 0n) c.emit.RewardClaimed(miner, to, amount)
  return amount
}
