import type { BenchReport, Size } from './report.ts'

export interface BenchContext {
  readonly size: Size
  readonly signal: AbortSignal
  /** In `performance.now()` milliseconds: no round begins that would likely end later. */
  readonly deadlineMs: number
  readonly progress: (line: string) => void
  /** Folder for CPU profiles of the network's processes. */
  readonly profileFolder?: string
  /** Only cases whose name holds this text, references included. */
  readonly only?: string
  /** Of S3: nothing but what tagging costs. */
  readonly tagging?: boolean
}

export type Bench = (context: BenchContext) => Promise<BenchReport>
