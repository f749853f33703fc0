export interface Percentiles {
  readonly p50: number
  readonly p99: number
}

/** Of so many times. */
export interface CountedPercentiles extends Percentiles {
  readonly count: number
}

/** Times in the stages of `stage-times.ts` of the validator, as a member tells them. */
export type StageTable = Readonly<Partial<Record<string, CountedPercentiles>>>

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

/** Of all members: median of the medians by their counts, highest p99. */
export function mergedPercentiles(all: readonly CountedPercentiles[]): Percentiles {
  const sorted = all.toSorted((a, b) => a.p50 - b.p50)
  const half = all.reduce((sum, { count }) => sum + count, 0) / 2
  let passed = 0
  const middle = sorted.find(({ count }) => {
    passed += count
    return passed >= half
  })
  return { p50: middle?.p50 ?? Number.NaN, p99: Math.max(...all.map(({ p99 }) => p99)) }
}

/** Stage by stage, of all members. */
export function renderStages(tables: readonly StageTable[]): string {
  // Whoever has most of them has them in their order.
  const names = new Set(
    tables
      .map(Object.keys)
      .toSorted((a, b) => b.length - a.length)
      .flat(),
  )
  const parts = [...names].map((stage) => {
    const { p50, p99 } = mergedPercentiles(tables.flatMap((table) => table[stage] ?? []))
    return `${stage} ${p50.toFixed(1)} / ${p99.toFixed(0)}`
  })
  return parts.join(', ')
}
