import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

describe('the benchmark of blocks on disk', () => {
  it('runs, and its chains agree', async () => {
    const script = fileURLToPath(new URL('../bench/blocks.ts', import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--conditions=@cumulus/source',
      script,
      '50',
      '5',
      '3',
    ])
    assert.match(stdout, /LMDB, 1,024 blocks.*\nLMDB, 1 block .*\nmemory, .*\nreads .*\na proof .*\nfiles .*head /)
  })
})
