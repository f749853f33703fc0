import type { ModuleName, moduleAbis } from '@cumulus/ledger/modules'
import type {
  ContractEventArgs,
  ContractEventArgsFromTopics,
  ContractEventName,
  ContractFunctionArgs,
  ContractFunctionName,
  ContractFunctionReturnType,
  Hash,
} from 'viem'

export type { ModuleName } from '@cumulus/ledger/modules'

type Reading = 'view' | 'pure'
type Writing = 'nonpayable' | 'payable'

export type ModuleAbi<Module extends ModuleName> = (typeof moduleAbis)[Module]['abi']

/** Functions that only read, and those that need a transaction. */
export type ReadName<Module extends ModuleName> = ContractFunctionName<ModuleAbi<Module>, Reading>
export type SendName<Module extends ModuleName> = ContractFunctionName<ModuleAbi<Module>, Writing>
export type ReadArgs<Module extends ModuleName, Name extends ReadName<Module>> = ContractFunctionArgs<
  ModuleAbi<Module>,
  Reading,
  Name
>
export type SendArgs<Module extends ModuleName, Name extends SendName<Module>> = ContractFunctionArgs<
  ModuleAbi<Module>,
  Writing,
  Name
>
export type ReadResult<
  Module extends ModuleName,
  Name extends ReadName<Module>,
  Args extends ReadArgs<Module, Name>,
> = ContractFunctionReturnType<ModuleAbi<Module>, Reading, Name, Args>

export type EventName<Module extends ModuleName> = ContractEventName<ModuleAbi<Module>>

/** Values of an event by name. */
export type EventArgs<Module extends ModuleName, Name extends EventName<Module>> = ContractEventArgsFromTopics<
  ModuleAbi<Module>,
  Name
>

/** Values that indexed parameters must have: one, or any of a list. */
export type EventFilter<Module extends ModuleName, Name extends EventName<Module>> = ContractEventArgs<
  ModuleAbi<Module>,
  Name
>

/** An event of a module, where it stands. */
export interface ChainEvent<Module extends ModuleName, Name extends EventName<Module>> {
  readonly module: Module
  readonly name: Name
  readonly args: EventArgs<Module, Name>
  readonly blockNumber: bigint
  readonly blockHash: Hash
  /** Position among all logs of the block: with the block number, a place to resume from. */
  readonly logIndex: number
  readonly transactionHash: Hash
}

/** Any event of any module; `module` and `name` tell which. */
export type AnyChainEvent = {
  [Module in ModuleName]: { [Name in EventName<Module>]: ChainEvent<Module, Name> }[EventName<Module>]
}[ModuleName]

/** What a transaction did. */
export interface SendResult {
  readonly transactionHash: Hash
  readonly blockNumber: bigint
  readonly gasUsed: bigint
  /** Events that modules emitted in it, in order. */
  readonly events: readonly AnyChainEvent[]
}
