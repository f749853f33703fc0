import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { bytesToHex, hexToBytes, utf8Encode } from '@cumulus/bytes'
import type { ChainClient } from '@cumulus/chain'
import { keccak256 } from '@cumulus/hash'
import { moduleAbis } from '@cumulus/ledger/modules'
import { mainnet } from '@cumulus/params'
import { encodeFunctionData } from 'viem/utils'
import { judge } from '../src/index.ts'

const vector = (name: string) => readFile(new URL(`./vectors/${name}`, import.meta.url), 'utf8')
const quote = `0x${(await vector('tdx-quote.hex')).trim()}` as const
const collateral = bytesToHex(utf8Encode(await vector('tdx-collateral.json')))
const account = `0x${'11'.repeat(20)}` as const
const hash = `0x${'22'.repeat(32)}` as const
const SEPTEMBER = BigInt(Date.parse('2025-09-10T00:00:00Z') / 1000)

/** A chain that shows one submission. */
function chainWith(data: `0x${string}`): ChainClient {
  const worker = { peerKey: `0x${'33'.repeat(32)}`, taggerKey: `0x${'44'.repeat(288)}` }
  return {
    params: mainnet,
    read: async () => worker,
    calldata: async () => ({ from: account, to: moduleAbis.TeeWorkers.address, data }),
    block: async (number: bigint) => ({ hash, timestampSeconds: number === 0n ? SEPTEMBER - 86_400n : SEPTEMBER }),
  } as unknown as ChainClient
}

const renewal = (attestation: number, quoteHex: `0x${string}`, collateralHex: `0x${string}`) =>
  encodeFunctionData({
    abi: moduleAbis.TeeWorkers.abi,
    functionName: 'renew',
    args: [attestation, quoteHex, collateralHex, 5n],
  })

const submission = (quoteHex: `0x${string}`) => ({
  account,
  quoteHash: bytesToHex(keccak256(hexToBytes(quoteHex))),
  blockNumber: 9n,
  transactionHash: hash,
})

describe('the vote on an attestation', () => {
  it('is no, with the reason, for quotes that prove nothing of this worker', async () => {
    const cases = [
      [renewal(2, quote, collateral), 'OTHER_REPORT_DATA'],
      [renewal(1, quote, collateral), 'OTHER_KIND'],
      [renewal(2, quote, '0x1234'), 'MALFORMED_COLLATERAL'],
    ] as const
    for (const [data, reason] of cases) {
      const verdict = await judge(chainWith(data), submission(quote))
      assert.deepEqual({ ok: verdict.ok, reason: verdict.reason }, { ok: false, reason })
      // All who say no say the same, so that their votes are counted together.
      assert.equal(BigInt(verdict.measurement), 0n)
      assert.equal(verdict.expiresAtEpoch, 0n)
    }
    const garbage = `0x${'00'.repeat(500)}` as const
    assert.equal((await judge(chainWith(renewal(2, garbage, '0x')), submission(garbage))).reason, 'MALFORMED_QUOTE')
  })

  it('is no where the quote of the event is not in the transaction', async () => {
    for (const data of ['0x', '0x12345678', renewal(2, '0x1234', collateral)] as const) {
      assert.equal((await judge(chainWith(data), submission(quote))).reason, 'QUOTE_NOT_FOUND')
    }
  })
})
