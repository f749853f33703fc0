import type { BenchContext } from '../bench.ts'
import type { BenchReport } from '../report.ts'

/** What one part of the benchmark of consensus adds to its report. */
export type Finding = Pick<BenchReport, 'rows' | 'targets' | 'memoryHighWater' | 'skipped' | 'notes'>

/** Whether a case is wanted, and will likely end in time; tells that it begins. */
export function mayRun(name: string, likelyMs: number, context: BenchContext, skipped: string[]): boolean {
  if (context.only && !name.includes(context.only)) return false
  context.signal.throwIfAborted()
  if (performance.now() + likelyMs > context.deadlineMs) {
    skipped.push(`${name}: no time left`)
    return false
  }
  context.progress(name)
  return true
}
