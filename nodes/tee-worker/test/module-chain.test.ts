import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ChainClient } from '@cumulus/chain'
import { minimal } from '@cumulus/params'
import { sleep } from '@cumulus/service'
import { moduleChain } from '../src/module-chain.ts'

describe('the chain of a TEE worker', () => {
  it('that does not answer is an error for who asks for the epoch, and nothing else', async () => {
    const away = new Error('no node answers')
    // The test fails if a question is left alone while another one is awaited: its failure is nobody's then.
    const client = {
      params: minimal,
      account: `0x${'11'.repeat(20)}`,
      block: () => Promise.reject(away),
      blockNumber: async () => {
        await sleep(20)
        throw away
      },
    } as unknown as ChainClient
    await assert.rejects(moduleChain(client).epoch(), away)
  })
})
