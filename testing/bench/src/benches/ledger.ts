import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Bench, BenchContext } from '../bench.ts'
import { type BenchReport, type Row, type Size, type Target, target } from '../report.ts'
import { formatNumber, spreadOf } from '../rounds.ts'
import { runScript } from './scripts.ts'

/** Arguments of the scripts in `bench/`. */
interface Scale {
  /** Transactions a block, blocks, receivers. */
  readonly blocks: readonly [number, number, number]
  /** Leaves, dirty slots, leaves of the reference, rounds. */
  readonly root: readonly [number, number, number, number]
  readonly memory: { readonly slots: readonly number[]; readonly blocks: number }
}

const scales: Readonly<Record<Size, Scale>> = {
  tiny: { blocks: [5, 1, 10], root: [500, 20, 200, 1], memory: { slots: [1_000, 4_000], blocks: 2 } },
  small: { blocks: [100, 5, 1_000], root: [50_000, 1_000, 20_000, 5], memory: { slots: [20_000, 80_000], blocks: 20 } },
  full: {
    blocks: [200, 15, 2_000],
    root: [500_000, 1_000, 50_000, 9],
    memory: { slots: [100_000, 500_000], blocks: 50 },
  },
}

interface Times {
  readonly ms: number
  readonly cpuMs: number
}

interface BlocksLine {
  readonly kind: string
  readonly perBlock: number
  readonly rounds: readonly {
    readonly ours: Times & { readonly messageMs: number }
    readonly reference?: Times
    readonly gasUsed: number
  }[]
  readonly checksum: string
}

interface RootLine {
  readonly case: string
  readonly dirty: number
  readonly isReference?: boolean
  readonly rounds: readonly Times[]
  readonly checksum: string
}

interface Resident {
  /** Bytes of the process itself, of files that are mapped, and the most of both so far. */
  readonly own: number
  readonly file: number
  readonly most: number
}

export interface MemoryLine {
  readonly slots: number
  readonly blocks: number
  readonly start: Resident
  readonly usual: Resident
  readonly worst: Resident
}

/** What is wanted of one core. Source: design of the ledger, targets. */
const WANTED = { moduleCalls: 2_000, tokenTransfers: 1_000, rootMs: 40 }

const REFERENCE = '@ethereumjs/vm'
const MIB = 2 ** 20

/** Transactions, state roots and memory over LMDB, beside @ethereumjs; each script in a process of its own. */
export const ledgerBench: Bench = async (context) => {
  const startMs = performance.now()
  const { blocks, root } = scales[context.size]
  const rows: Row[] = []
  const targets: Target[] = []
  const notes: string[] = []
  for (const line of await run<BlocksLine>('ledger-blocks', blocks, context)) {
    rows.push(...blockRows(line))
    notes.push(shareOfMessages(line))
    targets.push(...blockTargets(line))
  }
  const roots = await run<RootLine>('ledger-root', root, context)
  rows.push(...rootRows(roots))
  // The target is meant for a trie of that size.
  if (context.size === 'full') {
    for (const line of roots.filter(({ isReference }) => !isReference)) {
      targets.push(target(`root of ${line.case}`, 'ms of one core', true, WANTED.rootMs, median(line.rounds, 'cpuMs')))
    }
  }
  const memory = await measureMemory(context)
  notes.push(...memory.map(describeMemory))
  return {
    bench: 'ledger',
    size: context.size,
    seconds: (performance.now() - startMs) / 1000,
    rows,
    // Blocks of a tiny run are too small to say anything.
    targets: context.size === 'tiny' ? [] : targets,
    memoryHighWater: Object.fromEntries(memory.map(({ slots, worst }) => [`ledger of ${slots} slots`, worst.most])),
    skipped: [],
    notes,
  } satisfies BenchReport
}

/** Our own store alone, at two sizes of the state: what grows with it is not bounded. */
export async function measureMemory(context: BenchContext): Promise<MemoryLine[]> {
  const { slots, blocks } = scales[context.size].memory
  const dir = await mkdtemp(join(tmpdir(), 'cumulus-bench-'))
  const found: MemoryLine[] = []
  try {
    for (const count of slots) {
      const folder = join(dir, String(count))
      await run('ledger-memory', ['fill', folder, count], context)
      found.push(...(await run<MemoryLine>('ledger-memory', ['run', folder, count, blocks], context)))
    }
  } finally {
    await rm(dir, { recursive: true })
  }
  return found
}

async function run<Line>(name: string, given: readonly (string | number)[], context: BenchContext): Promise<Line[]> {
  context.progress(`${name} ${given.join(' ')}`)
  const path = join(import.meta.dirname, `../../bench/${name}.ts`)
  const lines = await runScript(path, given.map(String), context)
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Line)
}

function blockRows({ kind, perBlock, rounds, checksum }: BlocksLine): Row[] {
  const rate = ({ ms }: Times) => (perBlock / ms) * 1000
  const row = (name: string, times: readonly Times[], ratios: Row['ratios']): Row => {
    const values = times.map(rate)
    const each = spreadOf(times.map(({ cpuMs }) => (cpuMs / perBlock) * 1000)).median
    const cpu = { unit: 'µs each', groups: { process: each } } as const
    return { name, unit: 'per s', values, spread: spreadOf(values), ratios, cpu, checksum }
  }
  const ours = rounds.map((round) => round.ours)
  const theirs = rounds.flatMap(({ reference }) => reference ?? [])
  if (theirs.length < ours.length) return [row(kind, ours, {})]
  const name = `${kind}, ${REFERENCE}`
  const ratio = spreadOf(ours.map((times, i) => rate(times) / rate(theirs[i]!)))
  return [row(kind, ours, { [name]: ratio }), row(name, theirs, {})]
}

function blockTargets({ kind, perBlock, rounds }: BlocksLine): Target[] {
  const isModule = kind.startsWith('module call')
  if (!isModule && kind !== 'ERC-20 transfer') return []
  // Of processor time, all threads together: others use the machine too, and a disk's flush is no work of the core.
  const perSecond =
    (perBlock /
      median(
        rounds.map(({ ours }) => ours),
        'cpuMs',
      )) *
    1000
  const wanted = isModule ? WANTED.moduleCalls : WANTED.tokenTransfers
  return [target(kind, 'per s of one core', false, wanted, perSecond)]
}

/** Where bytecode is most of the time, the EVM is the limit: the rest is what rooting, storing and fees take. */
function shareOfMessages({ kind, rounds }: BlocksLine): string {
  const share = spreadOf(rounds.map(({ ours }) => ours.messageMs / ours.ms)).median
  const gas = spreadOf(rounds.map(({ ours, gasUsed }) => gasUsed / ours.ms / 1000)).median
  const where = kind.startsWith('module') ? 'the module' : 'the EVM'
  return `${kind}: ${formatNumber(100 * share)} % of the time in ${where}; ${formatNumber(gas)} million gas a second`
}

function rootRows(lines: readonly RootLine[]): Row[] {
  const rate = ({ dirty }: RootLine, { ms }: Times) => (dirty / ms) * 1000
  const reference = lines.find(({ isReference }) => isReference)
  return lines.map((line) => {
    const values = line.rounds.map((times) => rate(line, times))
    const ratios: Record<string, Row['spread']> = {}
    if (reference && line !== reference) {
      const theirs = spreadOf(reference.rounds.map((times) => rate(reference, times))).median
      ratios['mpt'] = spreadOf(values.map((value) => value / theirs))
    }
    const groups = { process: (median(line.rounds, 'cpuMs') / line.dirty) * 1000 }
    const { checksum } = line
    const cpu = { unit: 'µs each', groups } as const
    return { name: `root: ${line.case}`, unit: 'per s', values, spread: spreadOf(values), ratios, cpu, checksum }
  })
}

function describeMemory({ slots, start, usual, worst }: MemoryLine): string {
  const own = [start, usual, worst].map((resident) => Math.round(resident.own / MIB))
  return `memory with ${slots.toLocaleString('en')} slots: ${own[0]} MiB opened, ${own[1]} after blocks, ${own[2]} after the worst ones; ${Math.round(worst.file / MIB)} MiB more are mapped files`
}

function median(times: readonly Times[], field: keyof Times): number {
  return spreadOf(times.map((one) => one[field])).median
}
