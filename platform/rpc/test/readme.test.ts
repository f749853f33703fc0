import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { createMetrics } from '@cumulus/service'
import { EtherscanApi } from '../src/etherscan/api.ts'
import { proxyActions } from '../src/etherscan/proxy.ts'
import { Filters } from '../src/filters.ts'
import { defaultLimits } from '../src/limits.ts'
import { MethodContext } from '../src/methods/context.ts'
import { createMethods } from '../src/methods/index.ts'
import { RpcMetrics } from '../src/metrics.ts'
import { errorNumbers } from '../src/rpc-error.ts'
import { FakeChain } from './fake-chain.ts'

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')

/** Words in back-quotes in the first column of a table under a heading. */
function listed(heading: string, pattern: RegExp): string[] {
  const section = readme.split(`## ${heading}\n`)[1]!.split('\n## ')[0]!
  const cells = section.split('\n').filter((line) => line.startsWith('| `'))
  return cells
    .flatMap((line) => [...line.split(' | ')[0]!.matchAll(/`([^`]+)`/g)].map(([, word]) => word!))
    .filter((word) => pattern.test(word))
}

describe('the README', () => {
  const chain = new FakeChain()
  const metrics = new RpcMetrics(createMetrics({ process: false }))
  const filters = new Filters(chain, defaultLimits, metrics, () => 0)

  it('lists exactly the methods that the server has', () => {
    const methods = Object.keys(createMethods(new MethodContext(chain, defaultLimits, filters)))
    assert.deepEqual(listed('Methods', /^[a-z0-9]+_\w+$/).toSorted(), methods.toSorted())
  })

  it('lists exactly the actions of the Etherscan API', () => {
    const api = new EtherscanApi({ chain, dispatcher: undefined as never, metrics, verifier: undefined })
    const actions = listed('Etherscan API', /^\w+$/)
    assert.deepEqual(
      actions.toSorted(),
      [...api.actions.map((name) => name.split('/')[1]!), ...proxyActions].toSorted(),
    )
  })

  it('lists every error with its number', () => {
    const section = readme.split('## Errors\n')[1]!
    for (const [code, number] of Object.entries(errorNumbers)) {
      assert.ok(section.includes(code) && section.includes(String(number)), code)
    }
  })

  it('lists every limit by the name it is set by', () => {
    const section = readme.split('## Limits\n')[1]!.split('\n## ')[0]!
    for (const name of Object.keys(defaultLimits)) assert.ok(section.includes(`\`${name}\``), name)
  })
})
