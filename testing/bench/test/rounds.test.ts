import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CpuMeter, memoryHighWater } from '../src/process-usage.ts'
import { renderReport, rowsOf, target } from '../src/report.ts'
import { type Case, formatNumber, type RoundsInit, runRounds, spreadOf } from '../src/rounds.ts'

const init: RoundsInit = {
  rounds: 3,
  meter: new CpuMeter({ client: CpuMeter.ourselves() }),
  settleMs: 0,
  deadlineMs: Number.POSITIVE_INFINITY,
  signal: new AbortController().signal,
  progress: () => {},
}

function fakeCase(name: string, order: string[], references: string[] = []): Case {
  return {
    name,
    unit: 'MB/s',
    groups: ['client'],
    references,
    run: async (round) => {
      order.push(`${name}${round}`)
      return { bytes: 1_000, operations: 1, checksum: 'c0ffee' }
    },
  }
}

describe('rounds', () => {
  it('are interleaved: every case once, then every case again', async () => {
    const order: string[] = []
    const series = await runRounds([fakeCase('a', order), fakeCase('b', order)], init)
    assert.deepEqual(order, ['a0', 'b0', 'a1', 'b1', 'a2', 'b2'])
    assert.deepEqual(
      series.map(({ values }) => values.length),
      [3, 3],
    )
  })

  it('do not begin after the time limit, and say so if none has run', async () => {
    await assert.rejects(runRounds([fakeCase('a', [])], { ...init, deadlineMs: 0 }), { code: 'OUT_OF_TIME' })
  })

  it('end when the signal aborts', async () => {
    const controller = new AbortController()
    const order: string[] = []
    const stopper: Case = {
      ...fakeCase('stop', order),
      run: async () => {
        controller.abort(new Error('enough'))
        return { bytes: 1, operations: 1, checksum: '' }
      },
    }
    await assert.rejects(
      runRounds([stopper, fakeCase('after', order)], { ...init, signal: controller.signal }),
      /enough|abort/,
    )
    assert.deepEqual(order, [])
  })
})

describe('a report', () => {
  it('divides by the reference within the same round, and takes the median of the quotients', () => {
    const work = { bytes: 2e9, operations: 4, checksum: 'abc' }
    const one = { unit: 'MB/s' as const, work: [work, work, work], cpuSeconds: [{ x: 1 }, { x: 4 }, { x: 2 }] }
    const [row] = rowsOf([
      { ...one, name: 'ours', references: ['theirs', 'absent'], values: [10, 10, 90] },
      { ...one, name: 'theirs', references: [], values: [5, 20, 30] },
    ])
    assert.deepEqual(row!.ratios, { theirs: { min: 0.5, median: 2, max: 3 } })
    assert.deepEqual(row!.cpu, { unit: 's/GB', groups: { x: 1 } })
    assert.deepEqual(row!.spread, { min: 10, median: 10, max: 90 })
  })

  it('counts microseconds for each of many small operations', () => {
    const work = { bytes: 4096, operations: 1_000, checksum: 'abc' }
    const [row] = rowsOf([
      { name: 'small', unit: 'per s', references: [], values: [1], work: [work], cpuSeconds: [{ gateway: 0.5 }] },
    ])
    assert.deepEqual(row!.cpu, { unit: 'µs each', groups: { gateway: 500 } })
  })

  it('is printed with what was skipped and which targets were missed', () => {
    const text = renderReport({
      bench: 'demo',
      size: 'tiny',
      seconds: 1,
      rows: [],
      targets: [target('memory', 'MiB', true, 512, 600), target('speed', 'per s', false, 10, 11)],
      memoryHighWater: { gateway: 2 ** 30 },
      skipped: ['nginx: not here'],
      notes: [],
    })
    assert.match(text, /memory.*≤ 512 MiB.*600.*missed/)
    assert.match(text, /speed.*≥ 10 per s.*11.*reached/)
    assert.match(text, /gateway 1024/)
    assert.match(text, /SKIPPED: nginx: not here/)
  })
})

describe('numbers', () => {
  it('have the middle of an even count between the two', () => {
    assert.deepEqual(spreadOf([4, 1, 3, 2]), { min: 1, median: 2.5, max: 4 })
    assert.throws(() => spreadOf([]), RangeError)
  })

  it('are short', () => {
    assert.equal(formatNumber(12_345.6), '12,346')
    assert.equal(formatNumber(1.23456), '1.23')
    assert.equal(formatNumber(Number.NaN), '-')
  })
})

describe('the CPU meter', { skip: process.platform !== 'linux' && 'reads /proc' }, () => {
  it('sees the same time in /proc as Node itself does', () => {
    for (const endMs = performance.now() + 60; performance.now() < endMs; );
    const fromProc = CpuMeter.processes([process.pid])()
    assert.ok(Math.abs(fromProc - CpuMeter.ourselves()()) <= 0.05, 'within some ticks of 10 ms')
    assert.ok(memoryHighWater(process.pid)! > 2 ** 20)
  })

  it('has nothing for a process that does not exist', () => {
    assert.equal(CpuMeter.processes([2 ** 30])(), 0)
    assert.equal(memoryHighWater(2 ** 30), undefined)
  })
})
