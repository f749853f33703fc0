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
    it('deploys what it compiled, uses it, reads its events, and is told why it is refused', async () => {
      const out = await made.project.hardhat('run', 'scripts/life.js', '--network', 'cumulus', '--no-compile')
      assert.match(out, /"token":"0x[0-9a-f]{40}"/)
    })
  })
  ethersUser(bench)
  viemUser(bench)
  plainUser(bench)
})
