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
  const raw = await account.signTransaction({
    type: 'eip1559',
    chainId,
    nonce,
    maxPriorityFeePerGas: tip,
    maxFeePerGas: maxFee,
    gas,
    value,
    data,
    to: wanted.to ?? `0x${'aa'.repeat(20)}`,
  })
  return decodeTransaction(hexToBytes(raw))
}
