import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Ed25519Key, verifyEd25519 } from '@cumulus/signature'
import { deletionMessage, signReceipt, verifyReceipt } from '@cumulus/storage'
import { groupId, seat, stripeNumber } from '@cumulus/types'

const key = new Ed25519Key(new Uint8Array(32).fill(7))
const statement = { group: groupId(1), stripe: stripeNumber(2), seat: seat(3), segmentRoot: new Uint8Array(32).fill(4) }

describe('a receipt', () => {
  const receipt = signReceipt(key, 27_102, statement)

  it('holds for its miner, chain, stripe, seat and root alone', () => {
    assert.ok(verifyReceipt(receipt, 27_102, key.publicKey))
    assert.ok(!verifyReceipt(receipt, 27_101, key.publicKey))
    assert.ok(!verifyReceipt(receipt, 27_102, new Ed25519Key(new Uint8Array(32)).publicKey))
    for (const change of [
      { group: groupId(2) },
      { stripe: stripeNumber(3) },
      { seat: seat(4) },
      { segmentRoot: new Uint8Array(32) },
    ]) {
      assert.ok(!verifyReceipt({ ...receipt, ...change }, 27_102, key.publicKey))
    }
  })
  it('does not pass for a deletion', () => {
    assert.ok(!verifyEd25519(receipt.signature, deletionMessage(27_102, statement), key.publicKey))
  })
})
