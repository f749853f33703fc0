import { DecodeError, equalBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import { addressFromBytes } from '@cumulus/types'
import { decodeForeignBody } from '../chain/follow.ts'
import type { HashedHeader } from '../chain/header.ts'
import { consensusReceipt, decodeReceipts, encodeReceipts, indexedRoot, type Receipt } from '../chain/receipt.ts'
import { decodeTransaction, type Transaction } from '../chain/transaction.ts'
import { RangeProofError } from '../trie/range-proof.ts'
import { encodeRlp } from '../trie/rlp.ts'

/** What a block consisted of and what came of it, for a node that does not execute it. */
export interface BlockContent {
  readonly transactions: readonly Transaction[]
  readonly receipts: readonly Receipt[]
}

/**
 * Body and receipts of a block as another node keeps them. The header binds what consensus knows of a receipt; the rest
 * (sender, price, gas of its own, address of a new contract) follows from the transactions, and is compared.
 *
 * @throws RangeProofError, DecodeError
 */
export function decodeForeignContent(header: HashedHeader, body: Uint8Array, rlp: Uint8Array): BlockContent {
  const transactions = decodeForeignBody(header, body).map((raw) => decodeTransaction(raw.slice()))
  let receipts: Receipt[]
  try {
    receipts = decodeReceipts(rlp)
  } catch (error) {
    if (error instanceof DecodeError) throw error
    throw new DecodeError(`receipts that are none: ${(error as Error).message}`, 0)
  }
  // The one encoding: what is stored here is what every node stores.
  if (!equalBytes(encodeReceipts(receipts), rlp)) throw new RangeProofError('receipts in another than their one form')
  if (!equalBytes(indexedRoot(receipts.map(consensusReceipt)), header.receiptsRoot)) {
    throw new RangeProofError('receipts of another root')
  }
  let gasBefore = 0n
  receipts.forEach((receipt, index) => {
    if (!isOf(receipt, transactions[index], header, gasBefore)) throw new RangeProofError(`receipt ${index} is wrong`)
    gasBefore = receipt.cumulativeGasUsed
  })
  return { transactions, receipts }
}

function isOf(receipt: Receipt, tx: Transaction | undefined, { baseFee }: HashedHeader, gasBefore: bigint): boolean {
  const { sender, contractAddress, gasUsed, cumulativeGasUsed, effectiveGasPrice } = receipt
  if (gasUsed !== cumulativeGasUsed - gasBefore) return false
  // The receipt of module hooks.
  if (!tx) return effectiveGasPrice === 0n && contractAddress === undefined && /^0x0{40}$/.test(sender)
  const tip = tx.maxFeePerGas - baseFee
  const price = baseFee + (tip < tx.maxPriorityFeePerGas ? tip : tx.maxPriorityFeePerGas)
  if (sender !== tx.sender || effectiveGasPrice !== price) return false
  if (contractAddress === undefined) return tx.to !== undefined || !receipt.ok
  const preimage = encodeRlp([Uint8Array.fromHex(sender.slice(2)), tx.nonce])
  return tx.to === undefined && contractAddress === addressFromBytes(keccak256(preimage).slice(12))
}
