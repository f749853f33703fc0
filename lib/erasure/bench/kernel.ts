// Speed of the kernels, interleaved: every round runs every contender once, so that a noisy neighbour slows all alike.
//
//     node --conditions=@cumulus/source lib/erasure/bench/kernel.ts [fragmentMiB] [rounds]
//
// MB/s counts data (the k data fragments) for encode and rebuild alike. Ratios are to copying the same output from the
// data with memcpy within the same round, the median over rounds; the checksums show that contenders agree.
// Intel ISA-L is measured beside them if gcc and libisal are there (LIBRARY_PATH and LD_LIBRARY_PATH are honoured).

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  CODEC_FFT_4_8,
  ErasureArena,
  ErasureCode,
  generatorMatrix,
  type KernelBuild,
  referenceEncode,
} from '../src/index.ts'
import { Kernel, productTables } from '../src/kernel.ts'
import { invertMatrix } from '../src/matrix.ts'

/** One line of the table. */
export interface BenchResult {
  name: string
  /** Data bytes per microsecond in the best round, and in the median one. */
  mbPerSecondBest: number
  mbPerSecondMedian: number
  /** Time of memcpy for as many output bytes over ours, median of the rounds; 1 is the speed of memory. */
  ratioToCopy: number
  /** FNV-1a over a sample of the output. */
  checksum: string
}

interface Contender {
  name: string
  dataBytes: number
  outputCount: number
  run(): void
  outputs(): readonly Uint8Array[]
}

const [DATA_COUNT, PARITY_COUNT] = [4, 8]
const FRAGMENT_COUNT = DATA_COUNT + PARITY_COUNT
const shape = { dataCount: DATA_COUNT, parityCount: PARITY_COUNT }
const LAST_FOUR = [8, 9, 10, 11]

/** The same bytes isal.c makes. */
function fill(bytes: Uint8Array): void {
  let x = 1
  for (let i = 0; i < bytes.length; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0
    bytes[i] = x >>> 24
  }
}

function checksum(outputs: readonly Uint8Array[]): string {
  let hash = 2166136261
  for (const bytes of outputs) {
    for (let i = 0; i < bytes.length; i += 61) hash = Math.imul(hash ^ bytes[i]!, 16777619)
  }
  return (hash >>> 0).toString(16).padStart(8, '0')
}

function arenaContenders(kernelBuild: KernelBuild, fragmentBytes: number): Contender[] {
  const code = ErasureCode.create({ ...shape, codec: CODEC_FFT_4_8, kernelBuild })
  const arena = new ErasureArena(code, fragmentBytes)
  fill(arena.data)
  arena.encode()
  const dataBytes = DATA_COUNT * fragmentBytes
  const range = (first: number, count: number) => Array.from({ length: count }, (_, i) => arena.fragment(first + i))
  const rebuilds = [1, 2, 3, 4].map((lost) => ({
    name: `rebuild ${lost} of 4 lost, ${kernelBuild}`,
    dataBytes,
    outputCount: lost,
    run: () =>
      arena.rebuild(
        LAST_FOUR,
        range(0, lost).map((_, i) => i),
      ),
    outputs: () => range(0, lost),
  }))
  return [
    {
      name: `encode FFT (codec 1 and 2), ${kernelBuild}`,
      dataBytes,
      outputCount: PARITY_COUNT,
      run: () => arena.encode(),
      outputs: () => range(DATA_COUNT, PARITY_COUNT),
    },
    ...rebuilds,
  ]
}

/** What codec 1 costs where there is no FFT: the 8×4 matrix, straight on the kernel. */
function matrixContender(kernelBuild: KernelBuild, fragmentBytes: number): Contender {
  const kernel = new Kernel(shape, FRAGMENT_COUNT * fragmentBytes, kernelBuild)
  const addresses = Array.from({ length: FRAGMENT_COUNT }, (_, i) => kernel.payloadOffset + i * fragmentBytes)
  const view = (address: number) => kernel.memory.subarray(address, address + fragmentBytes)
  fill(kernel.memory.subarray(kernel.payloadOffset, kernel.payloadOffset + DATA_COUNT * fragmentBytes))
  const tables = productTables(generatorMatrix(shape).slice(DATA_COUNT), DATA_COUNT)
  return {
    name: `encode matrix (codec 1, generic), ${kernelBuild}`,
    dataBytes: DATA_COUNT * fragmentBytes,
    outputCount: PARITY_COUNT,
    run: () => kernel.multiply(tables, addresses.slice(0, DATA_COUNT), addresses.slice(DATA_COUNT), fragmentBytes),
    outputs: () => addresses.slice(DATA_COUNT).map(view),
  }
}

/** Plain arrays: the kernel and the copies through its small memory. */
function copyingContender(fragmentBytes: number): Contender {
  const code = ErasureCode.create(shape)
  const segment = new Uint8Array(DATA_COUNT * fragmentBytes)
  fill(segment)
  const data = Array.from({ length: DATA_COUNT }, (_, i) =>
    segment.subarray(i * fragmentBytes, (i + 1) * fragmentBytes),
  )
  const parity = Array.from({ length: PARITY_COUNT }, () => new Uint8Array(fragmentBytes))
  return {
    name: `encode from plain Uint8Arrays, ${code.kernelBuild}`,
    dataBytes: segment.length,
    outputCount: PARITY_COUNT,
    run: () => code.encode(data, parity),
    outputs: () => parity,
  }
}

/** On less data than the others, since it is some hundred times slower; so its checksum is its own. */
function referenceContender(fragmentBytes: number): Contender {
  const generator = generatorMatrix(shape)
  const segment = new Uint8Array(DATA_COUNT * fragmentBytes)
  fill(segment)
  const data = Array.from({ length: DATA_COUNT }, (_, i) =>
    segment.subarray(i * fragmentBytes, (i + 1) * fragmentBytes),
  )
  let parity: readonly Uint8Array[] = []
  return {
    name: `encode scalar reference (${fragmentBytes / 1024} KiB)`,
    dataBytes: segment.length,
    outputCount: PARITY_COUNT,
    run: () => {
      parity = referenceEncode(generator, data)
    },
    outputs: () => parity,
  }
}

function timeMs(action: () => void): number {
  const start = performance.now()
  action()
  return performance.now() - start
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}

/** Runs all contenders in turns. */
export function benchKernels(fragmentBytes: number, roundCount: number): BenchResult[] {
  const contenders = [
    ...(['relaxed', 'simd'] as const).flatMap((build) => [
      ...arenaContenders(build, fragmentBytes),
      matrixContender(build, fragmentBytes),
    ]),
    copyingContender(fragmentBytes),
    referenceContender(Math.min(fragmentBytes, 65536)),
  ]
  // memcpy of the same shape: whole data in, as many fragments out, at the same distances.
  const copyMemory = new Uint8Array(FRAGMENT_COUNT * fragmentBytes)
  const copy = (outputCount: number) => {
    for (let i = 0; i < outputCount; i++) {
      const source = (i % DATA_COUNT) * fragmentBytes
      copyMemory.copyWithin((DATA_COUNT + i) * fragmentBytes, source, source + fragmentBytes)
    }
  }
  fill(copyMemory)
  const samples = contenders.map(() => ({ ms: [] as number[], ratios: [] as number[] }))
  const warmUpCount = 3
  for (let round = 0; round < roundCount + warmUpCount; round++) {
    contenders.forEach(({ run, outputCount, dataBytes }, i) => {
      const copyMs = timeMs(() => copy(outputCount)) * (dataBytes / (DATA_COUNT * fragmentBytes))
      const ms = timeMs(run)
      if (round < warmUpCount) return
      samples[i]!.ms.push(ms)
      samples[i]!.ratios.push(copyMs / ms)
    })
  }
  return contenders.map(({ name, dataBytes, outputs }, i) => {
    const { ms, ratios } = samples[i]!
    return {
      name,
      mbPerSecondBest: dataBytes / Math.min(...ms) / 1000,
      mbPerSecondMedian: dataBytes / median(ms) / 1000,
      ratioToCopy: median(ratios),
      checksum: checksum(outputs()),
    }
  })
}

/** Lines of ISA-L, or the reason why there are none. */
export function benchIsal(fragmentBytes: number, roundCount: number): BenchResult[] | string {
  const folder = mkdtempSync(join(tmpdir(), 'erasure-isal-'))
  try {
    const program = join(folder, 'isal')
    const source = new URL('./isal.c', import.meta.url).pathname
    const compile = (library: string) => execFileSync('gcc', ['-O2', '-o', program, source, library], { stdio: 'pipe' })
    try {
      compile('-lisal')
    } catch {
      compile('-l:libisal.so.2') // without libisal-dev there is no libisal.so
    }
    const generator = generatorMatrix(shape)
    const decode = invertMatrix(LAST_FOUR.map((index) => generator[index]!))
    const input = [...generator.slice(DATA_COUNT), ...decode].map((row) => Buffer.from(row).toString('hex')).join('')
    const text = execFileSync(program, [String(fragmentBytes), String(roundCount)], { input, encoding: 'utf8' })
    return text
      .trim()
      .split('\n')
      .map((line) => {
        const [name, best, middle, sum] = line.split(' ') as [string, string, string, string]
        return {
          name: `${name} ISA-L`,
          mbPerSecondBest: (DATA_COUNT * fragmentBytes) / Number(best) / 1000,
          mbPerSecondMedian: (DATA_COUNT * fragmentBytes) / Number(middle) / 1000,
          ratioToCopy: Number.NaN,
          checksum: sum,
        }
      })
  } catch (error) {
    return error instanceof Error ? error.message.split('\n').slice(0, 3).join(' ') : String(error)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function formatResult({ name, mbPerSecondBest, mbPerSecondMedian, ratioToCopy, checksum }: BenchResult): string {
  const ratio = Number.isNaN(ratioToCopy) ? '-' : ratioToCopy.toFixed(2)
  const numbers = [mbPerSecondBest.toFixed(0), mbPerSecondMedian.toFixed(0), ratio].map((text) => text.padStart(8))
  return `${name.padEnd(44)}${numbers.join('')}  ${checksum}\n`
}

if (import.meta.main) {
  const fragmentBytes = Number(process.argv[2] ?? 8) * 2 ** 20
  const roundCount = Number(process.argv[3] ?? 15)
  process.stdout.write(`4+8, fragments of ${fragmentBytes / 2 ** 20} MiB, ${roundCount} rounds, one core\n`)
  process.stdout.write(`${'MB of data per second'.padEnd(44)}    best  median  ×copy  checksum\n`)
  for (const result of benchKernels(fragmentBytes, roundCount)) process.stdout.write(formatResult(result))
  const isal = benchIsal(fragmentBytes, roundCount)
  if (typeof isal === 'string') process.stdout.write(`\nSKIPPED: Intel ISA-L cannot be built or run here: ${isal}\n`)
  else for (const result of isal) process.stdout.write(formatResult(result))
}
