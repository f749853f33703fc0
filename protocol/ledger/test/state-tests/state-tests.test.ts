import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Address } from '@cumulus/types'
import { makeVectors } from './make-vectors.ts'
import { runStateTests, type StateTestFile, type StateTestOutcome } from './state-test.ts'

/** Ours, and the one before it where a release of the suite does not know ours yet: they differ in known places. */
const FORKS = ['Osaka', 'Prague']
/** Folder `GeneralStateTests` of github.com/ethereum/tests, or `state_tests` of the releases of execution-spec-tests. */
const folder = process.env['CUMULUS_STATE_TESTS']
const own = fileURLToPath(new URL('./vectors', import.meta.url))

async function runFolder(path: string): Promise<StateTestOutcome[]> {
  const names = (await readdir(path, { recursive: true })).filter((name) => name.endsWith('.json')).sort()
  const outcomes: StateTestOutcome[] = []
  for (const name of names) {
    const file = JSON.parse(await readFile(join(path, name), 'utf8')) as StateTestFile
    for await (const outcome of runStateTests(file, FORKS))
      outcomes.push({ ...outcome, name: `${name}: ${outcome.name}` })
  }
  return outcomes
}

const count = (outcomes: StateTestOutcome[], verdict: string) =>
  outcomes.filter((one) => one.verdict === verdict).length

describe('the runner of state tests', () => {
  it('passes cases made with another implementation: transfers, code, logs, reverts, refusals', async () => {
    const outcomes = await runFolder(own)
    assert.deepEqual(
      outcomes.filter(({ verdict }) => verdict === 'failed'),
      [],
    )
    assert.ok(count(outcomes, 'passed') >= 8, `${count(outcomes, 'passed')} passed`)
    assert.ok(outcomes.some(({ detail }) => detail === 'NONCE_TOO_HIGH'))
  })

  it('has cases that are what the other implementation makes of them', async () => {
    for (const [name, file] of Object.entries(await makeVectors())) {
      assert.deepEqual(JSON.parse(await readFile(join(own, name), 'utf8')), JSON.parse(JSON.stringify(file)))
    }
  })

  it('fails a case whose root, logs or refusal are not what is expected', async () => {
    const file = JSON.parse(await readFile(join(own, 'transfer.json'), 'utf8')) as StateTestFile
    const [[name, test]] = Object.entries(file) as [[string, StateTestFile[string]]]
    const [post] = test.post['Osaka']!
    for (const change of [
      { hash: post!.logs },
      { logs: post!.hash },
      { expectException: 'TransactionException.NONCE_MISMATCH_TOO_LOW' },
      { txbytes: `${post!.txbytes.slice(0, -2)}00` },
    ]) {
      const changed = { [name]: { ...test, post: { Osaka: [{ ...post!, ...change }] } } }
      for await (const { verdict } of runStateTests(changed, FORKS)) assert.equal(verdict, 'failed')
    }
  })

  it('skips what is meant to be otherwise here, and says why', async () => {
    const file = JSON.parse(await readFile(join(own, 'transfer.json'), 'utf8')) as StateTestFile
    const [test] = Object.values(file)
    const outcome = async (name: string, change: Partial<StateTestFile[string]> = {}) => {
      for await (const one of runStateTests({ [name]: { ...test!, ...change } }, FORKS)) return one
      return undefined
    }
    const precompile = await outcome('tests/cancun/eip4844_blobs/test_x.py::test_point_evaluation_precompile[...]')
    assert.equal(precompile?.verdict, 'skipped')
    assert.match(precompile.detail, /0x0a/)
    // A name alone is not enough: what is in a case must make the difference, and forks that price alike are run.
    assert.equal((await outcome('calls_around_point_evaluation'))?.verdict, 'passed')
    assert.equal((await outcome('test_modexp'))?.verdict, 'passed')
    const [account] = Object.keys(test!.pre) as Address[]
    const withCode = (code: string) => ({
      pre: { ...test!.pre, [`0x${'be'.repeat(20)}`]: { ...test!.pre[account!]!, code } },
    })
    const dear = { env: { ...test!.env, currentExcessBlobGas: '0x4c6964' } }
    const cheap = { env: { ...test!.env, currentExcessBlobGas: '0x1' } }
    assert.equal((await outcome('fees', { ...withCode('0x4a00'), ...dear }))?.verdict, 'skipped')
    assert.notEqual((await outcome('fees', { ...withCode('0x604a00'), ...dear }))?.verdict, 'skipped')
    assert.notEqual((await outcome('blobbasefee', { ...withCode('0x4a00'), ...cheap }))?.verdict, 'skipped')
  })
})

describe('the official GeneralStateTests', () => {
  const skip = folder
    ? false
    : 'NOT RUN: set CUMULUS_STATE_TESTS to the folder GeneralStateTests of ethereum/tests or state_tests of execution-spec-tests'
  it('agree with this ledger, but for the known differences', { skip }, async (t) => {
    const outcomes = await runFolder(folder!)
    for (const verdict of ['passed', 'failed', 'skipped']) t.diagnostic(`${verdict}: ${count(outcomes, verdict)}`)
    const reasons = new Map<string, number>()
    for (const { verdict, detail } of outcomes) {
      if (verdict === 'skipped') reasons.set(detail, (reasons.get(detail) ?? 0) + 1)
    }
    for (const [reason, cases] of reasons) t.diagnostic(`${cases} skipped: ${reason}`)
    const failed = outcomes.filter(({ verdict }) => verdict === 'failed')
    assert.ok(outcomes.length > 0, `no tests for ${FORKS} in ${folder}`)
    assert.deepEqual(failed.slice(0, 20), [], `${failed.length} of ${outcomes.length} failed`)
  })
})
