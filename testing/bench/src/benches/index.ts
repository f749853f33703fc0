import type { Bench } from '../bench.ts'
import { consensusBench } from './consensus.ts'
import { kernelBench } from './kernel.ts'
import { ledgerBench } from './ledger.ts'
import { podr2Bench } from './podr2.ts'
import { s3Bench } from './s3.ts'
import { framesBench } from './scripts.ts'

export const benches: Readonly<Record<string, Bench>> = {
  kernel: kernelBench,
  frames: framesBench,
  ledger: ledgerBench,
  podr2: podr2Bench,
  consensus: consensusBench,
  s3: s3Bench,
}
