import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const bench = (name: string, ...sizes: number[]) =>
  run(process.execPath, [
    '--conditions=@cumulus/source',
    fileURLToPath(new URL(`../../bench/${name}.ts`, import.meta.url)),
    ...sizes.map(String),
  ])

// They compare roots with the reference as they go, so a tiny run proves that they measure the right thing.
describe('the benchmarks', () => {
  it('run transactions in blocks', async () => {
    const { stdout } = await bench('transactions', 4, 1, 10)
    assert.match(
      stdout,
      /transfer .*ratio.*\ntoken transfer .*ratio.*\nbytecode .*ratio.*\nfaucet claim .*\nterritory mint .*\nmemory: /,
    )
  })

  it('compute state roots', async () => {
    const { stdout } = await bench('state-root', 100, 5, 20)
    assert.match(stdout, /5 dirty of 100: warm /)
  })
})
