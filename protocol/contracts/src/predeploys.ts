import { concatBytes, hexToBytes } from '@cumulus/bytes'
import { compileTuple, GOVERNANCE_ADDRESS, type Predeploy } from '@cumulus/ledger'
import type { Params } from '@cumulus/params'
import type { Address } from '@cumulus/types'
import { parseAbiParameters } from 'abitype'
import artifacts from '../artifacts/predeploys.json' with { type: 'json' }

/**
 * Where contracts stand from the first chain block on. Those that tools expect somewhere are there; the chain's own
 * begin at 0x…0d01, behind the protocol modules.
 */
export const predeployAddresses = {
  /** Carries out what the DAO has decided, after a delay. The only one whom modules obey as governance. */
  timelock: GOVERNANCE_ADDRESS,
  governor: '0x0000000000000000000000000000000000000d02',
  wrappedCumulus: '0x0000000000000000000000000000000000000d03',
  territoryPermit: '0x0000000000000000000000000000000000000d04',
  paymaster: '0x0000000000000000000000000000000000000d05',
  accountFactory: '0x0000000000000000000000000000000000000d06',
  /** ERC-4337, version 0.8. */
  entryPoint: '0x4337084d9e255ff0702461cf8895ce9e3b5ff108',
  multicall3: '0xca11bde05977b3631167028862be2a173976ca11',
  /** The deterministic deployer (https://github.com/Arachnid/deterministic-deployment-proxy): CREATE2 for everybody. */
  create2Deployer: '0x4e59b44847b379578588920ca78fbf26c0b4956c',
} as const satisfies Record<string, Address>

/** As it runs on Ethereum's main net: calldata is 32 bytes of salt and creation code, the answer is the address. */
const CREATE2_DEPLOYER_CODE =
  '0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3'

const NOBODY: Address = '0x0000000000000000000000000000000000000000'

const NOTHING = new Uint8Array()

type ContractName = keyof typeof artifacts.contracts

/** The contracts of a chain with these parameters, for `Genesis.predeploys`. The same bytes for everybody. */
export function predeploysFor({ governance }: Params): readonly Predeploy[] {
  const at = predeployAddresses
  const { votingDelaySeconds, votingPeriodSeconds, timelockSeconds, proposalThreshold, quorumPpm } = governance
  const contract = (name: ContractName, address: Address, args: Uint8Array = NOTHING): Predeploy => ({
    name,
    address,
    creationCode: concatBytes(hexToBytes(artifacts.contracts[name]), args),
  })
  return [
    { name: 'Create2Deployer', address: at.create2Deployer, code: hexToBytes(CREATE2_DEPLOYER_CODE) },
    contract('Multicall3', at.multicall3),
    contract('WrappedCumulus', at.wrappedCumulus),
    contract(
      'TimelockController',
      at.timelock,
      // Only the governor proposes and cancels, anybody executes, and nobody stands above them.
      encode('uint256, address[], address[], address', [BigInt(timelockSeconds), [at.governor], [NOBODY], NOBODY]),
    ),
    contract(
      'CumulusGovernor',
      at.governor,
      encode('address, address, uint48, uint32, uint256, uint256', [
        at.wrappedCumulus,
        at.timelock,
        votingDelaySeconds,
        votingPeriodSeconds,
        proposalThreshold,
        BigInt(quorumPpm),
      ]),
    ),
    contract('EntryPoint', at.entryPoint),
    contract('SimpleAccountFactory', at.accountFactory, encode('address', [at.entryPoint])),
    contract('WrappedTokenPaymaster', at.paymaster, encode('address, address', [at.entryPoint, at.wrappedCumulus])),
    contract('TerritoryPermit', at.territoryPermit),
  ]
}

/** Arguments of a constructor. */
function encode(types: string, values: readonly unknown[]): Uint8Array {
  return compileTuple(parseAbiParameters(types)).encode(values)
}
