import { type Params, type PresetName, preset, presets } from '@cumulus/params'
import { readJsonFile, writeFileAtomic } from '@cumulus/service'
import type { Address } from '@cumulus/types'
import { ExecutionError } from './execution-error.ts'

/**
 * What all nodes of a network start from, as a file that people can read:
 *
 *     { "version": 1,
 *       "preset": "dev",                     rules; see protocol/params
 *       "timeMs": 1764000000000,             consensus time 0, ms since 1970
 *       "allocations": [ { "address": "0x…20 bytes", "balance": "1000000000000000000" } ] }   wei, decimal
 */
export interface GenesisFile {
  readonly version: 1
  readonly preset: PresetName
  readonly timeMs: number
  readonly allocations: readonly GenesisAllocation[]
}

export interface GenesisAllocation {
  readonly address: Address
  /** In wei. */
  readonly balance: bigint
}

const ALLOCATIONS_MAX = 100_000
/** Ten times the token's cap of 10 bn: a sum above it is a slip of the keyboard. */
const SUPPLY_MAX = 10n ** 11n * 10n ** 18n

/**
 * A new genesis, checked.
 *
 * @throws ExecutionError GENESIS_MALFORMED
 */
export function createGenesis(init: {
  readonly preset: PresetName
  readonly allocations: readonly GenesisAllocation[]
  readonly timeMs: number
}): GenesisFile {
  return parseGenesis(plain({ version: 1, ...init }))
}

/** Writes it as a whole, or not at all. */
export async function writeGenesis(path: string, genesis: GenesisFile): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(plain(genesis), null, 2)}\n`)
}

/** @throws ExecutionError GENESIS_MISSING, GENESIS_MALFORMED */
export async function readGenesis(path: string): Promise<GenesisFile> {
  let value: unknown
  try {
    value = await readJsonFile(path)
  } catch (cause) {
    throw new ExecutionError('GENESIS_MALFORMED', `the genesis file ${path} cannot be read`, { path }, { cause })
  }
  if (value === undefined) throw new ExecutionError('GENESIS_MISSING', `there is no genesis file ${path}`, { path })
  return parseGenesis(value)
}

/** @throws ExecutionError GENESIS_MALFORMED that names the field */
export function parseGenesis(value: unknown): GenesisFile {
  const file = record(value, 'genesis')
  const { version, preset: name, timeMs, allocations } = file
  for (const key of Object.keys(file)) {
    // A misspelt field would silently make another chain.
    if (!['version', 'preset', 'timeMs', 'allocations'].includes(key)) throw malformed(key, 'no such field')
  }
  if (version !== 1) throw malformed('version', `must be 1, not ${String(version)}`)
  if (typeof name !== 'string' || !Object.hasOwn(presets, name)) {
    throw malformed('preset', `must be one of ${Object.keys(presets).join(', ')}, not ${String(name)}`)
  }
  if (!Number.isSafeInteger(timeMs) || (timeMs as number) <= 0) throw malformed('timeMs', 'must be ms since 1970')
  if (!Array.isArray(allocations)) throw malformed('allocations', 'must be a list')
  if (allocations.length > ALLOCATIONS_MAX) throw malformed('allocations', `has more than ${ALLOCATIONS_MAX} entries`)

  const seen = new Set<string>()
  let sum = 0n
  const parsed = (allocations as unknown[]).map((entry, index): GenesisAllocation => {
    const at = `allocations[${index}]`
    const { address, balance } = record(entry, at)
    if (typeof address !== 'string' || !/^0x[0-9a-fA-F]{40}$/.test(address)) {
      throw malformed(`${at}.address`, 'must be an address of 20 bytes in hex')
    }
    if (typeof balance !== 'string' || !/^\d{1,40}$/.test(balance)) {
      throw malformed(`${at}.balance`, 'must be wei as a decimal text')
    }
    const lower = address.toLowerCase() as Address
    if (seen.has(lower)) throw malformed(`${at}.address`, `${address} is listed twice`)
    seen.add(lower)
    sum += BigInt(balance)
    return { address: lower, balance: BigInt(balance) }
  })
  if (sum > SUPPLY_MAX) throw malformed('allocations', `add up to ${sum} wei, more than ${SUPPLY_MAX}`)
  return { version: 1, preset: name as PresetName, timeMs: timeMs as number, allocations: parsed }
}

/** The rules that a genesis names. */
export function paramsOf(genesis: GenesisFile): Params {
  return preset(genesis.preset)
}

function plain(genesis: GenesisFile): object {
  const allocations = genesis.allocations.map(({ address, balance }) => ({ address, balance: balance.toString() }))
  return { version: genesis.version, preset: genesis.preset, timeMs: genesis.timeMs, allocations }
}

function record(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(path, 'must be an object')
  return value as Record<string, unknown>
}

function malformed(path: string, reason: string): ExecutionError {
  return new ExecutionError('GENESIS_MALFORMED', `genesis: ${path} ${reason}`, { path })
}
