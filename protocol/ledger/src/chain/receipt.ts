import { concatBytes, hexToBytes } from '@cumulus/bytes'
import { type Address, addressFromBytes } from '@cumulus/types'
import { bytesToInteger, decodeRlp, encodeRlp, type Rlp } from '../trie/rlp.ts'
import { EMPTY_ROOT, Trie } from '../trie/trie.ts'
import type { Log } from '../vm/vm.ts'
import { bloomOf } from './bloom.ts'

/** What a transaction did. */
export interface Receipt {
  readonly type: number
  readonly ok: boolean
  /** Gas of this and all transactions before it in the block. */
  readonly cumulativeGasUsed: bigint
  readonly gasUsed: bigint
  readonly effectiveGasPrice: bigint
  readonly sender: Address
  readonly contractAddress: Address | undefined
  readonly logs: readonly Log[]
}

/** EIP-2718 type of the receipt that holds the logs of module hooks, behind those of the transactions. Not Ethereum's. */
export const HOOK_RECEIPT_TYPE = 0x7f

export function hookReceipt(logs: readonly Log[], cumulativeGasUsed: bigint): Receipt {
  return {
    type: HOOK_RECEIPT_TYPE,
    ok: true,
    cumulativeGasUsed,
    gasUsed: 0n,
    effectiveGasPrice: 0n,
    sender: '0x0000000000000000000000000000000000000000',
    contractAddress: undefined,
    logs,
  }
}

/** The part that the receipts root binds (EIP-658, EIP-2718). */
export function consensusReceipt(receipt: Receipt): Uint8Array {
  return consensusReceiptWith(receipt, bloomOf(receipt.logs))
}

/** As `consensusReceipt`, for whoever has the bloom of the logs at hand. */
export function consensusReceiptWith(receipt: Receipt, bloom: Uint8Array): Uint8Array {
  const rlp = encodeRlp([
    receipt.ok ? 1 : 0,
    receipt.cumulativeGasUsed,
    bloom,
    receipt.logs.map(({ address, topics, data }) => [hexToBytes(address), topics, data]),
  ])
  return receipt.type === 0 ? rlp : concatBytes(Uint8Array.of(receipt.type), rlp)
}

/** RLP list of [type, ok, cumulative gas, gas, price, sender, contract or nothing, logs of [address, topics, data]]. */
export function encodeReceipts(receipts: readonly Receipt[]): Uint8Array {
  return encodeRlp(
    receipts.map((receipt) => [
      receipt.type,
      receipt.ok ? 1 : 0,
      receipt.cumulativeGasUsed,
      receipt.gasUsed,
      receipt.effectiveGasPrice,
      hexToBytes(receipt.sender),
      receipt.contractAddress ? hexToBytes(receipt.contractAddress) : new Uint8Array(0),
      receipt.logs.map(({ address, topics, data }) => [hexToBytes(address), topics, data]),
    ]),
  )
}

/** The mirror of `encodeReceipts`; for bytes we wrote ourselves. */
export function decodeReceipts(rlp: Uint8Array): Receipt[] {
  return (decodeRlp(rlp) as Rlp[]).map((item) => {
    const fields = item as Uint8Array[]
    const contract = fields[6]!
    return {
      type: Number(bytesToInteger(fields[0]!)),
      ok: fields[1]!.length > 0,
      cumulativeGasUsed: bytesToInteger(fields[2]!),
      gasUsed: bytesToInteger(fields[3]!),
      effectiveGasPrice: bytesToInteger(fields[4]!),
      sender: addressFromBytes(fields[5]!),
      contractAddress: contract.length === 0 ? undefined : addressFromBytes(contract),
      logs: (item[7] as unknown as [Uint8Array, Uint8Array[], Uint8Array][]).map(([address, topics, data]) => ({
        address: addressFromBytes(address),
        topics: topics.map((topic) => topic.slice()),
        data: data.slice(),
      })),
    }
  })
}

/** Root of the trie from RLP(index) to item, as headers bind transactions and receipts. */
export function indexedRoot(items: readonly Uint8Array[]): Uint8Array {
  if (items.length === 0) return EMPTY_ROOT
  const trie = new Trie()
  items.forEach((item, index) => {
    trie.put(encodeRlp(index), item)
  })
  return trie.commit()
}
