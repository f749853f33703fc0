import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bytesToHex, DecodeError } from '@cumulus/bytes'
import fc from 'fast-check'
import { serializeTransaction, type TransactionSerializable } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { HALF_ORDER } from '../../src/chain/transaction.ts'
import { decodeTransaction, TRANSACTION_BYTES_MAX, type Transaction } from '../../src/index.ts'
import { alice, bob, carol } from './fixture.ts'

const signer = privateKeyToAccount(bytesToHex(alice.privateKey))
const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })
const u128 = fc.bigInt({ min: 0n, max: (1n << 128n) - 1n })
const common = {
  chainId: fc.integer({ min: 1, max: 2 ** 31 }),
  nonce: fc.integer({ min: 0, max: 2 ** 32 }),
  gas: u64,
  to: fc.constantFrom(bob.address, carol.address),
  value: u128,
  data: fc.uint8Array({ maxLength: 80 }).map(bytesToHex),
}
const accessList = fc.array(
  fc.record({
    address: fc.constantFrom(bob.address, carol.address),
    storageKeys: fc.array(fc.uint8Array({ minLength: 32, maxLength: 32 }).map(bytesToHex), { maxLength: 3 }),
  }),
  { maxLength: 3 },
)
const anyTransaction: fc.Arbitrary<TransactionSerializable> = fc.oneof(
  fc.record({
    type: fc.constant('legacy' as const),
    gasPrice: u128,
    ...common,
    to: fc.option(common.to, { nil: undefined }),
  }),
  fc.record({ type: fc.constant('eip2930' as const), gasPrice: u128, accessList, ...common }),
  fc
    .record({ type: fc.constant('eip1559' as const), tip: u128, room: u128, accessList, ...common })
    .map(({ tip, room, ...tx }) => ({ ...tx, maxFeePerGas: tip + room, maxPriorityFeePerGas: tip })),
)

describe('a transaction', () => {
  it('that viem signed is decoded to the same fields, hash and signer', async () => {
    await fc.assert(
      fc.asyncProperty(anyTransaction, async (tx) => {
        const raw = Uint8Array.fromHex((await signer.signTransaction(tx)).slice(2))
        const decoded: Transaction = decodeTransaction(raw)
        assert.equal(decoded.sender, signer.address.toLowerCase())
        assert.equal(decoded.chainId, BigInt(tx.chainId!))
        assert.equal(decoded.nonce, BigInt(tx.nonce!))
        assert.equal(decoded.gasLimit, tx.gas)
        assert.equal(decoded.to, tx.to ?? undefined)
        assert.equal(decoded.value, tx.value)
        assert.equal(bytesToHex(decoded.data), tx.data)
        assert.equal(decoded.maxFeePerGas, tx.maxFeePerGas ?? tx.gasPrice)
        assert.equal(decoded.maxPriorityFeePerGas, tx.maxPriorityFeePerGas ?? tx.gasPrice)
        assert.deepEqual(
          decoded.accessList.map(({ address, slots }) => ({ address, storageKeys: slots.map(bytesToHex) })),
          (tx.accessList ?? []).map(({ address, storageKeys }) => ({ address, storageKeys: [...storageKeys] })),
        )
      }),
      { numRuns: 60 },
    )
  })

  it('with any byte changed is refused, or is another with another hash', async () => {
    const raw = Uint8Array.fromHex(
      (
        await signer.signTransaction({
          type: 'eip1559',
          chainId: 5,
          nonce: 1,
          gas: 21_000n,
          to: bob.address,
          value: 7n,
        })
      ).slice(2),
    )
    const original = decodeTransaction(raw)
    fc.assert(
      fc.property(fc.nat(raw.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = raw.slice()
        changed[at]! ^= change
        let decoded: Transaction
        try {
          decoded = decodeTransaction(changed)
        } catch (error) {
          assert.ok(error instanceof DecodeError)
          return
        }
        assert.notDeepEqual(decoded.hash, original.hash)
        assert.notEqual(decoded.sender, original.sender)
      }),
    )
  })

  it('with a malleable signature has no sender (EIP-2)', async () => {
    const tx = { type: 'legacy', chainId: 5, nonce: 1, gas: 21_000n, gasPrice: 1n, to: bob.address } as const
    const good = decodeTransaction(Uint8Array.fromHex((await signer.signTransaction(tx)).slice(2)))
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
    assert.equal(HALF_ORDER, order / 2n)
    const word = (value: bigint) => `0x${value.toString(16).padStart(64, '0')}` as const
    const twin = serializeTransaction(tx, {
      r: word(good.r),
      s: word(order - good.s),
      v: BigInt(35 + 10 + (1 - good.yParity)),
    })
    assert.equal(decodeTransaction(Uint8Array.fromHex(twin.slice(2))).sender, undefined)
  })

  it('takes the sender it is told, for whoever recovered it already', async () => {
    const raw = Uint8Array.fromHex(
      (await signer.signTransaction({ chainId: 5, nonce: 0, gas: 1n, gasPrice: 1n })).slice(2),
    )
    assert.equal(decodeTransaction(raw, carol.address).sender, carol.address)
  })

  it('is refused above 128 KiB before anything is decoded', () => {
    assert.throws(() => decodeTransaction(new Uint8Array(TRANSACTION_BYTES_MAX + 1)), /at most 131072 bytes/)
  })

  it('is never an exception of another kind, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.constantFrom(0x01, 0x02, 0x04, 0xc0, 0xf8), fc.uint8Array({ maxLength: 200 }), (first, rest) => {
        try {
          decodeTransaction(Uint8Array.of(first, ...rest))
        } catch (error) {
          assert.ok(error instanceof DecodeError)
        }
      }),
      { numRuns: 2000 },
    )
  })
})
