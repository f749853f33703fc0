import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

const MODEL = fileURLToPath(new URL('../../../protocol/r2s/model/r2s.qnt', import.meta.url))
const QUINT = createRequire(import.meta.url).resolve('@informalsystems/quint/dist/src/cli.js')

/** Runs the model with random choices until agreement breaks or all samples are done. */
function run(module: string, samples: number): { ok: boolean; text: string } {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [
      QUINT,
      'run',
      MODEL,
      `--main=${module}`,
      '--invariant=agreement',
      '--witnesses',
      'committed',
      'skipped',
      'twinsMade',
      '--backend=typescript', // the other one is fetched from the network
      `--max-samples=${samples}`,
      '--max-steps=92',
      '--seed=1',
      '--verbosity=1',
    ],
    { encoding: 'utf8' },
  )
  return { ok: stdout.includes('[ok] No violation found'), text: stdout + stderr }
}

describe('the Quint model of the ordering rule', () => {
  it('keeps agreement with one equivocator among four, while slots are committed and skipped', () => {
    const { ok, text } = run('one_traitor', Number(process.env['CUMULUS_MODEL_SAMPLES'] ?? 25))
    assert.ok(ok, text)
    for (const witness of ['committed', 'skipped', 'twinsMade']) {
      assert.match(text, new RegExp(`${witness} was witnessed in [1-9]`), text)
    }
  })

  for (const control of ['small_quorum', 'two_traitors']) {
    it(`loses agreement beyond the bound: ${control}`, () => {
      const { text } = run(control, 200)
      assert.match(text, /\[violation\]/, text)
    })
  }
})
