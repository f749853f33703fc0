import { hexToBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import { verifyPossession } from '@cumulus/threshold'
import type { Address } from '@cumulus/types'
import { require } from '../framework/index.ts'
import { parameters } from './parameters.ts'
import { page, requirePeerSignature, ZERO_ADDRESS, ZERO_BYTES32 } from './rules.ts'
import {
  buy,
  type C,
  candidateState,
  commissionAt,
  cut,
  definition,
  POSITIONS_MAX,
  PPM,
  payOut,
  sell,
  settle,
  side,
  stakeIn,
  stakeOf,
  takeDue,
  unlistIfEmpty,
  worth,
} from './staking-state.ts'
import { treasury } from './treasury.ts'

/** Points of a chain block for its coinbase: the member whose proposal led to it. */
const POINTS_PER_BLOCK = 20n

/** A pairing check takes 0.8 ms where an Ed25519 verification takes 0.12 (see `gasPrices.ed25519`). */
const POSSESSION_GAS = 40_000

const BLS_KEY_BYTES = 48

/** Of one era: twice the widest committee. What one pays depends on all, so all are looked at each time. */
const OFFENDERS_MAX = 64

/** Of what a slash takes, for whoever reported. */
const REPORTER_PERCENT = 10n

/**
 * Part of its stake that a provable misdeed costs each of `offenders` members in one era, of `members`, in parts per
 * million: (3k/n)², at least a tenth, at most all. One that errs alone loses little, a third that acts together all.
 *
 * Source: R²S design, section 4.5
 */
export function slashFraction(offenders: number, members: number): number {
  const squared = Math.floor((9 * offenders * offenders * PPM) / (members * members))
  return Math.max(PPM / 10, Math.min(PPM, squared))
}

function keyHash(blsKey: `0x${string}`): `0x${string}` {
  return `0x${keccak256(hexToBytes(blsKey)).toHex()}`
}

function requireKnown(c: C, candidate: Address): void {
  require(c.s.candidates.at(candidate).field('state').get() !== candidateState.none, 'no such candidate')
}

function chill(c: C, account: Address): void {
  const candidate = c.s.candidates.at(account)
  const { state, index } = candidate.get()
  if (state !== candidateState.standing) return
  const last = c.s.standing.get(c.s.standing.length() - 1)
  c.s.standing.set(index, last)
  c.s.candidates.at(last).update({ index })
  c.s.standing.pop()
  candidate.update({ state: candidateState.known, index: 0 })
  c.emit.Chilled(account)
}

function bond(c: C, candidate: Address, amount: bigint): void {
  requireKnown(c, candidate)
  buy(c, c.caller, candidate, amount)
  const stake = stakeOf(c, c.caller, candidate)
  const minBond = c.ask(parameters).get('staking.minBond')
  if (stake < minBond) throw c.error.StakeTooLow(minBond, stake)
  c.emit.Bonded(c.caller, candidate, amount)
}

function candidateOf(c: C, account: Address) {
  const { peerKey, blsKey, keysSinceEra, state, jailedUntilEra, paidCount } = c.s.candidates.at(account).get()
  return {
    account: state === candidateState.none ? ZERO_ADDRESS : account,
    peerKey,
    blsKey: `0x${blsKey.toHex()}` as const,
    keysSinceEra,
    state,
    commissionPermille: Number(commissionAt(c, account, BigInt(c.block.era))),
    jailedUntilEra,
    ownStake: stakeIn(c, account, side.own),
    backing: stakeIn(c, account, side.backers),
    unpaidEras: c.s.earned.at(account).length() - paidCount,
  }
}

function addPoints(c: C, member: Address, points: bigint): void {
  if (member === ZERO_ADDRESS || points === 0n) return
  const era = BigInt(c.block.era)
  const before = c.s.pointsOf.at(era).get(member)
  if (before === 0n) c.s.earned.at(member).push(c.block.era)
  c.s.pointsOf.at(era).set(member, before + points)
  c.s.eraPoints.set(era, c.s.eraPoints.get(era) + points)
}

/**
 * Slashes for a misdeed in `era`, proven by whoever asks. Each further offender of an era raises what all of them pay.
 * A second misdeed in the same era changes nothing: the first has been paid for.
 */
function punish(
  c: C,
  { offender, era, members, reporter }: { offender: Address; era: number; members: number; reporter: Address },
): bigint {
  const slashedPpm = c.s.slashedPpm.at(BigInt(era))
  if (slashedPpm.get(offender) > 0) return 0n
  const offenders = c.s.offenders.at(BigInt(era))
  require(offenders.length() < OFFENDERS_MAX, 'too many offenders in one era')
  offenders.push(offender)
  const ppm = slashFraction(offenders.length(), members)
  let total = 0n
  for (let i = 0; i < offenders.length(); i++) {
    const account = offenders.get(i)
    const before = slashedPpm.get(account)
    if (before >= ppm) continue
    // Of what is left after `before`, so that both together come to `ppm`.
    const amount = cut(c, account, Math.floor(((ppm - before) * PPM) / (PPM - before)), era)
    slashedPpm.set(account, ppm)
    c.emit.Slashed(account, BigInt(era), ppm, amount)
    total += amount
  }
  const untilEra = BigInt(c.block.era) + c.ask(parameters).get('staking.jailEras')
  c.s.candidates.at(offender).update({ jailedUntilEra: untilEra })
  chill(c, offender)
  c.emit.Jailed(offender, untilEra)

  const toReporter = reporter === ZERO_ADDRESS ? 0n : (total * REPORTER_PERCENT) / 100n
  c.transfer(reporter, toReporter)
  c.transfer(treasury.address, total - toReporter)
  c.ask(treasury).forfeit(total - toReporter)
  return total
}

/**
 * Who may be elected, with what at stake. Stake lies in pools: a holder has shares of a candidate's pool, so that
 * rewards and slashes take one step whatever the number of holders.
 */
export const staking = definition
  .onBlock((c, { coinbase }) => addPoints(c, coinbase, POINTS_PER_BLOCK))
  .fn(
    'function setKeys(bytes32 peerKey, bytes blsKey, bytes blsProof, bytes peerSignature)',
    POSSESSION_GAS,
    (c, peerKey, blsKey, blsProof, peerSignature) => {
      const key = hexToBytes(blsKey)
      require(key.length === BLS_KEY_BYTES, `a BLS key has ${BLS_KEY_BYTES} bytes`)
      const candidate = c.s.candidates.at(c.caller)
      const before = candidate.get()
      const [byPeer, byBls] = [c.s.byPeerKey.get(peerKey), c.s.byBlsKey.get(keyHash(blsKey))]
      require(byPeer === ZERO_ADDRESS || byPeer === c.caller, 'peer key belongs to another candidate')
      require(byBls === ZERO_ADDRESS || byBls === c.caller, 'BLS key belongs to another candidate')
      requirePeerSignature(c, { account: c.caller, peerKey, signature: peerSignature })
      require(verifyPossession(hexToBytes(blsProof), key), 'BLS proof does not show that the secret is known')
      if (before.peerKey !== ZERO_BYTES32) {
        c.s.byPeerKey.set(before.peerKey, ZERO_ADDRESS)
        c.s.byBlsKey.set(keyHash(`0x${before.blsKey.toHex()}`), ZERO_ADDRESS)
      }
      c.s.byPeerKey.set(peerKey, c.caller)
      c.s.byBlsKey.set(keyHash(blsKey), c.caller)
      const state = before.state === candidateState.none ? candidateState.known : before.state
      candidate.update({ peerKey, blsKey: key, keysSinceEra: BigInt(c.block.era), state })
      c.emit.KeysSet(c.caller, peerKey, blsKey)
    },
  )
  .fn('function bond(address candidate) payable', 0, (c, candidate) => bond(c, candidate, c.value))
  .fn('function nominate(address[] candidates) payable', 0, (c, candidates) => {
    require(candidates.length > 0 && candidates.length < POSITIONS_MAX, `1 to ${POSITIONS_MAX - 1} candidates`)
    require(new Set(candidates).size === candidates.length, 'a candidate is named twice')
    const each = c.value / BigInt(candidates.length)
    candidates.forEach((candidate, i) => {
      bond(c, candidate, i === 0 ? c.value - each * BigInt(candidates.length - 1) : each)
    })
  })
  .fn('function unbond(address candidate, uint256 amount)', 0, (c, candidate, amount) => {
    settle(c, c.caller, candidate)
    const stake = stakeOf(c, c.caller, candidate)
    require(amount <= stake && (amount > 0n || stake === 0n), 'there is not so much')
    const minBond = c.ask(parameters).get('staking.minBond')
    if (amount < stake && stake - amount < minBond) throw c.error.StakeTooLow(minBond, stake - amount)
    if (candidate === c.caller && c.s.candidates.at(c.caller).field('state').get() === candidateState.standing) {
      const needed = c.ask(parameters).get('staking.minSelfStake')
      if (stake - amount < needed) throw c.error.StakeTooLow(needed, stake - amount)
    }
    const withdrawableEra = sell(c, c.caller, candidate, amount)
    unlistIfEmpty(c, c.caller, candidate)
    c.emit.Unbonded(c.caller, candidate, amount, withdrawableEra)
  })
  .fn('function withdraw() returns (uint256 amount)', 0, (c) => {
    const amount = takeDue(c, c.caller)
    c.transfer(c.caller, amount)
    c.emit.Withdrawn(c.caller, amount)
    return amount
  })
  .fn('function validate(uint16 commissionPermille)', 0, (c, commissionPermille) => {
    requireKnown(c, c.caller)
    require(commissionPermille <= 1000, 'commission is over 1000 permille')
    const candidate = c.s.candidates.at(c.caller)
    const { state, jailedUntilEra } = candidate.get()
    require(BigInt(c.block.era) >= jailedUntilEra, 'in jail')
    const stake = stakeOf(c, c.caller, c.caller)
    const needed = c.ask(parameters).get('staking.minSelfStake')
    if (stake < needed) throw c.error.StakeTooLow(needed, stake)
    candidate.update({
      commission: Number(commissionAt(c, c.caller, BigInt(c.block.era))),
      nextCommission: commissionPermille,
      nextCommissionEra: BigInt(c.block.era + 1),
    })
    if (state !== candidateState.standing) {
      candidate.update({ state: candidateState.standing, index: c.s.standing.length() })
      c.s.standing.push(c.caller)
    }
    c.emit.Standing(c.caller, commissionPermille)
  })
  .fn('function chill()', 0, (c) => {
    require(c.s.candidates.at(c.caller).field('state').get() === candidateState.standing, 'not standing')
    chill(c, c.caller)
  })
  .fn('function payout(address candidate) returns (bool done)', 0, (c, candidate) => payOut(c, candidate))
  .fn('function claim(address candidate, address to) returns (uint256 amount)', 0, (c, candidate, to) => {
    require(to !== ZERO_ADDRESS, 'to is zero')
    settle(c, c.caller, candidate)
    const reward = c.s.positions.at(c.caller).at(candidate).field('reward')
    const amount = reward.get()
    require(amount > 0n, 'nothing to claim')
    reward.set(0n)
    c.s.rewards.set(c.s.rewards.get() - amount)
    unlistIfEmpty(c, c.caller, candidate)
    c.transfer(to, amount)
    c.emit.Claimed(c.caller, candidate, to, amount)
    return amount
  })
  .view('function candidateOf(address account) view returns (Candidate)', (c, account) => candidateOf(c, account))
  .view('function candidateByPeerKey(bytes32 peerKey) view returns (Candidate)', (c, peerKey) =>
    candidateOf(c, c.s.byPeerKey.get(peerKey)),
  )
  .view('function candidateCount() view returns (uint256)', (c) => BigInt(c.s.standing.length()))
  .view('function candidates(uint256 offset, uint256 limit) view returns (Candidate[])', (c, offset, limit) =>
    page(offset, limit, c.s.standing.length()).map((i) => candidateOf(c, c.s.standing.get(i))),
  )
  .view('function stakeOf(address holder, address candidate) view returns (uint256)', (c, holder, candidate) =>
    stakeOf(c, holder, candidate),
  )
  /** Rewards as far as eras are paid out. */
  .view('function positionsOf(address holder) view returns (Position[])', (c, holder) => {
    const backed = c.s.backed.at(holder)
    return Array.from({ length: backed.length() }, (_, i) => {
      const candidate = backed.get(i)
      const { reward } = c.s.positions.at(holder).at(candidate).get()
      return { candidate, stake: stakeOf(c, holder, candidate), reward }
    })
  })
  .view('function unbondingOf(address holder) view returns (Unbonding[])', (c, holder) =>
    Array.from({ length: c.s.chunkCount.get(holder) }, (_, i) => {
      const { candidate, withdrawableEra, shares } = c.s.chunks.at(holder).at(i).get()
      const of = holder === candidate ? side.own : side.backers
      const leaving = c.s.leaving.at(candidate).at(of).at(withdrawableEra).get()
      return { candidate, amount: worth(shares, { tokens: leaving.tokens, all: leaving.shares }), withdrawableEra }
    }),
  )
  .view('function totals() view returns (uint256 staked, uint256 unbonding, uint256 rewards)', (c) => {
    return [c.s.staked.get(), c.s.unbonding.get(), c.s.rewards.get()] as const
  })
  .view(
    'function pointsOf(uint64 era, address member) view returns (uint64 points, uint64 total)',
    (c, era, member) => [c.s.pointsOf.at(era).get(member), c.s.eraPoints.get(era)] as const,
  )
  .view('function slashedPpmOf(uint64 era, address candidate) view returns (uint32)', (c, era, candidate) =>
    c.s.slashedPpm.at(era).get(candidate),
  )
  /** Credits work of the running era towards its rewards. */
  .service('addPoints', (c, member: Address, points: bigint) => addPoints(c, member, points))
  .service('slash', (c, misdeed: Parameters<typeof punish>[1]) => punish(c, misdeed))
  .service('candidateCount', (c) => c.s.standing.length())
  .service('candidateAt', (c, index: number) => candidateOf(c, c.s.standing.get(index)))
  .service('candidateOf', (c, account: Address) => candidateOf(c, account))
