import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hexToBytes } from '@cumulus/bytes'
import { wordToBytes } from '../../src/trie/rlp.ts'
import { account, alice, batchOf, deployer, openLedger, sign } from './fixture.ts'

const other = account(95).address

/** Reads slots 5, 7 and 5 again, writes slot 9, asks for the balance of `other`, and for that of the caller. */
const TOUCHES = hexToBytes(`6005545060075450600554506001600955 73${other.slice(2)}3150 333150 00`.replaceAll(' ', ''))

describe('an access list', () => {
  it('names what a call touches, without what is warm anyway, and the gas it takes then', async () => {
    const { ledger } = await openLedger()
    const deploy = sign(alice, { nonce: 0n, data: deployer(TOUCHES), gasLimit: 300_000n })
    const { receipts } = await ledger.execute(batchOf(ledger, [deploy]))
    const to = receipts[0]!.contractAddress!
    const request = { from: alice.address, to, gas: 200_000n }
    const { accessList, gasUsed, error } = await ledger.createAccessList(request)
    assert.equal(error, undefined)
    assert.deepEqual(
      accessList.toSorted((a, b) => b.slots.length - a.slots.length),
      [
        { address: to, slots: [5n, 7n, 9n].map(wordToBytes) },
        { address: other.toLowerCase(), slots: [] },
      ],
    )
    // What it says is what the call costs with that list, and nothing has changed.
    assert.equal((await ledger.call({ ...request, accessList })).gasUsed, gasUsed)
    assert.notEqual((await ledger.call(request)).gasUsed, gasUsed)
    assert.equal(ledger.getStorage(to, 9n), 0n)
  })

  it('says why the call fails, and what it touched until then', async () => {
    const { ledger } = await openLedger()
    // Slot 3, then a revert.
    const data = deployer(hexToBytes('600354505f5ffd'))
    const { receipts } = await ledger.execute(batchOf(ledger, [sign(alice, { nonce: 0n, data, gasLimit: 300_000n })]))
    const to = receipts[0]!.contractAddress!
    const { accessList, error } = await ledger.createAccessList({ to })
    assert.deepEqual([accessList, error], [[{ address: to, slots: [wordToBytes(3n)] }], 'revert'])
  })
})
