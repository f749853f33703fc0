import type { Address } from '@cumulus/types'
import { type ContextOf, cell, dict, module, require, struct, u8, u64, u256 } from '../framework/index.ts'
import { divide, eraIssuance } from './issuance.ts'
import { parameters } from './parameters.ts'
import { requireGovernance, ZERO_ADDRESS } from './rules.ts'

/** What the Treasury keeps apart, by its number on chain. */
export const potKind = { validators: 0, miners: 1, community: 2 } as const

export type PotKind = keyof typeof potKind

const kinds = Object.keys(potKind) as PotKind[]

const definition = module({
  name: 'Treasury',
  address: '0x0000000000000000000000000000000000000c0a',
  about: 'Issues tokens by a fixed schedule, divides them and the rent of territories, and keeps count of all tokens.',
  structs: [
    'struct Supply { uint256 cap; uint256 genesis; uint256 issued; uint256 burnt; uint256 current; }',
    'struct Pot { uint256 held; uint256 received; uint256 paid; }',
  ],
  storage: {
    /** Rent of territories so far, and how much of it has been divided. */
    received: cell(u256),
    divided: cell(u256),
    genesisSupply: cell(u256),
    issued: cell(u256),
    burntRent: cell(u256),
    burntFees: cell(u256),
    issuedOf: dict(u64, u256),
    /** Eras before this one are issued. */
    nextEra: cell(u64),
    pots: dict(u8, struct({ held: u256, paid: u256 })),
    /** By kind and era: what the era brought. */
    eraPots: dict(u8, dict(u64, u256)),
  },
  events: {
    EraIssued:
      'event EraIssued(uint64 indexed era, uint256 amount, uint256 toValidators, uint256 toMiners, uint256 toCommunity)',
    RentDivided: 'event RentDivided(uint64 indexed era, uint256 toMiners, uint256 toCommunity, uint256 burnt)',
    Paid: 'event Paid(uint8 indexed pot, address indexed to, uint256 amount)',
  },
  issues: true,
})

type C = ContextOf<typeof definition>

function put(c: C, kind: PotKind, era: bigint, amount: bigint): void {
  if (amount === 0n) return
  const held = c.s.pots.at(potKind[kind]).field('held')
  held.set(held.get() + amount)
  const ofEra = c.s.eraPots.at(potKind[kind]).at(era)
  ofEra.set(ofEra.get() + amount)
}

/** Issues what the schedule gives for an era, never beyond the cap, and divides it. */
function issueEra(c: C, era: number): void {
  const weightOf = c.ask(parameters).get
  const { supplyCap } = c.params.economy
  const room = supplyCap - c.s.genesisSupply.get() - c.s.issued.get()
  const scheduled = eraIssuance(c.params.economy, era)
  const weights = kinds.map((kind) => weightOf(`treasury.issuance.${kind}`))
  const parts = divide(scheduled < room ? scheduled : room, weights)
  const [validators, miners, community] = parts as [bigint, bigint, bigint]
  const amount = validators + miners + community
  if (amount === 0n) return
  c.issue(amount)
  c.s.issued.set(c.s.issued.get() + amount)
  c.s.issuedOf.set(BigInt(era), amount)
  for (const [i, kind] of kinds.entries()) put(c, kind, BigInt(era), parts[i]!)
  c.emit.EraIssued(BigInt(era), amount, validators, miners, community)
}

/** Divides the rent that has come in since the last time. */
function divideRent(c: C, era: number): void {
  const weightOf = c.ask(parameters).get
  const received = c.s.received.get()
  const amount = received - c.s.divided.get()
  if (amount === 0n) return
  const weights = (['miners', 'community', 'burn'] as const).map((to) => weightOf(`treasury.rent.${to}`))
  // All weights zero: it stays where it is until there is one.
  if (weights.every((weight) => weight === 0n)) return
  const [miners, community, burnt] = divide(amount, weights) as [bigint, bigint, bigint]
  c.s.divided.set(received)
  put(c, 'miners', BigInt(era), miners)
  put(c, 'community', BigInt(era), community)
  if (burnt > 0n) {
    c.burn(burnt)
    c.s.burntRent.set(c.s.burntRent.get() + burnt)
  }
  c.emit.RentDivided(BigInt(era), miners, community, burnt)
}

/** Pays out of a pot as much as it holds, up to `amount`. */
function pay(c: C, kind: PotKind, to: Address, amount: bigint): bigint {
  if (amount < 0n) throw new RangeError(`an amount of ${amount} wei`)
  const pot = c.s.pots.at(potKind[kind])
  const { held, paid } = pot.get()
  const actual = amount < held ? amount : held
  if (actual === 0n) return 0n
  pot.update({ held: held - actual, paid: paid + actual })
  c.transfer(to, actual)
  c.emit.Paid(potKind[kind], to, actual)
  return actual
}

function potOf(c: C, kind: number) {
  require(kind < kinds.length, 'no such pot')
  const { held, paid } = c.s.pots.at(kind).get()
  return { held, received: held + paid, paid }
}

/**
 * The only maker of tokens after genesis. What the pots hold and the rent not yet divided are never more than the
 * module's balance; genesis + issued − burnt is what all accounts hold together.
 */
export const treasury = definition
  .genesis((c, { supply }) => {
    const { supplyCap } = c.params.economy
    if (supply > supplyCap) throw new RangeError(`genesis gives out ${supply} wei, more than the cap of ${supplyCap}`)
    c.s.genesisSupply.set(supply)
  })
  .onEra((c, era) => {
    issueEra(c, era)
    divideRent(c, era)
    c.s.nextEra.set(BigInt(era + 1))
  })
  .onBlock((c, { burnt }) => {
    if (burnt > 0n) c.s.burntFees.set(c.s.burntFees.get() + burnt)
  })
  .fn('function spend(address to, uint256 amount)', 0, (c, to, amount) => {
    requireGovernance(c)
    require(to !== ZERO_ADDRESS, 'to is zero')
    require(amount <= c.s.pots.at(potKind.community).field('held').get(), 'the community has not so much')
    pay(c, 'community', to, amount)
  })
  .view('function received() view returns (uint256)', (c) => c.s.received.get())
  .view('function supply() view returns (Supply)', (c) => {
    const [genesis, issued] = [c.s.genesisSupply.get(), c.s.issued.get()]
    const burnt = c.s.burntRent.get() + c.s.burntFees.get()
    return { cap: c.params.economy.supplyCap, genesis, issued, burnt, current: genesis + issued - burnt }
  })
  .view('function burnt() view returns (uint256 rent, uint256 fees)', (c) => {
    return [c.s.burntRent.get(), c.s.burntFees.get()] as const
  })
  .view('function issuedOf(uint64 era) view returns (uint256)', (c, era) => c.s.issuedOf.get(era))
  .view('function nextEra() view returns (uint64)', (c) => c.s.nextEra.get())
  .view('function potOf(uint8 kind) view returns (Pot)', (c, kind) => potOf(c, kind))
  .view('function eraPotOf(uint8 kind, uint64 era) view returns (uint256)', (c, kind, era) => {
    require(kind < kinds.length, 'no such pot')
    return c.s.eraPots.at(kind).get(era)
  })
  /** Notes rent that the asking module has just transferred to this one's account. It is divided when the era ends. */
  .service('credit', (c, amount: bigint) => c.s.received.set(c.s.received.get() + amount))
  /** Whether the pots of an era are filled. They are from the first block behind it on, or soon after a standstill. */
  .service('isIssued', (c, era: number) => BigInt(era) < c.s.nextEra.get())
  /** What an era brought to a pot, issuance and rent, whatever has been paid since. 0 until it is issued. */
  .service('eraPot', (c, kind: PotKind, era: number) => c.s.eraPots.at(potKind[kind]).get(BigInt(era)))
  /** What a pot holds now. */
  .service('held', (c, kind: PotKind) => c.s.pots.at(potKind[kind]).field('held').get())
  /**
   * Pays from a pot, and says how much: never more than it holds. Whoever asks keeps count of what an era's pot still
   * owes: the Treasury sees that the pot as a whole is not overdrawn, not who gets it.
   */
  .service('pay', (c, kind: PotKind, to: Address, amount: bigint) => pay(c, kind, to, amount))
  /** Takes back what somebody has lost for good, already transferred to this account: the community gets it. */
  .service('forfeit', (c, amount: bigint) => {
    const held = c.s.pots.at(potKind.community).field('held')
    held.set(held.get() + amount)
  })
