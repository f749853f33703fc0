import { hexToBytes } from '@cumulus/bytes'
import { coinThresholdOf } from '@cumulus/certificate'
import type { GenesisAttestation, GenesisCommittee } from '@cumulus/ledger'
import { parseAddress } from '@cumulus/network'
import { type Params, type PresetName, preset, presets } from '@cumulus/params'
import { readJsonFile, writeFileAtomic } from '@cumulus/service'
import { isConsistent, ThresholdError, verifyPossession } from '@cumulus/threshold'
import type { Address } from '@cumulus/types'
import { ExecutionError } from './execution-error.ts'

/**
 * What all nodes of a network start from, as a file that people can read. Hex has 0x and lower-case digits.
 *
 *     { "version": 2,
 *       "preset": "dev",                       rules; see protocol/params
 *       "timeMs": 1764000000000,               consensus time 0, ms since 1970
 *       "allocations": [ { "address": "0x…20", "balance": "1000000000000000000" } ],      wei, decimal
 *       "committee": {                         who orders; absent: one validator alone
 *         "members": [ { "account": "0x…20",
 *                        "peerKey": "0x…32",   Ed25519
 *                        "blsKey": "0x…48",    in G1, for votes
 *                        "blsProof": "0x…96",  that the member knows its secret
 *                        "address": "/ip4/127.0.0.1/tcp/9100" } ],
 *         "coin": { "mode": "dealt", "publicKey": "0x…48", "shareKeys": [ "0x…48" ] } },  or { "mode": "public" }
 *       "attestation": { "simulated": true, "measurements": [ "0x…32" ] } }                of TEE workers
 *
 * Checked are also the proofs of possession, and that the keys of the coin's shares belong together. "dealt" means that one dealer knew the shares of all members, and "simulated" that a worker without a TEE may say it
 * has one: both are for development, and refused with the rules of mainnet.
 */
export interface GenesisFile {
  readonly version: 2
  readonly preset: PresetName
  readonly timeMs: number
  readonly allocations: readonly GenesisAllocation[]
  readonly committee?: GenesisCommittee
  readonly attestation?: GenesisAttestation
}

export interface GenesisAllocation {
  readonly address: Address
  /** In wei. */
  readonly balance: bigint
}

/** Bitmaps of signers are 32 bits wide, and one of them stays free. */
const MEMBERS_MAX = 31
const MEASUREMENTS_MAX = 256
const ALLOCATIONS_MAX = 100_000

/**
 * A new genesis, checked.
 *
 * @throws ExecutionError GENESIS_MALFORMED
 */
export function createGenesis(init: {
  readonly preset: PresetName
  readonly allocations: readonly GenesisAllocation[]
  readonly timeMs: number
  readonly committee?: GenesisCommittee
  readonly attestation?: GenesisAttestation
}): GenesisFile {
  return parseGenesis(plain({ version: 2, ...init }))
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
  const { version, preset: name, timeMs, allocations, committee, attestation } = file
  if (version === 1) {
    throw malformed('version', 'is 1: such files name no committee; make the network anew, in an empty folder')
  }
  if (version !== 2) throw malformed('version', `must be 2, not ${String(version)}`)
  // A misspelt field would silently make another chain.
  knownKeys(file, '', ['version', 'preset', 'timeMs', 'allocations', 'committee', 'attestation'])
  if (typeof name !== 'string' || !Object.hasOwn(presets, name)) {
    throw malformed('preset', `must be one of ${Object.keys(presets).join(', ')}, not ${String(name)}`)
  }
  if (!Number.isSafeInteger(timeMs) || (timeMs as number) <= 0) throw malformed('timeMs', 'must be ms since 1970')
  if (!Array.isArray(allocations)) throw malformed('allocations', 'must be a list')
  if (allocations.length > ALLOCATIONS_MAX) throw malformed('allocations', `has more than ${ALLOCATIONS_MAX} entries`)

  const isMainnet = name === 'mainnet'
  return {
    version: 2,
    preset: name as PresetName,
    timeMs: timeMs as number,
    allocations: parseAllocations(allocations, presets[name as PresetName].economy.supplyCap),
    ...(committee !== undefined && { committee: parseCommittee(committee, isMainnet) }),
    ...(attestation !== undefined && { attestation: parseAttestation(attestation, isMainnet) }),
  }
}

function parseAllocations(allocations: readonly unknown[], supplyCap: bigint): GenesisAllocation[] {
  const seen = new Set<string>()
  let sum = 0n
  const parsed = allocations.map((entry, index): GenesisAllocation => {
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
  // What modules begin with comes on top: the Treasury looks at the whole sum when block 0 is made.
  if (sum > supplyCap) throw malformed('allocations', `add up to ${sum} wei, more than the cap of ${supplyCap}`)
  return parsed
}

type Member = GenesisCommittee['members'][number]

function parseCommittee(value: unknown, isMainnet: boolean): GenesisCommittee {
  const { members, coin } = knownKeys(record(value, 'committee'), 'committee', ['members', 'coin'])
  if (!Array.isArray(members)) throw malformed('committee.members', 'must be a list')
  if (members.length < 1 || members.length > MEMBERS_MAX) {
    throw malformed('committee.members', `must be 1 to ${MEMBERS_MAX}, not ${members.length}`)
  }
  const seen = new Set<string>()
  const parsed = members.map((entry, index): Member => {
    const at = `committee.members[${index}]`
    const fields = ['account', 'peerKey', 'blsKey', 'blsProof', 'address']
    const { account, peerKey, blsKey, blsProof, address } = knownKeys(record(entry, at), at, fields)
    if (typeof address !== 'string') throw malformed(`${at}.address`, 'must be a multiaddress')
    try {
      parseAddress(address)
    } catch (cause) {
      throw malformed(`${at}.address`, `must be a multiaddress: ${(cause as Error).message}`)
    }
    const member = {
      account: hex(account, 20, `${at}.account`),
      peerKey: hex(peerKey, 32, `${at}.peerKey`),
      blsKey: hex(blsKey, 48, `${at}.blsKey`),
      blsProof: hex(blsProof, 96, `${at}.blsProof`),
      address,
    }
    // One body with two seats would count twice.
    for (const field of ['account', 'peerKey', 'blsKey', 'address'] as const) {
      const entry = `${field} ${member[field]}`
      if (seen.has(entry)) throw malformed(`${at}.${field}`, `${member[field]} is listed twice`)
      seen.add(entry)
    }
    // A key whose secret nobody knows could cancel others out of a certificate's sum.
    if (!verifyPossession(hexToBytes(member.blsProof), hexToBytes(member.blsKey))) {
      throw malformed(`${at}.blsProof`, 'does not prove that the member knows the secret of blsKey')
    }
    return member
  })
  return { members: parsed, coin: parseCoin(coin, parsed.length, isMainnet) }
}

function parseCoin(value: unknown, memberCount: number, isMainnet: boolean): GenesisCommittee['coin'] {
  const at = 'committee.coin'
  const coin = record(value, at)
  if (coin['mode'] === 'public') {
    knownKeys(coin, at, ['mode'])
    return { mode: 'public' }
  }
  if (coin['mode'] !== 'dealt') throw malformed(`${at}.mode`, `must be dealt or public, not ${String(coin['mode'])}`)
  if (isMainnet) throw malformed(`${at}.mode`, 'must not be dealt on mainnet: the dealer knows the coin')
  const { publicKey, shareKeys } = knownKeys(coin, at, ['mode', 'publicKey', 'shareKeys'])
  if (!Array.isArray(shareKeys) || shareKeys.length !== memberCount) {
    throw malformed(`${at}.shareKeys`, `must be a list of ${memberCount}, one for each member`)
  }
  const parsed = {
    mode: 'dealt' as const,
    publicKey: hex(publicKey, 48, `${at}.publicKey`),
    shareKeys: shareKeys.map((key, index) => hex(key, 48, `${at}.shareKeys[${index}]`)),
  }
  let fits: boolean
  try {
    fits = isConsistent({
      threshold: coinThresholdOf(memberCount),
      publicKey: hexToBytes(parsed.publicKey),
      shareKeys: parsed.shareKeys.map(hexToBytes),
    })
  } catch (error) {
    if (!(error instanceof ThresholdError) || error.code === 'NO_NATIVE_BUILD') throw error
    fits = false
  }
  if (!fits) throw malformed(at, `has keys that were not dealt together, for ${coinThresholdOf(memberCount)} shares`)
  return parsed
}

function parseAttestation(value: unknown, isMainnet: boolean): GenesisAttestation {
  const at = 'attestation'
  const { simulated, measurements } = knownKeys(record(value, at), at, ['simulated', 'measurements'])
  if (typeof simulated !== 'boolean') throw malformed(`${at}.simulated`, 'must be true or false')
  if (simulated && isMainnet) throw malformed(`${at}.simulated`, 'must be false on mainnet')
  if (!Array.isArray(measurements) || measurements.length > MEASUREMENTS_MAX) {
    throw malformed(`${at}.measurements`, `must be a list of at most ${MEASUREMENTS_MAX}`)
  }
  return {
    simulated,
    measurements: measurements.map((entry, index) => hex(entry, 32, `${at}.measurements[${index}]`)),
  }
}

/** The rules that a genesis names. */
export function paramsOf(genesis: GenesisFile): Params {
  return preset(genesis.preset)
}

function plain(genesis: GenesisFile): object {
  const allocations = genesis.allocations.map(({ address, balance }) => ({ address, balance: balance.toString() }))
  const { version, preset, timeMs, committee, attestation } = genesis
  return { version, preset, timeMs, allocations, committee, attestation }
}

function record(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(path, 'must be an object')
  return value as Record<string, unknown>
}

function knownKeys(fields: Record<string, unknown>, path: string, known: readonly string[]): Record<string, unknown> {
  for (const key of Object.keys(fields)) {
    if (!known.includes(key)) throw malformed(path === '' ? key : `${path}.${key}`, 'no such field')
  }
  return fields
}

function hex(value: unknown, byteCount: number, path: string): `0x${string}` {
  if (typeof value !== 'string' || !/^0x[0-9a-fA-F]*$/.test(value) || value.length !== 2 + 2 * byteCount) {
    throw malformed(path, `must be ${byteCount} bytes in hex`)
  }
  return value.toLowerCase() as `0x${string}`
}

function malformed(path: string, reason: string): ExecutionError {
  return new ExecutionError('GENESIS_MALFORMED', `genesis: ${path} ${reason}`, { path })
}
