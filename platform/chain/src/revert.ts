import { moduleAbis } from '@cumulus/ledger/modules'
import type { Abi, Hex } from 'viem'
import { decodeErrorResult, parseAbi } from 'viem/utils'
import { ChainError } from './chain-error.ts'
import type { RpcRefusal } from './rpc-connection.ts'

/** Errors of all modules: one that asks another passes its errors on. And those of Solidity itself. */
const errors: Abi = [
  ...parseAbi(['error Error(string reason)', 'error Panic(uint256 code)']),
  ...Object.values(moduleAbis).flatMap(({ abi }) => (abi as Abi).filter(({ type }) => type === 'error')),
]

/** geth's number for a call that reverted. */
const REVERTED = 3

/** What a node's refusal of a call or an estimate means. */
export function callFailure(refusal: RpcRefusal, what: string): ChainError {
  if (refusal.number === REVERTED || isHex(refusal.data)) {
    return revertError(isHex(refusal.data) ? refusal.data : '0x', what, { cause: refusal })
  }
  if (/insufficient (funds|balance)/i.test(refusal.message)) {
    return new ChainError('INSUFFICIENT_FUNDS', `${what}: the account cannot pay`, {
      reason: refusal.message,
      cause: refusal,
    })
  }
  return new ChainError('REFUSED', `${what}: ${refusal.message}`, { reason: refusal.message, cause: refusal })
}

/** The error that revert data stands for. */
export function revertError(data: Hex, what: string, init: ErrorOptions & { transactionHash?: Hex } = {}): ChainError {
  let decoded: { errorName: string; args?: readonly unknown[] }
  try {
    decoded = decodeErrorResult({ abi: errors, data })
  } catch {
    const known = data === '0x' ? 'no reason given' : `unknown error ${data.slice(0, 74)}`
    return new ChainError('REVERTED', `${what} reverted (${known})`, init)
  }
  const { errorName, args = [] } = decoded
  if (errorName === 'Error') {
    const reason = String(args[0])
    return new ChainError('REVERTED', `${what} reverted: ${reason}`, { ...init, reason })
  }
  return new ChainError('REVERTED', `${what} reverted: ${errorName}(${args.join(', ')})`, { ...init, errorName, args })
}

export function isHex(value: unknown): value is Hex {
  return typeof value === 'string' && /^0x[0-9a-f]*$/i.test(value)
}
