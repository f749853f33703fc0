export { AlignedPool } from './aligned-pool.ts'
export { AppendLogs, type AppendLogsInit, type LogContext, type LogInfo } from './append-logs.ts'
export { Database, type DatabaseInit, type RangeQuery, type Table, type WriteBatch } from './database.ts'
export type { DataFile, FileLayer } from './files.ts'
export { nodeFiles } from './files.ts'
export type { FragmentKey, FragmentRecord } from './fragment-record.ts'
export { type FillerInit, fillIdleCells } from './idle-filler.ts'
export { Scrubber, type ScrubberInit, type ScrubReport } from './scrubber.ts'
export {
  type FragmentContent,
  type FragmentInfo,
  type FragmentRange,
  type ReadInit,
  type SlabStatus,
  SlabStore,
  type SlabStoreInit,
} from './slab-store.ts'
export { type SpaceBudget, spaceBudget, usableUnits } from './space.ts'
export { StoreError, type StoreErrorCode } from './store-error.ts'
