import type { Params } from '@cumulus/params'
import type { AnyModule } from '../framework/index.ts'
import { audit } from './audit.ts'
import { faucet } from './faucet.ts'
import { gateways } from './gateways.ts'
import { miners } from './miners.ts'
import { parameters } from './parameters.ts'
import { r2s } from './r2s.ts'
import { staking } from './staking.ts'
import { storage } from './storage.ts'
import { teeWorkers } from './tee-workers.ts'
import { territories } from './territories.ts'
import { treasury } from './treasury.ts'

export { audit, challengeState, penaltyCause, proofFailure } from './audit.ts'
export { type AuditTally, tallyAudits } from './audit-tally.ts'
export { faucet } from './faucet.ts'
export { gateways, grantHash, grantTypedData, type SignedGrant } from './gateways.ts'
export { eraIssuance } from './issuance.ts'
export { collateralLimit, DRAW_WINDOW_COUNT, minerCause, minerState, miners, powerOf } from './miners.ts'
export { type GovernedName, parameters } from './parameters.ts'
export { coinMode, r2s } from './r2s.ts'
export { GOVERNANCE_ADDRESS, registrationMessage } from './rules.ts'
export { slashFraction, staking } from './staking.ts'
export { candidateState } from './staking-state.ts'
export { storage, stripeState } from './storage.ts'
export { stripeRootSlot } from './storage-state.ts'
export { attestationKind, teeWorkers, workerMode, workerState } from './tee-workers.ts'
export { rentOf, territories, territoryState } from './territories.ts'
export { type PotKind, potKind, treasury } from './treasury.ts'

/** Every protocol module by its name on chain. */
export const moduleDefinitions = {
  Staking: staking,
  R2S: r2s,
  Miners: miners,
  TeeWorkers: teeWorkers,
  Territories: territories,
  Gateways: gateways,
  Storage: storage,
  Audit: audit,
  Treasury: treasury,
  Parameters: parameters,
  Faucet: faucet,
} as const

export type ModuleName = keyof typeof moduleDefinitions

/**
 * Address and plain JSON ABI of each module, typed so that viem infers arguments and results:
 *
 * ```ts
 * const group = await client.readContract({ ...moduleAbis.Storage, functionName: 'groupOf', args: [7] })
 * ```
 */
export const moduleAbis = {
  Staking: { address: staking.address, abi: staking.abi },
  R2S: { address: r2s.address, abi: r2s.abi },
  Miners: { address: miners.address, abi: miners.abi },
  TeeWorkers: { address: teeWorkers.address, abi: teeWorkers.abi },
  Territories: { address: territories.address, abi: territories.abi },
  Gateways: { address: gateways.address, abi: gateways.abi },
  Storage: { address: storage.address, abi: storage.abi },
  Audit: { address: audit.address, abi: audit.abi },
  Treasury: { address: treasury.address, abi: treasury.abi },
  Parameters: { address: parameters.address, abi: parameters.abi },
  Faucet: { address: faucet.address, abi: faucet.abi },
} as const

/** The modules of a chain with these parameters, for `new ModuleRegistry(modulesFor(params))`. */
export function modulesFor(params: Params): readonly AnyModule[] {
  // The Treasury first: its pots are filled before anybody's hook asks for them.
  const always = [treasury, parameters, staking, r2s, teeWorkers, miners, territories, gateways, storage, audit]
  return params.faucetGrant > 0n ? [...always, faucet] : always
}
