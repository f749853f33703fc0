import { hexToBytes, utf8Encode } from '@cumulus/bytes'
import { keccak256, sha256 } from '@cumulus/hash'
import type { Params } from '@cumulus/params'
import type { Address } from '@cumulus/types'
import type { GenesisAttestation, GenesisCommittee, ModuleGenesis, ModuleRegistry } from '../framework/index.ts'
import { LedgerError } from '../ledger-error.ts'
import type { JournaledState } from '../state/journaled-state.ts'
import type { Vm, VmBlock } from '../vm/vm.ts'
import { buildPredeploys, type Predeploy } from './predeploy.ts'
import { SYSTEM_CONTRACTS } from './system-contracts.ts'

/** What one address starts with. */
export interface GenesisAccount {
  readonly balance?: bigint
  readonly nonce?: bigint
  readonly code?: Uint8Array
  readonly storage?: readonly { readonly slot: bigint; readonly value: bigint }[]
}

/** The first chain block. Two nodes on the same chain have the same one. */
export interface Genesis {
  /** Consensus time 0: epochs are counted from here. ms since 1970. */
  readonly timestampMs: number
  readonly alloc: Readonly<Record<Address, GenesisAccount>>
  readonly modules?: Pick<ModuleGenesis, 'balances'>
  /** Contracts that are there from the start. */
  readonly predeploys?: readonly Predeploy[]
  /** Absent: one validator orders alone. */
  readonly committee?: GenesisCommittee
  readonly attestation?: GenesisAttestation
  /** Of the first block after genesis, in wei. */
  readonly baseFee?: bigint
}

export const DEFAULT_BASE_FEE = 10n ** 9n

/** The same `amount` of wei for each address, as development networks want it. */
export function evenAlloc(addresses: readonly Address[], amount: bigint): Record<Address, GenesisAccount> {
  return Object.fromEntries(addresses.map((address) => [address, { balance: amount }]))
}

/** Writes block 0 into an empty state. */
export async function buildGenesis(
  state: JournaledState,
  genesis: Genesis,
  modules: Pick<ModuleRegistry, 'addresses' | 'has' | 'genesis'>,
  vm: Vm,
  block: VmBlock,
): Promise<void> {
  const seen = new Set<string>()
  for (const { address, code } of SYSTEM_CONTRACTS) {
    seen.add(address)
    state.setNonce(address, 1n)
    state.setCode(address, code)
  }
  let allocated = 0n
  for (const [address, account] of Object.entries(genesis.alloc) as [Address, GenesisAccount][]) {
    const key = address.toLowerCase()
    if (!/^0x[0-9a-f]{40}$/.test(key)) throw new LedgerError('BAD_GENESIS', `${address} is not an address`, { address })
    if (seen.has(key) || modules.has(address)) {
      throw new LedgerError('BAD_GENESIS', `${address} is allocated twice, or is a module or system contract`, {
        address,
      })
    }
    seen.add(key)
    state.setBalance(address, account.balance ?? 0n)
    allocated += account.balance ?? 0n
    state.setNonce(address, account.nonce ?? (account.code ? 1n : 0n))
    if (account.code) state.setCode(address, account.code)
    for (const { slot, value } of account.storage ?? []) state.setStorage(address, slot, value)
  }
  const { committee, attestation } = genesis
  try {
    modules.genesis(state, block, { ...genesis.modules, allocated, committee, attestation })
  } catch (cause) {
    // What a module is told about its chain is out of range.
    if (cause instanceof RangeError) throw new LedgerError('BAD_GENESIS', cause.message)
    throw cause
  }
  await buildPredeploys(state, genesis.predeploys ?? [], vm, block)
}

/**
 * Binds parameters, committee and attestation to the genesis hash, so that nodes with other rules, or other people to
 * follow, are on another chain from the first block.
 */
export function genesisDigest(params: Params, { committee, attestation }: Omit<Genesis, 'alloc' | 'timestampMs'>) {
  return keccak256(utf8Encode(canonical({ params, committee: committee ?? null, attestation: attestation ?? null })))
}

/** To be raised with whatever modules, system contracts or this folder write into block 0 differently than before. */
const GENESIS_VERSION = 1

/**
 * Names everything that block 0 is made from, so that it need not be made again to see that a store began with it. Other
 * inputs may still give the same block.
 */
export function genesisInputsDigest(params: Params, genesis: Genesis, modules: readonly Address[]): Uint8Array {
  const { timestampMs, alloc, predeploys, committee, attestation, baseFee } = genesis
  const hex = (bytes: Uint8Array | undefined) => bytes?.toHex() ?? null
  const accounts = Object.entries(alloc).map(([address, { balance, nonce, code, storage }]) => [
    address,
    { balance: balance ?? null, nonce: nonce ?? null, code: hex(code), storage: storage ?? null },
  ])
  const contracts = (predeploys ?? []).map((predeploy) => ({
    address: predeploy.address,
    code: 'code' in predeploy ? hex(predeploy.code) : null,
    creationCode: 'creationCode' in predeploy ? hex(predeploy.creationCode) : null,
  }))
  const inputs = {
    version: GENESIS_VERSION,
    params,
    timestampMs,
    accounts: Object.fromEntries(accounts),
    balances: genesis.modules?.balances ?? null,
    predeploys: contracts,
    committee: committee ?? null,
    attestation: attestation ?? null,
    baseFee: baseFee ?? null,
    modules,
  }
  return sha256(utf8Encode(`cumulus/genesis-inputs/1${canonical(inputs)}`))
}

function canonical(value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  const keys = Object.keys(value).sort()
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical((value as Record<string, unknown>)[key])}`).join(',')}}`
}

export const GENESIS_PARENT = hexToBytes(`0x${'00'.repeat(32)}`)
