import { setImmediate as breathe } from 'node:timers/promises'
import { type AuditTimes, benchAudit } from '@cumulus/podr2/bench'
import type { Bench } from '../bench.ts'
import { type BenchReport, type Row, target } from '../report.ts'
import { formatNumber, spreadOf } from '../rounds.ts'

const sizes = {
  tiny: { sectorCount: 64, challengedCount: 8, miners: 3, rounds: 1, warmUps: 0 },
  small: { sectorCount: 32_768, challengedCount: 100, miners: 100, rounds: 3, warmUps: 1 },
  full: { sectorCount: 32_768, challengedCount: 100, miners: 100, rounds: 9, warmUps: 1 },
}

const SHA256 = 'SHA-256'

/** Tagging, proving and verifying stored data on one core, by the processor's clock, beside SHA-256 and tags of RSA. */
export const podr2Bench: Bench = async ({ size, signal, deadlineMs, progress }) => {
  const startMs = performance.now()
  const { sectorCount, challengedCount, miners, rounds, warmUps } = sizes[size]
  progress(`tags and proofs of ${miners} miners …`)
  const bench = benchAudit({ chainId: 1, sectorCount, challengedCount }, miners)
  const all: AuditTimes[] = []
  for (let round = 0; round < rounds + warmUps; round++) {
    // The kernels hold the thread: this is where Ctrl-C is heard.
    await breathe(undefined, { signal })
    if (all.length > 0 && performance.now() > deadlineMs) break
    const times = bench.round()
    if (round >= warmUps) all.push(times)
    progress(`round ${round + 1} of ${rounds + warmUps}`)
  }
  const row = (name: string, unit: Row['unit'], pick: (times: AuditTimes) => number): Row => {
    const values = all.map(pick)
    const ratios: Row['ratios'] = unit === 'MB/s' && name !== SHA256 ? { [SHA256]: ratioToSha256(all, pick) } : {}
    return { name, unit, values, spread: spreadOf(values), ratios, cpu: undefined, checksum: bench.checksum }
  }
  const rows = [
    row('kernel: F(α) alone', 'MB/s', ({ kernel }) => kernel),
    row('tag', 'MB/s', ({ tag }) => tag),
    row('hash (BLAKE3) and tag', 'MB/s', ({ hashAndTag }) => hashAndTag),
    row(SHA256, 'MB/s', ({ sha256 }) => sha256),
    row('prove', 'ms', ({ prove }) => prove),
    row('verify, one alone', 'ms', ({ verifySingle }) => verifySingle),
    row(`verify, each of ${miners} in a batch`, 'ms', ({ verifyBatched }) => verifyBatched),
    row('the same with one wrong', 'ms', ({ verifyBatchedOneWrong }) => verifyBatchedOneWrong),
    row('tag by RSA', 'MB/s', ({ rsaTag }) => rsaTag),
    row('prove by RSA', 'ms', ({ rsaProve }) => rsaProve),
    row('verify by RSA', 'ms', ({ rsaVerify }) => rsaVerify),
  ]
  return {
    bench: 'podr2',
    size,
    seconds: (performance.now() - startMs) / 1000,
    rows,
    // Of the blocks of main networks: smaller ones are another thing.
    targets: size === 'tiny' ? [] : targetsOf(all),
    memoryHighWater: {},
    skipped: all.length < rounds ? [`time limit: ${all.length} of ${rounds} rounds`] : [],
    notes: [
      `S = ${sectorCount}, c = ${challengedCount}: a proof has ${bench.proofBytes} bytes, by RSA ${bench.rsaProofBytes}; tags have ${bench.tagBytesPerFragment} bytes for a fragment of ${bench.fragmentBytes}`,
      `one core, processor time. The ${miners} miners of a batch differ in seats, names, tags, challenges and proofs; their blocks are small, since checking does not depend on S`,
      'RSA has 2048 bits and blocks of 7 KiB, its long powers are of OpenSSL',
      whatLimits(all, bench.fragmentBytes, bench.tagBytesPerFragment / 48),
    ],
  }
}

function ratioToSha256(all: readonly AuditTimes[], pick: (times: AuditTimes) => number) {
  return spreadOf(all.map((times) => pick(times) / times.sha256))
}

function medianOf(all: readonly AuditTimes[], pick: (times: AuditTimes) => number): number {
  return spreadOf(all.map(pick)).median
}

function targetsOf(all: readonly AuditTimes[]): BenchReport['targets'] {
  const kernel = ratioToSha256(all, (times) => times.kernel).median
  const tag = ratioToSha256(all, (times) => times.tag).median
  return [
    target('kernel: F(α) alone, to SHA-256', '×', false, 1.4, kernel),
    target('kernel with names and points, to SHA-256', '×', false, 1.4, tag),
    target(
      'hash and tag',
      'MB/s',
      false,
      400,
      medianOf(all, (times) => times.hashAndTag),
    ),
    target(
      'prove',
      'ms',
      true,
      3_000,
      medianOf(all, (times) => times.prove),
    ),
    target(
      'verify, one alone',
      'ms',
      true,
      60,
      medianOf(all, (times) => times.verifySingle),
    ),
    target(
      'verify, each in a batch',
      'ms',
      true,
      25,
      medianOf(all, (times) => times.verifyBatched),
    ),
  ]
}

/** What a block costs beside reading it does not depend on its size. */
function whatLimits(all: readonly AuditTimes[], bytes: number, blocks: number): string {
  const msOf = (rate: number) => bytes / rate / 1000 / blocks
  const read = msOf(medianOf(all, ({ kernel }) => kernel))
  const whole = msOf(medianOf(all, ({ tag }) => tag))
  const share = Math.round((100 * (whole - read)) / whole)
  return `of a tag's ${formatNumber(whole)} ms, reading the block takes ${formatNumber(read)}; the name and the points, whatever the size of a block, the other ${share} %`
}
