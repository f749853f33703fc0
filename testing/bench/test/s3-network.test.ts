import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { describe, it } from 'node:test'
import { benches, type Row } from '../src/index.ts'

const leftovers = async () => (await readdir(tmpdir())).filter((name) => name.startsWith('cumulus-bench-'))

describe('a tiny run of S3 on a network of real processes', {
  skip: process.platform !== 'linux' && 'reads /proc',
}, () => {
  it('verifies every object, counts the time of every group, and leaves nothing behind', async (t) => {
    const before = new Set(await leftovers())
    const progress = (line: string) => t.diagnostic(line)
    const report = await benches['s3']!({
      size: 'tiny',
      signal: t.signal,
      deadlineMs: performance.now() + 150_000,
      progress,
    })
    const row = (name: string): Row => {
      const found = report.rows.find((candidate) => candidate.name === name)
      assert.ok(found, `no row "${name}"`)
      return found
    }
    for (const name of [
      'PUT big, unsigned',
      'PUT big, signed',
      'GET big',
      'GET big, 8 of 12 miners gone',
      'PUT 4 KiB, unsigned',
      'PUT 4 KiB, signed',
      'GET 4 KiB',
      'GET 4 KiB, 8 of 12 miners gone',
    ]) {
      assert.deepEqual(Object.keys(row(name).cpu!.groups), ['gateway', 'miners', 'validators', 'taggers', 'client'])
      assert.ok(row(name).spread.min > 0)
    }
    // The digests of what the patterns must be: no bench can pass with other bytes.
    assert.equal(row('GET big, 8 of 12 miners gone').checksum, row('cp and fsync').checksum)
    assert.equal(row('GET 4 KiB, 8 of 12 miners gone').checksum, row('write and fsync').checksum)
    assert.ok('cp and fsync' in row('PUT big, unsigned').ratios)
    assert.equal(Object.keys(report.memoryHighWater).length, 18)
    assert.equal(report.targets.length, 5)
    assert.deepEqual(
      (await leftovers()).filter((name) => !before.has(name)),
      [],
    )
  })

  it('ends its processes and removes its folder when it is stopped while the network starts', async (t) => {
    const before = new Set(await leftovers())
    const stop = new AbortController()
    const running = benches['s3']!({
      size: 'tiny',
      signal: AbortSignal.any([stop.signal, t.signal]),
      deadlineMs: performance.now() + 60_000,
      progress: (line) => {
        if (line.startsWith('starting')) setTimeout(() => stop.abort(new Error('enough')), 1_500)
      },
    })
    await assert.rejects(running, /enough/)
    assert.deepEqual(
      (await leftovers()).filter((name) => !before.has(name)),
      [],
    )
  })
})
