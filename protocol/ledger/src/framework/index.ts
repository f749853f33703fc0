export { compileTuple, type TupleCodec } from './abi-codec.ts'
export { gasPrices } from './gas.ts'
export type {
  BlockContext,
  BlockOutcome,
  CallKind,
  GenesisAttestation,
  GenesisCommittee,
  ModuleGenesis,
  ModuleLog,
  ModuleMessage,
  ModuleResult,
} from './message.ts'
export { type AnyModule, type ContextOf, Module, type ModuleContext, type ModuleDefinition, module } from './module.ts'
export { type HookWork, MODULE_CODE, ModuleRegistry } from './registry.ts'
export { Revert, require } from './revert.ts'
export { solidityInterface } from './solidity-interface.ts'
export {
  address,
  array,
  bool,
  bytes,
  bytes32,
  cell,
  dict,
  slotOf,
  struct,
  text,
  u8,
  u16,
  u32,
  u64,
  u112,
  u256,
} from './solidity-storage.ts'
