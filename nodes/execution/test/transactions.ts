import { hexToBytes } from '@cumulus/bytes'
import { decodeTransaction, type Transaction } from '@cumulus/ledger'
import type { Address } from '@cumulus/types'
import { type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts'

export const CHAIN_ID = 27_103

/** Accounts by number, the same in every run. */
export function testAccount(index: number): PrivateKeyAccount {
  return privateKeyToAccount(testKey(index))
}

export function testKey(index: number): `0x${string}` {
  return `0x${(index + 1).toString(16).padStart(64, '0')}`
}

interface Wanted {
  /** Default: eip1559. The older two pay `maxFee` for each gas, all of it beyond the base fee as a tip. */
  readonly type?: 'legacy' | 'eip2930' | 'eip1559' | 'eip7702'
  readonly nonce?: number
  readonly tip?: bigint
  readonly maxFee?: bigint
  readonly gas?: bigint
  readonly value?: bigint
  readonly to?: Address
  readonly data?: `0x${string}`
  readonly chainId?: number
}

/** A signed transfer, or what a test makes of it. */
export async function signed(account: PrivateKeyAccount, wanted: Wanted = {}): Promise<Transaction> {
  const {
    nonce = 0,
    tip = 10_000n,
    maxFee = 2_000_000_000n,
    gas = 21_000n,
    value = 1n,
    data,
    chainId = CHAIN_ID,
  } = wanted
  const common = { chainId, nonce, gas, value, data, to: wanted.to ?? (`0x${'aa'.repeat(20)}` as const) }
  const fees = { maxPriorityFeePerGas: tip, maxFeePerGas: maxFee }
  const raw = await (() => {
    switch (wanted.type) {
      case 'legacy':
        return account.signTransaction({ ...common, type: 'legacy', gasPrice: maxFee })
      case 'eip2930':
        return account.signTransaction({ ...common, type: 'eip2930', gasPrice: maxFee, accessList: [] })
      case 'eip7702':
        return account.signAuthorization({ chainId, nonce: 0, address: common.to }).then((authorization) =>
          account.signTransaction({
            ...common,
            ...fees,
            type: 'eip7702',
            gas: gas + 25_000n,
            authorizationList: [authorization],
          }),
        )
      default:
        return account.signTransaction({ ...common, ...fees, type: 'eip1559' })
    }
  })()
  return decodeTransaction(hexToBytes(raw))
}
