import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'
import { type BenchReport, benches, type ReportFile } from '../src/index.ts'

const run = promisify(execFile)
const main = join(import.meta.dirname, '../src/main.ts')

function bench(name: string, signal: AbortSignal): Promise<BenchReport> {
  return benches[name]!({ size: 'tiny', signal, deadlineMs: performance.now() + 120_000, progress: () => {} })
}

describe('a tiny run', () => {
  it('of the kernels has a row for each, and all encoders agree', async (t) => {
    const report = await bench('kernel', t.signal)
    const encoders = report.rows.filter(({ name }) => /^encode (FFT|matrix|from plain)/.test(name))
    assert.equal(encoders.length, 5)
    assert.equal(new Set(encoders.map(({ checksum }) => checksum)).size, 1)
    assert.ok(encoders.every(({ ratios }) => ratios['memcpy'] && ratios['encode scalar reference (64 KiB)']))
    const isal = report.rows.find(({ name }) => name === 'encode ISA-L')
    assert.equal(isal !== undefined, report.skipped.length === 0)
    if (isal) assert.equal(isal.checksum, encoders[0]!.checksum)
  })

  it('of the frames brings their lines', async (t) => {
    const frames = await bench('frames', t.signal)
    assert.ok(frames.notes.some((line) => line.includes('CPU s/GB')))
    assert.deepEqual(frames.skipped, [])
  })

  // It compares state roots with the reference block by block, so that it measures the right thing.
  it('of the ledger has a row for each kind of transaction and each root, and tells the memory of two states', async (t) => {
    const ledger = await bench('ledger', t.signal)
    const names = ledger.rows.map(({ name }) => name)
    assert.deepEqual(names.slice(0, 6), [
      'transfer',
      'transfer, @ethereumjs/vm',
      'ERC-20 transfer',
      'ERC-20 transfer, @ethereumjs/vm',
      'module call: faucet claim',
      'module call: territory mint',
    ])
    assert.equal(names.filter((name) => name.startsWith('root: ')).length, 5)
    assert.ok(ledger.rows[0]!.ratios['transfer, @ethereumjs/vm']!.median > 0)
    const roots = ledger.rows.filter(({ name }) => name.includes('one account'))
    assert.equal(new Set(roots.map(({ checksum }) => checksum)).size, 1)
    assert.equal(Object.keys(ledger.memoryHighWater).length, 2)
    assert.ok(ledger.notes.some((line) => line.includes('% of the time in the EVM')))
  })

  it('of proofs has right verdicts, and a row beside SHA-256 and RSA for each step', async (t) => {
    const report = await bench('podr2', t.signal)
    const names = report.rows.map(({ name }) => name)
    for (const step of ['tag', 'prove', 'verify'])
      assert.ok(names.some((name) => name.startsWith(step)) && names.includes(`${step} by RSA`))
    assert.ok(report.rows.every(({ unit, ratios, name }) => unit === 'ms' || name === 'SHA-256' || ratios['SHA-256']))
    assert.match(report.notes[0]!, /a proof has 128 bytes/)
    // Aims are for the blocks of main networks.
    assert.deepEqual(report.targets, [])
  })

  it('of committees tells where the time goes, and what becomes of it when one of four is killed', async (t) => {
    const report = await bench('consensus', t.signal)
    assert.deepEqual(report.skipped, [])
    assert.deepEqual(
      report.targets.map(({ name }) => name),
      [
        '4 validators: commit, p50',
        '4 validators: commit, p99',
        '4 validators: certified, p50',
        '4 validators: from idle, p50',
        '4 validators: transfers, to one alone',
        '4 validators: 1 killed, latency',
        '4 validators: 1 killed, pause',
        'order alone, 4 members: transactions',
      ],
    )
    assert.ok(report.targets.every(({ reached }) => reached > 0 && Number.isFinite(reached)))
    const stages = report.notes.find((line) => line.startsWith('4 validators, where the time goes'))
    for (const stage of ['pool', 'log', 'order', 'coin', 'execute', 'store', 'certificate']) {
      assert.match(stages ?? '', new RegExp(`[ ,]${stage} [0-9.]+ / [0-9]+`))
    }
    // Members whose orders differ end the run.
    const rows = report.rows.map(({ name }) => name)
    assert.deepEqual(rows, ['order alone, 4 members', 'order alone, 4 members, 50 ms apart'])
    assert.ok(report.rows.every(({ spread, checksum }) => spread.min > 0 && checksum.length === 16))
    assert.ok(report.notes.some((line) => /^4 validators, 50 ms apart: commit [0-9]+ \/ [0-9]+ ms/.test(line)))
  })

  it('writes its report as JSON, and refuses what it does not know', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'bench-test-'))
    try {
      const file = join(folder, 'report.json')
      const arguments_ = ['--conditions=@cumulus/source', main]
      const { stdout } = await run(process.execPath, [...arguments_, 'kernel', '--size', 'tiny', '--json', file])
      assert.match(stdout, /kernel \(tiny/)
      const { version, machine, reports } = JSON.parse(await readFile(file, 'utf8')) as ReportFile
      assert.equal(version, 1)
      assert.equal(machine.node, process.version)
      assert.equal(reports[0]!.bench, 'kernel')
      for (const bad of [['nonsense'], ['--size', 'huge'], ['--limit', 'x'], ['--wat']]) {
        await assert.rejects(run(process.execPath, [...arguments_, ...bad]), { code: 64 })
      }
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
