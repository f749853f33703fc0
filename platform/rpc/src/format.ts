import { bytesToHex } from '@cumulus/bytes'
import type { RpcBlock, RpcLog, RpcTransaction, RpcTransactionReceipt } from 'viem'
import type { Hash, Hex, PlacedLog, ViewBlock, ViewHeader, ViewReceipt, ViewTransaction } from './chain-view.ts'

const ZERO_NONCE = '0x0000000000000000'
/** keccak256(rlp([])): no block of ours has uncles. */
const EMPTY_UNCLES = '0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347'

export function toQuantity(value: bigint | number): Hex {
  return `0x${value.toString(16)}`
}

/** 32 bytes of a number. */
export function toWord(value: bigint): Hex {
  return `0x${value.toString(16).padStart(64, '0')}`
}

export function formatBlock(block: ViewBlock, full: boolean): RpcBlock {
  return {
    ...formatHeader(block),
    size: toQuantity(block.sizeBytes),
    totalDifficulty: '0x0',
    uncles: [],
    withdrawals: [],
    transactions: full
      ? block.transactions.map((transaction, index) => formatTransaction(transaction, block, index))
      : block.transactions.map(({ hash }) => hash),
  } as unknown as RpcBlock
}

/** What `newHeads` sends: the header without what stands in the body. */
export function formatHeader(block: ViewHeader): Record<string, unknown> {
  return {
    number: toQuantity(block.number),
    hash: block.hash,
    parentHash: block.parentHash,
    sha3Uncles: EMPTY_UNCLES,
    nonce: ZERO_NONCE,
    mixHash: block.mixHash,
    logsBloom: bytesToHex(block.logsBloom),
    transactionsRoot: block.transactionsRoot,
    stateRoot: block.stateRoot,
    receiptsRoot: block.receiptsRoot,
    miner: block.miner,
    difficulty: '0x0',
    extraData: block.extraData,
    gasLimit: toQuantity(block.gasLimit),
    gasUsed: toQuantity(block.gasUsed),
    timestamp: toQuantity(block.timestamp),
    baseFeePerGas: toQuantity(block.baseFeePerGas),
    ...block.extra,
  }
}

/** @param block absent for a transaction that waits */
export function formatTransaction(transaction: ViewTransaction, block?: ViewBlock, index?: number): RpcTransaction {
  const { type, gasPrice, maxFeePerGas, maxPriorityFeePerGas, accessList, authorizationList, chainId } = transaction
  const placed = block !== undefined && index !== undefined
  return {
    blockHash: placed ? block.hash : null,
    blockNumber: placed ? toQuantity(block.number) : null,
    transactionIndex: placed ? toQuantity(index) : null,
    hash: transaction.hash,
    type: toQuantity(type),
    from: transaction.from,
    to: transaction.to,
    nonce: toQuantity(transaction.nonce),
    gas: toQuantity(transaction.gasLimit),
    value: toQuantity(transaction.value),
    input: bytesToHex(transaction.data),
    ...(chainId !== undefined && { chainId: toQuantity(chainId) }),
    ...(maxFeePerGas === undefined
      ? { gasPrice: toQuantity(gasPrice ?? 0n) }
      : {
          maxFeePerGas: toQuantity(maxFeePerGas),
          maxPriorityFeePerGas: toQuantity(maxPriorityFeePerGas ?? 0n),
          // What it pays (in a block) or would pay at most: old clients read only this field.
          gasPrice: toQuantity(placed ? effectiveGasPrice(transaction, block.baseFeePerGas) : maxFeePerGas),
        }),
    ...(type !== 0 && {
      accessList: accessList ?? [],
      yParity: toQuantity(transaction.v),
    }),
    ...(authorizationList && {
      authorizationList: authorizationList.map((one) => ({
        chainId: toQuantity(one.chainId),
        address: one.address,
        nonce: toQuantity(one.nonce),
        yParity: toQuantity(one.yParity),
        r: toQuantity(one.r),
        s: toQuantity(one.s),
      })),
    }),
    v: toQuantity(transaction.v),
    r: toQuantity(transaction.r),
    s: toQuantity(transaction.s),
  } as unknown as RpcTransaction
}

/** Wei per gas that a transaction pays at a base fee: the tip is capped by what the maximum leaves. */
export function effectiveGasPrice(transaction: ViewTransaction, baseFee: bigint): bigint {
  if (transaction.maxFeePerGas === undefined) return transaction.gasPrice ?? 0n
  const wished = baseFee + (transaction.maxPriorityFeePerGas ?? 0n)
  return wished < transaction.maxFeePerGas ? wished : transaction.maxFeePerGas
}

/** @param receipts all of the block: log indexes count through the block */
export function formatReceipt(
  block: ViewBlock,
  receipts: readonly ViewReceipt[],
  index: number,
): RpcTransactionReceipt {
  const receipt = receipts[index]!
  const transaction = block.transactions[index]!
  let firstLog = 0
  for (let i = 0; i < index; i++) firstLog += receipts[i]!.logs.length
  return {
    transactionHash: transaction.hash,
    transactionIndex: toQuantity(index),
    blockHash: block.hash,
    blockNumber: toQuantity(block.number),
    from: transaction.from,
    to: transaction.to,
    type: toQuantity(transaction.type),
    status: receipt.ok ? '0x1' : '0x0',
    gasUsed: toQuantity(receipt.gasUsed),
    cumulativeGasUsed: toQuantity(receipt.cumulativeGasUsed),
    effectiveGasPrice: toQuantity(receipt.effectiveGasPrice),
    contractAddress: receipt.contractAddress,
    logsBloom: bytesToHex(receipt.logsBloom),
    logs: receipt.logs.map((log, i) =>
      formatLog({ ...log, transactionHash: transaction.hash, transactionIndex: index, logIndex: firstLog + i }, block),
    ) as RpcTransactionReceipt['logs'],
  }
}

export function formatLog(log: PlacedLog, block: ViewHeader): RpcLog {
  return {
    address: log.address,
    topics: [...log.topics] as [] | [Hash, ...Hash[]],
    data: bytesToHex(log.data),
    blockHash: block.hash,
    blockNumber: toQuantity(block.number),
    blockTimestamp: toQuantity(block.timestamp),
    transactionHash: log.transactionHash,
    transactionIndex: toQuantity(log.transactionIndex),
    logIndex: toQuantity(log.logIndex),
    removed: false,
  }
}
