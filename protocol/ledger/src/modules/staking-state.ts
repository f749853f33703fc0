import type { Address } from '@cumulus/types'
import {
  address,
  array,
  bytes,
  bytes32,
  type ContextOf,
  cell,
  dict,
  module,
  require,
  struct,
  u8,
  u16,
  u32,
  u64,
  u256,
} from '../framework/index.ts'
import { treasury } from './treasury.ts'

/** What the Staking module keeps, and the arithmetic of its pools. The functions people call are in `staking.ts`. */

/** `known`: keys are registered. `standing`: may be elected. */
export const candidateState = { none: 0, known: 1, standing: 2 } as const

/** A candidate's own stake and that of its backers lie in two pools: a misdeed costs backers half as much. */
export const side = { own: 0, backers: 1 } as const
type Side = (typeof side)[keyof typeof side]
const sides: readonly Side[] = [side.own, side.backers]

/** Candidates one account may have stake with, itself included. */
export const POSITIONS_MAX = 16
/** Unbonding entries of one account: one for each candidate and era. */
export const CHUNKS_MAX = 64
/** Eras paid out in one call: at 30 to 45 k gas each, below 1.5 million. */
const ERAS_PER_SETTLE_MAX = 32

/** Rewards per share are kept in units of 2^-96 wei. */
const REWARD_SCALE = 2n ** 96n
export const PPM = 1_000_000

const poolFields = {
  tokens: u256,
  /** Shares that earn. */
  shares: u256,
  /** Shares bought in `pendingEra`: they earn from the era behind it on. */
  pendingShares: u256,
  rewardPerShare: u256,
  pendingEra: u64,
}

export const definition = module({
  name: 'Staking',
  address: '0x0000000000000000000000000000000000000c01',
  about: 'Stake of candidates and of those who back them, rewards by era, punishment.',
  structs: [
    'struct Candidate { address account; bytes32 peerKey; bytes blsKey; uint64 keysSinceEra; uint8 state; uint16 commissionPermille; uint64 jailedUntilEra; uint256 ownStake; uint256 backing; uint32 unpaidEras; }',
    'struct Position { address candidate; uint256 stake; uint256 reward; }',
    'struct Unbonding { address candidate; uint256 amount; uint64 withdrawableEra; }',
  ],
  storage: {
    /** Wei in pools, in pools of those who leave, and in rewards not yet claimed: together the module's balance. */
    staked: cell(u256),
    unbonding: cell(u256),
    rewards: cell(u256),
    standing: array(address),
    byPeerKey: dict(bytes32, address),
    byBlsKey: dict(bytes32, address),
    candidates: dict(
      address,
      struct({
        state: u8,
        /** Place among those standing. */
        index: u32,
        commission: u16,
        /** In force from `nextCommissionEra` on. */
        nextCommission: u16,
        nextCommissionEra: u64,
        jailedUntilEra: u64,
        keysSinceEra: u64,
        /** Of `earned`, how many are paid out. */
        paidCount: u32,
        peerKey: bytes32,
        blsKey: bytes,
      }),
    ),
    pools: dict(address, dict(u8, struct(poolFields))),
    /** By candidate and era: reward per share of its backers when the shares bought in that era began to earn. */
    rewardPerShareAt: dict(address, dict(u64, u256)),
    /** By holder and candidate. */
    positions: dict(
      address,
      dict(
        address,
        struct({
          shares: u256,
          pendingShares: u256,
          rewardPerShare: u256,
          reward: u256,
          pendingEra: u64,
          listed: u8,
        }),
      ),
    ),
    backed: dict(address, array(address)),
    /** By candidate, side and era from which it may be withdrawn. */
    leaving: dict(address, dict(u8, dict(u64, struct({ tokens: u256, shares: u256 })))),
    chunkCount: dict(address, u32),
    chunks: dict(address, dict(u32, struct({ candidate: address, withdrawableEra: u64, shares: u256 }))),
    eraPoints: dict(u64, u64),
    pointsOf: dict(u64, dict(address, u64)),
    /** Eras in which somebody earned points, in their order. */
    earned: dict(address, array(u32)),
    offenders: dict(u64, array(address)),
    slashedPpm: dict(u64, dict(address, u32)),
  },
  events: {
    KeysSet: 'event KeysSet(address indexed candidate, bytes32 indexed peerKey, bytes blsKey)',
    Standing: 'event Standing(address indexed candidate, uint16 commissionPermille)',
    Chilled: 'event Chilled(address indexed candidate)',
    Bonded: 'event Bonded(address indexed holder, address indexed candidate, uint256 amount)',
    Unbonded:
      'event Unbonded(address indexed holder, address indexed candidate, uint256 amount, uint64 withdrawableEra)',
    Withdrawn: 'event Withdrawn(address indexed holder, uint256 amount)',
    PaidOut: 'event PaidOut(address indexed candidate, uint64 indexed era, uint256 amount, uint256 commission)',
    Claimed: 'event Claimed(address indexed holder, address indexed candidate, address to, uint256 amount)',
    Slashed: 'event Slashed(address indexed candidate, uint64 indexed era, uint32 ppm, uint256 amount)',
    Jailed: 'event Jailed(address indexed candidate, uint64 untilEra)',
  },
  errors: { StakeTooLow: 'error StakeTooLow(uint256 neededStake, uint256 stake)' },
})

export type C = ContextOf<typeof definition>

export function sideOf(holder: Address, candidate: Address): Side {
  return holder === candidate ? side.own : side.backers
}

export function poolOf(c: C, candidate: Address, of: Side) {
  return c.s.pools.at(candidate).at(of)
}

/** What `shares` of a whole are worth, rounded down. */
export function worth(shares: bigint, { tokens, all }: { tokens: bigint; all: bigint }): bigint {
  return all === 0n ? 0n : (shares * tokens) / all
}

export function stakeIn(c: C, candidate: Address, of: Side): bigint {
  return poolOf(c, candidate, of).field('tokens').get()
}

/** Wei of one holder with one candidate. */
export function stakeOf(c: C, holder: Address, candidate: Address): bigint {
  const { shares, pendingShares } = c.s.positions.at(holder).at(candidate).get()
  const pool = poolOf(c, candidate, sideOf(holder, candidate)).get()
  return worth(shares + pendingShares, { tokens: pool.tokens, all: pool.shares + pool.pendingShares })
}

/** The commission of an era, in permille: a change is in force from the era after it on, so that nobody is surprised. */
export function commissionAt(c: C, candidate: Address, era: bigint): bigint {
  const { commission, nextCommission, nextCommissionEra } = c.s.candidates.at(candidate).get()
  return BigInt(era >= nextCommissionEra ? nextCommission : commission)
}

/** Lets shares bought before `era` earn from now on. All eras before theirs are paid out. */
function ripen(c: C, candidate: Address, era: bigint): void {
  for (const of of sides) {
    const pool = poolOf(c, candidate, of)
    const { shares, pendingShares, pendingEra, rewardPerShare } = pool.get()
    if (pendingShares === 0n || pendingEra >= era) continue
    if (of === side.backers) c.s.rewardPerShareAt.at(candidate).set(pendingEra, rewardPerShare)
    pool.update({ shares: shares + pendingShares, pendingShares: 0n })
  }
}

/** Gives a candidate and its backers what one era brought them. */
function payEra(c: C, candidate: Address, era: bigint): void {
  const points = c.s.pointsOf.at(era).get(candidate)
  const due = (c.ask(treasury).eraPot('validators', Number(era)) * points) / c.s.eraPoints.get(era)
  const amount = c.ask(treasury).pay('validators', definition.address, due)
  c.s.rewards.set(c.s.rewards.get() + amount)

  const [own, backers] = [poolOf(c, candidate, side.own).get(), poolOf(c, candidate, side.backers).get()]
  const earning = (pool: typeof own) =>
    worth(pool.shares, { tokens: pool.tokens, all: pool.shares + pool.pendingShares })
  const stake = earning(own) + earning(backers)
  const commission = (amount * commissionAt(c, candidate, era)) / 1000n
  // Without backers everything is the candidate's, and without any stake too.
  const toBackers = stake === 0n ? 0n : ((amount - commission) * earning(backers)) / stake
  if (toBackers > 0n) {
    const rewardPerShare = backers.rewardPerShare + (toBackers * REWARD_SCALE) / backers.shares
    poolOf(c, candidate, side.backers).update({ rewardPerShare })
  }
  const reward = c.s.positions.at(candidate).at(candidate).field('reward')
  reward.set(reward.get() + amount - toBackers)
  list(c, candidate, candidate)
  c.emit.PaidOut(candidate, era, amount, commission)
}

/** Pays out eras that are over, the oldest first, at most so many in one call. Whether none is left. */
export function payOut(c: C, candidate: Address): boolean {
  const earned = c.s.earned.at(candidate)
  const paidCount = c.s.candidates.at(candidate).field('paidCount')
  const now = BigInt(c.block.era)
  const count = earned.length()
  const first = paidCount.get()
  let next = first
  for (; next < count; next++) {
    const era = BigInt(earned.get(next))
    if (era >= now) break
    if (next - first === ERAS_PER_SETTLE_MAX || !c.ask(treasury).isIssued(Number(era))) {
      paidCount.set(next)
      return false
    }
    ripen(c, candidate, era)
    payEra(c, candidate, era)
  }
  if (next > first) paidCount.set(next)
  ripen(c, candidate, now)
  return true
}

/** Brings a candidate's pools and one position in them up to date. Before shares change, always. */
export function settle(c: C, holder: Address, candidate: Address): void {
  require(payOut(c, candidate), 'eras are unpaid: call payout, or try again in the next block')
  const position = c.s.positions.at(holder).at(candidate)
  const { shares, pendingShares, pendingEra, rewardPerShare, reward } = position.get()
  const ripe = pendingShares > 0n && pendingEra < BigInt(c.block.era)
  if (holder === candidate) {
    // The candidate's part is not divided by shares: nobody else is in that pool.
    if (ripe) position.update({ shares: shares + pendingShares, pendingShares: 0n })
    return
  }
  const now = poolOf(c, candidate, side.backers).field('rewardPerShare').get()
  let earned = shares * (now - rewardPerShare)
  if (ripe) earned += pendingShares * (now - c.s.rewardPerShareAt.at(candidate).get(pendingEra))
  position.update({
    shares: ripe ? shares + pendingShares : shares,
    pendingShares: ripe ? 0n : pendingShares,
    rewardPerShare: now,
    reward: reward + earned / REWARD_SCALE,
  })
}

/** Adds a candidate to the list of those whom an account has stake or rewards with. */
export function list(c: C, holder: Address, candidate: Address): void {
  const listed = c.s.positions.at(holder).at(candidate).field('listed')
  if (listed.get() !== 0) return
  const backed = c.s.backed.at(holder)
  const ownListed = c.s.positions.at(holder).at(holder).field('listed').get()
  // Its own place is kept free for a candidate: rewards come without asking.
  const room = POSITIONS_MAX - 1 - (backed.length() - ownListed)
  require(holder === candidate || room > 0, `stake with at most ${POSITIONS_MAX - 1} candidates besides oneself`)
  listed.set(1)
  backed.push(candidate)
}

/** Takes a position off the list once nothing is in it. */
export function unlistIfEmpty(c: C, holder: Address, candidate: Address): void {
  const position = c.s.positions.at(holder).at(candidate)
  const { shares, pendingShares, reward, listed } = position.get()
  if (listed === 0 || shares + pendingShares + reward > 0n) return
  const backed = c.s.backed.at(holder)
  const last = backed.length() - 1
  for (let i = 0; i <= last; i++) {
    if (backed.get(i) !== candidate) continue
    backed.set(i, backed.get(last))
    backed.pop()
    break
  }
  position.update({ listed: 0 })
}

/** Buys shares with tokens that are on the module's account already. */
export function buy(c: C, holder: Address, candidate: Address, amount: bigint): void {
  settle(c, holder, candidate)
  const pool = poolOf(c, candidate, sideOf(holder, candidate))
  const { tokens, shares, pendingShares } = pool.get()
  const all = shares + pendingShares
  require(all === 0n || tokens > 0n, 'all stake there was slashed: nothing can be added')
  const bought = all === 0n ? amount : (amount * all) / tokens
  require(bought > 0n, 'the amount is less than one share')
  const pendingEra = BigInt(c.block.era)
  pool.update({ tokens: tokens + amount, pendingShares: pendingShares + bought, pendingEra })
  const position = c.s.positions.at(holder).at(candidate)
  position.update({ pendingShares: position.field('pendingShares').get() + bought, pendingEra })
  list(c, holder, candidate)
  c.s.staked.set(c.s.staked.get() + amount)
}

/** Sells shares worth `amount` into the pool of those who leave, where a misdeed of the past still reaches them. */
export function sell(c: C, holder: Address, candidate: Address, amount: bigint): bigint {
  const of = sideOf(holder, candidate)
  const pool = poolOf(c, candidate, of)
  const { tokens, shares, pendingShares } = pool.get()
  const all = shares + pendingShares
  const position = c.s.positions.at(holder).at(candidate)
  const mine = position.get()
  const held = mine.shares + mine.pendingShares
  const sold = amount === worth(held, { tokens, all }) ? held : (amount * all + tokens - 1n) / tokens
  // What does not earn yet goes first.
  const fromPending = sold < mine.pendingShares ? sold : mine.pendingShares
  position.update({
    shares: mine.shares - (sold - fromPending),
    pendingShares: mine.pendingShares - fromPending,
  })
  pool.update({
    tokens: tokens - amount,
    shares: shares - (sold - fromPending),
    pendingShares: pendingShares - fromPending,
  })
  c.s.staked.set(c.s.staked.get() - amount)
  c.s.unbonding.set(c.s.unbonding.get() + amount)

  const withdrawableEra = BigInt(c.block.era + c.params.staking.unbondingEras)
  // Shares that a slash has left worthless are only forgotten.
  if (amount === 0n) return withdrawableEra
  const leaving = c.s.leaving.at(candidate).at(of).at(withdrawableEra)
  const there = leaving.get()
  require(there.shares === 0n || there.tokens > 0n, 'all that left in this era was slashed: try in the next one')
  const bought = there.shares === 0n ? amount : (amount * there.shares) / there.tokens
  leaving.set({ tokens: there.tokens + amount, shares: there.shares + bought })
  addChunk(c, holder, { candidate, withdrawableEra, shares: bought })
  return withdrawableEra
}

function addChunk(
  c: C,
  holder: Address,
  { candidate, withdrawableEra, shares }: { candidate: Address; withdrawableEra: bigint; shares: bigint },
): void {
  const count = c.s.chunkCount.get(holder)
  const chunks = c.s.chunks.at(holder)
  for (let i = 0; i < count; i++) {
    const chunk = chunks.at(i).get()
    if (chunk.candidate !== candidate || chunk.withdrawableEra !== withdrawableEra) continue
    chunks.at(i).update({ shares: chunk.shares + shares })
    return
  }
  require(count < CHUNKS_MAX, `at most ${CHUNKS_MAX} unbondings at a time: withdraw what is due`)
  chunks.at(count).set({ candidate, withdrawableEra, shares })
  c.s.chunkCount.set(holder, count + 1)
}

/** Takes out of the leaving pools what is due, and forgets it. */
export function takeDue(c: C, holder: Address): bigint {
  const chunks = c.s.chunks.at(holder)
  let count = c.s.chunkCount.get(holder)
  let due = 0n
  for (let i = count - 1; i >= 0; i--) {
    const { candidate, withdrawableEra, shares } = chunks.at(i).get()
    if (withdrawableEra > BigInt(c.block.era)) continue
    const leaving = c.s.leaving.at(candidate).at(sideOf(holder, candidate)).at(withdrawableEra)
    const there = leaving.get()
    const amount = worth(shares, { tokens: there.tokens, all: there.shares })
    leaving.set({ tokens: there.tokens - amount, shares: there.shares - shares })
    due += amount
    count--
    if (i !== count) chunks.at(i).set(chunks.at(count).get())
    chunks.at(count).clear()
  }
  c.s.chunkCount.set(holder, count)
  c.s.unbonding.set(c.s.unbonding.get() - due)
  return due
}

/** Cuts everything that stood behind a candidate in `era`, and answers how much that was. */
export function cut(c: C, candidate: Address, ppm: number, era: number): bigint {
  const part = (tokens: bigint, of: Side) =>
    (tokens * BigInt(of === side.own ? ppm : Math.floor(ppm / 2))) / BigInt(PPM)
  const { unbondingEras } = c.params.staking
  // Whoever had left before that era was not behind it; what is due by now is free.
  const first = Math.max(era + unbondingEras, c.block.era + 1)
  let [fromStaked, fromLeaving] = [0n, 0n]
  for (const of of sides) {
    const tokens = poolOf(c, candidate, of).field('tokens')
    const lost = part(tokens.get(), of)
    if (lost > 0n) tokens.set(tokens.get() - lost)
    fromStaked += lost
    for (let due = first; due <= c.block.era + unbondingEras; due++) {
      const leaving = c.s.leaving.at(candidate).at(of).at(BigInt(due)).field('tokens')
      const lost = part(leaving.get(), of)
      if (lost > 0n) leaving.set(leaving.get() - lost)
      fromLeaving += lost
    }
  }
  c.s.staked.set(c.s.staked.get() - fromStaked)
  c.s.unbonding.set(c.s.unbonding.get() - fromLeaving)
  return fromStaked + fromLeaving
}
