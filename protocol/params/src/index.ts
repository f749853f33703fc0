export { type Allocation, allocationAmount, mainnetAllocations } from './allocation.ts'
export {
  type AuditRules,
  dev,
  type Economy,
  type GovernanceRules,
  mainnet,
  minimal,
  type OrderRules,
  type Params,
  type PresetName,
  preset,
  presets,
  type StakingRules,
  type StorageClass,
} from './presets.ts'
