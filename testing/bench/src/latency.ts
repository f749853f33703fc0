export interface Percentiles {
  readonly p50: number
  readonly p99: number
}

/** Times in the stages of `stage-times.ts` of the validator, as a member tells them. */
export type StageTable = Readonly<Partial<Record<string, Percentiles & { readonly count: number }>>>

/** 0 ≤ share < 1; NaN of nothing. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

export function percentilesOf(values: readonly number[]): Percentiles {
  return { p50: percentile(values, 0.5), p99: percentile(values, 0.99) }
}

export function renderPercentiles({ p50, p99 }: Percentiles): string {
  return `${p50.toFixed(0)} / ${p99.toFixed(0)}`
}

/** Of all members, by stage: median of the medians by their counts, highest p99. */
export function renderStages(tables: readonly StageTable[]): string {
  // Whoever has most of them has them in their order.
  const names = new Set(
    tables
      .map(Object.keys)
      .toSorted((a, b) => b.length - a.length)
      .flat(),
  )
  const parts = [...names].map((stage) => {
    const times = tables.flatMap((table) => table[stage] ?? []).sort((a, b) => a.p50 - b.p50)
    const half = times.reduce((sum, { count }) => sum + count, 0) / 2
    let passed = 0
    const middle = times.find(({ count }) => {
      passed += count
      return passed >= half
    })!
    return `${stage} ${middle.p50.toFixed(1)} / ${Math.max(...times.map(({ p99 }) => p99)).toFixed(0)}`
  })
  return parts.join(', ')
}
