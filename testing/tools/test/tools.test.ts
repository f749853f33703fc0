import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { HardhatProject, LocalChain } from '../src/index.ts'
import type { Bench } from './bench.ts'
import { ethersUser } from './ethers-user.ts'
import { plainUser } from './plain-user.ts'
import { viemUser } from './viem-user.ts'

describe('tools of contract developers, unchanged', () => {
  let made: Bench
  const bench = () => made
  before(async () => {
    const chain = await LocalChain.start()
    const project = new HardhatProject(`${chain.dir}/hardhat`, chain.url)
    made = { chain, project }
    await project.hardhat('build')
  })
  after(() => made.chain.remove())

  describe('a Hardhat 3 project', () => {
    let token: string
    it('deploys what it compiled, uses it, reads its events, and is told why it is refused', async () => {
      const out = await made.project.hardhat('run', 'scripts/life.js', '--network', 'cumulus', '--no-compile')
      token = out.match(/"token":"(0x[0-9a-f]{40})"/)![1]!
    })

    it('verifies its source on the node, once', async () => {
      const args = ['verify', 'etherscan', '--network', 'cumulus', token, 'Votes', 'VOTE', String(10n ** 21n)]
      assert.match(await made.project.hardhat(...args), /verified/i)
      const answer = await fetch(`${made.chain.url}/api?module=contract&action=getabi&address=${token}`)
      const { status, result } = (await answer.json()) as { status: string; result: string }
      assert.equal(status, '1')
      assert.ok(result.includes('delegateBySig'))
      assert.match(await made.project.hardhat(...args), /already been verified/i)
    })
  })
  ethersUser(bench)
  viemUser(bench)
  plainUser(bench)
})
