import type { AuditRules, Params } from '@cumulus/params'
import type { MinerCandidate } from '@cumulus/storage'
import type { Address } from '@cumulus/types'
import {
  address,
  array,
  bool,
  bytes32,
  type ContextOf,
  dict,
  module,
  require,
  struct,
  text,
  u8,
  u32,
  u64,
  u256,
} from '../framework/index.ts'
import { BASIS_POINTS, page, requirePeerSignature, requireShort, ZERO_ADDRESS } from './rules.ts'
import { treasury } from './treasury.ts'

/**
 * What a miner may do. `none`: no such miner. `frozen`: its stake is below the limit or it has debts; it gets no stripes
 * and no rewards until it tops up. `offline`: it has not answered lately; it joins no new group as long as there are
 * others. `dead`: put out; its seats are vacant, and its stake is kept until nothing of its space is in use.
 */
export const minerState = { none: 0, active: 1, frozen: 2, exiting: 3, offline: 4, dead: 5 } as const

/** Why a miner is not active. */
export const minerCause = { none: 0, stakeBelowLimit: 1, debt: 2, unanswered: 3, ownWish: 4, putOut: 5 } as const

const ADDRESSES_BYTES_MAX = 1024
const REGION_BYTES_MAX = 64

/** Miners looked at for one draw: at 4,242 gas each, the widest draw takes a tenth of a chain block. */
export const DRAW_WINDOW_COUNT = 1_000

const definition = module({
  name: 'Miners',
  address: '0x0000000000000000000000000000000000000c03',
  about: 'Who stores: accounts, peer keys, stake, and every unit of declared space.',
  structs: [
    'struct Miner { address account; bytes32 peerKey; address beneficiary; string addresses; string region; uint8 state; uint32 declaredUnits; uint32 idleUnits; uint32 lockedUnits; uint32 serviceUnits; uint256 stake; uint64 registeredAtBlock; uint32 taggedUnits; uint8 cause; uint256 collateralLimit; uint256 debt; }',
  ],
  storage: {
    accounts: array(address),
    byPeerKey: dict(bytes32, address),
    miners: dict(
      address,
      struct({
        // Slot 0 is all that a draw reads and all that a reservation writes.
        beneficiary: address,
        state: u8,
        idleUnits: u32,
        lockedUnits: u32,
        // Slot 1
        declaredUnits: u32,
        serviceUnits: u32,
        registeredAtBlock: u64,
        index: u32,
        /** Units in service whose tags the miner has confirmed: what it is audited and paid for. */
        taggedUnits: u32,
        isOffline: bool,
        peerKey: bytes32,
        stake: u256,
        /** Penalties that the stake did not cover. The stake is 0 while there are any. */
        debt: u256,
        addresses: text,
        region: text,
      }),
    ),
  },
  events: {
    MinerRegistered: 'event MinerRegistered(address indexed account, bytes32 indexed peerKey, uint32 declaredUnits)',
    MinerUpdated: 'event MinerUpdated(address indexed account)',
    MinerStateChanged: 'event MinerStateChanged(address indexed account, uint8 state)',
    DebtPaid: 'event DebtPaid(address indexed account, uint256 amount, uint256 debt)',
  },
  errors: {
    StakeTooLow: 'error StakeTooLow(uint256 neededStake, uint256 stake)',
    UnitsInUse: 'error UnitsInUse(uint32 lockedUnits, uint32 serviceUnits)',
    InDebt: 'error InDebt(uint256 debt)',
  },
})

type C = ContextOf<typeof definition>

function registered(c: C) {
  const miner = c.s.miners.at(c.caller)
  require(miner.field('state').get() !== minerState.none, 'not a miner')
  return miner
}

/** Stake that a miner must have for what it declares: penalties are shares of it. */
export function collateralLimit(params: Params, declaredUnits: number): bigint {
  return BigInt(declaredUnits) * params.stakePerUnit
}

/**
 * What a miner is paid by, in hundredths of a percent of a unit: service units whose data it proves, and idle units whose
 * space it proves. Nothing proves idle space yet, so the latter are 0 everywhere.
 */
export function powerOf({ servicePower, idlePower }: AuditRules, taggedUnits: number, provenIdleUnits = 0): bigint {
  return BigInt(servicePower) * BigInt(taggedUnits) + BigInt(idlePower) * BigInt(provenIdleUnits)
}

function requireStake(c: C, stake: bigint, declaredUnits: number): void {
  const needed = collateralLimit(c.params, declaredUnits)
  if (stake < needed) throw c.error.StakeTooLow(needed, stake)
}

function minerOf(c: C, account: Address) {
  const { index: _i, isOffline: _o, ...miner } = c.s.miners.at(account).get()
  const isKnown = miner.state !== minerState.none
  return {
    account: isKnown ? account : ZERO_ADDRESS,
    ...miner,
    cause: causeOf(miner),
    collateralLimit: collateralLimit(c.params, miner.declaredUnits),
  }
}

function causeOf({ state, debt }: { state: number; debt: bigint }): number {
  if (state === minerState.frozen) return debt > 0n ? minerCause.debt : minerCause.stakeBelowLimit
  if (state === minerState.offline) return minerCause.unanswered
  if (state === minerState.exiting) return minerCause.ownWish
  return state === minerState.dead ? minerCause.putOut : minerCause.none
}

function isLeaving(state: number): boolean {
  return state === minerState.exiting || state === minerState.dead
}

/** Brings the state of a miner that stays in line with its stake, its debts and its answers. */
function refresh(c: C, account: Address): void {
  const miner = c.s.miners.at(account)
  const { state, stake, debt, declaredUnits, isOffline } = miner.get()
  if (state === minerState.none || isLeaving(state)) return
  const isFrozen = debt > 0n || stake < collateralLimit(c.params, declaredUnits)
  const next = isFrozen ? minerState.frozen : isOffline ? minerState.offline : minerState.active
  if (next === state) return
  miner.update({ state: next })
  c.emit.MinerStateChanged(account, next)
}

/** Gives up tokens of this module for good. */
function forfeit(c: C, amount: bigint): void {
  c.transfer(treasury.address, amount)
  c.ask(treasury).forfeit(amount)
}

/** Takes a share of the collateral limit: from the stake, and what that does not hold as a debt of at most the limit. */
function penalise(c: C, account: Address, basisPoints: number): bigint {
  const miner = c.s.miners.at(account)
  const { stake, debt, declaredUnits } = miner.get()
  const limit = collateralLimit(c.params, declaredUnits)
  const amount = (limit * BigInt(basisPoints)) / BASIS_POINTS
  const taken = amount < stake ? amount : stake
  const owed = debt + amount - taken
  miner.update({ stake: stake - taken, debt: owed < limit ? owed : limit })
  forfeit(c, taken)
  refresh(c, account)
  return amount
}

/** Pays debts with up to `amount` and says how much it took. */
function payDebt(c: C, account: Address, amount: bigint): bigint {
  const field = c.s.miners.at(account).field('debt')
  const debt = field.get()
  const paid = amount < debt ? amount : debt
  if (paid === 0n) return 0n
  field.set(debt - paid)
  c.emit.DebtPaid(account, paid, debt - paid)
  return paid
}

/** Forgets a miner without units in use and pays its stake back. The last of the list takes its place. */
function leave(c: C, account: Address): void {
  const miner = c.s.miners.at(account)
  const { index, peerKey, stake } = miner.get()
  const lastIndex = c.s.accounts.length() - 1
  const last = c.s.accounts.get(lastIndex)
  c.s.accounts.set(index, last)
  c.s.miners.at(last).update({ index })
  c.s.accounts.pop()
  c.s.byPeerKey.set(peerKey, ZERO_ADDRESS)
  miner.clear()
  c.transfer(account, stake)
  c.emit.MinerStateChanged(account, minerState.none)
}

/** Moves units of a miner between idle, locked and service. Whoever asks for units that are not there is wrong. */
function move(c: C, account: Address, { idle = 0, locked = 0, service = 0 }): void {
  if (idle + locked + service !== 0) throw new Error('units are moved, not made')
  const miner = c.s.miners.at(account)
  const idleUnits = miner.field('idleUnits').get() + idle
  const lockedUnits = miner.field('lockedUnits').get() + locked
  if (idleUnits < 0 || lockedUnits < 0) throw new Error(`miner ${account} has no such units`)
  miner.update({ idleUnits, lockedUnits })
  if (service === 0) return
  const serviceUnits = miner.field('serviceUnits').get() + service
  if (serviceUnits < 0) throw new Error(`miner ${account} has no such units in service`)
  miner.update({ serviceUnits })
}

/** The register of miners. idle + locked + service = declared units, always. */
export const miners = definition
  .fn(
    'function register(bytes32 peerKey, string addresses, address beneficiary, uint32 declaredUnits, string region, bytes peerSignature) payable',
    0,
    (c, peerKey, addresses, beneficiary, declaredUnits, region, signature) => {
      const miner = c.s.miners.at(c.caller)
      require(miner.field('state').get() === minerState.none, 'already registered')
      require(c.s.byPeerKey.get(peerKey) === ZERO_ADDRESS, 'peer key belongs to another miner')
      requireShort('addresses', addresses, ADDRESSES_BYTES_MAX)
      requireShort('region', region, REGION_BYTES_MAX)
      require(declaredUnits > 0, 'no units declared')
      requireStake(c, c.value, declaredUnits)
      requirePeerSignature(c, { account: c.caller, peerKey, signature })
      miner.set({
        beneficiary: beneficiary === ZERO_ADDRESS ? c.caller : beneficiary,
        state: minerState.active,
        idleUnits: declaredUnits,
        lockedUnits: 0,
        declaredUnits,
        serviceUnits: 0,
        registeredAtBlock: c.block.number,
        index: c.s.accounts.length(),
        taggedUnits: 0,
        isOffline: false,
        peerKey,
        stake: c.value,
        debt: 0n,
        addresses,
        region,
      })
      c.s.accounts.push(c.caller)
      c.s.byPeerKey.set(peerKey, c.caller)
      c.emit.MinerRegistered(c.caller, peerKey, declaredUnits)
    },
  )
  .fn('function update(string addresses, string region)', 0, (c, addresses, region) => {
    requireShort('addresses', addresses, ADDRESSES_BYTES_MAX)
    requireShort('region', region, REGION_BYTES_MAX)
    registered(c).update({ addresses, region })
    c.emit.MinerUpdated(c.caller)
  })
  .fn('function setBeneficiary(address beneficiary)', 0, (c, beneficiary) => {
    require(beneficiary !== ZERO_ADDRESS, 'beneficiary is zero')
    registered(c).update({ beneficiary })
    c.emit.MinerUpdated(c.caller)
  })
  .fn('function declareUnits(uint32 declaredUnits) payable', 0, (c, declaredUnits) => {
    const miner = registered(c)
    const { state, lockedUnits, serviceUnits, stake, debt } = miner.get()
    require(!isLeaving(state), 'miner is not active: it leaves')
    if (debt > 0n) throw c.error.InDebt(debt)
    require(declaredUnits > 0, 'no units declared')
    if (declaredUnits < lockedUnits + serviceUnits) throw c.error.UnitsInUse(lockedUnits, serviceUnits)
    requireStake(c, stake + c.value, declaredUnits)
    miner.update({ declaredUnits, idleUnits: declaredUnits - lockedUnits - serviceUnits, stake: stake + c.value })
    refresh(c, c.caller)
    c.emit.MinerUpdated(c.caller)
  })
  .fn('function topUp() payable', 0, (c) => {
    const stake = registered(c).field('stake')
    const paid = payDebt(c, c.caller, c.value)
    if (paid > 0n) forfeit(c, paid)
    stake.set(stake.get() + c.value - paid)
    refresh(c, c.caller)
    c.emit.MinerUpdated(c.caller)
  })
  .fn('function exit()', 0, (c) => {
    const miner = registered(c)
    const { state, lockedUnits, serviceUnits, debt } = miner.get()
    if (lockedUnits + serviceUnits === 0) {
      if (debt > 0n) throw c.error.InDebt(debt)
      leave(c, c.caller)
      return
    }
    // Drawn for nothing new from now on; another exit() leaves for good once the last unit is free.
    if (isLeaving(state)) throw c.error.UnitsInUse(lockedUnits, serviceUnits)
    miner.update({ state: minerState.exiting })
    c.emit.MinerStateChanged(c.caller, minerState.exiting)
  })
  .view('function minerOf(address account) view returns (Miner)', (c, account) => minerOf(c, account))
  .view('function minerByPeerKey(bytes32 peerKey) view returns (Miner)', (c, peerKey) =>
    minerOf(c, c.s.byPeerKey.get(peerKey)),
  )
  .view('function minerCount() view returns (uint256)', (c) => BigInt(c.s.accounts.length()))
  .view('function miners(uint256 offset, uint256 limit) view returns (Miner[])', (c, offset, limit) =>
    page(offset, limit, c.s.accounts.length()).map((i) => minerOf(c, c.s.accounts.get(i))),
  )
  .service('peerKeyOf', (c, account: Address) => c.s.miners.at(account).field('peerKey').get())
  .service('canTake', (c, account: Address, units: number) => {
    const miner = c.s.miners.at(account)
    const state = miner.field('state').get()
    // Who does not answer for an hour keeps its seats: a group of which some are missing still takes what is written.
    if (state !== minerState.active && state !== minerState.offline) return false
    return miner.field('idleUnits').get() >= units
  })
  /**
   * Active miners with at least `units` idle, as a draw wants them. Of more than `DRAW_WINDOW_COUNT` miners, those in a
   * window of the list that starts where `seed` says, and goes on from the list's start at its end. Those that are
   * offline are among them only if the others have fewer than `seats` operators.
   */
  .service('candidates', (c, units: number, seed: bigint, seats: number): MinerCandidate<Address>[] => {
    const count = c.s.accounts.length()
    if (count === 0) return []
    const first = count <= DRAW_WINDOW_COUNT ? 0 : Number(seed % BigInt(count))
    const candidates: MinerCandidate<Address>[] = []
    const offline: MinerCandidate<Address>[] = []
    for (let i = 0; i < Math.min(count, DRAW_WINDOW_COUNT); i++) {
      const id = c.s.accounts.get((first + i) % count)
      const miner = c.s.miners.at(id)
      const state = miner.field('state').get()
      if (state !== minerState.active && state !== minerState.offline) continue
      const idleUnits = miner.field('idleUnits').get()
      if (idleUnits < units) continue
      const candidate = { id, operator: miner.field('beneficiary').get(), idleUnits }
      if (state === minerState.active) candidates.push(candidate)
      else offline.push(candidate)
    }
    const operators = new Set(candidates.map(({ operator }) => operator)).size
    return operators < seats ? [...candidates, ...offline] : candidates
  })
  .service('lock', (c, account: Address, units: number) => move(c, account, { idle: -units, locked: units }))
  .service('unlock', (c, account: Address, units: number) => move(c, account, { idle: units, locked: -units }))
  .service('serve', (c, account: Address, units: number) => move(c, account, { locked: -units, service: units }))
  .service('free', (c, account: Address, units: number) => move(c, account, { idle: units, service: -units }))
  .service('count', (c) => c.s.accounts.length())
  /** Who stands at a place of the list, if it is that long. */
  .service('accountAt', (c, index: number): Address | undefined =>
    index < c.s.accounts.length() ? c.s.accounts.get(index) : undefined,
  )
  .service('stateOf', (c, account: Address) => c.s.miners.at(account).field('state').get())
  .service('taggedUnitsOf', (c, account: Address) => c.s.miners.at(account).field('taggedUnits').get())
  /** What its rewards of this moment go by, of everything it has proven: 0 while it is frozen or put out. */
  .service('earningPowerOf', (c, account: Address) => {
    const { state, taggedUnits } = c.s.miners.at(account).get()
    const earns = state === minerState.active || state === minerState.offline || state === minerState.exiting
    return earns ? powerOf(c.params.audit, taggedUnits) : 0n
  })
  /** Adds to the units whose tags a miner has confirmed; takes away if negative. */
  .service('tag', (c, account: Address, units: number) => {
    const field = c.s.miners.at(account).field('taggedUnits')
    const taggedUnits = field.get() + units
    if (taggedUnits < 0) throw new Error(`miner ${account} has no such tagged units`)
    field.set(taggedUnits)
  })
  /** Takes a share of the collateral limit and says how much that is. */
  .service('penalise', (c, account: Address, basisPoints: number) => penalise(c, account, basisPoints))
  .service('setOffline', (c, account: Address, isOffline: boolean) => {
    const field = c.s.miners.at(account).field('isOffline')
    if (field.get() === isOffline) return
    field.set(isOffline)
    refresh(c, account)
  })
  /** Puts a miner out. Its stake stays until its units are free, which `exit` then pays back. */
  .service('putOut', (c, account: Address) => {
    c.s.miners.at(account).update({ state: minerState.dead })
    c.emit.MinerStateChanged(account, minerState.dead)
  })
  /** Pays debts with up to `amount`, which the asking module hands to the Treasury; says how much it took. */
  .service('payDebt', (c, account: Address, amount: bigint) => {
    const paid = payDebt(c, account, amount)
    if (paid > 0n) refresh(c, account)
    return paid
  })
  /** Whom rewards go to: the beneficiary, or the account itself when it is registered no more. */
  .service('payeeOf', (c, account: Address) => {
    const beneficiary = c.s.miners.at(account).field('beneficiary').get()
    return beneficiary === ZERO_ADDRESS ? account : beneficiary
  })
  .service('debtOf', (c, account: Address) => c.s.miners.at(account).field('debt').get())
