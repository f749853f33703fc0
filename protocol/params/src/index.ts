export { dev, mainnet, minimal, type Params, type PresetName, preset, presets, type StorageClass } from './presets.ts'
