export type { Bench, BenchContext } from './bench.ts'
export { BenchError, type BenchErrorCode } from './bench-error.ts'
export { benches } from './benches/index.ts'
export { type BenchReport, type ReportFile, type Row, renderReport, type Size, type Target } from './report.ts'
