import { execFileSync } from 'node:child_process'
import { arch, cpus, platform, release, totalmem } from 'node:os'
import { formatNumber, type Series, type Spread, spreadOf } from './rounds.ts'

export type Size = 'tiny' | 'small' | 'full'

/** One line of a report. */
export interface Row {
  readonly name: string
  readonly unit: Series['unit'] | 'ms'
  /** By round. */
  readonly values: readonly number[]
  readonly spread: Spread
  /** Ours over the reference within the same round. */
  readonly ratios: Readonly<Record<string, Spread>>
  /** Medians by group of processes: seconds per 10⁹ payload bytes, or microseconds per operation. */
  readonly cpu: { readonly unit: 's/GB' | 'µs each'; readonly groups: Readonly<Record<string, number>> } | undefined
  readonly checksum: string
}

export interface Target {
  readonly name: string
  readonly unit: string
  readonly wanted: number
  /** Whether less is better. */
  readonly atMost: boolean
  readonly reached: number
  readonly met: boolean
}

/** What one benchmark found. */
export interface BenchReport {
  readonly bench: string
  readonly size: Size
  readonly seconds: number
  readonly rows: readonly Row[]
  readonly targets: readonly Target[]
  /** Most resident memory of each process, in bytes. */
  readonly memoryHighWater: Readonly<Record<string, number>>
  /** What was left out, and why. */
  readonly skipped: readonly string[]
  /** What a reader of the numbers must know; lines that a package's own benchmark printed. */
  readonly notes: readonly string[]
}

/** What is written with --json. */
export interface ReportFile {
  readonly version: 1
  readonly startedAt: string
  readonly command: string
  readonly machine: Machine
  readonly reports: readonly BenchReport[]
}

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  readonly system: string
  readonly node: string
  readonly commit: string
}

export function describeMachine(): Machine {
  let commit = 'unknown'
  try {
    commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      cwd: import.meta.dirname,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    // Not a clone: the version of the package has to do.
  }
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    system: `${platform()} ${release()} ${arch()}`,
    node: process.version,
    commit,
  }
}

/** Rows of series that were measured in the same rounds. */
export function rowsOf(all: readonly Series[]): Row[] {
  return all.map((series) => {
    const { name, unit, values, work, cpuSeconds } = series
    const ratios: Record<string, Spread> = {}
    for (const reference of series.references) {
      const other = all.find((candidate) => candidate.name === reference)
      if (other && other.values.length === values.length) {
        ratios[reference] = spreadOf(values.map((value, round) => value / other.values[round]!))
      }
    }
    const perUnit = unit === 'MB/s' ? 1e9 : 1e-6
    const amount = (round: number) =>
      unit === 'MB/s' ? work[round]!.bytes / perUnit : work[round]!.operations * perUnit
    const groups = Object.keys(cpuSeconds[0] ?? {})
    return {
      name,
      unit,
      values,
      spread: spreadOf(values),
      ratios,
      cpu:
        groups.length === 0
          ? undefined
          : {
              unit: unit === 'MB/s' ? 's/GB' : 'µs each',
              groups: Object.fromEntries(
                groups.map((group) => [
                  group,
                  spreadOf(cpuSeconds.map((seconds, round) => seconds[group]! / amount(round))).median,
                ]),
              ),
            },
      checksum: work.at(-1)!.checksum,
    }
  })
}

export function target(name: string, unit: string, atMost: boolean, wanted: number, reached: number): Target {
  return { name, unit, wanted, atMost, reached, met: atMost ? reached <= wanted : reached >= wanted }
}

/** The report as text: tables of aligned columns. */
export function renderReport(report: BenchReport): string {
  const lines = [`\n${report.bench} (${report.size}, ${formatNumber(report.seconds)} s)`]
  if (report.rows.length > 0) {
    const rows = report.rows.map((row) => [
      row.name,
      `${formatNumber(row.spread.median)} ${row.unit}`,
      `${formatNumber(row.spread.min)}..${formatNumber(row.spread.max)}`,
      Object.entries(row.ratios)
        .map(([reference, { median }]) => `${formatNumber(median)} × ${reference}`)
        .join(', '),
      row.cpu
        ? `${Object.entries(row.cpu.groups)
            .map(([group, value]) => `${group} ${formatNumber(value)}`)
            .join(', ')} ${row.cpu.unit}`
        : '',
      row.checksum.slice(0, 8),
    ])
    lines.push(...table([['case', 'median', 'min..max', 'ratio', 'CPU', 'checksum'], ...rows]))
  }
  if (report.targets.length > 0) {
    const rows = report.targets.map(({ name, wanted, atMost, reached, met, unit }) => [
      name,
      `${atMost ? '≤' : '≥'} ${formatNumber(wanted)} ${unit}`,
      formatNumber(reached),
      met ? 'reached' : 'missed',
    ])
    lines.push('', ...table([['target', 'wanted', 'measured', ''], ...rows]))
  }
  const memory = Object.entries(report.memoryHighWater)
  if (memory.length > 0) {
    lines.push(
      '',
      `most resident memory, MiB: ${memory.map(([name, bytes]) => `${name} ${Math.round(bytes / 2 ** 20)}`).join(', ')}`,
    )
  }
  lines.push(...report.notes.map((note) => `  ${note}`), ...report.skipped.map((reason) => `SKIPPED: ${reason}`))
  return `${lines.join('\n')}\n`
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  )
}
