import { setImmediate as breathe } from 'node:timers/promises'
import { benchIsal, benchKernels } from '@cumulus/erasure/bench'
import type { Bench } from '../bench.ts'
import { BenchError } from '../bench-error.ts'
import { rowsOf } from '../report.ts'
import type { Series } from '../rounds.ts'

const sizes = {
  tiny: { fragmentBytes: 65_536, rounds: 1, turns: 1 },
  small: { fragmentBytes: 8 * 2 ** 20, rounds: 3, turns: 3 },
  full: { fragmentBytes: 8 * 2 ** 20, rounds: 9, turns: 3 },
}

const ISAL = 'ISA-L'
const encodesAlike = /^encode (FFT|matrix|from plain|ISA-L)/
const scalar = /scalar/

/** Encoding and rebuilding 4+8 on one core, in MB of data per second, beside memcpy, the scalar reference and ISA-L. */
export const kernelBench: Bench = async ({ size, signal, deadlineMs, progress }) => {
  const startMs = performance.now()
  const { fragmentBytes, rounds, turns } = sizes[size]
  const series = new Map<string, Series & { copy: number[] }>()
  const skipped: string[] = []
  for (let round = 0; round < rounds && (round === 0 || performance.now() < deadlineMs); round++) {
    // The kernels hold the thread: this is where Ctrl-C is heard.
    await breathe(undefined, { signal })
    const isal = skipped.length === 0 ? benchIsal(fragmentBytes, turns) : []
    if (typeof isal === 'string') skipped.push(`Intel ISA-L cannot be built or run here: ${isal}`)
    const results = [
      ...benchKernels(fragmentBytes, turns),
      ...(typeof isal === 'string' ? [] : isal.map((result) => ({ ...result, name: isalName(result.name) }))),
    ]
    for (const { name, mbPerSecondMedian, ratioToCopy, checksum } of results) {
      const entry = series.get(name) ?? {
        name,
        unit: 'MB/s',
        references: [],
        values: [],
        work: [],
        cpuSeconds: [],
        copy: [],
      }
      series.set(name, entry)
      entry.values.push(mbPerSecondMedian)
      entry.copy.push(ratioToCopy)
      entry.work.push({ bytes: 4 * fragmentBytes, operations: 1, checksum })
    }
    progress(`round ${round + 1} of ${rounds}`)
  }
  const all = [...series.values()].map((entry) => ({ ...entry, references: referencesOf(entry.name, series) }))
  assertAlike(all.filter(({ name }) => encodesAlike.test(name)))
  for (const lost of [1, 2, 3, 4]) {
    assertAlike(all.filter(({ name }) => name.startsWith(`rebuild ${lost} `)))
  }
  const rows = rowsOf(all).map((row, i) => {
    const { copy } = all[i]!
    const known = copy.filter((ratio) => !Number.isNaN(ratio)).sort((a, b) => a - b)
    if (known.length === 0) return row
    const memcpy = { min: known[0]!, median: known[known.length >> 1]!, max: known.at(-1)! }
    return { ...row, ratios: { memcpy, ...row.ratios } }
  })
  return {
    bench: 'kernel',
    size,
    seconds: (performance.now() - startMs) / 1000,
    rows,
    targets: [],
    memoryHighWater: {},
    skipped,
    notes: [
      `4+8, fragments of ${fragmentBytes / 1024} KiB, one core; a value is the median of ${turns} turns in a round`,
      'outputs of all encoders agree, and of all rebuilders',
    ],
  }
}

/** `encode ISA-L` stays; `rebuild4 ISA-L` is written as our own rows are. */
function isalName(name: string): string {
  const lost = /^rebuild(\d)/.exec(name)?.[1]
  return lost ? `rebuild ${lost} of 4 lost, ${ISAL}` : name
}

function referencesOf(name: string, series: ReadonlyMap<string, Series>): string[] {
  if (name.includes(ISAL) || scalar.test(name)) return []
  const counterpart = name.startsWith('rebuild') ? `${name.split(',')[0]}, ${ISAL}` : `encode ${ISAL}`
  const reference = name.startsWith('encode') ? [...series.keys()].find((key) => scalar.test(key)) : undefined
  return [counterpart, reference].filter((key): key is string => key !== undefined && series.has(key))
}

function assertAlike(alike: readonly Series[]): void {
  const sums = new Set(alike.flatMap(({ work }) => work.map(({ checksum }) => checksum)))
  if (sums.size > 1) {
    const found = alike.map(({ name, work }) => `${name} ${work[0]!.checksum}`).join(', ')
    throw new BenchError('WRONG_BYTES', `kernels disagree: ${found}`)
  }
}
