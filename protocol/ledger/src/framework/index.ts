export type {
  BlockContext,
  CallKind,
  ModuleGenesis,
  ModuleLog,
  ModuleMessage,
  ModuleResult,
} from './message.ts'
export type { AnyModule } from './module.ts'
export { ModuleRegistry } from './registry.ts'
