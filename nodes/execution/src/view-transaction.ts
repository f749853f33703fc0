import { bytesToHex } from '@cumulus/bytes'
import type { Transaction } from '@cumulus/ledger'
import type { ViewTransaction } from '@cumulus/rpc'

const NOBODY = '0x0000000000000000000000000000000000000000'

export function viewTransaction(transaction: Transaction): ViewTransaction {
  const { type, maxFeePerGas, maxPriorityFeePerGas, accessList, authorizations } = transaction
  return {
    hash: bytesToHex(transaction.hash),
    raw: transaction.raw,
    type,
    from: transaction.sender ?? NOBODY,
    to: transaction.to ?? null,
    nonce: transaction.nonce,
    gasLimit: transaction.gasLimit,
    value: transaction.value,
    data: transaction.data,
    ...(type < 2 ? { gasPrice: maxFeePerGas } : { maxFeePerGas, maxPriorityFeePerGas }),
    ...(type > 0 && {
      accessList: accessList.map(({ address, slots }) => ({ address, storageKeys: slots.map(bytesToHex) })),
    }),
    ...(type === 4 && { authorizationList: authorizations }),
    chainId: transaction.chainId,
    v: transaction.v,
    r: transaction.r,
    s: transaction.s,
  }
}
