// Speed of reading data as polynomials beside SHA-256, memcpy and the scalar reference, interleaved: every round runs every
// contender once, so that a noisy neighbour slows all alike.
//
//     node --conditions=@cumulus/source lib/polynomial/bench/evaluate.ts [blockSectors] [rounds]
//
// MB/s of one core by the processor's clock, not the wall's. Ratios are of rates, ours to that of SHA-256 (OpenSSL, with
// the SHA instructions of the processor) in the same round, the median over rounds.

import { FR_ORDER } from '@cumulus/bls'
import { sha256 } from '@cumulus/hash'
import { Combination, Evaluator, referenceEvaluate, SECTOR_BYTES } from '../src/index.ts'

/** One line of the table. */
export interface BenchResult {
  name: string
  mbPerSecondBest: number
  mbPerSecondMedian: number
  ratioToSha256: number
  checksum: string
}

interface Contender {
  name: string
  byteLength: number
  run(): string
}

const POINT = 0x1234567890abcdef1234567890abcdef1234567890abcdef1234567890abcdefn
const COEFFICIENT = 0xfedcba9876543210fedcba9876543210n

function contendersOf(sectorCount: number): Contender[] {
  const block = new Uint8Array(sectorCount * SECTOR_BYTES)
  let x = 1
  for (let i = 0; i < block.length; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0
    block[i] = x >>> 24
  }
  // Enough for a clock that ticks every ms, and some more.
  const repeats = Math.max(1, Math.ceil(30_000_000 / block.length))
  const evaluator = new Evaluator(POINT)
  const target = new Uint8Array(block.length)
  const small = block.subarray(0, Math.min(block.length, 30_000))
  const whole = (name: string, run: () => string): Contender => ({
    name,
    byteLength: repeats * block.length,
    run: () => {
      let result = ''
      for (let i = 0; i < repeats; i++) result = run()
      return result
    },
  })
  return [
    whole('evaluate: F(α) by 16-bit dot products', () => evaluator.evaluate(block).toString(16).slice(0, 12)),
    {
      name: 'combine: Σ ν·F, then divide',
      byteLength: repeats * block.length,
      run: () => {
        const combination = new Combination(sectorCount)
        for (let i = 0; i < repeats; i++) combination.add(block, COEFFICIENT)
        return combination
          .divide(POINT % FR_ORDER)
          .value.toString(16)
          .slice(0, 12)
      },
    },
    whole('memcpy', () => {
      target.set(block)
      return String(target.at(-1))
    }),
    {
      name: 'scalar reference (bigint)',
      byteLength: small.length,
      run: () => referenceEvaluate(small, POINT).toString(16).slice(0, 12),
    },
    whole('SHA-256', () => sha256(block).toHex().slice(0, 12)),
  ]
}

function processorUs(action: () => void): number {
  const start = process.cpuUsage()
  action()
  const { user, system } = process.cpuUsage(start)
  return Math.max(1, user + system)
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}

/** Runs all contenders in turns. */
export function benchEvaluate(sectorCount: number, roundCount: number): BenchResult[] {
  const contenders = contendersOf(sectorCount)
  const samples = contenders.map(() => ({ rates: [] as number[], checksum: '' }))
  const warmUpCount = 2
  for (let round = 0; round < roundCount + warmUpCount; round++) {
    contenders.forEach(({ run, byteLength }, i) => {
      const sample = samples[i]!
      const us = processorUs(() => {
        sample.checksum = run()
      })
      if (round >= warmUpCount) sample.rates.push(byteLength / us)
    })
  }
  const sha = samples.at(-1)!.rates
  return contenders.map(({ name }, i) => {
    const { rates, checksum } = samples[i]!
    return {
      name,
      mbPerSecondBest: Math.max(...rates),
      mbPerSecondMedian: median(rates),
      ratioToSha256: median(rates.map((rate, round) => rate / sha[round]!)),
      checksum,
    }
  })
}

if (import.meta.main) {
  const [sectors, rounds] = [2, 3].map((i) => process.argv[i]) as (string | undefined)[]
  process.stdout.write(`${'MB/s of one core'.padEnd(44)}    best  median   ×sha  checksum\n`)
  for (const result of benchEvaluate(Number(sectors ?? 32_768), Number(rounds ?? 15))) {
    const numbers = [result.mbPerSecondBest, result.mbPerSecondMedian].map((rate) =>
      rate.toFixed(rate < 100 ? 1 : 0).padStart(8),
    )
    process.stdout.write(
      `${result.name.padEnd(44)}${numbers.join('')}${result.ratioToSha256.toFixed(2).padStart(7)}  ${result.checksum}\n`,
    )
  }
}
