export {
  type AuditRules,
  dev,
  type Economy,
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
