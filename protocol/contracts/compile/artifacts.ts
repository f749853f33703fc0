import { readFileSync, writeFileSync } from 'node:fs'
import { type Compiled, compile, ownSources } from './solidity.ts'

/** Contracts of the first chain block whose creation code is kept, by name: `path:Contract`. */
export const PREDEPLOYED = {
  Multicall3: 'solidity/Multicall3.sol:Multicall3',
  WrappedCumulus: 'solidity/WrappedCumulus.sol:WrappedCumulus',
  CumulusGovernor: 'solidity/CumulusGovernor.sol:CumulusGovernor',
  TimelockController: '@openzeppelin/contracts/governance/TimelockController.sol:TimelockController',
  EntryPoint: '@account-abstraction/contracts/core/EntryPoint.sol:EntryPoint',
  SimpleAccountFactory: '@account-abstraction/contracts/accounts/SimpleAccountFactory.sol:SimpleAccountFactory',
  WrappedTokenPaymaster: 'solidity/WrappedTokenPaymaster.sol:WrappedTokenPaymaster',
  TerritoryPermit: 'solidity/TerritoryPermit.sol:TerritoryPermit',
} as const

/** Of this one only the ABI: the factory brings its code. */
const ACCOUNT = '@account-abstraction/contracts/accounts/SimpleAccount.sol:SimpleAccount'

const ARTIFACTS = new URL('../artifacts/predeploys.json', import.meta.url)
const ABIS = new URL('../src/generated/abis.ts', import.meta.url)

export interface Artifacts {
  /** Of everything the compiler read: sources of ours and of packages, settings, its own version. */
  readonly digest: string
  /** Creation code by name. */
  readonly contracts: Readonly<Record<string, string>>
}

/** Compiles all contracts of the first chain block. 10 s of one core. */
export function compileAll(): { artifacts: Artifacts; abis: string } {
  const { contracts, digest } = compile(ownSources(), [...Object.values(PREDEPLOYED), ACCOUNT])
  const names = Object.keys(PREDEPLOYED)
  const codes = names.map((name) => [name, contracts.get(name)!.creationCode])
  return {
    artifacts: { digest, contracts: Object.fromEntries(codes) },
    abis: abisFile([...names, 'SimpleAccount'].map((name) => [name, contracts.get(name)!])),
  }
}

export function readArtifacts(): { artifacts: Artifacts; abis: string } {
  return { artifacts: JSON.parse(readFileSync(ARTIFACTS, 'utf8')) as Artifacts, abis: readFileSync(ABIS, 'utf8') }
}

export function writeArtifacts({ artifacts, abis }: { artifacts: Artifacts; abis: string }): void {
  writeFileSync(ARTIFACTS, `${JSON.stringify(artifacts, null, 2)}\n`)
  writeFileSync(ABIS, abis)
}

/** Constants whose types viem infers arguments and results from. */
function abisFile(contracts: readonly (readonly [string, Compiled])[]): string {
  const lines = ['// Made by `npm run contracts`.']
  for (const [name, { abi }] of contracts) {
    const constant = `${name[0]!.toLowerCase()}${name.slice(1)}Abi`
    lines.push('', `/** Of \`${name}\`. */`, `export const ${constant} = [`)
    for (const item of abi) if (item.type !== 'constructor') lines.push(`  ${JSON.stringify(item, withoutInternals)},`)
    lines.push('] as const')
  }
  return `${lines.join('\n')}\n`
}

/** Types as Solidity calls them are of no use outside. */
function withoutInternals(key: string, value: unknown): unknown {
  return key === 'internalType' ? undefined : value
}
