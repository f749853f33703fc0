import { bytesToHex, utf8Encode } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import type { Params } from '@cumulus/params'
import { bytes32, type ContextOf, dict, module, require, struct, u32, u112 } from '../framework/index.ts'
import { page, requireGovernance } from './rules.ts'

/** A number that governance may change while the chain runs. What is not here takes a new version of the software. */
interface Governed {
  /** In words, with the unit. */
  readonly about: string
  readonly min: bigint
  readonly max: bigint
  /** Until it is changed. */
  initial(params: Params): bigint
}

function weight(about: string, initial: (params: Params) => number): Governed {
  return { about, min: 0n, max: 1_000_000n, initial: (params) => BigInt(initial(params)) }
}

const TOKEN = 10n ** 18n

/** Every parameter of every module that governance may change, by name. Only ever append. */
export const governed = {
  'treasury.issuance.validators': weight('weight of validators', (p) => p.economy.issuanceWeights.validators),
  'treasury.issuance.miners': weight('weight of miners', (p) => p.economy.issuanceWeights.miners),
  'treasury.issuance.community': weight('weight of the community', (p) => p.economy.issuanceWeights.community),
  'treasury.rent.miners': weight('weight of miners', (p) => p.economy.rentWeights.miners),
  'treasury.rent.community': weight('weight of the community', (p) => p.economy.rentWeights.community),
  'treasury.rent.burn': weight('weight of burning', (p) => p.economy.rentWeights.burn),
  'staking.minSelfStake': {
    about: 'own stake of a candidate, in wei',
    min: TOKEN,
    max: 100_000_000n * TOKEN,
    initial: (p) => p.staking.minSelfStake,
  },
  'staking.minBond': {
    about: 'least that may be bonded, in wei',
    min: TOKEN / 1_000n,
    max: 1_000_000n * TOKEN,
    initial: (p) => p.staking.minBond,
  },
  'staking.jailEras': {
    about: 'eras in jail after a provable misdeed',
    min: 1n,
    max: 1_461n,
    initial: (p) => BigInt(p.staking.jailEras),
  },
  'territories.pricePerGiBEpoch': {
    about: 'rent for one GiB over one epoch, in wei',
    min: 1n,
    max: 1_000n * TOKEN,
    initial: (p) => p.pricePerGiBEpoch,
  },
  'territories.graceEpochs': {
    about: 'epochs after expiry in which a territory can still be renewed',
    min: 1n,
    max: 100_000n,
    initial: (p) => BigInt(p.graceEpochs),
  },
} as const satisfies Record<string, Governed>

export type GovernedName = keyof typeof governed

const names = Object.keys(governed) as GovernedName[]
const keys = new Map(names.map((name) => [name, bytesToHex(keccak256(utf8Encode(name)))]))

const definition = module({
  name: 'Parameters',
  address: '0x0000000000000000000000000000000000000c0b',
  about: 'The numbers that governance may change, each within its bounds.',
  structs: [
    'struct Parameter { string name; string about; uint256 value; uint256 min; uint256 max; uint256 next; uint64 nextEra; }',
  ],
  storage: {
    /** By keccak256 of the name: values plus 1, 0 stands for never changed. `next` holds from era `fromEra` on. One slot. */
    changed: dict(bytes32, struct({ value: u112, next: u112, fromEra: u32 })),
  },
  events: {
    ParameterChanged: 'event ParameterChanged(bytes32 indexed key, string name, uint256 value, uint64 fromEra)',
  },
})

type C = ContextOf<typeof definition>

function known(name: string): GovernedName {
  require(Object.hasOwn(governed, name), 'no such parameter')
  return name as GovernedName
}

function changeOf(c: C, name: GovernedName) {
  const { value, next, fromEra } = c.s.changed.at(keys.get(name)!).get()
  const isPending = fromEra > c.block.era
  return { inForce: isPending ? value : next, next, fromEra, isPending }
}

function current(c: C, name: GovernedName): bigint {
  const { inForce } = changeOf(c, name)
  return inForce === 0n ? governed[name].initial(c.params) : inForce - 1n
}

/**
 * Holds what governance has changed. A change holds from the next era on, for everybody at once: within an era nothing
 * that one call was told can be otherwise in another. A second change in the same era takes the place of the first.
 */
export const parameters = definition
  .fn('function set(string name, uint256 value)', 0, (c, given, value) => {
    requireGovernance(c)
    const name = known(given)
    const { min, max } = governed[name]
    require(value >= min && value <= max, `${name} must be ${min} to ${max}`)
    const key = keys.get(name)!
    const fromEra = c.block.era + 1
    c.s.changed.at(key).set({ value: changeOf(c, name).inForce, next: value + 1n, fromEra })
    c.emit.ParameterChanged(key, name, value, BigInt(fromEra))
  })
  .view('function valueOf(string name) view returns (uint256)', (c, name) => current(c, known(name)))
  .view('function parameterCount() view returns (uint256)', () => BigInt(names.length))
  .view('function parameters(uint256 offset, uint256 limit) view returns (Parameter[])', (c, offset, limit) =>
    page(offset, limit, names.length).map((i) => {
      const name = names[i]!
      const { about, min, max } = governed[name]
      const value = current(c, name)
      const { next, fromEra, isPending } = changeOf(c, name)
      return {
        name,
        about,
        value,
        min,
        max,
        next: isPending ? next - 1n : value,
        nextEra: isPending ? BigInt(fromEra) : 0n,
      }
    }),
  )
  .service('get', (c, name: GovernedName) => current(c, name))
