import type { MinerCandidate } from '@cumulus/storage'
import type { Address } from '@cumulus/types'
import {
  address,
  array,
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
import { page, requirePeerSignature, requireShort, ZERO_ADDRESS } from './rules.ts'

/** What a miner may do. `none`: no such miner. Frozen, offline and dead come with audits and penalties. */
export const minerState = { none: 0, active: 1, frozen: 2, exiting: 3, offline: 4, dead: 5 } as const

const ADDRESSES_BYTES_MAX = 1024
const REGION_BYTES_MAX = 64

/** Miners looked at for one draw: at 4,242 gas each, the widest draw takes a tenth of a chain block. */
export const DRAW_WINDOW_COUNT = 1_000

const definition = module({
  name: 'Miners',
  address: '0x0000000000000000000000000000000000000c03',
  about: 'Who stores: accounts, peer keys, stake, and every unit of declared space.',
  structs: [
    'struct Miner { address account; bytes32 peerKey; address beneficiary; string addresses; string region; uint8 state; uint32 declaredUnits; uint32 idleUnits; uint32 lockedUnits; uint32 serviceUnits; uint256 stake; uint64 registeredAtBlock; }',
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
        peerKey: bytes32,
        stake: u256,
        addresses: text,
        region: text,
      }),
    ),
  },
  events: {
    MinerRegistered: 'event MinerRegistered(address indexed account, bytes32 indexed peerKey, uint32 declaredUnits)',
    MinerUpdated: 'event MinerUpdated(address indexed account)',
    MinerStateChanged: 'event MinerStateChanged(address indexed account, uint8 state)',
  },
  errors: {
    StakeTooLow: 'error StakeTooLow(uint256 neededStake, uint256 stake)',
    UnitsInUse: 'error UnitsInUse(uint32 lockedUnits, uint32 serviceUnits)',
  },
})

type C = ContextOf<typeof definition>

function registered(c: C) {
  const miner = c.s.miners.at(c.caller)
  require(miner.field('state').get() !== minerState.none, 'not a miner')
  return miner
}

function requireStake(c: C, stake: bigint, declaredUnits: number): void {
  const needed = BigInt(declaredUnits) * c.params.stakePerUnit
  if (stake < needed) throw c.error.StakeTooLow(needed, stake)
}

function minerOf(c: C, account: Address) {
  const { index: _, ...miner } = c.s.miners.at(account).get()
  return { account: miner.state === minerState.none ? ZERO_ADDRESS : account, ...miner }
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
        peerKey,
        stake: c.value,
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
    const { state, lockedUnits, serviceUnits, stake } = miner.get()
    require(state === minerState.active, 'miner is not active')
    require(declaredUnits > 0, 'no units declared')
    if (declaredUnits < lockedUnits + serviceUnits) throw c.error.UnitsInUse(lockedUnits, serviceUnits)
    requireStake(c, stake + c.value, declaredUnits)
    miner.update({ declaredUnits, idleUnits: declaredUnits - lockedUnits - serviceUnits, stake: stake + c.value })
    c.emit.MinerUpdated(c.caller)
  })
  .fn('function topUp() payable', 0, (c) => {
    const stake = registered(c).field('stake')
    stake.set(stake.get() + c.value)
    c.emit.MinerUpdated(c.caller)
  })
  .fn('function exit()', 0, (c) => {
    const miner = registered(c)
    const { state, lockedUnits, serviceUnits } = miner.get()
    if (lockedUnits + serviceUnits === 0) {
      leave(c, c.caller)
      return
    }
    // Drawn for nothing new from now on; another exit() leaves for good once the last unit is free.
    if (state === minerState.exiting) throw c.error.UnitsInUse(lockedUnits, serviceUnits)
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
    return miner.field('state').get() === minerState.active && miner.field('idleUnits').get() >= units
  })
  /**
   * Active miners with at least `units` idle, as a draw wants them. Of more than `DRAW_WINDOW_COUNT` miners, those in a
   * window of the list that starts where `seed` says, and goes on from the list's start at its end.
   */
  .service('candidates', (c, units: number, seed: bigint): MinerCandidate<Address>[] => {
    const count = c.s.accounts.length()
    if (count === 0) return []
    const first = count <= DRAW_WINDOW_COUNT ? 0 : Number(seed % BigInt(count))
    const candidates: MinerCandidate<Address>[] = []
    for (let i = 0; i < Math.min(count, DRAW_WINDOW_COUNT); i++) {
      const id = c.s.accounts.get((first + i) % count)
      const miner = c.s.miners.at(id)
      if (miner.field('state').get() !== minerState.active) continue
      const idleUnits = miner.field('idleUnits').get()
      if (idleUnits < units) continue
      candidates.push({ id, operator: miner.field('beneficiary').get(), idleUnits })
    }
    return candidates
  })
  .service('lock', (c, account: Address, units: number) => move(c, account, { idle: -units, locked: units }))
  .service('unlock', (c, account: Address, units: number) => move(c, account, { idle: units, locked: -units }))
  .service('serve', (c, account: Address, units: number) => move(c, account, { locked: -units, service: units }))
  .service('free', (c, account: Address, units: number) => move(c, account, { idle: units, service: -units }))
