import { concatBytes, hexToBytes } from '@cumulus/bytes'
import type { Address } from '@cumulus/types'
import type { JournaledState } from '../state/journaled-state.ts'
import type { Vm, VmBlock, VmMessage, VmResult } from '../vm/vm.ts'
import type { Receipt } from './receipt.ts'
import { authorityOf, type Transaction } from './transaction.ts'

/** Why a transaction did not make it into the block. It changed nothing and cost nothing. */
export type DropCode =
  /** Not a transaction, or of a type not taken here. */
  | 'MALFORMED'
  /** Signed for another chain, or for any (before EIP-155). */
  | 'WRONG_CHAIN'
  | 'BAD_SIGNATURE'
  /** The sender is a contract (EIP-3607). */
  | 'SENDER_HAS_CODE'
  | 'NONCE_TOO_LOW'
  | 'NONCE_TOO_HIGH'
  /** The most it may cost is more than the sender has. */
  | 'INSUFFICIENT_FUNDS'
  /** `maxFeePerGas` is below the base fee: may pass later. */
  | 'FEE_TOO_LOW'
  /** `maxPriorityFeePerGas` is above `maxFeePerGas`. */
  | 'BAD_FEES'
  /** Less gas than the transaction costs before its first step. */
  | 'INTRINSIC_GAS'
  /** More gas than a transaction may have (EIP-7825), or than a block has. */
  | 'GAS_LIMIT_TOO_HIGH'
  /** Contract creation code above its limit (EIP-3860). */
  | 'INITCODE_TOO_LARGE'
  /** No room left in this block: belongs into the next one. */
  | 'BLOCK_FULL'

/** EIP-7825. */
export const TRANSACTION_GAS_MAX = 1n << 24n

const MAX_NONCE = (1n << 64n) - 1n
const INITCODE_BYTES_MAX = 2 * 24_576

/** Gas of EIP-2028, 2930, 3860, 7623 and 7702. */
const GAS = {
  transaction: 21_000n,
  create: 32_000n,
  zeroByte: 4n,
  otherByte: 16n,
  floorPerToken: 10n,
  tokensPerOtherByte: 4n,
  initcodeWord: 2n,
  accessListAddress: 2_400n,
  accessListSlot: 1_900n,
  authorization: 25_000n,
  authorizationOfExisting: 12_500n,
} as const

export interface IntrinsicGas {
  /** Charged before execution. */
  readonly intrinsic: bigint
  /** Least that the transaction pays in the end (EIP-7623). */
  readonly floor: bigint
}

export function intrinsicGas(tx: Pick<Transaction, 'to' | 'data' | 'accessList' | 'authorizations'>): IntrinsicGas {
  let zeros = 0
  for (const byte of tx.data) if (byte === 0) zeros++
  const others = BigInt(tx.data.length - zeros)
  let intrinsic = GAS.transaction + GAS.zeroByte * BigInt(zeros) + GAS.otherByte * others
  if (tx.to === undefined) intrinsic += GAS.create + GAS.initcodeWord * BigInt(Math.ceil(tx.data.length / 32))
  for (const { slots } of tx.accessList) intrinsic += GAS.accessListAddress + GAS.accessListSlot * BigInt(slots.length)
  intrinsic += GAS.authorization * BigInt(tx.authorizations.length)
  const tokens = BigInt(zeros) + GAS.tokensPerOtherByte * others
  return { intrinsic, floor: GAS.transaction + GAS.floorPerToken * tokens }
}

/**
 * Whether `tx` may be executed now, by the rules every node shares.
 *
 * @param gasLeft of the block
 */
export function judgeTransaction(
  tx: Transaction,
  state: JournaledState,
  block: VmBlock,
  gasLeft: bigint,
): DropCode | undefined {
  if (tx.chainId !== BigInt(block.chainId)) return 'WRONG_CHAIN'
  if (tx.maxPriorityFeePerGas > tx.maxFeePerGas) return 'BAD_FEES'
  if (tx.gasLimit > TRANSACTION_GAS_MAX || tx.gasLimit > block.gasLimit) return 'GAS_LIMIT_TOO_HIGH'
  if (tx.to === undefined && tx.data.length > INITCODE_BYTES_MAX) return 'INITCODE_TOO_LARGE'
  const { intrinsic, floor } = intrinsicGas(tx)
  if (tx.gasLimit < intrinsic || tx.gasLimit < floor) return 'INTRINSIC_GAS'
  if (tx.maxFeePerGas < block.baseFee) return 'FEE_TOO_LOW'
  if (tx.gasLimit > gasLeft) return 'BLOCK_FULL'
  // The costly check comes late.
  const { sender } = tx
  if (sender === undefined) return 'BAD_SIGNATURE'
  const nonce = state.getNonce(sender)
  if (tx.nonce < nonce) return 'NONCE_TOO_LOW'
  if (tx.nonce > nonce || nonce === MAX_NONCE) return 'NONCE_TOO_HIGH'
  if (state.getBalance(sender) < tx.gasLimit * tx.maxFeePerGas + tx.value) return 'INSUFFICIENT_FUNDS'
  const code = state.getCode(sender)
  if (code.length > 0 && !isDelegation(code)) return 'SENDER_HAS_CODE'
  return undefined
}

/** Executes a transaction that `judgeTransaction` has let pass. */
export async function executeTransaction(
  tx: Transaction,
  state: JournaledState,
  vm: Vm,
  block: VmBlock,
  gasUsedBefore: bigint,
): Promise<{ receipt: Receipt; result: VmResult }> {
  const sender = tx.sender!
  const room = tx.maxFeePerGas - block.baseFee
  const tip = min(tx.maxPriorityFeePerGas, room)
  const gasPrice = block.baseFee + tip

  state.beginTransaction()
  state.setBalance(sender, state.getBalance(sender) - tx.gasLimit * gasPrice)
  state.setNonce(sender, tx.nonce + 1n)
  const { gasUsed, result } = await runMessage(tx, sender, gasPrice, state, vm, block)
  // The base fee is burnt: it goes nowhere.
  state.setBalance(sender, state.getBalance(sender) + (tx.gasLimit - gasUsed) * gasPrice)
  state.setBalance(block.coinbase, state.getBalance(block.coinbase) + gasUsed * tip)
  for (const address of result.destroyed) state.destroy(address)

  const receipt: Receipt = {
    type: tx.type,
    ok: result.ok,
    cumulativeGasUsed: gasUsedBefore + gasUsed,
    gasUsed,
    effectiveGasPrice: gasPrice,
    sender,
    contractAddress: result.createdAddress,
    logs: result.logs,
  }
  return { receipt, result }
}

/** What runs, whether it is paid for or only tried. */
export type Runnable = Pick<Transaction, 'to' | 'value' | 'data' | 'gasLimit' | 'accessList' | 'authorizations'>

/** The part of a transaction between buying the gas and giving back the rest: delegations, the message, refunds. */
export async function runMessage(
  tx: Runnable,
  sender: Address,
  gasPrice: bigint,
  state: JournaledState,
  vm: Vm,
  block: VmBlock,
): Promise<{ gasUsed: bigint; result: VmResult }> {
  const { intrinsic, floor } = intrinsicGas(tx)
  const warm: { address: Address; slots: readonly Uint8Array[] }[] = [
    { address: sender, slots: [] },
    { address: block.coinbase, slots: [] },
    ...tx.accessList,
  ]
  if (tx.to !== undefined) warm.push({ address: tx.to, slots: [] })
  const delegationRefund = tx.authorizations.length > 0 ? applyDelegations(tx, state, block, warm) : 0n
  const message: VmMessage = {
    caller: sender,
    to: tx.to,
    value: tx.value,
    data: tx.data,
    gasLimit: tx.gasLimit - intrinsic,
    gasPrice,
    warm,
  }
  const outcome = vm.run(message, block)
  const result = outcome instanceof Promise ? await outcome : outcome
  const spent = intrinsic + result.gasUsed
  const refund = min(result.gasRefund + delegationRefund, spent / 5n)
  return { gasUsed: max(spent - refund, floor), result }
}

const DELEGATION = Uint8Array.of(0xef, 0x01, 0x00)

/** Code of an account that lets a contract act for it: 0xef0100 ‖ address (EIP-7702). */
export function isDelegation(code: Uint8Array): boolean {
  return code.length === 23 && code[0] === 0xef && code[1] === 0x01 && code[2] === 0x00
}

/** EIP-7702: an authorization that does not fit is skipped. They stay even if the message fails. */
function applyDelegations(
  tx: Runnable,
  state: JournaledState,
  block: VmBlock,
  warm: { address: Address; slots: readonly Uint8Array[] }[],
): bigint {
  let refund = 0n
  for (const authorization of tx.authorizations) {
    if (authorization.chainId !== 0n && authorization.chainId !== BigInt(block.chainId)) continue
    if (authorization.nonce === MAX_NONCE) continue
    const authority = authorityOf(authorization)
    if (authority === undefined) continue
    warm.push({ address: authority, slots: [] })
    const code = state.getCode(authority)
    if (code.length > 0 && !isDelegation(code)) continue
    if (state.getNonce(authority) !== authorization.nonce) continue
    if (!state.isEmpty(authority)) refund += GAS.authorizationOfExisting
    state.setNonce(authority, authorization.nonce + 1n)
    const isCleared = BigInt(authorization.address) === 0n
    state.setCode(authority, isCleared ? new Uint8Array(0) : concatBytes(DELEGATION, hexToBytes(authorization.address)))
  }
  return refund
}

export function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
