import type { RpcFeeHistory } from 'viem'
import type { ChainView, ViewBlock } from './chain-view.ts'
import { effectiveGasPrice, toQuantity } from './format.ts'

/** Blocks whose tips are looked at for a suggestion. */
const TIP_BLOCKS = 20

/** A tip that recent blocks took: the 60th percentile of theirs, and never below what the node takes at all. */
export function suggestTip(chain: ChainView): bigint {
  const head = chain.head().number
  const tips: bigint[] = []
  for (let number = head; number >= 0n && number > head - BigInt(TIP_BLOCKS); number--) {
    const block = chain.block(number)
    if (!block) break
    for (const transaction of block.transactions) {
      tips.push(effectiveGasPrice(transaction, block.baseFeePerGas) - block.baseFeePerGas)
    }
  }
  tips.sort(ascending)
  const tip = tips[Math.floor((tips.length - 1) * 0.6)] ?? 0n
  return tip > chain.minTip ? tip : chain.minTip
}

/** `eth_feeHistory` of `count` blocks that end with `newest`. */
export function feeHistory(
  chain: ChainView,
  count: number,
  newest: ViewBlock,
  percentiles: readonly number[] | undefined,
): RpcFeeHistory {
  const oldest = newest.number - BigInt(count) + 1n
  const first = oldest < 0n ? 0n : oldest
  const baseFees: bigint[] = []
  const gasUsedRatio: number[] = []
  const rewards: bigint[][] = []
  for (let number = first; number <= newest.number; number++) {
    const block = chain.block(number)!
    baseFees.push(block.baseFeePerGas)
    gasUsedRatio.push(Number((block.gasUsed * 1_000_000n) / block.gasLimit) / 1_000_000)
    if (percentiles) rewards.push(rewardsOf(chain, block, percentiles))
  }
  baseFees.push(chain.block(newest.number + 1n)?.baseFeePerGas ?? chain.nextBaseFee())
  return {
    oldestBlock: toQuantity(first),
    baseFeePerGas: baseFees.map(toQuantity),
    gasUsedRatio,
    ...(percentiles && { reward: rewards.map((row) => row.map(toQuantity)) }),
  }
}

/** Tips at the given percentiles of gas, cheapest first. */
function rewardsOf(chain: ChainView, block: ViewBlock, percentiles: readonly number[]): bigint[] {
  const receipts = chain.receipts(block.number) ?? []
  const paid = receipts
    .map((receipt) => ({ tip: receipt.effectiveGasPrice - block.baseFeePerGas, gas: receipt.gasUsed }))
    .sort((a, b) => ascending(a.tip, b.tip))
  if (paid.length === 0) return percentiles.map(() => 0n)
  return percentiles.map((percentile) => {
    const threshold = (block.gasUsed * BigInt(Math.round(percentile * 1_000))) / 100_000n
    let sum = 0n
    for (const { tip, gas } of paid) {
      sum += gas
      if (sum >= threshold) return tip
    }
    return paid.at(-1)!.tip
  })
}

function ascending(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}
