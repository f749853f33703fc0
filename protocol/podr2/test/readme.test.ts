import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { proof, verdicts } from './readme-example.ts'

describe('the README', () => {
  it('shows the example that runs here', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
    const example = readFileSync(new URL('./readme-example.ts', import.meta.url), 'utf8')
    assert.ok(readme.includes(example))
  })

  it('tells the truth about its results', () => {
    assert.equal(proof.length, 128)
    assert.deepEqual(verdicts, [{ ok: true }])
  })
})
