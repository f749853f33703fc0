import type { Bench } from '../bench.ts'
import { kernelBench } from './kernel.ts'
import { s3Bench } from './s3.ts'
import { framesBench, ledgerBench } from './scripts.ts'

export const benches: Readonly<Record<string, Bench>> = {
  kernel: kernelBench,
  frames: framesBench,
  ledger: ledgerBench,
  s3: s3Bench,
}
