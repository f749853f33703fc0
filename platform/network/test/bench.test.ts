import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'

describe('the benchmark of frames', () => {
  it('runs', async () => {
    const script = new URL('../bench/frames.ts', import.meta.url).pathname
    const { stdout } = await promisify(execFile)(process.execPath, [...process.execArgv, script, '1', '8', '50'])
    assert.match(stdout, /put by the dialling side: .* CPU s\/GB/)
    assert.match(stdout, /4 KiB each way.* \d+\/s/)
  })
})
